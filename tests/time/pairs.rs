//! The epochs of a pair and of a log-in session under a clock that steps, over restarts, and under
//! other longest lifetimes: nothing that was revoked with them is in force again once they are
//! swept.

use crate::grants::{RESTARTS, Restart};
use grantkeep::backend::{Budget, Outcome};
use grantkeep::{
    Clock as _, Code, Device, DeviceState, Epoch, Epochs, Family, Held, ManualClock, Origin, Owner,
    Owners, Personal, Record, SessionId, Store, Timestamp, Token, Wait as _,
};
use grantkeep_tests::sim_disk::SimDisk;
use grantkeep_tests::{manual_clock, options, samples};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(24 * 3_600);
/// The longest lifetimes that the store is opened with.
const LONG: Duration = Duration::from_secs(20 * 24 * 3_600);
const SHORT: Duration = Duration::from_secs(3_600);
const CLIENT: &str = "client-1";
const PAIR: Owner<'_> = Owner::Pair { subject: "alice", client: CLIENT };
const SESSION: Owner<'_> = Owner::Session("s1");

/// Of whom everything is that is issued.
fn owners() -> Owners {
    Owners::new("alice", CLIENT).in_session(Some(SessionId::of("s1")))
}

/// What the clock does while the records are issued that are revoked afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leap {
    None,
    /// It is ten days ahead for a moment.
    TakenBack,
    /// It is ten days ahead until that is believed, and is then corrected.
    Lead,
}

struct World {
    clock: Arc<ManualClock>,
    disk: SimDisk,
    store: Option<Store>,
}

impl World {
    fn new() -> Self {
        let mut world = Self { clock: manual_clock(), disk: SimDisk::new(), store: None };
        world.open(LONG);
        world
    }

    fn open(&mut self, lifetime_max: Duration) {
        let options = options(&self.clock).disk(Arc::new(self.disk.clone()));
        self.store = Some(options.lifetime_max(lifetime_max).open(Path::new("/store")).unwrap());
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn restart(&mut self, how: Restart, lifetime_max: Duration) {
        match how {
            Restart::None => return,
            Restart::Close => self.store().close().unwrap(),
            Restart::Kill => self.disk = self.disk.kill(),
        }
        self.store = None;
        self.open(lifetime_max);
    }

    fn sweep(&self) {
        self.store().sweep(Budget::ALL).wait().unwrap();
    }

    /// Issues one of each that rests on the pair, to live as long as may be; answers until when.
    fn issue(&self, name: &str) -> Timestamp {
        let store = self.store();
        let standing = store.epochs_of(owners()).wait().unwrap();
        let epochs = standing.epochs();
        let mut change = store.change().unwrap();
        let until = change.latest();
        let id = samples::id(name);
        change.insert(id, &Code { epochs, ..samples::code(name, "alice") }, until).unwrap();
        change.insert(id, &Token { epochs, ..samples::token(name, "alice") }, until).unwrap();
        change.insert(id, &Family { epochs, ..samples::family(name, "alice") }, until).unwrap();
        change.insert(id, &device(epochs), until).unwrap();
        standing.require(&mut change);
        assert_eq!(store.commit(change).wait().unwrap(), Outcome::Applied);
        until
    }

    fn in_force<R: Record>(&self, name: &str, epochs: impl Fn(&R) -> Epochs) -> bool {
        let held: Option<Held<R>> = self.store().get(samples::id(name)).wait().unwrap();
        held.is_some_and(|held| {
            let admits = self.store().admits(owners(), &epochs(&held.record)).wait().unwrap();
            admits && !held.is_expired(self.store().now())
        })
    }

    /// How many of the four that were issued by this name are in force.
    fn count_in_force(&self, name: &str) -> usize {
        let each = [
            self.in_force(name, |code: &Code| code.epochs),
            self.in_force(name, |token: &Token| token.epochs),
            self.in_force(name, |family: &Family| family.epochs),
            self.in_force(name, |device: &Device| device.epochs),
        ];
        each.into_iter().filter(|in_force| *in_force).count()
    }

    fn epochs_stored(&self) -> u64 {
        self.store().stats().rows_of(Epoch::KIND)
    }
}

fn device(epochs: Epochs) -> Device {
    Device {
        state: DeviceState::Approved { subject: "alice".to_owned() },
        client: CLIENT.to_owned(),
        scopes: String::new(),
        audience: String::new(),
        origin: Origin::default(),
        epochs,
        salt: [7; 32],
        payload: None,
    }
}

/// Issues, revokes, and looks again and again until all has expired.
fn revoke_and_wait(owner: Owner<'_>, leap: Leap, restart: Restart) {
    let mut world = World::new();
    // Past what the horizon of a new store allows for.
    world.clock.advance(3 * DAY);
    let right = world.clock.wall();
    if leap != Leap::None {
        world.clock.step_to(right + 10 * DAY);
    }
    let until = world.issue("revoked");
    match leap {
        Leap::None => {}
        Leap::TakenBack => world.clock.step_to(right),
        Leap::Lead => {
            world.clock.advance(31 * Duration::from_secs(1));
            world.store().now();
            world.clock.step_to(right + 31 * Duration::from_secs(1));
        }
    }
    assert_eq!(world.count_in_force("revoked"), 4);

    // With a longest lifetime by which the epoch would expire long before them.
    world.restart(restart, SHORT);
    world.store().begin_epoch(owner).wait().unwrap();
    world.restart(restart, SHORT);
    let new = world.issue("new");
    assert_eq!((world.count_in_force("revoked"), world.count_in_force("new")), (0, 4));
    let mut last = Timestamp::default();
    while last < until {
        let left = until.since(world.store().now());
        let step = [DAY, HOUR].into_iter().find(|step| left > *step + MS).unwrap_or(left / 2);
        world.clock.advance(step.max(MS));
        world.sweep();
        if world.store().now() < until {
            assert_eq!(world.count_in_force("revoked"), 0, "{leap:?} {restart:?}, {left:?} left");
            assert_eq!(world.epochs_stored(), 1, "{leap:?} {restart:?}, {left:?} left");
        }
        assert!(world.store().now() < new || world.count_in_force("new") == 0);
        last = world.store().now();
    }
    // Its window, and what it may have been allowed for longer.
    world.clock.advance(LONG);
    world.sweep();
    assert_eq!(world.epochs_stored(), 0, "{leap:?} {restart:?}: it is kept for good");
    world.issue("after");
    assert_eq!(world.count_in_force("after"), 4);
}

// Goal: P6, a store that is opened anew with a shorter longest lifetime revives nothing, nor does
// a clock that was ahead: the epoch of a pair or a session stays until the last that it revoked has
// expired, to the millisecond, and goes then. Method: one of each that rests on a pair, issued in a
// session at the right time, in a leap that is taken back, and in one that is believed; the pair or
// the session revoked after a restart with a shorter longest lifetime; a sweep at ever shorter
// steps until all has expired.
#[test]
fn no_pair_is_in_force_again_when_its_epoch_is_swept() {
    let mut runs = 0;
    for leap in [Leap::None, Leap::TakenBack, Leap::Lead] {
        for restart in RESTARTS {
            for owner in [PAIR, SESSION] {
                revoke_and_wait(owner, leap, restart);
                runs += 1;
            }
        }
    }
    println!("time: {runs} pairs and sessions revoked and forgotten");
}

// Goal: P6, a pair is revoked by one write, and nothing else with it (RFC 7009 section 2.1: what a
// client has on behalf of a subject). Method: codes, tokens, families, and devices of the pair, of
// its client for another subject and for none, and of its subject through another client; a
// personal token of the pair itself.
#[test]
fn a_pair_is_revoked_in_one_write_and_nothing_else() {
    let world = World::new();
    let store = world.store();
    let others = [("bob", CLIENT), ("alice", "client-2"), ("", CLIENT), ("client-1", "alice")];
    let issued: Vec<Epochs> = others
        .iter()
        .map(|(subject, client)| store.epochs(subject, client).wait().unwrap().epochs())
        .collect();
    world.issue("revoked");
    let personal = |epochs: Epochs| Personal {
        name: "laptop".to_owned(),
        key_id: 1,
        subject: "alice".to_owned(),
        client: CLIENT.to_owned(),
        scopes: String::new(),
        issued_at: store.wall(),
        epochs: epochs.without_pair(),
        revoked_at: None,
        payload: None,
    };
    let put = |name: &str| {
        let epochs = store.epochs("alice", CLIENT).wait().unwrap().epochs();
        let mut change = store.change().unwrap();
        change.insert(samples::id(name), &personal(epochs), Timestamp::NEVER).unwrap();
        assert_eq!(store.commit(change).wait().unwrap(), Outcome::Applied);
    };
    let lives = |name: &str| {
        let held: Held<Personal> = store.get(samples::id(name)).wait().unwrap().unwrap();
        store.admits(Owners::apart("alice", CLIENT), &held.record.epochs).wait().unwrap()
    };
    put("before");
    let commits = store.stats().commits;
    store.begin_epoch(PAIR).wait().unwrap();
    assert_eq!(store.stats().commits, commits + 1, "one write");
    assert_eq!(world.count_in_force("revoked"), 0);
    for ((subject, client), epochs) in others.into_iter().zip(&issued) {
        let owners = Owners::new(subject, client);
        assert!(store.admits(owners, epochs).wait().unwrap(), "{subject} {client}");
        assert!(store.epochs(subject, client).wait().unwrap().admit(epochs));
    }
    put("after");
    assert!(lives("before") && lives("after"), "a personal token rests on no pair");
    for owner in [Owner::Subject("alice"), Owner::Client(CLIENT)] {
        put("between");
        store.begin_epoch(owner).wait().unwrap();
        assert!(!lives("before") && !lives("between"), "{owner:?} revokes it");
        let held: Held<Personal> =
            store.get::<Personal>(samples::id("between")).wait().unwrap().unwrap();
        let mut change = store.change().unwrap();
        change.delete(&held);
        store.commit(change).wait().unwrap();
    }
}

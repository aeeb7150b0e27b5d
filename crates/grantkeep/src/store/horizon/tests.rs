//! The horizon, and the epochs that expire at it.

use crate::backend::{Backend as _, Budget, Key, Outcome};
use crate::clock::{Clock as _, LIFETIME_DEFAULT_MAX, ManualClock, Timestamp};
use crate::digest::Digest;
use crate::error::ErrorKind;
use crate::keyring::Keyring;
use crate::memory::Memory;
use crate::store::{
    Change, Epoch, Epochs, Held, Owner, Owners, Record as _, StandingEpochs, Store, Token,
    TokenKind,
};
use crate::sync::Arc;
use crate::wait::Wait as _;
use std::time::{Duration, UNIX_EPOCH};

const MS: Duration = Duration::from_millis(1);
const DAY: Duration = Duration::from_secs(24 * 3_600);
const LIFETIME_MAX: Duration = Duration::from_secs(32 * 24 * 3_600);
const PAIR: Owner<'_> = Owner::Pair { subject: "alice", client: "client-1" };

struct World {
    clock: Arc<ManualClock>,
    store: Store<Memory>,
}

impl World {
    fn new() -> Self {
        Self::of(LIFETIME_MAX)
    }

    fn of(lifetime_max: Duration) -> Self {
        let start = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let clock = Arc::new(ManualClock::at(start));
        let memory = Memory::with_clock(Arc::clone(&clock) as _);
        let keyring = Keyring::generate().unwrap();
        Self { clock, store: Store::new(memory, keyring, lifetime_max).wait().unwrap() }
    }

    fn horizon(&self) -> Timestamp {
        super::read(self.store.backend()).wait().unwrap()
    }

    /// Waits until the store's time is this.
    fn wait_for(&self, time: Timestamp) {
        self.clock.advance(time.since(self.store.now()));
        assert_eq!(self.store.now(), time);
    }

    fn sweep(&self) {
        self.store.sweep(Budget::ALL).wait().unwrap();
    }

    fn standing(&self) -> StandingEpochs {
        self.store.epochs("alice", "client-1").wait().unwrap()
    }

    /// The change that puts a token which is issued under what stands.
    fn issuing(&self, name: u8, standing: &StandingEpochs, until: Timestamp) -> Change {
        let mut change = self.store.change().unwrap();
        change.insert(id(name), &token(standing.epochs()), until).unwrap();
        standing.require(&mut change);
        change
    }

    fn issue(&self, name: u8, until: Timestamp) {
        let change = self.issuing(name, &self.standing(), until);
        assert_eq!(self.store.commit(change).wait().unwrap(), Outcome::Applied);
    }

    fn held(&self, name: u8) -> Held<Token> {
        self.store.get(id(name)).wait().unwrap().unwrap()
    }

    fn in_force(&self, name: u8) -> bool {
        let Held { record, expires_at, .. } = self.held(name);
        let owners = Owners::new(&record.subject, &record.client);
        let admits = self.store.admits(owners, &record.epochs).wait().unwrap();
        admits && self.store.now() < expires_at
    }

    fn epoch(&self) -> Option<Held<Epoch>> {
        self.store.epoch(PAIR).wait().unwrap().held().cloned()
    }
}

fn id(name: u8) -> Digest {
    Digest::from_bytes([name; 32])
}

fn token(epochs: Epochs) -> Token {
    Token {
        kind: TokenKind::Access,
        client: "client-1".to_owned(),
        subject: "alice".to_owned(),
        scopes: String::new(),
        audience: String::new(),
        confirmation: None,
        family: None,
        issued_at: Timestamp::default(),
        epochs,
        revoked_at: None,
        payload: None,
    }
}

// Goal: P6, the epoch of a pair is swept when the last that it revoked has expired, to the
// millisecond, and not before. Method: a token that ends at the horizon, revoked; a sweep at
// each moment around its end.
#[test]
fn an_epoch_outlives_all_that_it_revokes_to_the_millisecond() {
    let world = World::new();
    let end = world.horizon();
    // As late as a commit may be that was decided when the horizon was just far enough.
    world.wait_for(end.saturating_sub(LIFETIME_MAX));
    let mut change = world.store.change().unwrap();
    change.insert(id(1), &token(Epochs::default()), end).unwrap();
    world.store.commit(change).wait().unwrap();
    assert_eq!(world.horizon(), end, "it ends at the horizon, and raises it no further");
    assert!(world.in_force(1));

    world.store.begin_epoch(PAIR).wait().unwrap();
    let ends = world.epoch().unwrap().expires_at;
    assert_eq!(ends, end, "where the last may end, and no later");
    for before in [Duration::from_secs(1), MS] {
        world.wait_for(end.saturating_sub(before));
        world.sweep();
        assert!(!world.held(1).is_expired(world.store.now()));
        assert!(!world.in_force(1), "{before:?} before its end");
    }
    world.wait_for(ends.saturating_sub(MS));
    world.sweep();
    assert!(world.epoch().is_some(), "a millisecond early");
    world.wait_for(ends);
    world.sweep();
    assert!(world.epoch().is_none(), "it is kept for good");
}

// Goal: P6, an epoch that was swept lets nothing through that was decided before it. Method:
// epochs read before a revocation; the revocation, its sweep, and only then the commit, of
// tokens that end before the horizon and behind it.
#[test]
fn what_was_decided_before_a_swept_epoch_is_not_issued_after_it() {
    let world = World::new();
    let standing = world.standing();
    let end = world.store.now().saturating_add(LIFETIME_MAX);
    let short = world.issuing(1, &standing, end);
    world.store.begin_epoch(PAIR).wait().unwrap();
    world.wait_for(world.epoch().unwrap().expires_at);
    world.sweep();
    assert!(world.epoch().is_none());
    let far = world.store.now().saturating_add(LIFETIME_MAX);
    let long = world.issuing(2, &standing, far);
    assert!(matches!(world.store.commit(long).wait().unwrap(), Outcome::Conflict(_)));
    // The other is applied, since nothing tells it from what was never revoked.
    let _ = world.store.commit(short).wait().unwrap();
    assert!(!world.in_force(1), "it has expired");
    world.issue(3, far);
    assert!(world.in_force(3), "what is decided now is issued");
}

// Goal: P6, an epoch that was about to be written when the horizon was raised does not expire
// before what was issued meanwhile. Method: read the epoch, issue beyond the horizon, commit
// the epoch; and an epoch of two pairs, read before and after.
#[test]
fn a_horizon_raised_meanwhile_is_a_conflict() {
    let world = World::new();
    let read = world.store.epoch(PAIR).wait().unwrap();
    let before = world.horizon();
    world.clock.advance(LIFETIME_MAX / 8);
    let until = world.store.now().saturating_add(LIFETIME_MAX);
    world.issue(1, until);
    assert!(until > before && world.horizon() >= until);
    let mut change = world.store.change().unwrap();
    change.open_epoch(&read).unwrap();
    assert!(matches!(world.store.commit(change).wait().unwrap(), Outcome::Conflict(_)));

    let bob = Owner::Pair { subject: "bob", client: "client-1" };
    let again = world.store.epoch(bob).wait().unwrap();
    for both in [[&read, &again], [&again, &read]] {
        let mut change = world.store.change().unwrap();
        for epoch in both {
            change.open_epoch(epoch).unwrap();
        }
        assert!(matches!(world.store.commit(change).wait().unwrap(), Outcome::Conflict(_)));
    }
    let mut change = world.store.change().unwrap();
    for owner in [PAIR, bob] {
        let epoch = world.store.epoch(owner).wait().unwrap();
        change.open_epoch(&epoch).unwrap();
    }
    assert_eq!(world.store.commit(change).wait().unwrap(), Outcome::Applied);
    assert!(!world.in_force(1) && world.epoch().unwrap().expires_at >= until);
}

// Goal: P6, P10, an epoch stays as long as what was ever issued, also where the store allows for
// more, and no longer. Method: a store of ten years; a token of 30 days, then one of a year, and
// an epoch after each.
#[test]
fn an_epoch_stays_no_longer_than_anything_lives() {
    let world = World::of(LIFETIME_DEFAULT_MAX);
    let now = world.store.now();
    let (month, year) = (now.saturating_add(30 * DAY), now.saturating_add(365 * DAY));
    world.issue(1, month);
    world.store.begin_epoch(PAIR).wait().unwrap();
    let first = world.epoch().unwrap().expires_at;
    assert!(month < first && first < now.saturating_add(140 * DAY), "{first:?}");
    let standing = world.standing();
    let late = world.issuing(2, &standing, year);
    assert!(matches!(world.store.commit(late).wait().unwrap(), Outcome::Conflict(_)));
    world.issue(2, year);
    assert!(world.in_force(2) && !world.in_force(1));
    world.store.begin_epoch(Owner::Session("s")).wait().unwrap();
    world.store.begin_epoch(PAIR).wait().unwrap();
    let second = world.epoch().unwrap().expires_at;
    assert!(year < second && second < now.saturating_add(380 * DAY), "{second:?}");
    world.wait_for(year.saturating_sub(MS));
    world.sweep();
    assert!(!world.in_force(2));
}

// Goal: P6, an epoch that has expired and is not swept can be begun anew, and revokes what was
// issued under it. Method: two revocations, the second after the first has expired.
#[test]
fn an_epoch_that_has_expired_is_begun_anew() {
    let world = World::new();
    world.store.begin_epoch(PAIR).wait().unwrap();
    let first = world.epoch().unwrap();
    world.wait_for(first.expires_at.saturating_sub(MS));
    let until = world.store.now().saturating_add(Duration::from_secs(3_600));
    world.issue(1, until);
    world.wait_for(first.expires_at.saturating_add(MS));
    assert!(world.in_force(1), "it was issued under the first");
    world.store.begin_epoch(PAIR).wait().unwrap();
    let second = world.epoch().unwrap();
    assert!(second.record.number != first.record.number && second.expires_at >= until);
    assert!(!world.in_force(1));
    world.sweep();
    assert!(!world.in_force(1), "the row that expired is not there to be swept any more");
}

// Goal: P6, nothing that was issued in a leap of the clock is in force again, though the time
// went back after it. Method: a token issued while the clock is ten days ahead for a moment; a
// revocation once it is corrected; a sweep each day until the token has expired.
#[test]
fn what_was_issued_in_a_leap_stays_revoked() {
    let world = World::new();
    // So that the leap leads behind the horizon.
    world.wait_for(world.horizon().saturating_sub(LIFETIME_MAX));
    let right = world.clock.wall();
    world.clock.step_to(right + 10 * DAY);
    let until = world.store.now().saturating_add(LIFETIME_MAX);
    world.issue(1, until);
    world.clock.step_to(right);
    world.store.begin_epoch(PAIR).wait().unwrap();
    assert!(world.store.now().saturating_add(LIFETIME_MAX) < until, "it went back");
    world.wait_for(until.saturating_sub(11 * DAY));
    for _ in 0..11 {
        world.sweep();
        assert!(!world.in_force(1), "{:?}", world.store.now());
        world.clock.advance(Duration::from_millis(24 * 3_600_000 - 1));
    }
    assert!(!world.held(1).is_expired(world.store.now()));
}

// Goal: nothing rests on a pair that its epoch might not outlive, and no revocation is written
// that revokes nothing. Method: a token that never expires, and the epochs of owners that have
// none.
#[test]
fn what_could_not_be_revoked_is_refused() {
    let world = World::new();
    let mut change = world.store.change().unwrap();
    let refused = change.insert(id(1), &token(Epochs::default()), Timestamp::NEVER);
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Lifetime);
    for owner in [
        Owner::Session(""),
        Owner::Pair { subject: "", client: "client-1" },
        Owner::Pair { subject: "alice", client: "" },
    ] {
        let refused = world.store.begin_epoch(owner).wait().unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Limit, "{owner:?}");
    }
    assert_eq!(world.store.stats().rows_of(Epoch::KIND), 0);
}

// Goal: a pair that is closed stays so, and opens again. Method: close, wait, open.
#[test]
fn a_closed_pair_stays_closed() {
    let world = World::new();
    let epoch = world.store.epoch(PAIR).wait().unwrap();
    let mut change = world.store.change().unwrap();
    change.close_epoch(&epoch).unwrap();
    world.store.commit(change).wait().unwrap();
    world.store.begin_epoch(PAIR).wait().unwrap();
    world.clock.advance(2 * LIFETIME_MAX);
    world.sweep();
    assert!(world.standing().is_closed() && !world.standing().admit(&Epochs::default()));
    let epoch = world.store.epoch(PAIR).wait().unwrap();
    let mut change = world.store.change().unwrap();
    change.open_epoch(&epoch).unwrap();
    world.store.commit(change).wait().unwrap();
    assert!(!world.standing().is_closed());
}

// Goal: a look-up takes one probe for a pair, and none where a name is empty. Method: the keys
// of the epochs that stand.
#[test]
fn nobody_is_no_part_of_a_pair() {
    let world = World::new();
    let owners = |subject, client| world.store.epochs(subject, client).wait().unwrap();
    let keys = |standing: &StandingEpochs| -> Vec<Key> {
        let mut change = world.store.change().unwrap();
        standing.require(&mut change);
        change.into_batch().steps().iter().map(|step| step.key).collect()
    };
    assert_eq!(keys(&owners("alice", "client-1")).len(), 3);
    assert_eq!(keys(&owners("", "client-1")).len(), 2);
    assert_eq!(keys(&owners("alice", "")).len(), 2);
    assert!(world.store.backend().get(super::key()).wait().unwrap().is_some());
}

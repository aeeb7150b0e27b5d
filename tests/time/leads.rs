//! Stores that got ahead of the wall clock: what is judged by which clock, and what others are
//! told.

use crate::grants::{RESTARTS, Restart, World, policy};
use grantkeep::backend::{Backend, Budget, Kind};
use grantkeep::{
    Burned, Clock as _, KeySource, ManualClock, PACE_HOLD, Store, Timestamp, Wait as _,
};
use grantkeep_grants::{
    Authenticated, Claims, ClientState, Creation, GrantType, Grants, Introspection, Minter,
    MinterError, Minting, NewClient, NewPersonal, NewSecret, Once, Presented, Redeemed, Refreshed,
};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// What a leap is ahead by: little, less than a day, more than the life of a value, and as far as
/// is believed.
const LEADS: [Duration; 4] = [
    Duration::from_secs(3),
    Duration::from_secs(3_600),
    Duration::from_secs(10 * 24 * 3_600),
    Duration::from_secs(29 * 24 * 3_600),
];

/// The wall clock is ahead by `lead` for 31 s, and is then corrected; `between` is done at each
/// moment.
fn get_ahead(clock: &ManualClock, lead: Duration, mut between: impl FnMut()) {
    let right = clock.wall();
    between();
    clock.step_to(right + lead);
    between();
    clock.advance(31 * SECOND);
    between();
    clock.step_to(right + 31 * SECOND);
    between();
}

fn claims<B: Backend>(grants: &Grants<B>, token: &str) -> Claims {
    match grants.introspect(token).wait().unwrap() {
        Introspection::Active(claims) => *claims,
        Introspection::Inactive => panic!("a fresh token is inactive"),
    }
}

fn ahead(lead: Duration) -> World {
    let world = World::new();
    get_ahead(&world.clock, lead, || {
        world.grants().store().now();
    });
    world
}

// Goal: P3, a value is judged by the wall clock, however far the store is ahead of it. Method: a
// clock ahead for 31 s by each lead, and corrected; a value burnt for a minute, as an assertion's
// or a proof's is, presented again until it and its skew are over, over restarts.
#[test]
fn an_assertion_is_accepted_once_after_a_correction() {
    let mut runs = 0;
    for lead in LEADS {
        for restart in RESTARTS {
            let mut world = ahead(lead);
            assert!(world.grants().store().lead() >= lead - SECOND, "{lead:?}");
            let until = world.clock.wall() + MINUTE;
            assert_eq!(world.burn("jti", until), Burned::First, "{lead:?}");
            let end = until + policy().clock_skew;
            while world.clock.wall() < end {
                world.restart(restart);
                world.sweep();
                assert_eq!(world.burn("jti", until), Burned::Seen, "{lead:?} {restart:?}");
                world.clock.advance(10 * SECOND);
            }
            assert_eq!(world.burn("jti", until), Burned::Expired, "{lead:?} {restart:?}");
            assert_eq!(kept_after_a_day(&world), 0, "{lead:?} {restart:?}");
            runs += 1;
        }
    }
    println!("time: {runs} assertions after a correction");
}

/// How many burnt values there are a day after the last has ended: nothing is kept for good.
fn kept_after_a_day(world: &World) -> u64 {
    for pass in [MINUTE, PACE_HOLD, MINUTE] {
        world.clock.advance(pass);
        world.sweep();
    }
    world.grants().store().stats().rows_of(Kind::REMEMBERED)
}

/// When rows are carried into the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Carried {
    Never,
    /// Before the leap, and at each moment of it.
    Early,
    /// Once it is taken back.
    Late,
}

// Goal: P3, a leap that is taken back forgets no burnt value, though it has held and windows were
// swept meanwhile. Method: values burnt for a minute and for three days; the clock ahead for 31 s
// and corrected, with a sweep at each moment; the values again, over restarts once the clock is
// right, from the log and from the table.
#[test]
fn a_leap_that_is_taken_back_forgets_no_burnt_value() {
    let mut runs = 0;
    for lead in LEADS {
        for restart in RESTARTS {
            for carried in [Carried::Never, Carried::Early, Carried::Late] {
                for days in [0, 3] {
                    remembers(lead, restart, carried, if days == 0 { MINUTE } else { 3 * DAY });
                    runs += 1;
                }
            }
        }
    }
    println!("time: {runs} burnt values under a leap that is taken back");
}

fn remembers(lead: Duration, restart: Restart, carried: Carried, lifetime: Duration) {
    let context = format!("{lead:?} {restart:?} {carried:?} {lifetime:?}");
    let mut world = World::new();
    let until = world.clock.wall() + lifetime;
    assert_eq!(world.burn("jti", until), Burned::First, "{context}");
    // Something else dies in the leap, and is swept.
    let code = world.code();
    get_ahead(&world.clock, lead, || {
        if carried == Carried::Early {
            world.grants().store().checkpoint().wait().unwrap();
        }
        world.sweep();
    });
    let end = until + policy().clock_skew;
    while world.clock.wall() < end {
        world.restart(restart);
        world.sweep();
        if carried != Carried::Never {
            world.grants().store().checkpoint().wait().unwrap();
        }
        assert_eq!(world.burn("jti", until), Burned::Seen, "{context}");
        // Each commit notes the time.
        world.pair();
        world.clock.advance(lifetime / 4);
    }
    assert_eq!(world.burn("jti", until), Burned::Expired, "{context}");
    let expired = matches!(world.redeem(&code), Redeemed::Expired | Redeemed::Unknown);
    assert!(expired || lead < policy().code_lifetime, "{context}");
    assert_eq!(kept_after_a_day(&world), 0, "{context}");
}

// Goal: P3, a value that is burnt in a leap is remembered until the wall clock has come to its end,
// though that is days after the correction. Method: a leap of ten days that holds, a value burnt
// for a minute in it, the correction; sweeps, and the value again, each day.
#[test]
fn a_value_burnt_in_a_leap_is_remembered() {
    for memory in [false, true] {
        let world = World::new();
        let plain = Grants::new(Store::in_memory(world.clock.clone()).unwrap(), policy()).unwrap();
        let burn = |until: SystemTime| match memory {
            true => plain.burn(Once::jti("client-1", "jti"), until).wait().unwrap(),
            false => world.burn("jti", until),
        };
        let sweep = || match memory {
            true => drop(plain.store().sweep(Budget::ALL).wait().unwrap()),
            false => world.sweep(),
        };
        let right = world.clock.wall();
        world.clock.step_to(right + 10 * DAY);
        sweep();
        world.clock.advance(31 * SECOND);
        sweep();
        let until = world.clock.wall() + MINUTE;
        assert_eq!(burn(until), Burned::First);
        world.clock.step_to(right + 31 * SECOND);
        while world.clock.wall() < until {
            sweep();
            assert_eq!(burn(until), Burned::Seen, "memory: {memory}");
            world.clock.advance(6 * HOUR);
        }
        world.clock.advance(policy().clock_skew + SECOND);
        assert_eq!(burn(until), Burned::Expired);
    }
}

// Goal: P3, the same on plain maps: a leap that is taken back forgets nothing. Method: as above.
#[test]
fn plain_maps_forget_no_burnt_value() {
    for lead in LEADS {
        let clock = grantkeep_tests::manual_clock();
        let store = Store::in_memory(clock.clone()).unwrap();
        let sweep = || store.sweep(Budget::ALL).wait().unwrap();
        let until = Timestamp::from(clock.wall() + MINUTE);
        assert_eq!(store.burn("jti", b"1", until).wait().unwrap(), Burned::First);
        get_ahead(&clock, lead, || _ = sweep());
        assert_eq!(store.burn("jti", b"1", until).wait().unwrap(), Burned::Seen, "{lead:?}");
        assert_eq!(store.stats().clock_lead, lead);
        clock.advance(MINUTE);
        assert_eq!(sweep().rows, 1, "{lead:?}");
        assert_eq!(store.burn("jti", b"1", until).wait().unwrap(), Burned::Expired, "{lead:?}");
    }
}

/// Notes which times it is told.
#[derive(Debug, Default)]
struct Told(Mutex<Vec<(SystemTime, SystemTime)>>);

impl Minter for Told {
    fn mint(&self, minting: &Minting<'_>) -> Result<Option<String>, MinterError> {
        self.0.lock().unwrap().push((minting.issued_at, minting.expires_at));
        Ok(None)
    }
}

// Goal: every time that others are told is of the wall clock: what is left of a lifetime from now
// on, and when something happened. Method: a store ahead by each lead; one of each that has a time.
#[test]
fn times_are_told_by_the_wall_clock() {
    for lead in LEADS {
        let world = ahead(lead);
        let told = Arc::new(Told::default());
        let grants = world.grants().clone().with_minter(told.clone());
        let wall = world.clock.wall();
        let policy = policy();
        let code = world.code();
        let Redeemed::Granted(pair) =
            grants.redeem(code.expose(), &Presented::by("client-1")).wait().unwrap()
        else {
            panic!("a fresh code");
        };
        assert_eq!(pair.expires_in, policy.access_lifetime);
        let access = claims(&grants, pair.access.expose());
        assert_eq!(access.issued_at, wall, "{lead:?}");
        assert_eq!(access.expires_at, Some(wall + policy.access_lifetime), "{lead:?}");
        let refresh = claims(&grants, pair.refresh.as_ref().unwrap().expose());
        assert_eq!(refresh.issued_at, wall);
        assert_eq!(refresh.expires_at, Some(wall + policy.refresh_idle));
        let family = grants.families_of("alice", None, 10).wait().unwrap().items.remove(0);
        let ends = [family.last_used_at, family.expires_at, family.ends_at];
        let due = [wall, wall + policy.refresh_idle, wall + policy.refresh_absolute];
        assert_eq!(ends, due, "{lead:?}");
        for (issued_at, expires_at) in told.0.lock().unwrap().drain(..) {
            assert_eq!(issued_at, wall);
            let due = [policy.access_lifetime, policy.refresh_idle].map(|it| wall + it);
            assert!(due.contains(&expires_at));
        }

        let made = grants.create_personal(NewPersonal::new("alice", "laptop").lifetime(HOUR));
        let made = made.wait().unwrap();
        assert_eq!(made.expires_at, Some(wall + HOUR));
        claims(&grants, made.token.expose());
        let listed = grants.personal_of("alice", None, 10).wait().unwrap().items.remove(0);
        assert_eq!((listed.issued_at, listed.last_used_at), (wall, Some(wall)), "{lead:?}");
        assert_eq!(listed.expires_at, Some(wall + HOUR));

        let Creation::Created(created) =
            grants.create_client(NewClient::confidential("app")).wait().unwrap()
        else {
            panic!("there is none of its name");
        };
        let client = created.client;
        assert_eq!((client.created_at, client.secrets[0].created_at), (wall, wall));
        let client = grants.disable_client(&client.id).wait().unwrap().unwrap();
        assert_eq!(client.state, ClientState::Disabled { at: wall });
    }
}

// Goal: a machine whose clocks run 50 ppm fast, and whose wall clock is set right every day, works
// as any other: the lead grows by the drift, and is allowed for. Method: twelve simulated weeks;
// each day an assertion of a minute, a token, and a restart; the same where the wall clock alone is
// fast.
#[test]
fn clocks_that_run_fast_are_allowed_for() {
    for both in [true, false] {
        let mut world = World::new();
        for day in 1..=84_u32 {
            let right = world.clock.wall() + DAY;
            for _ in 0..24 * 60 {
                world.clock.advance(MINUTE);
                let fast = Duration::from_millis(3);
                if both {
                    world.clock.advance(fast);
                } else {
                    world.clock.step_to(world.clock.wall() + fast);
                }
                world.grants().store().now();
            }
            world.clock.step_to(right);
            let due = Duration::from_millis(4_320) * if both { day } else { 1 };
            let lead = world.grants().store().lead();
            assert!(lead.abs_diff(due) <= 2 * SECOND, "{lead:?} on day {day}");
            let until = right + MINUTE;
            assert_eq!(world.burn(&format!("jti {day}"), until), Burned::First, "day {day}");
            let pair = world.pair();
            world.restart(if day % 2 == 0 { Restart::Close } else { Restart::Kill });
            assert_eq!(world.burn(&format!("jti {day}"), until), Burned::Seen, "day {day}");
            let told = claims(world.grants(), pair.access.expose());
            assert_eq!(told.issued_at, right);
            let left = told.expires_at.unwrap().duration_since(right).unwrap();
            assert!(left.abs_diff(policy().access_lifetime) <= 2 * SECOND, "{left:?}");
        }
    }
}

// Goal: two looks at one token tell the same expiry while the clocks drift apart. Method: a store
// that is ahead, a clock that is slewed by a millisecond a second, an introspection each second.
#[test]
fn two_introspections_agree() {
    let world = ahead(DAY);
    let pair = world.pair();
    let mut told = Vec::new();
    for _ in 0..850 {
        let claims = claims(world.grants(), pair.access.expose());
        assert!(claims.expires_at.unwrap() > world.clock.wall());
        told.push(claims.expires_at.unwrap());
        world.clock.advance(SECOND);
        world.clock.step_to(world.clock.wall() + Duration::from_millis(1));
    }
    told.dedup();
    assert_eq!(told.len(), 1, "{told:?}");
}

// Goal: P5, time passes while a store that is ahead is closed: nothing that has expired validates,
// and what has not does. Method: a store ten days ahead, closed for a time shorter and longer than
// a token lives; restarts within the hold of that, and the hold.
#[test]
fn tokens_expire_while_a_store_that_is_ahead_is_closed() {
    let mut runs = 0;
    for (closed, lives) in [(MINUTE, true), (5 * DAY, false), (29 * DAY, false)] {
        for restarts in 0..4 {
            let mut world = ahead(10 * DAY);
            let pair = world.pair();
            world.close_for(closed);
            for _ in 0..restarts {
                assert_eq!(world.is_active(&pair.access), lives, "{closed:?} {restarts}");
                world.clock.advance(10 * SECOND);
                world.restart(if restarts % 2 == 0 { Restart::Close } else { Restart::Kill });
            }
            assert_eq!(world.is_active(&pair.access), lives, "{closed:?} {restarts}");
            world.clock.advance(31 * SECOND);
            assert_eq!(world.is_active(&pair.access), lives, "{closed:?} {restarts}");
            world.sweep();
            let refreshed = matches!(world.refresh(&pair), Refreshed::Rotated(_));
            assert_eq!(refreshed, closed <= policy().refresh_idle - DAY, "{closed:?}");
            // It is as good as any other.
            let fresh = world.pair();
            assert!(world.is_active(&fresh.access));
            assert_eq!(world.grants().store().lead(), 10 * DAY);
            runs += 1;
        }
    }
    println!("time: {runs} stores that were ahead, and closed");
}

// Goal: what the rules call valid is not refused: a store that is ahead issues, and what it issues
// lives as long as any. Method: a store ahead by each lead; a pair up to the end of its lifetime,
// with the clock still drifting, and the end.
#[test]
fn what_is_issued_ahead_lives_its_lifetime() {
    for lead in LEADS {
        let mut world = ahead(lead);
        let pair = world.pair();
        let lifetime = policy().access_lifetime;
        world.clock.advance(lifetime - SECOND);
        world.restart(Restart::Close);
        assert!(world.is_active(&pair.access), "{lead:?}");
        world.clock.advance(SECOND);
        assert!(!world.is_active(&pair.access), "{lead:?}");
        assert!(matches!(world.refresh(&pair), Refreshed::Rotated(_)), "{lead:?}");
    }
}

// Goal: P2, P5, a restore gives the lead up, and nothing from before is in force for it: no token,
// and no secret that had expired. Method: a store ahead by each lead, a backup, the restore; what
// was issued and what had expired before; closes and a kill.
#[test]
fn a_restore_gives_the_lead_up() {
    for lead in [HOUR, 10 * DAY, 29 * DAY] {
        let world = World::new();
        let new = NewClient::confidential("app").grants([GrantType::Password]);
        world.grants().create_client(new).wait().unwrap();
        let added = |lifetime| {
            let new = NewSecret::minted().lifetime(lifetime);
            world.grants().add_client_secret("app", new).wait().unwrap().unwrap().secret.unwrap()
        };
        let (short, long) = (added(HOUR / 2), added(lead + DAY));
        let early = world.clock.wall() + DAY;
        assert_eq!(world.burn("jti", early), Burned::First);
        get_ahead(&world.clock, lead, || world.sweep());
        let pair = world.pair();
        world.grants().store().backup("/backup").wait().unwrap();
        let keys = (*world.grants().store().keyring()).clone();
        let mut disk = world.disk.clone();
        for turn in 0..4 {
            let options =
                grantkeep_tests::options(&world.clock).keys(KeySource::Given(keys.clone()));
            let options = options.disk(Arc::new(disk.clone())).restored(turn == 0);
            let store = options.open("/backup").unwrap();
            let grants = Grants::new(store, policy()).unwrap();
            assert_eq!(grants.store().lead(), Duration::ZERO, "{lead:?} {turn}");
            assert_eq!(grants.store().now(), world.clock.wall().into());
            let answer = grants.introspect(pair.access.expose()).wait().unwrap();
            assert!(matches!(answer, Introspection::Inactive), "{lead:?} {turn}");
            let burnt = grants.burn(Once::jti("client-1", "jti"), early).wait().unwrap();
            assert_eq!(burnt, Burned::Seen, "{lead:?} {turn}");
            grants.enable_client("app").wait().unwrap();
            for (text, lives) in [(&short, false), (&long, true)] {
                let secret = Some(text.expose().as_bytes());
                let answer = grants.authenticate_client("app", secret).wait().unwrap();
                assert_eq!(matches!(answer, Authenticated::Client(_)), lives, "{lead:?} {turn}");
            }
            let verified = grants.store().verify(|_| ()).wait().unwrap();
            assert_eq!(verified.damages, 0, "{verified:?}");
            if turn % 2 == 0 {
                grants.store().close().unwrap();
            } else {
                disk = disk.kill();
            }
        }
    }
    println!("time: restores of 3 stores that were ahead");
}

// Goal: the last use of a personal token is told even where it was noted by a clock that was ahead.
// Method: a use in a leap that holds, the correction, another use, over a restart.
#[test]
fn a_last_use_is_told_after_a_correction() {
    let mut world = World::new();
    let made = world.grants().create_personal(NewPersonal::new("alice", "laptop"));
    let made = made.wait().unwrap();
    let used = |world: &World| {
        let listed = world.grants().personal_of("alice", None, 10).wait().unwrap();
        listed.items[0].last_used_at
    };
    let right = world.clock.wall();
    world.clock.step_to(right + 10 * DAY);
    claims(world.grants(), made.token.expose());
    world.clock.advance(31 * SECOND);
    world.grants().write_last_uses().wait().unwrap();
    world.clock.step_to(right + 31 * SECOND);
    claims(world.grants(), made.token.expose());
    assert_eq!(used(&world), Some(world.clock.wall()));
    world.grants().write_last_uses().wait().unwrap();
    world.restart(Restart::Close);
    assert_eq!(used(&world), Some(world.clock.wall()));
}

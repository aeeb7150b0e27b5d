//! Grants under a clock that steps: codes, tokens, refresh families, devices, burnt values.

use crate::steps::{DAY, HOUR, Step, steps};
use grantkeep::backend::Budget;
use grantkeep::{Burned, Clock as _, Embedded, ErrorKind, ManualClock, Wait as _};
use grantkeep_grants::{
    Authorize, DeviceApproval, DeviceIssued, DeviceRequest, Grants, Introspection, Issued, Once,
    Policy, Polled, Presented, Redeemed, RefreshRequest, Refreshed, Secret, Verified,
};
use grantkeep_tests::sim_disk::SimDisk;
use grantkeep_tests::store_time::ms;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const CLIENT: &str = "client-1";
const MS: Duration = Duration::from_millis(1);
const BY: fn() -> Presented<'static> = || Presented::by(CLIENT);

/// Grants over a store on a disk in memory.
pub struct World {
    pub clock: Arc<ManualClock>,
    pub disk: SimDisk,
    grants: Option<Grants<Embedded>>,
    start: SystemTime,
}

/// Lifetimes of less than 30 days, so that no leap of more is believed.
pub fn policy() -> Policy {
    let day = Duration::from_secs(24 * 3_600);
    Policy { refresh_idle: 5 * day, refresh_absolute: 10 * day, ..Policy::default() }
}

/// What restarts the process, if anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    None,
    Close,
    Kill,
}

pub const RESTARTS: [Restart; 3] = [Restart::None, Restart::Close, Restart::Kill];

impl World {
    pub fn new() -> Self {
        let clock = grantkeep_tests::manual_clock();
        let start = clock.wall();
        let mut world = Self { clock, disk: SimDisk::new(), grants: None, start };
        world.open();
        world
    }

    pub fn open(&mut self) {
        let options = grantkeep_tests::options(&self.clock).disk(Arc::new(self.disk.clone()));
        let store = options.open(Path::new("/store")).unwrap();
        self.grants = Some(Grants::new(store, policy()).unwrap());
    }

    pub fn grants(&self) -> &Grants<Embedded> {
        self.grants.as_ref().unwrap()
    }

    pub fn restart(&mut self, how: Restart) {
        match how {
            Restart::None => return,
            Restart::Close => {
                self.grants().store().close().unwrap();
                self.grants = None;
            }
            Restart::Kill => {
                let left = self.disk.kill();
                self.grants = None;
                self.disk = left;
            }
        }
        self.open();
    }

    /// Closes the store, and opens it so much later: its process is another one, so that no
    /// monotonic clock has counted the time between.
    pub fn close_for(&mut self, closed: Duration) {
        self.grants().store().close().unwrap();
        self.grants = None;
        self.clock.step_to(self.clock.wall() + closed);
        self.open();
    }

    /// Steps the wall clock, counted from the time that is right.
    pub fn step(&self, step: Step) {
        let right = self.start + self.clock.monotonic();
        let wall_ms = step.from(ms(right.duration_since(UNIX_EPOCH).unwrap()));
        self.clock.step_to(UNIX_EPOCH + Duration::from_millis(wall_ms));
    }

    pub fn come_back(&self) {
        self.step(Step::By(0));
    }

    pub fn sweep(&self) {
        self.grants().store().sweep(Budget::ALL).wait().unwrap();
    }

    pub fn code(&self) -> Secret {
        self.grants().authorize(Authorize::new(CLIENT, "alice").scopes(["read"])).wait().unwrap()
    }

    pub fn redeem(&self, code: &Secret) -> Redeemed {
        self.grants().redeem(code.expose(), &BY()).wait().unwrap()
    }

    pub fn pair(&self) -> Issued {
        match self.redeem(&self.code()) {
            Redeemed::Granted(pair) => *pair,
            other => panic!("{other:?}"),
        }
    }

    pub fn refresh(&self, pair: &Issued) -> Refreshed {
        let token = pair.refresh.as_ref().unwrap().expose();
        self.grants().refresh(token, &RefreshRequest::by(CLIENT)).wait().unwrap()
    }

    pub fn is_active(&self, token: &Secret) -> bool {
        let answer = self.grants().introspect(token.expose()).wait().unwrap();
        matches!(answer, Introspection::Active(_))
    }

    pub fn poll(&self, device: &DeviceIssued) -> Polled {
        self.grants().poll_device(device.device_code.expose(), &BY()).wait().unwrap()
    }

    pub fn device(&self) -> DeviceIssued {
        self.grants().device(DeviceRequest::new(CLIENT).scopes(["read"])).wait().unwrap()
    }

    pub fn approve(&self, device: &DeviceIssued) -> Verified {
        let approval = DeviceApproval::by("alice");
        self.grants().approve_device(device.user_code.expose(), &approval).wait().unwrap()
    }

    pub fn burn(&self, name: &str, until: SystemTime) -> Burned {
        self.grants().burn(Once::jti(CLIENT, name), until).wait().unwrap()
    }
}

/// Each step, each way to restart.
fn each(mut run: impl FnMut(Step, Restart)) -> usize {
    let all = steps();
    for step in &all {
        RESTARTS.iter().for_each(|restart| run(*step, *restart));
    }
    all.len() * RESTARTS.len()
}

fn is_back(step: Step) -> bool {
    matches!(step, Step::By(by) if by < 0) || matches!(step, Step::To(0 | 1))
}

// Goal: P2, P3, P5, what is spent, revoked, expired, or burnt is never in force again, whatever
// step follows, swept or not, across restarts. Method: one of each; each step, restart, and the
// way back.
#[test]
fn no_step_revives_what_is_spent_expired_or_burnt() {
    let runs = each(|step, restart| {
        let mut world = World::new();
        let (late, spent) = (world.code(), world.code());
        let Redeemed::Granted(opened) = world.redeem(&spent) else { panic!("a fresh code") };
        let (rotated, revoked) = (world.pair(), world.pair());
        let Refreshed::Rotated(next) = world.refresh(&rotated) else { panic!("a fresh token") };
        world.grants().revoke(revoked.refresh.as_ref().unwrap().expose()).wait().unwrap();
        let burnt_until = world.clock.wall() + Duration::from_secs(60 * 60);
        assert_eq!(world.burn("long", burnt_until), Burned::First);
        let policy = policy();
        world.clock.advance(policy.access_lifetime.max(policy.code_lifetime) + MS);
        assert!(!world.is_active(&opened.access));
        assert!(matches!(world.redeem(&late), Redeemed::Expired));
        // Noted in the log, as each commit notes it.
        let witness = world.pair();
        for turn in 0..3 {
            match turn {
                0 => world.step(step),
                1 => world.sweep(),
                _ => world.come_back(),
            }
            world.restart(restart);
            let context = format!("{step:?} {restart:?} {turn}");
            for token in [&opened.access, &next.access, &revoked.access] {
                assert!(!world.is_active(token), "{context}");
            }
            let answer = world.redeem(&late);
            assert!(matches!(answer, Redeemed::Expired | Redeemed::Unknown), "{context}");
            if is_back(step) || turn == 2 {
                assert_eq!(world.burn("long", burnt_until), Burned::Seen, "{context}");
                assert!(world.is_active(&witness.access), "{context}: cut early");
            } else {
                assert_ne!(world.burn("long", burnt_until), Burned::First, "{context}");
            }
        }
        // Long after its grace a predecessor is reuse, and its family is revoked for good.
        let answer = world.refresh(&rotated);
        assert!(matches!(answer, Refreshed::Reused { .. }), "{step:?}: {answer:?}");
        let answer = world.refresh(&next);
        assert!(!matches!(answer, Refreshed::Rotated(_) | Refreshed::Retried(_)), "{answer:?}");
        let answer = world.refresh(&revoked);
        assert!(!matches!(answer, Refreshed::Rotated(_) | Refreshed::Retried(_)), "{answer:?}");
        let answer = world.redeem(&spent);
        assert!(matches!(answer, Redeemed::Replayed { .. } | Redeemed::Unknown), "{answer:?}");
    });
    println!("time: grants that have ended, under {runs} steps and restarts");
}

// Goal: P5, a clock that was wrong for a moment costs nothing: what is in force is so again once
// the clock is right, and issuing, refused in a leap that is not believed, goes on. Method: one of
// each in force; each step, a look at all, the way back within the hold; restarts in between.
#[test]
fn a_moment_of_wrong_time_costs_nothing() {
    let runs = each(|step, restart| {
        let mut world = World::new();
        let (code, pair, device) = (world.code(), world.pair(), world.device());
        world.clock.advance(Duration::from_secs(10));
        let before: SystemTime = world.grants().store().now().into();
        world.step(step);
        let now: SystemTime = world.grants().store().now().into();
        assert!(now >= before);
        world.is_active(&pair.access);
        assert!(!matches!(world.poll(&device), Polled::Granted(_) | Polled::Denied));
        world.sweep();
        let asked = world.grants().authorize(Authorize::new(CLIENT, "alice")).wait();
        let ahead = now.duration_since(before).unwrap();
        match asked {
            Ok(_) => assert!(ahead <= Duration::from_millis(30 * DAY as u64), "{step:?}"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Clock, "{step:?}");
                assert!(error.to_string().contains("accept_clock"), "{error}");
                assert!(ahead > Duration::from_millis(30 * DAY as u64), "{step:?}");
                // Revoking goes on.
                world.grants().revoke_subject("bob").wait().unwrap();
            }
        }
        world.clock.advance(Duration::from_secs(5));
        world.come_back();
        // A store at work notes within a tenth of a second that the clock is right again; this one
        // does so when it commits.
        world.pair();
        world.restart(restart);
        let context = format!("{step:?} {restart:?}");
        assert!(world.is_active(&pair.access), "{context}");
        assert!(matches!(world.refresh(&pair), Refreshed::Rotated(_)), "{context}");
        let answer = world.redeem(&code);
        assert!(matches!(answer, Redeemed::Granted(_)), "{context}: {answer:?}");
        assert_eq!(world.approve(&device), Verified::Done, "{context}");
        let answer = world.poll(&device);
        assert!(matches!(answer, Polled::Granted(_)), "{context}: {answer:?}");
        world.pair();
    });
    println!("time: grants in force, under {runs} steps and restarts");
}

// Goal: a device that polled while the clock was wrong is not slowed down for it once the clock is
// right. Method: a poll in a leap of some minutes, the way back, polls at the interval.
#[test]
fn a_poll_in_a_leap_slows_no_device_down() {
    for leap in [10_000, 60_000, 300_000] {
        let world = World::new();
        let device = world.device();
        assert!(matches!(world.poll(&device), Polled::Pending));
        world.clock.advance(device.interval);
        world.step(Step::By(leap));
        assert!(matches!(world.poll(&device), Polled::Pending));
        world.come_back();
        for turn in 0..5 {
            world.clock.advance(device.interval);
            let answer = world.poll(&device);
            assert!(matches!(answer, Polled::Pending), "{leap} {turn}: {answer:?}");
        }
        world.clock.advance(device.interval - 1_001 * MS);
        assert!(matches!(world.poll(&device), Polled::SlowDown), "too soon is too soon");
    }
}

// Goal: P3, P5, the grace of a refresh token is over once it was, whatever the clock does. Method:
// a predecessor a millisecond before and at the end of its grace, then each step back.
#[test]
fn grace_is_over_once_it_was() {
    let grace = policy().refresh_grace;
    let mut runs = 0;
    for back in [1_000, 2_001, ms(grace) as i64, HOUR, DAY, 400 * DAY] {
        for restart in RESTARTS {
            for over in [false, true] {
                let mut world = World::new();
                let pair = world.pair();
                assert!(matches!(world.refresh(&pair), Refreshed::Rotated(_)));
                world.clock.advance(if over { grace } else { grace - MS });
                world.pair();
                world.step(Step::By(-back));
                world.restart(restart);
                let answer = world.refresh(&pair);
                let retried = matches!(answer, Refreshed::Retried(_));
                assert_eq!(retried, !over, "{back} {restart:?}: {answer:?}");
                runs += 1;
            }
        }
    }
    println!("time: the end of grace under {runs} steps and restarts");
}

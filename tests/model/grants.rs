//! The grants against a plain account of what was issued, on a store that is killed, loses power,
//! carries, and sweeps in between.

use crate::from_env;
use grantkeep::backend::Budget;
use grantkeep::{KeySource, Keyring, ManualClock, Store, Wait as _};
use grantkeep_grants::{
    Authorize, Grants, Introspection, Pair, Policy, Presented, Redeemed, RefreshRequest, Refreshed,
};
use grantkeep_tests::sim_disk::SimDisk;
use grantkeep_tests::{manual_clock, options};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const CODE_S: u64 = 60;
const ACCESS_S: u64 = 900;
const IDLE_S: u64 = 3_600;
const ABSOLUTE_S: u64 = 3 * 3_600;
const GRACE_S: u64 = 30;

#[derive(Debug, Clone)]
enum Step {
    Authorize,
    Redeem(usize),
    Refresh(usize, usize),
    RevokeFamily(usize),
    RevokeSubject,
    Pass(u64),
    Sweep,
    Checkpoint,
    Reopen,
    Kill,
    PowerCut(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Authorize),
        4 => any::<usize>().prop_map(Step::Redeem),
        8 => (any::<usize>(), any::<usize>()).prop_map(|(of, token)| Step::Refresh(of, token)),
        1 => any::<usize>().prop_map(Step::RevokeFamily),
        1 => Just(Step::RevokeSubject),
        4 => prop_oneof![1_u64..40, 40_u64..1_000, 1_000_u64..8_000].prop_map(Step::Pass),
        1 => Just(Step::Sweep),
        2 => Just(Step::Checkpoint),
        1 => Just(Step::Reopen),
        1 => Just(Step::Kill),
        1 => any::<u64>().prop_map(Step::PowerCut),
    ]
}

struct Code {
    text: String,
    expires_s: u64,
    epoch: u32,
    family: Option<usize>,
}

struct Family {
    id: grantkeep::FamilyId,
    /// The refresh token of each generation, the present one last.
    refresh: Vec<String>,
    rotated_s: u64,
    idle_s: u64,
    absolute_s: u64,
    epoch: u32,
    revoked: bool,
}

struct Token {
    text: String,
    expires_s: u64,
    family: usize,
}

struct Played {
    disk: SimDisk,
    clock: Arc<ManualClock>,
    keys: Keyring,
    grants: Option<Grants<grantkeep::Embedded>>,
    now_s: u64,
    epoch: u32,
    codes: Vec<Code>,
    families: Vec<Family>,
    tokens: Vec<Token>,
    looks: u64,
}

impl Played {
    fn new() -> Self {
        let mut played = Self {
            disk: SimDisk::new(),
            clock: manual_clock(),
            keys: Keyring::generate().unwrap(),
            grants: None,
            now_s: 0,
            epoch: 0,
            codes: Vec::new(),
            families: Vec::new(),
            tokens: Vec::new(),
            looks: 0,
        };
        played.open();
        played
    }

    fn open(&mut self) {
        let options = options(&self.clock).disk(Arc::new(self.disk.clone()));
        let store = options.keys(KeySource::Given(self.keys.clone())).open(Path::new("/store"));
        let policy = Policy {
            code_lifetime: Duration::from_secs(CODE_S),
            access_lifetime: Duration::from_secs(ACCESS_S),
            refresh_idle: Duration::from_secs(IDLE_S),
            refresh_absolute: Duration::from_secs(ABSOLUTE_S),
            refresh_grace: Duration::from_secs(GRACE_S),
            ..Policy::default()
        };
        self.grants = Some(Grants::new(store.unwrap(), policy).unwrap());
    }

    fn grants(&self) -> Grants<grantkeep::Embedded> {
        self.grants.clone().unwrap()
    }

    fn store(&self) -> Store {
        self.grants().store().clone()
    }

    fn note(&mut self, family: usize, pair: &Pair) {
        let ends_s = self.families[family].absolute_s;
        let expires_s = (self.now_s + ACCESS_S).min(ends_s);
        let text = pair.access.expose().to_owned();
        self.tokens.push(Token { text, expires_s, family });
    }

    fn redeem(&mut self, number: usize) {
        let grants = self.grants();
        let code = &self.codes[number];
        let expired = self.now_s >= code.expires_s;
        let answer = grants.redeem(&code.text, &Presented::by("client")).wait().unwrap();
        match (&answer, code.family) {
            (Redeemed::Replayed { .. }, Some(family)) => self.families[family].revoked = true,
            (Redeemed::Unknown | Redeemed::Expired, _) if expired => {}
            (Redeemed::Revoked, None) if code.epoch != self.epoch => {}
            (Redeemed::Granted(pair), None) if code.epoch == self.epoch && !expired => {
                let family = self.families.len();
                self.codes[number].family = Some(family);
                self.families.push(Family {
                    id: pair.family,
                    refresh: vec![pair.refresh.as_ref().unwrap().expose().to_owned()],
                    rotated_s: self.now_s,
                    idle_s: self.now_s + IDLE_S,
                    absolute_s: self.now_s + ABSOLUTE_S,
                    epoch: self.epoch,
                    revoked: false,
                });
                self.note(family, pair);
            }
            _ => panic!("code {number} of family {:?} was answered {answer:?}", code.family),
        }
    }

    fn refresh(&mut self, number: usize, token: usize) {
        let grants = self.grants();
        let family = &self.families[number];
        let at = token % family.refresh.len();
        let behind = family.refresh.len() - 1 - at;
        let text = family.refresh[at].clone();
        let expired = self.now_s >= family.idle_s.min(family.absolute_s);
        let alive = !family.revoked && family.epoch == self.epoch;
        let since_s = self.now_s - family.rotated_s;
        let answer = grants.refresh(&text, &RefreshRequest::by("client")).wait().unwrap();
        match &answer {
            Refreshed::Expired | Refreshed::Unknown if expired => {}
            Refreshed::Revoked if !alive => {}
            Refreshed::Rotated(pair) if alive && !expired && behind == 0 => {
                let now_s = self.now_s;
                let family = &mut self.families[number];
                family.refresh.push(pair.refresh.as_ref().unwrap().expose().to_owned());
                (family.rotated_s, family.idle_s) = (now_s, now_s + IDLE_S);
                self.note(number, pair);
            }
            Refreshed::Retried(pair) if alive && !expired && behind == 1 && since_s <= GRACE_S => {
                let again = pair.refresh.as_ref().unwrap().expose();
                assert_eq!(Some(again), family.refresh.last().map(String::as_str));
                self.note(number, pair);
            }
            Refreshed::Reused { .. } if !expired && behind >= 1 => {
                assert!(!alive || behind > 1 || since_s >= GRACE_S, "a retry was taken for reuse");
                self.families[number].revoked = true;
            }
            _ => panic!("{behind} generations back, alive {alive}: {answer:?}"),
        }
    }

    fn look(&mut self) {
        let grants = self.grants();
        for token in &self.tokens {
            let family = &self.families[token.family];
            let due = self.now_s < token.expires_s && !family.revoked && family.epoch == self.epoch;
            let answer = grants.introspect(&token.text).wait().unwrap();
            let active = matches!(answer, Introspection::Active(_));
            assert_eq!(active, due, "a token of family {:?} at {} s", family.id, self.now_s);
            self.looks += 1;
        }
    }

    fn play(&mut self, step: &Step) {
        match step {
            Step::Authorize => {
                let grants = self.grants();
                let code = grants.authorize(Authorize::new("client", "alice")).wait().unwrap();
                let text = code.expose().to_owned();
                let expires_s = self.now_s + CODE_S;
                self.codes.push(Code { text, expires_s, epoch: self.epoch, family: None });
            }
            Step::Redeem(number) if !self.codes.is_empty() => {
                self.redeem(number % self.codes.len());
            }
            Step::Refresh(number, token) if !self.families.is_empty() => {
                self.refresh(number % self.families.len(), *token);
            }
            Step::RevokeFamily(number) if !self.families.is_empty() => {
                let number = number % self.families.len();
                self.grants().revoke_family(self.families[number].id).wait().unwrap();
                self.families[number].revoked = true;
            }
            Step::RevokeSubject => {
                self.grants().revoke_subject("alice").wait().unwrap();
                self.epoch += 1;
            }
            Step::Pass(seconds) => {
                self.clock.advance(Duration::from_secs(*seconds));
                self.now_s += seconds;
            }
            Step::Sweep => drop(self.store().sweep(Budget::ALL).wait().unwrap()),
            Step::Checkpoint => self.store().checkpoint().wait().unwrap(),
            Step::Reopen => {
                self.store().close().unwrap();
                self.grants = None;
                self.open();
            }
            Step::Kill => self.reopen_on(self.disk.kill()),
            Step::PowerCut(seed) => self.reopen_on(self.disk.crash(*seed)),
            Step::Redeem(_) | Step::Refresh(..) | Step::RevokeFamily(_) => {}
        }
    }

    fn reopen_on(&mut self, disk: SimDisk) {
        self.disk = disk;
        self.grants = None;
        self.open();
    }
}

// Goal: P2, P3, P4, P5, P6: a code and a generation are accepted at most once, reuse and replay
// revoke, a retry does not, and a token is in force exactly as long as it should be, over kills,
// power cuts, checkpoints, and sweeps. Method: random steps against a plain account of them; every
// token ever issued is looked up after each.
#[test]
fn grants_answer_as_the_account_says() {
    let cases = from_env("GRANTKEEP_MODEL_CASES", 300_u32).div_ceil(10);
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let looks = std::cell::Cell::new(0);
    let steps = prop::collection::vec(step(), 1..60);
    let outcome = TestRunner::new_with_rng(config, crate::rng()).run(&steps, |steps| {
        let mut played = Played::new();
        for step in &steps {
            played.play(step);
            played.look();
        }
        looks.set(looks.get() + played.looks);
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    println!("model of the grants, {cases} cases, {} looks at a token", looks.get());
}

//! The grants against their reference, on a store that is killed, loses power, carries, and sweeps
//! in between.

use grantkeep::{Clock as _, KeySource, Keyring, ManualClock, Store, Wait as _};
use grantkeep_grants::Grants;
use grantkeep_tests::player::Player;
use grantkeep_tests::reference::{Answer, Asked, Fate, Fault, Op, Reference, Rules, Token};
use grantkeep_tests::sim_disk::SimDisk;
use grantkeep_tests::{manual_clock, options, setting};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::path::Path;
use std::sync::Arc;

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

struct Played {
    disk: SimDisk,
    clock: Arc<ManualClock>,
    keys: Keyring,
    grants: Option<Grants<grantkeep::Embedded>>,
    player: Player,
    reference: Reference,
    looks: u64,
}

impl Played {
    fn new() -> Self {
        let clock = manual_clock();
        let start = clock.wall();
        let mut played = Self {
            disk: SimDisk::new(),
            player: Player::new(String::new(), &clock, start),
            clock,
            keys: Keyring::generate().unwrap(),
            grants: None,
            reference: Reference::new(Rules { sweeping: true, ..Rules::SHORT }),
            looks: 0,
        };
        played.open();
        played
    }

    fn open(&mut self) {
        let options = options(&self.clock).disk(Arc::new(self.disk.clone()));
        let store = options.keys(KeySource::Given(self.keys.clone())).open(Path::new("/store"));
        self.grants = Some(Grants::new(store.unwrap(), self.reference.rules().policy()).unwrap());
    }

    fn grants(&self) -> &Grants<grantkeep::Embedded> {
        self.grants.as_ref().unwrap()
    }

    fn store(&self) -> &Store {
        self.grants().store()
    }

    fn call(&mut self, op: Op) {
        let name = match op {
            Op::Authorize { .. } => self.reference.codes(),
            _ => self.reference.access_tokens(),
        };
        let right = self.reference.answers(&op, name);
        let answer = self.player.perform(self.grants(), &op).wait();
        assert!(right.contains(&answer), "{op:?} was answered {answer:?}, not {right:?}");
        self.reference.apply(&op, &answer);
    }

    fn look(&mut self) {
        for access in 0..self.reference.access_tokens() {
            let look = Op::Introspect(Token::Access(access));
            let active = self.player.perform(self.grants(), &look).wait() != Answer::Inactive;
            let due = self.reference.fate_of_access(access) == Fate::Live;
            assert_eq!(active, due, "token {access} at {} s", self.reference.now_s());
            self.looks += 1;
        }
    }

    fn play(&mut self, step: &Step) {
        let codes = self.reference.codes() as usize;
        let families: Vec<u32> = self.reference.families().map(|(token, _)| token.family).collect();
        match *step {
            Step::Authorize => self.call(Op::Authorize { subject: 0, client: 0 }),
            Step::Redeem(number) if codes > 0 => {
                let code = u32::try_from(number % codes).unwrap();
                self.call(Op::Redeem(code, Fault::None));
            }
            Step::Refresh(number, token) if !families.is_empty() => {
                let family = families[number % families.len()];
                let issued = self.reference.generations().filter(|token| token.family == family);
                let issued: Vec<_> = issued.collect();
                self.call(Op::Refresh(issued[token % issued.len()], Asked::All));
            }
            Step::RevokeFamily(number) if !families.is_empty() => {
                self.call(Op::RevokeFamily(families[number % families.len()]));
            }
            Step::RevokeSubject => self.call(Op::RevokeSubject(0)),
            Step::Pass(seconds) => self.call(Op::Pass(seconds)),
            Step::Sweep => self.call(Op::Sweep),
            Step::Checkpoint => self.store().checkpoint().wait().unwrap(),
            Step::Reopen => {
                self.store().close().unwrap();
                self.grants = None;
                self.open();
            }
            Step::Kill => self.reopen_on(self.disk.kill()),
            Step::PowerCut(seed) => self.reopen_on(self.disk.crash(seed)),
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
// power cuts, checkpoints, and sweeps. Method: random steps against a reference; every
// token ever issued is looked up after each.
#[test]
fn grants_answer_as_the_account_says() {
    let cases = setting("GRANTKEEP_MODEL_CASES", 300_u32).div_ceil(10);
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

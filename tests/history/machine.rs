//! Sequences of calls on one engine, beside the reference: the state machine that generates and
//! shrinks them. What must hold after each step is in `invariants`.

use crate::invariants::{Seen, Totals};
use grantkeep::backend::Backend;
use grantkeep::{Embedded, KeySource, Keyring, ManualClock, Memory, Store, Wait as _};
use grantkeep_grants::Grants;
use grantkeep_tests::player::Player;
use grantkeep_tests::reference::{Answer, Asked, Fault, Op, Reference, Rules, Token};
use grantkeep_tests::sim_disk::SimDisk;
use grantkeep_tests::{manual_clock, options};
use proptest::prelude::*;
use proptest::strategy::Union;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest};
use std::cell::RefCell;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

/// One step of a sequence.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Turn {
    Do(Op),
    /// The wall clock is set back; no time passes.
    SetBack(u64),
    /// Young rows are carried into the table, where there is one.
    Carry,
    Reopen,
}

/// An engine that a sequence is played on.
pub(crate) trait World: 'static {
    type Engine: Backend;
    const NAME: &'static str;
    /// See [`Rules::sweeping`].
    const SWEEPING: bool;
    fn new(rules: &Rules) -> Self;
    fn clock(&self) -> &Arc<ManualClock>;
    fn grants(&self) -> &Grants<Self::Engine>;
    fn carry(&self) {}
    fn reopen(&mut self, _: &Rules) {}
}

pub(crate) struct InMemory {
    clock: Arc<ManualClock>,
    grants: Grants<Memory>,
}

impl World for InMemory {
    type Engine = Memory;
    const NAME: &'static str = "memory";
    const SWEEPING: bool = false;

    fn new(rules: &Rules) -> Self {
        let clock = manual_clock();
        let store = Store::in_memory(clock.clone()).unwrap();
        Self { clock, grants: Grants::new(store, rules.policy()).unwrap() }
    }

    fn clock(&self) -> &Arc<ManualClock> {
        &self.clock
    }

    fn grants(&self) -> &Grants<Memory> {
        &self.grants
    }
}

pub(crate) struct OnSimDisk {
    clock: Arc<ManualClock>,
    keys: Keyring,
    disk: SimDisk,
    grants: Option<Grants<Embedded>>,
}

impl OnSimDisk {
    fn open(&mut self, rules: &Rules) {
        let options = options(&self.clock).disk(Arc::new(self.disk.clone()));
        let options = options.keys(KeySource::Given(self.keys.clone()));
        let store = options.open("/store").unwrap();
        self.grants = Some(Grants::new(store, rules.policy()).unwrap());
    }
}

impl World for OnSimDisk {
    type Engine = Embedded;
    const NAME: &'static str = "embedded";
    const SWEEPING: bool = true;

    fn new(rules: &Rules) -> Self {
        let (clock, keys) = (manual_clock(), Keyring::generate().unwrap());
        let mut new = Self { clock, keys, disk: SimDisk::new(), grants: None };
        new.open(rules);
        new
    }

    fn clock(&self) -> &Arc<ManualClock> {
        &self.clock
    }

    fn grants(&self) -> &Grants<Embedded> {
        self.grants.as_ref().unwrap()
    }

    fn carry(&self) {
        self.grants().store().checkpoint().wait().unwrap();
    }

    fn reopen(&mut self, rules: &Rules) {
        self.grants().store().close().unwrap();
        self.grants = None;
        self.open(rules);
    }
}

/// The reference after a step, with the answers that were right at it.
#[derive(Debug, Clone)]
pub(crate) struct Expected {
    pub(crate) reference: Reference,
    pub(crate) turn: Option<Turn>,
    right: Vec<Answer>,
}

/// What generates the steps for one kind of world.
pub(crate) struct Sequences<W>(PhantomData<W>);

impl<W: World> ReferenceStateMachine for Sequences<W> {
    type State = Expected;
    type Transition = Turn;

    fn init_state() -> BoxedStrategy<Expected> {
        let choices = (prop_oneof![Just(0), Just(30)], prop::bool::weighted(0.875));
        let retries = prop::option::of(0_u32..3);
        (choices, prop::bool::weighted(0.25), retries, prop::bool::weighted(0.25))
            .prop_map(|((grace_s, rotating), burning, retries, repeating)| {
                let sweeping = W::SWEEPING;
                let rules = Rules {
                    grace_s,
                    rotating,
                    burning,
                    retries,
                    repeating,
                    sweeping,
                    ..Rules::SHORT
                };
                Expected { reference: Reference::new(rules), turn: None, right: Vec::new() }
            })
            .boxed()
    }

    fn transitions(state: &Expected) -> BoxedStrategy<Turn> {
        let reference = &state.reference;
        let (codes, access) = (reference.codes(), reference.access_tokens());
        let mut steps = vec![
            (6, owners(|subject, client| Op::Authorize { subject, client })),
            (1, owners(|subject, _| Op::RevokeSubject(subject))),
            (1, owners(|_, client| Op::RevokeClient(client))),
            (1, owners(Op::RevokePair)),
            (3, seconds().prop_map(|seconds| Turn::Do(Op::Pass(seconds))).boxed()),
            (1, Just(Turn::Do(Op::Sweep)).boxed()),
            (1, seconds().prop_map(Turn::SetBack).boxed()),
            (1, Just(Turn::Carry).boxed()),
            (1, Just(Turn::Reopen).boxed()),
        ];
        let deadlines = reference.deadlines();
        if !deadlines.is_empty() {
            // The last second of something, or the first one after it.
            let now_s = reference.now_s();
            let pass = (prop::sample::select(deadlines), 0..=1_u64)
                .prop_map(move |(at_s, before_s)| Turn::Do(Op::Pass(at_s - now_s - before_s)));
            steps.push((3, pass.boxed()));
        }
        if codes > 0 {
            // The newest is the one that is not dead yet.
            let code = prop_oneof![Just(codes - 1), 0..codes];
            let fault = prop_oneof![
                5 => Just(Fault::None),
                1 => Just(Fault::Client),
                1 => Just(Fault::RedirectUri),
                1 => Just(Fault::Verifier),
            ];
            let redeem = (code, fault).prop_map(|(code, fault)| Turn::Do(Op::Redeem(code, fault)));
            steps.push((8, redeem.boxed()));
        }
        let issued: Vec<_> = reference.generations().collect();
        if !issued.is_empty() {
            let newest: Vec<_> = reference.families().map(|(token, _)| token).collect();
            let any = prop_oneof![
                4 => prop::sample::select(newest),
                1 => prop::sample::select(issued),
            ];
            let any = any.boxed();
            let asked = prop_oneof![
                6 => Just(Asked::All),
                1 => Just(Asked::Narrowed),
                1 => Just(Asked::Widened),
                1 => Just(Asked::ByAnotherClient),
            ];
            let refresh = (any.clone(), asked).prop_map(|(token, asked)| Op::Refresh(token, asked));
            steps.push((12, refresh.prop_map(Turn::Do).boxed()));
            let token = prop_oneof![
                any.clone().prop_map(Token::Refresh),
                (0..access).prop_map(Token::Access),
            ];
            let token = token.boxed();
            steps.push((1, token.clone().prop_map(|it| Turn::Do(Op::Introspect(it))).boxed()));
            steps.push((1, token.prop_map(|it| Turn::Do(Op::Revoke(it))).boxed()));
            let family = any.prop_map(|token| Turn::Do(Op::RevokeFamily(token.family)));
            steps.push((1, family.boxed()));
        }
        Union::new_weighted(steps).boxed()
    }

    fn preconditions(state: &Expected, turn: &Turn) -> bool {
        match turn {
            Turn::Do(op) => state.reference.knows(op),
            _ => true,
        }
    }

    fn apply(mut state: Expected, turn: &Turn) -> Expected {
        state.right = match turn {
            Turn::Do(op) => {
                let name = match op {
                    Op::Authorize { .. } => state.reference.codes(),
                    _ => state.reference.access_tokens(),
                };
                let right = state.reference.answers(op, name);
                state.reference.apply(op, &right[0]);
                right
            }
            _ => Vec::new(),
        };
        state.turn = Some(*turn);
        state
    }
}

fn owners(op: impl Fn(u8, u8) -> Op + 'static) -> BoxedStrategy<Turn> {
    let owner = || 0_u8..3;
    (owner(), owner()).prop_map(move |(subject, client)| Turn::Do(op(subject, client))).boxed()
}

/// From within the grace period to beyond the end of a grant.
fn seconds() -> impl Strategy<Value = u64> {
    prop_oneof![4 => 1_u64..40, 2 => 40_u64..1_000, 1 => 1_000_u64..4_000, 1 => 4_000_u64..12_000]
}

/// A world at play.
pub(crate) struct Playing<W> {
    world: W,
    player: Player,
    pub(crate) seen: RefCell<Seen>,
}

pub(crate) struct Machine<W>(PhantomData<W>);

thread_local! {
    /// What the sequences of this thread's test had together.
    static TOTALS: RefCell<Totals> = RefCell::default();
}

impl<W> Machine<W> {
    pub(crate) fn totals() -> Totals {
        TOTALS.take()
    }
}

impl<W: World> StateMachineTest for Machine<W> {
    type SystemUnderTest = Playing<W>;
    type Reference = Sequences<W>;

    fn init_test(expected: &Expected) -> Playing<W> {
        let world = W::new(expected.reference.rules());
        let start = world.grants().store().now().into();
        let player = Player::new(String::new(), world.clock(), start);
        Playing { world, player, seen: RefCell::default() }
    }

    fn apply(mut playing: Playing<W>, expected: &Expected, turn: Turn) -> Playing<W> {
        match turn {
            Turn::Do(op) => {
                let answer = playing.player.perform(playing.world.grants(), &op).wait();
                let right = &expected.right;
                assert!(right.contains(&answer), "{op:?} was answered {answer:?}, not {right:?}");
                playing.seen.get_mut().note(expected.reference.rules(), &op, &answer);
            }
            Turn::SetBack(seconds) => {
                let now: std::time::SystemTime = playing.world.grants().store().now().into();
                playing.world.clock().step_to(now - Duration::from_secs(seconds));
            }
            Turn::Carry => playing.world.carry(),
            Turn::Reopen => playing.world.reopen(expected.reference.rules()),
        }
        playing
    }

    fn check_invariants(playing: &Playing<W>, expected: &Expected) {
        let mut seen = playing.seen.borrow_mut();
        seen.check(playing.world.grants(), &playing.player, expected);
    }

    fn teardown(playing: Playing<W>, expected: Expected) {
        let totals = playing.seen.into_inner().totals(&expected.reference);
        TOTALS.with_borrow_mut(|all| all.add(&totals));
    }
}

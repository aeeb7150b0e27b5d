//! Histories of calls that overlap: a seed draws the rules, what was issued before, and what each
//! thread does; each call is noted with its answer and its interval.

use crate::interposed::{Flaw, Interposed, Pace};
use crate::linearize::{Call, linearize};
use grantkeep::backend::Backend;
use grantkeep::{
    Embedded, KeySource, Keyring, LIFETIME_DEFAULT_MAX, ManualClock, Memory, Store, Wait as _,
};
use grantkeep_grants::Grants;
use grantkeep_tests::player::Player;
use grantkeep_tests::pseudorandom::Pseudorandom;
use grantkeep_tests::reference::{Answer, Asked, Fault, Generation, Op, Reference, Rules, Token};
use grantkeep_tests::{manual_clock, options};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use tempfile::TempDir;

const THREADS_MIN: u64 = 2;
const THREADS_MAX: u64 = 4;
const CALLS_A_THREAD_MAX: u64 = 5;
/// Calls in front of those that overlap.
const PRELUDE: usize = usize::MAX;
/// Access tokens that are looked at in the end.
const LAST_LOOKS: u32 = 24;

/// A store that histories are played on, one after another.
pub(crate) struct Stage<B> {
    store: Store<Interposed<B>>,
    clock: Arc<ManualClock>,
    pace: Pace,
    sweeping: bool,
    _dir: Option<TempDir>,
}

impl Stage<Memory> {
    pub(crate) fn memory(pace: Pace, flaw: Flaw) -> Self {
        let clock = manual_clock();
        let backend = Interposed::new(Memory::with_clock(clock.clone()), pace, flaw, 0);
        let keyring = Keyring::generate().unwrap();
        let store = Store::new(backend, keyring, LIFETIME_DEFAULT_MAX);
        // Opening reads no row, so nothing is pending.
        let store = turns(&mut Pseudorandom::new(0), vec![Box::pin(store)]).remove(0).unwrap();
        Self { store, clock, pace, sweeping: false, _dir: None }
    }
}

impl Stage<Embedded> {
    pub(crate) fn embedded() -> Self {
        let (clock, dir) = (manual_clock(), tempfile::tempdir().unwrap());
        let options = options(&clock).keys(KeySource::Given(Keyring::generate().unwrap()));
        let (backend, keyring) = options.open_backend(&dir.path().join("store")).unwrap();
        let backend = Interposed::new(backend, Pace::Threads, Flaw::None, 0);
        let store = Store::new(backend, keyring, LIFETIME_DEFAULT_MAX).wait().unwrap();
        Self { store, clock, pace: Pace::Threads, sweeping: true, _dir: Some(dir) }
    }
}

/// One call as the reference speaks of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Said {
    op: Op,
    answer: Answer,
}

pub(crate) struct History {
    seed: u64,
    rules: Rules,
    calls: Vec<Call<Said>>,
}

impl History {
    pub(crate) fn calls(&self) -> u64 {
        self.calls.len() as u64
    }

    /// How many pairs of calls overlapped.
    pub(crate) fn overlaps(&self) -> u64 {
        let pairs = self.calls.iter().enumerate().map(|(at, call)| {
            self.calls[at + 1..].iter().filter(|other| call.overlaps(other)).count() as u64
        });
        pairs.sum()
    }

    /// Counts the answers by their names; those to one code after the first are repeated.
    pub(crate) fn count(&self, answers: &mut BTreeMap<String, u64>) {
        let mut granted = BTreeSet::new();
        for call in &self.calls {
            let text = format!("{:?}", call.what.answer);
            let mut name = text.split(|c: char| !c.is_alphanumeric()).next().unwrap();
            if let (Op::Redeem(code, _), Answer::Granted { .. }) = (call.what.op, call.what.answer)
                && !granted.insert(code)
            {
                name = "Repeated";
            }
            *answers.entry(name.to_owned()).or_default() += 1;
        }
    }

    /// Whether an order explains the history; the history written out if none does.
    pub(crate) fn verdict(&self) -> Result<(), String> {
        let Err(longest) = linearize(&self.calls, Reference::new(self.rules), follow) else {
            return Ok(());
        };
        let lines = longest.into_iter().map(|at| format!("\n  {}", line(&self.calls[at])));
        let longest: String = lines.collect();
        Err(format!("{self}\nthe longest order in which all answers are right:{longest}"))
    }
}

/// What the reference is after a call; `None` if its answer is wrong.
fn follow(reference: &Reference, said: &Said) -> Option<Reference> {
    let name = match said.answer {
        Answer::Code(name) => name,
        Answer::Granted { access, .. }
        | Answer::Rotated { access, .. }
        | Answer::Retried { access, .. } => access,
        _ => 0,
    };
    let is_right =
        reference.knows(&said.op) && reference.answers(&said.op, name).contains(&said.answer);
    is_right.then(|| {
        let mut next = reference.clone();
        next.apply(&said.op, &said.answer);
        next
    })
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no order explains this history of seed {}, {:?}:", self.seed, self.rules)?;
        let mut calls: Vec<_> = self.calls.iter().collect();
        calls.sort_by_key(|call| call.invoked);
        calls.iter().try_for_each(|call| write!(f, "\n  {}", line(call)))
    }
}

fn line(call: &Call<Said>) -> String {
    let who = if call.thread == PRELUDE { "-".to_owned() } else { call.thread.to_string() };
    let Said { op, answer } = &call.what;
    format!("thread {who} [{:3}, {:3}] {op:?} -> {answer:?}", call.invoked, call.responded)
}

/// A history that is being played.
struct Play<'a, B> {
    grants: Grants<Interposed<B>>,
    player: Player,
    pace: Pace,
    store: &'a Store<Interposed<B>>,
    ticks: AtomicU64,
    calls: Mutex<Vec<Call<Said>>>,
}

/// Plays the history of `seed`.
pub(crate) fn play<B: Backend>(stage: &Stage<B>, seed: u64) -> History {
    let mut chance = Pseudorandom::new(seed);
    stage.store.backend().reseed(chance.number());
    let rules = Rules {
        grace_s: 30 * chance.below(2),
        rotating: chance.below(8) > 0,
        burning: chance.below(4) == 0,
        retries: (chance.below(2) == 0).then(|| chance.below(3) as u32),
        repeating: chance.below(3) == 0,
        sweeping: stage.sweeping,
        ..Rules::SHORT
    };
    let play = Play {
        grants: Grants::new(stage.store.clone(), rules.policy()).unwrap(),
        player: Player::new(format!("{seed}-"), &stage.clock, stage.store.now().into()),
        pace: stage.pace,
        store: &stage.store,
        ticks: AtomicU64::new(0),
        calls: Mutex::default(),
    };
    play.alone(prelude(&rules, &mut chance));
    for round in 0..1 + chance.below(2) {
        if round > 0 && chance.below(3) == 0 {
            play.alone(vec![pass(&mut chance)]);
        }
        let threads = THREADS_MIN + chance.below(THREADS_MAX - THREADS_MIN + 1);
        play.together((0..threads).map(|_| chance.number()).collect());
    }
    play.alone(play.last_looks());
    History { seed, rules, calls: play.calls.into_inner().unwrap() }
}

impl<B: Backend> Play<'_, B> {
    fn tick(&self) -> u64 {
        self.ticks.fetch_add(1, Ordering::SeqCst)
    }

    async fn call(&self, thread: usize, op: Op) {
        if let Op::Refresh(token, _) = op
            && !self.player.known().refresh.contains_key(&token)
        {
            // A broken build has not issued what comes first.
            return;
        }
        let mut said = Vec::new();
        let invoked;
        if let Op::IsListed(of) = op {
            // One listing says something of each family, and of each at a moment of its own.
            let (subject, families) = {
                let known = self.player.known();
                let (subject, _) = known.owners(of);
                let mut families: Vec<_> = known.refresh.keys().map(|token| token.family).collect();
                families.dedup();
                families.retain(|family| is_mine(*family, known.codes.len()));
                families.retain(|family| known.owners(*family).0 == subject);
                (subject, families)
            };
            invoked = self.tick();
            let listed = self.player.list(&self.grants, subject).await;
            said.extend(families.into_iter().map(|family| Said {
                op: Op::IsListed(family),
                answer: Answer::Listed(listed.contains(&family)),
            }));
        } else {
            invoked = self.tick();
            let answer = self.player.perform(&self.grants, &op).await;
            said.push(Said { op, answer });
        }
        let responded = self.tick();
        let calls = said.into_iter().map(|what| Call { thread, invoked, responded, what });
        self.calls.lock().unwrap().extend(calls);
    }

    fn alone(&self, ops: Vec<Op>) {
        self.run(vec![Box::pin(async move {
            for op in ops {
                self.call(PRELUDE, op).await;
            }
        })]);
    }

    fn together(&self, seeds: Vec<u64>) {
        let thread = |(thread, seed)| -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
            Box::pin(async move {
                let mut chance = Pseudorandom::new(seed);
                for _ in 0..2 + chance.below(CALLS_A_THREAD_MAX - 1) {
                    let op = self.draw(&mut chance);
                    self.call(thread, op).await;
                }
            })
        };
        self.run(seeds.into_iter().enumerate().map(thread).collect());
    }

    fn run<'b>(&self, tasks: Vec<Pin<Box<dyn Future<Output = ()> + Send + 'b>>>) {
        match self.pace {
            Pace::Turns => {
                let mut chance = Pseudorandom::new(self.store.backend().chance().number());
                turns(&mut chance, tasks);
            }
            Pace::Threads => std::thread::scope(|scope| {
                for task in tasks {
                    scope.spawn(move || task.wait());
                }
            }),
        }
    }

    /// What a thread does next: mostly something about what all of them know.
    fn draw(&self, chance: &mut Pseudorandom) -> Op {
        let known = self.player.known();
        let issued: Vec<Generation> = known.refresh.keys().copied().collect();
        let of = |tokens: &[Generation], chance: &mut Pseudorandom| {
            let mine: Vec<_> =
                tokens.iter().filter(|token| is_mine(token.family, known.codes.len())).collect();
            let token = **mine.get(below(chance, mine.len()))?;
            // The newest generation and its predecessor are where it is decided.
            let newest = mine.iter().filter(|other| other.family == token.family).count();
            let back = u32::try_from([0, 0, 1, below(chance, newest)][below(chance, 4)]).unwrap();
            let number = u32::try_from(newest).unwrap().saturating_sub(back).max(1);
            Some(Generation { number, ..token }).filter(|token| tokens.contains(token))
        };
        let access = |chance: &mut Pseudorandom| {
            let count = known.access.len();
            // One of the last few.
            count.checked_sub(1 + below(chance, count.clamp(1, 6))).map(name)
        };
        let refresh = of(&issued, chance);
        let code = Op::Redeem(name(below(chance, known.codes.len())), fault(chance));
        match (chance.below(30), refresh) {
            (0..8, Some(token)) => Op::Refresh(token, asked(chance)),
            (8..11, _) => access(chance).map_or(code, |it| Op::Introspect(Token::Access(it))),
            (11..13, Some(token)) => Op::Introspect(Token::Refresh(token)),
            (13, Some(token)) => Op::IsListed(token.family),
            (14, _) => authorize(chance),
            (15, _) => access(chance).map_or(code, |access| Op::Revoke(Token::Access(access))),
            (16, Some(token)) => Op::Revoke(Token::Refresh(token)),
            (17, Some(token)) => Op::RevokeFamily(token.family),
            (18 | 19, _) => Op::RevokeSubject(u8::from(chance.below(4) == 0)),
            (20, _) => Op::RevokeClient(u8::from(chance.below(4) == 0)),
            (21, _) => Op::Sweep,
            (22 | 23, _) => {
                Op::RevokePair(u8::from(chance.below(4) == 0), u8::from(chance.below(4) == 0))
            }
            _ => code,
        }
    }

    /// Everything that is known, looked at when all is quiet; then each code once more.
    fn last_looks(&self) -> Vec<Op> {
        let known = self.player.known();
        let codes = name(known.codes.len());
        let access = name(known.access.len());
        let mut looks: Vec<Op> = (access.saturating_sub(LAST_LOOKS)..access)
            .map(|access| Op::Introspect(Token::Access(access)))
            .collect();
        let families = || (0..codes).filter(|family| newest(&known.refresh, *family).is_some());
        looks.extend(families().filter_map(|family| {
            Some(Op::Introspect(Token::Refresh(newest(&known.refresh, family)?)))
        }));
        looks.extend(families().map(Op::IsListed).take(1));
        looks.extend((0..codes).map(|code| Op::Redeem(code, Fault::None)));
        looks
    }
}

fn newest<T>(of: &BTreeMap<Generation, T>, family: u32) -> Option<Generation> {
    let all = Generation { family, number: 0 }..=Generation { family, number: u32::MAX };
    of.range(all).next_back().map(|(token, _)| *token)
}

/// Something to begin with: a code or two, often one that is redeemed and refreshed.
fn prelude(rules: &Rules, chance: &mut Pseudorandom) -> Vec<Op> {
    let mut ops = vec![Op::Authorize { subject: 0, client: 0 }];
    if chance.below(2) == 0 {
        ops.push(Op::Redeem(0, Fault::None));
        ops.extend((1..=u32::try_from(chance.below(4)).unwrap()).map(|turn| {
            let number = if rules.rotating { turn } else { 1 };
            Op::Refresh(Generation { family: 0, number }, Asked::All)
        }));
    }
    if chance.below(4) == 0 {
        ops.push(pass(chance));
    }
    ops.extend((0..chance.below(3)).map(|_| authorize(chance)));
    ops
}

fn pass(chance: &mut Pseudorandom) -> Op {
    Op::Pass([10, 31, 61, 901, 3_601][below(chance, 5)])
}

fn authorize(chance: &mut Pseudorandom) -> Op {
    let mut owner = || u8::from(chance.below(4) == 0);
    Op::Authorize { subject: owner(), client: owner() }
}

fn fault(chance: &mut Pseudorandom) -> Fault {
    match chance.below(8) {
        0 | 1 => Fault::Verifier,
        2 => [Fault::Client, Fault::RedirectUri][below(chance, 2)],
        _ => Fault::None,
    }
}

fn asked(chance: &mut Pseudorandom) -> Asked {
    match chance.below(10) {
        0 => Asked::Narrowed,
        1 => Asked::Widened,
        2 => Asked::ByAnotherClient,
        _ => Asked::All,
    }
}

/// True for a family that stands where it should.
fn is_mine(family: u32, codes: usize) -> bool {
    (family as usize) < codes
}

fn below(chance: &mut Pseudorandom, end: usize) -> usize {
    usize::try_from(chance.below(end.max(1) as u64)).unwrap()
}

fn name(index: usize) -> u32 {
    u32::try_from(index).unwrap()
}

/// Runs tasks on this thread; chance decides which of them goes on whenever one stands back.
fn turns<T>(
    chance: &mut Pseudorandom,
    mut tasks: Vec<Pin<Box<dyn Future<Output = T> + Send + '_>>>,
) -> Vec<T> {
    let mut context = Context::from_waker(Waker::noop());
    let mut done = Vec::new();
    while !tasks.is_empty() {
        let at = below(chance, tasks.len());
        if let std::task::Poll::Ready(output) = tasks[at].as_mut().poll(&mut context) {
            done.push(output);
            drop(tasks.remove(at));
        }
    }
    done
}

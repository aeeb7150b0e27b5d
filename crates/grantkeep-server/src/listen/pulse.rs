//! What each connection is doing, and since when: so that those that do nothing are closed, and
//! make room for others.
//!
//! 1. A connection waits for the head of a request, or it is being answered. [`Pulse`] says which,
//!    in one word that the connection's own task writes and everybody reads.
//! 2. [`Guarded`] polls a connection and looks at its pulse now and then. One that has waited too
//!    long ends; where an answer takes too long the pulse says so, and the answer is cut short. The
//!    look is every quarter of the shorter limit, so a limit is kept to within a quarter, and no
//!    request costs a timer of its own.
//! 3. Whoever wants room asks [`Held::make_room`]: of the next [`LOOKED_AT`] connections in a ring
//!    the one that has waited the longest is told to end. It ends only if it still waits when it
//!    hears of that, which its own task decides: so no request that has begun is cut off.

use super::Limits;
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// Connections among which one is chosen to make room.
const LOOKED_AT: usize = 256;

/// What one connection is doing.
#[derive(Debug)]
pub(super) struct Pulse {
    began: Instant,
    /// Milliseconds from `began` to when its present phase began, times two; and one more while it
    /// is being answered.
    phase: AtomicU64,
    /// Set once an answer takes too long. Written and read by the connection's task alone.
    overdue: AtomicBool,
    /// Set by whoever wants it to end, unless it is being answered.
    unwanted: AtomicBool,
    task: AtomicWaker,
    /// Where it is in [`Held`]; under its lock.
    at: AtomicUsize,
}

impl Pulse {
    fn new() -> Self {
        Self {
            began: Instant::now(),
            phase: AtomicU64::new(0),
            overdue: AtomicBool::new(false),
            unwanted: AtomicBool::new(false),
            task: AtomicWaker::new(),
            at: AtomicUsize::new(0),
        }
    }

    /// A request has arrived.
    pub(super) fn answering(&self) {
        self.enter(1);
    }

    /// It is answered, and the next one is waited for.
    pub(super) fn waiting(&self) {
        self.overdue.store(false, Ordering::Relaxed);
        self.enter(0);
    }

    fn enter(&self, phase: u64) {
        let millis = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX >> 1);
        self.phase.store(millis << 1 | phase, Ordering::Relaxed);
    }

    /// Whether it is being answered, and for how long it has been or has waited.
    fn look(&self) -> (bool, Duration) {
        let phase = self.phase.load(Ordering::Relaxed);
        let since = Duration::from_millis(phase >> 1);
        (phase & 1 == 1, self.began.elapsed().saturating_sub(since))
    }

    /// Whether the answer takes too long.
    pub(super) fn is_overdue(&self) -> bool {
        self.overdue.load(Ordering::Relaxed)
    }

    /// Tells it to end, unless it is being answered.
    fn dismiss(&self) {
        self.unwanted.store(true, Ordering::Release);
        self.task.wake();
    }
}

/// All connections that are open.
#[derive(Debug, Default)]
pub(super) struct Held {
    ring: Mutex<Ring>,
}

#[derive(Debug, Default)]
struct Ring {
    pulses: Vec<Arc<Pulse>>,
    /// Where the next look begins.
    next: usize,
}

impl Held {
    /// Notes a connection for as long as the answer lives.
    pub(super) fn hold(self: &Arc<Self>) -> Holding {
        let pulse = Arc::new(Pulse::new());
        let mut ring = self.ring.lock();
        pulse.at.store(ring.pulses.len(), Ordering::Relaxed);
        ring.pulses.push(Arc::clone(&pulse));
        drop(ring);
        Holding { held: Arc::clone(self), pulse }
    }

    /// Has the connection end that has waited the longest of some; false where none waits.
    pub(super) fn make_room(&self) -> bool {
        let mut ring = self.ring.lock();
        let len = ring.pulses.len();
        let from = ring.next;
        ring.next = (from + LOOKED_AT) % len.max(1);
        let looked_at =
            (0..LOOKED_AT.min(len)).filter_map(|step| ring.pulses.get((from + step) % len));
        let waiting = looked_at.filter_map(|pulse| match pulse.look() {
            (false, waited) if !pulse.unwanted.load(Ordering::Relaxed) => Some((waited, pulse)),
            _ => None,
        });
        let longest = waiting.max_by_key(|(waited, _)| *waited).map(|(_, pulse)| Arc::clone(pulse));
        drop(ring);
        // Not under the lock: waking may run what is another's.
        longest.inspect(|pulse| pulse.dismiss()).is_some()
    }

    /// Has all end that have waited for so long.
    pub(super) fn dismiss_resting(&self, least: Duration) {
        let all: Vec<_> = self.ring.lock().pulses.clone();
        let resting = all.iter().filter(|pulse| pulse.look().1 >= least);
        resting.for_each(|pulse| pulse.dismiss());
    }
}

/// A connection that is noted.
#[derive(Debug)]
pub(super) struct Holding {
    held: Arc<Held>,
    pub(super) pulse: Arc<Pulse>,
}

impl Drop for Holding {
    fn drop(&mut self) {
        let mut ring = self.held.ring.lock();
        let at = self.pulse.at.load(Ordering::Relaxed);
        debug_assert!(ring.pulses.get(at).is_some_and(|held| Arc::ptr_eq(held, &self.pulse)));
        if at < ring.pulses.len() {
            ring.pulses.swap_remove(at);
        }
        if let Some(moved) = ring.pulses.get(at) {
            moved.at.store(at, Ordering::Relaxed);
        }
    }
}

/// A connection that ends when it waits for too long, or is told to.
pub(super) struct Guarded<C> {
    connection: Pin<Box<C>>,
    pulse: Arc<Pulse>,
    limits: Limits,
    look: Pin<Box<Sleep>>,
}

impl<C: Future> Guarded<C> {
    pub(super) fn new(connection: C, pulse: Arc<Pulse>, limits: Limits) -> Self {
        let look = Box::pin(tokio::time::sleep(between_looks(&limits)));
        Self { connection: Box::pin(connection), pulse, limits, look }
    }
}

/// How often a pulse is looked at.
fn between_looks(limits: &Limits) -> Duration {
    (limits.head.min(limits.request) / 4).max(Duration::from_millis(1))
}

impl<C: Future> Future for Guarded<C> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        // Before its flag is looked at: whoever sets that wakes this task from then on.
        this.pulse.task.register(context.waker());
        if this.connection.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        if this.pulse.unwanted.swap(false, Ordering::Acquire) && !this.pulse.look().0 {
            return Poll::Ready(());
        }
        while this.look.as_mut().poll(context).is_ready() {
            match this.pulse.look() {
                (false, waited) if waited >= this.limits.head => return Poll::Ready(()),
                (true, taken) if taken >= this.limits.request => {
                    this.pulse.overdue.store(true, Ordering::Relaxed);
                    if this.connection.as_mut().poll(context).is_ready() {
                        return Poll::Ready(());
                    }
                }
                _ => {}
            }
            let next = Instant::now() + between_looks(&this.limits);
            this.look.as_mut().reset(next);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;

    const LIMITS: Limits = Limits {
        connections: 4,
        head: Duration::from_secs(8),
        request: Duration::from_secs(20),
        stop: Duration::from_secs(1),
    };

    /// How long a connection lives on whose pulse this is done first.
    async fn lives(touch: impl FnOnce(&Pulse)) -> Option<Duration> {
        let held = Arc::new(Held::default());
        let holding = held.hold();
        touch(&holding.pulse);
        let began = Instant::now();
        let guarded = Guarded::new(pending::<()>(), Arc::clone(&holding.pulse), LIMITS);
        let ended = tokio::time::timeout(Duration::from_secs(3_600), guarded).await;
        ended.ok().map(|()| began.elapsed())
    }

    // Goal: a connection that sends nothing ends at its limit and no more than a quarter later; one
    // that is being answered does not end, whoever wants room. Method: time that jumps.
    #[tokio::test(start_paused = true)]
    async fn connections_that_wait_for_too_long_end() {
        let waited = lives(|_| {}).await.unwrap();
        assert!(waited >= LIMITS.head && waited <= LIMITS.head + LIMITS.head / 4, "{waited:?}");
        assert_eq!(lives(Pulse::answering).await, None);
        assert_eq!(lives(|pulse| (pulse.answering(), pulse.dismiss()).0).await, None);
        assert_eq!(lives(Pulse::dismiss).await, Some(Duration::ZERO));
    }

    // Goal: room is made by the connection that has waited the longest, and never by one that is
    // being answered; a connection that has ended is forgotten. Method: some that began one after
    // the other, and one that is being answered.
    #[tokio::test(start_paused = true)]
    async fn the_one_that_has_waited_the_longest_makes_room() {
        let held = Arc::new(Held::default());
        let mut holdings = Vec::new();
        for _ in 0..4 {
            holdings.push(held.hold());
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        holdings[0].pulse.answering();
        let unwanted = |holdings: &[Holding]| -> Vec<bool> {
            holdings.iter().map(|one| one.pulse.unwanted.load(Ordering::Relaxed)).collect()
        };
        for expected in [[false, true, false, false], [false, true, true, false]] {
            assert!(held.make_room());
            assert_eq!(unwanted(&holdings), expected);
        }
        drop(holdings.remove(3));
        assert!(!held.make_room());
        drop(holdings.remove(0));
        assert_eq!(held.ring.lock().pulses.len(), 2);
        drop(holdings);
        assert!(held.ring.lock().pulses.is_empty() && !held.make_room());
    }
}

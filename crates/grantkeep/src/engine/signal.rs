//! A number that only grows, and futures that wait until it has reached one.

use crate::foreign;
use crate::sabotage::{self, Flaw};
use crate::sync::{AtomicBool, AtomicU64, Mutex, Ordering};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// The signal will never grow again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ended;

#[derive(Debug)]
pub(crate) struct Signal {
    value: AtomicU64,
    ended: AtomicBool,
    waiters: Mutex<Waiters>,
}

#[derive(Debug, Default)]
struct Waiters {
    waiting: Vec<Waiter>,
    /// The number of the next waiter.
    next: u64,
}

#[derive(Debug)]
struct Waiter {
    number: u64,
    target: u64,
    waker: Waker,
}

impl Waiters {
    /// Notes whom to wake, once for each that waits, however often it is polled.
    fn note(&mut self, number: &mut Option<u64>, target: u64, waker: &Waker) {
        let own = number.and_then(|own| self.waiting.iter_mut().find(|held| held.number == own));
        if let Some(held) = own {
            held.waker.clone_from(waker);
            return;
        }
        *number = Some(self.next);
        self.waiting.push(Waiter { number: self.next, target, waker: waker.clone() });
        self.next += 1;
    }
}

impl Signal {
    pub(crate) fn new(value: u64) -> Self {
        Self {
            value: AtomicU64::new(value),
            ended: AtomicBool::new(false),
            waiters: Mutex::new(Waiters::default()),
        }
    }

    pub(crate) fn value(&self) -> u64 {
        self.value.load(Ordering::Acquire)
    }

    /// Completes once the value is at least `target`, or with [`Ended`] if it never will be.
    pub(crate) fn reach(&self, target: u64) -> Reach<'_> {
        Reach { signal: self, target, number: None }
    }

    /// Grows the value and wakes whom it concerns.
    pub(crate) fn advance(&self, value: u64) {
        self.value.fetch_max(value, Ordering::AcqRel);
        let mut woken = Vec::new();
        let mut waiters = self.waiters.lock();
        let waiting = &mut waiters.waiting;
        let mut at = 0;
        while let Some(waiter) = waiting.get(at) {
            if waiter.target <= value {
                woken.push(waiting.swap_remove(at).waker);
            } else {
                at += 1;
            }
        }
        drop(waiters);
        wake_all(woken);
    }

    /// Ends the signal: whoever waits for more is told.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Release);
        let waiting = std::mem::take(&mut self.waiters.lock().waiting);
        wake_all(waiting.into_iter().map(|waiter| waiter.waker));
    }

    fn state(&self, target: u64) -> Option<Result<(), Ended>> {
        // `ended` first: a value reached before the end counts.
        let ended = self.ended.load(Ordering::Acquire);
        if self.value() >= target { Some(Ok(())) } else { ended.then_some(Err(Ended)) }
    }
}

/// Wakes all of them. What an executor does then is its own: a panic of it is not the store's.
pub(crate) fn wake_all(wakers: impl IntoIterator<Item = Waker>) {
    for waker in wakers {
        foreign::call("waker", || waker.wake());
    }
}

#[derive(Debug)]
pub(crate) struct Reach<'a> {
    signal: &'a Signal,
    target: u64,
    /// The number under which it waits, or has waited.
    number: Option<u64>,
}

impl Future for Reach<'_> {
    type Output = Result<(), Ended>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let (signal, target) = (self.signal, self.target);
        if let Some(done) = signal.state(target) {
            // Whoever has reached it has taken the waker as well, or is about to.
            self.number = None;
            return Poll::Ready(done);
        }
        let mut waiters = signal.waiters.lock();
        // Once more under the lock: a waker stored after this look is seen by `advance`.
        if let Some(done) = signal.state(target).filter(|_| !sabotage::is(Flaw::OneLook)) {
            self.number = None;
            return Poll::Ready(done);
        }
        waiters.note(&mut self.number, target, context.waker());
        Poll::Pending
    }
}

impl Drop for Reach<'_> {
    /// Whoever gives up is not woken: while a disk stalls callers may come and go.
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.signal.waiters.lock().waiting.retain(|held| held.number != number);
        }
    }
}

#[cfg(all(test, not(model_checked)))]
mod tests {
    use super::*;
    use std::pin::pin;

    // Goal: P10, whoever polls often or gives up leaves nothing behind. Method: poll again and
    // again, with other wakers as well; drop; reach what one waits for.
    #[test]
    fn waiters_are_kept_once_and_forgotten() {
        let signal = Signal::new(0);
        let waiting = || signal.waiters.lock().waiting.len();
        let mut context = Context::from_waker(Waker::noop());
        {
            let mut patient = pin!(signal.reach(1));
            for _ in 0..10 {
                assert!(patient.as_mut().poll(&mut context).is_pending());
            }
            let mut late = pin!(signal.reach(3));
            assert!(late.as_mut().poll(&mut context).is_pending());
            assert_eq!(waiting(), 2);
            signal.advance(2);
            assert_eq!(waiting(), 1);
            assert_eq!(patient.as_mut().poll(&mut context), Poll::Ready(Ok(())));
        }
        assert_eq!(waiting(), 0);
    }
}

//! A number that only grows, and futures that wait until it has reached one.

use crate::sync::{AtomicBool, AtomicU64, Mutex, Ordering, Planted, planted};
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
    waiters: Mutex<Vec<(u64, Waker)>>,
}

impl Signal {
    pub(crate) fn new(value: u64) -> Self {
        Self {
            value: AtomicU64::new(value),
            ended: AtomicBool::new(false),
            waiters: Mutex::new(Vec::new()),
        }
    }

    pub(crate) fn value(&self) -> u64 {
        self.value.load(Ordering::Acquire)
    }

    /// Completes once the value is at least `target`, or with [`Ended`] if it never will be.
    pub(crate) fn reach(&self, target: u64) -> Reach<'_> {
        Reach { signal: self, target }
    }

    /// Grows the value and wakes whom it concerns.
    pub(crate) fn advance(&self, value: u64) {
        self.value.fetch_max(value, Ordering::AcqRel);
        let mut woken = Vec::new();
        let mut waiters = self.waiters.lock();
        let mut at = 0;
        while let Some((target, _)) = waiters.get(at) {
            if *target <= value {
                woken.push(waiters.swap_remove(at).1);
            } else {
                at += 1;
            }
        }
        drop(waiters);
        for waker in woken {
            waker.wake();
        }
    }

    /// Ends the signal: whoever waits for more is told.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Release);
        let waiters = std::mem::take(&mut *self.waiters.lock());
        for (_, waker) in waiters {
            waker.wake();
        }
    }

    fn state(&self, target: u64) -> Option<Result<(), Ended>> {
        // `ended` first: a value reached before the end counts.
        let ended = self.ended.load(Ordering::Acquire);
        if self.value() >= target { Some(Ok(())) } else { ended.then_some(Err(Ended)) }
    }
}

#[derive(Debug)]
pub(crate) struct Reach<'a> {
    signal: &'a Signal,
    target: u64,
}

impl Future for Reach<'_> {
    type Output = Result<(), Ended>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(done) = self.signal.state(self.target) {
            return Poll::Ready(done);
        }
        let mut waiters = self.signal.waiters.lock();
        // Once more under the lock: a waker stored after this look is seen by `advance`.
        if let Some(done) = self.signal.state(self.target).filter(|_| !planted(Planted::OneLook)) {
            return Poll::Ready(done);
        }
        waiters.push((self.target, context.waker().clone()));
        Poll::Pending
    }
}

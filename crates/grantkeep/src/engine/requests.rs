//! What the keeper is asked for, in the order in which it was asked.
//!
//! A request stays here until it is answered, also while the keeper works on it: so whoever waits
//! is told when the keeper cannot reach its table, or has ended.

use super::carry::Target;
use super::trouble::Trouble;
use crate::backend::{Budget, Swept};
use crate::error::{Error, ErrorKind, Result};
use crate::foreign;
use crate::sync::{Condvar, Mutex};
use futures_channel::oneshot;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Where the answer to a request goes.
pub(crate) type Reply<T> = oneshot::Sender<Result<T>>;

/// What the keeper is asked for.
#[derive(Debug)]
pub(crate) enum Request {
    /// Carry all that was committed before; answers what that was.
    Checkpoint(Reply<Target>),
    /// Sweep within a budget.
    Sweep(Budget, Reply<Swept>),
}

/// A request that the keeper has begun to work on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Begun(u64);

/// What the keeper finds when it asks for work.
#[derive(Debug)]
pub(crate) enum Next {
    Checkpoint(Begun),
    Sweep(Begun, Budget),
    /// Nobody wants anything, or its patience is over.
    Nothing,
    /// The store is being closed.
    Stop,
}

/// The queue of requests.
#[derive(Debug)]
pub(crate) struct Requests {
    state: Mutex<State>,
    bell: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Request>,
    begun: BTreeMap<Begun, Request>,
    next: u64,
    /// Why requests are refused at present.
    trouble: Option<Trouble>,
    /// True if the keeper is to look around before its patience is over.
    rung: bool,
    closed: bool,
}

impl Requests {
    pub(crate) fn new() -> Self {
        Self { state: Mutex::new(State::default()), bell: Condvar::new() }
    }

    /// Adds a request.
    ///
    /// # Errors
    /// What the keeper is in trouble with, or [`ErrorKind::Unavailable`] once it has ended.
    pub(crate) fn push(&self, request: Request) -> Result<()> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(ended());
        }
        if let Some(trouble) = &state.trouble {
            return Err(trouble.error());
        }
        state.waiting.push_back(request);
        drop(state);
        self.bell.notify_all();
        Ok(())
    }

    /// The next request, or what else there is, after at most `patience`.
    pub(crate) fn next(&self, patience: Duration) -> Next {
        let mut state = self.state.lock();
        if state.waiting.is_empty() && !state.closed && !state.rung {
            self.bell.wait_for(&mut state, patience);
        }
        state.rung = false;
        if state.closed {
            return Next::Stop;
        }
        let Some(request) = state.waiting.pop_front() else { return Next::Nothing };
        let begun = Begun(state.next);
        state.next += 1;
        let next = match &request {
            Request::Checkpoint(_) => Next::Checkpoint(begun),
            Request::Sweep(budget, _) => Next::Sweep(begun, *budget),
        };
        state.begun.insert(begun, request);
        next
    }

    /// Answers a checkpoint, unless it was refused meanwhile.
    pub(crate) fn answer_checkpoint(&self, begun: Begun, answer: Result<Target>) {
        if let Some(Request::Checkpoint(reply)) = self.take(begun) {
            send(reply, answer);
        }
    }

    /// Answers a sweep, unless it was refused meanwhile.
    pub(crate) fn answer_sweep(&self, begun: Begun, answer: Result<Swept>) {
        if let Some(Request::Sweep(_, reply)) = self.take(begun) {
            send(reply, answer);
        }
    }

    /// Has the keeper look around now.
    pub(crate) fn ring(&self) {
        self.state.lock().rung = true;
        self.bell.notify_all();
    }

    /// Answers whoever waits with the trouble, and whoever asks from now on; `None` ends that.
    pub(crate) fn refuse(&self, trouble: Option<&Trouble>) {
        let mut state = self.state.lock();
        state.trouble = trouble.cloned();
        let Some(trouble) = trouble else { return };
        let refused = state.take_all();
        drop(state);
        for request in refused {
            match request {
                Request::Checkpoint(reply) => send(reply, Err(trouble.error())),
                Request::Sweep(_, reply) => send(reply, Err(trouble.error())),
            }
        }
    }

    /// Ends the queue: whoever waits is told, and the keeper.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        let left = state.take_all();
        drop(state);
        self.bell.notify_all();
        // Their callers are told by that; it may run what is theirs, so not under the lock.
        for request in left {
            foreign::call("waker", || drop(request));
        }
    }

    fn take(&self, begun: Begun) -> Option<Request> {
        self.state.lock().begun.remove(&begun)
    }
}

impl State {
    fn take_all(&mut self) -> Vec<Request> {
        let begun = std::mem::take(&mut self.begun).into_values();
        begun.chain(self.waiting.drain(..)).collect()
    }
}

/// Answers; a caller that has gone away does not want to know.
fn send<T>(reply: Reply<T>, answer: Result<T>) {
    foreign::call("waker", || drop(reply.send(answer)));
}

/// The error for whoever is not answered any more.
pub(crate) fn ended() -> Error {
    Error::new(ErrorKind::Unavailable, "the store is closed or poisoned: open it again")
}

//! Where secrets are verified that take long: on a few threads, off the caller's executor.
//!
//! 1. What is to be verified waits in a queue of bounded length; a caller that finds it full is
//!    refused, and holds nobody up.
//! 2. A thread is started for it unless there are as many as there may be. It ends when it finds
//!    the queue empty: a server whose clients have all been seen has none.
//! 3. What nobody waits for any more is passed over.
//!
//! The lock is held to push and to take, and never while something is verified.

use grantkeep::{Error, ErrorKind, Result};
use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// So many secrets that another server has hashed are verified at a time; each takes as much
/// memory as its hash wants.
pub const VERIFYING_THREADS_MAX: usize = 2;

/// So many of them wait at most; one more is refused.
pub const VERIFYING_QUEUE_MAX: usize = 64;

type Work = Box<dyn FnOnce() + Send>;

/// The threads of grants, and what waits for them. Clones share both.
#[derive(Clone, Default)]
pub(crate) struct Verifying(Arc<Mutex<Queue>>);

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Work>,
    threads: usize,
}

impl fmt::Debug for Verifying {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifying").finish_non_exhaustive()
    }
}

impl Verifying {
    /// Does `work` on one of the threads, and answers what it does.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] if the queue is full, or there can be no thread.
    pub(crate) async fn run<A: Send + 'static>(
        &self,
        work: impl FnOnce() -> A + Send + 'static,
    ) -> Result<A> {
        let (reply, answer) = futures_channel::oneshot::channel();
        self.push(Box::new(move || {
            if !reply.is_canceled() {
                // Who has gone away meanwhile does not want to know.
                let _ = reply.send(work());
            }
        }))?;
        answer.await.map_err(|_| refused("a secret could not be verified: try again"))
    }

    fn push(&self, work: Work) -> Result<()> {
        let mut queue = self.lock();
        if queue.waiting.len() >= VERIFYING_QUEUE_MAX {
            return Err(refused(
                "too many secrets of clients wait to be verified for the first time: try again",
            ));
        }
        queue.waiting.push_back(work);
        if queue.threads >= VERIFYING_THREADS_MAX {
            return Ok(());
        }
        queue.threads += 1;
        let own = self.clone();
        let named = std::thread::Builder::new().name("grantkeep-verifying".to_owned());
        if let Err(cause) = named.spawn(move || own.work()) {
            queue.threads -= 1;
            if queue.threads == 0 {
                queue.waiting.pop_back();
                let why = "there is no thread to verify a secret: raise the limit on threads";
                return Err(refused(why).with_source(cause));
            }
        }
        Ok(())
    }

    /// What a thread does until nothing waits.
    fn work(&self) {
        loop {
            let work = {
                let mut queue = self.lock();
                let Some(work) = queue.waiting.pop_front() else {
                    // Under the lock: whoever pushes next starts another.
                    queue.threads -= 1;
                    return;
                };
                work
            };
            // A panic is told to whoever waits, since the reply is gone. The thread goes on: what
            // waits behind it may have no other.
            let _ = catch_unwind(AssertUnwindSafe(work));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // It is held for whole steps only, which do not panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refused(why: &'static str) -> Error {
    Error::new(ErrorKind::Unavailable, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;
    use grantkeep::Wait as _;
    use std::sync::mpsc;

    // Goal: no more is verified at a time than there are threads, no more waits than the queue has
    // room for, and one more is refused at once; then all of it is done. Method: work that waits to
    // be let go, until one is refused.
    #[test]
    fn verifying_is_bounded() {
        let verifying = Verifying::default();
        let (begun, begins) = mpsc::channel();
        let (go, gate) = mpsc::channel::<()>();
        let gate = Arc::new(Mutex::new(gate));
        let mut answers = Vec::new();
        let run = |number: usize| {
            let (begun, gate) = (begun.clone(), Arc::clone(&gate));
            Box::pin(verifying.run(move || {
                begun.send(()).unwrap();
                gate.lock().unwrap().recv().unwrap();
                number
            }))
        };
        for number in 0..VERIFYING_THREADS_MAX {
            let mut answer = run(number);
            assert!(answer.as_mut().now_or_never().is_none());
            begins.recv().unwrap();
            answers.push(answer);
        }
        for number in 0..VERIFYING_QUEUE_MAX {
            let mut answer = run(VERIFYING_THREADS_MAX + number);
            assert!(answer.as_mut().now_or_never().is_none());
            answers.push(answer);
        }
        let refused = run(usize::MAX).wait().unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Unavailable);
        assert_eq!(verifying.lock().threads, VERIFYING_THREADS_MAX);
        for _ in 0..answers.len() {
            go.send(()).unwrap();
        }
        for (number, answer) in answers.into_iter().enumerate() {
            assert_eq!(answer.wait().unwrap(), number);
        }
    }

    // Goal: a panic is told to whoever waits for it, and leaves nobody else waiting for ever.
    // Method: work that panics, more often than there are threads, and then work that does not.
    #[test]
    fn a_panic_while_verifying_is_told_and_costs_no_thread() {
        let verifying = Verifying::default();
        for _ in 0..3 * VERIFYING_THREADS_MAX {
            let died = verifying.run::<()>(|| panic!("as planned")).wait();
            assert_eq!(died.unwrap_err().kind(), ErrorKind::Unavailable);
        }
        assert_eq!(verifying.run(|| 7).wait().unwrap(), 7);
    }
}

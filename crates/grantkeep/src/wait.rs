//! Running a future on the calling thread.

use crate::sync::{Arc, thread, thread_local};
use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Wake, Waker};

/// Lets a caller without an executor run any future of this crate to its end.
///
/// ```
/// use grantkeep::Wait;
/// assert_eq!(async { 6 * 7 }.wait(), 42);
/// ```
pub trait Wait: Future + Sized {
    /// Blocks the calling thread until the future is done, and answers its output.
    ///
    /// Must not be called from a task of an async executor: it would block that executor's
    /// thread. A commit that is waited for, and finds nobody else committing, is written and synced
    /// by the calling thread itself: what is joined with it in one future goes on after that.
    fn wait(self) -> Self::Output {
        let mut future = pin!(self);
        THREAD.with(|waker| {
            let mut context = Context::from_waker(waker);
            loop {
                let waiting = Waiting::begin();
                let polled = future.as_mut().poll(&mut context);
                drop(waiting);
                if let Poll::Ready(output) = polled {
                    return output;
                }
                // A wake-up for an earlier future of this thread only costs one more poll.
                thread::park();
            }
        })
    }
}

impl<F: Future> Wait for F {}

struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

/// Says for as long as it lives that its thread waits for what it polls.
struct Waiting {
    before: bool,
}

impl Waiting {
    fn begin() -> Self {
        Self { before: WAITING.with(|waiting| waiting.replace(true)) }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        WAITING.with(|waiting| waiting.set(self.before));
    }
}

/// True if the calling thread waits for the future that it polls, and so may as well do its work.
pub(crate) fn is_waiting() -> bool {
    WAITING.with(Cell::get)
}

thread_local! {
    // The model checkers' threads take no `const` block.
    #[allow(clippy::missing_const_for_thread_local)]
    static WAITING: Cell<bool> = Cell::new(false);
    static THREAD: Waker = Waker::from(Arc::new(Unpark(thread::current())));
}

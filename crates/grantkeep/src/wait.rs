//! Running a future on the calling thread.

use crate::sync::{Arc, thread, thread_local};
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
    /// thread.
    fn wait(self) -> Self::Output {
        let mut future = pin!(self);
        THREAD.with(|waker| {
            let mut context = Context::from_waker(waker);
            loop {
                if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
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

thread_local! {
    static THREAD: Waker = Waker::from(Arc::new(Unpark(thread::current())));
}

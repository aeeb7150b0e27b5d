//! Running a future on the calling thread, which may do what it waits for by itself.
//!
//! 1. Each wait has a flag of its own. Its waker sets the flag and unparks the thread. The thread
//!    parks until the flag is set, so a wait inside another one takes no wake-up of that.
//! 2. A future may [`offer`] work to the wait that polls it, instead of waking the thread whose
//!    work it is. Only a future that is polled with the waker of the thread's innermost wait may
//!    ([`is_polling`]): any other is polled by an executor, or a set of futures, of which nobody
//!    knows when it returns.
//! 3. When a poll is over, the thread does what was offered if it was offered once: it would only
//!    sleep otherwise. What was offered more than once is handed over, so that all of it is done
//!    together, and this thread is free for the rest of its future.
//! 4. No offer is lost: a wait that ends, in whichever way, hands over what it was offered, and so
//!    does one inside which another wait begins, since it is not polled until that has ended.
//!
//! A thread may wait from the destructor of a thread-local. Where the variables below are gone
//! already, the wait makes a waker of its own, and is offered nothing.

use crate::sync::{Arc, AtomicBool, Ordering, thread, thread_local};
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
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
    /// thread. If the future waits for a single commit, and nobody else is committing, the calling
    /// thread writes and syncs that commit itself. Commits that are joined in one future share a
    /// sync of the store's own thread.
    fn wait(self) -> Self::Output {
        let mut future = pin!(self);
        let waiting = Waiting::begin();
        let mut context = Context::from_waker(&waiting.own.waker);
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                return output;
            }
            work();
            waiting.own.flag.sleep();
        }
    }
}

impl<F: Future> Wait for F {}

/// Work that a thread may do in place of another one whose work it is.
pub(crate) trait Lead {
    /// Does the work, unless somebody else is about to.
    fn lead(self: Arc<Self>);

    /// Leaves the work to the thread whose work it is.
    fn leave(self: Arc<Self>);
}

/// True if `waker` is that of the calling thread's innermost wait: work that is offered now is
/// looked at as soon as the present poll is over.
pub(crate) fn is_polling(waker: &Waker) -> bool {
    INNERMOST.try_with(|frame| frame.borrow().is_of(waker)).unwrap_or(false)
}

/// Offers work to the innermost wait; gives it back where there is none, or if it was offered work
/// of another store already.
pub(crate) fn offer(work: Arc<dyn Lead>) -> Option<Arc<dyn Lead>> {
    let mut offered = Some(work);
    let _ = INNERMOST.try_with(|frame| {
        let mut frame = frame.borrow_mut();
        if frame.is_any() {
            offered = offered.take().and_then(|work| frame.add(work));
        }
    });
    offered
}

/// What wakes the thread of one wait.
struct Flag {
    thread: thread::Thread,
    woken: AtomicBool,
}

impl Flag {
    /// Parks until the waker was called since the last time.
    fn sleep(&self) {
        // What wakes another wait of this thread unparks it as well.
        while !self.woken.swap(false, Ordering::AcqRel) {
            thread::park();
        }
    }
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Whoever has set the flag before unparks the thread, or has already.
        if !self.woken.swap(true, Ordering::AcqRel) {
            self.thread.unpark();
        }
    }
}

/// The flag and the waker of one wait.
struct Own {
    flag: Arc<Flag>,
    waker: Waker,
}

impl Own {
    /// Those that this thread has at hand, which no other wait uses, or new ones.
    fn take() -> Rc<Self> {
        SPARE.try_with(Cell::take).ok().flatten().unwrap_or_else(|| {
            let flag = Flag { thread: thread::current(), woken: AtomicBool::new(false) };
            let flag = Arc::new(flag);
            Rc::new(Self { waker: Waker::from(Arc::clone(&flag)), flag })
        })
    }

    /// Keeps them for the next wait. A late wake-up for this one costs that one a poll.
    fn put_back(self: &Rc<Self>) {
        let _ = SPARE.try_with(|spare| spare.set(Some(Rc::clone(self))));
    }
}

/// What a wait was offered since it looked last.
#[derive(Default)]
enum Offers {
    #[default]
    None,
    One(Arc<dyn Lead>),
    Several(Arc<dyn Lead>),
}

/// The innermost wait of a thread, or that there is none.
#[derive(Default)]
struct Frame {
    /// Where its flag lies, which its waker points to, and no other one does; 0 for no wait.
    flag: usize,
    offers: Offers,
}

impl Frame {
    fn of(waker: &Waker) -> Self {
        Self { flag: waker.data().addr(), offers: Offers::None }
    }

    fn is_any(&self) -> bool {
        self.flag != 0
    }

    fn is_of(&self, waker: &Waker) -> bool {
        self.is_any() && self.flag == waker.data().addr()
    }

    /// Notes an offer; gives it back if it is of another store than those before.
    fn add(&mut self, work: Arc<dyn Lead>) -> Option<Arc<dyn Lead>> {
        let (first, refused) = match std::mem::take(&mut self.offers) {
            Offers::None => {
                self.offers = Offers::One(work);
                return None;
            }
            Offers::One(first) | Offers::Several(first) => {
                let other = !Arc::ptr_eq(&first, &work);
                (first, other.then_some(work))
            }
        };
        self.offers = Offers::Several(first);
        refused
    }

    fn hand_over(&mut self) {
        match std::mem::take(&mut self.offers) {
            Offers::None => {}
            Offers::One(work) | Offers::Several(work) => work.leave(),
        }
    }
}

/// Does or hands over what the innermost wait was offered.
fn work() {
    let offered = || {
        let take = |frame: &RefCell<Frame>| std::mem::take(&mut frame.borrow_mut().offers);
        INNERMOST.try_with(take).unwrap_or_default()
    };
    loop {
        // Nothing is borrowed meanwhile: the work may wake others, who may wait on this thread.
        match offered() {
            Offers::None => return,
            Offers::One(work) => work.lead(),
            Offers::Several(work) => work.leave(),
        }
    }
}

/// Makes a wait the innermost of its thread for as long as it lives.
struct Waiting {
    own: Rc<Own>,
    outer: Frame,
}

impl Waiting {
    fn begin() -> Self {
        let own = Own::take();
        let frame = Frame::of(&own.waker);
        let mut outer =
            INNERMOST.try_with(|innermost| innermost.replace(frame)).unwrap_or_default();
        // It is not looked at before this wait has ended, which may depend on it.
        outer.hand_over();
        Self { own, outer }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let outer = std::mem::take(&mut self.outer);
        let frame = INNERMOST.try_with(|innermost| innermost.replace(outer));
        frame.unwrap_or_default().hand_over();
        self.own.put_back();
    }
}

thread_local! {
    // The model checkers' threads take no `const` block.
    #[allow(clippy::missing_const_for_thread_local)]
    static INNERMOST: RefCell<Frame> = RefCell::new(Frame::default());
    #[allow(clippy::missing_const_for_thread_local)]
    static SPARE: Cell<Option<Rc<Own>>> = Cell::new(None);
}

#[cfg(all(test, not(model_checked)))]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::sync::atomic::AtomicU32;
    use std::sync::mpsc;
    use std::time::Duration;

    /// Longer than anything here takes.
    const PATIENCE: Duration = Duration::from_secs(20);

    /// Pending once, and woken for another poll at once.
    fn once_more() -> impl Future<Output = ()> {
        let mut polled = false;
        poll_fn(move |context| {
            if std::mem::replace(&mut polled, true) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
    }

    /// Counts what becomes of an offer.
    #[derive(Debug, Default)]
    struct Counted {
        led: AtomicU32,
        left: AtomicU32,
    }

    impl Counted {
        fn both(&self) -> (u32, u32) {
            (self.led.load(Ordering::Relaxed), self.left.load(Ordering::Relaxed))
        }
    }

    impl Lead for Counted {
        fn lead(self: Arc<Self>) {
            self.led.fetch_add(1, Ordering::Relaxed);
        }

        fn leave(self: Arc<Self>) {
            self.left.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Offers work in each poll, as often as is said, and is pending for as long as there is more.
    fn offering(work: &Arc<Counted>, often: &[u32]) -> impl Future<Output = ()> {
        let (work, mut often) = (Arc::clone(work), often.to_vec());
        poll_fn(move |context| {
            assert!(is_polling(context.waker()) && !is_polling(Waker::noop()));
            for _ in 0..often.remove(0) {
                assert!(offer(Arc::clone(&work) as Arc<dyn Lead>).is_none());
            }
            context.waker().wake_by_ref();
            if often.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        })
    }

    // Goal: a wait inside a future that is waited for takes no wake-up of it. Method: wake the
    // outer one, wait inside for something that is woken as well, and be pending once.
    #[test]
    fn a_wait_inside_another_takes_no_wake_up_of_it() {
        let (told, ended) = mpsc::channel();
        std::thread::spawn(move || {
            let mut polls = 0;
            poll_fn(|context| {
                polls += 1;
                if polls == 2 {
                    return Poll::Ready(());
                }
                context.waker().wake_by_ref();
                once_more().wait();
                Poll::Pending
            })
            .wait();
            told.send(()).unwrap();
        });
        assert!(ended.recv_timeout(PATIENCE).is_ok(), "the outer wait sleeps for ever");
    }

    /// Waits when its thread ends.
    struct WaitsInDrop(mpsc::Sender<()>);

    impl Drop for WaitsInDrop {
        fn drop(&mut self) {
            once_more().wait();
            let _ = self.0.send(());
        }
    }

    // Goal: the destructor of a thread-local may wait. Method: one that is made before the first
    // wait of its thread, so that it outlives the variables here, one after it, and one without.
    #[test]
    fn a_destructor_of_a_thread_local_waits() {
        std::thread_local! {
            static LATE: RefCell<Option<WaitsInDrop>> = const { RefCell::new(None) };
        }
        let (told, ended) = mpsc::channel();
        for (before, after) in [(false, true), (true, false), (false, false)] {
            let told = WaitsInDrop(told.clone());
            std::thread::spawn(move || {
                let wait = |now: bool| now.then(|| once_more().wait());
                wait(before);
                LATE.set(Some(told));
                wait(after);
            });
            assert!(ended.recv_timeout(PATIENCE).is_ok(), "{before} {after}");
        }
    }

    // Goal: work that is offered once in a poll is done by the thread that would sleep, and all
    // other work is handed over, none of it forgotten. Method: no, one, and several offers in polls
    // that are pending or the last; a panic; a wait inside; two stores.
    #[test]
    fn every_offer_is_led_or_handed_over() {
        let after = |often: &[u32]| {
            let work = Arc::new(Counted::default());
            offering(&work, often).wait();
            work.both()
        };
        assert_eq!(after(&[0, 1, 0]), (1, 0));
        assert_eq!(after(&[1, 2, 1, 3, 0]), (2, 2));
        assert_eq!(after(&[0, 1]), (0, 1), "who is done hands over");
        assert!(offer(Arc::new(Counted::default())).is_some(), "nobody waits");

        let panicked = Arc::new(Counted::default());
        let unwound = std::thread::spawn({
            let mut work = Some(Arc::clone(&panicked));
            move || {
                poll_fn(|_| -> Poll<()> {
                    let work = work.take().unwrap();
                    assert!(offer(work).is_none());
                    panic!("on purpose");
                })
                .wait();
            }
        });
        assert!(unwound.join().is_err());
        assert_eq!(panicked.both(), (0, 1));

        let (outer, inner) = (Arc::new(Counted::default()), Arc::new(Counted::default()));
        poll_fn(|_| {
            assert!(offer(Arc::clone(&outer) as Arc<dyn Lead>).is_none());
            offering(&inner, &[1, 0]).wait();
            assert_eq!((outer.both(), inner.both()), ((0, 1), (1, 0)));
            Poll::Ready(())
        })
        .wait();

        let [first, second] = [0; 2].map(|_| Arc::new(Counted::default()));
        poll_fn(|_| {
            assert!(offer(Arc::clone(&first) as Arc<dyn Lead>).is_none());
            assert!(offer(Arc::clone(&second) as Arc<dyn Lead>).is_some());
            Poll::Ready(())
        })
        .wait();
        assert_eq!((first.both(), second.both()), ((0, 1), (0, 0)));
    }
}

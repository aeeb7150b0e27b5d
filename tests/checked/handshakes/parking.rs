use crate::exhaust::every_order;
use crate::wait::Wait as _;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;
use std::future::poll_fn;
use std::task::{Poll, Waker};

/// Waits for two things in turn; who does them has a waker from before and wakes only once each.
fn woken() {
    let done: Arc<[AtomicBool; 2]> = Arc::new([AtomicBool::new(false), AtomicBool::new(false)]);
    let doing = Arc::clone(&done);
    let mut started = None;
    let mut start = |waker: &Waker| {
        let (waker, doing) = (waker.clone(), Arc::clone(&doing));
        started.get_or_insert_with(|| {
            thread::spawn(move || {
                for one in doing.iter() {
                    one.store(true, Ordering::Release);
                    waker.wake_by_ref();
                }
            })
        });
    };
    for one in 0..2 {
        poll_fn(|context| {
            start(context.waker());
            let there = done[one].load(Ordering::Acquire);
            if there { Poll::Ready(()) } else { Poll::Pending }
        })
        .wait();
    }
    // Not joined: the model knows no thread that is unparked while it joins another.
    assert!(started.is_some());
}

/// Waits for one thing inside a future that waits for another; who does both wakes only once each.
fn woken_inside() {
    let done: Arc<[AtomicBool; 2]> = Arc::new([AtomicBool::new(false), AtomicBool::new(false)]);
    let mut started = None;
    let look = |one: usize| {
        let there = done[one].load(Ordering::Acquire);
        if there { Poll::Ready(()) } else { Poll::Pending }
    };
    poll_fn(|outer| {
        if started.is_none() {
            poll_fn(|inner| {
                let wakers = [outer.waker().clone(), inner.waker().clone()];
                let doing = Arc::clone(&done);
                started.get_or_insert_with(|| {
                    thread::spawn(move || {
                        for (one, waker) in doing.iter().zip(wakers) {
                            one.store(true, Ordering::Release);
                            waker.wake();
                        }
                    })
                });
                look(1)
            })
            .wait();
            return Poll::Pending;
        }
        look(0)
    })
    .wait();
    // Not joined: the model knows no thread that is unparked while it joins another.
    assert!(started.is_some());
}

// Goal: P7, a thread that waits for a future is woken by each wake-up, also by one that comes
// between its look and its sleep, and one for a wait that another stands in. Method: `Wait` itself,
// a thread that wakes it twice, in every order of events.
#[test]
fn no_wake_up_of_a_parked_thread_is_lost() {
    assert!(every_order("woken", None, woken) > 10);
    assert!(every_order("woken inside", None, woken_inside) > 10);
}

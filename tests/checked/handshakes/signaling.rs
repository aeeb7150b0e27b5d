use crate::exhaust::{Planted, every_order, sleeps_for_ever};
use crate::signal::{Ended, Signal};
use crate::wait::Wait as _;
use loom::sync::Arc;
use loom::thread;

/// One thread waits for a value while another reaches it.
fn reached() {
    let signal = Arc::new(Signal::new(0));
    let reaching = Arc::clone(&signal);
    let reaching = thread::spawn(move || reaching.advance(2));
    assert_eq!(signal.reach(1).wait(), Ok(()));
    assert_eq!(signal.value(), 2);
    reaching.join().unwrap();
}

/// Two threads wait for values that are reached one after the other; then it ends.
fn reached_in_turn() {
    let signal = Arc::new(Signal::new(0));
    let waiting = Arc::clone(&signal);
    let waiting = thread::spawn(move || {
        assert_eq!(waiting.reach(2).wait(), Ok(()));
        assert_eq!(waiting.reach(3).wait(), Err(Ended));
    });
    let reaching = Arc::clone(&signal);
    let reaching = thread::spawn(move || {
        reaching.advance(1);
        reaching.advance(2);
        reaching.end();
    });
    assert_eq!(signal.reach(1).wait(), Ok(()));
    waiting.join().unwrap();
    reaching.join().unwrap();
}

/// A value that is reached and an end that comes after it meet one who waits for the value.
fn reached_at_the_end() {
    let signal = Arc::new(Signal::new(0));
    let reaching = Arc::clone(&signal);
    let reaching = thread::spawn(move || {
        reaching.advance(1);
        reaching.end();
    });
    assert_eq!(signal.reach(1).wait(), Ok(()), "what was reached before the end counts");
    assert_eq!(signal.reach(2).wait(), Err(Ended));
    reaching.join().unwrap();
}

// Goal: P7, no caller who waits for a sequence number sleeps on once it is durable, or once it
// never will be. Method: `Signal` and `Wait` themselves, two and three threads, in every order of
// events, with three threads up to a number of preemptions.
#[test]
fn no_wake_up_of_a_signal_is_lost() {
    assert!(every_order("reached", None, reached) > 10);
    assert!(every_order("reached at the end", None, reached_at_the_end) > 10);
    assert!(every_order("reached in turn", Some(2), reached_in_turn) > 100);
}

// Goal: a lost wake-up is found. Method: leave out the second look under the lock, and play the
// same.
#[test]
fn a_look_left_out_is_found() {
    let (test, fault) = ("signaling::a_look_left_out_is_found", Planted::OneLook);
    assert!(sleeps_for_ever(test, Some(fault), reached), "one look is enough?");
    println!("1 planted fault of the handshakes found: {fault:?}");
}

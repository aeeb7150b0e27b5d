use crate::explore::{Scenario, explore, meet};
use crate::sim_disk::SimDisk;
use crate::world::{LONG, Start, World, holds, key, row};
use grantkeep::Wait as _;
use grantkeep::backend::{Backend as _, Batch, Outcome};
use shuttle::thread;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::AtomicU64;
use std::task::{Context, Poll};

static MET: [(&str, AtomicU64); 3] = [
    ("commits waited for again", AtomicU64::new(0)),
    ("joined commits of one sync", AtomicU64::new(0)),
    ("commits done in one poll", AtomicU64::new(0)),
];

/// Callers offer to write what they gather, and then do not.
pub const JOIN: Scenario = Scenario { name: "joining", start: Start::Few, play, met: &MET };

type Commit<'w> = Pin<Box<dyn Future<Output = Outcome> + Send + 'w>>;

/// Inserts a row under the key of this number.
fn commit(world: &World, number: u8) -> Commit<'_> {
    let mut batch = Batch::new().unwrap();
    let until = world.store.now().saturating_add(LONG);
    batch.insert(key(number), row(key(number), 1, until));
    Box::pin(async move { world.store.commit(batch).await.unwrap() })
}

/// Polls a commit; true once it is done.
fn is_done(commit: &mut Commit<'_>, context: &mut Context<'_>) -> bool {
    match commit.as_mut().poll(context) {
        Poll::Ready(outcome) => {
            assert_eq!(outcome, Outcome::Applied);
            true
        }
        Poll::Pending => false,
    }
}

/// Two commits under one wait.
fn joined(world: &World) {
    let syncs = world.store.stats().log_syncs;
    let mut left = vec![commit(world, 20), commit(world, 21)];
    poll_fn(|context| {
        left.retain_mut(|commit| !is_done(commit, context));
        if left.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .wait();
    if world.store.stats().log_syncs == syncs + 1 {
        meet(&MET, "joined commits of one sync");
    }
}

/// A commit that one wait begins and another one ends.
fn left(world: &World) {
    let mut begun = commit(world, 22);
    let done = poll_fn(|context| Poll::Ready(is_done(&mut begun, context))).wait();
    if done {
        meet(&MET, "commits done in one poll");
    } else {
        meet(&MET, "commits waited for again");
        assert_eq!(begun.wait(), Outcome::Applied);
    }
}

/// A commit in whose place another one is waited for, which needs it to be durable.
fn outrun(world: &World) {
    let mut begun = commit(world, 23);
    poll_fn(|context| {
        if is_done(&mut begun, context) {
            return Poll::Ready(());
        }
        let mut batch = Batch::new().unwrap();
        batch.insert(key(23), row(key(23), 2, world.store.now().saturating_add(LONG)));
        assert_eq!(world.store.commit(batch).wait().unwrap(), Outcome::Conflict(key(23)));
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .wait();
}

fn play(image: SimDisk) {
    let world = World::open(&image, |options| options);
    let callers = [joined, left, outrun].map(|call| {
        let world = world.clone();
        thread::spawn(move || call(&world))
    });
    assert_eq!(commit(&world, 24).wait(), Outcome::Applied);
    for caller in callers {
        caller.join().unwrap();
    }
    holds(&world.power_cut(), &[20, 21, 22, 23, 24].map(|number| (key(number), 1)));
    world.store.close().unwrap();
}

// Goal: P7, whatever becomes of a caller that could write what it has gathered, somebody writes it.
// Method: commits that are joined, left after a poll and waited for again, and overtaken by a wait
// inside, beside one that is alone, in schedules that a model checker chooses.
#[test]
fn an_offer_to_lead_is_never_lost() {
    explore(JOIN);
}

//! Playing every order of events.

use loom::model::Builder;
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// The faults of the engine that lie in its handshakes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Planted {
    OneLook,
}

thread_local! {
    static PLANTED: Cell<Option<Planted>> = const { Cell::new(None) };
}

/// True if `fault` is planted: loom plays all threads of a model on the one that asked.
pub(crate) fn planted(fault: Planted) -> bool {
    PLANTED.get() == Some(fault)
}

/// Plays `model` in every order of events with at most `preemptions` of them forced, or with any
/// number; answers how many there are.
pub(crate) fn every_order(
    name: &str,
    preemptions: Option<usize>,
    model: impl Fn() + Sync + Send + 'static,
) -> u64 {
    let begun = Instant::now();
    let orders = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&orders);
    let mut builder = Builder::new();
    builder.preemption_bound = preemptions;
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        model();
    });
    let orders = orders.load(Ordering::Relaxed);
    let bound = preemptions.map_or("any number of".to_owned(), |most| format!("up to {most}"));
    println!(
        "{name}: {orders} orders of events, all there are with {bound} preemptions; {:.1} s",
        begun.elapsed().as_secs_f64()
    );
    orders
}

/// Names the fault that a child of this process plays its model with.
const CHILD: &str = "GRANTKEEP_HANDSHAKES_CHILD";

/// True if `model` sleeps for ever in some order of events. It is played by a child, which runs the
/// test of this name alone: a model that fails takes its process along.
pub(crate) fn sleeps_for_ever(test: &str, fault: Option<Planted>, model: fn()) -> bool {
    if std::env::var_os(CHILD).is_some() {
        PLANTED.set(fault);
        Builder::new().check(model);
        std::process::exit(0);
    }
    let this = std::env::current_exe().expect("this program");
    let mut child = std::process::Command::new(this);
    let ended = child.args(["--exact", test, "--nocapture"]).env(CHILD, "1").output();
    let ended = ended.expect("a child runs");
    let said = String::from_utf8_lossy(&ended.stderr);
    !ended.status.success() && said.contains("deadlock")
}

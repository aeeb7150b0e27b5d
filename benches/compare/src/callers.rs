//! Callers: what each of them does next, on threads of their own or as tasks of one runtime.

use crate::engine::Engine;
use crate::workload::{Change, Shape};
use futures_util::future::join_all;
use grantkeep_benches::random::mix;
use grantkeep_benches::{Ran, Random, Sample, Until, crowd};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// What callers do.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Work {
    /// Issues pairs.
    Issue,
    /// Rotates families of its own among those with numbers below this.
    Rotate(u64),
}

impl Work {
    pub(crate) fn is_rotating(self) -> bool {
        matches!(self, Self::Rotate(_))
    }
}

/// A caller.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    random: Random,
    number: u64,
    callers: u64,
    shape: Shape,
    work: Work,
}

impl Caller {
    /// So many callers that do this; `turn` tells their random numbers from those of other turns.
    pub(crate) fn crowd(callers: usize, turn: u64, shape: Shape, work: Work) -> Vec<Self> {
        let caller = |number| Self {
            random: Random::new(mix((turn << 20) | number)),
            number,
            callers: callers as u64,
            shape,
            work,
        };
        (0..callers as u64).map(caller).collect()
    }

    /// The next change.
    fn next(&mut self, now_ms: u64) -> Change {
        // Far away from the numbers that are loaded.
        let number = self.random.number() | 1 << 63;
        match self.work {
            Work::Issue => self.shape.pair(number, now_ms),
            Work::Rotate(families) => {
                let own = self.random.below(families / self.callers) * self.callers + self.number;
                self.shape.rotation(own, number, now_ms)
            }
        }
    }
}

/// So many callers are tasks of one runtime; fewer have a thread each.
pub(crate) const TASKS: usize = 1_024;

/// What so many callers are.
pub(crate) fn kind_of(callers: usize) -> &'static str {
    if callers == TASKS { "tasks of one runtime" } else { "callers" }
}

/// Lets callers write, each in its own way.
pub(crate) fn run(
    runtime: &Runtime,
    engine: &Arc<dyn Engine>,
    mut callers: Vec<Caller>,
    span: Duration,
) -> Ran {
    if callers.len() == TASKS {
        as_tasks(runtime, engine, callers, span)
    } else {
        on_threads(&**engine, &mut callers, span)
    }
}

/// Lets callers write on threads of their own.
pub(crate) fn on_threads(engine: &dyn Engine, callers: &mut [Caller], span: Duration) -> Ran {
    let write = |caller: &mut Caller| engine.write(caller.next(engine.now_ms()));
    crowd(callers, Until::Elapsed(span), write)
}

/// Lets callers write as tasks of one runtime.
fn as_tasks(
    runtime: &Runtime,
    engine: &Arc<dyn Engine>,
    callers: Vec<Caller>,
    span: Duration,
) -> Ran {
    let started = Instant::now();
    let task = |mut caller: Caller| {
        let engine = Arc::clone(engine);
        runtime.spawn(async move {
            let (mut own, mut last) = (Vec::new(), started.elapsed());
            while last < span {
                engine.write_async(caller.next(engine.now_ms())).await;
                let now = started.elapsed();
                own.push(Sample { ended: now, took: now.saturating_sub(last) });
                last = now;
            }
            own
        })
    };
    let tasks: Vec<_> = callers.into_iter().map(task).collect();
    let ended = runtime.block_on(join_all(tasks));
    let took = started.elapsed();
    Ran::new(took, ended.into_iter().flat_map(|own| own.expect("a caller")).collect())
}

//! A crowd of callers, each on a thread of its own, and how long each of their calls took.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

/// Threads that call at the same time, unless a bench says otherwise.
pub const CALLERS: usize = 16;

/// When a crowd stops.
#[derive(Debug, Clone, Copy)]
pub enum Until {
    /// After this long.
    Elapsed(Duration),
    /// After this many calls, by all callers together.
    Calls(u64),
}

/// One call.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// When it ended, from the start of the run.
    pub ended: Duration,
    /// How long it took.
    pub took: Duration,
}

/// What a crowd did.
#[derive(Debug, Clone)]
pub struct Ran {
    /// From the first call to the end of the last.
    pub took: Duration,
    /// All calls, in no order.
    pub samples: Vec<Sample>,
    /// How long each call took, in ascending order.
    latencies: Vec<Duration>,
}

impl Ran {
    /// What callers of another kind did.
    pub fn new(took: Duration, samples: Vec<Sample>) -> Self {
        let mut latencies: Vec<Duration> = samples.iter().map(|sample| sample.took).collect();
        latencies.sort_unstable();
        Self { took, samples, latencies }
    }

    /// Calls there were.
    pub fn calls(&self) -> u64 {
        self.latencies.len() as u64
    }

    /// Calls per second.
    pub fn per_second(&self) -> f64 {
        self.calls() as f64 / self.took.as_secs_f64()
    }

    /// The latency that this share (0 to 1) of all calls stays below, exactly.
    pub fn quantile(&self, share: f64) -> Duration {
        let last = self.latencies.len().saturating_sub(1);
        let at = (last as f64 * share).round() as usize;
        self.latencies.get(at).copied().unwrap_or_default()
    }
}

/// Lets every caller, with a state of its own, do `work` over and over.
pub fn crowd<S: Send>(callers: &mut [S], until: Until, work: impl Fn(&mut S) + Sync) -> Ran {
    let (share, span) = match until {
        Until::Elapsed(span) => (u64::MAX, span),
        Until::Calls(calls) => (calls.div_ceil(callers.len() as u64), Duration::MAX),
    };
    let ready = Barrier::new(callers.len());
    let run = |caller: &mut S| {
        ready.wait();
        let started = Instant::now();
        let mut own = Vec::with_capacity(1 << 16);
        let mut last = Duration::ZERO;
        while (own.len() as u64) < share && last < span {
            work(caller);
            let now = started.elapsed();
            own.push(Sample { ended: now, took: now.saturating_sub(last) });
            last = now;
        }
        (own, last)
    };
    let (mut took, mut samples) = (Duration::ZERO, Vec::new());
    thread::scope(|scope| {
        let start = |caller| {
            let named = thread::Builder::new().name("caller".to_owned());
            named.spawn_scoped(scope, || run(caller)).expect("a thread")
        };
        let threads: Vec<_> = callers.iter_mut().map(start).collect();
        for thread in threads {
            let (own, last) = thread.join().expect("a caller");
            samples.extend(own);
            took = took.max(last);
        }
    });
    Ran::new(took, samples)
}

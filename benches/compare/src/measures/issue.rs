//! Durable issuing and rotating, and look-ups in memory, with half a million pairs there.

use crate::callers::{self, Caller, TASKS, Work, on_threads};
use crate::engine::Contender;
use crate::run::{Run, Running, load};
use crate::workload::{Shape, Text};
use grantkeep_benches::yardstick::BareLog;
use grantkeep_benches::{CALLERS, Ran, Random, Until, crowd};
use grantkeep_report::{Bound, Comparison, Kind, Measure, Plot};
use std::hint::black_box;
use std::ops::Range;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// The lengths of rows.
const ROW_BYTES: [usize; 2] = [300, 1_200];
/// Callers on threads, for the plot.
const THREADS: [usize; 5] = [1, 4, 16, 64, 256];
/// Look-ups between two looks at the time.
const LOOK_UPS: usize = 256;
/// So many times more tokens are there than are hot.
const HOT_PART: u64 = 5;

pub(crate) fn measure(run: &Run, comparison: &mut Comparison) {
    let runtime = Runtime::new().expect("a runtime");
    for row_bytes in ROW_BYTES {
        let place = format!("issue {row_bytes}");
        let running = run.open(&place, |_| true, |setup| setup);
        let shape = Shape::lasting(row_bytes);
        for one in &running {
            run.doing(&format!("{}: loading {} pairs", one.name(), run.scale.pairs));
            load(&*one.engine, 0..run.scale.pairs, |_| shape);
            one.engine.settle();
        }
        let stage = Stage { run, running: &running, shape, runtime: &runtime };
        if row_bytes == ROW_BYTES[0] {
            comparison.measures.extend(stage.looked_up());
            comparison.plots.push(stage.over_callers());
        }
        comparison.measures.push(stage.issued());
        if row_bytes == ROW_BYTES[0] {
            comparison.measures.push(stage.issued_alone());
            comparison.measures.push(stage.issued_by_tasks());
            comparison.measures.push(stage.rotated());
        }
        drop(running);
        run.clear(&place);
    }
}

/// Engines with pairs in them, to be measured in turns.
struct Stage<'r> {
    run: &'r Run,
    running: &'r [Running],
    shape: Shape,
    runtime: &'r Runtime,
}

impl Stage<'_> {
    fn issued(&self) -> Measure {
        let bytes = self.shape.row_bytes;
        let measure = Measure::new(
            format!("issue durably, {CALLERS} callers, rows of {bytes} bytes"),
            "pairs/s",
            true,
        );
        let mut measure = measure
            .bound(Bound::BestPeer(2.0))
            .bound(Bound::Side("redb".to_owned(), 6.0))
            .bound(Bound::Side(BARE_LOG.to_owned(), 0.6))
            .note(format!("{} pairs are there. {BARE_LOG_NOTE}", self.run.scale.pairs));
        let bare = BareLog::create(&self.run.scratch.path(&format!("bare {bytes}")));
        let (bare, frame) = (bare.expect("the yardstick opens"), vec![5; self.frame_bytes()]);
        for round in 0..self.run.scale.rounds {
            self.turns(&mut measure, round, CALLERS, Work::Issue);
            let mut callers = [(); CALLERS];
            let until = Until::Elapsed(self.run.scale.turn);
            let ran = crowd(&mut callers, until, |()| bare.append(&frame));
            measure.push(BARE_LOG, Kind::Yardstick, ran.per_second());
        }
        measure
    }

    fn issued_alone(&self) -> Measure {
        let measure = Measure::new("issue durably, one caller", "pairs/s", true);
        self.rounds(measure.bound(Bound::BestPeer(1.3)), 1, Work::Issue, |_| true)
    }

    fn issued_by_tasks(&self) -> Measure {
        let name = format!("issue durably, {TASKS} tasks of one runtime");
        let measure = Measure::new(name, "pairs/s", true).bound(Bound::BestPeer(3.0));
        let measure = measure.note("The servers' clients block a thread each: they are not here.");
        self.rounds(measure, TASKS, Work::Issue, |contender| !contender.server)
    }

    fn rotated(&self) -> Measure {
        let name = format!("refresh (rotate a family, issue a token), {CALLERS} callers");
        let measure = Measure::new(name, "refreshes/s", true).bound(Bound::BestPeer(2.0));
        let measure = measure.note(format!("{} families are there.", self.run.scale.pairs));
        self.rounds(measure, CALLERS, Work::Rotate(self.run.scale.pairs), |_| true)
    }

    fn rounds(
        &self,
        mut measure: Measure,
        callers: usize,
        work: Work,
        wanted: impl Fn(&Contender) -> bool,
    ) -> Measure {
        let running = self.running.iter().filter(|one| wanted(&one.contender));
        let running: Vec<Running> = running.cloned().collect();
        let stage = Stage { running: &running, ..*self };
        for round in 0..self.run.scale.rounds {
            stage.turns(&mut measure, round, callers, work);
        }
        measure
    }

    /// A turn for each engine.
    fn turns(&self, measure: &mut Measure, round: usize, callers: usize, work: Work) {
        for one in Run::in_turn(round, self.running) {
            self.run.doing(&format!("{}: {}, round {}", one.name(), measure.name, round + 1));
            let ran = self.turn(one, round, callers, work);
            measure.push(one.name(), one.kind(), ran.per_second());
        }
    }

    fn turn(&self, one: &Running, round: usize, callers: usize, work: Work) -> Ran {
        // Other numbers than in any other turn of this engine.
        let turn = (callers as u64) << 16 | (round as u64) << 8 | u64::from(work.is_rotating());
        let crowd = Caller::crowd(callers, turn, self.shape, work);
        let ran = callers::run(self.runtime, &one.engine, crowd, self.run.scale.turn);
        // What it left to be done is not to slow down the next engine.
        one.engine.settle();
        ran
    }

    fn over_callers(&self) -> Plot {
        let mut plot = Plot {
            file: "issue-callers".to_owned(),
            title: "Durable issuing against callers".to_owned(),
            across: format!("callers (threads; tasks of one runtime at {TASKS})"),
            upwards: "pairs a second".to_owned(),
            logarithmic: (true, true),
            ..Plot::default()
        };
        for (at, callers) in THREADS.into_iter().chain([TASKS]).enumerate() {
            for one in self.running.iter().filter(|one| callers < TASKS || !one.contender.server) {
                self.run.doing(&format!("{}: {callers} callers", one.name()));
                let ran = self.turn(one, 100 + at, callers, Work::Issue);
                plot.push(one.name(), (callers as f64, ran.per_second()));
            }
        }
        plot
    }

    fn looked_up(&self) -> Vec<Measure> {
        let hot = Measure::new("look up a token, hot, one thread", "us", false)
            .bound(Bound::Side("LMDB".to_owned(), 3.0));
        let unknown = Measure::new("look up an unknown token, one thread", "us", false)
            .bound(Bound::BestPeer(5.0));
        let pairs = self.run.scale.pairs;
        let known = 0..pairs / HOT_PART;
        let note = format!(
            "Among {pairs} tokens and as many families; the hot ones are {} of the tokens, so that \
             they fit in every cache. The digest of a presented text is part of all of them, and \
             is shown alone.",
            known.end
        );
        for one in self.running {
            run_through(one, known.clone());
        }
        let mut measures = [(hot, known, true), (unknown, pairs..2 * pairs, false)];
        let span = self.run.scale.turn / 3;
        for round in 0..self.run.scale.rounds {
            for (measure, numbers, there) in &mut measures {
                for one in Run::in_turn(round, self.running) {
                    self.run.doing(&format!("{}: {}", one.name(), measure.name));
                    let us = look_up_us(one, numbers.clone(), *there, span);
                    measure.push(one.name(), one.kind(), us);
                }
                let us = each_us(numbers.clone(), span, |text| {
                    black_box(text.digest());
                });
                measure.push(DIGEST, Kind::Yardstick, us);
            }
        }
        measures.into_iter().map(|(measure, ..)| measure.note(note.clone())).collect()
    }

    /// What a pair takes in the store's log: so much the bare log writes as well.
    fn frame_bytes(&self) -> usize {
        frame_bytes(&self.running[0], self.shape)
    }
}

const DIGEST: &str = "the digest alone";
pub(crate) const BARE_LOG: &str = "bare log";
const BARE_LOG_NOTE: &str = "The bare log is a pre-zeroed file that as many callers append as many \
                             bytes to and sync together, and nothing else.";

/// What a pair takes in the log of the store.
pub(crate) fn frame_bytes(one: &Running, shape: Shape) -> usize {
    let store = one.engine.store().expect("the store comes first");
    let mut callers = Caller::crowd(1, u64::from(u32::MAX), shape, Work::Issue);
    let before = store.stats().log_backlog_bytes;
    let ran = on_threads(&*one.engine, &mut callers, Duration::from_millis(50));
    let after = store.stats().log_backlog_bytes;
    (after.saturating_sub(before) / ran.calls()) as usize
}

/// Looks every token of these numbers up once, so that it is in whatever cache there is.
fn run_through(one: &Running, numbers: Range<u64>) {
    let mut reader = one.engine.reader();
    for number in numbers {
        assert!(reader.look_up(&Text::of(number)).is_some(), "{}: token {number}", one.name());
    }
}

/// How long one of many look-ups takes, in microseconds.
pub(crate) fn look_up_us(one: &Running, numbers: Range<u64>, there: bool, span: Duration) -> f64 {
    let mut reader = one.engine.reader();
    each_us(numbers, span, |text| {
        let found = reader.look_up(text);
        assert_eq!(black_box(found).is_some(), there, "{}", one.name());
    })
}

/// How long one of many takes, in microseconds, of texts with numbers out of this range. Making
/// the texts is not counted.
fn each_us(numbers: Range<u64>, span: Duration, mut each: impl FnMut(&Text)) -> f64 {
    let mut random = Random::new(numbers.start ^ numbers.end);
    let (started, mut took, mut count) = (Instant::now(), Duration::ZERO, 0_u32);
    while started.elapsed() < span {
        let texts = [(); LOOK_UPS]
            .map(|()| Text::of(numbers.start + random.below(numbers.end - numbers.start)));
        let begun = Instant::now();
        texts.iter().for_each(&mut each);
        took += begun.elapsed();
        count += LOOK_UPS as u32;
    }
    took.as_secs_f64() * 1e6 / f64::from(count)
}

//! What grows with the rows: look-ups, memory, disk, opening after a kill; and whether rates stay.

use super::issue::look_up_us;
use crate::callers::{Caller, Work, on_threads};
use crate::engine::Contender;
use crate::engines::STORE;
use crate::probe::{self, Found};
use crate::run::{Run, Running, load};
use crate::workload::Shape;
use grantkeep_benches::CALLERS;
use grantkeep_report::{Bound, Comparison, Kind, Measure, Plot};

const ROW_BYTES: usize = 300;
/// How often an engine of a size that is judged is killed and opened.
const KILLS: usize = 3;

pub(crate) fn measure(run: &Run, comparison: &mut Comparison) {
    comparison.measures.extend(rates(run));
    let (plots, opened) = probes(run);
    comparison.measures.extend(opened);
    comparison.plots.extend(plots);
}

fn plot(file: &str, title: &str, upwards: &str) -> Plot {
    Plot {
        file: file.to_owned(),
        title: title.to_owned(),
        across: "rows".to_owned(),
        upwards: upwards.to_owned(),
        logarithmic: (true, true),
        ..Plot::default()
    }
}

/// The sizes an engine is filled to, in rows.
fn sizes(run: &Run, contender: &Contender) -> Vec<u64> {
    let mut sizes = run.scale.sizes.to_vec();
    if ["LMDB", "redb", "RocksDB", STORE].contains(&contender.name) {
        sizes.push(run.scale.large);
    }
    if contender.name == STORE {
        sizes.extend([run.scale.large / 2, run.scale.largest]);
    }
    sizes.sort_unstable();
    sizes
}

fn probes(run: &Run) -> (Vec<Plot>, Vec<Measure>) {
    let mut plots = [
        plot("look-up-rows", "Look-up of a token against rows", "microseconds"),
        plot("memory-rows", "Memory of the process, without files, against rows", "bytes"),
        plot("disk-rows", "Disk against rows", "bytes"),
        plot("reopen-rows", "Opening after SIGKILL against rows", "seconds"),
    ];
    let large = run.scale.large;
    let mut reopened = Measure::new(format!("open after SIGKILL, {large} rows"), "s", false)
        .bound(Bound::Side("redb".to_owned(), 5.0))
        .note(
            "Killed right after a durable write. The store drops its files from the page cache \
               before it reads them, since a failed sync may have left pages there that are not on \
               the disk; the peers believe the cache.",
        );
    let mut halved =
        Measure::new(format!("open after SIGKILL, {large} rows against half of them"), "s", false)
            .bound(Bound::Side(HALF.to_owned(), 0.5))
            .note("Linear would be 0.5.");
    for contender in run.contenders.iter().filter(|contender| !contender.server) {
        for rows in sizes(run, contender) {
            run.doing(&format!("{}: {rows} rows", contender.name));
            let judged = contender.name == STORE && rows == large / 2 || rows == large;
            let found = probe(run, contender, rows, if judged { KILLS } else { 1 });
            let Some((filled, opened)) = found.split_first() else { continue };
            let open = |found: &Found| found.opened_s;
            let median =
                grantkeep_report::results::Spread::of(&opened.iter().map(open).collect::<Vec<_>>());
            let figures =
                [filled.look_up_us, filled.memory_bytes, filled.disk_bytes, median.median];
            for (plot, figure) in plots.iter_mut().zip(figures) {
                plot.push(contender.name, (rows as f64, figure));
            }
            let of_store = contender.name == STORE;
            let kind = if of_store { Kind::Store } else { Kind::Peer };
            for found in opened {
                if rows == large {
                    reopened.push(contender.name, kind, found.opened_s);
                }
                if of_store && rows == large {
                    halved.push(STORE, Kind::Store, found.opened_s);
                } else if of_store && rows == large / 2 {
                    halved.push(HALF, Kind::Yardstick, found.opened_s);
                }
            }
        }
    }
    (plots.into(), vec![reopened, halved])
}

const HALF: &str = "half of the rows";

/// Fills an engine in a process, kills that, and opens and kills it so often again.
fn probe(run: &Run, contender: &Contender, rows: u64, kills: usize) -> Vec<Found> {
    let dir = run.scratch.path(&format!("probe {} {rows}", contender.name));
    std::fs::create_dir(&dir).expect("a directory for the engine");
    let found = (0..=kills).map(|kill| probe::ask(contender.name, &dir, rows / 2, kill == 0));
    let found = found.collect();
    // What cannot be removed goes with the whole run's directory.
    let _ = std::fs::remove_dir_all(dir);
    found
}

/// The rates of a store with many rows against those of one with few.
fn rates(run: &Run) -> Vec<Measure> {
    let shape = Shape::lasting(ROW_BYTES);
    let few = format!("with {} rows", run.scale.largest / 100);
    let measures = ["issue durably", "refresh", "look up"].map(|what| {
        let name = format!("{what}, {} rows there", run.scale.largest);
        let unit = if what == "look up" { "us" } else { "/s" };
        let measure = Measure::new(name, unit, what != "look up");
        measure.bound(Bound::Side(few.clone(), 0.8))
    });
    let [mut issued, mut rotated, mut looked_up] = measures;
    let counts = [run.scale.largest / 2, run.scale.largest / 200];
    let stores: Vec<(Running, u64)> = counts
        .into_iter()
        .map(|pairs| {
            let place = format!("growth {pairs}");
            let mut one = run.open(&place, |contender| contender.name == STORE, |setup| setup);
            run.doing(&format!("grantkeep: loading {pairs} pairs"));
            let one = one.remove(0);
            load(&*one.engine, 0..pairs, |_| shape);
            one.engine.settle();
            (one, pairs)
        })
        .collect();
    for round in 0..run.scale.rounds {
        for (one, pairs) in &stores {
            let many = *pairs == counts[0];
            let (name, kind) =
                if many { (STORE, Kind::Store) } else { (few.as_str(), Kind::Yardstick) };
            let rate = |work: Work| {
                let turn = 2 * round as u64 + u64::from(work.is_rotating());
                let mut callers = Caller::crowd(CALLERS, turn, shape, work);
                let ran = on_threads(&*one.engine, &mut callers, run.scale.turn);
                one.engine.settle();
                ran.per_second()
            };
            issued.push(name, kind, rate(Work::Issue));
            rotated.push(name, kind, rate(Work::Rotate(*pairs)));
            let us = look_up_us(one, 0..*pairs, true, run.scale.turn / 3);
            looked_up.push(name, kind, us);
        }
    }
    drop(stores);
    counts.into_iter().for_each(|pairs| run.clear(&format!("growth {pairs}")));
    vec![issued, rotated, looked_up]
}

//! One set of HTTP handlers on the store, on PostgreSQL, and on Redis, loaded over loopback by one
//! generator; and `grantkeep serve` beside them.

use crate::engine::Setup;
use crate::engines::postgres::Cluster;
use crate::engines::{POSTGRES, REDIS, STORE, redis};
use crate::run::Run;
use crate::served::{self, Embedded, Postgres, Redis, SCHEMA};
use grantkeep_benches::served::{
    CONNECTIONS, FAMILIES, Kind, Ran, Served, Stock, millis, run as load,
};
use grantkeep_report::{Bound, Comparison, Kind as Whose, Measure};
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tokio::runtime::Runtime;

/// The program that is measured beside the handlers: they are not to be better than it.
const SERVE: &str = "grantkeep serve";
/// What is compared, and how many times as fast the store has to be as PostgreSQL and as Redis.
const ASKED: [(Kind, [f64; 2]); 2] = [(Kind::Refresh, [3.0, 1.5]), (Kind::Introspect, [1.5, 1.5])];

pub(crate) fn measure(run: &Run, comparison: &mut Comparison) {
    let runtime = Runtime::new().expect("a runtime");
    let is_there = |name: &&str| run.contenders.iter().any(|contender| contender.name == *name);
    let behind: Vec<&'static str> = [STORE, POSTGRES, REDIS].into_iter().filter(is_there).collect();
    let behind: Vec<&'static str> = behind.into_iter().chain([SERVE]).collect();
    for (kind, [over_postgres, over_redis]) in ASKED {
        let what = if kind == Kind::Refresh { "refresh, durable" } else { "introspection" };
        let named = |figure: &str| format!("{what}, over HTTP, {CONNECTIONS} connections{figure}");
        let mut rate = Measure::new(named(""), "/s", true)
            .bound(Bound::Side(POSTGRES.to_owned(), over_postgres))
            .bound(Bound::Side(REDIS.to_owned(), over_redis))
            .note(NOTE);
        let mut tails = [(0.5, "p50"), (0.99, "p99")].map(|(share, quantile)| {
            (share, Measure::new(format!("{quantile} of it"), "ms", false))
        });
        for round in 0..run.scale.served_rounds {
            for at in 0..behind.len() {
                // Each goes first in turn.
                let name = behind[(at + round) % behind.len()];
                run.doing(&format!("{name}: {}, round {}", rate.name, round + 1));
                let mut ran = turn(run, &runtime, name, kind);
                let whose = match name {
                    STORE => Whose::Store,
                    SERVE => Whose::Yardstick,
                    _ => Whose::Peer,
                };
                rate.push(name, whose, ran.per_second());
                for (share, measure) in &mut tails {
                    measure.push(name, whose, millis(&mut ran.latencies_ns, *share));
                }
            }
        }
        comparison.measures.push(rate);
        comparison.measures.extend(tails.map(|(_, measure)| measure));
    }
}

const NOTE: &str = "One set of handlers, whose store alone is exchanged, each in a process of \
                    its own beside the generator on the same processors; `grantkeep serve` is the \
                    whole program.";

/// One store behind the handlers, filled, loaded, and ended.
fn turn(run: &Run, runtime: &Runtime, name: &'static str, kind: Kind) -> Ran {
    let place = format!("served {name}");
    let dir = run.scratch.path(&place);
    std::fs::create_dir(&dir).expect("a directory for the store");
    let (families, lasts) = (FAMILIES, run.scale.served);
    let ran = match name {
        SERVE => {
            let stock = Stock::make(&dir, kind, lasts);
            loaded(&Served::start(&dir), kind, stock, lasts)
        }
        STORE => {
            let store = Embedded::create(&dir);
            let pairs = runtime.block_on(served::opened(&store, families));
            store.close();
            loaded(&handlers(name, &dir, 0), kind, Stock::of_pairs(pairs), lasts)
        }
        POSTGRES => {
            let cluster = Cluster::start(&Setup::new(dir.clone()), SCHEMA);
            let pairs = runtime.block_on(async {
                let tokens = Postgres::connect(cluster.port()).await;
                served::opened(&tokens, families).await
            });
            loaded(&handlers(name, &dir, cluster.port()), kind, Stock::of_pairs(pairs), lasts)
        }
        _ => {
            let server = redis::start(&Setup::new(dir.clone()));
            let pairs = runtime.block_on(async {
                let tokens = Redis::connect(server.port).await;
                served::opened(&tokens, families).await
            });
            loaded(&handlers(name, &dir, server.port), kind, Stock::of_pairs(pairs), lasts)
        }
    };
    std::fs::remove_dir_all(&dir).expect("the directory goes");
    ran
}

/// The handlers on a store, in a process of their own.
fn handlers(name: &str, dir: &Path, port: u16) -> Served {
    let program = std::env::current_exe().expect("the path of this program");
    let mut command = Command::new(program);
    command.args(["handlers", name]).arg(dir).arg(port.to_string());
    Served::started(command)
}

fn loaded(server: &Served, kind: Kind, mut stock: Stock, lasts: Duration) -> Ran {
    load(server.address(), kind, &mut stock, CONNECTIONS, lasts)
}

//! What a store holds, in plain lines.

use grantkeep::backend::{Budget, Stats};
use grantkeep::{Record, Result, Store, Wait as _};
use std::path::Path;

/// Opens the store in `dir` and prints what it says of itself, once what has died is swept: an open
/// finds it in the log again.
pub(crate) fn print(dir: &Path) -> Result<()> {
    let store = Store::options().create(false).open(dir)?;
    store.sweep(Budget::ALL).wait()?;
    let stats = store.stats();
    for (name, value) in lines(&stats) {
        println!("{name:<24}{value:>16}");
    }
    store.close()
}

fn lines(stats: &Stats) -> Vec<(&'static str, String)> {
    let rows = |name, kind| (name, stats.rows_of(kind).to_string());
    vec![
        rows("codes", grantkeep::Code::KIND),
        rows("tokens", grantkeep::Token::KIND),
        rows("personal tokens", grantkeep::Personal::KIND),
        rows("families", grantkeep::Family::KIND),
        rows("clients", grantkeep::Client::KIND),
        rows("epochs", grantkeep::Epoch::KIND),
        ("rows of all kinds", stats.rows_total().to_string()),
        ("windows", stats.windows.to_string()),
        ("sweep lag", format!("{:?}", stats.sweep_lag)),
        ("log bytes", stats.log_bytes.to_string()),
        ("log backlog bytes", stats.log_backlog_bytes.to_string()),
        ("table bytes", stats.table_bytes.to_string()),
        ("index bytes", stats.index_bytes.to_string()),
        ("clock lead", format!("{:?}", stats.clock_lead)),
        ("open took", format!("{:.1?}", stats.open_took)),
    ]
}

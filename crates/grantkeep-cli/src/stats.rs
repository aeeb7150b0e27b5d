//! What a store holds, in plain lines.

use grantkeep::backend::{Backend as _, Stats};
use grantkeep::{Record, Result, Store};
use std::path::Path;

/// Looks at the store in `dir` and prints what it says of itself, as it is found: what has died and
/// is not swept yet is counted, and told. It takes no keys.
pub(crate) fn print(dir: &Path) -> Result<()> {
    let store = Store::options().open_without_keys(dir)?;
    let stats = store.stats();
    let mut lines = lines(&stats);
    let ended = store.rows_ended_by(store.now().into());
    lines.insert(7, ("of them to be swept", ended.to_string()));
    for (name, value) in lines {
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

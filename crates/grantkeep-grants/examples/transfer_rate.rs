//! How many rows an import and an export move in a second:
//! `cargo run --release -p grantkeep-grants --features transfer --example transfer_rate -- ROWS`.
//!
//! Half of the tokens come as texts, half as SHA-256; each fourth line is a family, whose token
//! comes behind it. The store is made in the directory for temporary files, or in the one that
//! `TMPDIR` names.

use grantkeep::{Store, Wait as _};
use grantkeep_grants::{Grants, Policy};
use std::error::Error;
use std::fs::File;
use std::io::{BufReader, BufWriter, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

fn write_lines(to: &Path, rows: u64) -> Result<(), Box<dyn Error>> {
    let mut lines = BufWriter::new(File::create(to)?);
    for number in 0..rows {
        let owners = format!(r#""client":"client-{}","subject":"s{}""#, number % 20, number / 8);
        let bearer = if number % 2 == 0 {
            format!(r#""text":"token number {number:012}""#)
        } else {
            format!(r#""sha256":"{number:064x}""#)
        };
        let rest = format!(r#"{owners},{bearer},"scopes":"read write","expires_in":86400"#);
        if number % 4 == 0 {
            writeln!(lines, r#"{{"kind":"family","name":"f-{number}",{rest},"ends_in":864000}}"#)?;
        } else {
            writeln!(lines, r#"{{"kind":"token",{rest}}}"#)?;
        }
    }
    Ok(lines.flush()?)
}

fn told(what: &str, rows: u64, took: Duration) {
    let rate = rows as f64 / took.as_secs_f64();
    println!("{what}: {rows} lines in {:.2} s, {rate:.0} in a second", took.as_secs_f64());
}

fn main() -> Result<(), Box<dyn Error>> {
    let rows = std::env::args().nth(1).map_or(Ok(100_000), |rows| rows.parse())?;
    let place = tempfile::tempdir()?;
    let (input, output) = (place.path().join("in.jsonl"), place.path().join("out.jsonl"));
    write_lines(&input, rows)?;
    let grants = Grants::new(Store::open(place.path().join("store"))?, Policy::default())?;

    let begun = Instant::now();
    let imported = grants.import(&mut BufReader::new(File::open(&input)?), |_| {}).wait()?;
    told("import", imported.lines(), begun.elapsed());
    let begun = Instant::now();
    let again = grants.import(&mut BufReader::new(File::open(&input)?), |_| {}).wait()?;
    told("import, all of it there already", again.skipped, begun.elapsed());
    let begun = Instant::now();
    let exported = grants.export(&mut BufWriter::new(File::create(&output)?), |_| {}).wait()?;
    told("export", exported.lines(), begun.elapsed());
    grants.store().close()?;
    Ok(())
}

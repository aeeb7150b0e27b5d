//! A store of many rows, by default options: how long it takes to open after a kill, what a cold
//! look-up and a listing of nothing cost, how long a sweep takes and holds others up, and what of
//! the disk and of the memory is given back.
//!
//! ```text
//! cargo bench -p grantkeep-benches --bench scale -- --rows 40000000 --dir /var/tmp/scale
//! ```
//!
//! Rows are access tokens of 310 bytes on disk, about, that live 1 to 60 days. The store is filled
//! by a process that is killed then (SIGKILL); what is cached of its files is dropped before the
//! open, and before cold look-ups, as far as the system lets it. With `--check` a figure that
//! misses its bound fails the run.

use grantkeep::backend::{Backend as _, Budget, Term};
use grantkeep::{Clock as _, Epochs, ManualClock, Options, Record as _, Store, Token, Wait as _};
use grantkeep_benches::random::mix;
use grantkeep_benches::workload::{TOKEN_CHARACTERS, TokenText, token};
use grantkeep_benches::{Random, Scratch};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

const ROWS: u64 = 1_000_000;
const DAY: Duration = Duration::from_secs(86_400);
/// Rows live one day at least, and so many more at most.
const DAYS: u64 = 60;
/// By then half of the rows have died.
const HALF: u32 = 31;
const BATCH_ROWS: u64 = 60;
const LOADERS: u64 = 8;
const LOOKUPS: u64 = 2_000;
const LISTINGS: u64 = 200;
/// Until the disk is looked at after a sweep.
const SETTLES: Duration = Duration::from_secs(60);

struct Scale {
    rows: u64,
    check: bool,
    missed: bool,
}

impl Scale {
    /// Prints a figure, and holds it against its bound.
    fn print(&mut self, name: &str, figure: f64, unit: &str, most: Option<f64>) {
        let verdict = match most {
            Some(most) if figure > most => {
                self.missed = true;
                format!("  at most {most}: missed")
            }
            Some(most) => format!("  at most {most}: met"),
            None => String::new(),
        };
        println!("{name:<44} {figure:>10.2} {unit}{verdict}");
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).cloned()
    };
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    let rows = value("--rows").map_or(ROWS, |rows| rows.parse().expect("a number of rows"));
    if let Some(dir) = value("--fill") {
        fill(Path::new(&dir), rows);
        return ExitCode::SUCCESS;
    }
    if !has("--bench") {
        // Built and run as a test: nothing to be measured here.
        return ExitCode::SUCCESS;
    }
    let scratch = Scratch::new();
    let dir = value("--dir").map_or_else(|| scratch.path("store"), PathBuf::from);
    let mut scale = Scale { rows, check: has("--check"), missed: false };
    measure(&mut scale, &dir);
    if value("--dir").is_some() {
        std::fs::remove_dir_all(&dir).expect("the store goes");
    }
    if scale.check && scale.missed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// When the store was filled.
fn begin() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn open(dir: &Path, clock: &Arc<ManualClock>, change: impl Fn(Options) -> Options) -> Store {
    change(Store::options().clock(clock.clone())).open(dir).expect("the store opens")
}

/// How long the row of this number lives.
fn lifetime(number: u64) -> Duration {
    DAY + Duration::from_secs(mix(number) % ((DAYS - 1) * DAY.as_secs()))
}

/// Fills a store, says so, and waits to be killed.
fn fill(dir: &Path, rows: u64) {
    let store = open(dir, &Arc::new(ManualClock::at(begin())), |options| options);
    std::thread::scope(|scope| {
        for loader in 0..LOADERS {
            let store = &store;
            scope.spawn(move || {
                let mut text = TokenText::new(TOKEN_CHARACTERS);
                let share = rows.div_ceil(LOADERS);
                let end = ((loader + 1) * share).min(rows);
                let mut next = loader * share;
                while next < end {
                    let mut change = store.change().expect("a change");
                    let last = (next + BATCH_ROWS).min(end);
                    for number in next..last {
                        let row = token(number, None, Epochs::default(), store.now());
                        let until = store.now().saturating_add(lifetime(number));
                        let id = store.id(text.of(number)).expect("a token");
                        change.insert(id, &row, until).expect("a row");
                    }
                    next = last;
                    store.commit(change).wait().expect("the store takes the rows");
                }
            });
        }
    });
    println!("filled");
    std::io::stdout().flush().expect("somebody reads this");
    std::thread::sleep(Duration::from_secs(3_600));
}

fn measure(scale: &mut Scale, dir: &Path) {
    let started = Instant::now();
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args(["--rows", &scale.rows.to_string(), "--fill"])
        .arg(dir)
        .stdout(Stdio::piped())
        .spawn()
        .expect("a process that fills the store");
    let told = BufReader::new(child.stdout.take().expect("what it says")).lines().next();
    assert_eq!(told.and_then(Result::ok).as_deref(), Some("filled"));
    child.kill().expect("it is there to be killed");
    child.wait().expect("it has ended");
    let rows = scale.rows as f64;
    scale.print(
        "filled, thousands of rows a second",
        rows / started.elapsed().as_secs_f64() / 1e3,
        "",
        None,
    );

    drop_cached(dir);
    let clock = Arc::new(ManualClock::at(begin()));
    let started = Instant::now();
    let store = open(dir, &clock, |options| options);
    let most = (scale.rows >= 40_000_000).then_some(3.0);
    scale.print("open after SIGKILL, nothing cached", started.elapsed().as_secs_f64(), "s", most);
    assert_eq!(store.stats().rows_of(Token::KIND), scale.rows, "rows are lost");
    store.checkpoint().wait().expect("a checkpoint");
    let index = store.stats().index_bytes as f64 / rows;
    scale.print("memory of the index, a row", index, "bytes", Some(14.0));
    store.close().expect("a close");

    drop_cached(dir);
    let started = Instant::now();
    // By itself it would sweep before it is asked to, and nobody would know how long that took.
    let store = open(dir, &clock, |options| options.row_cache_bytes(0).by_itself(false));
    scale.print("open after a close, nothing cached", started.elapsed().as_secs_f64(), "s", None);
    lookups(scale, dir, &store);
    sweep(scale, dir, &store, &clock);
}

/// Cold look-ups, and what of a listing is not its rows.
fn lookups(scale: &mut Scale, dir: &Path, store: &Store) {
    let (mut random, mut text) = (Random::new(3), TokenText::new(TOKEN_CHARACTERS));
    drop_cached(dir);
    let started = Instant::now();
    for _ in 0..LOOKUPS {
        let found = store.find::<Token>(text.of(random.below(scale.rows))).wait();
        assert!(found.expect("a look-up").is_some());
    }
    let lookup = started.elapsed().as_secs_f64() / LOOKUPS as f64;
    drop_cached(dir);
    let read = random_read(dir, &mut random);
    scale.print("cold look-up", lookup * 1e6, "us", None);
    scale.print("cold look-up / random read of 4 KiB", lookup / read, "x", Some(1.3));
    let started = Instant::now();
    for number in 0..LISTINGS {
        let term = Term(mix(number).to_le_bytes().repeat(2).try_into().expect("16 bytes"));
        let page = store.backend().list(term, None, 10).wait();
        assert!(page.expect("a listing").rows.is_empty());
    }
    let listing = started.elapsed().as_secs_f64() / LISTINGS as f64;
    scale.print("listing of nothing", listing * 1e3, "ms", Some(1.0));
}

/// How long a random read of 4 KiB takes, in the largest file of the store.
fn random_read(dir: &Path, random: &mut Random) -> f64 {
    let largest = files(dir).into_iter().max_by_key(|path| length(path)).expect("a file");
    let pages = length(&largest) / 4_096;
    let file = File::open(&largest).expect("the file");
    let mut page = [0; 4_096];
    let started = Instant::now();
    for _ in 0..LOOKUPS {
        file.read_exact_at(&mut page, random.below(pages) * 4_096).expect("a page");
    }
    started.elapsed().as_secs_f64() / LOOKUPS as f64
}

/// Half of the rows die and are swept: how long that takes, and what it gives back.
fn sweep(scale: &mut Scale, dir: &Path, store: &Store, clock: &ManualClock) {
    let used = disk_bytes(dir);
    let index = store.stats().index_bytes;
    clock.step_to(begin() + HALF * DAY);
    let due = store.rows_ended_by(clock.wall());
    drop_cached(dir);
    // A leap has to hold before anything is dropped for it.
    store.now();
    clock.advance(Duration::from_secs(31));
    let started = Instant::now();
    let mut swept = 0;
    loop {
        let piece = store.sweep(Budget::ALL).wait().expect("a sweep");
        swept += piece.rows;
        if !piece.more {
            break;
        }
    }
    let took = started.elapsed().as_secs_f64();
    assert!(swept >= due, "{swept} rows of {due} were swept");
    scale.print("rows swept, millions", swept as f64 / 1e6, "", None);
    scale.print("sweep, a row", took * 1e6 / swept.max(1) as f64, "us", Some(0.2));
    let held = store.stats().hold_longest.as_secs_f64();
    scale.print("longest hold", held * 1e3, "ms", Some(20.0));
    let started = Instant::now();
    let most = 0.6 * used as f64;
    while disk_bytes(dir) as f64 > most && started.elapsed() < SETTLES {
        std::thread::sleep(Duration::from_secs(1));
    }
    let left = disk_bytes(dir) as f64 / used as f64;
    scale.print("disk once half of the rows have died", left * 100.0, "%", Some(60.0));
    let left = store.stats().index_bytes as f64 / index as f64;
    scale.print("index once half of the rows have died", left * 100.0, "%", None);
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

fn length(path: &Path) -> u64 {
    path.metadata().map_or(0, |file| file.len())
}

/// What the store takes on the disk; the log, which has its budget, and the reserve apart.
fn disk_bytes(dir: &Path) -> u64 {
    let apart = |path: &PathBuf| path.starts_with(dir.join("log")) || path.ends_with("reserve");
    let kept = files(dir).into_iter().filter(|path| !apart(path));
    kept.map(|path| path.metadata().map_or(0, |file| file.blocks() * 512)).sum()
}

/// Has the system forget what it has cached of the store's files. What was written is synced first.
fn drop_cached(dir: &Path) {
    for path in files(dir) {
        let file = File::open(&path).expect("the file");
        // Of a file that cannot be synced nothing is dropped.
        let _ = file.sync_data();
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).expect("advice");
    }
}

use super::{HOUR, key, options, until};
use grantkeep::backend::{Backend as _, Batch, NewRow, Terms};
use grantkeep::{Error, ErrorKind, Health, ManualClock, Store, Wait as _};
use grantkeep_tests::refusing::{Call, Part, RefusingDisk};
use grantkeep_tests::sim_disk::SimDisk;
use grantkeep_tests::small_disk::SmallDisk;
use std::fmt::{self, Write as _};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber, span};

/// Keeps the warnings of the engine.
#[derive(Debug, Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

struct Message<'a>(&'a mut String);

impl Visit for Message<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = write!(self.0, "{}={value:?} ", field.name());
    }
}

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "grantkeep" && *metadata.level() == tracing::Level::WARN
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut message = String::new();
        event.record(&mut Message(&mut message));
        self.0.lock().unwrap().push(message);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// The warnings that speak of the store in this directory.
fn warnings_of(dir: &Path) -> Vec<String> {
    static ALL: std::sync::OnceLock<Warnings> = std::sync::OnceLock::new();
    let all = ALL.get_or_init(|| {
        let warnings = Warnings::default();
        tracing::subscriber::set_global_default(warnings.clone()).unwrap();
        warnings
    });
    let dir = dir.display().to_string();
    let told = all.0.lock().unwrap();
    told.iter().filter(|message| message.contains(&dir)).cloned().collect()
}

/// Issues rows of 8 KiB until one is refused.
fn fill(store: &Store) -> Error {
    for number in 0.. {
        let expires_at = store.now().saturating_add(HOUR);
        let mut batch = Batch::new().unwrap();
        let value = vec![7; 8_192];
        batch.insert(key(number), NewRow { value, expires_at, terms: Terms::NONE });
        if let Err(error) = store.backend().commit(batch).wait() {
            return error;
        }
    }
    unreachable!("the disk never filled")
}

// Goal: one answer for a readiness probe, one warning at each change, and none of a close, which
// somebody asked for. Method: a disk that fills and is given room, then a close.
#[test]
fn a_full_disk_is_told_once_and_ends_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    warnings_of(dir.path());
    let disk = SmallDisk::new(12 << 20);
    let choices = options().reserve_bytes(1 << 20).disk(disk.clone());
    let store = choices.open(dir.path().join("store")).unwrap();
    assert_eq!(store.health(), Health::Open);
    assert_eq!(fill(&store).kind(), ErrorKind::Full);
    let Health::Full { since } = store.health() else { panic!("{}", store.health()) };
    assert!(since <= std::time::SystemTime::now());
    let stats = store.stats();
    assert!(stats.full && stats.full_since == Some(since) && stats.refused_full >= 1);
    assert_eq!(stats.health.word(), "full");
    until("the warning", || !warnings_of(dir.path()).is_empty());
    disk.resize(256 << 20);
    until("room", || store.health() == Health::Open);
    let path = dir.path().join("store");
    until("its warning", || warnings_of(dir.path()).len() >= 2);
    store.close().unwrap();
    assert_eq!(store.health(), Health::Closed);
    let words: Vec<String> = warnings_of(dir.path());
    let told = |word: &str| words.iter().filter(|told| told.contains(word)).count();
    assert_eq!((told("\"full\""), told("\"open\""), told("\"closed\"")), (1, 1, 0), "{words:?}");
    assert!(words.iter().all(|told| told.contains(&path.display().to_string())));
}

// Goal: a clock that is not believed says by how much it is ahead and what ends that. Method: leap
// ten years, accept.
#[test]
fn a_clock_that_is_refused_says_why_and_until_what() {
    let dir = tempfile::tempdir().unwrap();
    let start = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let clock = Arc::new(ManualClock::at(start));
    let store = options().clock(clock.clone()).open(dir.path()).unwrap();
    clock.step_to(start + 10 * 365 * 24 * HOUR);
    let Health::ClockRefused { why, until } = store.health() else { panic!("{}", store.health()) };
    assert!(why.contains("s ahead") && until.contains("accept_clock"), "{why}, {until}");
    store.accept_clock();
    assert_eq!(store.health(), Health::Open);
}

// Goal: what fails and is tried again is told with its cause, and ends by itself; what ends a store
// is told as that. Method: no segment can be made for a while; then a write of the log fails.
#[test]
fn what_fails_is_told_with_its_cause() {
    let disk = RefusingDisk::over(SimDisk::new());
    // The first one is made. With a second the store would go on for good: carried, used again.
    disk.refuse_behind(1, Part::FreshSegment, Call::Open, io::ErrorKind::Other, u64::MAX);
    let store = options().disk(Arc::new(disk.clone())).open("/store").unwrap();
    let refused = fill(&store);
    assert_eq!(refused.kind(), ErrorKind::Io, "{refused}");
    assert!(refused.to_string().contains("cannot create a log segment"), "{refused}");
    let Health::Failing { why, .. } = store.health() else { panic!("{}", store.health()) };
    assert!(why.contains("cannot create a log segment"), "{why}");
    disk.heal();
    until("a segment", || store.health() == Health::Open);
    disk.refuse(Part::Segment, Call::Sync, io::ErrorKind::Other, 1);
    let unknown = fill(&store);
    assert_eq!(unknown.kind(), ErrorKind::Unknown, "{unknown}");
    let Health::Poisoned { why } = store.health() else { panic!("{}", store.health()) };
    assert!(why.contains("writing the log failed"), "{why}");
}

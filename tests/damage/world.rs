//! A store of everything, built on a disk in memory, with a ledger of what each name must answer:
//! rows in the log alone, in the table alone, and in both; replaced, deleted, and swept; segments
//! that are used again; and the disk as it was at earlier moments.

use crate::regions::newest_with_frames;
use grantkeep::backend::{Backend as _, Budget, Key, Outcome, Row};
use grantkeep::{
    Change, Client, ClientState, Code, CodeState, Device, DeviceState, Digest, Epochs, Family,
    FamilyState, Held, ManualClock, Origin, Owner, Payload, Personal, Record, RevocationReason,
    Store, Timestamp, Token, UserCode, Wait as _,
};
use grantkeep_tests::samples;
use grantkeep_tests::sim_disk::SimDisk;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

pub const DIR: &str = "/store";
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const SUBJECTS: [&str; 3] = ["alice", "bob", "carol"];
/// Enough of these fill some segments.
const LARGE_BYTES: usize = 12_000;

/// What each name must answer at one moment.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    /// The row under each key there ever was; `None` once it was deleted or swept.
    pub rows: BTreeMap<Key, Option<Row>>,
    /// Rows that were swept: dead, and harmless if they are still there.
    pub swept: BTreeMap<Key, Row>,
    /// Presented texts, and the keys that they lead to.
    pub texts: BTreeMap<Vec<u8>, Key>,
}

/// A store that was left behind, and what it must answer.
#[derive(Debug)]
pub struct Left {
    pub name: &'static str,
    pub disk: SimDisk,
    pub ledger: Ledger,
    /// What it answered after each of its last commits, the last one last.
    pub trail: Vec<Ledger>,
    pub closed: bool,
    /// The segment that was written to last.
    pub newest: PathBuf,
}

/// The stores to be damaged, and their common past.
#[derive(Debug)]
pub struct World {
    pub left: Vec<Left>,
    pub earlier: Vec<SimDisk>,
    pub wall: SystemTime,
}

struct Builder {
    clock: Arc<ManualClock>,
    disk: SimDisk,
    store: Store,
    ledger: Ledger,
    trail: Vec<Ledger>,
    earlier: Vec<SimDisk>,
}

/// Opens the store on `disk`, doing nothing by itself.
pub fn open(disk: &SimDisk, clock: &Arc<ManualClock>) -> grantkeep::Result<Store> {
    let options = grantkeep_tests::options(clock).disk(Arc::new(disk.clone()));
    options.row_cache_bytes(0).reserve_bytes(8 << 10).open(Path::new(DIR))
}

impl World {
    /// Builds it.
    pub fn new() -> Self {
        let clock = grantkeep_tests::manual_clock();
        let disk = SimDisk::new();
        let store = open(&disk, &clock).unwrap();
        let (ledger, trail, earlier) = (Ledger::default(), Vec::new(), Vec::new());
        let mut built = Builder { clock, disk, store, ledger, trail, earlier };
        built.first_rows();
        built.store.checkpoint().wait().unwrap();
        built.snapshot();
        built.changes_to("first", 0);
        built.store.checkpoint().wait().unwrap();
        built.snapshot();
        built.changes_to("first", 1);
        built.store.checkpoint().wait().unwrap();
        built.sweep_the_short_lived();
        built.store.rotate_keyring().wait().unwrap();
        built.fill_segments("early");
        built.store.checkpoint().wait().unwrap();
        built.reopen();
        built.snapshot();
        built.more_rows("second");
        built.changes_to("first", 2);
        built.store.checkpoint().wait().unwrap();
        built.fill_segments("late");
        built.snapshot();
        built.changes_to("second", 0);
        built.changes_to("first", 3);
        built.end()
    }
}

impl Builder {
    fn until(&self, lifetime: Duration) -> Timestamp {
        self.store.now().saturating_add(lifetime)
    }

    /// Commits a change, and notes what its keys answer from then on.
    fn commit(&mut self, fill: impl FnOnce(&Self, &mut Change) -> Vec<Key>) {
        let mut change = self.store.change().unwrap();
        let keys = fill(self, &mut change);
        assert_eq!(self.store.commit(change).wait().unwrap(), Outcome::Applied);
        self.note(keys);
    }

    fn note(&mut self, keys: Vec<Key>) {
        for key in keys {
            let row = self.store.backend().get(key).wait().unwrap();
            self.ledger.rows.insert(key, row);
        }
        self.trail.push(self.ledger.clone());
    }

    fn held<R: Record>(&self, name: &str) -> Held<R> {
        self.store.get::<R>(samples::id(name)).wait().unwrap().unwrap()
    }

    /// Puts `record` in place of what is there under `name`.
    fn replace<R>(&mut self, name: &str, change: impl Fn(R) -> R)
    where
        R: Record + Clone + PartialEq + Debug,
    {
        let held = self.held::<R>(name);
        let record = change(held.record.clone());
        self.commit(|_, change| {
            change.replace(&held, &record, held.expires_at).unwrap();
            vec![held.key()]
        });
        assert_eq!(self.held::<R>(name).record, record);
    }

    fn delete<R: Record>(&mut self, name: &str) {
        let held = self.held::<R>(name);
        self.commit(|_, change| {
            change.delete(&held);
            vec![held.key()]
        });
        assert!(self.ledger.rows[&held.key()].is_none());
    }

    fn insert<R: Record>(&mut self, name: &str, record: &R, lifetime: Duration) {
        self.commit(|built, change| {
            let until = built.until(lifetime);
            change.insert(samples::id(name), record, until).unwrap();
            vec![Key::new(R::KIND, samples::id(name))]
        });
    }

    fn text(&mut self, text: &str) {
        let id = self.store.id(text.as_bytes()).unwrap();
        self.commit(|built, change| {
            let until = built.until(HOUR);
            change.insert(id, &samples::token(text, "alice"), until).unwrap();
            vec![Key::new(Token::KIND, id)]
        });
        self.ledger.texts.insert(text.as_bytes().to_vec(), Key::new(Token::KIND, id));
    }

    fn first_rows(&mut self) {
        for number in 0..12 {
            let name = format!("short {number}");
            self.insert(&name, &samples::code(&name, "bob"), 2 * MINUTE);
            self.insert(&name, &samples::family(&name, "bob"), 2 * MINUTE);
        }
        for subject in SUBJECTS {
            self.store.begin_epoch(Owner::Subject(subject)).wait().unwrap();
        }
        self.more_rows("first");
    }

    /// Rows of every kind, a batch of several at a time.
    fn more_rows(&mut self, stage: &str) {
        for (at, subject) in (0..18).zip(SUBJECTS.iter().cycle()) {
            let name = format!("{stage} {at}");
            self.commit(|built, change| {
                let (id, until) = (samples::id(&name), built.until(HOUR * (1 + at % 3)));
                change.insert(id, &samples::code(&name, subject), until).unwrap();
                change.insert(id, &samples::token(&name, subject), until).unwrap();
                change.insert(id, &samples::family(&name, subject), until).unwrap();
                change.insert(id, &personal(&name, subject), Timestamp::NEVER).unwrap();
                change.insert(id, &device(&name), until).unwrap();
                change.insert(id, &UserCode::of(id), until).unwrap();
                let kinds = [
                    Code::KIND,
                    Token::KIND,
                    Family::KIND,
                    Personal::KIND,
                    Device::KIND,
                    UserCode::KIND,
                ];
                kinds.map(|kind| Key::new(kind, id)).to_vec()
            });
        }
        for number in 0..4 {
            let name = format!("{stage} client {number}");
            self.insert(&name, &client(&name), HOUR);
            let until = self.until(HOUR);
            self.store.burn("jti", name.as_bytes(), until).wait().unwrap();
            let burnt = grantkeep::backend::Kind::write_once(5);
            self.note(vec![Key::new(burnt, Digest::of_name("jti", name.as_bytes()))]);
        }
        self.text(&format!("presented text of {stage}"));
    }

    /// Changes some rows of a stage: spent, rotated, revoked, decided, deleted.
    fn changes_to(&mut self, stage: &str, turn: usize) {
        let name = |at: usize| format!("{stage} {}", 4 * at + turn);
        self.replace::<Code>(&name(0), |code| Code { state: spent(), ..code });
        let rotated = |family: Family| Family { generation: family.generation + 1, ..family };
        for at in 0..4 {
            self.replace::<Family>(&name(at), rotated);
        }
        for at in 8..12 {
            self.replace::<Family>(&format!("{stage} {at}"), rotated);
        }
        self.replace::<Family>(&name(1), |family| Family { state: revoked(), ..family });
        self.replace::<Token>(&name(1), |token| Token { revoked_at: Some(AT), ..token });
        self.replace::<Personal>(&name(2), |token| Personal { revoked_at: Some(AT), ..token });
        let approved = DeviceState::Approved { subject: "alice".to_owned() };
        self.replace::<Device>(&name(2), |device| Device { state: approved.clone(), ..device });
        let owner = format!("{stage} client {turn}");
        self.replace::<Client>(&owner, |client| Client {
            state: ClientState::Disabled { at: AT },
            ..client
        });
        self.delete::<UserCode>(&name(2));
        self.delete::<Personal>(&name(3));
        self.delete::<Family>(&name(3));
        self.delete::<Code>(&name(3));
        self.replace::<Code>(&name(2), |code| Code { state: spent(), ..code });
    }

    /// Lets the short-lived rows die, and sweeps them.
    fn sweep_the_short_lived(&mut self) {
        self.clock.advance(10 * MINUTE);
        let now = self.store.now();
        self.store.sweep(Budget::ALL).wait().unwrap();
        for (key, row) in &mut self.ledger.rows {
            if row.as_ref().is_some_and(|row| row.expires_at() <= now) {
                assert!(self.store.backend().get(*key).wait().unwrap().is_none());
                self.ledger.swept.extend(row.take().map(|row| (*key, row)));
            }
        }
        assert_eq!(self.ledger.swept.len(), 24);
    }

    /// Writes enough that the log goes on in other segments.
    fn fill_segments(&mut self, stage: &str) {
        for number in 0..30 {
            let name = format!("large {stage} {number}");
            let payload = Some(Payload::Plain(name.bytes().cycle().take(LARGE_BYTES).collect()));
            let token = Token { payload, ..samples::token(&name, "bob") };
            self.insert(&name, &token, if number % 4 == 0 { HOUR } else { 20 * MINUTE });
        }
    }

    fn reopen(&mut self) {
        self.store.close().unwrap();
        self.store = open(&self.disk, &self.clock).unwrap();
        // From here on each commit is noted, so that the ends of the log are known by their length.
        self.trail.clear();
    }

    fn snapshot(&mut self) {
        self.earlier.push(self.disk.kill());
    }

    /// Waits until the segment that was written to last is noted: the log has gone on in it, and an
    /// open misses it from the note on.
    fn wait_for_the_note(&self) {
        // A file that is used again keeps its name, and has the number of its use in its header.
        let newest = self.disk.content(&newest_with_frames(&self.disk)).expect("a segment");
        let number = u64::from_le_bytes(*newest[32..].first_chunk().expect("a header"));
        let begun = std::time::Instant::now();
        loop {
            let note = self.disk.kill().content(Path::new("/store/LOCK")).expect("a LOCK");
            let note = String::from_utf8(note).expect("a note");
            let written = note.split_whitespace().skip_while(|word| *word != "log").nth(2);
            if written.and_then(|word| word.parse().ok()) == Some(number) {
                return;
            }
            assert!(begun.elapsed() < std::time::Duration::from_secs(10), "not noted: {note}");
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }

    fn end(self) -> World {
        use grantkeep::Clock as _;
        self.wait_for_the_note();
        let Self { clock, disk, store, ledger, trail, earlier } = self;
        let left = |name, closed| Left {
            name,
            newest: newest_with_frames(&disk),
            disk: disk.kill(),
            ledger: ledger.clone(),
            trail: trail.clone(),
            closed,
        };
        let unclean = left("unclean", false);
        store.close().unwrap();
        let closed = left("closed", true);
        World { left: vec![closed, unclean], earlier, wall: clock.wall() }
    }
}

const AT: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn spent() -> CodeState {
    CodeState::Spent { at: AT, family: None }
}

fn revoked() -> FamilyState {
    FamilyState::Revoked { at: AT, reason: RevocationReason::RefreshReused }
}

fn personal(name: &str, subject: &str) -> Personal {
    Personal {
        key_id: 1,
        name: name.to_owned(),
        subject: subject.to_owned(),
        client: "client-1".to_owned(),
        scopes: "read".to_owned(),
        issued_at: AT,
        epochs: Epochs::default(),
        revoked_at: None,
        payload: None,
    }
}

fn device(name: &str) -> Device {
    Device {
        state: DeviceState::Pending,
        client: "client-1".to_owned(),
        scopes: format!("read {name}"),
        audience: String::new(),
        origin: Origin::default(),
        epochs: Epochs::default(),
        salt: *samples::id(name).as_bytes(),
        payload: None,
    }
}

fn client(name: &str) -> Client {
    Client {
        id: name.to_owned(),
        name: name.to_owned(),
        confidential: true,
        secrets: Vec::new(),
        redirect_uris: vec![format!("https://app.example/{}", name.len())],
        grant_types: String::new(),
        scopes: "read".to_owned(),
        created_at: AT,
        loopback: false,
        require_pkce: false,
        policy: None,
        state: ClientState::Enabled,
        fence: None,
        set_back_ms: 0,
    }
}

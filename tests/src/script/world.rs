//! A store on a simulated disk on which scripts are played, and the book that is kept of it.

use super::facts::{BURNT_S, DEVICE_S, Facts, GRACE_S, IDLE_S, Owner, SHORT_S};
use super::look::look;
use super::op::Op;
use crate::sim_disk::SimDisk;
use grantkeep::backend::Budget;
use grantkeep::{Embedded, Error, ErrorKind, KeySource, ManualClock, Result, Timestamp, Wait as _};
use grantkeep_grants::{
    Authorize, ClientCredentials, Creation, DeviceApproval, DeviceRequest, Grants, Issued,
    NewClient, NewPersonal, Policy, Presented, Redeemed, RefreshRequest, Refreshed, Retries,
    Verified,
};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

/// The store's directory.
pub const DIR: &str = "/store";
/// Where backups go.
const BACKUPS: &str = "/backups";
/// The largest payload there is, so that few rows fill a segment.
const FILL_BYTES: usize = 16 << 10;

/// An open store with its clock.
#[derive(Debug)]
pub struct Opened {
    pub grants: Grants<Embedded>,
    pub clock: Arc<ManualClock>,
}

/// The policy of all scripts.
fn policy() -> Policy {
    let seconds = Duration::from_secs;
    Policy {
        code_lifetime: seconds(SHORT_S),
        access_lifetime: seconds(SHORT_S),
        client_credentials_lifetime: seconds(SHORT_S),
        personal_lifetime: seconds(IDLE_S),
        refresh_idle: seconds(IDLE_S),
        refresh_absolute: seconds(10 * IDLE_S),
        refresh_grace: seconds(GRACE_S),
        device_lifetime: seconds(DEVICE_S),
        refresh_retries: Retries::UntilUsed,
        replay_memory: seconds(SHORT_S),
        repeat_devices: false,
        ..Policy::default()
    }
}

/// Opens the store on `disk` at a time.
///
/// # Errors
/// Those of an open.
pub fn open(disk: &SimDisk, now_ms: u64) -> Result<Opened> {
    let clock = Arc::new(ManualClock::at(UNIX_EPOCH + Duration::from_millis(now_ms)));
    let grants = open_at(disk, &clock)?;
    Ok(Opened { grants, clock })
}

/// Nothing is kept in memory for reading, so that every look is one at the disk.
fn open_at(disk: &SimDisk, clock: &Arc<ManualClock>) -> Result<Grants<Embedded>> {
    let options = crate::options(clock).row_cache_bytes(0).keys(KeySource::File);
    Grants::new(options.disk(Arc::new(disk.clone())).open(DIR)?, policy())
}

/// A script being played.
#[derive(Debug)]
pub struct World {
    pub disk: SimDisk,
    clock: Arc<ManualClock>,
    grants: Option<Grants<Embedded>>,
    /// The facts after each operation that changed any; the first are those of the beginning.
    pub book: Vec<Facts>,
    /// What holds if the operation that was answered with "unknown" happened.
    pub doubt: Option<Facts>,
    /// Errors that were answered, by kind.
    pub errors: BTreeMap<String, u64>,
    /// True once an answer has said that nothing more is acknowledged.
    poisoned: bool,
    backups: u64,
}

impl World {
    /// A new store, made on this empty disk.
    pub fn created_on(disk: SimDisk) -> Self {
        let clock = crate::manual_clock();
        let grants = open_at(&disk, &clock).expect("a new store");
        let now_ms = grants.store().now().as_millis();
        let facts = Facts { now_ms, keys: 1, ..Facts::default() };
        Self { clock, grants: Some(grants), ..Self::closed(disk, facts) }
    }

    /// A new store, with something of everything: in the table, in the log, and in both.
    pub fn furnished() -> Self {
        let mut world = Self::created_on(SimDisk::new());
        let early = [Op::Authorize, Op::Redeem, Op::Authorize, Op::Redeem, Op::Rotate, Op::Issue];
        let early = [&early[..], &[Op::Personal, Op::Personal, Op::Device, Op::Burn]].concat();
        world.play(&early);
        world.play(&[Op::CreateClient, Op::Checkpoint, Op::Pass(10)]);
        world.play(&[Op::Authorize, Op::Redeem, Op::Rotate, Op::Authorize, Op::Authorize]);
        world.play(&[Op::Device, Op::Issue, Op::Issue, Op::Personal, Op::Burn, Op::Rotate]);
        world
    }

    /// The same store and facts, on a copy of the disk, after an end of the process.
    ///
    /// # Errors
    /// Those of an open.
    pub fn again(&self) -> Result<Self> {
        let mut world = Self::closed(self.disk.kill(), self.facts().clone());
        world.grants = Some(open_at(&world.disk, &world.clock)?);
        Ok(world)
    }

    fn closed(disk: SimDisk, facts: Facts) -> Self {
        let wall = UNIX_EPOCH + Duration::from_millis(facts.now_ms);
        let clock = Arc::new(ManualClock::at(wall));
        Self {
            disk,
            clock,
            grants: None,
            book: vec![facts],
            doubt: None,
            errors: BTreeMap::new(),
            poisoned: false,
            backups: 0,
        }
    }

    /// What holds by what was acknowledged.
    pub fn facts(&self) -> &Facts {
        self.book.last().expect("the first facts")
    }

    /// Plays operations, also after one has failed. The disk's marks say what was acknowledged and
    /// asked: `2 n` where the facts of number `n` hold, `2 n + 1` while an operation may make them
    /// those of number `n + 1`.
    pub fn play(&mut self, ops: &[Op]) {
        for op in ops {
            self.perform(*op);
        }
    }

    /// The operations that end a process in order.
    pub fn close(&mut self) {
        let Some(grants) = self.grants.take() else { return };
        let closed = grants.store().close();
        self.note(closed, None);
    }

    fn perform(&mut self, op: Op) {
        let before = self.facts().clone();
        let Some(after) = before.after(op) else { return };
        let changes = !matches!(op, Op::Sweep | Op::Checkpoint | Op::Reopen | Op::Backup);
        let mark = 2 * (self.book.len() as u64 - 1);
        self.disk.set_mark(mark + u64::from(changes));
        match op {
            Op::Pass(seconds) => {
                self.clock.advance(Duration::from_secs(seconds));
                self.book.push(after);
                if let Some(doubt) = &mut self.doubt {
                    doubt.now_ms += seconds * 1_000;
                }
            }
            Op::Reopen => self.reopen(),
            _ => {
                let Some(grants) = self.grants.take() else { return };
                let done = do_it(&grants, op, &before, after.clone(), self.backups);
                self.grants = Some(grants);
                self.backups += u64::from(op == Op::Backup);
                let done = done.map(|told| self.book.extend(changes.then_some(told)));
                self.note_change(done, changes.then_some(after));
            }
        }
        self.disk.set_mark(2 * (self.book.len() as u64 - 1));
    }

    fn reopen(&mut self) {
        self.close();
        let opened = open_at(&self.disk, &self.clock);
        let Some(grants) = self.note(opened, None) else { return };
        self.poisoned = false;
        if let Some(doubt) = self.doubt.take() {
            // What the open shows is there for good, whichever it is.
            let found = look(&grants, &doubt);
            let Some(found) = self.note(found, None) else {
                self.doubt = Some(doubt);
                return;
            };
            let (happened, not) = (doubt.lines(&doubt), self.facts().lines(&doubt));
            assert!(found == happened || found == not, "{found:#?} is neither {not:#?}");
            // Where nothing tells the two apart, nobody will ever know.
            if found == happened && happened != not {
                self.book.push(doubt);
            }
        }
        self.grants = Some(grants);
    }

    fn note_change(&mut self, done: Result<()>, after: Option<Facts>) {
        let unknown = done.as_ref().is_err_and(|error| error.kind() == ErrorKind::Unknown);
        assert!(done.is_err() || !self.poisoned, "acknowledged after a failure");
        self.note(done, after.filter(|_| unknown));
    }

    /// Takes down what an operation was answered.
    fn note<T>(&mut self, answer: Result<T>, doubt: Option<Facts>) -> Option<T> {
        match answer {
            Ok(done) => Some(done),
            Err(error) => {
                assert!(self.disk.failed() > 0, "failed on a good disk: {error:?}");
                check_told(&error);
                if let Some(doubt) = doubt {
                    assert!(self.doubt.is_none(), "in doubt twice: {error}");
                    self.doubt = Some(doubt);
                }
                self.poisoned |=
                    matches!(error.kind(), ErrorKind::Unknown | ErrorKind::Unavailable);
                *self.errors.entry(format!("{:?}", error.kind())).or_default() += 1;
                None
            }
        }
    }
}

/// An error says something that helps.
fn check_told(error: &Error) {
    let told = error.to_string();
    assert!(told.len() > 10 && !told.ends_with('.'), "{told}");
}

/// Does one operation, and answers the facts with what was told.
fn do_it(
    grants: &Grants<Embedded>,
    op: Op,
    before: &Facts,
    mut after: Facts,
    backups: u64,
) -> Result<Facts> {
    match op {
        Op::Issue | Op::Fill => {
            let Owner { subject, client } = Facts::owner(before.tokens.len());
            let payload = vec![b'p'; if op == Op::Fill { FILL_BYTES } else { 20 }];
            let request = ClientCredentials::new(&client).subject(&subject).payload(&payload);
            let issued = grants.client_credentials(request).wait()?;
            last(&mut after.tokens).text = issued.access.expose().to_owned();
        }
        Op::Personal => {
            let Owner { subject, client } = Facts::owner(before.tokens.len());
            let new = NewPersonal::new(&subject, "a script").client(&client);
            let issued = grants.create_personal(new).wait()?;
            let token = last(&mut after.tokens);
            token.text = issued.token.expose().to_owned();
            token.personal = Some(issued.id);
        }
        Op::Authorize => {
            let Owner { subject, client } = Facts::owner(before.codes.len());
            let code = grants.authorize(Authorize::new(&client, &subject)).wait()?;
            last(&mut after.codes).text = code.expose().to_owned();
        }
        Op::Redeem => {
            let code = &before.codes[before.next_code().expect("a code")];
            let presented = Presented::by(&code.owner.client);
            match grants.redeem(&code.text, &presented).wait()? {
                Redeemed::Granted(pair) => {
                    let grant = last(&mut after.grants);
                    (grant.refresh, grant.access) = (Vec::new(), Vec::new());
                    learn(grant, &pair, before.after_s(SHORT_S), true);
                }
                other => panic!("a fresh code: {other:?}"),
            }
        }
        Op::Rotate | Op::Retry => {
            let number = if op == Op::Rotate { before.latest_grant() } else { before.retryable() };
            let grant = &mut after.grants[number.expect("a grant")];
            let generation = before.grants[number.expect("a grant")].refresh.len();
            let generation = generation - if op == Op::Rotate { 1 } else { 2 };
            let request = RefreshRequest::by(&grant.owner.client);
            let answer = grants.refresh(&grant.refresh[generation], &request).wait()?;
            grant.access.pop();
            match (op, answer) {
                (Op::Rotate, Refreshed::Rotated(pair)) => {
                    grant.refresh.pop();
                    learn(grant, &pair, before.after_s(SHORT_S), true);
                }
                (Op::Retry, Refreshed::Retried(pair)) => {
                    let same = pair.refresh.as_ref().map(|text| text.expose().to_owned());
                    assert_eq!(same.as_ref(), grant.refresh.last(), "another successor");
                    learn(grant, &pair, before.after_s(SHORT_S), false);
                }
                (_, other) => panic!("{op:?} of generation {generation}: {other:?}"),
            }
        }
        Op::Device => {
            let client = Facts::owner(before.devices.len()).client;
            let issued = grants.device(DeviceRequest::new(&client)).wait()?;
            let device = last(&mut after.devices);
            device.user_code = issued.user_code.expose().to_owned();
            device.device_code = issued.device_code.expose().to_owned();
        }
        Op::CreateClient => {
            let id = before.next_client();
            match grants.create_client(NewClient::confidential(id.as_str())).wait()? {
                Creation::Created(created) => {
                    let secret = created.secret.expect("a secret");
                    last(&mut after.clients).secret = secret.expose().to_owned();
                }
                other => panic!("a new client: {other:?}"),
            }
        }
        _ => change(grants, op, before, backups)?,
    }
    Ok(after)
}

/// Does an operation that tells no text.
fn change(grants: &Grants<Embedded>, op: Op, before: &Facts, backups: u64) -> Result<()> {
    let store = grants.store();
    match op {
        Op::RevokeToken => {
            let token = &before.tokens[before.first_token(false).expect("a token")];
            grants.revoke(&token.text).wait().map(drop)
        }
        Op::RevokePersonal => {
            let token = &before.tokens[before.first_token(true).expect("a token")];
            let id = token.personal.expect("a personal token");
            grants.revoke_personal(&token.owner.subject, id).wait()
        }
        Op::RevokeFamily => {
            let grant = &before.grants[before.first_grant().expect("a grant")];
            grants.revoke(grant.refresh.last().expect("a refresh token")).wait().map(drop)
        }
        Op::RevokeSubject => grants.revoke_subject("alice").wait(),
        Op::RevokeClient => grants.revoke_client("client-1").wait(),
        Op::Burn => {
            let value = format!("jti-{}", before.burnt.len());
            let until = Timestamp::from_millis(before.after_s(BURNT_S));
            let answer = store.burn("jti", value.as_bytes(), until).wait()?;
            assert_eq!(answer, grantkeep::Burned::First, "a new value");
            Ok(())
        }
        Op::ApproveDevice => {
            let device = &before.devices[before.next_device().expect("a device")];
            let approval = DeviceApproval::by("bob");
            let answer = grants.approve_device(&device.user_code, &approval).wait()?;
            assert_eq!(answer, Verified::Done, "a device that waits");
            Ok(())
        }
        Op::DisableClient => {
            let client = &before.clients[before.next_enabled().expect("a client")];
            grants.disable_client(&client.id).wait().map(drop)
        }
        Op::Sweep => store.sweep(Budget::ALL).wait().map(drop),
        Op::Checkpoint => store.checkpoint().wait(),
        Op::RotateKeyring => store.rotate_keyring().wait(),
        Op::Backup => store.backup(Path::new(&format!("{BACKUPS}-{backups}"))).wait(),
        other => panic!("{other:?} is done elsewhere"),
    }
}

fn learn(grant: &mut super::facts::Grant, pair: &Issued, dies_ms: u64, refresh: bool) {
    grant.access.push((pair.access.expose().to_owned(), dies_ms));
    if refresh {
        let text = pair.refresh.as_ref().expect("a refresh token");
        grant.refresh.push(text.expose().to_owned());
    }
}

fn last<T>(of: &mut [T]) -> &mut T {
    of.last_mut().expect("just pushed")
}

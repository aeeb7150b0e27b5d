//! Disks of several sizes that are full to the last block.

use grantkeep::backend::{Budget, Outcome};
use grantkeep::{
    ErrorKind, KeySource, Keyring, ManualClock, Options, Owner, Payload, Result, Store, Token,
    Wait as _,
};
use grantkeep_tests::pressure::strained::{Strain, Strained};
use grantkeep_tests::pressure::world::chain;
use grantkeep_tests::sim_disk::SimDisk;
use grantkeep_tests::{manual_clock, samples};
use std::sync::Arc;
use std::time::{Duration, Instant};

const MIB: u64 = 1 << 20;
const DAY: Duration = Duration::from_secs(24 * 3600);
/// How many owners can be revoked at least, whatever the disk.
const OWNERS: usize = 1_000;
/// No call takes longer.
const CALL_MAX: Duration = Duration::from_secs(5);
const RECOVERY_MAX: Duration = Duration::from_secs(10);

/// One disk and the store on it.
#[derive(Debug, Clone, Copy)]
struct Case {
    room_mib: u64,
    budget_mib: u64,
    reserve_kib: u64,
    /// Whether the disk tells how much is left.
    told: bool,
}

/// The store of a case at work.
struct Pressed {
    case: Case,
    strain: Arc<Strain>,
    options: Options,
    clock: Arc<ManualClock>,
    store: Store,
    issued: usize,
    revoked: usize,
    owners: usize,
}

fn timed<T>(what: &str, call: impl FnOnce() -> Result<T>) -> Result<T> {
    let begun = Instant::now();
    let done = call();
    assert!(begun.elapsed() < CALL_MAX, "{what} took {:?}", begun.elapsed());
    done
}

impl Pressed {
    /// A new store; none where the disk is too small for the first segments, which is told as full.
    fn open(case: Case) -> Option<Self> {
        let (clock, strain) = (manual_clock(), Strain::with_room(case.room_mib * MIB, case.told));
        let options = Store::options()
            .clock(clock.clone())
            .keys(KeySource::Given(Keyring::generate().unwrap()))
            .disk(Strained::over(Arc::new(SimDisk::new()), &strain))
            .log_budget_bytes(case.budget_mib * MIB)
            .row_cache_bytes(1 << 20)
            .table_cache_bytes(1 << 20)
            .reserve_bytes(case.reserve_kib << 10);
        let store = match options.clone().open("/store") {
            Ok(store) => store,
            Err(error) if error.kind() == ErrorKind::Full => return None,
            Err(error) => panic!("{case:?}: {}", chain(&error)),
        };
        Some(Self { case, strain, options, clock, store, issued: 0, revoked: 0, owners: 0 })
    }

    fn reopen(&mut self) {
        timed("a close", || self.store.close()).unwrap();
        let opened = timed("an open", || self.options.clone().open("/store"));
        self.store = opened.unwrap_or_else(|error| panic!("{:?}: {}", self.case, chain(&error)));
    }

    fn issue(&self, number: usize) -> Result<()> {
        let name = format!("token-{number}");
        let payload = Some(Payload::Plain(vec![7; 500]));
        let token = Token { payload, ..samples::token(&name, "alice") };
        let mut change = self.store.change()?;
        // Every fourth dies soon, so that there is something to sweep.
        let lifetime = if number % 4 == 1 { DAY / 24 } else { 30 * DAY };
        change.insert(samples::id(&name), &token, self.store.now().saturating_add(lifetime))?;
        assert_eq!(timed("an issue", || self.store.commit(change).wait())?, Outcome::Applied);
        Ok(())
    }

    /// Issues until that is refused.
    fn fill(&mut self) {
        loop {
            match self.issue(self.issued) {
                Ok(()) => self.issued += 1,
                Err(error) => return self.is_full(&error),
            }
        }
    }

    fn is_full(&self, error: &grantkeep::Error) {
        assert_eq!(error.kind(), ErrorKind::Full, "{:?}: {}", self.case, chain(error));
    }

    /// Revokes as many owners as are promised.
    fn revoke_owners(&mut self) {
        for _ in 0..OWNERS {
            let owner = format!("owner-{}", self.owners);
            let begun = timed("an epoch", || self.store.begin_epoch(Owner::Subject(&owner)).wait());
            begun.unwrap_or_else(|error| {
                panic!("{:?}: owner {}: {}", self.case, self.owners, chain(&error))
            });
            self.owners += 1;
        }
    }

    /// Revokes owners until that is refused as well.
    fn exhaust(&mut self) {
        loop {
            let owner = format!("owner-{}", self.owners);
            match timed("an epoch", || self.store.begin_epoch(Owner::Subject(&owner)).wait()) {
                Ok(_) => self.owners += 1,
                Err(error) => return self.is_full(&error),
            }
        }
    }

    /// Revokes single rows while that goes, `most` of them at most.
    fn revoke_rows(&mut self, most: usize) {
        for _ in 0..most {
            if self.revoked >= self.issued {
                return;
            }
            let id = samples::id(&format!("token-{}", self.revoked));
            let held = timed("a look-up", || self.store.get::<Token>(id).wait()).unwrap();
            if let Some(held) = held {
                let mut change = self.store.change().unwrap();
                change.delete(&held);
                match timed("a revocation", || self.store.commit(change).wait()) {
                    Ok(outcome) => assert_eq!(outcome, Outcome::Applied),
                    Err(error) => return self.is_full(&error),
                }
            }
            self.revoked += 1;
        }
    }

    /// Sweeps; that may find no room, and ends.
    fn sweep(&self) {
        match timed("a sweep", || self.store.sweep(Budget::ALL).wait()) {
            Ok(_) => {}
            Err(error) => self.is_full(&error),
        }
    }

    /// What was revoked is gone, and what was not is there unless it has died.
    fn audit(&self) {
        for number in 0..self.issued {
            let id = samples::id(&format!("token-{number}"));
            let held = self.store.get::<Token>(id).wait().unwrap();
            if number < self.revoked {
                assert!(held.is_none(), "{:?}: {number} was revoked", self.case);
            } else if number % 4 != 1 {
                assert!(held.is_some(), "{:?}: {number} is lost", self.case);
            }
        }
        let found = self.store.verify(|_| {}).wait().unwrap();
        assert_eq!(found.damages, 0, "{:?}: {:?}", self.case, found.named);
    }

    fn recover(&self) {
        let begun = Instant::now();
        while !self.store.health().is_open() {
            let late = begun.elapsed() > RECOVERY_MAX;
            assert!(!late, "{:?}: {:?}, {:?}", self.case, self.store.health(), self.store.stats());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Fills a disk, takes the last block, revokes, opens again, and gives room. Answers how many rows
/// were revoked without any; nothing where there can be no store.
fn play(case: Case) -> Option<usize> {
    let mut pressed = Pressed::open(case)?;
    pressed.fill();
    // Another program takes what the store has left.
    pressed.strain.resize(pressed.strain.used_bytes());
    pressed.revoke_owners();
    pressed.revoke_rows(usize::MAX);
    let single = pressed.revoked;
    pressed.exhaust();
    pressed.audit();
    // Twice: what the first close was kept room for, the second one does without.
    pressed.reopen();
    pressed.reopen();
    pressed.revoke_rows(100);
    pressed.audit();
    // The clock leaps while it is full.
    pressed.clock.advance(DAY);
    pressed.sweep();
    pressed.revoke_rows(100);
    pressed.strain.resize(4 * (case.room_mib + case.budget_mib) * MIB);
    pressed.recover();
    let before = pressed.issued;
    for number in before..before + 100 {
        pressed.issue(number).unwrap_or_else(|error| panic!("{case:?}: {}", chain(&error)));
        pressed.issued += 1;
    }
    pressed.revoke_owners();
    pressed.audit();
    pressed.store.checkpoint().wait().unwrap();
    pressed.reopen();
    pressed.recover();
    pressed.audit();
    Some(single)
}

// Goal: P1, P2, P8 on disks that are full to the last block: a thousand owners can be revoked,
// single rows are revoked or refused as full, a store that can do nothing more opens again, nothing
// hangs, nothing is damaged, and with room the store goes on by itself. Method: disks of several
// sizes, log budgets from the least to more than the disk, and reserves from none to much; fill,
// take the last block, revoke until even that is refused, open again, give room.
#[test]
fn full_disks_of_every_shape() {
    let _alone = super::alone();
    let (mut cases, mut too_small, mut revoked) = (0, 0, 0);
    for room_mib in [8_u64, 20, 48] {
        for budget_mib in [2, 16, 256] {
            for reserve_kib in [0, 300, 4 << 10] {
                let told = (room_mib + budget_mib + reserve_kib / 100).is_multiple_of(3);
                match play(Case { room_mib, budget_mib, reserve_kib, told }) {
                    Some(rows) => (cases, revoked) = (cases + 1, revoked + rows),
                    None => too_small += 1,
                }
            }
        }
    }
    println!(
        "pressure: {cases} full disks, {revoked} rows revoked on them, {OWNERS} owners on each; \
         {too_small} too small for a store"
    );
    assert!(cases >= 18, "only {cases} disks took a store");
}

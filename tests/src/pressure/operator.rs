//! An operator: whatever takes long, again and again, beside another operator who does the same.

use super::world::{Session, Thing, World};
use crate::pseudorandom::Pseudorandom;
use futures_util::future::join;
use grantkeep::backend::Budget;
use grantkeep::{Disk, KeySource, Options, Result, Store, Verified, Wait as _};
use grantkeep_grants::{Grants, Introspection};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How many there are in a round.
pub const OPERATORS: usize = 2;
/// Rotations in a round: a keyring has at most 16 keys.
const ROTATIONS: u64 = 8;
const REST: Duration = Duration::from_millis(5);

/// What the operators of a round share.
#[derive(Debug)]
pub struct Office {
    /// The disk of the store and of its copies.
    pub disk: Arc<dyn Disk>,
    /// Where copies are made.
    pub copies: PathBuf,
    /// Options for a store that was restored, but for its keys.
    pub options: Options,
    /// Tokens that a restored store must refuse.
    pub tokens: Mutex<Vec<String>>,
    /// Copies and rotations so far.
    pub made: AtomicU64,
    /// Rotations so far.
    pub rotations: AtomicU64,
    /// One at a time: two at once are the keyring's own suite.
    pub rotating: Mutex<()>,
}

/// One operator.
#[derive(Debug)]
pub struct Operator<'a> {
    world: &'a World,
    office: &'a Office,
    number: usize,
    random: Pseudorandom,
}

impl<'a> Operator<'a> {
    /// The one who calls as the thread `number`.
    pub fn new(world: &'a World, office: &'a Office, number: usize, seed: u64) -> Self {
        Self { world, office, number, random: Pseudorandom::new(seed) }
    }

    /// Works until the round is over.
    pub fn work(&mut self) {
        while !self.world.is_over() {
            let session = self.world.session();
            // Each is told to the world, which refuses what has no reason.
            let _ = match self.random.below(8) {
                0 => self.verify(&session),
                1 => self.verify_twice(&session),
                2 => self.back_up(&session),
                3 => self.back_up_twice(&session),
                4 => self.all_at_once(&session),
                5 => self.call("checkpoint", || session.store.checkpoint().wait()),
                _ => {
                    let budget = Budget::rows(self.random.below(20_000));
                    self.call("sweep", || session.store.sweep(budget).wait()).map(drop)
                }
            };
            std::thread::sleep(REST);
        }
    }

    fn call<T>(&self, what: &str, call: impl FnOnce() -> Result<T>) -> Result<T> {
        self.world.call(self.number, what, true, call)
    }

    fn verify(&self, session: &Session) -> Result<()> {
        let found = self.call("verify", || session.store.verify(|_| {}).wait())?;
        check(&found);
        Ok(())
    }

    fn verify_twice(&self, session: &Session) -> Result<()> {
        let both = || {
            let verify = || session.store.verify(|_| {});
            let (one, other) = join(verify(), verify()).wait();
            Ok([one, other])
        };
        for found in self.call("two verifies", both)? {
            check(&self.call("verify", || found)?);
        }
        Ok(())
    }

    fn target(&self) -> PathBuf {
        let number = self.office.made.fetch_add(1, Ordering::Relaxed);
        self.office.copies.join(format!("copy-{number}"))
    }

    /// Backs the store up, and restores it beside.
    fn back_up(&self, session: &Session) -> Result<()> {
        let to = self.target();
        let done = self.call("backup", || session.store.backup(&to).wait());
        let restored = done.and_then(|()| self.restore(session, &to));
        self.remove(&to);
        restored
    }

    fn back_up_twice(&self, session: &Session) -> Result<()> {
        let (one, other) = (self.target(), self.target());
        let both = || {
            let (to, also_to) =
                join(session.store.backup(&one), session.store.backup(&other)).wait();
            Ok([to, also_to])
        };
        let both = self.call("two backups", both)?;
        let done: Vec<Result<()>> =
            both.into_iter().map(|done| self.call("backup", || done)).collect();
        self.remove(&one);
        self.remove(&other);
        done.into_iter().collect()
    }

    /// A backup, a checkpoint, and a rotation of the keyring.
    fn all_at_once(&self, session: &Session) -> Result<()> {
        let to = self.target();
        let rotates = self.office.rotations.fetch_add(1, Ordering::Relaxed) < ROTATIONS;
        let (saved, carried, rotated) = std::thread::scope(|scope| {
            let saved = scope.spawn(|| session.store.backup(&to).wait());
            let carried = scope.spawn(|| session.store.checkpoint().wait());
            let rotated = rotates.then(|| {
                let _one = self.office.rotating.lock().unwrap_or_else(PoisonError::into_inner);
                self.call("rotate keyring", || session.store.rotate_keyring().wait())
            });
            (saved.join().unwrap(), carried.join().unwrap(), rotated)
        });
        self.remove(&to);
        let saved = self.call("backup", || saved);
        let carried = self.call("checkpoint", || carried);
        rotated.unwrap_or(Ok(())).and(saved).and(carried)
    }

    /// Opens a copy as restored: it is whole, and refuses what was issued before.
    fn restore(&self, session: &Session, copy: &Path) -> Result<()> {
        let keys = KeySource::Given((*session.store.keyring()).clone());
        let options = self.office.options.clone().keys(keys).restored(true);
        let restored: Store = self.call("restore", || options.open(copy))?;
        check(&self.call("verify a copy", || restored.verify(|_| {}).wait())?);
        let grants = Grants::new(restored, super::world::policy(60)).unwrap();
        let tokens = self.office.tokens.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for token in tokens {
            let looked = self.world.call(self.number, "look up in a copy", false, || {
                grants.introspect(&token).wait()
            })?;
            assert!(matches!(looked, Introspection::Inactive), "a restored store admits {token}");
        }
        self.call("close a copy", || grants.store().close())
    }

    /// Removes a copy, as soon as there are descriptors to list it with.
    fn remove(&self, copy: &Path) {
        let disk = &self.office.disk;
        for dir in [copy.join("log"), copy.to_path_buf()] {
            let names = loop {
                match disk.list(&dir) {
                    Ok(names) => break names,
                    Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => break Vec::new(),
                    Err(_) => std::thread::sleep(REST),
                }
            };
            for name in names {
                // A folder stays, and weighs nothing.
                let _ = disk.remove(&dir.join(name));
            }
        }
    }
}

/// Nothing is ever damaged.
///
/// # Panics
/// If anything is.
pub fn check(found: &Verified) {
    assert_eq!(found.damages, 0, "{:?}", found.named);
}

/// Closes the store while clients and operators use it, and opens it again.
///
/// # Panics
/// If it does not close, or does not open.
pub fn close_and_open(world: &World, open: impl Fn() -> Store) {
    world.take(Thing::Store);
    let session = world.session();
    session
        .store
        .close()
        .unwrap_or_else(|error| panic!("a close: {}", super::world::chain(&error)));
    drop(session);
    world.open_again(open());
    world.give_back(Thing::Store);
}

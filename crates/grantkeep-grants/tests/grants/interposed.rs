//! A memory engine that does something else just before a commit, or loses its answer.

use grantkeep::backend::{
    Backend, Batch, Budget, Key, Kind, Outcome, Page, Row, Scan, Stats, Swept, Term,
};
use grantkeep::{Error, ErrorKind, Keyring, LIFETIME_DEFAULT_MAX, ManualClock, Memory};
use grantkeep::{Result, Store, Timestamp, Wait};
use grantkeep_grants::{Grants, Policy};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

type Hook = Box<dyn FnOnce() + Send>;

pub(crate) struct Interposed {
    inner: Arc<Memory>,
    before_commit: Mutex<Option<Hook>>,
    before_get: Mutex<Option<(Kind, Hook)>>,
    lose_answer: AtomicBool,
}

impl Interposed {
    pub(crate) fn grants(clock: Arc<ManualClock>, policy: Policy) -> Grants<Self> {
        let memory = Arc::new(Memory::with_clock(clock));
        let store = Self::store(&memory, Keyring::generate().unwrap()).unwrap();
        Grants::new(store, policy).unwrap()
    }

    /// A store over `memory`, which may be that of another store.
    pub(crate) fn store(memory: &Arc<Memory>, keyring: Keyring) -> Result<Store<Self>> {
        let backend = Self {
            inner: Arc::clone(memory),
            before_commit: Mutex::new(None),
            before_get: Mutex::new(None),
            lose_answer: AtomicBool::new(false),
        };
        Store::new(backend, keyring, LIFETIME_DEFAULT_MAX).wait()
    }

    /// Runs `hook` once, between the next decision and its commit.
    pub(crate) fn before_commit(&self, hook: impl FnOnce() + Send + 'static) {
        *self.before_commit.lock().unwrap() = Some(Box::new(hook));
    }

    /// Runs `hook` once, before the next row of this kind is read.
    pub(crate) fn before_get(&self, kind: Kind, hook: impl FnOnce() + Send + 'static) {
        *self.before_get.lock().unwrap() = Some((kind, Box::new(hook)));
    }

    fn hook_of(&self, read: Kind) {
        let hook = self.before_get.lock().unwrap().take_if(|(kind, _)| *kind == read);
        if let Some((_, hook)) = hook {
            hook();
        }
    }

    /// Applies the next batch, and answers that its outcome is not known.
    pub(crate) fn lose_answer(&self) {
        self.lose_answer.store(true, Ordering::SeqCst);
    }
}

impl Backend for Interposed {
    fn now(&self) -> Timestamp {
        self.inner.now()
    }

    fn settled(&self) -> Timestamp {
        self.inner.settled()
    }

    async fn get(&self, key: Key) -> Result<Option<Row>> {
        self.hook_of(key.kind);
        self.inner.get(key).await
    }

    async fn commit(&self, batch: Batch) -> Result<Outcome> {
        let hook = self.before_commit.lock().unwrap().take();
        if let Some(hook) = hook {
            hook();
        }
        let outcome = self.inner.commit(batch).await?;
        if self.lose_answer.swap(false, Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Unknown, "the answer was lost"));
        }
        Ok(outcome)
    }

    async fn list(&self, term: Term, after: Option<Key>, limit: usize) -> Result<Page> {
        self.inner.list(term, after, limit).await
    }

    async fn scan(&self, scan: &mut Scan) -> Result<Vec<Row>> {
        self.inner.scan(scan).await
    }

    async fn sweep(&self, budget: Budget) -> Result<Swept> {
        self.inner.sweep(budget).await
    }

    fn accept_clock(&self) {
        self.inner.accept_clock();
    }

    fn stats(&self) -> Stats {
        self.inner.stats()
    }
}

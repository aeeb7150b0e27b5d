//! The open table, and how it is opened anew after a failure.
//!
//! redb gives an opened database up after one failed read, write, or sync: every later operation
//! fails as well. Nothing that was promised is lost by that. What a checkpoint was to write is in
//! the log until its commit has succeeded, and what was committed before is on the device. So the
//! table is opened anew behind the failure:
//!
//! 1. The old database is fenced off from the file ([`Fence`]): it may be in use by other threads,
//!    and must not write any more.
//! 2. The file is synced and dropped from the page cache: pages that a failed sync left behind look
//!    clean and were never written.
//! 3. redb is opened over the same file and recovers its last commit.
//! 4. The number of that commit tells whether a change whose commit failed has happened or not, so
//!    that its outcome is known again ([`Written`]).
//!
//! A write that is refused, as on a full disk, ends the opening for readers as well. They have not
//! failed, so a look goes on behind it; a long read ([`Table::read`]) is told.
//!
//! Where the file cannot be opened the table stays closed with the reason; the keeper tries again
//! at each tick. Readers that come meanwhile wait for an opening under way and are refused
//! otherwise.
//!
//! Locks: `reopening` is held throughout an opening, `state` only to look and to change it. Only
//! the keeper writes, so a commit number belongs to one change.

use super::file::{Fence, TableFile};
use super::meta::{self, Meta};
use super::{TABLE_FILE, View, failed, guarded};
use crate::disk::DiskFile;
use crate::engine::space::Space;
use crate::error::{Error, ErrorKind, Result};
use crate::sync::{Arc, Mutex, RwLock};
use redb::{Database, ReadableDatabase as _, WriteTransaction};

/// How often a look is done anew whose table was closed by a failure of others.
const LOOKS: u32 = 8;

/// The table of a store.
pub(crate) struct Table {
    state: RwLock<State>,
    /// Held by whoever opens the database anew.
    reopening: Mutex<()>,
    file: Arc<dyn DiskFile>,
    space: Arc<Space>,
    cache_bytes: usize,
}

enum State {
    Open(Opened),
    /// It is being opened anew.
    Opening,
    /// It could not be opened anew.
    Failed(ErrorKind, String),
    Closed,
}

/// One opening of the database.
struct Opened {
    database: Database,
    /// What readers share at present.
    view: Arc<View>,
    fence: Arc<Fence>,
    /// The last commit that was found when it was opened.
    commits: u64,
}

/// What came of a change.
pub(crate) enum Written<T> {
    /// It is durable.
    Done(T),
    /// It may or may not have happened, and the table cannot be opened to look. It has happened if,
    /// and only if, [`Table::reopen`] answers at least the number of its commit one day.
    InDoubt { commit: u64, done: T, why: Error },
}

impl Table {
    /// Opens the table, or makes a new one in an empty file for the store of this id.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] where redb does not recognize its file, [`ErrorKind::Format`] for a
    /// store of a newer format; as the operating system answers where it fails to read or write.
    pub(crate) fn open(
        file: Arc<dyn DiskFile>,
        space: Arc<Space>,
        cache_bytes: usize,
        new_store: Option<[u8; 16]>,
    ) -> Result<(Self, Meta)> {
        let (opened, meta) = open(&file, &space, cache_bytes, new_store)?;
        let state = RwLock::new(State::Open(opened));
        Ok((Self { state, reopening: Mutex::new(()), file, space, cache_bytes }, meta))
    }

    /// Looks at the view that readers share at present. After a failed look the table is opened
    /// anew, for the next one. A look that fails because another operation has is done once more.
    ///
    /// # Errors
    /// Whatever `look` answers, or why there is no table to look at.
    pub(crate) fn look<T>(&self, look: impl Fn(&View) -> Result<T>) -> Result<T> {
        self.attempt(|open| Arc::clone(&open.view), |view| look(&view))
    }

    /// Reads with a transaction of its own, from the beginning if another operation's failure has
    /// ended it.
    ///
    /// # Errors
    /// As [`Table::read`].
    pub(crate) fn read_whole<T>(
        &self,
        mut read: impl FnMut(&redb::ReadTransaction) -> Result<T>,
    ) -> Result<T> {
        self.attempt(
            |open| open.database.begin_read(),
            |begun| guarded(|| read(&begun.map_err(failed)?)),
        )
    }

    /// Does something with what it `takes` of the open table, anew where another operation's
    /// failure has ended it.
    fn attempt<H, T>(
        &self,
        takes: impl Fn(&Opened) -> H,
        mut does: impl FnMut(H) -> Result<T>,
    ) -> Result<T> {
        let mut left = LOOKS;
        loop {
            let (taken, fence) = self.with_open(|open| (takes(open), Arc::clone(&open.fence)))?;
            let done = does(taken);
            left -= 1;
            let again = left > 0 && done.as_ref().is_err_and(|why| fence.is_behind(why));
            self.mend(&fence);
            if !again {
                return done;
            }
        }
    }

    /// Reads with a transaction of its own. After a failed read the table is opened anew.
    ///
    /// # Errors
    /// Whatever `read` answers, or why there is no table to read.
    pub(crate) fn read<T>(
        &self,
        read: impl FnOnce(&redb::ReadTransaction) -> Result<T>,
    ) -> Result<T> {
        let (begun, fence) =
            self.with_open(|open| (open.database.begin_read(), Arc::clone(&open.fence)))?;
        let done = guarded(|| read(&begun.map_err(failed)?));
        let done = done.map_err(|why| fence.cause(why));
        self.mend(&fence);
        done
    }

    /// Runs `change` in one transaction, two-phase and with quick repair, and lets readers see it.
    /// Only the keeper writes.
    ///
    /// # Errors
    /// Whatever `change` or the commit answers: the change has not happened. Where that is not
    /// known the answer is [`Written::InDoubt`].
    ///
    /// # Durability
    /// On success the change is durable.
    pub(crate) fn write<T>(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<T>,
    ) -> Result<Written<T>> {
        let (begun, fence) =
            self.with_open(|open| (open.database.begin_write(), Arc::clone(&open.fence)))?;
        // The result of the change and the number of its commit, once it is to be committed.
        let mut ready = None;
        let committed = guarded(|| {
            let mut transaction = begun.map_err(failed)?;
            transaction.set_two_phase_commit(true);
            transaction.set_quick_repair(true);
            let done = change(&transaction)?;
            let commit = meta::seal(&transaction)?;
            ready = Some((commit, done));
            transaction.commit().map_err(failed)
        });
        match (committed.map_err(|why| fence.cause(why)), ready) {
            (Ok(()), Some((_, done))) => {
                self.show(&fence);
                Ok(Written::Done(done))
            }
            (Ok(()), None) => Err(Error::closed()),
            (Err(why), None) => {
                self.mend(&fence);
                Err(why)
            }
            (Err(why), Some((commit, done))) => match self.reopen_after(&fence) {
                Ok(last) if last >= commit => Ok(Written::Done(done)),
                Ok(_) => Err(why),
                Err(_) => Ok(Written::InDoubt { commit, done, why }),
            },
        }
    }

    /// Opens the table anew if that failed before; answers the number of its last commit.
    ///
    /// # Errors
    /// Why it cannot be opened.
    pub(crate) fn reopen(&self) -> Result<u64> {
        let _one = self.reopening.lock();
        match &*self.state.read() {
            State::Open(open) => return Ok(open.commits),
            State::Closed => return Err(Error::closed()),
            State::Opening | State::Failed(..) => {}
        }
        self.open_anew()
    }

    /// The table's file.
    pub(crate) fn file(&self) -> &dyn DiskFile {
        &*self.file
    }

    /// The length of the table's file.
    pub(crate) fn bytes(&self) -> u64 {
        // A figure of the statistics: without it they show none.
        self.file.len().unwrap_or(0)
    }

    /// Closes redb, so that another process may open the file.
    ///
    /// # Errors
    /// As the operating system answers the last writes: they may be cached and not on the device.
    pub(crate) fn close(&self) -> Result<()> {
        // An opening under way may write to the file.
        let _one = self.reopening.lock();
        guarded(|| {
            let before = std::mem::replace(&mut *self.state.write(), State::Closed);
            match before {
                State::Open(Opened { database, view, .. }) => {
                    drop(view);
                    database.close().map_err(failed)
                }
                State::Failed(kind, why) => Err(Error::new(kind, why)),
                State::Opening | State::Closed => Ok(()),
            }
        })
    }

    /// Asks the open database; waits while it is being opened anew.
    fn with_open<T>(&self, ask: impl Fn(&Opened) -> T) -> Result<T> {
        loop {
            match &*self.state.read() {
                State::Open(open) => return Ok(ask(open)),
                State::Closed => return Err(Error::closed()),
                State::Failed(kind, why) => return Err(Error::new(*kind, why.clone())),
                State::Opening => {}
            }
            drop(self.reopening.lock());
        }
    }

    /// Lets readers see the last commit.
    fn show(&self, fence: &Arc<Fence>) {
        let shown = match &mut *self.state.write() {
            State::Open(open) if Arc::ptr_eq(&open.fence, fence) => {
                let view = guarded(|| View::new(&open.database));
                view.map(|view| open.view = Arc::new(view)).is_ok()
            }
            // Whoever opened it anew meanwhile has shown it.
            _ => true,
        };
        if !shown {
            // The commit stands. A view that cannot be had is told to whoever looks.
            let _ = self.reopen_after(fence);
        }
    }

    /// Opens the table anew if the opening behind `fence` is of no more use.
    fn mend(&self, fence: &Arc<Fence>) {
        if fence.is_broken() {
            // Why it could not be opened is told to whoever comes next.
            let _ = self.reopen_after(fence);
        }
    }

    /// Opens the table anew unless somebody has since the opening behind `fence`; answers the
    /// number of its last commit.
    fn reopen_after(&self, fence: &Arc<Fence>) -> Result<u64> {
        let _one = self.reopening.lock();
        let before = {
            let mut state = self.state.write();
            match &*state {
                State::Open(open) if Arc::ptr_eq(&open.fence, fence) => {}
                State::Open(open) => return Ok(open.commits),
                State::Failed(kind, why) => return Err(Error::new(*kind, why.clone())),
                State::Opening | State::Closed => return Err(Error::closed()),
            }
            std::mem::replace(&mut *state, State::Opening)
        };
        fence.close();
        // It writes nothing any more, and must not keep the memory of its cache.
        let _ = guarded(|| {
            drop(before);
            Ok(())
        });
        self.open_anew()
    }

    /// Opens the table; only while `reopening` is held, and nobody uses it.
    fn open_anew(&self) -> Result<u64> {
        let fresh = self.file.sync_data().and_then(|()| self.file.drop_cache());
        let opened = fresh
            .map_err(|cause| Error::file("sync", TABLE_FILE, cause))
            .and_then(|()| open(&self.file, &self.space, self.cache_bytes, None));
        let mut state = self.state.write();
        if matches!(*state, State::Closed) {
            return Err(Error::closed());
        }
        match opened {
            Ok((opened, _)) => {
                let commits = opened.commits;
                *state = State::Open(opened);
                Ok(commits)
            }
            Err(why) => {
                *state = State::Failed(why.kind(), crate::engine::trouble::chain(&why));
                Err(why)
            }
        }
    }
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Table").finish_non_exhaustive()
    }
}

fn open(
    file: &Arc<dyn DiskFile>,
    space: &Arc<Space>,
    cache_bytes: usize,
    new_store: Option<[u8; 16]>,
) -> Result<(Opened, Meta)> {
    let fence = Arc::new(Fence::default());
    let backend = TableFile::new(Arc::clone(file), Some(Arc::clone(space)), Arc::clone(&fence));
    let database = guarded(|| {
        let mut builder = Database::builder();
        let opened = builder.set_cache_size(cache_bytes).create_with_backend(backend);
        opened.map_err(failed)
    })?;
    let (meta, view) = guarded(|| {
        if let Some(store) = new_store {
            meta::create(&database, store)?;
        }
        Ok((meta::read(&database)?, Arc::new(View::new(&database)?)))
    })?;
    Ok((Opened { database, view, fence, commits: meta.commits }, meta))
}

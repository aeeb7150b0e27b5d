//! Long jobs: verifying and copying, each on a thread of its own, so that neither the supply of
//! segments nor carrying waits for them.

use super::core::Core;
use super::requests;
use crate::error::{Error, Result};
use crate::foreign::AtWork;
use crate::sync::{Arc, AtomicBool, Mutex, Ordering, thread};

/// The jobs of a store.
#[derive(Debug, Default)]
pub(crate) struct Jobs {
    /// Each with what its thread shares while it runs.
    running: Mutex<Vec<(Arc<()>, thread::JoinHandle<()>)>>,
    /// True once the store is being closed: jobs end at their next piece.
    ending: AtomicBool,
}

impl Jobs {
    /// Refuses once the store is being closed; asked between the pieces of a job.
    pub(crate) fn check(&self) -> Result<()> {
        if self.ending.load(Ordering::Acquire) { Err(requests::ended()) } else { Ok(()) }
    }

    /// Ends all jobs, and waits until they have.
    pub(crate) fn end(&self) {
        self.ending.store(true, Ordering::Release);
        let running = std::mem::take(&mut *self.running.lock());
        for (_, job) in running {
            // One that has panicked has told its caller by going.
            let _ = job.join();
        }
    }
}

/// Does `work` on a thread of its own.
///
/// # Errors
/// As the operating system answers where there can be no more threads: nothing was begun.
pub(crate) fn start(
    core: &Arc<Core>,
    name: &str,
    work: impl FnOnce(&Core) + Send + 'static,
) -> Result<()> {
    let mut running = core.jobs.running.lock();
    core.jobs.check()?;
    running.retain(|(alive, _)| Arc::strong_count(alive) > 1);
    let alive = Arc::new(());
    let (own, shared) = (Arc::clone(core), Arc::clone(&alive));
    let named = thread::Builder::new().name(name.to_owned());
    let job = named.spawn(move || {
        let (_at_work, _alive) = (AtWork::begin(), shared);
        work(&own);
    });
    let failed = |cause| Error::file("start a thread for", core.dir.display(), cause);
    running.push((alive, job.map_err(failed)?));
    Ok(())
}

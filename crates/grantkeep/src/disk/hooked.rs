//! A file of which a test has a word before each read.

use super::DiskFile;
use crate::sync::Arc;
use std::{fmt, io};

/// What is done before a read, and may refuse it.
type BeforeRead = Box<dyn Fn() -> io::Result<()> + Send + Sync>;

pub(crate) struct Hooked {
    file: Arc<dyn DiskFile>,
    before_read: BeforeRead,
}

impl Hooked {
    pub(crate) fn over(
        file: Arc<dyn DiskFile>,
        before_read: impl Fn() -> io::Result<()> + Send + Sync + 'static,
    ) -> Arc<dyn DiskFile> {
        Arc::new(Self { file, before_read: Box::new(before_read) })
    }
}

impl fmt::Debug for Hooked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Hooked").field(&self.file).finish()
    }
}

impl DiskFile for Hooked {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        (self.before_read)()?;
        self.file.read_at(bytes, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.file.set_len(bytes)
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn drop_cache(&self) -> io::Result<()> {
        self.file.drop_cache()
    }

    fn try_lock(&self) -> io::Result<bool> {
        self.file.try_lock()
    }
}

//! A file with changes that stay in memory: what redb does when it opens its file, and what its
//! repair does, is undone by forgetting it.

use crate::disk::{DiskFile, FileId};
use crate::sync::{Arc, Mutex};
use std::collections::BTreeMap;
use std::io;

const PAGE_BYTES: u64 = 4_096;

/// A file of which the pages that were written are in memory.
#[derive(Debug)]
pub(crate) struct Overlay {
    file: Arc<dyn DiskFile>,
    /// redb writes from one thread at a time, and reads from any.
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    length: u64,
    /// Up to here the file's own bytes count, where they were not written over.
    of_file: u64,
    pages: BTreeMap<u64, Vec<u8>>,
}

impl Overlay {
    pub(crate) fn over(file: Arc<dyn DiskFile>) -> io::Result<Self> {
        let length = file.len()?;
        let state = State { length, of_file: length, pages: BTreeMap::new() };
        Ok(Self { file, state: Mutex::new(state) })
    }

    /// A page as it is now, filled with zeros behind the end.
    fn page(&self, state: &State, number: u64) -> io::Result<Vec<u8>> {
        if let Some(page) = state.pages.get(&number) {
            return Ok(page.clone());
        }
        let mut page = vec![0; usize::try_from(PAGE_BYTES).map_err(io::Error::other)?];
        let start = number * PAGE_BYTES;
        let held = state.of_file.saturating_sub(start).min(PAGE_BYTES);
        if let Some(part) = usize::try_from(held).ok().and_then(|held| page.get_mut(..held)) {
            self.file.read_at(part, start)?;
        }
        Ok(page)
    }

    /// Goes through the pages that `bytes` from `offset` on lie in: the number of each, where it
    /// begins in the bytes, where the part begins in it, and how long that is.
    fn parts(offset: u64, bytes: usize) -> impl Iterator<Item = (u64, usize, usize, usize)> {
        let mut done = 0;
        std::iter::from_fn(move || {
            let at = offset.checked_add(done as u64)?;
            let within = usize::try_from(at % PAGE_BYTES).ok()?;
            let room = usize::try_from(PAGE_BYTES).ok()?.checked_sub(within)?;
            let part = room.min(bytes.checked_sub(done)?);
            let from = done;
            done += part;
            (part > 0).then_some((at / PAGE_BYTES, from, within, part))
        })
    }
}

impl DiskFile for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state.lock().length)
    }

    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<()> {
        let state = self.state.lock();
        let end = offset.checked_add(out.len() as u64).filter(|end| *end <= state.length);
        let end = end.ok_or(io::ErrorKind::UnexpectedEof)?;
        let mut changed = state.pages.range(offset / PAGE_BYTES..end.div_ceil(PAGE_BYTES));
        if end <= state.of_file && changed.next().is_none() {
            // The file does not change, so several may read it at a time.
            drop(state);
            return self.file.read_at(out, offset);
        }
        for (number, from, within, part) in Self::parts(offset, out.len()) {
            let page = self.page(&state, number)?;
            let source = page.get(within..within + part).unwrap_or_default();
            let target = out.get_mut(from..from + part).unwrap_or_default();
            if source.len() == target.len() {
                target.copy_from_slice(source);
            }
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        if len < state.length {
            let last = self.page(&state, len / PAGE_BYTES)?;
            state.pages.retain(|number, _| number * PAGE_BYTES < len);
            let kept = usize::try_from(len % PAGE_BYTES).map_err(io::Error::other)?;
            if kept > 0 {
                let mut last = last;
                last.iter_mut().skip(kept).for_each(|byte| *byte = 0);
                state.pages.insert(len / PAGE_BYTES, last);
            }
            state.of_file = state.of_file.min(len);
        }
        state.length = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn drop_cache(&self) -> io::Result<()> {
        self.file.drop_cache()
    }

    fn read_ahead(&self) {
        self.file.read_ahead();
    }

    fn try_lock(&self) -> io::Result<bool> {
        self.file.try_lock()
    }

    fn id(&self) -> io::Result<Option<FileId>> {
        self.file.id()
    }

    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        for (number, from, within, part) in Self::parts(offset, data.len()) {
            let mut page = self.page(&state, number)?;
            let source = data.get(from..from + part).unwrap_or_default();
            let target = page.get_mut(within..within + part).unwrap_or_default();
            if source.len() == target.len() {
                target.copy_from_slice(source);
            }
            state.pages.insert(number, page);
        }
        state.length = state.length.max(offset.saturating_add(data.len() as u64));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{Disk as _, OpenMode, OsDisk, read_small};

    // Goal: an overlay reads as a file that was written to would, and the file below stays as it
    // is. Method: writes, cuts, and growths of all kinds against a vector of bytes.
    #[test]
    fn an_overlay_is_a_file_whose_changes_are_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let file = OsDisk.open(&dir.path().join("file"), OpenMode::New).unwrap();
        let first: Vec<u8> = (0..=250).cycle().take(10_000).collect();
        file.write_at(&first, 0).unwrap();
        let overlay = Overlay::over(Arc::clone(&file)).unwrap();
        let mut model = first.clone();
        for step in 0..400_usize {
            let at = step * 7_919 % (model.len() + 1);
            match step % 5 {
                0 => {
                    let len = step * 6_151 % 20_000;
                    model.resize(len, 0);
                    overlay.set_len(len as u64).unwrap();
                }
                1 => {}
                _ => {
                    let bytes = vec![u8::try_from(step % 256).unwrap(); step * 37 % 9_000];
                    model.resize(model.len().max(at + bytes.len()), 0);
                    model[at..at + bytes.len()].copy_from_slice(&bytes);
                    overlay.write_at(&bytes, at as u64).unwrap();
                }
            }
            let mut read = vec![0; model.len()];
            overlay.read_at(&mut read, 0).unwrap();
            assert!(read == model && overlay.len().unwrap() == model.len() as u64, "{step}");
            assert!(overlay.read_at(&mut read, 1).is_err() || read.is_empty());
            // Pages of the file alone are read past what is in memory.
            let (from, to) = (at.min(model.len()), (at + 5_000).min(model.len()));
            let mut part = vec![0; to - from];
            overlay.read_at(&mut part, from as u64).unwrap();
            assert!(part == model[from..to], "{step}");
        }
        assert_eq!(read_small(&*file).unwrap(), first);
    }
}

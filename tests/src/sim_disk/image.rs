//! What a file holds: bytes in pages that images share, and what a power cut does to a change.

use crate::pseudorandom::Pseudorandom;
use std::io;
use std::sync::Arc;

const PAGE_BYTES: usize = 4_096;
/// What a device writes whole or not at all, unless it is torn within.
const SECTOR_BYTES: u64 = 512;
static ZEROS: [u8; PAGE_BYTES] = [0; PAGE_BYTES];

/// A change of a file.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Write { offset: u64, bytes: Arc<[u8]> },
    SetLen(u64),
}

/// Bytes in pages that images share until one of them changes; a missing page holds zeros.
#[derive(Debug, Clone, Default)]
pub(super) struct Image {
    pub(super) bytes: u64,
    pages: Vec<Option<Arc<[u8; PAGE_BYTES]>>>,
}

impl Image {
    pub(super) fn read(&self, out: &mut [u8], offset: u64) -> io::Result<()> {
        if offset.saturating_add(out.len() as u64) > self.bytes {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut at = usize::try_from(offset).map_err(io::Error::other)?;
        let mut rest = out;
        while !rest.is_empty() {
            let start = at % PAGE_BYTES;
            let (part, more) = rest.split_at_mut(rest.len().min(PAGE_BYTES - start));
            let page = self.pages.get(at / PAGE_BYTES).and_then(Option::as_deref);
            part.copy_from_slice(&page.unwrap_or(&ZEROS)[start..start + part.len()]);
            at += part.len();
            rest = more;
        }
        Ok(())
    }

    pub(super) fn content(&self) -> Vec<u8> {
        let mut content = vec![0; usize::try_from(self.bytes).expect("a small disk")];
        self.read(&mut content, 0).expect("within the file");
        content
    }

    pub(super) fn apply(&mut self, change: &Change) {
        match change {
            Change::Write { offset, bytes } => self.write(bytes, *offset),
            Change::SetLen(bytes) => self.set_len(*bytes),
        }
    }

    /// Applies all of a change, nothing, some sectors or some first bytes of it, or leaves garbage
    /// in its place.
    pub(super) fn apply_some(&mut self, change: &Change, random: &mut Pseudorandom) {
        match (random.below(6), change) {
            (0 | 1, _) => {}
            (2, Change::Write { offset, bytes }) => self.tear_at_sectors(bytes, *offset, random),
            (3, Change::Write { offset, bytes }) => {
                // At a byte, from either end.
                let cut = usize::try_from(random.below(bytes.len() as u64 + 1)).expect("a write");
                match random.below(2) {
                    0 => self.write(&bytes[..cut], *offset),
                    _ => self.write(&bytes[cut..], *offset + cut as u64),
                }
            }
            (4, Change::Write { offset, bytes }) => self.spoil(bytes, *offset, random),
            _ => self.apply(change),
        }
    }

    /// Writes the first sectors, the last, or any.
    fn tear_at_sectors(&mut self, bytes: &[u8], offset: u64, random: &mut Pseudorandom) {
        let sectors = sectors_of(bytes, offset).count() as u64;
        let (shape, cut) = (random.below(3), random.below(sectors + 1));
        for (number, (start, part)) in (0..).zip(sectors_of(bytes, offset)) {
            let written = match shape {
                0 => number < cut,
                1 => number >= cut,
                _ => random.below(2) == 0,
            };
            if written {
                self.write(part, start);
            }
        }
    }

    /// Writes with garbage in some of the sectors that the write covers as a whole. A sector that
    /// it shares with other bytes does not harm these, nor is one that is written in part filled
    /// with what nobody wrote: devices promise as much, and redb builds on it for its header.
    fn spoil(&mut self, bytes: &[u8], offset: u64, random: &mut Pseudorandom) {
        for (start, part) in sectors_of(bytes, offset) {
            if part.len() as u64 == SECTOR_BYTES && random.below(2) == 0 {
                let garbage: Vec<u8> =
                    (0..part.len() / 8).flat_map(|_| random.number().to_le_bytes()).collect();
                self.write(&garbage, start);
            } else {
                self.write(part, start);
            }
        }
    }

    pub(super) fn write(&mut self, bytes: &[u8], offset: u64) {
        let end = offset + bytes.len() as u64;
        if end > self.bytes {
            self.set_len(end);
        }
        let mut at = usize::try_from(offset).expect("a small disk");
        let mut rest = bytes;
        while !rest.is_empty() {
            let start = at % PAGE_BYTES;
            let (part, more) = rest.split_at(rest.len().min(PAGE_BYTES - start));
            let page = &mut self.pages[at / PAGE_BYTES];
            if part == ZEROS {
                *page = None;
            } else if page.is_some() || part != &ZEROS[..part.len()] {
                let page = page.get_or_insert_with(|| Arc::new(ZEROS));
                Arc::make_mut(page)[start..start + part.len()].copy_from_slice(part);
            }
            at += part.len();
            rest = more;
        }
    }

    fn set_len(&mut self, bytes: u64) {
        let len = usize::try_from(bytes).expect("a small disk");
        self.pages.resize(len.div_ceil(PAGE_BYTES), None);
        let kept = len % PAGE_BYTES;
        if bytes < self.bytes
            && kept > 0
            && let Some(Some(page)) = self.pages.last_mut()
        {
            Arc::make_mut(page)[kept..].fill(0);
        }
        self.bytes = bytes;
    }
}

/// The parts of a write by sector of the device, each with its offset.
fn sectors_of(bytes: &[u8], offset: u64) -> impl Iterator<Item = (u64, &[u8])> {
    let end = offset + bytes.len() as u64;
    (offset / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES)).map(move |sector| {
        let start = (sector * SECTOR_BYTES).max(offset);
        let stop = ((sector + 1) * SECTOR_BYTES).min(end);
        let within = |at: u64| usize::try_from(at - offset).expect("within a write");
        (start, &bytes[within(start)..within(stop)])
    })
}

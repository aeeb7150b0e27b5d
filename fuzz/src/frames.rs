//! Segments and frames as `docs/format.md` draws them, read, changed, and written without the
//! engine.

use crate::input::Input;
use crate::record::{self, u64_at};
use std::path::PathBuf;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Where the frames begin.
pub(crate) const DATA: usize = 8_192;
pub(crate) const HEADER_COPIES: [usize; 2] = [0, 4_096];
const HEADER_BYTES: usize = 56;
pub(crate) const FRAME_HEADER_BYTES: usize = 48;
const STEPS_MAX: usize = 64;

/// The numbers of a segment's header behind its magic: offset and length of each.
const HEADER_FIELDS: [(usize, usize); 5] = [(8, 4), (12, 4), (16, 8), (32, 8), (40, 8)];
/// Those of a frame's header.
const FRAME_FIELDS: [(usize, usize); 7] =
    [(8, 4), (12, 2), (14, 2), (16, 8), (24, 8), (32, 8), (40, 8)];

/// A frame: its header, and its records without their padding.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    header: [u8; FRAME_HEADER_BYTES],
    pub(crate) records: Vec<Vec<u8>>,
}

impl Frame {
    /// The whole frame that `bytes` start with.
    pub(crate) fn whole(bytes: &[u8], nonce: u64) -> Option<Self> {
        let header: [u8; FRAME_HEADER_BYTES] = *bytes.first_chunk()?;
        let count = usize::from(u16::from_le_bytes([header[12], header[13]]));
        if u64_at(&header, 0) == 0 || count > STEPS_MAX {
            return None;
        }
        let mut rest = &bytes[FRAME_HEADER_BYTES..];
        let mut records = Vec::new();
        for _ in 0..count {
            let record = record::whole(rest)?;
            rest = rest.get(record.len().next_multiple_of(8)..)?;
            records.push(record.to_vec());
        }
        let frame = Self { header, records };
        (frame.encode(nonce)[..8] == header[..8]).then_some(frame)
    }

    /// The frame's bytes; its check holds.
    pub(crate) fn encode(&self, nonce: u64) -> Vec<u8> {
        let mut covered = self.header[8..].to_vec();
        let mut bytes = self.header.to_vec();
        for record in &self.records {
            covered.extend_from_slice(&record[..8]);
            bytes.extend_from_slice(record);
            bytes.resize(bytes.len().next_multiple_of(8), 0);
        }
        bytes[..8].copy_from_slice(&xxh3_64_with_seed(&covered, nonce).to_le_bytes());
        bytes
    }

    pub(crate) fn change_header(&mut self, input: &mut Input<'_>) {
        let (at, len) = FRAME_FIELDS[input.below(FRAME_FIELDS.len())];
        let number = input.number(u64_at(&self.header, at) & u64::MAX >> (64 - 8 * len));
        self.header[at..at + len].copy_from_slice(&number.to_le_bytes()[..len]);
    }

    /// Says how many records there are, and how long they are.
    pub(crate) fn recount(&mut self) {
        let payload: usize = self.records.iter().map(|r| r.len().next_multiple_of(8)).sum();
        let payload = u32::try_from(payload).expect("a short frame");
        let count = u16::try_from(self.records.len()).expect("few records");
        self.header[8..12].copy_from_slice(&payload.to_le_bytes());
        self.header[12..14].copy_from_slice(&count.to_le_bytes());
    }
}

/// A file of the log: its header, its frames, and what else is done to its bytes.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    pub(crate) name: PathBuf,
    header: [u8; HEADER_BYTES],
    pub(crate) frames: Vec<Frame>,
    pub(crate) bytes: usize,
    /// Bytes that are put over the others at last.
    pub(crate) patches: Vec<(usize, Vec<u8>)>,
}

impl Segment {
    pub(crate) fn read(name: PathBuf, bytes: &[u8]) -> Self {
        let header: [u8; HEADER_BYTES] = *bytes.first_chunk().expect("a header");
        let nonce = u64_at(&header, 40);
        let mut frames = Vec::new();
        let mut at = DATA;
        while let Some(frame) = bytes.get(at..).and_then(|rest| Frame::whole(rest, nonce)) {
            at += frame.encode(nonce).len();
            frames.push(frame);
        }
        Self { name, header, frames, bytes: bytes.len(), patches: Vec::new() }
    }

    pub(crate) fn number(&self) -> u64 {
        u64_at(&self.header, 32)
    }

    /// Changes a number of the header, whose check holds afterwards.
    pub(crate) fn change_header(&mut self, input: &mut Input<'_>) {
        let (at, len) = HEADER_FIELDS[input.below(HEADER_FIELDS.len())];
        let number = input.number(u64_at(&self.header, at) & u64::MAX >> (64 - 8 * len));
        self.header[at..at + len].copy_from_slice(&number.to_le_bytes()[..len]);
        let check = xxh3_64(&self.header[..HEADER_BYTES - 8]).to_le_bytes();
        self.header[HEADER_BYTES - 8..].copy_from_slice(&check);
    }

    /// The bytes up to the last that is not zero.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; DATA];
        for at in HEADER_COPIES {
            bytes[at..at + HEADER_BYTES].copy_from_slice(&self.header);
        }
        let nonce = u64_at(&self.header, 40);
        self.frames.iter().for_each(|frame| bytes.extend(frame.encode(nonce)));
        for (at, patch) in &self.patches {
            if bytes.len() < at + patch.len() {
                bytes.resize(at + patch.len(), 0);
            }
            bytes[*at..at + patch.len()].copy_from_slice(patch);
        }
        bytes.truncate(self.bytes);
        bytes
    }

    /// The headers and frames that are whole in `bytes`, at any place they may be looked for.
    pub(crate) fn whole_parts(bytes: &[u8]) -> Vec<Vec<u8>> {
        let header = |at: usize| {
            let header = bytes.get(at..at + HEADER_BYTES)?;
            let whole = xxh3_64(&header[..HEADER_BYTES - 8]) == u64_at(header, HEADER_BYTES - 8);
            whole.then(|| header.to_vec())
        };
        let mut parts: Vec<Vec<u8>> = HEADER_COPIES.into_iter().filter_map(header).collect();
        let mut nonces: Vec<u64> = parts.iter().map(|header| u64_at(header, 40)).collect();
        nonces.dedup();
        for at in (DATA..bytes.len()).step_by(8) {
            for nonce in &nonces {
                let frame = Frame::whole(&bytes[at..], *nonce);
                parts.extend(frame.map(|frame| frame.encode(*nonce)));
            }
        }
        parts
    }
}

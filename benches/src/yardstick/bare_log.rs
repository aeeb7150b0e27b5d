//! The least that durable issuing can cost: frames appended to a pre-zeroed file and synced in
//! groups, with nothing checked, indexed, or kept.

use super::group_commit::GroupCommit;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

const FILE_BYTES: usize = 64 << 20;

/// A log of frames and nothing else.
#[derive(Debug)]
pub struct BareLog(GroupCommit<Vec<u8>>);

impl BareLog {
    /// Makes the file, full of zeros and synced; it is written round and round.
    ///
    /// # Errors
    /// Whatever the operating system answers.
    pub fn create(path: &Path) -> io::Result<Self> {
        let file = File::create_new(path)?;
        file.write_all_at(&vec![0; FILE_BYTES], 0)?;
        file.sync_all()?;
        let mut at = 0;
        Ok(Self(GroupCommit::new(move |group: &mut Vec<u8>| {
            if at + group.len() > FILE_BYTES {
                at = 0;
            }
            file.write_all_at(group, at as u64).expect("the yardstick writes");
            file.sync_data().expect("the yardstick syncs");
            at += group.len();
            group.clear();
        })))
    }

    /// Appends a frame, and blocks until it is durable.
    pub fn append(&self, frame: &[u8]) {
        self.0.commit(|group| group.extend_from_slice(frame));
    }
}

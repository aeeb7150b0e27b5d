//! What a run ran on, and what it took there.

use std::fs;
use std::path::Path;

/// The machine in words, as a reader wants to know it.
pub(crate) fn words(dir: &Path) -> String {
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = field("/proc/meminfo", "MemTotal:").unwrap_or_default() >> 20;
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let model = fs::read_to_string("/proc/cpuinfo").ok();
    let model = model.as_deref().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("model name"))?;
        Some(line.split_once(':')?.1.trim())
    });
    format!(
        "{processors} processors ({}), {memory} GiB of memory, {} on Linux {}",
        model.unwrap_or("of an unknown kind"),
        file_system(dir),
        release.trim().split('-').next().unwrap_or_default(),
    )
}

/// The kind of file system that a path is on.
fn file_system(path: &Path) -> String {
    let path = fs::canonicalize(path).unwrap_or_default();
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let mounts = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        Some((words.next()?, words.next()?))
    });
    let over = mounts.filter(|(place, _)| path.starts_with(place));
    over.max_by_key(|(place, _)| place.len())
        .map_or_else(|| "an unknown file system".to_owned(), |(_, kind)| kind.to_owned())
}

/// A number of KiB in a file of the system, in KiB.
fn field(path: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// The memory of this process that is not of files, in bytes.
pub(crate) fn memory_bytes() -> u64 {
    field("/proc/self/status", "RssAnon:").unwrap_or_default() << 10
}

/// What a directory takes on the disk, in bytes.
pub(crate) fn disk_bytes(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => disk_bytes(&entry.path()),
        Ok(metadata) => metadata.blocks() * 512,
        // It went away meanwhile.
        Err(_) => 0,
    };
    entries.map(size).sum()
}

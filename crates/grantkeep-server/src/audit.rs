//! The audit log: what has happened, one JSON object a line, appended to a file.
//!
//! Events are told once what they tell of is durable, and none holds a secret. They wait in a
//! bounded queue; where the disk is slower than what happens, some are dropped, and a line says how
//! many. A file that cannot be written to is told of once, and tried again with each event; a line
//! of which only a part was written is ended first, so that it spoils no other.
//!
//! The file is its owner's alone. Nothing but a regular file is taken: a pipe would hold up the
//! start, and then the events, until somebody reads.

use crate::failure::Failure;
use grantkeep::Wait as _;
use grantkeep_grants::{Event, Events, Subscription};
use rustix::fs::OFlags;
use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};

/// Events that wait to be written.
const QUEUE: usize = 1 << 16;

/// One line.
#[derive(Debug, Serialize)]
struct Line<'a> {
    /// Milliseconds since 1970.
    at_ms: u128,
    event: &'a str,
    /// True where a secret of somebody may be out, or is being guessed.
    alarming: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    family: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dropped: Option<u64>,
}

/// Writes every event to the file at `path` from now on, on a thread of its own, which ends when
/// the events do.
///
/// # Errors
/// Where the file cannot be appended to.
pub(crate) fn start(events: &Events, path: &Path) -> Result<JoinHandle<()>, Failure> {
    let failed = |cause: io::Error| {
        Failure::new(format!("cannot write the audit log {}", path.display())).because(cause)
    };
    let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o600).custom_flags(nonblocking);
    let file = options.open(path).map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(failed(io::Error::other("it is no regular file: name one")));
    }
    let subscription = events.subscribe(QUEUE);
    let named = std::thread::Builder::new().name("grantkeep-audit".to_owned());
    named.spawn(move || run(subscription, file)).map_err(failed)
}

fn run(mut subscription: Subscription, mut file: File) {
    let (mut told, mut torn, mut dropped) = (false, false, 0);
    while let Some(event) = subscription.next().wait() {
        let missed = subscription.dropped();
        let line = line(&event, (missed > dropped).then_some(missed - dropped));
        dropped = missed;
        let written = line.and_then(|line| append(&mut file, &mut torn, &line));
        if let Err(cause) = written
            && !std::mem::replace(&mut told, true)
        {
            tracing::error!(target: "grantkeep", "the audit log cannot be written: {cause}");
        }
    }
}

/// Appends a line; `torn` is whether a part of one may be at the end.
fn append(file: &mut impl Write, torn: &mut bool, line: &[u8]) -> io::Result<()> {
    if *torn {
        file.write_all(b"\n")?;
    }
    *torn = true;
    file.write_all(line)?;
    *torn = false;
    Ok(())
}

fn line(event: &Event, dropped: Option<u64>) -> io::Result<Vec<u8>> {
    let line = Line {
        at_ms: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis()),
        event: event.name(),
        alarming: event.is_alarming(),
        client: event.client(),
        subject: event.subject(),
        family: event.family().map(|family| family.to_string()),
        dropped,
    };
    let mut bytes = serde_json::to_vec(&line)?;
    bytes.push(b'\n');
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: an event is one line that names whom it concerns. Method: one event, and one that was
    // preceded by others that were dropped.
    #[test]
    fn an_event_is_one_line() {
        let event = Event::ClientRefused { client: "app\n\"1\"".to_owned() };
        let text = String::from_utf8(line(&event, Some(3)).unwrap()).unwrap();
        assert_eq!(text.matches('\n').count(), 1);
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read["event"], "client_refused");
        assert_eq!(read["client"], "app\n\"1\"");
        assert_eq!(read["alarming"], true);
        assert_eq!(read["dropped"], 3);
        assert!(read.get("subject").is_none());
    }

    /// Takes so many bytes of each write, and then fails as a full disk does.
    struct Full(Vec<u8>, usize);

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.1 == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let taken = bytes.len().min(self.1);
            self.1 -= taken;
            self.0.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    // Goal: a line that was cut off by a full disk spoils none that comes after it. Method: a disk
    // that fills up at each byte of a line, and has room again.
    #[test]
    fn a_torn_line_spoils_no_other() {
        let whole = b"{\"event\":\"swept\"}\n";
        for room in 0..=whole.len() {
            let (mut file, mut torn) = (Full(Vec::new(), room), false);
            assert_eq!(append(&mut file, &mut torn, whole).is_ok(), room == whole.len());
            file.1 = usize::MAX;
            append(&mut file, &mut torn, whole).unwrap();
            let text = String::from_utf8(file.0).unwrap();
            assert_eq!(text.lines().last(), Some("{\"event\":\"swept\"}"), "{text}");
        }
    }

    // Goal: what is no regular file is refused at once, and a new file is its owner's alone.
    // Method: a pipe that nobody reads, a directory, and the mode of a file that was made.
    #[test]
    fn only_a_regular_file_is_written_to() {
        use std::os::unix::fs::PermissionsExt as _;
        let place = tempfile::tempdir().unwrap();
        let events = Events::default();
        let pipe = place.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0)
            .unwrap();
        for path in [pipe.as_path(), place.path()] {
            assert!(start(&events, path).is_err(), "{}", path.display());
        }
        let path = place.path().join("audit");
        start(&events, &path).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}

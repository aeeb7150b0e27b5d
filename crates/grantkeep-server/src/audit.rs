//! The audit log: what has happened, one JSON object a line, appended to a file.
//!
//! Events are told once what they tell of is durable, and none holds a secret. They wait in a
//! bounded queue; where the disk is slower than what happens, some are dropped, and a line says how
//! many. A file that cannot be written to is told of once, and tried again with each event.

use crate::failure::Failure;
use grantkeep::Wait as _;
use grantkeep_grants::{Event, Events, Subscription};
use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
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
    let failed = |cause| {
        Failure::new(format!("cannot write the audit log {}", path.display())).because(cause)
    };
    let file = OpenOptions::new().append(true).create(true).open(path).map_err(failed)?;
    let subscription = events.subscribe(QUEUE);
    let named = std::thread::Builder::new().name("grantkeep-audit".to_owned());
    named.spawn(move || run(subscription, file)).map_err(failed)
}

fn run(mut subscription: Subscription, mut file: File) {
    let (mut told, mut dropped) = (false, 0);
    while let Some(event) = subscription.next().wait() {
        let missed = subscription.dropped();
        let line = line(&event, (missed > dropped).then_some(missed - dropped));
        dropped = missed;
        if let Err(cause) = line.and_then(|line| file.write_all(&line)) {
            if !told {
                tracing::error!(target: "grantkeep", "the audit log cannot be written: {cause}");
            }
            told = true;
        }
    }
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
}

//! What connections take of a server's memory.

use super::connection::Connection;
use super::server::{Place, Server};
use futures_util::future::join_all;
use grantkeep_server::{HEAD_BYTES_MAX, Limits};
use std::fs;
use std::time::Duration;

const CONNECTIONS: usize = 2_000;
/// Files that this process needs beside them.
const FILES: usize = 100;
/// What is sent on each without an answer being read: far more than is taken.
const SENT_BYTES: usize = 400 << 10;
/// What a connection takes at most, as `docs/limits.md` says.
const CONNECTION_BYTES_MAX: u64 = 256 << 10;
/// So long it is tried to send more.
const PATIENCE: Duration = Duration::from_secs(4);
/// So long what was sent may take to be read.
const READ: Duration = Duration::from_secs(2);

/// A line of `/proc/PID/status` about memory, in bytes.
fn memory(server: &Server, line: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.process.id())).unwrap();
    let line = status.lines().find_map(|known| known.strip_prefix(line)).unwrap();
    let kib: u64 = line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap();
    kib << 10
}

// Goal: what a connection takes is bounded, whatever it sends while it reads nothing: requests
// without end, a head and a body without an end, a body in the smallest pieces, and the longest
// answer that is there for everybody. Method: thousands of each, and the peak of the process.
#[test]
fn connections_that_send_and_do_not_read_take_little() {
    let limits = Limits { connections: CONNECTIONS + FILES, ..Limits::default() };
    if limits.within_open_files().connections < CONNECTIONS + FILES {
        println!("skipped because the limit on open files is below {CONNECTIONS}");
        return;
    }
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n");
    let endless = |path: &str| get(path).repeat(SENT_BYTES / get(path).len());
    let field = "x: x\r\n";
    let post = "POST /api/oauth/token HTTP/1.1\r\nhost: a\r\n";
    let half_head = format!("{post}{}y: ", field.repeat(90)) + &"y".repeat(HEAD_BYTES_MAX - 1_000);
    let half_body = format!("{half_head}\r\ncontent-length: 65000\r\n\r\n{}", "x".repeat(64_000));
    let pieces = format!("{post}transfer-encoding: chunked\r\n\r\n{}", "1\r\nx\r\n".repeat(60_000));
    for (what, sent, connections) in [
        ("requests without end", endless("/style.css"), CONNECTIONS),
        ("the longest answer", endless("/openapi.json"), CONNECTIONS),
        ("the longest head, unfinished", half_head.clone(), CONNECTIONS),
        ("far too long a head", half_head.repeat(12), CONNECTIONS),
        ("the longest body, unfinished", half_body, CONNECTIONS),
        ("a body in pieces of one byte", pieces, CONNECTIONS / 10),
    ] {
        let place = Place::new();
        let server = place.start(&["--connections", &CONNECTIONS.to_string()]);
        let before = memory(&server, "VmRSS");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let opened = (0..connections).map(|_| Connection::open(server.address));
            let mut held: Vec<_> = join_all(opened).await.into_iter().map(Result::unwrap).collect();
            let send = held.iter_mut().map(|one| one.send_what_is_taken(sent.as_bytes(), PATIENCE));
            join_all(send).await;
            tokio::time::sleep(READ).await;
            let each = memory(&server, "VmHWM").saturating_sub(before) / connections as u64;
            println!("{what}: {connections} connections, {each} bytes of memory each");
            assert!(each < CONNECTION_BYTES_MAX, "{what}: {each} bytes each");
        });
        server.stop();
    }
}

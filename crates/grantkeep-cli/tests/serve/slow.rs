use super::connection::Connection;
use super::server::{CLIENT, Place, RESOURCE, TOKEN};
use futures_util::future::join_all;
use grantkeep_server::Limits;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt as _;

/// Connections a quarter of which send nothing, half the head of a request without its end, and a
/// quarter a body without its end.
const SLOW: usize = 3_000;
/// Files that this process needs beside them.
const FILES: usize = 100;
/// Connections that the server has room for; fewer than there are slow ones.
const ROOM: &str = "2000";
const OTHERS: usize = 50;
/// No other client waits longer for an answer.
const PATIENCE: Duration = Duration::from_secs(4);

/// A request whose body never comes.
const HALF: &str = "POST /api/oauth/token HTTP/1.1\r\nhost: localhost\r\ncontent-type: \
                    application/x-www-form-urlencoded\r\ncontent-length: 1000\r\n\r\ngrant";

/// Has a connection that does nothing of use: most are in the middle of a head or of a body.
async fn open_slow(server: SocketAddr, at: usize) -> Connection {
    let mut connection = Connection::open(server).await.unwrap();
    let said = match at % 4 {
        0 => "POST /api/oauth/token HTTP/1.1\r\nhost: localhost\r\ncontent-len",
        1 => "GET",
        2 => HALF,
        _ => return connection,
    };
    // It may have made room already for another one.
    let _ = connection.send(said.as_bytes()).await;
    connection
}

/// What another client does, and how long that takes it.
async fn served(server: SocketAddr) -> Duration {
    let began = Instant::now();
    let mut other = Connection::open(server).await.unwrap();
    let form = [CLIENT[0], CLIENT[1], ("grant_type", "client_credentials")];
    let answer = other.post(TOKEN, &form).await.expect("another client is kept out");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = other.get(RESOURCE, &answer.member("access_token")).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    began.elapsed()
}

// Goal: connections that send nothing, half a head, or half a body, keep nobody out, however many
// there are, and end by themselves. Method: half as many again as the server has room for, opened
// while others come and go, each of which is answered well before the slow ones would have to end.
#[test]
fn slow_connections_keep_nobody_out() {
    let limits = Limits { connections: SLOW + FILES, ..Limits::default() };
    if limits.within_open_files().connections < SLOW + FILES {
        println!("skipped because the limit on open files is below {SLOW}");
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let place = Place::new();
    let server = place.start(&["--connections", ROOM]);
    let address = server.address;
    let (held, longest) = runtime.block_on(async {
        let mut held = Vec::new();
        let mut longest = Duration::ZERO;
        for _ in 0..OTHERS {
            let from = held.len();
            let share = SLOW / OTHERS;
            held.extend(join_all((from..from + share).map(|at| open_slow(address, at))).await);
            longest = longest.max(served(address).await);
        }
        let ended = join_all(held.iter_mut().map(Connection::told));
        let mut answers = ended.await.into_iter().flatten();
        assert!(answers.all(|answer| answer.status == 408), "a slow one was answered");
        (held.len(), longest)
    });
    println!(
        "{held} slow and half-open connections, room for {ROOM}: {OTHERS} others were answered \
         within {longest:?}"
    );
    assert!(longest < PATIENCE, "another client waited for {longest:?}");
    server.stop();
}

// Goal: one address that sends half bodies on all connections that there are keeps nobody out, and
// has nothing decided. Method: as many as the server has room for, all from one address.
#[test]
fn one_address_cannot_take_all_connections() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let place = Place::new();
    let server = place.start(&["--connections", "60"]);
    runtime.block_on(async {
        let mut slow = Vec::new();
        for _ in 0..60 {
            let mut stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
            stream.write_all(HALF.as_bytes()).await.unwrap();
            slow.push(stream);
        }
        for _ in 0..10 {
            let waited = served(server.address).await;
            assert!(waited < PATIENCE, "another client waited for {waited:?}");
        }
    });
    server.stop();
}

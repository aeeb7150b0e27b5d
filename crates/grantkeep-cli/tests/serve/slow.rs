use super::connection::Connection;
use super::server::{CLIENT, Place, RESOURCE, TOKEN};
use futures_util::future::join_all;
use grantkeep_server::Limits;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Connections half of which send nothing, and half the head of a request without its end.
const SLOW: usize = 3_000;
/// Files that this process needs beside them.
const FILES: usize = 100;
/// Connections that the server has room for; fewer than there are slow ones.
const ROOM: &str = "2000";
const OTHERS: usize = 50;
/// No other client waits longer for an answer.
const PATIENCE: Duration = Duration::from_secs(4);

/// Has a connection that does nothing of use, half of them in the middle of a head or of a body.
async fn open_slow(server: SocketAddr, at: usize) -> Connection {
    let mut connection = Connection::open(server).await.unwrap();
    let said = match at % 4 {
        0 => "POST /api/oauth/token HTTP/1.1\r\nhost: localhost\r\ncontent-len",
        1 => "GET",
        _ => return connection,
    };
    // It may have made room already for another one.
    let _ = connection.send(said.as_bytes()).await;
    connection
}

// Goal: connections that send nothing, or half a head, keep nobody out, however many there are, and
// end by themselves. Method: half as many again as the server has room for, opened while others
// come and go, each of which is answered well before the slow ones would have to end; more half
// heads on a connection that lives.
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
            let began = Instant::now();
            let mut other = Connection::open(address).await.unwrap();
            let form = [CLIENT[0], CLIENT[1], ("grant_type", "client_credentials")];
            let answer = other.post(TOKEN, &form).await.expect("another client is kept out");
            assert_eq!(answer.status, 200, "{}", answer.text());
            let answer = other.get(RESOURCE, &answer.member("access_token")).await.unwrap();
            assert_eq!(answer.status, 200, "{}", answer.text());
            longest = longest.max(began.elapsed());
        }
        let ended = join_all(held.iter_mut().map(Connection::ends));
        assert!(ended.await.iter().all(Result::is_ok), "a slow connection was answered");
        (held.len(), longest)
    });
    println!(
        "{held} slow and half-open connections, room for {ROOM}: {OTHERS} others were answered \
         within {longest:?}"
    );
    assert!(longest < PATIENCE, "another client waited for {longest:?}");
    server.stop();
}

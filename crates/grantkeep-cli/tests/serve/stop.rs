use super::connection::Connection;
use super::server::{CLIENT, Place, TOKEN, Told, all, is_active, open, present, told};
use futures_util::future::{join, join_all};
use grantkeep_tests::setting;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const STOPS: u64 = 3;
const CONNECTIONS: usize = 128;
/// How long the load lasts before the server is told to end.
const WORK: Duration = Duration::from_millis(300);

/// What one connection was told until it ended.
struct Done {
    access: Vec<String>,
    refresh: String,
    /// Whether the last answer said that it is the last.
    in_order: bool,
    /// Whether the last request was left without an answer.
    unanswered: bool,
}

// Goal: P1, P2 where a server is told to end (SIGTERM) under load: no request that reached it is
// left without an answer, the last answer of a connection says so (RFC 9112 section 9.6), and all
// that was answered is there when the next server starts. Method: connections that refresh one
// family each, without a pause, until they are told that it was the last answer.
#[test]
fn a_stop_under_load_answers_all_and_loses_nothing() {
    let stops = setting("GRANTKEEP_SERVER_STOPS", STOPS);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let place = Place::new();
    place.start(&[]).stop();
    let mut answered = 0;
    for _ in 0..stops {
        let grants = place.grants();
        let opened =
            all((0..CONNECTIONS).map(async |at| open(&grants, &format!("person-{at}")).await));
        let tokens: Vec<_> =
            opened.iter().flat_map(|pair| &pair.refresh).map(|it| it.expose().to_owned()).collect();
        grants.store().close().unwrap();
        let mut server = place.start(&[]);
        let clients = join_all(tokens.into_iter().map(|token| refresh(server.address, token)));
        let end = async {
            tokio::time::sleep(WORK).await;
            server.terminate();
        };
        let (done, ()) = runtime.block_on(join(clients, end));
        assert!(server.process.wait().success(), "it did not end in order");
        let unanswered = done.iter().filter(|done| done.unanswered).count();
        assert_eq!(unanswered, 0, "requests were left without an answer");
        assert!(done.iter().all(|done| done.in_order), "connections ended without being told");
        answered += done.iter().map(|done| done.access.len()).sum::<usize>();
        let server = place.start(&[]);
        runtime.block_on(join_all(done.iter().map(|done| check(server.address, done))));
        server.stop();
    }
    println!(
        "stops under load: {stops}, requests answered {answered}, left without an answer 0, lost 0"
    );
    assert!(answered > CONNECTIONS * stops as usize, "hardly any load");
}

// Goal: a server that is told to end for the second time waits for nothing that is under way, says
// so, and still ends in order. Method: a request whose body does not come, and two signals.
#[test]
fn told_twice_it_ends_at_once() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let place = Place::new();
    let mut server = place.start(&[]);
    let mut slow = runtime.block_on(Connection::open(server.address)).unwrap();
    let half = "POST /api/oauth/token HTTP/1.1\r\nhost: a\r\ncontent-length: 99\r\n\r\nabc";
    runtime.block_on(slow.send(half.as_bytes())).unwrap();
    std::thread::sleep(WORK);
    let logged = || std::fs::read_to_string(place.path("stderr")).unwrap();
    server.terminate();
    while !logged().contains("stopping: finishing requests in progress") {
        std::thread::sleep(WORK / 10);
    }
    std::thread::sleep(WORK);
    assert!(server.process.runs(), "it waited for nothing");
    server.terminate();
    let began = Instant::now();
    assert!(server.process.wait().success(), "it did not end in order");
    assert!(began.elapsed() < Duration::from_secs(5), "it waited for {:?}", began.elapsed());
    let log = logged();
    assert!(log.contains("stopping at once: requests in progress are not answered"), "{log}");
    runtime.block_on(slow.ends()).unwrap();
}

/// Refreshes until the server says that it was the last answer.
async fn refresh(server: SocketAddr, mut token: String) -> Done {
    let mut connection = Connection::open(server).await.unwrap();
    let mut access = Vec::new();
    loop {
        let form =
            [CLIENT[0], CLIENT[1], ("grant_type", "refresh_token"), ("refresh_token", &token)];
        let answered = connection.post(TOKEN, &form).await;
        let is_last = answered.as_ref().is_ok_and(|answer| answer.is_last);
        match told(answered) {
            Told::Granted(next, refresh) => {
                access.push(next);
                token = refresh;
            }
            Told::Refused => panic!("a token was refused that nobody else presented"),
            Told::Nothing => {
                return Done { access, refresh: token, in_order: false, unanswered: true };
            }
        }
        if is_last {
            let in_order = connection.ends().await.is_ok();
            return Done { access, refresh: token, in_order, unanswered: false };
        }
    }
}

/// Holds the next server against it.
async fn check(server: SocketAddr, done: &Done) {
    let mut connection = Connection::open(server).await.unwrap();
    let newest = done.access.last().unwrap();
    assert!(is_active(&mut connection, newest).await, "an access token is lost");
    let refreshed = present(&mut connection, ("refresh_token", &done.refresh)).await;
    assert!(matches!(refreshed, Told::Granted(..)), "a refresh token is lost");
}

use super::*;
use axum::routing::{get, post};
use futures_util::future::select_all;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

const SHORT: Limits = Limits {
    connections: 4,
    head: Duration::from_millis(400),
    request: Duration::from_millis(400),
    stop: Duration::from_secs(20),
};
/// Longer than any test lasts.
const LONG: Limits =
    Limits { head: Duration::from_secs(120), request: Duration::from_secs(120), ..SHORT };
/// So long a test waits for what has to come at once.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server with a page that is answered, one that never is, and one that reads a body.
struct Served {
    at: SocketAddr,
    stop: oneshot::Sender<()>,
    hasten: oneshot::Sender<()>,
    ended: JoinHandle<()>,
}

async fn served(limits: Limits) -> Served {
    let app = Router::new()
        .route("/", get(|| async { "well" }))
        .route("/never", get(|| async { std::future::pending::<()>().await }))
        .route("/body", post(|body: String| async move { body.len().to_string() }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let ((stop, stopped), (hasten, hastened)) = (oneshot::channel(), oneshot::channel());
    // A sender that is dropped tells nothing.
    let told = async |told: oneshot::Receiver<()>| {
        if told.await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let served = serve(listener, None, app, limits, told(stopped), told(hastened));
    Served { at, stop, hasten, ended: tokio::spawn(served) }
}

async fn opened(server: SocketAddr, sent: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(server).await.unwrap();
    // It may be ended before it has taken all.
    let _ = stream.write_all(sent).await;
    stream
}

/// What a connection is told until it ends.
async fn rest(stream: &mut TcpStream) -> String {
    let mut told = Vec::new();
    // It may be reset behind its last answer.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut told)).await.expect("it did not end");
    String::from_utf8(told).unwrap()
}

async fn told(server: SocketAddr, sent: impl AsRef<[u8]>) -> String {
    rest(&mut opened(server, sent.as_ref()).await).await
}

/// The first of what a connection is told: so many bytes.
async fn first(stream: &mut TcpStream, bytes: usize) -> String {
    let mut told = vec![0; bytes];
    timeout(PATIENCE, stream.read_exact(&mut told)).await.expect("no answer").unwrap();
    String::from_utf8(told).unwrap()
}

fn statuses(told: &str) -> Vec<&str> {
    told.match_indices("HTTP/1.1 ").map(|(at, line)| &told[at + line.len()..][..3]).collect()
}

const PAGE: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

fn posted(framing: &str, body: &str) -> String {
    format!("POST /body HTTP/1.1\r\nhost: a\r\n{framing}\r\n\r\n{body}")
}

// Goal: a request that takes too long is answered with 408 (RFC 9110 section 15.5.9), whether its
// body or its answer does not come; a head that does not end is not answered; a connection that
// rests ends. Method: each of them, with short limits.
#[tokio::test]
async fn slow_requests_are_answered_and_slow_heads_are_not() {
    let server = served(SHORT).await;
    let never = "GET /never HTTP/1.1\r\nhost: a\r\n\r\n";
    for (sent, answers) in [
        (never.to_owned(), &["408"][..]),
        (posted("content-length: 9", "half"), &["408"]),
        (posted("transfer-encoding: chunked", "4\r\nhalf\r\n"), &["408"]),
        ("POST /body HTTP/1.1\r\nhost: a\r\ncontent-le".to_owned(), &[]),
        (String::new(), &[]),
        (PAGE.to_owned(), &["200"]),
        (format!("{PAGE}{never}"), &["200", "408"]),
    ] {
        let told = told(server.at, &sent).await;
        assert_eq!(statuses(&told), answers, "{sent:?}: {told}");
        let refused = answers.iter().filter(|status| **status != "200").count();
        assert_eq!(told.matches("cache-control: no-store").count(), refused, "{told}");
    }
}

// Goal: a request is answered at once whatever follows it: an empty line, which says nothing (RFC
// 9112 section 2.2), or a part of the next request. Method: each of them behind a request, on a
// connection that stays open.
#[tokio::test]
async fn what_follows_a_request_keeps_no_answer_back() {
    let server = served(LONG).await;
    for request in [PAGE.to_owned(), posted("content-length: 4", "body")] {
        for behind in ["\r\n", "\r\n\r\n", "G", "GET / HTTP/1.1\r\nho"] {
            let sent = format!("{request}{behind}");
            let mut stream = opened(server.at, sent.as_bytes()).await;
            assert_eq!(first(&mut stream, 12).await, "HTTP/1.1 200", "{sent:?}");
        }
    }
}

// Goal: a client that has shut down its side behind its requests is answered to all of them.
// Method: one request, one with a body, and several at once, each with the end behind.
#[tokio::test]
async fn a_client_that_has_shut_down_its_side_is_answered() {
    let server = served(LONG).await;
    for (sent, answers) in [
        (PAGE.to_owned(), 1),
        (posted("content-length: 4", "body"), 1),
        (posted("transfer-encoding: chunked", "4\r\nbody\r\n0\r\n\r\n"), 1),
        (PAGE.repeat(40), 40),
    ] {
        let mut stream = opened(server.at, sent.as_bytes()).await;
        stream.shutdown().await.unwrap();
        let told = rest(&mut stream).await;
        assert_eq!(statuses(&told), vec!["200"; answers], "{told}");
    }
}

// Goal: a head that is malformed, or longer than it may be, is told so and not just left: 400, or
// 431 (RFC 6585 section 5); one that names no host, or two, is malformed (RFC 9112 section 3.2).
// Method: each of them, and the longest head.
#[tokio::test]
async fn heads_out_of_order_are_refused() {
    let server = served(LONG).await;
    let get = |fields: &str| format!("GET / HTTP/1.1\r\n{fields}\r\n\r\n");
    let of_bytes = |bytes: usize| {
        let field = "host: a\r\nconnection: close\r\nx: ";
        get(&format!("{field}{}", "x".repeat(bytes - get(field).len())))
    };
    let fields =
        |count: usize| get(&format!("host: a\r\nconnection: close{}", "\r\nx: x".repeat(count)));
    let chunked = "transfer-encoding: chunked\r\ntransfer-encoding: identity";
    for (sent, status) in [
        (of_bytes(HEAD_BYTES_MAX), "200"),
        (of_bytes(HEAD_BYTES_MAX + 1), "431"),
        (of_bytes(20 * HEAD_BYTES_MAX), "431"),
        (fields(98), "200"),
        (fields(99), "431"),
        (posted(chunked, "0\r\n\r\n"), "400"),
        (posted("content-length: 4, 4", "body"), "400"),
        (posted("content-length: 4\r\ncontent-length: 5", "body"), "400"),
        (get("host: a\r\nno field"), "400"),
        ("\0\x01garbage\r\n\r\n".to_owned(), "400"),
        (get("connection: close"), "400"),
        (get("connection: close\r\nhost: a\r\nhost: a"), "400"),
        (get("connection: close\r\nhost: a b"), "400"),
        (get("connection: close\r\nhost: b@a"), "400"),
        (get("connection: close\r\nhost: [::1]:80"), "200"),
        (get("connection: close\r\nhost:"), "200"),
    ] {
        let told = told(server.at, &sent).await;
        assert_eq!(statuses(&told), [status], "{:?}: {told}", &sent[..sent.len().min(200)]);
    }
    let older = told(server.at, "GET / HTTP/1.0\r\n\r\n").await;
    assert!(older.starts_with("HTTP/1.0 200"), "{older}");
}

// Goal: a body comes as a whole in whatever pieces it was sent, up to the longest; a longer one is
// refused with 413, which its client reads although it has sent more; one that ends early is
// malformed. Method: each, with its length said before and in pieces.
#[tokio::test]
async fn bodies_come_whole_or_not_at_all() {
    let server = served(LONG).await;
    let whole = |bytes: usize| {
        posted(&format!("connection: close\r\ncontent-length: {bytes}"), &"x".repeat(bytes))
    };
    let pieces = |bytes: usize, each: usize| {
        let piece = format!("{each:x}\r\n{}\r\n", "x".repeat(each));
        let body = format!("{}0\r\n\r\n", piece.repeat(bytes / each));
        posted("connection: close\r\ntransfer-encoding: chunked", &body)
    };
    let max = BODY_BYTES_MAX;
    for (sent, status, answer) in [
        (whole(0), "200", "0"),
        (whole(max), "200", "65536"),
        (whole(max + 1), "413", ""),
        (whole(40 * max), "413", ""),
        (pieces(5_000, 1), "200", "5000"),
        (pieces(max, 4_096), "200", "65536"),
        (pieces(max + 1, max + 1), "413", ""),
        (pieces(2 * max, 1), "413", ""),
    ] {
        let told = told(server.at, &sent).await;
        assert_eq!(statuses(&told), [status], "{}: {told}", sent.len());
        assert!(told.ends_with(answer), "{}: {told}", sent.len());
    }
    let mut stream = opened(server.at, posted("content-length: 9", "half").as_bytes()).await;
    stream.shutdown().await.unwrap();
    assert_eq!(statuses(&rest(&mut stream).await), ["400"]);
}

// Goal: a connection whose request has not come as a whole makes room for others, in its head and
// in its body, and nothing is decided for it; one that is being answered does not. Method: as many
// as there is room for, of each kind, and one more.
#[tokio::test]
async fn requests_that_have_not_arrived_make_room() {
    for half in [posted("content-length: 1000", "grant"), "GET / HT".to_owned(), String::new()] {
        let server = served(LONG).await;
        let mut slow = Vec::new();
        for _ in 0..LONG.connections {
            slow.push(opened(server.at, half.as_bytes()).await);
        }
        let began = Instant::now();
        for _ in 0..2 * LONG.connections {
            let mut other = opened(server.at, PAGE.as_bytes()).await;
            assert_eq!(first(&mut other, 12).await, "HTTP/1.1 200", "{half:?}");
        }
        assert!(began.elapsed() < PATIENCE);
        let ended = select_all(slow.iter_mut().map(|one| Box::pin(rest(one)))).await;
        assert_eq!(ended.0, "", "{half:?}");
    }
    let server = served(LONG).await;
    let mut busy = Vec::new();
    for _ in 0..LONG.connections {
        busy.push(opened(server.at, b"GET /never HTTP/1.1\r\nhost: a\r\n\r\n").await);
    }
    let mut other = opened(server.at, PAGE.as_bytes()).await;
    let mut byte = [0; 1];
    let early = timeout(Duration::from_millis(200), other.read_exact(&mut byte)).await;
    assert!(early.is_err(), "one that was being answered made room");
}

// Goal: a server that stops answers what is sent to a connection that rested, says that it is the
// last answer (RFC 9112 section 9.6), and waits for no connection that sends nothing. Method: stop
// it, send on one of two connections, and wait for its end.
#[tokio::test]
async fn a_stop_answers_what_is_on_its_way() {
    let server = served(LONG).await;
    let mut resting = opened(server.at, PAGE.as_bytes()).await;
    let _silent = opened(server.at, b"").await;
    first(&mut resting, 12).await;
    server.stop.send(()).unwrap();
    tokio::task::yield_now().await;
    resting.write_all(PAGE.as_bytes()).await.unwrap();
    let told = rest(&mut resting).await;
    assert!(told.contains("HTTP/1.1 200") && told.contains("connection: close"), "{told}");
    timeout(Duration::from_secs(10), server.ended).await.unwrap().unwrap();
    assert!(TcpStream::connect(server.at).await.is_err());
}

// Goal: a stop waits for a request whose body is on its way, and one that is told to hasten waits
// for nothing: neither for a body nor for an answer. Method: a body whose end comes after the time
// that a connection may rest; then one that does not come and an answer that does not.
#[tokio::test]
async fn a_stop_that_hastens_waits_for_nothing() {
    let server = served(LONG).await;
    let half = posted("content-length: 9", "half");
    let mut slow = opened(server.at, half.as_bytes()).await;
    let mut never = opened(server.at, b"GET /never HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut halved = opened(server.at, half.as_bytes()).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    server.stop.send(()).unwrap();
    tokio::time::sleep(2 * LINGER).await;
    assert!(!server.ended.is_finished(), "it waited for nothing");
    slow.write_all(b" body").await.unwrap();
    assert_eq!(statuses(&rest(&mut slow).await), ["200"]);
    server.hasten.send(()).unwrap();
    timeout(Duration::from_secs(5), server.ended).await.expect("it waits on").unwrap();
    assert_eq!(rest(&mut never).await + &rest(&mut halved).await, "");
}

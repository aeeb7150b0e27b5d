//! Serving connections: bounded in number, in the time that a request's head may take, and in the
//! time that an answer may.
//!
//! 1. So many connections are open at once. One more is accepted all the same, and the one that has
//!    waited for a request the longest makes room for it; so connections that send nothing, or a
//!    head byte by byte, keep nobody out. Where all are being answered it waits for one to end.
//! 2. One that waits for longer than [`Limits::head`] is closed in any case, also in the middle of
//!    a head.
//! 3. A request that is not answered within [`Limits::request`] is answered with 408. What it may
//!    have done is as for any client that hung up: a decision has happened as a whole or not at
//!    all.
//! 4. When told to stop, whoever is in the queue of the listener is accepted still, and nobody
//!    later. Every answer says that it is the connection's last (RFC 9112 section 9.6). Those that
//!    send nothing for [`LINGER`] are closed: a request that was on its way is answered before. All
//!    of it within [`Limits::stop`].

mod pulse;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use pulse::{Guarded, Held, Holding, Pulse};
use rustix::process::{Resource, getrlimit, setrlimit};
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

/// What a connection may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at once.
    pub connections: usize,
    /// How long the head of a request may take to arrive, and a TLS handshake; and how long a
    /// connection may rest. Kept to within a quarter.
    pub head: Duration,
    /// How long a request may take, its body included. Kept to within a quarter of the shorter one.
    pub request: Duration,
    /// How long what is under way may take when the server is told to stop.
    pub stop: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let s = Duration::from_secs;
        Self { connections: 10_000, head: s(10), request: s(30), stop: s(10) }
    }
}

/// Files that the process keeps for its store and for itself.
const FILES_KEPT: u64 = 512;

impl Limits {
    /// Raises the limit on open files of this process as far as it may, and has no more connections
    /// than fit below it.
    #[must_use]
    pub fn within_open_files(self) -> Self {
        let mut files = getrlimit(Resource::Nofile);
        let wanted = (self.connections as u64).saturating_add(FILES_KEPT);
        if let Some(current) = files.current
            && current < wanted
        {
            let raised = files.maximum.map_or(wanted, |most| most.min(wanted));
            let higher = rustix::process::Rlimit { current: Some(raised), ..files };
            if setrlimit(Resource::Nofile, higher).is_ok() {
                files.current = Some(raised);
            }
        }
        let fit = files.current.map_or(u64::MAX, |files| files.saturating_sub(FILES_KEPT).max(16));
        Self {
            connections: self.connections.min(usize::try_from(fit).unwrap_or(usize::MAX)),
            ..self
        }
    }
}

/// After an error of accepting that is not the connection's, such as want of descriptors.
const AFTER_FAILED_ACCEPT: Duration = Duration::from_millis(50);
/// How long a connection that rests is kept when the server stops, for what is on its way on it.
const LINGER: Duration = Duration::from_secs(1);
/// How often those that rest are told to end from then on.
const BETWEEN_DISMISSALS: Duration = Duration::from_millis(50);

/// What all connections share.
struct Hall {
    app: Router,
    http: http1::Builder,
    tls: Option<TlsAcceptor>,
    limits: Limits,
    held: Arc<Held>,
    slots: Arc<Semaphore>,
    stopping: AtomicBool,
}

/// Serves `app` on `listener` until `stop` is over.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    app: Router,
    limits: Limits,
    stop: impl Future<Output = ()>,
) {
    let mut http = http1::Builder::new();
    // Time is kept here.
    http.header_read_timeout(None).pipeline_flush(true);
    let hall = Arc::new(Hall {
        app,
        http,
        tls,
        limits,
        held: Arc::default(),
        slots: Arc::new(Semaphore::new(limits.connections)),
        stopping: AtomicBool::new(false),
    });
    let mut stop = pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(cause) => {
                if !is_of_connection(&cause) {
                    tracing::warn!(target: "grantkeep", "a connection was not accepted: {cause}");
                    hall.held.make_room();
                    tokio::time::sleep(AFTER_FAILED_ACCEPT).await;
                }
                continue;
            }
        };
        tokio::select! {
            Some(slot) = hall.slot() => hall.welcome(stream, peer, slot),
            () = &mut stop => break,
        }
    }
    hall.stopping.store(true, Ordering::Relaxed);
    while let Some(Ok((stream, peer))) = listener.accept().now_or_never() {
        let Ok(slot) = Arc::clone(&hall.slots).try_acquire_owned() else { break };
        hall.welcome(stream, peer, slot);
    }
    drop(listener);
    let _ = tokio::time::timeout(limits.stop, hall.empty()).await;
}

impl Hall {
    /// A place for one more connection.
    async fn slot(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() {
            return Some(slot);
        }
        self.held.make_room();
        // Never closed, so there is always one to come.
        Arc::clone(&self.slots).acquire_owned().await.ok()
    }

    /// Serves a connection, on a task of its own.
    fn welcome(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr, slot: OwnedSemaphorePermit) {
        let _ = stream.set_nodelay(true);
        let (hall, holding) = (Arc::clone(self), self.held.hold());
        tokio::spawn(async move {
            let _slot = slot;
            hall.attend(stream, peer, holding).await;
        });
    }

    async fn attend(&self, stream: TcpStream, peer: SocketAddr, holding: Holding) {
        let pulse = &holding.pulse;
        let connection = async {
            let Ok(stream) = shaken(self.tls.as_ref(), stream).await else { return };
            let answer = service_fn(|request| self.answer(request, peer, pulse));
            // What goes wrong with a connection is its client's affair.
            let _ = self.http.serve_connection(TokioIo::new(stream), answer).await;
        };
        Guarded::new(connection, Arc::clone(pulse), self.limits).await;
    }

    /// Answers one request, in time.
    async fn answer(
        &self,
        request: Request<Incoming>,
        peer: SocketAddr,
        pulse: &Pulse,
    ) -> Result<Response, Infallible> {
        pulse.answering();
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        let mut answered = pin!(self.app.clone().oneshot(request));
        let answered = poll_fn(|context| match answered.as_mut().poll(context) {
            Poll::Pending if pulse.is_overdue() => {
                Poll::Ready(Ok(StatusCode::REQUEST_TIMEOUT.into_response()))
            }
            polled => polled,
        });
        let mut response = answered.await?;
        if self.stopping.load(Ordering::Relaxed) {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        pulse.waiting();
        Ok(response)
    }

    /// Waits until all connections have ended.
    async fn empty(&self) {
        let all = u32::try_from(self.limits.connections).unwrap_or(u32::MAX);
        let mut ended = pin!(self.slots.acquire_many(all));
        let mut patience = LINGER;
        while tokio::time::timeout(patience, ended.as_mut()).await.is_err() {
            self.held.dismiss_resting(LINGER);
            patience = BETWEEN_DISMISSALS;
        }
    }
}

/// A stream of either kind.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

async fn shaken(tls: Option<&TlsAcceptor>, stream: TcpStream) -> io::Result<Box<dyn Stream>> {
    Ok(match tls {
        Some(tls) => Box::new(tls.accept(stream).await?),
        None => Box::new(stream),
    })
}

/// True if the connection failed before it was accepted, which says nothing of the next one.
fn is_of_connection(cause: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(cause.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::{get, post};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::sync::oneshot;

    const LIMITS: Limits = Limits {
        connections: 4,
        head: Duration::from_millis(400),
        request: Duration::from_millis(400),
        stop: Duration::from_secs(20),
    };

    /// A server with a page that is answered, one that never is, and one that reads a body; and
    /// what stops it.
    async fn served() -> (SocketAddr, oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
        let app = Router::new()
            .route("/", get(|| async { "well" }))
            .route("/never", get(|| async { std::future::pending::<()>().await }))
            .route("/body", post(|body: String| async { body }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let stopped = async { drop(stopped.await) };
        (address, stop, tokio::spawn(serve(listener, None, app, LIMITS, stopped)))
    }

    /// What a connection is told until it ends, which has sent this.
    async fn told(server: SocketAddr, sent: &str) -> String {
        let mut stream = TcpStream::connect(server).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        let mut told = String::new();
        let read = stream.read_to_string(&mut told);
        let read = tokio::time::timeout(Duration::from_secs(20), read).await;
        // A connection may be reset behind its last answer.
        let _ = read.expect("the connection did not end");
        told
    }

    // Goal: a request that takes too long is answered with 408 (RFC 9110 section 15.5.9), whether
    // its body or its answer does not come; a head that does not end is not answered; a connection
    // that rests ends. Method: each of them, with short limits.
    #[tokio::test]
    async fn slow_requests_are_answered_and_slow_heads_are_not() {
        let (server, _stop, _) = served().await;
        for (sent, answers) in [
            ("GET /never HTTP/1.1\r\nhost: a\r\n\r\n", &["HTTP/1.1 408"][..]),
            ("POST /body HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nhalf", &["HTTP/1.1 408"]),
            ("POST /body HTTP/1.1\r\nhost: a\r\ncontent-le", &[]),
            ("", &[]),
            ("GET / HTTP/1.1\r\nhost: a\r\n\r\n", &["HTTP/1.1 200"]),
            (
                "GET / HTTP/1.1\r\nhost: a\r\n\r\nGET /never HTTP/1.1\r\nhost: a\r\n\r\n",
                &["HTTP/1.1 200", "HTTP/1.1 408"],
            ),
        ] {
            let told = told(server, sent).await;
            let statuses: Vec<_> = told.match_indices("HTTP/1.1 ").collect();
            assert_eq!(statuses.len(), answers.len(), "{sent:?}: {told}");
            for ((at, _), answer) in statuses.into_iter().zip(answers) {
                assert!(told[at..].starts_with(answer), "{sent:?}: {told}");
            }
        }
    }

    // Goal: a server that stops answers what is sent to a connection that rested, says that it is
    // the last answer (RFC 9112 section 9.6), and waits for no connection that sends nothing.
    // Method: stop it, send on one of two connections, and wait for its end.
    #[tokio::test]
    async fn a_stop_answers_what_is_on_its_way() {
        let (server, stop, ended) = served().await;
        let mut resting = TcpStream::connect(server).await.unwrap();
        let _silent = TcpStream::connect(server).await.unwrap();
        resting.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        let mut first = [0; 15];
        resting.read_exact(&mut first).await.unwrap();
        stop.send(()).unwrap();
        tokio::task::yield_now().await;
        resting.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        let mut told = String::new();
        resting.read_to_string(&mut told).await.unwrap();
        assert!(told.contains("HTTP/1.1 200") && told.contains("connection: close"), "{told}");
        tokio::time::timeout(Duration::from_secs(10), ended).await.unwrap().unwrap();
        assert!(TcpStream::connect(server).await.is_err());
    }
}

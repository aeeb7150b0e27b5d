//! Serving connections: bounded in number, in the time that a request's head may take, and in the
//! time that an answer may.
//!
//! 1. So many connections are open at once; another is accepted when one has ended. One that sends
//!    nothing, or its head byte by byte, is closed after [`Limits::head`], so that slow ones make
//!    room for others.
//! 2. A request that is not answered within [`Limits::request`] is answered with 408. What it may
//!    have done is as for any client that hung up: a decision has happened as a whole or not at all.
//! 3. When told to stop, nothing is accepted any more, what is under way is answered, and
//!    connections that rest are closed, within [`Limits::stop`].

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

/// What a connection may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at once.
    pub connections: usize,
    /// How long the head of a request may take to arrive, and a TLS handshake.
    pub head: Duration,
    /// How long a request may take, its body included.
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

/// After an error of accepting that is not the connection's, such as want of descriptors.
const AFTER_FAILED_ACCEPT: Duration = Duration::from_millis(50);

/// Serves `app` on `listener` until `stop` is over.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    app: Router,
    limits: Limits,
    stop: impl Future<Output = ()>,
) {
    let slots = Arc::new(Semaphore::new(limits.connections));
    let graceful = GracefulShutdown::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.head).pipeline_flush(true);
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = async {
            // Never closed, so there is always one to come.
            let slot = Arc::clone(&slots).acquire_owned().await.ok();
            (slot, listener.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            accepted = accepted => accepted,
            () = &mut stop => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(cause) => {
                if !is_of_connection(&cause) {
                    tracing::warn!(target: "grantkeep", "a connection was not accepted: {cause}");
                    tokio::time::sleep(AFTER_FAILED_ACCEPT).await;
                }
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let (app, http, watcher) = (app.clone(), http.clone(), graceful.watcher());
        let tls = tls.clone();
        tokio::spawn(async move {
            let _slot = slot;
            let Some(stream) = within(limits.head, shaken(tls, stream)).await else { return };
            let answer = service_fn(move |request| answer(app.clone(), request, peer, limits));
            let served = http.serve_connection(TokioIo::new(stream), answer);
            // What goes wrong with a connection is its client's affair.
            let _ = watcher.watch(served).await;
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(limits.stop, graceful.shutdown()).await;
}

/// A stream of either kind.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

async fn shaken(tls: Option<TlsAcceptor>, stream: TcpStream) -> io::Result<Box<dyn Stream>> {
    Ok(match tls {
        Some(tls) => Box::new(tls.accept(stream).await?),
        None => Box::new(stream),
    })
}

async fn within<T>(limit: Duration, done: impl Future<Output = io::Result<T>>) -> Option<T> {
    tokio::time::timeout(limit, done).await.ok()?.ok()
}

/// Answers one request, in time.
async fn answer(
    app: Router,
    request: Request<Incoming>,
    peer: SocketAddr,
    limits: Limits,
) -> Result<Response, Infallible> {
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(ConnectInfo(peer));
    match tokio::time::timeout(limits.request, app.oneshot(request)).await {
        Ok(answered) => answered,
        Err(_) => Ok(StatusCode::REQUEST_TIMEOUT.into_response()),
    }
}

/// True if the connection failed before it was accepted, which says nothing of the next one.
fn is_of_connection(cause: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(cause.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

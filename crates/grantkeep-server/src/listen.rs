//! Serving connections: bounded in number, in the memory that each takes, in the time that a
//! request may take to arrive, and in the time that an answer may take.
//!
//! 1. So many connections are open at once. One more is accepted all the same, and one whose
//!    request has not come as a whole makes room for it: see [`pulse`] for which. So connections
//!    that send nothing, or a head or a body byte by byte, keep nobody out. Where all are being
//!    answered it waits for one to end.
//! 2. A request is read as a whole before anything is decided. Its head has [`HEAD_BYTES_MAX`] at
//!    most, or is answered with 431, and its body [`BODY_BYTES_MAX`] at most, in one piece, however
//!    many pieces it came in.
//! 3. A head that does not come within [`Limits::head`] ends its connection; a body that does not
//!    is answered with 408.
//! 4. A request that is not answered within [`Limits::request`] is answered with 408. What it may
//!    have done is as for any client that hung up: a decision has happened as a whole or not at
//!    all.
//! 5. The next request of a connection is read once the answer to the one before has been taken: a
//!    client that sends and does not read has one answer at a time in memory.
//! 6. A client that has said all it will say (it has shut down its side) is answered still. Where
//!    an answer is the last one, what is on its way is read for [`LAST_WORDS`] and thrown away, as
//!    a reset would take the answer from the client.
//! 7. When told to stop, whoever is in the queue of the listener is accepted still, and nobody
//!    later. Every answer says that it is the connection's last (RFC 9112 section 9.6). Those that
//!    send nothing for [`LINGER`] are closed: a request that was on its way is answered before. All
//!    of it within [`Limits::stop`], or until told to hasten; then all that are left are ended.

mod limits;
mod pulse;
mod request;

pub use limits::{CONNECTIONS_MAX, HEAD_BYTES_MAX, Limits};

use crate::requests::said;
use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::extract::{ConnectInfo, DefaultBodyLimit, Request};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt as _;
use grantkeep_axum::BODY_BYTES_MAX;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use pulse::{Guarded, Held, Holding, Pulse};
use request::{names_its_host, whole};
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

/// After an error of accepting that is not the connection's, such as want of descriptors.
const AFTER_FAILED_ACCEPT: Duration = Duration::from_millis(50);
/// How long a connection that rests is kept when the server stops, for what is on its way on it.
const LINGER: Duration = Duration::from_secs(1);
/// How often those that rest are told to end from then on.
const BETWEEN_DISMISSALS: Duration = Duration::from_millis(50);
/// How often a connection is told to make room while there is none.
const BETWEEN_CALLS: Duration = Duration::from_millis(10);
/// How long a client that was told the last answer may take to close its side.
const LAST_WORDS: Duration = Duration::from_secs(1);

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

/// Serves `app` on `listener` until `stop` is over, and then what is under way, until `hasten` is.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    app: Router,
    limits: Limits,
    stop: impl Future<Output = ()>,
    hasten: impl Future<Output = ()>,
) {
    let mut http = http1::Builder::new();
    // Time is kept here.
    http.header_read_timeout(None).half_close(true);
    http.max_header_size(HEAD_BYTES_MAX).max_buf_size(HEAD_BYTES_MAX);
    let hall = Arc::new(Hall {
        app: app.layer(DefaultBodyLimit::max(BODY_BYTES_MAX)),
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
    tokio::select! {
        _ = tokio::time::timeout(limits.stop, hall.empty()) => {}
        () = hasten => {}
    }
    hall.end().await;
}

impl Hall {
    /// A place for one more connection.
    async fn slot(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() {
            return Some(slot);
        }
        let mut free = pin!(Arc::clone(&self.slots).acquire_owned());
        loop {
            // One that was told to may have been sent a request in the meantime, and stays.
            self.held.make_room();
            if let Ok(slot) = tokio::time::timeout(BETWEEN_CALLS, free.as_mut()).await {
                // Never closed, so there is one.
                return slot.ok();
            }
        }
    }

    /// Serves a connection, on a task of its own.
    fn welcome(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr, slot: OwnedSemaphorePermit) {
        let _ = stream.set_nodelay(true);
        let (hall, holding) = (Arc::clone(self), self.held.hold(peer.ip()));
        tokio::spawn(async move {
            let _slot = slot;
            hall.attend(stream, peer, holding).await;
        });
    }

    async fn attend(&self, stream: TcpStream, peer: SocketAddr, holding: Holding) {
        let pulse = &holding.pulse;
        let connection = async {
            let Ok(mut stream) = shaken(self.tls.as_ref(), stream).await else { return };
            let answer = service_fn(|request| self.answer(request, peer, pulse));
            // What goes wrong with a connection is its client's affair.
            let _ = self.http.serve_connection(TokioIo::new(&mut stream), answer).await;
            let mut nowhere = tokio::io::sink();
            let unread = tokio::io::copy(&mut stream, &mut nowhere);
            let _ = tokio::time::timeout(LAST_WORDS, unread).await;
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
        let mut response = match self.respond(request, peer, pulse).await {
            Ok(response) => response,
            Err(status) => {
                let no_store = HeaderValue::from_static("no-store");
                (status, [(header::CACHE_CONTROL, no_store)], said(status)).into_response()
            }
        };
        if self.stopping.load(Ordering::Relaxed) {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        pulse.waiting();
        Ok(response)
    }

    /// What the application says to a request, or why it is not asked.
    async fn respond(
        &self,
        request: Request<Incoming>,
        peer: SocketAddr,
        pulse: &Pulse,
    ) -> Result<Response, StatusCode> {
        if !names_its_host(&request) {
            return Err(StatusCode::BAD_REQUEST);
        }
        let (head, body) = request.into_parts();
        let body = if body.is_end_stream() {
            Body::empty()
        } else {
            pulse.receiving();
            let whole = pulse.in_time(whole(body)).await.ok_or(StatusCode::REQUEST_TIMEOUT)?;
            whole.ok_or(StatusCode::BAD_REQUEST)?
        };
        pulse.answering();
        let mut request = Request::from_parts(head, body);
        request.extensions_mut().insert(ConnectInfo(peer));
        let answered = pulse.in_time(self.app.clone().oneshot(request)).await;
        let Ok(response) = answered.ok_or(StatusCode::REQUEST_TIMEOUT)?;
        Ok(response)
    }

    /// Ends whatever connections are left.
    async fn end(&self) {
        let left = self.held.count();
        if left > 0 {
            tracing::warn!(target: "grantkeep", "connections ended before they were done: {left}");
        }
        let all = u32::try_from(self.limits.connections).unwrap_or(u32::MAX);
        self.held.end_all();
        let _ = tokio::time::timeout(LINGER, self.slots.acquire_many(all)).await;
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
mod tests;

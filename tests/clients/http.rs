//! One request, on a connection of its own.

use axum::body::Body;
use axum::http::{HeaderMap, Request, Uri, header};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

/// Longer than any request takes.
const DEADLINE: Duration = Duration::from_secs(60);
/// No answer is longer, in bytes.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Whom this process trusts, by TLS.
static TRUST: OnceLock<Arc<ClientConfig>> = OnceLock::new();

/// Has every request by TLS trust as this says; what was said first counts.
pub(crate) fn trust(config: impl FnOnce() -> Arc<ClientConfig>) {
    TRUST.get_or_init(config);
}

/// An answer that has arrived.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The value of a field, if it comes and is text.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// Sends a request to the host and port of its address, which begins with `http`.
///
/// # Errors
/// What went wrong, for a person.
pub(crate) async fn send(request: Request<String>) -> Result<Answer, String> {
    let address = request.uri().to_string();
    let exchanged = tokio::time::timeout(DEADLINE, exchange(request)).await;
    let failed = |cause: String| format!("{address}: {cause}");
    exchanged
        .map_err(|_| failed("no answer".to_owned()))?
        .map_err(|cause| failed(cause.to_string()))
}

async fn exchange(
    mut request: Request<String>,
) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
    let authority = request.uri().authority().ok_or("no host")?.to_string();
    let secure = request.uri().scheme_str() == Some("https");
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
    *request.uri_mut() = path.parse::<Uri>()?;
    request.headers_mut().insert(header::HOST, authority.parse()?);
    let stream = tokio::net::TcpStream::connect(authority.as_str()).await?;
    if !secure {
        return over(stream, request).await;
    }
    let name = ServerName::from(stream.peer_addr()?.ip());
    let trust = TRUST.get().ok_or("nobody is trusted")?;
    over(tokio_rustls::TlsConnector::from(trust.clone()).connect(name, stream).await?, request)
        .await
}

async fn over(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<String>,
) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let (parts, body) = sender.send_request(request.map(Body::from)).await?.into_parts();
    let body = axum::body::to_bytes(Body::new(body), ANSWER_BYTES_MAX).await?.to_vec();
    Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body })
}

/// Fetches an address.
///
/// # Errors
/// As [`send`].
pub(crate) async fn get(address: &str) -> Result<Answer, String> {
    send(Request::get(address).body(String::new()).map_err(|cause| cause.to_string())?).await
}

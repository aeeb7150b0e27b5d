//! A request as it arrives: what is refused at once, and a body in one piece.

use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::Request;
use axum::http::{Version, header};
use grantkeep_axum::BODY_BYTES_MAX;
use hyper::body::Incoming;
use std::future::poll_fn;
use std::pin::Pin;

/// What stands for a body that is too long: as much too long, and of no other use.
static TOO_LONG: [u8; BODY_BYTES_MAX + 1] = [0; BODY_BYTES_MAX + 1];

/// Whether a request names the host that it is for as RFC 9112 section 3.2 has it: once, and only
/// an older one not at all.
pub(super) fn names_its_host<B>(request: &Request<B>) -> bool {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => host
            .as_bytes()
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(byte)),
        (None, None) => request.version() < Version::HTTP_11,
        _ => false,
    }
}

/// The body of a request in one piece, or what stands for one that is too long; `None` for one that
/// is malformed or ended early. What is too long by its own account is not read.
pub(super) async fn whole(mut body: Incoming) -> Option<Body> {
    let too_long = || Some(Body::from(Bytes::from_static(&TOO_LONG)));
    let declared = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if declared > BODY_BYTES_MAX {
        return too_long();
    }
    // A piece keeps all that was read with it, so that many small ones take far more than they are.
    let mut whole = Vec::new();
    while let Some(piece) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        // Trailers mean nothing here.
        let Ok(piece) = piece.ok()?.into_data() else { continue };
        if whole.is_empty() && body.is_end_stream() {
            return Some(Body::from(piece));
        }
        if whole.len() + piece.len() > BODY_BYTES_MAX {
            return too_long();
        }
        whole.reserve_exact(declared.saturating_sub(whole.len()));
        whole.extend_from_slice(&piece);
    }
    Some(Body::from(whole))
}

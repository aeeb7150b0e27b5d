//! Each request has an id, under which whatever is logged while it is answered stands, and which
//! the answer carries in `x-request-id`: what somebody complains of can be found in the log.
//!
//! An id is the server's own, whatever a client sends. It is a random number of the process and the
//! request's in it, so that no two are alike; it is no secret.
//!
//! An answer that refuses and does not say whether it may be kept may not be: 404 and 405 otherwise
//! may (RFC 9110 section 15.1).
//!
//! One that refuses and says nothing says its status, for whoever sees it in a browser.
//!
//! What is logged of a request is its method, the route that it took (never the path, the query, or
//! the body as they came, which may have codes and tokens in them), its status, and its time.

use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tracing::Instrument as _;

/// The field of an answer that has the id.
const FIELD: HeaderName = HeaderName::from_static("x-request-id");

/// A number of this process that no other has.
static PROCESS: LazyLock<u32> = LazyLock::new(|| {
    let drawn = RandomState::new().hash_one(std::process::id());
    u32::try_from(drawn >> 32).unwrap_or_default()
});
/// Requests so far.
static REQUESTS: AtomicU64 = AtomicU64::new(0);

/// A router whose requests have ids, and are logged: one line each at the level `info`, of target
/// `grantkeep`.
pub(crate) fn told(router: Router) -> Router {
    router.layer(from_fn(tell))
}

async fn tell(request: Request, next: Next) -> Response {
    let number = REQUESTS.fetch_add(1, Ordering::Relaxed);
    let id = format!("{:08x}-{number:x}", *PROCESS);
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str);
    let span = tracing::error_span!(
        target: "grantkeep", "request", id, method = request.method().as_str(), route
    );
    let started = Instant::now();
    let mut response = next.run(request).instrument(span.clone()).await;
    let (status, took) = (response.status().as_u16(), started.elapsed());
    let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    tracing::info!(target: "grantkeep", parent: &span, status, us, "answered");
    let refuses = response.status().is_client_error() || response.status().is_server_error();
    if refuses && !response.headers().contains_key(header::CACHE_CONTROL) {
        let no_store = HeaderValue::from_static("no-store");
        response.headers_mut().insert(header::CACHE_CONTROL, no_store);
    }
    if refuses && response.body().is_end_stream() {
        let (said, head) = (said(response.status()), response.headers_mut());
        // An empty body may have been given its length already.
        head.remove(header::CONTENT_LENGTH);
        head.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        *response.body_mut() = said;
    }
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(FIELD, id);
    }
    response
}

/// A status in words: `404 Not Found`.
pub(crate) fn said(status: StatusCode) -> Body {
    Body::from(format!("{status}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use tower::ServiceExt as _;

    const KEPT: [(&str, &str); 1] = [("cache-control", "max-age=60")];

    // Goal: no cache keeps what a server refuses, also where a router refuses by itself, and an
    // answer that says what may be kept is left as it is. Method: 200, 404, 405, and both a page
    // and a refusal that may be kept.
    #[tokio::test]
    async fn what_is_refused_is_not_kept() {
        let router = Router::new()
            .route("/", get(|| async { "well" }))
            .route("/kept", get(|| async { KEPT }))
            .route("/gone", get(|| async { (axum::http::StatusCode::GONE, KEPT) }));
        let router = told(router);
        for (method, path, status, says) in [
            ("GET", "/", 200, None),
            ("GET", "/none", 404, Some("no-store")),
            ("POST", "/", 405, Some("no-store")),
            ("GET", "/kept", 200, Some("max-age=60")),
            ("GET", "/gone", 410, Some("max-age=60")),
        ] {
            let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
            let response = router.clone().oneshot(request).await.unwrap();
            assert_eq!(response.status(), status, "{path}");
            let said = response.headers().get(header::CACHE_CONTROL);
            assert_eq!(said.map(|said| said.to_str().unwrap()), says, "{path}");
        }
    }
}

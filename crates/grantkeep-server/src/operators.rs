//! What operators reach, on a listener of its own: the JSON API, the metrics, and the health.

use crate::failure::Failure;
use crate::openapi;
use crate::session::PAGES;
use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use grantkeep_axum::Guesses;
use grantkeep_grants::Grants;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

/// What decisions take, in seconds: from a look-up to a disk that hangs.
const BUCKETS: [f64; 12] =
    [0.000_01, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.25, 1.0];

/// There is one recorder in a process, whoever installs it.
static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();

/// Has decisions and events counted from now on.
///
/// # Errors
/// Where this program has a recorder of its own already.
pub(crate) fn count() -> Result<(), Failure> {
    if RECORDER.get().is_some() {
        return Ok(());
    }
    let seconds = Matcher::Suffix("_seconds".to_owned());
    let failed = |cause: metrics_exporter_prometheus::BuildError| {
        Failure::new("the metrics cannot be counted").because(cause)
    };
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(seconds, &BUCKETS)
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(failed)?;
    // Nobody else has installed one, or that would have failed.
    let _ = RECORDER.set(handle);
    Ok(())
}

/// The routes for operators at this address, the API among them if there is a secret for it.
///
/// # Errors
/// For a secret that is too short.
pub(crate) fn router(
    grants: &Grants,
    secret: Option<&str>,
    guesses: &Arc<Guesses>,
    address: SocketAddr,
) -> Result<Router, Failure> {
    let (scraped, probed) = (grants.clone(), grants.clone());
    let contract = openapi::operators(&format!("http://{address}"));
    let router = Router::new()
        .route(openapi::PATH, get(move || async move { axum::Json(contract) }))
        .route("/metrics", get(move || async move { metrics(&scraped) }))
        .route("/health", get(move || async move { health(&probed) }));
    let Some(secret) = secret else { return Ok(router) };
    let guesses = Arc::clone(guesses);
    Ok(router.merge(grantkeep_axum::admin(grants.clone(), secret, guesses, [PAGES])?))
}

fn metrics(grants: &Grants) -> Response {
    let Some(recorder) = RECORDER.get() else { return StatusCode::NOT_FOUND.into_response() };
    grants.publish_stats();
    recorder.run_upkeep();
    let text = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (text, recorder.render()).into_response()
}

/// 200 while the store takes all work, else 503; the body says how it is.
fn health(grants: &Grants) -> Response {
    let health = grants.store().health();
    let status = if health.is_open() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let told = serde_json::json!({ "state": health.word(), "detail": health.to_string() });
    (status, axum::Json(told)).into_response()
}

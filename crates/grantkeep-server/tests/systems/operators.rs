//! What operators are told over HTTP.

use crate::curl::curl;
use crate::started::Started;
use grantkeep::Store;
use grantkeep_server::{Config, Operators};
use std::net::TcpListener;

/// The value of a line of Prometheus' text format.
fn value(line: &str) -> f64 {
    line.rsplit_once(' ').unwrap().1.parse().unwrap()
}

// Goal: `/metrics` is what Prometheus reads, with the time of decisions in buckets that include
// those below them; `/health` is 200 while the store takes all work and 503 after, with its state;
// neither is reached where clients are served. Method: a decision, and both addresses; then the
// store is closed.
#[test]
fn operators_read_metrics_and_health() {
    let listen = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = Started::configured("hapn", Store::options(), move |config| {
        let operators = Some(Operators { listen, secret: None });
        Config { operators, ..config }
    });
    assert_eq!(server.post("/oauth2/token", &[("grant_type", "client_credentials")]).status, 200);

    let metrics = curl(&[&format!("http://{listen}/metrics")]);
    assert_eq!(metrics.status, 200);
    assert!(metrics.field("content-type").unwrap().starts_with("text/plain; version=0.0.4"));
    assert!(metrics.body.contains("# TYPE grantkeep_decision_seconds histogram"));
    let of_one = |line: &&str| {
        line.starts_with("grantkeep_decision_seconds_bucket{")
            && line.contains("client_credentials")
    };
    let buckets: Vec<&str> = metrics.body.lines().filter(of_one).collect();
    assert!(buckets.len() > 10, "{}", metrics.body);
    assert!(buckets.is_sorted_by(|below, above| value(below) <= value(above)), "{buckets:?}");
    let last = buckets.last().unwrap();
    assert!(last.contains("le=\"+Inf\"") && value(last) >= 1.0, "{last}");

    let health = || curl(&[&format!("http://{listen}/health")]);
    let open = health();
    assert_eq!((open.status, &open.json()["state"]), (200, &"open".into()));
    for path in ["/metrics", "/health"] {
        assert_eq!(curl(&[&server.at(path)]).status, 404, "{path}");
    }
    server.grants.store().close().unwrap();
    let closed = health();
    assert_eq!((closed.status, &closed.json()["state"]), (503, &"closed".into()));
}

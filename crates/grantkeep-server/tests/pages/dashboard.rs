//! The live dashboard.

use crate::browser::Site;
use axum::http::{StatusCode, header};
use std::time::{Duration, Instant};

// Goal: the dashboard is complete as it is loaded, and its data counts what happens: what is
// issued, looked up, and refused. Method: one of each, then wait for the next sample.
#[tokio::test]
async fn the_dashboard_counts_what_happens() {
    let site = Site::of("hospitable").await;
    let (acme, _) = site.client("Acme").await;
    let mut alice = site.signed_in("alice").await;
    let page = alice.page("/operator/dashboard").await;
    for shown in ["data-source=\"/operator/dashboard.json\"", "Sweep lag", "Health", "family"] {
        assert!(page.has(shown), "{shown}");
    }
    assert_eq!(page.text.matches("<svg").count(), 11);
    let issued = site.granted(&acme, "bob").await;
    assert_eq!(site.api(issued.access.expose()).await, StatusCode::OK);
    assert_eq!(site.api("gk_nothing").await, StatusCode::UNAUTHORIZED);
    let began = Instant::now();
    loop {
        let data = alice.page("/operator/dashboard.json").await;
        assert_eq!(data.headers[header::CACHE_CONTROL], "no-store");
        let data: serde_json::Value = serde_json::from_str(&data.text).unwrap();
        let last = data["samples"].as_array().unwrap().last().cloned().unwrap_or_default();
        let of = |name: &str| last[name].as_u64().unwrap_or(0);
        // Each sign-in is issued as well.
        if (of("issued"), of("looked_up"), of("refused")) == (2, 2, 1) {
            let after = format!("/operator/dashboard.json?after={}", of("at_ms"));
            let later: serde_json::Value =
                serde_json::from_str(&alice.page(&after).await.text).unwrap();
            assert!(later["samples"].as_array().unwrap().len() <= 1);
            let levels = ["rows", "disk_bytes", "windows", "memory_bytes"];
            assert!(levels.iter().all(|level| of(level) > 0), "{last}");
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{last}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

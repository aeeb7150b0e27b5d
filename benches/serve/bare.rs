//! The decisions without a server: as many tasks as there are connections, on a runtime like the
//! server's, each with one decision under way.

use grantkeep::Embedded;
use grantkeep_benches::served::{
    CLIENT, CONNECTIONS, Kind, Ran, SCOPE, Stock, WARM_UP, grants, processor_of,
};
use grantkeep_grants::{
    Checked, ClientCredentials, Demand, Grants, Introspection, Presented, Redeemed, RefreshRequest,
    Refreshed,
};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Decides on the store of a directory, for so long.
pub(crate) fn run(dir: &Path, kind: Kind, lasts: Duration) -> Ran {
    let grants = grants(dir);
    let stock = Arc::new(Mutex::new(Stock::of(&grants, kind, lasts)));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let before = processor_of("self");
    let began = Instant::now();
    let tasks: Vec<_> = (0..CONNECTIONS)
        .map(|at| runtime.spawn(decide(grants.clone(), kind, Arc::clone(&stock), at, began, lasts)))
        .collect();
    let ended = tasks.into_iter().map(|task| runtime.block_on(task).expect("a task"));
    let latencies_ns: Vec<u32> = ended.flatten().collect();
    let took = began.elapsed().saturating_sub(WARM_UP);
    let requests = latencies_ns.len() as u64;
    let processor = processor_of("self").saturating_sub(before);
    grants.store().close().expect("the store closes");
    Ran { took, latencies_ns, requests, processor }
}

async fn decide(
    grants: Grants<Embedded>,
    kind: Kind,
    stock: Arc<Mutex<Stock>>,
    own: usize,
    began: Instant,
    lasts: Duration,
) -> Vec<u32> {
    let mut latencies_ns = Vec::new();
    while began.elapsed() < WARM_UP + lasts {
        let sent_at = Instant::now();
        one(&grants, kind, &stock, own).await;
        if began.elapsed() >= WARM_UP {
            let took = sent_at.elapsed().as_nanos();
            latencies_ns.push(u32::try_from(took).unwrap_or(u32::MAX));
        }
        if matches!(kind, Kind::Introspect | Kind::Bearer) {
            // It never waits, so nobody else would ever run.
            tokio::task::yield_now().await;
        }
    }
    latencies_ns
}

/// One decision.
async fn one(grants: &Grants<Embedded>, kind: Kind, stock: &Mutex<Stock>, own: usize) {
    let stock = || stock.lock().expect("nobody panics");
    let succeeded = match kind {
        Kind::Refresh => {
            let token = stock().take_refresh(own).expect("a token");
            match grants.refresh(&token, &RefreshRequest::by(CLIENT)).await.expect("a refresh") {
                Refreshed::Rotated(pair) => {
                    let next = pair.refresh.expect("a refresh token");
                    stock().put_refresh(own, next.expose())
                }
                _ => false,
            }
        }
        Kind::Bearer => {
            let token = stock().any_access().to_owned();
            let checked = grants.check(&token, &Demand::new("https://api.example")).await;
            matches!(checked.expect("a check"), Checked::Allowed(_))
        }
        Kind::Introspect => {
            let token = stock().any_access().to_owned();
            let told = grants.introspect(&token).await.expect("an introspection");
            matches!(told, Introspection::Active(_))
        }
        Kind::Code => {
            let code = stock().take_code().expect("a code");
            let redeemed = grants.redeem(&code, &Presented::by(CLIENT)).await;
            matches!(redeemed.expect("a redemption"), Redeemed::Granted(_))
        }
        Kind::ClientCredentials => {
            let request = ClientCredentials::new(CLIENT).scopes([SCOPE]);
            grants.client_credentials(request).await.is_ok()
        }
    };
    assert!(succeeded, "{} was refused", kind.name());
}

//! Connected apps.

use crate::browser::Site;
use axum::http::StatusCode;

// Goal: an app is listed with its device, its last use, and the scopes in words, and loses its
// access when it is disconnected, on every device; other apps and other people keep theirs. Method:
// three grants of bob's and one of alice's.
#[tokio::test]
async fn an_app_is_disconnected_with_all_that_it_has() {
    let site = Site::of("hospitable").await;
    let (acme, _) = site.client("Acme").await;
    let (zeta, _) = site.client("Zeta").await;
    let mut browser = site.signed_in("bob").await;
    assert!(browser.page("/apps/connected").await.has("No connected apps"));
    let mut tokens = Vec::new();
    for (client, subject) in [(&acme, "bob"), (&acme, "bob"), (&zeta, "bob"), (&acme, "alice")] {
        tokens.push(site.granted(client, subject).await.access.expose().to_owned());
    }
    let page = browser.page("/apps/connected").await;
    assert_eq!(page.text.matches("<h2>").count(), 2);
    for shown in ["Acme", "Zeta", "see your properties", "kitchen tablet", "192.0.2.7 Tablet/1.0"] {
        assert!(page.has(shown), "{shown}");
    }
    assert!(page.has("Last used <time"));
    // The browser itself is no app.
    assert!(!page.has("grantkeep-pages"));
    let form = ("/apps/connected/disconnect", acme.as_str());
    let answer = browser.submit(&page, form, &[]).await;
    let page = browser.page(answer.location()).await;
    assert!(!page.has("Acme") && page.has("Zeta"));
    let mut answers = Vec::new();
    for token in &tokens {
        answers.push(site.api(token).await.as_u16());
    }
    assert_eq!(answers, [401, 401, 200, 200]);
}

// Goal: one device of an app is ended by itself, and only by its owner. Method: bob ends one of his
// two, and tries alice's with a digest of his own.
#[tokio::test]
async fn one_device_is_ended_by_its_owner() {
    let site = Site::of("hospitable").await;
    let (acme, _) = site.client("Acme").await;
    let first = site.granted(&acme, "bob").await;
    let second = site.granted(&acme, "bob").await;
    let hers = site.granted(&acme, "alice").await;
    let mut browser = site.signed_in("bob").await;
    let page = browser.page("/apps/connected").await;
    let family = first.family.unwrap().to_string();
    let answer = browser.submit(&page, ("/apps/connected/end", &family), &[]).await;
    assert_eq!(answer.location(), "/apps/connected?done=ended");
    let digest = &page.hidden("/apps/connected/end", "")[0].1;
    let theirs = hers.family.unwrap().to_string();
    browser.post("/apps/connected/end", &[("csrf", digest), ("family", &theirs)]).await.location();
    let answers = [
        site.api(first.access.expose()).await,
        site.api(second.access.expose()).await,
        site.api(hers.access.expose()).await,
    ];
    assert_eq!(answers, [StatusCode::UNAUTHORIZED, StatusCode::OK, StatusCode::OK]);
    // Sessions are not ended here.
    let digest = &page.hidden("/apps/connected/disconnect", "")[0].1;
    let fields = [("csrf", digest.as_str()), ("client", "grantkeep-pages")];
    let answer = browser.post("/apps/connected/disconnect", &fields).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(browser.is_in().await);
}

//! API keys.

use crate::browser::Site;
use axum::http::StatusCode;

// Goal: a key is shown once, works, is listed with its last use and without its text, and is
// refused once it is revoked; sending its form again makes no other. Method: the way of one key
// through the pages and the API.
#[tokio::test]
async fn a_key_is_shown_once_and_works_until_revoked() {
    let site = Site::of("hospitable").await;
    let mut browser = site.signed_in("bob").await;
    let page = browser.page("/apps/api-keys").await;
    assert!(page.has("No keys yet"));
    let fields = [("name", " Nightly report "), ("days", "30")];
    let made = browser.submit(&page, ("/apps/api-keys/create", ""), &fields).await;
    assert_eq!(made.status, StatusCode::OK, "{}", made.text);
    assert_eq!(made.headers["cache-control"], "no-store");
    assert!(made.has("data-copies=\"secret-0\"") && made.has("src=\"/copy.js\""));
    let key = made.secret("secret-0");
    let again = browser.submit(&page, ("/apps/api-keys/create", ""), &fields).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    assert!(!again.has("secret-0"));

    let page = browser.page("/apps/api-keys").await;
    assert!(page.has("<h3>Nightly report</h3>") && page.has("Never used."));
    assert_eq!(page.text.matches("<h3>").count(), 1);
    assert!(!page.has(&key) && page.has("in 30 days"));
    assert_eq!(site.api(&key).await, StatusCode::OK);
    assert!(browser.page("/apps/api-keys").await.has("Last used"));

    let answer = browser.submit(&page, ("/apps/api-keys/revoke", ""), &[]).await;
    let page = browser.page(answer.location()).await;
    assert!(page.has("role=\"status\"") && page.has("No keys yet"));
    assert_eq!(site.api(&key).await, StatusCode::UNAUTHORIZED);
}

// Goal: a key is its owner's alone: nobody else sees or revokes it. Method: bob sends alice's id
// with a digest of his own.
#[tokio::test]
async fn a_key_is_its_owners() {
    let site = Site::of("hospitable").await;
    let mut alice = site.signed_in("alice").await;
    let page = alice.page("/apps/api-keys").await;
    let fields = [("name", "hers")];
    let key = alice.submit(&page, ("/apps/api-keys/create", ""), &fields).await.secret("secret-0");
    let hidden = alice.page("/apps/api-keys").await.hidden("/apps/api-keys/revoke", "");
    let id = hidden.iter().find(|(name, _)| name == "id").unwrap().1.clone();

    let mut bob = site.signed_in("bob").await;
    let page = bob.page("/apps/api-keys").await;
    assert!(!page.has("<h3>hers<"));
    bob.submit(&page, ("/apps/api-keys/create", ""), &[("name", "his")]).await;
    let page = bob.page("/apps/api-keys").await;
    let digest = &page.hidden("/apps/api-keys/revoke", "")[0].1;
    let answer = bob.post("/apps/api-keys/revoke", &[("csrf", digest), ("id", &id)]).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert_eq!(site.api(&key).await, StatusCode::OK);
}

// Goal: a name that is missing or too long, and a lifetime that is none or over the policy's, make
// no key and say what is wrong. Method: each.
#[tokio::test]
async fn a_key_is_named_and_lives_as_the_policy_allows() {
    let site = Site::of("hospitable").await;
    let mut browser = site.signed_in("bob").await;
    let long = "n".repeat(101);
    let wrong = [("", "30"), ("   ", "30"), (&long, "30"), ("n", "x"), ("n", "0"), ("n", "99999")];
    for (name, days) in wrong {
        let page = browser.page("/apps/api-keys").await;
        let fields = [("name", name), ("days", days)];
        let answer = browser.submit(&page, ("/apps/api-keys/create", ""), &fields).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{name:?} {days}: {}", answer.text);
    }
    let page = browser.page("/apps/api-keys").await;
    assert!(page.has("No keys yet"));
    let longest = "\u{e9}".repeat(100);
    let fields = [("name", longest.as_str())];
    let made = browser.submit(&page, ("/apps/api-keys/create", ""), &fields).await;
    assert_eq!(made.status, StatusCode::OK);
}

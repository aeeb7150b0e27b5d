//! The browsers that a person is signed in with.

use crate::browser::Site;
use axum::http::StatusCode;
use grantkeep_grants::NewPersonal;

// Goal: other browsers are signed out, one by one or all at once, while this one, the apps, and
// other people stay. Method: three browsers of bob's, one of alice's, and an app.
#[tokio::test]
async fn other_browsers_are_signed_out() {
    let site = Site::of("hospitable").await;
    let (acme, _) = site.client("Acme").await;
    let app = site.granted(&acme, "bob").await;
    let mut here = site.signed_in("bob").await;
    let mut there = site.browser();
    there.fields.insert("user-agent", "Phone/7".parse().unwrap());
    there.sign_in("bob").await;
    let mut third = site.signed_in("bob").await;
    let mut alice = site.signed_in("alice").await;
    let page = here.page("/account/browsers").await;
    assert!(page.has("This browser.") && page.has("Phone/7"));
    assert_eq!(page.text.matches("<h2>").count(), 3 + 1);
    let answer = here.submit(&page, ("/account/browsers/out", "Phone/7"), &[]).await;
    assert_eq!(answer.location(), "/account/browsers?done=browser-out");
    assert!(!there.is_in().await && third.is_in().await);
    there.sign_in("bob").await;
    let page = here.page("/account/browsers").await;
    here.submit(&page, ("/account/browsers/others-out", ""), &[]).await.location();
    assert!(!there.is_in().await && !third.is_in().await);
    assert!(here.is_in().await && alice.is_in().await);
    assert_eq!(site.api(app.access.expose()).await, StatusCode::OK);
    // Nobody signs out somebody else's.
    let hers = alice.page("/account/browsers").await;
    let digest = &here.page("/signout").await.hidden("/signout", "")[0].1.clone();
    assert!(!hers.has(digest));
}

// Goal: signing out everywhere else ends every other browser and every app in one go, and leaves
// this browser and the person's own keys. Method: one of each.
#[tokio::test]
async fn everything_else_is_signed_out() {
    let site = Site::of("hospitable").await;
    let (acme, _) = site.client("Acme").await;
    let app = site.granted(&acme, "bob").await;
    let hers = site.granted(&acme, "alice").await;
    let key = site.grants().create_personal(NewPersonal::new("bob", "own")).await.unwrap();
    let mut here = site.signed_in("bob").await;
    let mut there = site.signed_in("bob").await;
    let page = here.page("/account/browsers").await;
    let answer = here.submit(&page, ("/account/browsers/everything-out", ""), &[]).await;
    let page = here.page(answer.location()).await;
    assert!(page.has("every app is disconnected") && page.has("signed in nowhere else"));
    assert!(!there.is_in().await);
    assert_eq!(site.api(app.access.expose()).await, StatusCode::UNAUTHORIZED);
    assert_eq!(site.api(hers.access.expose()).await, StatusCode::OK);
    assert_eq!(site.api(key.token.expose()).await, StatusCode::OK);
}

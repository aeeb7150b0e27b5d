//! A client that is changed and deleted by an operator.

use crate::browser::{Browser, Page, Site};
use axum::http::StatusCode;
use grantkeep::REDIRECT_URIS_MAX;
use std::fmt::Write as _;

const EDIT: &str = "/operator/clients/edit";
const DELETE: &str = "/operator/clients/delete";

async fn edit(browser: &mut Browser<'_>, page: &Page, name: &str, uris: &str) -> Page {
    browser.submit(page, (EDIT, ""), &[("name", name), ("redirect_uris", uris)]).await
}

// Goal: an operator changes a client's name and redirect URIs; what was issued stays, the new URI
// is the one that counts, and the old one leads nowhere (RFC 6749 section 3.1.2.3). Method: change
// both, and ask with each URI.
#[tokio::test]
async fn a_client_is_changed() {
    let site = Site::of("hospitable").await;
    let (id, _) = site.client("Acme").await;
    let token = site.granted(&id, "bob").await;
    let mut alice = site.signed_in("alice").await;
    let page = alice.page(&format!("{EDIT}?id={id}")).await;
    assert!(page.has("value=\"Acme\"") && page.has("https://app.example/cb</textarea>"));
    let uris = " https://new.example/cb \r\n\r\nhttps://new.example/other\r\n";
    let answer = edit(&mut alice, &page, " Apex ", uris).await;
    let page = alice.page(answer.location()).await;
    assert!(page.has("The client is changed.") && page.has("Apex") && !page.has("app.example"));
    let client = site.grants().client(&id).await.unwrap().unwrap();
    assert_eq!(client.name, "Apex");
    assert_eq!(client.redirect_uris, ["https://new.example/cb", "https://new.example/other"]);
    assert_eq!(client.grants.len(), 3);
    assert_eq!(site.api(token.access.expose()).await, StatusCode::OK);
    for (uri, status) in [
        ("https://new.example/cb", StatusCode::OK),
        ("https://app.example/cb", StatusCode::BAD_REQUEST),
    ] {
        let path = format!("/oauth/authorize?response_type=code&client_id={id}&redirect_uri={uri}");
        assert_eq!(alice.get(&path).await.status, status, "{uri}");
    }
}

// Goal: what may not be is refused with what was typed still in the form, and changes nothing:
// names and counts go to their bounds and no further. Method: each fault, one step over each bound,
// and then what is at the bounds.
#[tokio::test]
async fn a_client_is_not_changed_to_what_may_not_be() {
    let site = Site::of("hospitable").await;
    let (id, _) = site.client("Acme").await;
    let before = site.grants().client(&id).await.unwrap().unwrap();
    let mut alice = site.signed_in("alice").await;
    let page = alice.page(&format!("{EDIT}?id={id}")).await;
    let own = "https://app.example/cb";
    let lines = |count: usize| {
        (0..count).fold(String::new(), |mut text, at| {
            let _ = writeln!(text, "{own}/{at}");
            text
        })
    };
    let (long, many) = ("\u{e9}".repeat(101), lines(REDIRECT_URIS_MAX + 1));
    for (name, uris, said) in [
        ("", own, "The name is missing."),
        ("  ", own, "The name is missing."),
        (&long, own, "longer than 100 characters"),
        ("Apex", "", "needs a redirect URI"),
        (
            "Apex",
            "http://new.example/cb",
            "A redirect URI is http and leaves this machine: use https.",
        ),
        ("Apex", "javascript:alert(1)", "A redirect URI is"),
        ("Apex", "https://new.example/cb#part", "has a fragment"),
        ("Apex", &many, "64"),
    ] {
        let answer = edit(&mut alice, &page, name, uris).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{said}");
        assert!(answer.has(said) && answer.has("role=\"alert\""), "{said}: {}", answer.text);
        assert!(answer.has(uris.trim_end()) && answer.has(name.trim()), "{said}");
        assert_eq!(site.grants().client(&id).await.unwrap().unwrap(), before, "{said}");
    }
    let fields = [("name", long.as_str()), ("kind", "confidential"), ("redirect_uris", own)];
    let new = alice.page("/operator/clients/new").await;
    let answer = alice.submit(&new, ("/operator/clients/create", ""), &fields).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    let fields = [("name", "Apex"), ("kind", "confidential"), ("code", "yes")];
    let answer = alice.submit(&new, ("/operator/clients/create", ""), &fields).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(answer.has("needs a redirect URI"));
    edit(&mut alice, &page, &"\u{e9}".repeat(100), &lines(REDIRECT_URIS_MAX)).await.location();
    let client = site.grants().client(&id).await.unwrap().unwrap();
    assert_eq!(client.redirect_uris.len(), REDIRECT_URIS_MAX);
}

// Goal: of two operators who change a client at the same time none undoes what the other did
// without seeing it. Method: two forms that were opened together; the second is shown what the
// first did, and counts when it is sent again.
#[tokio::test]
async fn no_change_is_lost_unseen() {
    let site = Site::of("hospitable").await;
    let (id, _) = site.client("Acme").await;
    let mut alice = site.signed_in("alice").await;
    let page = alice.page(&format!("{EDIT}?id={id}")).await;
    edit(&mut alice, &page, "Apex", "https://app.example/new").await.location();
    let answer = edit(&mut alice, &page, "Acne", "https://app.example/cb").await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    assert!(answer.has("Now it is: Apex, https://app.example/new") && answer.has("Acne"));
    assert_eq!(site.grants().client(&id).await.unwrap().unwrap().name, "Apex");
    edit(&mut alice, &answer, "Acne", "https://app.example/cb").await.location();
    assert_eq!(site.grants().client(&id).await.unwrap().unwrap().name, "Acne");
}

// Goal: a client is deleted by its own form alone, after a page that says what ends; then all that
// it had is refused, it is none any more, and other clients stay. Method: look, then delete, then
// the forms of a client that is gone; and the client of the pages, which is none of these.
#[tokio::test]
async fn a_client_is_deleted() {
    let site = Site::of("hospitable").await;
    let (id, secret) = site.client("Acme").await;
    let (other, _) = site.client("Other").await;
    let token = site.granted(&id, "bob").await;
    let others = site.granted(&other, "bob").await;
    let mut alice = site.signed_in("alice").await;
    let page = alice.page(&format!("{DELETE}?id={id}")).await;
    assert!(page.has("Delete Acme?") && page.has("Its secret is refused") && page.has(&id));
    assert_eq!(site.api(token.access.expose()).await, StatusCode::OK);
    let edited = alice.page(&format!("{EDIT}?id={id}")).await;
    let digest = page.hidden(DELETE, "")[0].1.clone();
    let fields = [("csrf", digest.as_str()), ("id", "grantkeep-pages")];
    assert_eq!(alice.post(DELETE, &fields).await.status, StatusCode::NOT_FOUND);
    let answer = alice.submit(&page, (DELETE, ""), &[]).await;
    let listed = alice.page(answer.location()).await;
    assert!(listed.has("The client is deleted") && !listed.has("Acme") && listed.has("Other"));
    assert_eq!(site.api(token.access.expose()).await, StatusCode::UNAUTHORIZED);
    assert_eq!(site.api(others.access.expose()).await, StatusCode::OK);
    let known = site.grants().authenticate_client(&id, Some(secret.as_bytes())).await.unwrap();
    assert!(!matches!(known, grantkeep_grants::Authenticated::Client(_)));
    let answer = alice.submit(&page, (DELETE, ""), &[]).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    let answer = edit(&mut alice, &edited, "Apex", "https://app.example/cb").await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert!(!alice.page("/apps/connected").await.has("Acme"));
}

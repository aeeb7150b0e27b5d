//! What operators do: clients, and the grants of a person.

use crate::browser::Site;
use axum::http::StatusCode;
use grantkeep::Store;
use grantkeep_grants::{Authenticated, NewClient, NewPersonal};
use grantkeep_server::{Config, KnownUsers, Operators, Server, Stop};
use std::collections::BTreeSet;
use std::sync::Arc;

async fn accepts(site: &Site, client: &str, secret: &str) -> bool {
    let answer = site.grants().authenticate_client(client, Some(secret.as_bytes())).await.unwrap();
    matches!(answer, Authenticated::Client(_))
}

// Goal: a client is made with a secret that is shown once, gets another, loses the first, is
// disabled, and is enabled. Method: its life through the pages, its secrets tried after each step.
#[tokio::test]
async fn a_client_lives_through_the_pages() {
    let site = Site::of("hospitable").await;
    let mut alice = site.signed_in("alice").await;
    assert!(alice.page("/operator/clients").await.has("No clients yet"));
    let page = alice.page("/operator/clients/new").await;
    let fields = [
        ("name", "Acme"),
        ("kind", "confidential"),
        ("redirect_uris", "https://app.example/cb\r\n\r\nhttps://app.example/other\r\n"),
        ("code", "yes"),
        ("refresh", "yes"),
        ("scopes", "property:read"),
    ];
    let made = alice.submit(&page, ("/operator/clients/create", ""), &fields).await;
    assert_eq!(made.status, StatusCode::OK, "{}", made.text);
    let (id, first) = (made.secret("secret-0"), made.secret("secret-1"));
    assert!(accepts(&site, &id, &first).await);
    let again = alice.submit(&page, ("/operator/clients/create", ""), &fields).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    let client = site.grants().client(&id).await.unwrap().unwrap();
    assert_eq!(client.redirect_uris, ["https://app.example/cb", "https://app.example/other"]);
    assert_eq!(client.grants.len(), 2);

    let own = format!("/operator/clients/one?id={id}");
    let page = alice.page(&own).await;
    assert!(!page.has(&first) && page.has("enabled"));
    let of_first = page.hidden("/operator/clients/remove-secret", "");
    let made = alice.submit(&page, ("/operator/clients/rotate", ""), &[]).await;
    let second = made.secret("secret-0");
    assert!(accepts(&site, &id, &first).await && accepts(&site, &id, &second).await);
    let fields: Vec<(&str, &str)> =
        of_first.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    alice.post("/operator/clients/remove-secret", &fields).await.location();
    assert!(!accepts(&site, &id, &first).await && accepts(&site, &id, &second).await);

    let token = site.granted(&id, "bob").await;
    let page = alice.page(&own).await;
    let answer = alice.submit(&page, ("/operator/clients/disable", ""), &[]).await;
    let page = alice.page(answer.location()).await;
    assert!(page.has("disabled") && !accepts(&site, &id, &second).await);
    assert_eq!(site.api(token.access.expose()).await, StatusCode::UNAUTHORIZED);
    alice.submit(&page, ("/operator/clients/enable", ""), &[]).await.location();
    assert!(accepts(&site, &id, &second).await);
    assert_eq!(site.api(token.access.expose()).await, StatusCode::UNAUTHORIZED);
}

// Goal: a client that cannot be made is told why, and none is made; the client of the pages is none
// that can be touched, since whoever disables it is signed out. Method: a redirect URI that is not
// allowed (RFC 6749 section 3.1.2), a public client for itself, and the forms of one client with
// the id of the pages.
#[tokio::test]
async fn what_cannot_be_made_or_touched_is_not() {
    let site = Site::of("hospitable").await;
    let mut alice = site.signed_in("alice").await;
    for (kind, uri) in [("confidential", "http://app.example/cb"), ("other", "https://a.example")] {
        let page = alice.page("/operator/clients/new").await;
        let fields = [("name", "Acme"), ("kind", kind), ("redirect_uris", uri), ("code", "yes")];
        let answer = alice.submit(&page, ("/operator/clients/create", ""), &fields).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    }
    assert!(alice.page("/operator/clients").await.has("No clients yet"));
    let (id, _) = site.client("Acme").await;
    let page = alice.page(&format!("/operator/clients/one?id={id}")).await;
    let digest = page.hidden("/operator/clients/disable", "")[0].1.clone();
    let fields = [("csrf", digest.as_str()), ("id", "grantkeep-pages")];
    let answer = alice.post("/operator/clients/disable", &fields).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert!(alice.is_in().await);
}

// Goal: all clients are listed, in pages. Method: more than fit on one, followed by the links.
#[tokio::test]
async fn clients_are_listed_in_pages() {
    let site = Site::of("hospitable").await;
    for number in 0..120 {
        let id = format!("client-{number:03}");
        let new = NewClient::public(id.as_str()).name(id.as_str());
        site.grants().create_client(new).await.unwrap();
    }
    let mut alice = site.signed_in("alice").await;
    let (mut seen, mut pages) = (BTreeSet::new(), 0);
    let mut next = Some("/operator/clients".to_owned());
    while let Some(path) = next {
        let page = alice.page(&path).await;
        pages += 1;
        let rows = page.text.split("<span class=\"id\">").skip(1);
        for id in rows.map(|row| row.split('<').next().unwrap()) {
            assert!(seen.insert(id.to_owned()), "{id} comes twice");
        }
        next = page
            .text
            .split_once("class=\"more\" href=\"")
            .map(|(_, rest)| rest.split('"').next().unwrap().to_owned());
    }
    assert_eq!((seen.len(), pages), (120, 3));
    // A cursor that is none is the beginning.
    alice.page("/operator/clients?after=x").await;
}

// Goal: an operator sees what a person has granted, and ends one grant, one key, or everything;
// other people keep theirs. Method: grants of two people.
#[tokio::test]
async fn the_grants_of_a_person_are_seen_and_ended() {
    let site = Site::of("hospitable").await;
    let (acme, _) = site.client("Acme").await;
    let (one, two) = (site.granted(&acme, "bob").await, site.granted(&acme, "bob").await);
    let hers = site.granted(&acme, "alice").await;
    let key = site.grants().create_personal(NewPersonal::new("bob", "own")).await.unwrap();
    let mut bob = site.signed_in("bob").await;
    let mut alice = site.signed_in("alice").await;
    assert!(alice.page("/operator/grants?subject=nobody").await.has("Nothing is in force"));
    let path = "/operator/grants?subject=bob";
    let page = alice.page(path).await;
    assert!(page.has("property:read") && page.has("API key: own"));
    assert!(page.has("A signed-in browser") && page.has("kitchen tablet"));
    assert!(!page.has(key.token.expose()));
    let family = one.family.unwrap().to_string();
    let answer = alice.submit(&page, ("/operator/grants/end", &family), &[]).await;
    assert_eq!(answer.location(), "/operator/grants?subject=bob&done=ended");
    assert_eq!(site.api(one.access.expose()).await, StatusCode::UNAUTHORIZED);
    assert_eq!(site.api(two.access.expose()).await, StatusCode::OK);
    alice.submit(&page, ("/operator/grants/revoke-key", ""), &[]).await.location();
    assert_eq!(site.api(key.token.expose()).await, StatusCode::UNAUTHORIZED);
    alice.submit(&page, ("/operator/grants/end-all", ""), &[]).await.location();
    assert_eq!(site.api(two.access.expose()).await, StatusCode::UNAUTHORIZED);
    assert_eq!(site.api(hers.access.expose()).await, StatusCode::OK);
    assert!(!bob.is_in().await && alice.is_in().await);
}

// Goal: the JSON API for operators is not opened by a secret that is quickly guessed: the start is
// refused. Method: secrets of fifteen characters, and of sixteen.
#[tokio::test]
async fn a_short_secret_of_operators_is_refused_at_the_start() {
    for (secret, starts) in [("fifteen letters", false), ("sixteen letters!", true)] {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path().join("tokens")).unwrap();
        let listen = ([127, 0, 0, 1], 0).into();
        let operators = Some(Operators { listen, secret: Some(secret.to_owned()) });
        let config = Config { operators, ..Site::config("hospitable") };
        let users = Arc::new(KnownUsers::new().unwrap());
        let bound = Server::bind(store, users, config, &Stop::new()).await;
        assert_eq!(bound.is_ok(), starts, "{bound:?}");
        if let Err(refused) = bound {
            assert!(refused.to_string().contains("fewer than 16 characters"), "{refused}");
        }
    }
}

//! Changing a password.

use crate::browser::{Browser, PASSWORD, Page, Site};
use axum::http::StatusCode;
use grantkeep_grants::NewPersonal;
use grantkeep_server::{KnownUsers, PASSWORD_CHARS_MAX, PASSWORD_CHARS_MIN, hash};
use std::sync::Arc;

const PATH: &str = "/account/password";
const NEW: &str = "five small boats";

async fn change(browser: &mut Browser<'_>, present: &str, new: &str, again: &str) -> Page {
    let page = browser.page(PATH).await;
    let fields = [("present", present), ("new", new), ("again", again)];
    browser.submit(&page, (PATH, ""), &fields).await
}

// Goal: a password that is changed is the one that counts; every other browser is signed out, and
// so is a copy of this one's cookie, while this browser, apps, keys, and other people stay (OWASP
// ASVS 2.1.5, 3.3.3). Method: bob in three browsers, one of them a copy, an app, a key, and alice.
#[tokio::test]
async fn a_changed_password_signs_out_other_browsers() {
    let site = Site::of("hospitable").await;
    let (acme, _) = site.client("Acme").await;
    let app = site.granted(&acme, "bob").await;
    let key = site.grants().create_personal(NewPersonal::new("bob", "own")).await.unwrap();
    let mut here = site.signed_in("bob").await;
    let (mut copy, mut there) = (here.clone(), site.signed_in("bob").await);
    let mut alice = site.signed_in("alice").await;
    let answer = change(&mut here, PASSWORD, NEW, NEW).await;
    assert_eq!(answer.location(), "/account/browsers?done=password-changed");
    let page = here.page(answer.location()).await;
    assert!(page.has("Your password is changed.") && page.has("signed in nowhere else"));
    assert!(!copy.is_in().await && !there.is_in().await && alice.is_in().await);
    for token in [app.access.expose(), key.token.expose()] {
        assert_eq!(site.api(token).await, StatusCode::OK);
    }
    assert_eq!(there.sign_in_with("bob", PASSWORD).await, StatusCode::FORBIDDEN);
    assert_eq!(there.sign_in_with("bob", NEW).await, StatusCode::SEE_OTHER);
    assert_eq!(site.browser().sign_in_with("alice", PASSWORD).await, StatusCode::SEE_OTHER);
}

// Goal: nothing is changed without the current password, and no new one is out of its bounds or
// mistyped. Method: each fault, with the lengths on either side of a bound; then those within.
#[tokio::test]
async fn passwords_that_may_not_be_are_refused() {
    let site = Site::of("hospitable").await;
    let mut bob = site.signed_in("bob").await;
    let mut other = site.signed_in("bob").await;
    let of = |chars: usize| "\u{e9}".repeat(chars);
    let (short, long) = (of(PASSWORD_CHARS_MIN - 1), of(PASSWORD_CHARS_MAX + 1));
    for (present, new, again, said) in [
        ("wrong", NEW, NEW, "The current password is wrong."),
        ("", NEW, NEW, "The current password is missing."),
        (PASSWORD, NEW, "five small goats", "are not the same"),
        (PASSWORD, "", "", "less than 15 characters"),
        (PASSWORD, &short, &short, "less than 15 characters"),
        (PASSWORD, &long, &long, "more than 1024 characters"),
    ] {
        let answer = change(&mut bob, present, new, again).await;
        assert!(answer.status.is_client_error(), "{said}: {}", answer.status);
        assert!(answer.has(said) && answer.has("role=\"alert\""), "{said}: {}", answer.text);
        assert!(present.is_empty() || !answer.has(&format!("value=\"{present}\"")));
    }
    assert!(other.is_in().await);
    let (least, most) = (of(PASSWORD_CHARS_MIN), of(PASSWORD_CHARS_MAX));
    change(&mut bob, PASSWORD, &least, &least).await.location();
    let same = change(&mut bob, &least, &least, &least).await;
    assert!(same.has("is the one that you have"));
    change(&mut bob, &least, &most, &most).await.location();
    assert_eq!(other.sign_in_with("bob", &most).await, StatusCode::SEE_OTHER);
}

// Goal: the current password is not guessed from a browser that was left signed in: after ten
// failures the person waits, whatever address comes next, and others do not (NIST SP 800-63B-4
// section 3.2.2). Method: guess from one address, then know it from another.
#[tokio::test]
async fn guesses_of_the_present_password_are_limited() {
    let site = Site::of("hospitable").await;
    let mut bob = site.signed_in("bob").await;
    for _ in 0..10 {
        let answer = change(&mut bob, "guess", NEW, NEW).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
    }
    bob.from = "192.0.2.9:5000".parse().unwrap();
    let answer = change(&mut bob, PASSWORD, NEW, NEW).await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    let mut alice = site.browser();
    alice.from = bob.from;
    alice.sign_in("alice").await;
    change(&mut alice, PASSWORD, NEW, NEW).await.location();
}

// Goal: where passwords are not changed there is no page for it, and no way there. Method: people
// of a list that keeps nothing.
#[tokio::test]
async fn there_is_no_page_where_passwords_are_not_changed() {
    let users = KnownUsers::new().unwrap();
    users.add("bob", &hash(PASSWORD).unwrap(), false).unwrap();
    let site = Site::with(Site::config("hospitable"), Arc::new(users)).await;
    let mut bob = site.signed_in("bob").await;
    assert!(!bob.page("/account/browsers").await.has(PATH));
    assert_eq!(bob.get(PATH).await.status, StatusCode::NOT_FOUND);
    assert_eq!(bob.post(PATH, &[]).await.status, StatusCode::NOT_FOUND);
}

//! Signing in and out.

use crate::browser::{Browser, Everybody, PASSWORD, Site};
use axum::http::{StatusCode, header};
use futures_util::future::{BoxFuture, join_all};
use grantkeep::{KeySource, Keyring, Store};
use grantkeep_axum::Rejection;
use grantkeep_server::{Config, Users};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use zeroize::Zeroizing;

// Goal: whoever is not signed in is led to sign in, and back; signing out ends the session in the
// store, so that a copy of its cookie opens nothing (OWASP ASVS 3.3.1). Method: a browser and its
// copy.
#[tokio::test]
async fn a_session_begins_and_ends() {
    let site = Site::of("hospitable").await;
    let mut browser = site.browser();
    let led = browser.get("/device?user_code=WDJB-MJHT").await;
    assert_eq!(led.location(), "/signin?next=%2Fdevice%3Fuser_code%3DWDJB-MJHT");
    let page = browser.page(led.location()).await;
    let action = led.location();
    let fields = [("username", "bob"), ("password", PASSWORD)];
    let answer = browser.submit(&page, (action, ""), &fields).await;
    assert_eq!(answer.location(), "/device?user_code=WDJB-MJHT");
    let cookie = answer.headers[header::SET_COOKIE].to_str().unwrap();
    for part in ["session=", "; HttpOnly", "; SameSite=Lax", "; Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let mut copy = browser.clone();
    assert!(copy.is_in().await);
    let page = browser.page("/signout").await;
    let answer = browser.submit(&page, ("/signout", ""), &[]).await;
    assert_eq!(answer.location(), "/signin?done=signed-out");
    assert!(!browser.cookies.contains_key("session"));
    assert!(browser.page("/signin?done=signed-out").await.has("You are signed out."));
    assert!(!copy.is_in().await);
}

// Goal: nobody is signed in by another site (login CSRF, RFC 6749 section 10.12), nor by a wrong
// name or password. Method: the right password without the digest, with another browser's, and from
// another site; then wrong ones.
#[tokio::test]
async fn a_sign_in_is_the_browsers_own() {
    let site = Site::of("hospitable").await;
    let others = site.browser().page("/signin").await.hidden("/signin", "");
    let fields = [("username", "bob"), ("password", PASSWORD)];
    let mut browser = site.browser();
    let page = browser.page("/signin").await;
    assert_eq!(browser.post("/signin", &fields).await.status, StatusCode::FORBIDDEN);
    let with = |csrf| [fields[0], fields[1], ("csrf", csrf)];
    let answer = browser.post("/signin", &with(&others[0].1)).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    for (name, value) in [("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")] {
        let mut lured = browser.clone();
        lured.fields.insert(name, value.parse().unwrap());
        let answer = lured.submit(&page, ("/signin", ""), &fields).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
    }
    for (name, password) in [("bob", "wrong"), ("nobody", PASSWORD), ("", ""), ("bob", "")] {
        let fields = [("username", name), ("password", password)];
        let answer = browser.submit(&page, ("/signin", ""), &fields).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{name}");
        assert!(answer.has("role=\"alert\"") && answer.has(&format!("value=\"{name}\"")));
        let told = answer.has(&format!("value=\"{password}\""));
        assert!(password.is_empty() || !told);
    }
    assert!(!browser.is_in().await);
    browser.sign_in("bob").await;
    assert!(browser.is_in().await);
}

// Goal: passwords are not guessed: after ten failures at a name an address waits with it, whatever
// it comes with; other names, and others elsewhere, do not. Method: guess one name from one
// address.
#[tokio::test]
async fn guesses_of_passwords_are_limited() {
    let site = Site::of("hospitable").await;
    let mut browser = site.browser();
    let page = browser.page("/signin").await;
    let tried = |password| [("username", "bob"), ("password", password)];
    for _ in 0..10 {
        let answer = browser.submit(&page, ("/signin", ""), &tried("guess")).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
    }
    let answer = browser.submit(&page, ("/signin", ""), &tried(PASSWORD)).await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(answer.headers.contains_key("retry-after"));
    assert!(!browser.is_in().await);
    let mut neighbor = browser.clone();
    neighbor.sign_in("alice").await;
    browser.from = "192.0.2.9:5000".parse().unwrap();
    browser.sign_in("bob").await;
}

/// Takes for ever, and counts what it looks at.
#[derive(Clone, Default)]
struct Slow(Arc<AtomicUsize>);

impl Users for Slow {
    fn verify(
        &self,
        _: String,
        _: Zeroizing<String>,
    ) -> BoxFuture<'static, Result<Option<String>, Rejection>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Box::pin(std::future::pending())
    }

    fn is_known(&self, _: &str) -> bool {
        true
    }

    fn is_operator(&self, _: &str) -> bool {
        false
    }
}

// Goal: passwords that are sent at the same time are counted before they are looked at, and so are
// those whose browser hangs up. Method: thirty at once of one name while none is decided; they are
// dropped, and thirty more are sent.
#[tokio::test]
async fn passwords_at_the_same_time_are_counted() {
    let slow = Slow::default();
    let site = Site::with(Site::config("hospitable"), Arc::new(slow.clone())).await;
    let mut browser = site.browser();
    let page = browser.page("/signin").await;
    let thirty = || {
        join_all((0..30).map(|_| {
            let (mut browser, page) = (browser.clone(), &page);
            let tried = [("username", "bob"), ("password", "guess")];
            async move { browser.submit(page, ("/signin", ""), &tried).await.status }
        }))
    };
    let all_looked_at = async {
        while slow.0.load(Ordering::Relaxed) < 10 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    tokio::select! {
        _ = thirty() => panic!("all were decided"),
        () = all_looked_at => {}
    }
    for status in thirty().await {
        assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    }
    assert_eq!(slow.0.load(Ordering::Relaxed), 10);
}

// Goal: behind a proxy that the operator has named, people are told apart by the address that it
// names, and nobody else's header is believed. Method: one browser guesses through the proxy, and
// another signs in through it; then guesses with headers of their own, through the proxy and past
// it.
#[tokio::test]
async fn people_behind_a_proxy_are_told_apart() {
    let proxies = vec!["192.0.2.1".parse().unwrap()];
    let site = Site::configured(Config { proxies, ..Site::config("hospitable") }).await;
    let browser = site.browser();
    let through = |hops: String| {
        let mut browser = browser.clone();
        browser.fields.insert("x-forwarded-for", hops.parse().unwrap());
        browser
    };
    let tried = |password| [("username", "bob"), ("password", password)];
    let guesses = async |mut browser: Browser<'_>| {
        browser.cookies.clear();
        let page = browser.page("/signin").await;
        browser.submit(&page, ("/signin", ""), &tried("guess")).await.status
    };
    for forged in 0..10 {
        let hops = format!("203.0.113.{forged}, 198.51.100.1");
        assert_eq!(guesses(through(hops)).await, StatusCode::FORBIDDEN);
    }
    let refused = StatusCode::TOO_MANY_REQUESTS;
    assert_eq!(guesses(through("203.0.113.99, 198.51.100.1".to_owned())).await, refused);
    through("198.51.100.2".to_owned()).sign_in("bob").await;
    for forged in 0..11 {
        let mut past = through(format!("203.0.113.{forged}"));
        past.from = "192.0.2.50:5000".parse().unwrap();
        let expected = if forged < 10 { StatusCode::FORBIDDEN } else { refused };
        assert_eq!(guesses(past).await, expected, "{forged}");
    }
}

// Goal: a browser has one session: a sign-in makes a new cookie and ends the session before it, so
// that none piles up and none is fixed beforehand (OWASP ASVS 3.2.1). Method: sign in twice through
// an authorization request, which asks each time.
#[tokio::test]
async fn a_sign_in_takes_the_place_of_the_one_before() {
    let site = Site::of("hospitable").await;
    let (client, _) = site.client("Acme").await;
    let mut browser = site.signed_in("bob").await;
    let before = browser.clone();
    let path = format!("/oauth/authorize?response_type=code&client_id={client}");
    let page = browser.page(&path).await;
    let fields = [("username", "bob"), ("password", PASSWORD)];
    let asked = browser.submit(&page, (&path, ""), &fields).await;
    assert_eq!(asked.status, StatusCode::OK, "{}", asked.text);
    assert!(asked.has("Acme asks for access"));
    assert_ne!(browser.cookies["session"], before.cookies["session"]);
    assert!(browser.is_in().await);
    assert!(!before.clone().is_in().await);
    let granted = browser.submit(&asked, (&path, ""), &[("decision", "approve")]).await;
    assert!(granted.location().starts_with("https://app.example/cb?code="));
    assert!(browser.page("/account/browsers").await.has("You are signed in nowhere else."));
}

// Goal: after the restore of a backup people sign in again, though every client waits for a review;
// sessions from before are over. Method: a backup of a server's store, restored, and served.
#[tokio::test]
async fn people_sign_in_after_a_restore() {
    let directory = tempfile::tempdir().unwrap();
    let keys = Keyring::generate().unwrap();
    let options = || Store::options().keys(KeySource::Given(keys.clone()));
    let everybody = || Arc::new(Everybody::default());
    let copy = directory.path().join("copy");
    let store = options().open(directory.path().join("tokens")).unwrap();
    let site = Site::on(store, directory, Site::config("hospitable"), everybody()).await;
    let before = site.signed_in("bob").await;
    site.grants().store().backup(&copy).await.unwrap();
    let restored = options().restored(true).open(&copy).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let again = Site::on(restored, elsewhere, Site::config("hospitable"), everybody()).await;
    let mut browser = again.browser();
    browser.cookies = before.cookies.clone();
    assert!(!browser.is_in().await);
    browser.sign_in("bob").await;
    assert!(browser.is_in().await);
}

// Goal: somebody who is no user any more is signed in no longer. Method: a session, whose person
// goes.
#[tokio::test]
async fn whoever_is_gone_is_signed_out() {
    let everybody = Everybody::default();
    let without_bob = Arc::clone(&everybody.without_bob);
    let site = Site::with(Site::config("hospitable"), Arc::new(everybody)).await;
    let (mut bob, mut alice) = (site.signed_in("bob").await, site.signed_in("alice").await);
    without_bob.store(true, Ordering::SeqCst);
    assert!(!bob.is_in().await);
    assert!(alice.is_in().await);
}

// Goal: a request that was posted (RFC 6749 section 3.1) is the same request on each page that
// follows, and a decision on one is none on another. Method: one from the post to the code, and its
// decision sent with another `resource`.
#[tokio::test]
async fn a_posted_request_leads_to_a_code() {
    let site = Site::of("hospitable").await;
    let (client, _) = site.client("Acme").await;
    let mut browser = site.browser();
    let asked = [
        ("client_id", client.as_str()),
        ("response_type", "code"),
        ("state", "of the app"),
        ("resource", "https://api.example"),
    ];
    let page = browser.post("/oauth/authorize", &asked).await;
    assert_eq!(page.status, StatusCode::OK);
    let action = format!("/oauth/authorize?{}", query(&asked));
    let fields = [("username", "bob"), ("password", PASSWORD)];
    let question = browser.submit(&page, (&action, ""), &fields).await;
    assert!(question.has("Acme asks for access") && question.has("https://api.example"));
    let carried = question.hidden(&action, "");
    let other = [&asked[..3], &[("resource", "https://other.example")]].concat();
    let decided = [("csrf", carried[0].1.as_str()), ("decision", "approve")];
    let other = format!("/oauth/authorize?{}", query(&other));
    assert_eq!(browser.post(&other, &decided).await.status, StatusCode::FORBIDDEN);
    let answer = browser.submit(&question, (&action, ""), &decided[1..]).await;
    assert!(answer.location().starts_with("https://app.example/cb?code="));
    assert!(answer.location().contains("&state=of+the+app&"), "{}", answer.location());
}

fn query(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

// Goal: what stands for a browser is drawn by the server, so that no two have one digest. Method: a
// cookie that is none of it.
#[tokio::test]
async fn a_visitor_is_known_by_what_the_server_drew() {
    let site = Site::of("hospitable").await;
    for planted in ["", "x", "of somebody else"] {
        let mut browser = site.browser();
        browser.cookies.insert("visitor".to_owned(), planted.to_owned());
        browser.page("/signin").await;
        assert_eq!(browser.cookies["visitor"].len(), 64, "{planted:?}");
    }
}

// Goal: where the server is reached by TLS, the cookies have the prefix `__Host-`, and so they are
// `Secure`, for all paths, and for no domain (RFC 6265bis section 4.1.3.2); on this machine without
// TLS they have plain names. A cookie of the plain name is none there. Method: a sign-in at either
// address, and the session's cookie under the other name.
#[tokio::test]
async fn cookies_over_tls_are_the_hosts_own() {
    for (issuer, prefix) in [(Some("https://auth.example"), "__Host-"), (None, "")] {
        let issuer = issuer.map(str::to_owned);
        let site = Site::configured(Config { issuer, ..Site::config("hospitable") }).await;
        let mut browser = site.browser();
        let page = browser.page("/signin").await;
        let fields = [("username", "bob"), ("password", PASSWORD)];
        let signed_in = browser.submit(&page, ("/signin", ""), &fields).await;
        assert_eq!(signed_in.status, StatusCode::SEE_OTHER);
        for (page, name) in [(&page, "visitor"), (&signed_in, "session")] {
            let set = page.headers["set-cookie"].to_str().unwrap();
            assert!(set.starts_with(&format!("{prefix}{name}=")), "{set}");
            assert!(set.contains("; Path=/; HttpOnly; SameSite=Lax; "), "{set}");
            assert_eq!(set.ends_with("; Secure"), !prefix.is_empty(), "{set}");
            assert!(!set.contains("Domain"), "{set}");
        }
        assert!(browser.is_in().await);
        let cookie = browser.cookies.remove(&format!("{prefix}session")).unwrap();
        let other = if prefix.is_empty() { "__Host-session" } else { "session" };
        browser.cookies.insert(other.to_owned(), cookie);
        assert!(!browser.is_in().await);
    }
}

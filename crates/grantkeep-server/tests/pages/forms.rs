//! Which forms count, and who may see what.

use crate::browser::{Browser, PASSWORD, Page, Site};
use axum::http::StatusCode;

/// Where forms of a signed-in person go.
const FORMS: [&str; 13] = [
    "/signout",
    "/account/password",
    "/account/browsers/out",
    "/account/browsers/others-out",
    "/account/browsers/everything-out",
    "/apps/connected/disconnect",
    "/apps/connected/end",
    "/apps/api-keys/create",
    "/apps/api-keys/revoke",
    "/apps/start",
    "/device",
    "/device/decide",
    "/operator/clients/create",
];
/// Those that are asked for on a page of their own, at the path that the form goes to.
const READ: [&str; 5] = [
    "/signout",
    "/account/password",
    "/device",
    "/operator/clients/edit",
    "/operator/clients/delete",
];
/// Pages and forms of operators.
const OPERATOR_PAGES: [&str; 8] = [
    "/operator/clients",
    "/operator/clients/new",
    "/operator/clients/one?id=x",
    "/operator/clients/edit?id=x",
    "/operator/clients/delete?id=x",
    "/operator/grants?subject=bob",
    "/operator/dashboard",
    "/operator/dashboard.json",
];
const OPERATOR_FORMS: [&str; 10] = [
    "/operator/clients/create",
    "/operator/clients/edit",
    "/operator/clients/delete",
    "/operator/clients/rotate",
    "/operator/clients/remove-secret",
    "/operator/clients/disable",
    "/operator/clients/enable",
    "/operator/grants/end",
    "/operator/grants/revoke-key",
    "/operator/grants/end-all",
];

/// Everything that some form could want, but for the digest.
fn fields<'a>(client: &'a str, family: &'a str) -> [(&'a str, &'a str); 13] {
    [
        ("client", client),
        ("client_id", client),
        ("id", client),
        ("family", family),
        ("subject", "bob"),
        ("name", "forged"),
        ("kind", "confidential"),
        ("number", "0123"),
        ("user_code", "WDJB-MJHT"),
        ("decision", "approve"),
        ("present", PASSWORD),
        ("new", "forged, and long enough"),
        ("again", "forged, and long enough"),
    ]
}

async fn is_unchanged(site: &Site, browser: &mut Browser<'_>, token: &str) {
    assert!(browser.is_in().await);
    assert_eq!(site.api(token).await, StatusCode::OK);
    assert!(!browser.page("/apps/api-keys").await.has("forged"));
    let clients = browser.page("/operator/clients").await;
    assert!(clients.has("Acme") && !clients.has("forged"));
    assert_eq!(site.browser().sign_in_with("alice", PASSWORD).await, StatusCode::SEE_OTHER);
}

// Goal: no form counts without the digest of its session and of its own path (RFC 9700 section
// 4.7), nor from another site, nor from nobody. Method: each form of the pages, sent by an operator
// without a digest, with that of another form, with that of another session, and with no session.
#[tokio::test]
async fn no_form_counts_without_its_digest() {
    let site = Site::of("hospitable").await;
    let (client, _) = site.client("Acme").await;
    let issued = site.granted(&client, "bob").await;
    let family = issued.family.unwrap().to_string();
    let token = issued.access.expose().to_owned();
    let mut browser = site.signed_in("alice").await;
    let digest_of = |page: &Page| page.hidden("/signout", "")[0].1.clone();
    let of_another_form = digest_of(&browser.page("/signout").await);
    let mut other = site.signed_in("alice").await;
    let of_another_session = digest_of(&other.page("/signout").await);
    for path in FORMS.iter().chain(&OPERATOR_FORMS) {
        let mut tried = vec!["", "0", of_another_session.as_str()];
        if *path != "/signout" {
            tried.push(&of_another_form);
        }
        for digest in tried {
            let all = [&fields(&client, &family)[..], &[("csrf", digest)]].concat();
            let answer = browser.post(path, &all).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}");
        }
        let answer = site.browser().post(path, &fields(&client, &family)).await;
        assert_eq!(answer.location(), "/signin", "{path}");
        let answer = browser.get(path).await;
        assert_eq!(answer.status == StatusCode::METHOD_NOT_ALLOWED, !READ.contains(path), "{path}");
    }
    is_unchanged(&site, &mut browser, &token).await;
}

// Goal: a form with its digest that a browser says is from another site is refused, and changes
// nothing (Fetch Metadata; RFC 6454 section 7). Method: the fields that browsers send, on forms
// that would do something.
#[tokio::test]
async fn no_form_counts_from_another_site() {
    let site = Site::of("hospitable").await;
    let (client, _) = site.client("Acme").await;
    let token = site.granted(&client, "alice").await.access.expose().to_owned();
    let mut browser = site.signed_in("alice").await;
    let connected = browser.page("/apps/connected").await;
    let keys = browser.page("/apps/api-keys").await;
    let out = browser.page("/signout").await;
    let said = [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
        ("origin", "null"),
    ];
    for (name, value) in said {
        let mut lured = browser.clone();
        lured.fields.insert(name, value.parse().unwrap());
        let forms = [
            (&connected, "/apps/connected/disconnect"),
            (&connected, "/apps/connected/end"),
            (&keys, "/apps/api-keys/create"),
            (&out, "/signout"),
        ];
        for (page, action) in forms {
            let answer = lured.submit(page, (action, ""), &[("name", "forged")]).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{action}: {name}: {value}");
        }
    }
    is_unchanged(&site, &mut browser, &token).await;
    // And from here it counts.
    browser.fields.insert("sec-fetch-site", "same-origin".parse().unwrap());
    browser.submit(&connected, ("/apps/connected/disconnect", ""), &[]).await.location();
    assert_eq!(site.api(&token).await, StatusCode::UNAUTHORIZED);
}

// Goal: what is for operators is refused to everybody else, pages and forms alike, and nobody else
// sees the way there. Method: each, by bob and by nobody, and by an operator for comparison.
#[tokio::test]
async fn operators_have_their_pages_to_themselves() {
    let site = Site::of("hospitable").await;
    let mut bob = site.signed_in("bob").await;
    for path in OPERATOR_PAGES {
        assert_eq!(bob.get(path).await.status, StatusCode::FORBIDDEN, "{path}");
        assert!(site.browser().get(path).await.location().starts_with("/signin?next="));
    }
    for path in OPERATOR_FORMS {
        let answer = bob.post(path, &fields("x", "y")).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}");
        assert!(answer.has("This page is for operators."), "{path}");
    }
    assert!(!bob.page("/account/browsers").await.has("/operator/"));
    let mut alice = site.signed_in("alice").await;
    assert!(alice.page("/account/browsers").await.has("/operator/dashboard"));
    for path in OPERATOR_PAGES.iter().filter(|path| !path.contains("id=x")) {
        alice.page(path).await;
    }
    for path in OPERATOR_PAGES.iter().filter(|path| path.contains("id=x")) {
        assert_eq!(alice.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
}

// Goal: a system has the pages that its document asks for, and no others. Method: the pages of one
// that has people and no keys, and of one that has clients alone.
#[tokio::test]
async fn each_system_has_its_own_pages() {
    let expected = [
        ("hourfleet", "/apps/connected", ["/apps", "/apps/api-keys", "/device"]),
        ("hapn", "/operator/dashboard", ["/apps", "/apps/api-keys", "/apps/connected"]),
    ];
    for (system, first, missing) in expected {
        let site = Site::of(system).await;
        let mut browser = site.signed_in("alice").await;
        assert_eq!(browser.get("/").await.location(), first);
        browser.page(first).await;
        for path in missing {
            assert_eq!(browser.get(path).await.status, StatusCode::NOT_FOUND, "{system} {path}");
        }
    }
}

//! What every page has, and what none may have.

use crate::browser::{MARKUP, Page, Site};
use axum::http::StatusCode;
use grantkeep_grants::NewPersonal;

const PAGES: [&str; 11] = [
    "/signout",
    "/account/password",
    "/account/browsers",
    "/apps",
    "/apps/connected",
    "/apps/api-keys",
    "/device",
    "/operator/clients",
    "/operator/clients/new",
    "/operator/grants",
    "/operator/dashboard",
];

fn check(path: &str, page: &Page) {
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    for part in ["default-src", "frame-ancestors", "base-uri"] {
        assert!(policy.contains(&format!("{part} 'none'")), "{path}: {policy}");
    }
    // But for pages whose form leads to an app.
    let leads_away = page.has("value=\"approve\"") || page.has("Get started");
    assert_eq!(policy.contains("form-action 'self'"), !leads_away, "{path}: {policy}");
    assert!(!policy.contains("unsafe") && !policy.contains('*'), "{path}: {policy}");
    assert_eq!(page.headers["x-content-type-options"], "nosniff");
    assert_eq!(page.headers["cache-control"], "no-store");
    let count = |what: &str| page.text.matches(what).count();
    assert_eq!(count("<h1>"), 1, "{path}");
    assert_eq!(count("<main"), 1, "{path}");
    for needed in ["<!DOCTYPE html>", "<html lang=\"en\">", "name=\"viewport\"", "<title>"] {
        assert!(page.has(needed), "{path}: {needed}");
    }
    // Nothing inline, and nothing from elsewhere.
    for banned in [" style=", "<style", " onclick", " onload", "javascript:", "src=\"http"] {
        assert!(!page.has(banned), "{path}: {banned}");
    }
    assert_eq!(count("<script"), count("<script src=\"/"), "{path}");
    // Each field is named: it stands in a label, or one is for it.
    for input in ["<input type=\"text\"", "<input type=\"password\"", "<select", "<textarea"] {
        for (at, _) in page.text.match_indices(input) {
            let before = &page.text[..at];
            let open = before.rfind("<label");
            let inside = open.is_some_and(|open| !before[open..].contains("</label>"));
            let named = before.ends_with("</label>");
            assert!(inside || named, "{path}: {}", &page.text[at..at + 80]);
        }
    }
}

// Goal: every page keeps others out (CSP Level 3, Fetch), holds one heading and one main part, and
// names its fields; those of people who are signed in lead to each other, with the one that is
// shown marked. Method: read each, also the one to sign in on and those that say what is wrong.
#[tokio::test]
async fn every_page_has_its_frame() {
    let site = Site::of("hospitable").await;
    let (client, _) = site.client("Acme").await;
    site.granted(&client, "alice").await;
    let mut alice = site.signed_in("alice").await;
    let of_client = ["/apps/app", "/operator/clients/one", "/operator/clients/edit"];
    let of_client = of_client.iter().chain(&["/operator/clients/delete"]);
    let more: Vec<String> = of_client.map(|path| format!("{path}?id={client}")).collect();
    for path in PAGES.into_iter().chain(more.iter().map(String::as_str)) {
        let page = alice.page(path).await;
        check(path, &page);
        assert_eq!(page.text.matches("aria-current=\"page\"").count(), 1, "{path}");
        assert!(page.has("<nav aria-label=") && page.has("href=\"#content\""), "{path}");
    }
    check("/signin", &site.browser().page("/signin").await);
    let page = site.signed_in("bob").await.get("/operator/clients").await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    check("refused", &page);
    let fields = [("name", "n")];
    let keys = alice.page("/apps/api-keys").await;
    check("made", &alice.submit(&keys, ("/apps/api-keys/create", ""), &fields).await);
    for script in ["/copy.js", "/dashboard.js"] {
        let script = alice.page(script).await;
        assert_eq!(script.headers["content-type"], "text/javascript; charset=utf-8");
    }
}

// Goal: whatever others have written is text on a page and never markup: names of clients, keys,
// people, and browsers, and what an address says (OWASP ASVS 5.3.3). Method: markup in each of
// them, on every page that shows it.
#[tokio::test]
async fn what_others_wrote_is_escaped() {
    let site = Site::of("hospitable").await;
    let (client, _) = site.client(MARKUP).await;
    for subject in ["bob", MARKUP] {
        site.granted(&client, subject).await;
        let new = NewPersonal::new(subject, MARKUP);
        site.grants().create_personal(new).await.unwrap();
    }
    let mut browser = site.browser();
    browser.fields.insert("user-agent", MARKUP.parse().unwrap());
    browser.sign_in(MARKUP).await;
    let escaped = "&lt;script&gt;alert";
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("user_code", MARKUP).append_pair("subject", MARKUP);
    let query = query.append_pair("next", MARKUP).append_pair("done", MARKUP).finish();
    let app = format!("/apps/app?id={client}&{query}");
    let more = [app, "/operator/grants?subject=bob".to_owned()];
    let pages = PAGES.iter().map(|path| format!("{path}?{query}"));
    for path in pages.chain(more) {
        let page = browser.page(&path).await;
        assert!(!page.has("<script>"), "{path}: {}", page.text);
        assert!(page.has(escaped), "{path}");
    }
    for page in ["one", "edit", "delete"] {
        let own = format!("/operator/clients/{page}?id={client}");
        assert!(!browser.page(&own).await.has("<script>"), "{page}");
    }
    let page = site.browser().page(&format!("/signin?{query}")).await;
    assert!(!page.has("<script>"));
    let path = format!("/oauth/authorize?response_type=code&client_id={client}");
    assert!(!browser.page(&path).await.has("<script>"));
}

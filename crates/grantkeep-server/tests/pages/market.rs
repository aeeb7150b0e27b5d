//! The marketplace: flows that the provider starts.

use crate::browser::Site;
use axum::http::StatusCode;
use grantkeep_grants::{Creation, GrantType, NewClient, Presented, Redeemed};
use grantkeep_server::OneClick;

// Goal: "Get started" leads a signed-in person straight to the app's redirect URI with a code that
// it redeems, and the page says beforehand what it will be able to do and where it leads. Method:
// the flow of the system's document.
#[tokio::test]
async fn get_started_leads_to_the_app_with_a_code() {
    let site = Site::of("hospitable").await;
    let (client, _) = site.client("Acme").await;
    let mut browser = site.signed_in("bob").await;
    let list = browser.page("/apps").await;
    let page = format!("/apps/app?id={client}");
    assert!(list.has("Acme") && list.has(&page));
    let page = browser.page(&page).await;
    assert!(page.has("see your properties") && page.has("https://app.example"));
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    // Chromium holds each hop of a redirect against it, and the app's may lead on.
    assert!(!policy.contains("form-action"), "{policy}");
    assert!(site.grants().families_of("bob", None, 10).await.unwrap().items.len() == 1);
    let answer = browser.submit(&page, ("/apps/start", ""), &[]).await;
    let (uri, query) = answer.location().split_once('?').unwrap();
    assert_eq!(uri, "https://app.example/cb");
    assert_eq!(answer.headers["referrer-policy"], "no-referrer");
    let query: Vec<(String, String)> =
        form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    assert_eq!(query[1], ("iss".to_owned(), site.server.issuer().to_owned()));
    let presented = Presented::by(&client).client_authenticated();
    let redeemed = site.grants().redeem(&query[0].1, &presented).await.unwrap();
    let Redeemed::Granted(issued) = redeemed else { panic!("{redeemed:?}") };
    assert_eq!(site.api(issued.access.expose()).await, StatusCode::OK);
    assert!(browser.page("/apps/connected").await.has("Acme"));
}

// Goal: an app for which no flow can be started here is not listed, and none is started for it: one
// that is disabled, that must use PKCE, that has several redirect URIs or none, or that may not use
// codes. Method: one of each, with a digest from the page of another.
#[tokio::test]
async fn only_apps_that_can_are_started() {
    let site = Site::of("hospitable").await;
    let (good, _) = site.client("Acme").await;
    let (disabled, _) = site.client("Disabled").await;
    site.grants().disable_client(&disabled).await.unwrap();
    let base = || NewClient::confidential(None).grants([GrantType::AuthorizationCode]);
    let (one, other) = ("https://a.example/cb", "https://b.example/cb");
    let others = [
        base().name("Pkce").redirect_uri(one).require_pkce(true),
        base().name("Two").redirect_uri(one).redirect_uri(other),
        base().name("None"),
        NewClient::confidential(None).name("Codeless").redirect_uri(one),
    ];
    let mut ids = vec![disabled];
    for new in others {
        let made = site.grants().create_client(new).await.unwrap();
        let Creation::Created(made) = made else { panic!("taken") };
        ids.push(made.client.id);
    }
    let mut browser = site.signed_in("bob").await;
    let list = browser.page("/apps").await;
    for name in ["Disabled", "Pkce", "Two", "None", "Codeless"] {
        assert!(!list.has(name), "{name}");
    }
    let digest = browser.page(&format!("/apps/app?id={good}")).await.hidden("/apps/start", "");
    let digest = &digest[0].1;
    ids.extend(["grantkeep-pages".to_owned(), "nobody".to_owned()]);
    for id in &ids {
        let page = browser.get(&format!("/apps/app?id={id}")).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND, "{id}");
        let fields = [("csrf", digest.as_str()), ("client_id", id.as_str())];
        let answer = browser.post("/apps/start", &fields).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{id}");
    }
}

// Goal: the provider sets another address for flows that it starts: one of several redirect URIs,
// which gets the code, or a page of the app's own, which is opened to the byte and gets none,
// though the app must use PKCE; an address that is not registered starts nothing. Method: three
// apps.
#[tokio::test]
async fn a_flow_is_started_where_the_configuration_says() {
    let page = "https://own.example/welcome?state=kept%20as%20is";
    let second = "https://app.example/second?kept=1";
    let mut config = Site::config("hospitable");
    config.one_click = [
        ("second".to_owned(), OneClick::Code(second.to_owned())),
        ("own".to_owned(), OneClick::Page(page.to_owned())),
        ("other".to_owned(), OneClick::Code("https://other.example/cb".to_owned())),
    ]
    .into();
    let site = Site::configured(config).await;
    for id in ["second", "own", "other"] {
        let new = NewClient::confidential(id).name(id).grants([GrantType::AuthorizationCode]);
        let new = new.redirect_uri("https://app.example/cb").redirect_uri(second);
        site.grants().create_client(new.require_pkce(id == "own")).await.unwrap();
    }
    let mut browser = site.signed_in("bob").await;
    assert!(!browser.page("/apps").await.has("/apps/app?id=other"));

    let about = browser.page("/apps/app?id=second").await;
    let answer = browser.submit(&about, ("/apps/start", ""), &[]).await;
    assert!(answer.location().starts_with(&format!("{second}&code=")), "{}", answer.location());

    let about = browser.page("/apps/app?id=own").await;
    let policy = about.headers["content-security-policy"].to_str().unwrap();
    assert!(!policy.contains("form-action"), "{policy}");
    let answer = browser.submit(&about, ("/apps/start", ""), &[]).await;
    assert_eq!(answer.location(), page);
}

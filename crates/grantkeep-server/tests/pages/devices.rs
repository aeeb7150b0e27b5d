//! Devices: RFC 8628 section 3.3.

use crate::browser::{Browser, Page, Site};
use axum::http::StatusCode;
use grantkeep_grants::{DeviceIssued, DeviceRequest, Polled, Presented};

async fn device(site: &Site, client: &str) -> DeviceIssued {
    site.grants().device(DeviceRequest::new(client).scopes("property:read")).await.unwrap()
}

async fn polled(site: &Site, client: &str, device: &DeviceIssued) -> Polled {
    let presented = Presented::by(client).client_authenticated();
    site.grants().poll_device(device.device_code.expose(), &presented).await.unwrap()
}

/// Types a code; answers the page that follows.
async fn typed(browser: &mut Browser<'_>, code: &str) -> Page {
    let page = browser.page("/device").await;
    browser.submit(&page, ("/device", ""), &[("user_code", code)]).await
}

// Goal: a code in the address does nothing by itself (RFC 8628 section 5.4): the person sends it,
// sees who asks and for what, and approves; then the device is granted on their behalf. Method: the
// complete address, each step with a poll after it.
#[tokio::test]
async fn a_device_is_approved_by_hand() {
    let site = Site::of("hospitable").await;
    let (client, _) = site.client("Television").await;
    let device = device(&site, &client).await;
    let code = device.user_code.expose();
    let mut browser = site.browser();
    let agent = "Mozilla/5.0 (X11; Linux x86_64) Chrome/156.0 Safari/537.36";
    browser.fields.insert("user-agent", agent.parse().unwrap());
    browser.sign_in("bob").await;
    let page = browser.page(&format!("/device?user_code={code}")).await;
    assert!(page.has(&format!("value=\"{code}\"")) && !page.has("Television"));
    assert!(matches!(polled(&site, &client, &device).await, Polled::Pending));
    let asked = browser.submit(&page, ("/device", ""), &[("user_code", code)]).await;
    assert_eq!(asked.status, StatusCode::OK, "{}", asked.text);
    assert!(asked.has("Television") && asked.has("see your properties") && asked.has(code));
    let form = ("/device/decide", "");
    let answer = browser.submit(&asked, form, &[("decision", "approve")]).await;
    assert!(browser.page(answer.location()).await.has("The device is approved."));
    let answer = polled(&site, &client, &device).await;
    let issued = match answer {
        Polled::Granted(issued) => issued,
        // The first poll may have been a moment ago.
        other => panic!("{other:?}"),
    };
    assert_eq!(site.api(issued.access.expose()).await, StatusCode::OK);
    let connected = browser.page("/apps/connected").await;
    assert!(connected.has("Television"));
    assert!(connected.has("Connected from 192.0.2.1 with Chrome on Linux"), "{}", connected.text);
    // A code works once.
    let again = browser.submit(&asked, form, &[("decision", "approve")]).await;
    assert_eq!(again.status, StatusCode::BAD_REQUEST);
}

// Goal: a device that is denied is told so, and whatever is not an approval is a denial. Method: a
// form with another decision, and one without.
#[tokio::test]
async fn a_device_is_denied() {
    let site = Site::of("hospitable").await;
    let (client, _) = site.client("Television").await;
    let mut browser = site.signed_in("bob").await;
    for decision in ["deny", ""] {
        let device = device(&site, &client).await;
        let asked = typed(&mut browser, device.user_code.expose()).await;
        let form = ("/device/decide", "");
        let answer = browser.submit(&asked, form, &[("decision", decision)]).await;
        assert_eq!(answer.location(), "/device?done=device-denied");
        assert!(matches!(polled(&site, &client, &device).await, Polled::Denied));
    }
}

// Goal: user codes are not guessed (RFC 8628 section 5.1): after ten that lead nowhere the person
// who types them waits, from wherever; others do not, at the same address either, and codes that
// lead somewhere are not counted. Method: guesses from changing addresses, and decisions, which are
// guesses as well; then the right code by the same person, and by another from the same address.
#[tokio::test]
async fn guesses_of_user_codes_are_limited() {
    let site = Site::of("hospitable").await;
    let (client, _) = site.client("Television").await;
    let device = device(&site, &client).await;
    let code = device.user_code.expose();
    let mut bob = site.signed_in("bob").await;
    for guess in 0..10 {
        bob.from = format!("192.0.2.{}:5000", 100 + guess).parse().unwrap();
        assert_eq!(typed(&mut bob, "WDJB-MJHT").await.status, StatusCode::BAD_REQUEST);
    }
    bob.from = "192.0.2.77:5000".parse().unwrap();
    assert_eq!(typed(&mut bob, code).await.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(matches!(polled(&site, &client, &device).await, Polled::Pending));

    let mut alice = site.signed_in("alice").await;
    let page = alice.page("/device").await;
    for guess in 0..10 {
        let digest = typed(&mut alice, code).await.hidden("/device/decide", "")[0].1.clone();
        let fields = [("csrf", digest.as_str()), ("user_code", "WDJB-MJHT")];
        let answer = alice.post("/device/decide", &fields).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{guess}");
    }
    let answer = alice.submit(&page, ("/device", ""), &[("user_code", code)]).await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    let mut third = site.signed_in(crate::browser::MARKUP).await;
    for _ in 0..20 {
        assert_eq!(typed(&mut third, code).await.status, StatusCode::OK);
    }
}

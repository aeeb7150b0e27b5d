use crate::curl::{Browser, curl};
use crate::started::{REDIRECT, SECRET, Started, USER};
use crate::{document, filled};
use grantkeep::Wait as _;
use grantkeep_grants::{GrantType, NewClient};

fn is_hex(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

// Goal: REST API v1, as its document says: the authorization address with its empty scope, a code
// of 64 hex digits, the JSON of the exchange, `bearer` in lower case, 7,200 seconds, the refresh
// token, and the password grant of first-party clients. Method: the address and the body of the
// document, with the placeholders filled in.
#[test]
fn rest_api_v1_as_its_document_says() {
    let Some(document) = document("rest-api-v1") else { return };
    let server = Started::system("rest_api_v1");
    let jar = server.directory.path().join("jar");
    let browser = Browser { jar: &jar, address: &server.address };

    let line = document.lines().find(|line| line.contains("/oauth/authorize?client_id=")).unwrap();
    let request = filled(
        line.trim_matches('`'),
        &[
            ("https://API_URI", &server.address),
            ("=CLIENT_ID", "=app"),
            ("=YOUR_REDIRECT_URI", &format!("={REDIRECT}")),
        ],
    );
    // "Once you are there you have to sign in and authorize access"
    let page = browser.get(&request);
    let page = browser.send(&page, &[("username", USER.0), ("password", USER.1)]);
    assert!(page.body.contains("The app") && page.body.contains("Authorize"), "{}", page.body);
    let answer = browser.send(&page, &[("decision", "approve")]);
    assert!(answer.field("location").unwrap().starts_with(&format!("{REDIRECT}?code=")));
    let code = answer.redirected("code").unwrap();
    assert!(is_hex(&code), "{code}");

    // The body of the document, from its brace to the end of its block.
    let from = document.find("{\n  \"client_id\": YOUR_CLIENT_ID").unwrap();
    let body = &document[from..=from + document[from..].find('}').unwrap()];
    let text = |value: &str| serde_json::to_string(value).unwrap();
    let body = filled(
        body,
        &[
            ("YOUR_CLIENT_ID", &text("app")),
            ("YOUR_CLIENT_SECRET", &text(SECRET)),
            ("CODE", &text(&code)),
            ("YOUR_REDIRECT_URI", &text(REDIRECT)),
        ],
    );
    let post = |body: &str| {
        let json = "Content-Type: application/json";
        curl(&["--header", json, "--data", body, &server.at("/oauth/token")])
    };
    let pair = post(&body);
    assert_eq!(pair.status, 200, "{}", pair.body);
    let members: Vec<String> = pair.json().as_object().unwrap().keys().cloned().collect();
    assert_eq!(members, ["access_token", "expires_in", "refresh_token", "token_type"]);
    assert_eq!(pair.json()["token_type"], "bearer");
    assert_eq!(pair.json()["expires_in"], 7_200);
    for member in ["access_token", "refresh_token"] {
        assert!(is_hex(pair.json()[member].as_str().unwrap()), "{member}");
    }

    // "The Web server OAuth authentication flow provide a refresh token that can be used to obtain
    // a new access token."
    let asked = |grant: &str, more: &[(&str, &str)]| {
        let mut body = serde_json::json!({
            "client_id": "app", "client_secret": SECRET, "grant_type": grant,
        });
        for (name, value) in more {
            body[*name] = (*value).into();
        }
        post(&body.to_string())
    };
    let refresh = pair.json()["refresh_token"].as_str().unwrap().to_owned();
    let next = asked("refresh_token", &[("refresh_token", &refresh)]);
    assert_eq!((next.status, next.json()["token_type"].as_str()), (200, Some("bearer")));
    let own = asked("password", &[("username", USER.0), ("password", USER.1)]);
    assert_eq!((own.status, own.json()["expires_in"].as_u64()), (200, Some(7_200)));

    // "all requests validated against an API token"
    let field = format!("Authorization: Bearer {}", own.json()["access_token"].as_str().unwrap());
    let served = curl(&["--header", &field, &server.at("/v1/items")]);
    assert_eq!((served.status, served.json()["subject"].as_str()), (200, Some("alice")));
    assert_eq!(served.field("content-type"), Some("application/json"));
    assert_eq!(curl(&[&server.at("/v1/items")]).status, 401);
}

// Goal: "confidential and public clients": one without a secret gets a token for its code, and is
// held to its redirect URI: nobody is led elsewhere, and the code is worth nothing with another.
// Method: a public client; the request and the exchange with each of two addresses.
#[test]
fn rest_api_v1_has_public_clients() {
    let server = Started::system("rest_api_v1");
    let new = NewClient::public("phone").redirect_uri(REDIRECT);
    let new = new.grants([GrantType::AuthorizationCode, GrantType::RefreshToken]);
    server.grants.create_client(new).wait().unwrap();
    let jar = server.directory.path().join("jar");
    let browser = Browser { jar: &jar, address: &server.address };
    let request = |uri: &str| {
        let base = "/oauth/authorize?client_id=phone&response_type=code&scope=&redirect_uri=";
        server.at(&format!("{base}{uri}"))
    };
    let other = "https://evil.example/redirect";
    let refused = browser.get(&request(other));
    assert_eq!((refused.status, refused.field("location")), (400, None));
    let code = browser.decide(&request(REDIRECT), USER, "approve").redirected("code").unwrap();
    let exchange = |uri: &str| {
        let body = serde_json::json!({
            "client_id": "phone", "code": code, "grant_type": "authorization_code",
            "redirect_uri": uri,
        });
        let json = "Content-Type: application/json";
        curl(&["--header", json, "--data", &body.to_string(), &server.at("/oauth/token")])
    };
    let refused = exchange(other);
    assert_eq!((refused.status, refused.json()["error"].as_str()), (400, Some("invalid_grant")));
    let issued = exchange(REDIRECT);
    assert_eq!(issued.status, 200, "{}", issued.body);
    let token = issued.json()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(server.api("/v1/items", &token).status, 200);
}

//! How long tokens live, over HTTP and on a clock that the test moves.

use crate::started::{Started, USER};
use grantkeep::{ManualClock, Store, Wait as _};
use grantkeep_grants::Authorize;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

const SECOND: Duration = Duration::from_secs(1);
/// Hospitable: "Refresh Tokens expire after 90 days".
const UNUSED: Duration = Duration::from_secs(90 * 24 * 3_600);

// Goal: the example API of each system answers an access token until it expires, and then 401 with
// what RFC 6750 section 3.1 says; where there is a refresh token, it gives the next one, and ends
// itself when it was unused for as long as the document says. Method: tokens of each grant, asked
// with a second before their end and at it.
#[test]
fn tokens_end_when_their_documents_say() {
    for (system, token, api, lifetime_s, unused) in [
        ("hospitable", "/oauth/token", "/v2/properties", 43_200, Some(UNUSED)),
        ("hourfleet", "/api/oauth/token", "/api/cars", 900, Some(UNUSED)),
        ("rest_api_v1", "/oauth/token", "/v1/items", 7_200, None),
        ("hapn", "/oauth2/token", "/v1/devices", 3_600, None),
    ] {
        let clock = Arc::new(ManualClock::at(SystemTime::now()));
        let options = Store::options().clock(Arc::clone(&clock) as _);
        let server = Started::configured(system, options, |config| config);
        // A system without codes refuses to make one.
        let code = server.grants.authorize(Authorize::new("app", USER.0)).wait().ok();
        let code = code.as_ref().map_or("", |code| code.expose());
        let by_code = [("grant_type", "authorization_code"), ("code", code)];
        let by_password = [("grant_type", "password"), ("username", USER.0), ("password", USER.1)];
        let own = [("grant_type", "client_credentials")];
        let asked: &[&[(&str, &str)]] = match system {
            "hospitable" => &[&by_code],
            "hourfleet" => &[&by_code, &by_password, &own],
            "rest_api_v1" => &[&by_code, &by_password],
            _ => &[&own],
        };
        let access =
            |issued: &serde_json::Value| server.api(api, issued["access_token"].as_str().unwrap());
        let refresh = |issued: &serde_json::Value| {
            let held = issued["refresh_token"].as_str().unwrap();
            server.post(token, &[("grant_type", "refresh_token"), ("refresh_token", held)])
        };
        let issued: Vec<_> = asked.iter().map(|fields| server.post(token, fields).json()).collect();
        clock.advance(Duration::from_secs(lifetime_s - 1));
        for issued in &issued {
            assert_eq!(issued["expires_in"], lifetime_s, "{system}");
            assert_eq!(access(issued).status, 200, "{system}");
        }
        clock.advance(SECOND);
        for issued in &issued {
            let refused = access(issued);
            assert_eq!((refused.status, &refused.json()["error"]), (401, &"invalid_token".into()));
            let challenge = refused.field("www-authenticate");
            assert_eq!(challenge, Some(r#"Bearer error="invalid_token""#), "{system}");
        }
        for issued in issued.iter().filter(|issued| issued.get("refresh_token").is_some()) {
            let next = refresh(issued).json();
            assert_eq!(access(&next).status, 200, "{system}");
            let Some(unused) = unused else { continue };
            clock.advance(unused.saturating_sub(SECOND));
            let last = refresh(&next).json();
            assert_eq!(access(&last).status, 200, "{system}");
            clock.advance(unused);
            let refused = refresh(&last);
            assert_eq!((refused.status, &refused.json()["error"]), (400, &"invalid_grant".into()));
            break;
        }
    }
}

use crate::curl::{curl, run};
use crate::started::{SECRET, Started};
use crate::{commands, document, filled};

// Goal: Hapn, as its document says: its literal command, which sends one pair that holds all the
// others, works; one hour; a token may be asked for before the last has expired, and both are good;
// the sample request is served. Method: both commands to the letter, with a secret that a second
// unescaping would change. Anywhere else such a body is refused, and says nothing of the secret.
#[test]
fn hapn_as_its_document_says() {
    let Some(document) = document("hapn") else { return };
    let server = Started::system("hapn");
    let [issue, devices] = commands(&document).try_into().unwrap();
    // In the form that is sent in one piece an `&` and an `=` of a secret would end it.
    let secret = SECRET.replace(['&', '='], "");
    let new = grantkeep_grants::NewSecret::brought(&secret);
    grantkeep::Wait::wait(server.grants.add_client_secret("app", new)).unwrap().unwrap();
    let issue = |address: &str| {
        let swapped = [
            ("https://auth.usehapn.com", address),
            ("=CLIENT_ID", "=app"),
            ("=CLIENT_SECRET", &format!("={secret}")),
        ];
        run(&filled(&issue, &swapped))
    };
    let (first, second) = (issue(&server.address), issue(&server.address));
    for answer in [&first, &second] {
        assert_eq!(answer.status, 200, "{}", answer.body);
        let body = answer.json();
        let members: Vec<&String> = body.as_object().unwrap().keys().collect();
        assert_eq!(members, ["access_token", "expires_in", "token_type"]);
        assert_eq!((&body["token_type"], &body["expires_in"]), (&"Bearer".into(), &3_600.into()));
    }
    let tokens = [&first, &second].map(|answer| answer.json()["access_token"].to_string());
    assert_ne!(tokens[0], tokens[1]);
    let serve = |token: &str| {
        let host = ("https://api.iotgps.io", server.address.as_str());
        run(&filled(&devices, &[host, ("ACCESS_TOKEN", token)]))
    };
    for token in &tokens {
        assert_eq!(serve(token.trim_matches('"')).status, 200);
    }
    assert_eq!(serve("none").status, 401);

    // A form that says what it says is understood as well, and one that hides nothing.
    let form = format!("grant_type=client_credentials&client_id=app&client_secret={}", "none%26");
    let refused = curl(&["--data", &form, &server.at("/oauth2/token")]);
    assert_eq!((refused.status, refused.json()["error"].as_str()), (401, Some("invalid_client")));

    // What it has not is not named, and not known.
    let metadata = curl(&[&server.at("/.well-known/oauth-authorization-server")]).json();
    assert_eq!(metadata["grant_types_supported"], serde_json::json!(["client_credentials"]));
    assert!(metadata.get("authorization_endpoint").is_none());
    let form = format!("grant_type=refresh_token&client_id=app&client_secret={}", "x");
    let form = form.replace("secret=x", &format!("secret={}", secret.replace('+', "%2B")));
    let unknown = curl(&["--data", &form.replace("%41", "%2541"), &server.at("/oauth2/token")]);
    assert_eq!(unknown.json()["error"], "unsupported_grant_type");

    let elsewhere = Started::system("hospitable");
    let hidden = format!("grant_type=client_credentials&client_id=app&client_secret={secret}");
    let address = elsewhere.at("/oauth/token");
    let refused = curl(&["--data-urlencode", &hidden, &address]);
    assert_eq!(refused.status, 400);
    assert!(!refused.body.contains("secret") && !refused.body.contains("client_id="));
}

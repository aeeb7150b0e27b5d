use crate::curl::{Browser, curl, run};
use crate::started::{REDIRECT, SECRET, Started, USER};
use crate::{commands, document, filled};
use grantkeep::Wait as _;
use grantkeep_grants::NewPersonal;
use serde_json::Value;

/// A JSON text inside of the single quotes of a shell.
fn quoted(text: &str) -> String {
    text.replace('\'', "'\\''")
}

fn check_pair(answer: &Value) {
    let members: Vec<&String> = answer.as_object().unwrap().keys().collect();
    assert_eq!(members, ["access_token", "expires_in", "refresh_token", "token_type"]);
    assert_eq!(answer["token_type"], "Bearer");
    assert_eq!(answer["expires_in"], 43_200);
    assert_eq!(answer["access_token"].as_str().unwrap().len(), 1_200);
    assert_eq!(answer["refresh_token"].as_str().unwrap().len(), 1_000);
}

// Goal: Hospitable, as its document says: its four commands, the pair of 1,200 and 1,000
// characters and 12 hours, the login page whoever is signed in already, `state` handed back, the
// access of a personal token, which is a vendor's, and "401 Unauthenticated" where a token is worth
// nothing. Method: each command to the letter.
#[test]
fn hospitable_as_its_document_says() {
    let Some(document) = document("hospitable") else { return };
    let server = Started::system("hospitable");
    let [redeem, properties, refresh, personal] = commands(&document).try_into().unwrap();
    let jar = server.directory.path().join("jar");
    let browser = Browser { jar: &jar, address: &server.address };

    // "https://auth.hospitable.com/oauth/authorize?client_id=<your vendor id>&response_type=code"
    let line = document.lines().find(|line| line.contains("/oauth/authorize?client_id=")).unwrap();
    let request = filled(
        line,
        &[("https://auth.hospitable.com", &server.address), ("<your vendor id>", "app")],
    );
    let answer = browser.decide(&format!("{request}&state=customer-7"), USER, "approve");
    assert_eq!(answer.status, 303);
    assert!(answer.field("location").unwrap().starts_with(&format!("{REDIRECT}?code=")));
    assert_eq!(answer.redirected("state").as_deref(), Some("customer-7"));
    let code = answer.redirected("code").unwrap();
    assert_eq!(code.len(), 1_000);
    // "this will always be presented ... even if they were already logged in"
    let again = browser.get(&request);
    assert!(again.body.contains("name=\"password\""), "{}", again.body);

    let vendor = |command: &str, more: &[(&str, &str)]| {
        let swapped = [
            ("https://auth.hospitable.com", server.address.as_str()),
            ("<your vendor id>", "app"),
            ("<your vendor secret>", SECRET),
        ];
        filled(command, &[&swapped, more].concat())
    };
    let pair = run(&vendor(&redeem, &[("def5020087...", &quoted(&code))]));
    assert_eq!(pair.status, 200, "{}", pair.body);
    check_pair(&pair.json());
    let api = |command: &str, token: &str| {
        let host = ("https://public.api.hospitable.com", server.address.as_str());
        run(&filled(command, &[host, ("<token>", token)]))
    };
    let first = pair.json()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(api(&properties, &first).status, 200);

    let old = pair.json()["refresh_token"].as_str().unwrap().to_owned();
    let next = run(&vendor(&refresh, &[("<the refresh token>", &old)]));
    assert_eq!(next.status, 200, "{}", next.body);
    check_pair(&next.json());
    assert_ne!(next.json()["refresh_token"], old.as_str());

    let made = server.grants.create_personal(NewPersonal::new("alice", "mine")).wait().unwrap();
    let answer = api(&personal, made.token.expose());
    assert_eq!((answer.status, answer.json()["subject"].as_str()), (200, Some("alice")));
    // "provides the same access to endpoints as vendors"
    for path in ["/properties", "/v2/properties"] {
        for token in [made.token.expose(), next.json()["access_token"].as_str().unwrap()] {
            let answer = server.api(path, token);
            let subject = answer.json()["subject"].clone();
            assert_eq!((answer.status, subject.as_str()), (200, Some("alice")), "{path}");
        }
    }
    server.grants.revoke_personal("alice", made.id).wait().unwrap();
    server.grants.revoke_subject("alice").wait().unwrap();
    for token in [made.token.expose(), &first, "none", "with space", "h\u{f6}chst"] {
        let answer = api(&personal, token);
        assert_eq!(answer.status, 401, "{token}");
        assert!(answer.field("www-authenticate").unwrap().starts_with("Bearer"));
    }
    assert_eq!(curl(&[&server.at("/properties")]).status, 401);
}

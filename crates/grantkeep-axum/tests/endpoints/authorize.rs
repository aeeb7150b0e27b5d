use crate::world::*;

fn request(more: &[(&str, &str)]) -> String {
    let own = [
        ("response_type", "code"),
        ("client_id", "app"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
        ("state", "a state/with?signs"),
    ];
    let kept = own.iter().filter(|(name, _)| !more.iter().any(|(other, _)| other == name));
    let pairs: Vec<(&str, &str)> = kept.chain(more).copied().collect();
    format!("/authorize?{}", form(&pairs))
}

// Goal: RFC 6749 section 4.1.2, RFC 9207, RFC 8707: a decision leads back to the client, with
// `state` to the byte and `iss`, and a request that is not in order does so too. Method: approve,
// deny, and each fault that may be redirected.
#[test]
fn decisions_and_faults_lead_back_to_the_client() {
    let world = world();
    let approved = world.get(&request(&[]), None);
    assert_eq!(approved.status, 303);
    assert!(approved.field("location").unwrap().starts_with(&format!("{REDIRECT}?code=")));
    let denied = world.get(&request(&[]), Some("deny"));
    assert_eq!(denied.redirected("error").as_deref(), Some("access_denied"));
    let faults = [
        (("response_type", "token"), "unsupported_response_type"),
        (("response_type", ""), "invalid_request"),
        (("scope", "admin"), "invalid_scope"),
        (("code_challenge_method", "S512"), "invalid_request"),
        (("code_challenge", "short"), "invalid_request"),
        (("request", "e30.e30."), "request_not_supported"),
        (("resource", "no uri"), "invalid_target"),
    ];
    for (fault, error) in faults {
        let refused = world.get(&request(&[fault]), None);
        assert_eq!(refused.redirected("error").as_deref(), Some(error), "{fault:?}");
        assert!(refused.redirected("code").is_none());
        for answer in [&refused, &approved, &denied] {
            assert_eq!(answer.redirected("state").as_deref(), Some("a state/with?signs"));
            assert_eq!(answer.redirected("iss").as_deref(), Some("https://as.example"));
        }
    }
    // A public client must use PKCE (RFC 9700 section 2.1.1).
    let bare = world.get("/authorize?response_type=code&client_id=phone", None);
    assert_eq!(bare.redirected("error").as_deref(), Some("invalid_request"));
}

// Goal: what is wrong with the client or its redirect URI is redirected nowhere (RFC 6749 section
// 4.1.2.1), nor is a request with a parameter twice. Method: each; the answer has no `Location`.
#[test]
fn nobody_is_redirected_where_the_client_is_not_known() {
    let world = world();
    for address in [
        request(&[("client_id", "nobody")]),
        request(&[("client_id", "")]),
        request(&[("redirect_uri", "https://evil.example/cb")]),
        request(&[("redirect_uri", &format!("{REDIRECT}/more"))]),
        format!("{}&state=again", request(&[])),
        request(&[("request_uri", "urn:ietf:params:oauth:request_uri:none")]),
    ] {
        let answer = world.get(&address, None);
        assert_eq!((answer.status, answer.field("location")), (400, None), "{address}");
    }
}

// Goal: RFC 9126: a request is pushed once, looked at as often as a page is shown, and decided
// once. Method: push, look, decide, decide again; what is pushed is checked at once, and kept
// without the secret.
#[test]
fn a_pushed_request_is_decided_once() {
    let world = world();
    let wanted = [
        ("response_type", "code"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
        ("scope", "read"),
        ("state", "s"),
    ];
    let pushed = world.post("/par", &wanted);
    assert_eq!(pushed.status, 201, "{}", pushed.body);
    let reference = pushed.json()["request_uri"].as_str().unwrap().to_owned();
    let address =
        format!("/authorize?{}", form(&[("client_id", "app"), ("request_uri", &reference)]));
    for _ in 0..2 {
        let page = world.get(&address, Some("page"));
        assert_eq!((page.status, page.body.as_str()), (200, address.as_str()));
    }
    let done = world.get(&address, None);
    assert_eq!(done.redirected("state").as_deref(), Some("s"));
    let again = world.get(&address, None);
    assert_eq!((again.status, again.field("location")), (400, None));
    for (fault, error) in [
        (("response_type", "token"), "unsupported_response_type"),
        (("redirect_uri", "https://evil.example"), "invalid_request"),
        (("request_uri", "urn:x"), "invalid_request"),
    ] {
        let kept = wanted.iter().filter(|(name, _)| *name != fault.0).copied();
        let refused = world.post("/par", &kept.chain([fault]).collect::<Vec<_>>());
        assert_eq!((refused.status, refused.error().as_str()), (400, error), "{fault:?}");
    }
}

// Goal: what is wrong with a request is told before anybody is asked, and a request that is wrong
// is not kept (RFC 9126 section 2.1): a challenge that is none, a method without one, a plain
// challenge that the policy does not allow, and a resource that is no URI. Method: each, asked for
// and pushed, by a client that need not use PKCE.
#[test]
fn what_is_wrong_is_told_before_anybody_is_asked() {
    let world = world();
    let plain = "p".repeat(43);
    for (error, wrong) in [
        ("invalid_request", vec![("code_challenge", "x"), ("code_challenge_method", "S256")]),
        ("invalid_request", vec![("code_challenge_method", "S256")]),
        ("invalid_request", vec![("code_challenge", plain.as_str())]),
        ("invalid_request", vec![("code_challenge", CHALLENGE), ("code_challenge_method", "S1")]),
        ("invalid_target", vec![("resource", "zzz")]),
        ("invalid_target", vec![("resource", "https://api.example/#part")]),
    ] {
        let base = [("client_id", "app"), ("redirect_uri", REDIRECT), ("response_type", "code")];
        let asked = [&base[..], &wrong[..]].concat();
        let answer = world.get(&format!("/authorize?{}", form(&asked)), None);
        assert_eq!(answer.redirected("error").as_deref(), Some(error), "{wrong:?}");
        let pushed = world.post("/par", &asked[1..]);
        assert_eq!((pushed.status, pushed.error().as_str()), (400, error), "{wrong:?}");
    }
}

// Goal: a public client is held to its redirect URI, as it has no secret: a code goes nowhere else,
// and is redeemed with the URI that was named for it (RFC 6749 section 4.1.3) and its verifier
// alone. Method: near misses at both endpoints, then what is right.
#[test]
fn a_public_client_is_held_to_its_redirect_uri() {
    let world = world();
    let asked = |uri: &str| request(&[("client_id", "phone"), ("redirect_uri", uri)]);
    let others = ["https://evil.example/cb", "https://app.example/cb/", "https://APP.example/cb"];
    for other in others {
        let refused = world.get(&asked(other), None);
        assert_eq!((refused.status, refused.field("location")), (400, None), "{other}");
    }
    let code = world.get(&asked(REDIRECT), None).redirected("code").unwrap();
    let redeem = |uri: Option<&str>, verifier: &str| {
        let mut pairs = vec![
            ("grant_type", "authorization_code"),
            ("client_id", "phone"),
            ("code", code.as_str()),
            ("code_verifier", verifier),
        ];
        pairs.extend(uri.map(|uri| ("redirect_uri", uri)));
        world.post_as(None, "/token", &form(&pairs))
    };
    for uri in others.map(Some).into_iter().chain([None]) {
        let refused = redeem(uri, VERIFIER);
        assert_eq!((refused.status, refused.error().as_str()), (400, "invalid_grant"), "{uri:?}");
    }
    let guessed = redeem(Some(REDIRECT), &"v".repeat(43));
    assert_eq!((guessed.status, guessed.error().as_str()), (400, "invalid_grant"));
    let granted = redeem(Some(REDIRECT), VERIFIER);
    assert_eq!(granted.status, 200, "{}", granted.body);
}

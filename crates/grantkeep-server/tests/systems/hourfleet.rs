use crate::curl::{Browser, curl};
use crate::document;
use crate::started::{REDIRECT, SECRET, Started, USER};
use grantkeep::Wait as _;
use grantkeep_grants::{GrantType, NewClient};

const TOKEN: &str = "/api/oauth/token";

// Goal: Hourfleet, as its document says: the two endpoints, 15 minutes, tokens of client
// applications that cannot be renewed, tokens of users that can, a user who approves or denies, and
// the one kind never acting as the other. Method: the addresses of the document, by `curl`.
#[test]
fn hourfleet_as_its_document_says() {
    let Some(document) = document("hourfleet") else { return };
    let server = Started::system("hourfleet");
    for path in ["/api/oauth/auth`", &format!("{TOKEN}`")] {
        let named = format!("https://yourcarshare.hourfleet.com:4432{path}");
        assert!(document.contains(&named), "{named}");
    }
    let secret = format!("client_secret={SECRET}");
    let post = |fields: &[&str]| {
        let mut arguments = Vec::new();
        for field in [&["client_id=app", &secret], fields].concat() {
            arguments.extend(["--data-urlencode", field]);
        }
        let address = server.at(TOKEN);
        arguments.push(&address);
        curl(&arguments)
    };

    // "These tokens expire and cannot be renewed. (default expiry 15mins)"
    let own = post(&["grant_type=client_credentials"]).json();
    assert_eq!(own["expires_in"], 900);
    assert!(own.get("refresh_token").is_none());

    // "A user makes an explicit choice to approve the request or deny it."
    let jar = server.directory.path().join("jar");
    let browser = Browser { jar: &jar, address: &server.address };
    let request = server.at("/api/oauth/auth?response_type=code&client_id=app&state=s");
    let denied = browser.decide(&request, USER, "deny");
    assert_eq!(denied.redirected("error").as_deref(), Some("access_denied"));
    assert_eq!(denied.redirected("state").as_deref(), Some("s"));
    // Signed in already, so asked at once.
    let page = browser.get(&request);
    let approved = browser.send(&page, &[("decision", "approve")]);
    assert!(approved.field("location").unwrap().starts_with(REDIRECT));
    assert_eq!(approved.redirected("iss").as_deref(), Some(server.address.as_str()));
    let code = approved.redirected("code").unwrap();
    let user = post(&["grant_type=authorization_code", &format!("code={code}")]).json();
    assert_eq!(user["expires_in"], 900);
    let refresh = user["refresh_token"].as_str().unwrap();

    // "can be renewed by using a `refresh_token`"
    let next = post(&["grant_type=refresh_token", &format!("refresh_token={refresh}")]).json();
    assert_eq!((&next["expires_in"], &next["token_type"]), (&900.into(), &"Bearer".into()));

    // "`clientapplication` tokens", "`user` tokens"
    for (issued, caller, subject) in
        [(&own, "clientapplication", None), (&next, "user", Some("alice"))]
    {
        let field = format!("Authorization: Bearer {}", issued["access_token"].as_str().unwrap());
        let answer = curl(&["--header", &field, &server.at("/api/cars")]);
        assert_eq!(answer.status, 200);
        let body = answer.json();
        assert_eq!((body["caller"].as_str(), body["subject"].as_str()), (Some(caller), subject));
    }

    // "A 'Client Application' like the Hourfleet Web App itself then presents the user's
    // credentials to Hourfleet servers (along with its credentials)"
    let (name, password) = (format!("username={}", USER.0), format!("password={}", USER.1));
    let signed_in = post(&["grant_type=password", &name, &password]);
    assert_eq!((signed_in.status, signed_in.json()["expires_in"].as_u64()), (200, Some(900)));
    let wrong = post(&["grant_type=password", &name, "password=guess"]);
    assert_eq!((wrong.status, wrong.json()["error"].as_str()), (400, Some("invalid_grant")));
}

// Goal: a person sees which client application asks, and for which access; the application gets the
// part of its permissions that it asks for, and no API answers a caller without a token. Method: a
// client with two permissions, which asks for one of them, for a person and for itself.
#[test]
fn hourfleet_says_who_asks_for_which_access() {
    let Some(document) = document("hourfleet") else { return };
    for said in [
        "identifies who is requesting access (the Client Application), and what level of access",
        "A subset of these permissions can also be requested",
        "require the caller to be authenticated",
    ] {
        assert!(document.contains(said), "{said}");
    }
    let server = Started::system("hourfleet");
    let new = NewClient::confidential("trips").name("Trip planner").secret(SECRET);
    let grants = [GrantType::AuthorizationCode, GrantType::ClientCredentials];
    let new = new.redirect_uri(REDIRECT).grants(grants).scopes(["profile", "bookings"]);
    server.grants.create_client(new).wait().unwrap();

    let jar = server.directory.path().join("jar");
    let browser = Browser { jar: &jar, address: &server.address };
    let asked = "/api/oauth/auth?response_type=code&client_id=trips&scope=bookings";
    let page = browser.get(&server.at(asked));
    let page = browser.send(&page, &[("username", USER.0), ("password", USER.1)]);
    assert!(page.body.contains("Trip planner"), "{}", page.body);
    assert!(page.body.contains("see and make bookings for you"), "{}", page.body);
    assert!(!page.body.contains("see your name"), "{}", page.body);
    let code = browser.send(&page, &[("decision", "approve")]).redirected("code").unwrap();

    let secret: String = form_urlencoded::byte_serialize(SECRET.as_bytes()).collect();
    let trips = format!("trips:{secret}");
    let code = format!("code={code}");
    for fields in [
        &["grant_type=authorization_code", code.as_str()],
        &["grant_type=client_credentials", "scope=bookings"],
    ] {
        let (grant, more) = (fields[0], fields[1]);
        let address = server.at(TOKEN);
        let issued = curl(&["--user", &trips, "--data", grant, "--data", more, &address]).json();
        let answer = server.api("/api/bookings", issued["access_token"].as_str().unwrap());
        let scope = answer.json()["scope"].clone();
        assert_eq!((answer.status, scope.as_str()), (200, Some("bookings")), "{grant}");
        // "The token must be put into the `Authorization` header"
        let query =
            format!("/api/bookings?access_token={}", issued["access_token"].as_str().unwrap());
        assert_eq!(curl(&[&server.at(&query)]).status, 401);
    }
    for path in ["/api/cars", "/api/bookings"] {
        let refused = curl(&[&server.at(path)]);
        assert_eq!((refused.status, refused.field("www-authenticate")), (401, Some("Bearer")));
    }
}

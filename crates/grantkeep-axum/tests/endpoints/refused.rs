use crate::world::*;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header;

fn body(media: Option<&str>, bytes: Vec<u8>) -> Request {
    let request = Request::post("/token");
    let request = match media {
        Some(media) => request.header(header::CONTENT_TYPE, media),
        None => request,
    };
    request.body(Body::from(bytes)).unwrap()
}

// Goal: a body that is none is refused with what is wrong, and nothing of it is told back: a secret
// may be in it (RFC 6749 section 3.2). Method: bodies of every wrong kind.
#[test]
fn bodies_that_are_none_are_refused() {
    let world = world();
    let form = "application/x-www-form-urlencoded";
    let json = "application/json";
    let hush = "grant_type=client_credentials&client_id=app&client_secret=hush";
    let cases = [
        (Some("text/plain"), hush.into(), 415),
        (Some("multipart/form-data"), hush.into(), 415),
        (None, hush.into(), 415),
        (Some(form), format!("{hush}&client_secret=hush"), 400),
        (Some(form), format!("{hush}&x={}", "hush".repeat(20_000)), 413),
        (Some(json), hush.into(), 400),
        (Some(json), "{\"client_secret\": \"hush\"".into(), 400),
        (Some(json), "{\"client_secret\": [\"hush\"]}".into(), 400),
        (Some(json), "{\"client_secret\": \"hush\", \"client_secret\": \"hush\"}".into(), 400),
        (Some(json), format!("{}{}", "[".repeat(5_000), "hush"), 400),
    ];
    for (media, text, status) in cases {
        let refused = world.send(body(media, text.clone().into_bytes()));
        let shown = &text[..text.len().min(80)];
        assert_eq!(
            (refused.status, refused.error().as_str()),
            (status, "invalid_request"),
            "{shown}"
        );
        assert!(!refused.body.contains("hush"), "{}", refused.body);
    }
    let latin = world.send(body(Some(form), b"client_id=\xe9".to_vec()));
    assert_eq!((latin.status, latin.error().as_str()), (400, "invalid_request"));
    let wide = world.send(body(Some("application/json; charset=utf-8"), b"{}".to_vec()));
    assert_eq!(wide.error(), "invalid_request");
    let much = "x".repeat(9_000);
    let long = world.post("/token", &[("grant_type", "refresh_token"), ("refresh_token", &much)]);
    assert_eq!((long.status, long.error().as_str()), (400, "invalid_request"));
}

// Goal: guesses are limited by where they come from (RFC 6749 section 10.10), and are told when to
// come again. Method: wrong secrets until 429, at an address; the right one is refused there
// meanwhile, and accepted from nowhere, where nothing is known to count by.
#[test]
fn guesses_of_a_secret_are_limited() {
    let world = world();
    let wrong = "grant_type=client_credentials&client_id=app&client_secret=a+wrong+secret";
    let told: Vec<u16> = (0..25).map(|_| world.post_as(None, "/token", wrong).status).collect();
    assert_eq!(told.iter().filter(|status| **status == 401).count(), 20);
    assert_eq!(told.last(), Some(&429));
    let right = world.post("/token", &[("grant_type", "client_credentials")]);
    assert_eq!(right.status, 429);
    assert!(right.field("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
}

// Goal: whoever guesses tokens at the introspection endpoint is limited (RFC 7662 section 4), and a
// resource server is not, which asks about what others present. Method: more unknown tokens than
// are let through, by a client and by the resource server.
#[test]
fn a_resource_server_is_not_held_to_be_guessing() {
    let world = world();
    let ask = |id: &str| {
        let pairs = [("client_id", id), ("client_secret", SECRET), ("token", "no token at all")];
        world.post_as(None, "/introspect", &form(&pairs)).status
    };
    assert!((0..300).all(|_| ask("api") == 200));
    let told: Vec<u16> = (0..300).map(|_| ask("app")).collect();
    assert!(told.iter().take(200).all(|status| *status == 200));
    assert_eq!(told.last(), Some(&429));
    assert_eq!(ask("api"), 200);
}

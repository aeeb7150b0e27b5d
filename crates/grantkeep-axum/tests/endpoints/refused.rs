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
    assert_eq!((wide.status, wide.error().as_str()), (400, "invalid_request"));
    assert!(wide.body.contains("grant_type is missing"), "{}", wide.body);
    let much = "x".repeat(9_000);
    let long = world.post("/token", &[("grant_type", "refresh_token"), ("refresh_token", &much)]);
    assert_eq!((long.status, long.error().as_str()), (400, "invalid_request"));
}

// Goal: a field that may stand once comes once: whoever stands before the server may have looked at
// the other one (RFC 9110 section 5.3). Method: two `Authorization` and two `Content-Type` fields,
// the first of each in order.
#[test]
fn fields_that_come_twice_are_refused() {
    let world = world();
    let asked = || {
        let mut request = posted(7, "/token", "grant_type=client_credentials");
        let pair = data_encoding::BASE64.encode(format!("app:{SECRET}").as_bytes());
        let field = format!("basic {pair}").parse().unwrap();
        request.headers_mut().insert(header::AUTHORIZATION, field);
        request
    };
    assert_eq!(world.send(asked()).status, 200);
    for (name, value) in
        [(header::AUTHORIZATION, "Basic eDp5"), (header::CONTENT_TYPE, "application/json")]
    {
        let mut request = asked();
        request.headers_mut().append(name, value.parse().unwrap());
        let refused = world.send(request);
        assert_eq!((refused.status, refused.error().as_str()), (400, "invalid_request"));
        assert!(refused.body.contains("more than once"), "{}", refused.body);
    }
}

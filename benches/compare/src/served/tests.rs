use super::handlers::router;
use super::{Embedded, Postgres, Redis, SCHEMA, Tokens};
use crate::engine::Setup;
use crate::engines::postgres::Cluster;
use crate::engines::{postgres, redis};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode, header};
use grantkeep_benches::Scratch;
use grantkeep_benches::served::{CLIENT, INTROSPECT, SECRET, TOKEN};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tower::ServiceExt as _;

/// An answer without what is random in it: its status, its fields, its body.
type Answer = (StatusCode, [Option<String>; 3], Value);

/// What was answered, one after the other.
struct Told {
    app: Router,
    answers: Vec<Answer>,
}

impl Told {
    async fn ask(&mut self, path: &str, secret: &str, form: &str) -> Value {
        let form = format!("client_id={CLIENT}&client_secret={secret}&{form}");
        let request = Request::post(path)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(form));
        let response = self.app.clone().oneshot(request.unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let body: Value = serde_json::from_slice(&to_bytes(body, 1 << 16).await.unwrap()).unwrap();
        let fields = [header::CONTENT_TYPE, header::CACHE_CONTROL, header::WWW_AUTHENTICATE];
        let fields = fields.map(|name| field(&parts.headers, name));
        self.answers.push((parts.status, fields, without_chance(body.clone())));
        body
    }

    /// Refreshes; the next pair, where there is one.
    async fn refresh(&mut self, token: &str) -> Option<(String, String)> {
        let form = format!("grant_type=refresh_token&refresh_token={token}");
        let body = self.ask(TOKEN, SECRET, &form).await;
        let text = |name: &str| body[name].as_str().map(str::to_owned);
        text("access_token").zip(text("refresh_token"))
    }

    async fn is_active(&mut self, token: &str) -> bool {
        self.ask(INTROSPECT, SECRET, &format!("token={token}")).await["active"] == true
    }
}

fn field(headers: &HeaderMap, name: header::HeaderName) -> Option<String> {
    headers.get(name).map(|value| value.to_str().unwrap().to_owned())
}

/// The body with the lengths of its tokens in their place, and how long a token lives in that of
/// when it was issued and when it ends.
fn without_chance(mut body: Value) -> Value {
    for name in ["access_token", "refresh_token"] {
        if let Some(text) = body[name].as_str() {
            body[name] = json!(text.len());
        }
    }
    if let (Some(iat), Some(exp)) = (body["iat"].as_i64(), body["exp"].as_i64()) {
        body["iat"] = json!("issued");
        body["exp"] = json!(exp - iat);
    }
    body
}

/// What happens to two families, and to tokens that nobody issued.
async fn story(tokens: impl Tokens) -> Vec<Answer> {
    let (access, first) = tokens.open("person-0").await;
    let (other_access, other) = tokens.open("person-1").await;
    let mut told = Told { app: router(tokens), answers: Vec::new() };
    assert!(told.is_active(&access).await);
    let (second_access, second) = told.refresh(&first).await.expect("a pair");
    let (third_access, third) = told.refresh(&second).await.expect("a pair");
    for token in [&access, &second_access, &third_access] {
        assert!(told.is_active(token).await);
    }
    // A spent one ends its family, successors and access tokens included, and no other.
    assert!(told.refresh(&first).await.is_none());
    assert!(told.refresh(&third).await.is_none());
    for token in [&access, &second_access, &third_access] {
        assert!(!told.is_active(token).await);
    }
    assert!(told.is_active(&other_access).await);
    let (next_access, _) = told.refresh(&other).await.expect("a pair");
    assert!(told.refresh(&other).await.is_none(), "the predecessor was taken at once");
    assert!(!told.is_active(&next_access).await);
    for text in ["rubbish", &"A".repeat(128)] {
        assert!(told.refresh(text).await.is_none());
        assert!(!told.is_active(text).await);
    }
    let form = format!("grant_type=refresh_token&refresh_token={third}");
    told.ask(TOKEN, "another-secret", &form).await;
    told.ask(INTROSPECT, "another-secret", &format!("token={next_access}")).await;
    told.ask(TOKEN, SECRET, "grant_type=refresh_token").await;
    told.ask(TOKEN, SECRET, "grant_type=password").await;
    told.answers
}

// Goal: whatever store is behind the handlers, a refresh rotates, a spent token is refused and ends
// its family, and the tokens of one that has ended are inactive; and all of them answer alike, so
// that the comparison compares the stores alone. Method: one story on each, its answers held
// against each other field by field, random texts and moments aside.
#[test]
fn handlers_answer_alike_on_every_store() {
    let runtime = Runtime::new().unwrap();
    let scratch = Scratch::new();
    let setup = || Setup::new(scratch.path(""));
    let expected = runtime.block_on(story(Embedded::create(&scratch.path(""))));
    let (status, fields, body) = expected[1].clone();
    assert_eq!(status, StatusCode::OK);
    assert_eq!(fields[..2], ["application/json", "no-store"].map(|text| Some(text.to_owned())));
    let pair = json!({
        "access_token": 128, "token_type": "Bearer", "expires_in": 900, "refresh_token": 128,
        "scope": "profile",
    });
    assert_eq!(body, pair);
    let peers = [postgres::CONTENDER, redis::CONTENDER];
    for peer in peers {
        if let Some(why) = (peer.missing)() {
            println!("skipped because {why}");
            continue;
        }
        let answers = if peer.name == postgres::CONTENDER.name {
            let cluster = Cluster::start(&setup(), SCHEMA);
            runtime.block_on(async { story(Postgres::connect(cluster.port()).await).await })
        } else {
            let server = redis::start(&setup());
            runtime.block_on(async { story(Redis::connect(server.port).await).await })
        };
        assert_eq!(answers.len(), expected.len());
        for (at, (answer, expected)) in answers.iter().zip(&expected).enumerate() {
            assert_eq!(answer, expected, "{}: answer {at}", peer.name);
        }
        println!("{}: {} answers as the store's", peer.name, answers.len());
    }
}

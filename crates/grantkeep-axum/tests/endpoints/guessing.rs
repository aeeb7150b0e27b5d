//! Limits on guessing, and on what is stored unasked: whom they refuse, and whom they do not.

use crate::world::*;
use axum::Router;
use axum::body::Body;
use axum::http::{Request, header};
use axum::routing::get;
use futures_util::future::join_all;
use grantkeep::Wait as _;
use grantkeep_axum::{Bearer, Guessed, OAuth, PENDING_AT_ONCE, PENDING_ROW_BYTES, Resource, Whose};
use grantkeep_grants::{ClientCredentials, Demand};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tower::ServiceExt as _;

const OWN: [(&str, &str); 2] = [("client_id", "app"), ("client_secret", SECRET)];

const TOKENS: Bucket = (200, Duration::from_millis(50));
const PASSWORDS: Bucket = (10, Duration::from_secs(6));

fn password<'a>(
    client: &[(&'a str, &'a str)],
    name: &'a str,
    password: &'a str,
) -> Vec<(&'a str, &'a str)> {
    let asked = [("grant_type", "password"), ("username", name), ("password", password)];
    [client, &asked].concat()
}

// Goal: guesses of a secret are limited by where they come from (RFC 6749 section 10.10), and are
// told when to come again; the right one is let through all the same, there as elsewhere. Method:
// wrong secrets until 429, at an address, and the right one; wrong ones from another address.
#[test]
fn guesses_of_a_secret_keep_nobody_out() {
    let world = world();
    let asked = |host, secret| {
        let asked = [("grant_type", "client_credentials"), OWN[0], ("client_secret", secret)];
        world.post_from(host, "/token", &asked)
    };
    let last = until_refused(401, SECRETS, |_| asked(7, "a wrong secret, this"));
    assert_eq!((last.status, last.error().as_str()), (429, "temporarily_unavailable"));
    assert!(last.field("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
    assert_eq!(asked(7, SECRET).status, 200);
    assert_eq!(asked(8, "a wrong secret, this").status, 401);
}

struct Notes;

impl Resource for Notes {
    fn demand() -> Demand<'static> {
        Demand::new("https://api.example")
    }
}

// Goal: bad tokens keep no good one out, nor a request without any, which is told how to bring one
// (RFC 6750 section 3). Method: more bad tokens than are let through, then each.
#[test]
fn bad_tokens_keep_no_good_one_out() {
    let mut world = world();
    let routes: Router<OAuth> = Router::new()
        .route("/notes", get(async |token: Bearer<Notes>| token.claims.client.unwrap_or_default()));
    world.app = routes.with_state(world.oauth.clone());
    let issued = world.grants.client_credentials(ClientCredentials::new("app")).wait().unwrap();
    let ask = |token: Option<&str>| {
        let mut request = Request::get("/notes").extension(from(7));
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        world.send(request.body(Body::empty()).unwrap())
    };
    until_refused(401, TOKENS, |at| ask(Some(&format!("no token {at}"))));
    assert_eq!(ask(Some(issued.access.expose())).status, 200);
    assert_eq!(ask(None).status, 401);
}

// Goal: whoever guesses tokens at the introspection endpoint is limited (RFC 7662 section 4), for
// those alone, and by the client: neither what it asks about its own is refused, nor another at its
// address, nor a resource server, which asks about what others present. Method: more unknown tokens
// than are let through, by a client and by the resource server.
#[test]
fn guesses_at_introspection_keep_nobody_out() {
    let world = world();
    let issued = world.grants.client_credentials(ClientCredentials::new("app")).wait().unwrap();
    let ask = |id: &str, token: &str| {
        let pairs = [("client_id", id), ("client_secret", SECRET), ("token", token)];
        world.post_as(None, "/introspect", &form(&pairs))
    };
    assert!((0..300).all(|_| ask("api", "no token at all").status == 200));
    until_refused(200, TOKENS, |_| ask("app", "no token at all"));
    assert_eq!(ask("app", issued.access.expose()).status, 200);
    assert_eq!(ask("api", "no token at all").status, 200);
}

// Goal: codes and refresh tokens that a public client guesses are limited, and what is right is let
// through. Method: more bad codes than are let through, then a good one, from one address.
#[test]
fn bad_codes_keep_no_good_one_out() {
    let world = world();
    let asked = [
        ("client_id", "phone"),
        ("grant_type", "authorization_code"),
        ("redirect_uri", REDIRECT),
        ("code_verifier", VERIFIER),
    ];
    let redeem = |code| world.post_from(7, "/token", &[&asked[..], &[("code", code)]].concat());
    until_refused(400, TOKENS, |_| redeem("no code that there is"));
    let request = format!(
        "/authorize?response_type=code&client_id=phone&redirect_uri={REDIRECT}\
         &code_challenge_method=S256&code_challenge={CHALLENGE}"
    );
    let code = world.get(&request, None).redirected("code").unwrap();
    assert_eq!(redeem(&code).status, 200);
}

// Goal: one person's wrong passwords keep no other out whose requests have the same address, as
// those through a client's server have; they are counted by the client and the name, or by the
// address and the name for a public client. Method: wrong ones for one name through each client,
// then the right one of another.
#[test]
fn wrong_passwords_for_one_name_keep_no_other_out() {
    let world = world();
    let public = [("client_id", "phone")];
    for client in [&OWN[..], &public[..]] {
        let ask =
            |host, name, secret| world.post_from(host, "/token", &password(client, name, secret));
        let (full, leak) = PASSWORDS;
        until_refused(400, PASSWORDS, |_| ask(7, "mallory", "wrong"));
        until_refused(400, (0, leak), |_| ask(7, "mallory", "wrong"));
        // From elsewhere it is the same server's or another person's.
        let elsewhere = if client.len() == 2 { 0 } else { full };
        until_refused(400, (elsewhere, leak), |_| ask(8, "Mallory", "wrong"));
        assert_eq!(ask(7, "alice", "wonderland").status, 200);
    }
    // All names of one address together have a wider bound.
    until_refused(400, (200, Duration::from_millis(500)), |at| {
        let name = format!("nobody {at}");
        world.post_from(9, "/token", &password(&OWN, &name, "wrong"))
    });
}

/// A world whose passwords take for ever, and how many were looked at.
fn slow_world() -> (World, Arc<AtomicUsize>) {
    let mut world = world();
    let looked_at = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&looked_at);
    world.oauth = world.oauth.clone().password(move |_, _| {
        counted.fetch_add(1, Ordering::Relaxed);
        std::future::pending()
    });
    world.app = Router::new().merge(world.oauth.clone());
    (world, looked_at)
}

/// Waits until so many were looked at, and then for a moment, in which no more should be.
async fn looked_at(many: usize, looked_at: &AtomicUsize) {
    let moment = Duration::from_millis(100);
    let enough = async {
        while looked_at.load(Ordering::Relaxed) < many {
            tokio::time::sleep(moment / 10).await;
        }
    };
    let in_time = tokio::time::timeout(moment * 300, enough).await;
    assert!(in_time.is_ok(), "fewer were looked at");
    tokio::time::sleep(moment).await;
    assert_eq!(looked_at.load(Ordering::Relaxed), many);
}

// Goal: passwords that are sent at the same time are counted before they are looked at, and so are
// those whose sender hangs up. Method: a hundred at once of one name while none is decided; their
// requests are dropped, and a hundred more are sent.
#[tokio::test]
async fn passwords_at_the_same_time_are_counted() {
    let (world, seen) = slow_world();
    let hundred = || {
        join_all((0..100).map(|_| {
            let asked = form(&password(&OWN, "alice", "wrong"));
            world.app.clone().oneshot(posted(7, "/token", &asked))
        }))
    };
    tokio::select! {
        _ = hundred() => panic!("all were decided"),
        () = looked_at(10, &seen) => {}
    }
    for answer in hundred().await {
        assert_eq!(answer.unwrap().status().as_u16(), 429);
    }
    assert_eq!(seen.load(Ordering::Relaxed), 10);
}

// Goal: no address has more than its share of those that are verified at a time, so that others are
// not told that the server is busy. Method: passwords of many names from one address while none is
// decided, then one from another.
#[tokio::test]
async fn an_address_has_its_share_of_passwords_alone() {
    let (world, seen) = slow_world();
    let send = |host, at| {
        let asked = form(&password(&OWN, &format!("name {at}"), "wrong"));
        world.app.clone().oneshot(posted(host, "/token", &asked))
    };
    let share = grantkeep_axum::PASSWORDS_AT_ONCE;
    let others = async {
        looked_at(share, &seen).await;
        tokio::select! {
            _ = send(8, 1_000) => panic!("it was decided"),
            () = looked_at(share + 1, &seen) => {}
        }
    };
    tokio::select! {
        _ = join_all((0..100).map(|at| send(7, at))) => panic!("all were decided"),
        () = others => {}
    }
}

// Goal: nobody fills the disk with the id of a public client, which is no secret: device codes and
// pushed requests are bounded by where they come from, a large one counting as several, and told
// when to come again (RFC 6585 section 4). Method: ask until 429, for each; another address.
#[test]
fn what_is_stored_for_a_public_client_is_bounded_by_address() {
    let world = world();
    let device = |host| world.post_from(host, "/device_authorization", &[("client_id", "phone")]);
    let refused = until_refused(200, (60, Duration::from_secs(1)), |_| device(7));
    assert_eq!((refused.status, refused.error().as_str()), (429, "temporarily_unavailable"));
    assert!(refused.field("retry-after").is_some());
    assert_eq!(device(8).status, 200);
    let state = "s".repeat(12_500);
    let large = [
        ("client_id", "phone"),
        ("response_type", "code"),
        ("redirect_uri", REDIRECT),
        ("code_challenge_method", "S256"),
        ("code_challenge", CHALLENGE),
        ("state", &state),
    ];
    let four = Duration::from_secs(4);
    until_refused(201, (15, four), |_| world.post_from(9, "/par", &large));
}

// Goal: what waits to be decided is bounded for each client, whoever it is and from wherever, and
// one client's do not keep another's out. Method: take what a client has, and ask for one more
// device, and push one more request; both for another client.
#[test]
fn what_waits_is_bounded_by_client() {
    let world = world();
    let all = PENDING_AT_ONCE as usize * PENDING_ROW_BYTES;
    let (policy, guesses) = (world.grants.policy(), world.oauth.table_of_guesses());
    for lifetime in [policy.device_lifetime, policy.push_lifetime] {
        guesses.stored(Guessed::Pending(lifetime), Whose::Client("app"), all).unwrap();
    }
    assert_eq!(world.post_from(7, "/device_authorization", &OWN).status, 429);
    let push = [("response_type", "code"), ("redirect_uri", REDIRECT)];
    let large = "s".repeat(15_000);
    let pushed = [&OWN[..], &push, &[("state", &large)]].concat();
    assert_eq!(world.post_from(7, "/par", &pushed).status, 429);
    assert_eq!(world.post_from(7, "/device_authorization", &[("client_id", "phone")]).status, 200);
}

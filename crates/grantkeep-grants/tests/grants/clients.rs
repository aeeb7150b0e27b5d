//! Clients: registered, listed, changed, deleted, and what they may ask for.

use crate::interposed::Interposed;
use crate::world::*;
use grantkeep::{CLIENT_SECRETS_MAX, ErrorKind, ManualClock, REDIRECT_URIS_MAX, Wait};
use grantkeep_grants::{
    Authenticated, Claimed, ClientCreated, ClientCredentials, ClientEdit, ClientInfo,
    ClientRefusal, Completed, Completion, Creation, DeviceApproval, DeviceRequest, Grant,
    GrantType, NewClient, NewSecret, OAuthError, Policy, Polled, Presented, Secret, Tag, Verified,
};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

pub(crate) fn new_client(id: &str) -> NewClient<'_> {
    NewClient::confidential(id)
        .name("An app")
        .redirect_uri(REDIRECT)
        .grants([GrantType::AuthorizationCode, GrantType::RefreshToken])
        .scopes(["read", "write"])
}

pub(crate) fn created(creation: Creation) -> ClientCreated {
    match creation {
        Creation::Created(created) => *created,
        other => panic!("not created: {other:?}"),
    }
}

impl World {
    pub(crate) fn register(&self, new: NewClient<'_>) -> ClientCreated {
        created(self.grants.create_client(new).wait().unwrap())
    }

    pub(crate) fn client(&self, id: &str) -> Option<ClientInfo> {
        self.grants.client(id).wait().unwrap()
    }

    pub(crate) fn authenticates(&self, id: &str, secret: Option<&str>) -> bool {
        let answer = self.grants.authenticate_client(id, secret.map(str::as_bytes)).wait().unwrap();
        let refused = Some(OAuthError::InvalidClient);
        assert_eq!(
            answer.oauth_error(),
            matches!(answer, Authenticated::Refused).then_some(refused).flatten()
        );
        matches!(answer, Authenticated::Client(client) if client.id == id)
    }
}

// Goal: a client is there as it was registered, with its secret shown once. Method: register a
// confidential and a public one, one with a secret and an id of its own making; read them back.
#[test]
fn a_client_is_there_as_it_was_registered() {
    let world = World::new();
    let made = world.register(new_client("app-1"));
    let secret = made.secret.unwrap();
    assert_eq!(grantkeep_grants::Format::classify(secret.expose()), Some(Tag::ClientSecret));
    let client = world.client("app-1").unwrap();
    assert_eq!(client, made.client);
    assert_eq!((client.id.as_str(), client.name.as_str()), ("app-1", "An app"));
    assert_eq!(client.redirect_uris, [REDIRECT]);
    assert_eq!(client.grants, [GrantType::AuthorizationCode, GrantType::RefreshToken]);
    assert_eq!(client.scopes.as_str(), "read write");
    assert_eq!((client.created_at, client.disabled_at), (world.now(), None));
    assert!(client.confidential && client.secrets.len() == 1);
    assert!(world.authenticates("app-1", Some(secret.expose())));

    let public = world.register(NewClient::public("spa"));
    assert!(public.secret.is_none() && public.client.secrets.is_empty());
    assert!(!public.client.confidential);

    let made = world.register(NewClient::confidential(None).secret("a secret brought along"));
    assert!(made.secret.is_none() && made.client.id.len() == 32);
    assert!(world.authenticates(&made.client.id, Some("a secret brought along")));
    let other = world.register(NewClient::confidential(None));
    assert_ne!(other.client.id, made.client.id);
    assert!(world.client("app-2").is_none());
}

// Goal: an id is given once. Method: the same id again, with another secret; and between decision
// and commit.
#[test]
fn an_id_is_given_once() {
    let world = World::new();
    let first = world.register(new_client("app-1")).secret.unwrap();
    let again = world.grants.create_client(NewClient::public("app-1")).wait().unwrap();
    assert!(matches!(again, Creation::Taken));
    assert!(world.authenticates("app-1", Some(first.expose())));

    let clock = Arc::new(ManualClock::at(UNIX_EPOCH + s(1_800_000_000)));
    let stage = Interposed::grants(clock, Policy::default());
    let same = stage.clone();
    stage.store().backend().before_commit(move || {
        created(same.create_client(new_client("app-1")).wait().unwrap());
    });
    let late = stage.create_client(NewClient::public("app-1")).wait().unwrap();
    assert!(matches!(late, Creation::Taken));
    assert!(stage.client("app-1").wait().unwrap().unwrap().confidential);
}

// Goal: what is out of bounds is refused, and nothing of it stored. Method: each field by itself,
// at its limit and one over where it has one.
#[test]
fn client_limits_are_exact() {
    let world = World::new();
    let grants = &world.grants;
    let uris: Vec<String> = (0..=REDIRECT_URIS_MAX).map(|n| format!("{REDIRECT}/{n}")).collect();
    let with_uris = |id: &'static str, count: usize| {
        uris[..count].iter().fold(NewClient::public(id), |new, uri| new.redirect_uri(uri))
    };
    let long = "x".repeat(4_097);
    let (short, over) = ("x".repeat(15), "x".repeat(8_193));
    let long_uri = format!("{REDIRECT}/{}", "x".repeat(4_096));
    let bad = [
        NewClient::public(""),
        NewClient::public("app\n"),
        NewClient::public("\u{e9}"),
        NewClient::public(long.as_str()),
        NewClient::public("app").name(&long),
        NewClient::public("app").scopes(["a\"b"]),
        NewClient::public("app").secret("a secret brought along"),
        NewClient::public("app").grants([GrantType::ClientCredentials]),
        NewClient::public("app").redirect_uri("http://app.example/cb"),
        NewClient::public("app").redirect_uri(&long_uri),
        NewClient::confidential("app").secret(&short),
        NewClient::confidential("app").secret(&over),
        with_uris("app", REDIRECT_URIS_MAX + 1),
    ];
    let rows = grants.store().stats().rows_total();
    for new in bad {
        let error = grants.create_client(new).wait().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
    }
    assert_eq!(grants.store().stats().rows_total(), rows);

    let made = world.register(with_uris("app-1", REDIRECT_URIS_MAX).redirect_uri(&uris[0]));
    assert_eq!(made.client.redirect_uris.len(), REDIRECT_URIS_MAX, "the same one twice is one");
    for (id, secret) in [("app-2", &short[..]), ("app-3", &over[..])] {
        let at_limit = format!("{secret}x").split_at(secret.len().min(8_192)).0.to_owned();
        let at_limit = if secret.len() == 15 { format!("{short}x") } else { at_limit };
        world.register(NewClient::confidential(id).secret(&at_limit));
        assert!(world.authenticates(id, Some(&at_limit)));
        assert!(!world.authenticates(id, Some(secret)));
    }
    let add = |id| grants.add_client_secret(id, NewSecret::minted()).wait();
    for _ in 1..CLIENT_SECRETS_MAX {
        add("app-2").unwrap().unwrap();
    }
    assert_eq!(add("app-2").unwrap_err().kind(), ErrorKind::Limit);
    assert_eq!(world.client("app-2").unwrap().secrets.len(), CLIENT_SECRETS_MAX);
    assert_eq!(add("app-1").unwrap_err().kind(), ErrorKind::Limit, "a public client");
    assert!(add("app-9").unwrap().is_none());
}

// Goal: all clients are listed, each once, page by page. Method: 25 clients, one of them disabled
// and one deleted, in pages of 10.
#[test]
fn clients_are_listed_page_by_page() {
    let world = World::new();
    let mut ids: Vec<String> = (0..25).map(|n| format!("app-{n:02}")).collect();
    for id in &ids {
        world.register(new_client(id));
    }
    world.pair();
    world.grants.disable_client("app-03").wait().unwrap();
    world.grants.delete_client("app-04").wait().unwrap();
    ids.remove(4);
    let (mut listed, mut cursor) = (Vec::new(), None);
    loop {
        let page = world.grants.clients(cursor, 10).wait().unwrap();
        assert!(page.items.len() <= 10);
        listed.extend(page.items.into_iter().map(|client| client.id));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    listed.sort();
    assert_eq!(listed, ids);
}

// Goal: a client is changed as asked, checked as when it was registered, and nobody's change is
// lost. Method: change everything; changes that are refused; two changes that meet.
#[test]
fn a_client_is_changed_as_asked() {
    let world = World::new();
    world.register(new_client("app-1"));
    let edit = |edit: &mut ClientEdit| {
        edit.name.push_str(" renamed");
        edit.redirect_uris.push("http://127.0.0.1/cb".to_owned());
        edit.grants = vec![GrantType::ClientCredentials];
        edit.scopes = vec!["admin".to_owned()];
    };
    let changed = world.grants.update_client("app-1", edit).wait().unwrap().unwrap();
    assert_eq!(changed, world.client("app-1").unwrap());
    assert_eq!((changed.name.as_str(), changed.scopes.as_str()), ("An app renamed", "admin"));
    assert_eq!(changed.redirect_uris, [REDIRECT, "http://127.0.0.1/cb"]);
    assert_eq!(changed.grants, [GrantType::ClientCredentials]);
    let bad: [fn(&mut ClientEdit); 3] = [
        |edit| edit.redirect_uris.push("https://app.example/#".to_owned()),
        |edit| edit.scopes.push("a\\b".to_owned()),
        |edit| edit.name = "x".repeat(4_097),
    ];
    for edit in bad {
        let error = world.grants.update_client("app-1", edit).wait().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Limit);
    }
    assert_eq!(world.client("app-1").unwrap(), changed);
    assert!(world.grants.update_client("app-2", edit).wait().unwrap().is_none());

    let clock = Arc::new(ManualClock::at(UNIX_EPOCH + s(1_800_000_000)));
    let stage = Interposed::grants(clock, Policy::default());
    created(stage.create_client(new_client("app-1")).wait().unwrap());
    let same = stage.clone();
    stage.store().backend().before_commit(move || {
        let edit = |edit: &mut ClientEdit| edit.scopes.push("first".to_owned());
        same.update_client("app-1", edit).wait().unwrap();
    });
    let edit = |edit: &mut ClientEdit| edit.scopes.push("second".to_owned());
    let both = stage.update_client("app-1", edit).wait().unwrap().unwrap();
    assert_eq!(both.scopes.as_str(), "read write first second");
}

// Goal: what a client may ask for is what it was registered for, with the error code of the RFC.
// Method: redirect URIs, grants, and scopes, given, left out, and wrong.
#[test]
fn a_client_may_ask_for_what_it_was_registered_for() {
    let world = World::new();
    let one = world.register(new_client("app-1")).client;
    let native = "http://127.0.0.1/cb";
    let two = world.register(new_client("app-2").redirect_uri(native)).client;
    let none = world.register(NewClient::public("app-3")).client;
    assert_eq!(one.redirect(None), Ok(REDIRECT));
    assert_eq!(one.redirect(Some(REDIRECT)), Ok(REDIRECT));
    assert_eq!(one.redirect(Some(native)), Err(ClientRefusal::RedirectUri));
    let ported = "http://127.0.0.1:50123/cb";
    assert_eq!(two.redirect(Some(ported)), Ok(ported));
    assert_eq!(two.redirect(None), Err(ClientRefusal::RedirectUriMissing));
    assert_eq!(none.redirect(None), Err(ClientRefusal::RedirectUriMissing));

    assert_eq!(one.permits(GrantType::AuthorizationCode), Ok(()));
    assert_eq!(one.permits(GrantType::ClientCredentials), Err(ClientRefusal::GrantType));
    let disabled = world.grants.disable_client("app-2").wait().unwrap().unwrap();
    assert_eq!(disabled.permits(GrantType::AuthorizationCode), Err(ClientRefusal::Disabled));

    assert_eq!(one.narrow(None).unwrap().as_str(), "read write");
    assert_eq!(one.narrow(Some("write")).unwrap().as_str(), "write");
    assert_eq!(one.narrow(Some("write admin")), Err(ClientRefusal::Scope));
    assert_eq!(one.narrow(Some("wri\"te")), Err(ClientRefusal::Scope));

    for (refusal, code) in [
        (ClientRefusal::Disabled, "unauthorized_client"),
        (ClientRefusal::GrantType, "unauthorized_client"),
        (ClientRefusal::Scope, "invalid_scope"),
        (ClientRefusal::RedirectUri, "invalid_request"),
        (ClientRefusal::RedirectUriMissing, "invalid_request"),
    ] {
        assert_eq!(refusal.oauth_error().as_str(), code);
    }
}

// Goal: every grant type is read as it is written. Method: each, and texts that are none.
#[test]
fn grant_types_are_read_as_written() {
    let device = "urn:ietf:params:oauth:grant-type:device_code";
    for text in ["authorization_code", "refresh_token", "client_credentials", "password", device] {
        assert_eq!(GrantType::read(text).unwrap().to_string(), text);
    }
    assert_eq!(GrantType::read("implicit"), None);
    assert_eq!(GrantType::read(""), None);
}

// Goal: a client that is registered uses the grant types that it is registered for, in every flow
// (`unauthorized_client`, RFC 6749 section 5.2). Method: each flow by a client without its grant
// type, in its first step and, where that was taken before the type was removed, in each later one;
// nothing is spent; with the type all of them are granted.
#[test]
fn a_client_uses_its_grant_types_alone() {
    const EVERY: [GrantType; 5] = [
        GrantType::AuthorizationCode,
        GrantType::RefreshToken,
        GrantType::ClientCredentials,
        GrantType::Password,
        GrantType::DeviceCode,
    ];
    let world = World::new();
    let grants = &world.grants;
    world.register(new_client(CLIENT));
    let may = |types: &[GrantType]| {
        let types = types.to_vec();
        let edited = grants.update_client(CLIENT, move |client| client.grants.clone_from(&types));
        edited.wait().unwrap().unwrap();
    };
    may(&EVERY);
    let (code, claimed, pair) = (world.code(), world.code(), world.pair());
    let claim = |code: &Secret| grants.claim(code.expose()).wait().unwrap();
    let Claimed::Grant(claim_of) = claim(&claimed) else { panic!("not claimed") };
    let family = claim_of.family.unwrap();
    let unclaimed = world.code();
    let device = || grants.device(DeviceRequest::new(CLIENT)).wait();
    let (pending, approved) = (device().unwrap(), device().unwrap());
    let approve = |code: &Secret| {
        grants.approve_device(code.expose(), &DeviceApproval::by(SUBJECT)).wait().unwrap()
    };
    assert_eq!(approve(&approved.user_code), Verified::Done);
    let by = Presented::by(CLIENT);
    let poll = |code: &Secret| grants.poll_device(code.expose(), &by).wait().unwrap();
    let refresh = || world.refresh(refresh_of(&pair));
    let complete = || grants.complete(family, &Completion::by(CLIENT)).wait().unwrap();

    may(&[]);
    for error in [
        grants.authorize(authorize()).wait().unwrap_err(),
        grants.open(Grant::new(CLIENT, SUBJECT).by(GrantType::Password)).wait().unwrap_err(),
        grants.client_credentials(ClientCredentials::new(CLIENT)).wait().unwrap_err(),
        grants.push(CLIENT, b"parameters").wait().unwrap_err(),
        device().unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Unauthorized, "{error}");
        assert_eq!(OAuthError::from(&error), OAuthError::UnauthorizedClient);
        assert!(error.to_string().starts_with("client `client-1` is not registered for"));
    }
    let unauthorized = Some(OAuthError::UnauthorizedClient);
    assert_eq!(world.redeem(&code).oauth_error(), unauthorized);
    assert!(matches!(claim(&unclaimed), Claimed::Unauthorized));
    assert_eq!(complete().oauth_error(), unauthorized);
    assert_eq!(refresh().oauth_error(), unauthorized);
    assert_eq!(poll(&pending.device_code).oauth_error(), unauthorized);
    assert_eq!(poll(&approved.device_code).oauth_error(), unauthorized);
    assert_eq!(approve(&pending.user_code), Verified::Unauthorized);

    may(&EVERY);
    granted(world.redeem(&code));
    assert!(matches!(claim(&unclaimed), Claimed::Grant(_)));
    assert!(matches!(complete(), Completed::Granted(_)));
    rotated(refresh());
    assert!(matches!(poll(&approved.device_code), Polled::Granted(_)));
    assert_eq!(approve(&pending.user_code), Verified::Done);
    // Who has no record is its server's to judge.
    assert!(grants.open(Grant::new("client-2", SUBJECT)).wait().is_ok());
}

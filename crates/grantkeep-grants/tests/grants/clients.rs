//! Clients: registered, listed, changed, deleted, and what they may ask for.

use crate::interposed::Interposed;
use crate::world::*;
use grantkeep::{CLIENT_SECRETS_MAX, ErrorKind, ManualClock, REDIRECT_URIS_MAX, Wait};
use grantkeep_grants::{
    Authenticated, Claimed, ClientCreated, ClientCredentials, ClientEdit, ClientInfo,
    ClientRefusal, ClientState, Completed, Completion, Creation, DeviceApproval, DeviceRequest,
    Grant, GrantType, NewClient, NewSecret, OAuthError, Policy, Polled, Presented, Secret, Tag,
    Verified,
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
        let presented = secret.map(str::as_bytes);
        let recognized = self.grants.recognize_client(id, presented).wait().unwrap();
        let answer = self.grants.authenticate_client(id, presented).wait().unwrap();
        assert_eq!(recognized.oauth_error(), answer.oauth_error());
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
    assert_eq!((client.created_at, client.state), (world.now(), ClientState::Enabled));
    assert!(!client.loopback && !client.require_pkce && client.policy.is_none());
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
    let long_grants = (0..17).map(|n| GrantType::read(&format!("urn:{n:0>252}")).unwrap());
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
        NewClient::public("app").redirect_uri("javascript:alert(1)"),
        NewClient::confidential("app").redirect_uri("com.example.app:/cb"),
        NewClient::confidential("app").grants(long_grants),
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

// Goal: a parameter that is empty counts as left out (RFC 6749 section 3.1), several registered
// URIs and none named is an error (section 3.1.2.3), and blanks never mean everything. Method: each
// of them, for clients with one URI, several, and none.
#[test]
fn an_empty_parameter_counts_as_left_out() {
    let world = World::new();
    let one = world.register(new_client("app-1")).client;
    let two = world.register(new_client("app-2").redirect_uri("http://127.0.0.1/cb")).client;
    let none = world.register(NewClient::public("app-3")).client;
    for client in [&one, &two, &none] {
        assert_eq!(client.redirect(Some("")), client.redirect(None), "{client:?}");
        assert_eq!(client.narrow(Some("")), client.narrow(None), "{client:?}");
        for blank in [" ", "   ", "\t", "\u{a0}"] {
            assert_eq!(client.redirect(Some(blank)), Err(ClientRefusal::RedirectUri));
            assert_eq!(client.narrow(Some(blank)), Err(ClientRefusal::Scope), "{blank:?}");
        }
    }
    assert_eq!(one.redirect(Some("")), Ok(REDIRECT));
    assert_eq!(one.narrow(Some("")).unwrap().as_str(), "read write");
    assert_eq!(two.redirect(Some("")), Err(ClientRefusal::RedirectUriMissing));
    assert_eq!(none.redirect(Some("")), Err(ClientRefusal::RedirectUriMissing));
}

// Goal: an app is redirected to by a scheme of its own, and to `localhost` under any port where its
// record says loopback (RFC 8252 sections 7.1 and 7.3). Method: register, present, edit; what is
// refused when it is registered is refused by an edit as well.
#[test]
fn an_app_is_redirected_to_by_its_own_scheme_and_to_localhost() {
    let world = World::new();
    let (own, local) = ("com.example.app:/oauth2redirect", "http://localhost/cb");
    let new = || NewClient::public("app").redirect_uri(own).redirect_uri(local);
    let ported = "http://localhost:51004/cb";
    let app = world.register(new()).client;
    assert_eq!(app.redirect(Some(own)), Ok(own));
    assert_eq!(app.redirect(Some(local)), Ok(local));
    for wrong in ["com.example.app:/oauth2redirect/", "com.example.other:/oauth2redirect", ported] {
        assert_eq!(app.redirect(Some(wrong)), Err(ClientRefusal::RedirectUri), "{wrong}");
    }
    let edit = |edit: &mut ClientEdit| edit.loopback = true;
    let edited = world.grants.update_client("app", edit).wait().unwrap().unwrap();
    assert!(edited.loopback && edited.redirect(Some(ported)) == Ok(ported));
    assert_eq!(world.client("app").unwrap(), edited);
    world.grants.delete_client("app").wait().unwrap();
    let app = world.register(new().loopback(true)).client;
    assert_eq!(app.redirect(Some(ported)), Ok(ported));

    world.register(new_client("server"));
    for (id, uri) in [("app", "javascript:alert(1)"), ("app", "app:/cb"), ("server", own)] {
        let edit = |edit: &mut ClientEdit| edit.redirect_uris.push(uri.to_owned());
        let error = world.grants.update_client(id, edit).wait().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Limit, "{uri}");
    }
}

// Goal: a grant type that only the server knows (RFC 6749 section 4.5) can be registered, is
// permitted to its client alone, and outlives every change of the record. Method: register one,
// rename the client, add a secret, disable and enable it; names that another version stored.
#[test]
fn a_grant_type_that_only_the_server_knows_is_kept() {
    let world = World::new();
    let exchange = GrantType::read("urn:ietf:params:oauth:grant-type:token-exchange").unwrap();
    let grants = [exchange.clone(), GrantType::AuthorizationCode];
    let expected = [GrantType::AuthorizationCode, exchange.clone()];
    let made = world.register(NewClient::confidential("app-1").grants(grants)).client;
    assert_eq!(made.grants, expected);
    assert_eq!(made.permits(&exchange), Ok(()));
    assert_eq!(made.permits(GrantType::Password), Err(ClientRefusal::GrantType));
    let other = GrantType::read("urn:ietf:params:oauth:grant-type:jwt-bearer").unwrap();
    assert_eq!(made.permits(other), Err(ClientRefusal::GrantType));
    let other_client = world.register(new_client("app-2")).client;
    assert_eq!(other_client.permits(&exchange), Err(ClientRefusal::GrantType));

    let rename = |edit: &mut ClientEdit| edit.name = "renamed".to_owned();
    world.grants.update_client("app-1", rename).wait().unwrap();
    world.grants.add_client_secret("app-1", NewSecret::minted()).wait().unwrap();
    world.grants.disable_client("app-1").wait().unwrap();
    world.grants.enable_client("app-1").wait().unwrap();
    assert_eq!(world.client("app-1").unwrap().grants, expected);

    // What somebody stored below the grants is read back and stays.
    let store = world.grants.store();
    let mut held = store.client("app-1").wait().unwrap().unwrap();
    held.record.grant_types = "password urn:later <unheard-of>".to_owned();
    let mut change = store.change().unwrap();
    change.replace(&held, &held.record, grantkeep::Timestamp::NEVER).unwrap();
    store.commit(change).wait().unwrap();
    world.grants.update_client("app-1", rename).wait().unwrap();
    let stored = store.client("app-1").wait().unwrap().unwrap().record.grant_types;
    assert_eq!(stored, "password urn:later <unheard-of>");
    let named =
        world.client("app-1").unwrap().grants.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(named, ["password", "urn:later", "<unheard-of>"]);
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

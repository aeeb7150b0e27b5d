//! Which policy a client is under, and of whom PKCE is demanded.

use crate::clients::new_client;
use crate::world::*;
use grantkeep::{ErrorKind, Wait};
use grantkeep_grants::{
    Authorize, ClientCredentials, ClientEdit, DeviceRequest, Grant, GrantType, Grants,
    Introspection, NewClient, OAuthError, Policy, Profile, RefreshRequest, Refreshed, Refreshing,
    RequirePkce,
};

const CHALLENGED: bool = true;

/// Whether a code is issued; a refusal is the one of RFC 7636 section 4.4.1.
fn is_issued(world: &World, client: &str, challenged: bool) -> bool {
    let request = Authorize::new(client, SUBJECT).redirect_uri(REDIRECT);
    let request = if challenged { request.pkce_s256(CHALLENGE) } else { request };
    match world.grants.authorize(request).wait() {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
            assert!(error.to_string().contains("PKCE"), "{error}");
            assert_eq!(OAuthError::from(&error).as_str(), "invalid_request");
            false
        }
    }
}

// Goal: PKCE is demanded of whom the policy says, and of whom the record says (RFC 9700 section
// 2.1.1; RFC 7636 section 4.4.1): of public clients by default. Method: each policy, for each kind
// of client and one that is not registered, with a challenge and without.
#[test]
fn pkce_is_demanded_of_whom_policy_or_record_says() {
    assert_eq!(Policy::default().require_pkce, RequirePkce::Public);
    for (require_pkce, [public, secret, unknown]) in [
        (RequirePkce::Always, [true, true, true]),
        (RequirePkce::Public, [true, false, false]),
        (RequirePkce::Never, [false, false, false]),
    ] {
        let world = World::under(Policy { require_pkce, ..Policy::default() });
        let policy = world.grants.policy();
        for (new, demanded) in [
            (NewClient::public("public").grants([GrantType::AuthorizationCode]), public),
            (NewClient::confidential("secret").grants([GrantType::AuthorizationCode]), secret),
            (
                NewClient::public("strict-public")
                    .grants([GrantType::AuthorizationCode])
                    .require_pkce(true),
                true,
            ),
            (
                NewClient::confidential("strict-secret")
                    .grants([GrantType::AuthorizationCode])
                    .require_pkce(true),
                true,
            ),
        ] {
            let client = world.register(new).client;
            assert_eq!(policy.demands_pkce(Some(&client)), demanded, "{client:?}");
            assert_eq!(is_issued(&world, &client.id, !CHALLENGED), !demanded, "{client:?}");
            assert!(is_issued(&world, &client.id, CHALLENGED));
        }
        assert_eq!(policy.demands_pkce(None), unknown);
        assert_eq!(is_issued(&world, "unregistered", !CHALLENGED), !unknown);
        assert!(is_issued(&world, "unregistered", CHALLENGED));
        // The server that keeps the challenge itself says so.
        let request = Authorize::new("strict-secret", SUBJECT).pkce_verified_elsewhere();
        assert!(world.grants.authorize(request).wait().is_ok());

        let edit = |edit: &mut ClientEdit| edit.require_pkce = true;
        world.grants.update_client("secret", edit).wait().unwrap();
        assert!(!is_issued(&world, "secret", !CHALLENGED));
    }
}

// Goal: each profile says of PKCE what its document says: three have a secret for every client, and
// one has public clients without PKCE. Method: both kinds of client under each.
#[test]
fn profiles_say_of_pkce_what_their_documents_say() {
    for (name, public) in
        [("hourfleet", false), ("hospitable", false), ("hapn", false), ("rest_api_v1", true)]
    {
        let world = World::under(Profile::named(name).unwrap());
        world.register(NewClient::public("public").grants([GrantType::AuthorizationCode]));
        world.register(NewClient::confidential("secret").grants([GrantType::AuthorizationCode]));
        assert_eq!(is_issued(&world, "public", !CHALLENGED), public, "{name}");
        assert!(is_issued(&world, "secret", !CHALLENGED), "{name}");
    }
}

// Goal: a client is under the policy that its record names, over changes of the record, and all
// others under the one of the grants. Method: two policies beside that one; register, edit, clone.
#[test]
fn a_client_is_under_the_policy_that_its_record_names() {
    let lasting = |seconds| Policy { access_lifetime: s(seconds), ..Policy::default() };
    let mut world = World::new();
    let grants = world.grants.clone();
    world.grants = grants
        .with_policy("kiosk", lasting(60))
        .unwrap()
        .with_policy("desk", lasting(120))
        .unwrap();
    world.register(new_client("plain"));
    world.register(new_client("lobby").policy("kiosk"));
    let under = |grants: &Grants<_>, id: &str| {
        let client = world.client(id).unwrap();
        grants.policy_of(&client).map(|policy| policy.access_lifetime)
    };
    assert_eq!(under(&world.grants, "plain").unwrap(), Policy::default().access_lifetime);
    assert_eq!(under(&world.grants, "lobby").unwrap(), s(60));
    assert_eq!(under(&world.grants.clone(), "lobby").unwrap(), s(60));
    world.grants.disable_client("lobby").wait().unwrap();
    world.grants.enable_client("lobby").wait().unwrap();
    assert_eq!(world.client("lobby").unwrap().policy.as_deref(), Some("kiosk"));
    let name = |name: Option<&str>| {
        let name = name.map(str::to_owned);
        let edit = |edit: &mut ClientEdit| edit.policy.clone_from(&name);
        world.grants.update_client("lobby", edit).wait()
    };
    name(Some("desk")).unwrap();
    assert_eq!(under(&world.grants, "lobby").unwrap(), s(120));
    name(None).unwrap();
    assert_eq!(under(&world.grants, "lobby").unwrap(), Policy::default().access_lifetime);
    // What it demands of PKCE counts as well.
    let strict = Policy { require_pkce: RequirePkce::Always, ..Policy::default() };
    let grants = world.grants.clone().with_policy("desk", strict).unwrap();
    name(Some("desk")).unwrap();
    let request = || Authorize::new("lobby", SUBJECT);
    assert!(world.grants.authorize(request()).wait().is_ok());
    assert_eq!(grants.authorize(request()).wait().unwrap_err().kind(), ErrorKind::Limit);
}

// Goal: a name that no policy has is refused with a typed error, when it is registered and when it
// is used: never is the default taken for it. Method: register, edit, and use it, under grants that
// know the policy and under others; names and policies out of bounds.
#[test]
fn a_policy_that_is_not_registered_is_refused() {
    let world = World::new();
    let refused = |error: grantkeep::Error| {
        assert_eq!(error.kind(), ErrorKind::Missing, "{error}");
        assert!(error.to_string().contains("\"kiosk\""), "{error}");
        assert_eq!(OAuthError::from(&error).as_str(), "server_error");
    };
    let new =
        || NewClient::confidential("lobby").grants([GrantType::AuthorizationCode]).policy("kiosk");
    refused(world.grants.create_client(new()).wait().unwrap_err());
    assert!(world.client("lobby").is_none());
    world.register(new_client("plain"));
    let edit = |edit: &mut ClientEdit| edit.policy = Some("kiosk".to_owned());
    refused(world.grants.update_client("plain", edit).wait().unwrap_err());
    assert_eq!(world.client("plain").unwrap().policy, None);

    let knowing = world.grants.clone().with_policy("kiosk", Policy::default()).unwrap();
    knowing.create_client(new()).wait().unwrap();
    assert!(knowing.authorize(Authorize::new("lobby", SUBJECT)).wait().is_ok());
    let client = world.client("lobby").unwrap();
    refused(world.grants.policy_of(&client).unwrap_err());
    let request = Authorize::new("lobby", SUBJECT).pkce_s256(CHALLENGE);
    refused(world.grants.authorize(request).wait().unwrap_err());
    let rename = |edit: &mut ClientEdit| edit.name = "renamed".to_owned();
    refused(world.grants.update_client("lobby", rename).wait().unwrap_err());
    let edit = |edit: &mut ClientEdit| edit.policy = None;
    assert!(world.grants.update_client("lobby", edit).wait().unwrap().is_some());

    let none = world.grants.clone().with_policy("", Policy::default()).unwrap_err();
    assert_eq!(none.kind(), ErrorKind::Limit);
    let bad = Policy { access_lifetime: s(0), ..Policy::default() };
    let bad = world.grants.clone().with_policy("kiosk", bad).unwrap_err();
    assert_eq!(bad.kind(), ErrorKind::Lifetime);
    assert!(bad.to_string().contains("kiosk") && bad.to_string().contains("access_lifetime"));
}

// Goal: a client is granted under its own policy in every flow, and nobody else is. Method: a
// policy that differs in each lifetime; what each flow says of a client that names it, and of
// another.
#[test]
fn every_flow_is_under_the_clients_own_policy() {
    let world = World::new();
    let kiosk = Policy {
        code_lifetime: s(11),
        access_lifetime: s(12),
        client_credentials_lifetime: s(13),
        device_lifetime: s(14),
        device_interval: s(3),
        push_lifetime: s(15),
        refreshing: Refreshing::Fixed,
        ..Policy::default()
    };
    let grants = world.with(Policy::default()).with_policy("kiosk", kiosk).unwrap();
    let every = [
        GrantType::AuthorizationCode,
        GrantType::RefreshToken,
        GrantType::ClientCredentials,
        GrantType::DeviceCode,
    ];
    let new = NewClient::confidential("lobby").grants(every).policy("kiosk");
    grants.create_client(new).wait().unwrap();
    for (client, own) in [("lobby", true), ("another", false)] {
        let pair = grants.open(Grant::new(client, SUBJECT)).wait().unwrap();
        assert_eq!(pair.expires_in == s(12), own);
        let request = grantkeep_grants::RefreshRequest::by(client);
        let next = grants.refresh(refresh_of(&pair), &request).wait().unwrap();
        let next = rotated(next);
        assert_eq!(next.expires_in == s(12), own);
        assert_eq!(refresh_of(&next) == refresh_of(&pair), own, "fixed, or rotated");
        let token = grants.client_credentials(ClientCredentials::new(client)).wait().unwrap();
        assert_eq!(token.expires_in == s(13), own);
        let device = grants.device(DeviceRequest::new(client)).wait().unwrap();
        assert_eq!(device.expires_in == s(14) && device.interval == s(3), own);
        let pushed = grants.push(client, b"parameters").wait().unwrap();
        assert_eq!(pushed.expires_in == s(15), own);
        let code = grants.authorize(Authorize::new(client, SUBJECT).pkce_s256(CHALLENGE)).wait();
        world.clock.advance(s(11));
        let presented = grantkeep_grants::Presented::by(client).verifier(VERIFIER);
        let redeemed = grants.redeem(code.unwrap().expose(), &presented).wait().unwrap();
        assert_eq!(matches!(redeemed, grantkeep_grants::Redeemed::Expired), own);
    }
}

// Goal: a refresh token is introspected under the policy that its client's record names, as it
// would be refreshed (RFC 7662 section 2.2): inactive where that issues none. Method: refreshing
// switched off by the named policy, and by the default one alone; a policy that is not registered.
#[test]
fn a_refresh_token_is_introspected_under_its_clients_policy() {
    let world = World::new();
    let off = || Policy { refreshing: Refreshing::Off, ..Policy::default() };
    let issuing = world.with(Policy::default()).with_policy("kiosk", Policy::default()).unwrap();
    let grants = [GrantType::AuthorizationCode, GrantType::RefreshToken];
    let new = NewClient::confidential("lobby").grants(grants).policy("kiosk");
    issuing.create_client(new).wait().unwrap();
    for (default, named, lobby, another) in
        [(Policy::default(), off(), false, true), (off(), Policy::default(), true, false)]
    {
        let judging = world.with(default).with_policy("kiosk", named).unwrap();
        for (client, active) in [("lobby", lobby), ("another", another)] {
            let pair = issuing.open(Grant::new(client, SUBJECT)).wait().unwrap();
            let answer = judging.introspect(refresh_of(&pair)).wait().unwrap();
            assert_eq!(matches!(answer, Introspection::Active(_)), active, "{client}");
            let answer = judging.introspect(pair.access.expose()).wait().unwrap();
            assert!(matches!(answer, Introspection::Active(_)));
            let request = RefreshRequest::by(client);
            let answer = judging.refresh(refresh_of(&pair), &request).wait().unwrap();
            assert_eq!(matches!(answer, Refreshed::Rotated(_)), active, "{client}");
        }
    }
    let pair = issuing.open(Grant::new("lobby", SUBJECT)).wait().unwrap();
    let error = world.grants.introspect(refresh_of(&pair)).wait().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Missing, "{error}");
}

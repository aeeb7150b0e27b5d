//! Disabling, enabling, and deleting clients: final over every race.

use crate::clients::{created, new_client};
use crate::interposed::Interposed;
use crate::world::*;
use grantkeep::{ErrorKind, ManualClock, Wait};
use grantkeep_grants::{
    ClientCredentials, ClientState, Grant, GrantType, Grants, Introspection, NewClient,
    NewPersonal, OAuthError, Policy, Redeemed, RefreshRequest, Refreshed, Secret,
};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::UNIX_EPOCH;

/// A way to issue.
type Issue = fn(&Grants<Interposed>) -> grantkeep::Result<()>;

/// A client that may be granted whatever these tests ask for.
fn every_grant(id: &str) -> NewClient<'_> {
    new_client(id).grants([
        GrantType::AuthorizationCode,
        GrantType::RefreshToken,
        GrantType::Password,
        GrantType::ClientCredentials,
    ])
}

// Goal: P6, all that was issued to a client goes with it in one write, nothing is issued to it, and
// the error says why; enabling it revives nothing. Method: each kind of grant, before and after.
#[test]
fn nothing_is_issued_to_a_disabled_client() {
    let world = World::new();
    let grants = &world.grants;
    world.register(every_grant(CLIENT));
    let (pair, code) = (world.pair(), world.code());
    let own = grants.client_credentials(ClientCredentials::new(CLIENT)).wait().unwrap().access;
    let personal = || NewPersonal::new(SUBJECT, "laptop").client(CLIENT);
    let personal_token = grants.create_personal(personal()).wait().unwrap().token;
    let commits = grants.store().stats().commits;
    let disabled = grants.disable_client(CLIENT).wait().unwrap().unwrap();
    assert_eq!(disabled.state, ClientState::Disabled { at: world.now() });
    assert_eq!(grants.disable_client(CLIENT).wait().unwrap().unwrap(), disabled);
    assert_eq!(grants.store().stats().commits, commits + 1);

    let old = [pair.access.expose(), refresh_of(&pair), own.expose(), personal_token.expose()];
    let dead = || old.iter().all(|token| !world.is_active(token));
    assert!(dead());
    assert!(matches!(world.redeem(&code), Redeemed::Revoked));
    assert!(matches!(world.refresh(refresh_of(&pair)), Refreshed::Revoked));
    // Not by a revocation in between either.
    for _ in 0..2 {
        for error in [
            grants.authorize(authorize()).wait().unwrap_err(),
            grants.open(Grant::new(CLIENT, SUBJECT)).wait().unwrap_err(),
            grants.client_credentials(ClientCredentials::new(CLIENT)).wait().unwrap_err(),
            grants.create_personal(personal()).wait().unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::Disabled);
            assert_eq!(
                error.to_string(),
                "client `client-1` is disabled: enable it before issuing to it"
            );
            assert_eq!(OAuthError::from(&error).as_str(), "unauthorized_client");
        }
        grants.revoke_client(CLIENT).wait().unwrap();
    }
    assert!(grants.open(Grant::new("client-2", SUBJECT)).wait().is_ok());

    // The rows outlive whatever else the store holds.
    world.clock.advance(s(11 * 365 * DAY_S));
    grants.store().accept_clock();
    grants.store().sweep(grantkeep::backend::Budget::ALL).wait().unwrap();
    assert_eq!(grants.authorize(authorize()).wait().unwrap_err().kind(), ErrorKind::Disabled);

    assert!(grants.enable_client(CLIENT).wait().unwrap().unwrap().is_enabled());
    assert!(grants.enable_client(CLIENT).wait().unwrap().is_some());
    assert!(dead());
    let pair = world.pair();
    rotated(world.refresh(refresh_of(&pair)));
    assert!(world.is_active(pair.access.expose()));
    assert!(grants.disable_client("nobody").wait().unwrap().is_none());
    assert!(grants.enable_client("nobody").wait().unwrap().is_none());
}

// Goal: a deleted client is gone with all it had, and the next one of its id inherits nothing.
// Method: delete, issue, register again, with and without a revocation between.
#[test]
fn a_deleted_client_leaves_nothing() {
    for revoke in [false, true] {
        let world = World::new();
        let secret = world.register(every_grant(CLIENT)).secret.unwrap();
        let (pair, code) = (world.pair(), world.code());
        world.grants.delete_client(CLIENT).wait().unwrap();
        world.grants.delete_client(CLIENT).wait().unwrap();
        if revoke {
            world.grants.revoke_client(CLIENT).wait().unwrap();
        }
        assert!(world.client(CLIENT).is_none());
        assert!(!world.authenticates(CLIENT, Some(secret.expose())));
        assert!(!world.is_active(pair.access.expose()));
        let error = world.grants.authorize(authorize()).wait().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Disabled);

        world.register(every_grant(CLIENT));
        assert!(!world.authenticates(CLIENT, Some(secret.expose())));
        assert!(!world.is_active(pair.access.expose()));
        assert!(matches!(world.redeem(&code), Redeemed::Revoked));
        assert!(world.is_active(world.pair().access.expose()));
    }
}

// Goal: a client whose id was another's until just now is not born disabled. Method: create and
// delete one of the same id between decision and commit.
#[test]
fn a_client_is_not_born_disabled() {
    let clock = Arc::new(ManualClock::at(UNIX_EPOCH + s(1_800_000_000)));
    let stage = Interposed::grants(clock, Policy::default());
    let same = stage.clone();
    stage.store().backend().before_commit(move || {
        created(same.create_client(every_grant(CLIENT)).wait().unwrap());
        same.delete_client(CLIENT).wait().unwrap();
    });
    created(stage.create_client(every_grant(CLIENT)).wait().unwrap());
    let code = stage.authorize(authorize()).wait().unwrap();
    granted(stage.redeem(code.expose(), &presented()).wait().unwrap());
}

// Goal: an issue that disabling overtakes issues nothing. Method: disable between decision and
// commit of each way to issue.
#[test]
fn an_issue_overtaken_by_disabling_issues_nothing() {
    let stage = || {
        let clock = Arc::new(ManualClock::at(UNIX_EPOCH + s(1_800_000_000)));
        let stage = Interposed::grants(clock, Policy::default());
        created(stage.create_client(every_grant(CLIENT)).wait().unwrap());
        stage
    };
    let disable_next = |stage: &Grants<Interposed>| {
        let same = stage.clone();
        let act = move || drop(same.disable_client(CLIENT).wait().unwrap());
        stage.store().backend().before_commit(act);
    };
    let issue: [Issue; 4] = [
        |stage| stage.authorize(authorize()).wait().map(drop),
        |stage| stage.open(Grant::new(CLIENT, SUBJECT)).wait().map(drop),
        |stage| stage.client_credentials(ClientCredentials::new(CLIENT)).wait().map(drop),
        |stage| {
            let new = NewPersonal::new(SUBJECT, "laptop").client(CLIENT);
            stage.create_personal(new).wait().map(drop)
        },
    ];
    for issue in issue {
        let stage = stage();
        disable_next(&stage);
        assert_eq!(issue(&stage).unwrap_err().kind(), ErrorKind::Disabled);
    }
    let stage = stage();
    let code = stage.authorize(authorize()).wait().unwrap();
    disable_next(&stage);
    let answer = stage.redeem(code.expose(), &presented()).wait().unwrap();
    assert!(matches!(answer, Redeemed::Revoked));
    stage.enable_client(CLIENT).wait().unwrap();
    let code = stage.authorize(authorize()).wait().unwrap();
    let pair = granted(stage.redeem(code.expose(), &presented()).wait().unwrap());
    disable_next(&stage);
    let request = RefreshRequest::by(CLIENT);
    let answer = stage.refresh(refresh_of(&pair), &request).wait().unwrap();
    assert!(matches!(answer, Refreshed::Revoked));
}

// Goal: P6, nothing issued is active once disabling is acknowledged. Method: six threads issue in
// every way while one disables and looks at all that was answered by then, and again at the end.
#[test]
fn nothing_is_active_once_disabling_is_acknowledged() {
    for _ in 0..20 {
        let world = World::new();
        world.register(every_grant(CLIENT));
        let (issued, over) = (Mutex::new(Vec::<Secret>::new()), AtomicBool::new(false));
        let dead = |tokens: &[Secret]| tokens.iter().all(|t| !world.is_active(t.expose()));
        std::thread::scope(|scope| {
            for racer in 0..6 {
                let (world, issued, over) = (&world, &issued, &over);
                scope.spawn(move || {
                    while !over.load(Ordering::SeqCst) {
                        let grants = &world.grants;
                        let answer = if racer % 2 == 0 {
                            grants.open(Grant::new(CLIENT, SUBJECT)).wait().map(|p| p.access)
                        } else {
                            let own = ClientCredentials::new(CLIENT);
                            grants.client_credentials(own).wait().map(|own| own.access)
                        };
                        match answer {
                            Ok(token) => issued.lock().unwrap().push(token),
                            Err(error) => assert_eq!(error.kind(), ErrorKind::Disabled),
                        }
                    }
                });
            }
            while issued.lock().unwrap().len() < 30 {
                std::thread::yield_now();
            }
            world.grants.disable_client(CLIENT).wait().unwrap();
            assert!(dead(&issued.lock().unwrap()));
            over.store(true, Ordering::SeqCst);
        });
        assert!(dead(&issued.into_inner().unwrap()));
        let families = world.grants.families_of_client(CLIENT, None, 1_000).wait().unwrap();
        assert!(families.items.is_empty());
        assert!(matches!(
            world.grants.introspect("unknown, and long enough").wait().unwrap(),
            Introspection::Inactive
        ));
    }
}

//! Redemption in two steps: claimed, then completed; and refresh tokens that are looked at first.

use crate::interposed::Interposed;
use crate::world::*;
use grantkeep::backend::Budget;
use grantkeep::{ErrorKind, Family, FamilyId, ManualClock, Record as _, Wait};
use grantkeep_grants::{
    Claimed, ClaimedGrant, ClientCredentials, Completed, Completion, Grants, Issued, Mismatch,
    Policy, Redeemed, RefreshStanding, Refreshed, Refreshing, Secret,
};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

type Revoke = fn(&Grants<grantkeep::Memory>, FamilyId);

impl World {
    fn claim(&self, code: &Secret) -> Claimed {
        self.grants.claim(code.expose()).wait().unwrap()
    }

    fn complete(&self, family: FamilyId) -> Completed {
        self.grants.complete(family, &Completion::by(CLIENT)).wait().unwrap()
    }

    fn families(&self) -> usize {
        self.grants.families_of(SUBJECT, None, 10).wait().unwrap().items.len()
    }
}

fn taken(claimed: Claimed) -> ClaimedGrant {
    match claimed {
        Claimed::Grant(grant) => *grant,
        other => panic!("not claimed: {other:?}"),
    }
}

fn completed(completed: Completed) -> Issued {
    match completed {
        Completed::Granted(pair) => *pair,
        other => panic!("not completed: {other:?}"),
    }
}

// Goal: a claimed code gives back all it held, and completing it gives what redeeming would have.
// Method: both on codes of one request; compare what they stand for.
#[test]
fn a_claim_is_a_redemption_in_two_steps() {
    let world = World::new();
    let request = || authorize().audience(["https://api.example"]).sealed_payload(b"claims");
    let code = world.grants.authorize(request()).wait().unwrap();
    let grant = taken(world.claim(&code));
    assert_eq!((grant.client.as_str(), grant.subject.as_str()), (CLIENT, SUBJECT));
    assert_eq!((grant.scopes.as_str(), &*grant.audience), ("read write", "https://api.example"));
    assert_eq!(grant.redirect_uri.as_deref(), Some(REDIRECT));
    assert_eq!(grant.nonce.as_deref(), Some("nonce-1"));
    assert!(grant.challenge.is_some() && grant.confirmation.is_none());
    assert_eq!(grant.payload.as_deref(), Some(&b"claims"[..]));
    assert_eq!(grant.expires_at, world.now() + s(60));
    let family = grant.family.unwrap();
    assert_eq!(world.families(), 0, "reserved");

    world.clock.advance(s(10));
    let pair = completed(world.complete(family));
    let other = world.grants.authorize(request()).wait().unwrap();
    let redeemed = granted(world.redeem(&other));
    assert_eq!((pair.family, pair.expires_in), (Some(family), redeemed.expires_in));
    assert_eq!(pair.payload, redeemed.payload);
    for (one, two) in [
        (pair.access.expose(), redeemed.access.expose()),
        (refresh_of(&pair), refresh_of(&redeemed)),
    ] {
        let (one, two) = (world.claims(one).unwrap(), world.claims(two).unwrap());
        assert_eq!((one.scopes, one.audience), (two.scopes, two.audience));
        assert_eq!((one.issued_at, one.expires_at), (two.issued_at, two.expires_at));
    }
    let [one, two] = [family, redeemed.family.unwrap()]
        .map(|family| world.grants.store().get::<Family>(family.digest()).wait().unwrap().unwrap());
    assert_eq!(one.expires_at, two.expires_at);
    assert_eq!(one.record.absolute_expires_at, two.record.absolute_expires_at);
    assert_eq!(world.families(), 2);
    rotated(world.refresh(refresh_of(&pair)));
    assert!(matches!(world.complete(family), Completed::Already));
    assert!(world.is_active(pair.access.expose()));
}

// Goal: what is completed is what the caller says, within what was granted. Method: narrower
// scopes and another payload; wider scopes, malformed ones, and another client, which change
// nothing.
#[test]
fn a_claim_is_completed_as_the_caller_says() {
    let world = World::new();
    let code = world.grants.authorize(authorize().payload(b"old")).wait().unwrap();
    let family = taken(world.claim(&code)).family.unwrap();
    let complete = |completion: Completion<'_>| {
        let answer = world.grants.complete(family, &completion).wait().unwrap();
        let code = answer.oauth_error().map(grantkeep_grants::OAuthError::as_str);
        (answer, code)
    };
    let (answer, code) = complete(Completion::by("client-2"));
    assert!(matches!(answer, Completed::Mismatch(Mismatch::Client)));
    assert_eq!(code, Some("invalid_grant"));
    for scopes in ["admin", "re\"ad"] {
        let (answer, code) = complete(Completion::by(CLIENT).scopes([scopes]));
        assert!(matches!(answer, Completed::InvalidScope));
        assert_eq!(code, Some("invalid_scope"));
    }
    let large = vec![0; 16 * 1024 + 1];
    let over = Completion::by(CLIENT).payload(&large);
    let error = world.grants.complete(family, &over).wait().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit);
    let (answer, code) = complete(Completion::by(CLIENT).scopes(["read"]).sealed_payload(b"new"));
    let pair = completed(answer);
    assert_eq!((pair.scopes.as_str(), code), ("read", None));
    let next = rotated(world.refresh(refresh_of(&pair)));
    assert_eq!((next.scopes.as_str(), next.payload.as_deref()), ("read", Some(&b"new"[..])));
    assert!(matches!(
        world.grants.complete(FamilyId([7; 12]), &Completion::by(CLIENT)).wait().unwrap(),
        Completed::Unknown
    ));
}

// Goal: P3, a replay between the two steps refuses the second, and one after it ends what it
// issued, whether it is claimed or redeemed. Method: each.
#[test]
fn a_replay_between_or_after_ends_a_claim() {
    let replay_by_claim = |world: &World, code: &Secret| {
        assert!(matches!(world.claim(code), Claimed::Replayed { family: Some(_) }));
    };
    let replay_by_redeeming = |world: &World, code: &Secret| {
        assert!(matches!(world.redeem(code), Redeemed::Replayed { family: Some(_) }));
    };
    for replay in [replay_by_claim as fn(&World, &Secret), replay_by_redeeming] {
        let world = World::new();
        let code = world.code();
        let family = taken(world.claim(&code)).family.unwrap();
        replay(&world, &code);
        assert!(matches!(world.complete(family), Completed::Revoked));
        let code = world.code();
        let pair = completed(world.complete(taken(world.claim(&code)).family.unwrap()));
        assert!(world.is_active(pair.access.expose()));
        replay(&world, &code);
        assert!(!world.is_active(pair.access.expose()) && !world.is_active(refresh_of(&pair)));
        assert!(matches!(world.refresh(refresh_of(&pair)), Refreshed::Revoked));
        // A code that was redeemed is a replay for a claim.
        let code = world.code();
        let pair = granted(world.redeem(&code));
        assert!(matches!(world.claim(&code), Claimed::Replayed { .. }));
        assert!(!world.is_active(pair.access.expose()));
    }
}

// Goal: P6, a revocation between the two steps refuses the second. Method: revoke the subject, the
// client, and the family; disable the client; before the claim as well.
#[test]
fn a_revocation_between_ends_a_claim() {
    let disable = |grants: &Grants<grantkeep::Memory>, _| {
        let new = grantkeep_grants::NewClient::public(CLIENT);
        grants.create_client(new).wait().unwrap();
        grants.disable_client(CLIENT).wait().unwrap();
    };
    let revoke: [Revoke; 4] = [
        |grants, _| grants.revoke_subject(SUBJECT).wait().unwrap(),
        |grants, _| grants.revoke_client(CLIENT).wait().unwrap(),
        |grants, family| grants.revoke_family(family).wait().unwrap(),
        disable,
    ];
    for (at, revoke) in revoke.into_iter().enumerate() {
        let world = World::new();
        let (claimed, fresh) = (world.code(), world.code());
        let family = taken(world.claim(&claimed)).family.unwrap();
        revoke(&world.grants, family);
        assert!(matches!(world.complete(family), Completed::Revoked));
        assert_eq!(matches!(world.claim(&fresh), Claimed::Revoked), at != 2);
    }
}

// Goal: P5, a claim lives no longer than its code would have, and leaves nothing; an expired code
// is given back with nothing to complete. Method: to the millisecond; sweep, and count.
#[test]
fn an_abandoned_claim_leaves_nothing() {
    let world = World::new();
    let (early, late, expired) = (world.code(), world.code(), world.code());
    world.clock.advance(s(30));
    let [early, late] = [early, late].map(|code| taken(world.claim(&code)).family.unwrap());
    world.clock.advance(s(30) - MS);
    completed(world.complete(early));
    world.clock.advance(MS);
    assert!(matches!(world.complete(late), Completed::Unknown));
    let grant = taken(world.claim(&expired));
    assert!(grant.family.is_none());
    assert_eq!((grant.expires_at, grant.subject.as_str()), (world.now(), SUBJECT));
    assert!(matches!(world.claim(&expired), Claimed::Replayed { family: None }));
    world.clock.advance(s(3600));
    world.grants.store().sweep(Budget::ALL).wait().unwrap();
    assert!(matches!(world.complete(late), Completed::Unknown));
    assert_eq!(world.grants.store().stats().rows_of(Family::KIND), 1, "the completed one");
    assert!(matches!(world.claim(&expired), Claimed::Unknown));
    for text in ["", "x", &"x".repeat(100)] {
        assert!(matches!(world.grants.claim(text).wait().unwrap(), Claimed::Unknown));
    }
    let over = world.grants.claim(&"x".repeat(8_193)).wait().unwrap_err();
    assert_eq!(over.kind(), ErrorKind::Limit);
}

// Goal: P3, of two claims of one code that meet one is granted, and of two completions. Method: do
// the same between decision and commit; a lost answer.
#[test]
fn claims_and_completions_that_meet() {
    let clock = Arc::new(ManualClock::at(UNIX_EPOCH + s(1_800_000_000)));
    let stage = Interposed::grants(clock, Policy::default());
    let code = stage.authorize(authorize()).wait().unwrap();
    let (same, text) = (stage.clone(), code.expose().to_owned());
    let (send, first) = std::sync::mpsc::channel();
    stage.store().backend().before_commit(move || {
        send.send(taken(same.claim(&text).wait().unwrap()).family.unwrap()).unwrap();
    });
    let second = stage.claim(code.expose()).wait().unwrap();
    assert!(matches!(second, Claimed::Replayed { family: Some(_) }));
    let complete = |family| stage.complete(family, &Completion::by(CLIENT)).wait();
    assert!(matches!(complete(first.recv().unwrap()).unwrap(), Completed::Revoked));

    let claim = || {
        let code = stage.authorize(authorize()).wait().unwrap();
        taken(stage.claim(code.expose()).wait().unwrap()).family.unwrap()
    };
    let family = claim();
    let same = stage.clone();
    stage.store().backend().before_commit(move || {
        completed(same.complete(family, &Completion::by(CLIENT)).wait().unwrap());
    });
    assert!(matches!(complete(family).unwrap(), Completed::Already));
    let family = claim();
    let same = stage.clone();
    stage.store().backend().before_commit(move || same.revoke_family(family).wait().unwrap());
    assert!(matches!(complete(family).unwrap(), Completed::Revoked));
    let family = claim();
    stage.store().backend().lose_answer();
    assert_eq!(complete(family).unwrap_err().kind(), ErrorKind::Unknown);
    assert!(matches!(complete(family).unwrap(), Completed::Already));
}

// Goal: a claim that a policy without refresh tokens completes has none. Method: complete one, look
// at its row and its access token.
#[test]
fn a_claim_without_refresh_tokens() {
    let world = World::new();
    let code = world.code();
    let family = taken(world.claim(&code)).family.unwrap();
    let grants = world.with(Policy { refreshing: Refreshing::Off, ..Policy::default() });
    let pair = completed(grants.complete(family, &Completion::by(CLIENT)).wait().unwrap());
    assert!(pair.refresh.is_none() && world.is_active(pair.access.expose()));
    world.clock.advance(s(900));
    assert!(!world.is_active(pair.access.expose()));
}

// Goal: a refresh token that is looked at is worth what using it would give, and a spent one ends
// its family. Method: the present one, its predecessor within grace and after, an access token, an
// expired one; then use what is said to be usable.
#[test]
fn a_refresh_token_is_looked_at_before_it_is_used() {
    let world = World::new();
    let look = |token: &str| world.grants.refresh_standing(token).wait().unwrap();
    let is_usable = |token: &str| matches!(look(token), RefreshStanding::Usable(_));
    let first = world.pair();
    let RefreshStanding::Usable(claims) = look(refresh_of(&first)) else { panic!("not usable") };
    assert_eq!((claims.family, claims.scopes.as_str()), (first.family, "read write"));
    assert_eq!(claims.expires_at, Some(world.now() + s(30 * DAY_S)));
    assert!(!is_usable(first.access.expose()) && !is_usable("unknown, and long enough"));
    assert!(!is_usable(""));
    let second = rotated(world.refresh(refresh_of(&first)));
    world.clock.advance(s(30) - MS);
    assert!(is_usable(refresh_of(&first)) && is_usable(refresh_of(&second)));
    assert!(matches!(world.refresh(refresh_of(&first)), Refreshed::Retried(_)));
    world.clock.advance(MS);
    let RefreshStanding::Reused { family, revoked: true } = look(refresh_of(&first)) else {
        panic!("not reuse")
    };
    assert_eq!(Some(family), first.family);
    assert!(!is_usable(refresh_of(&second)) && !world.is_active(second.access.expose()));

    let pair = world.pair();
    let off = world.with(Policy { refreshing: Refreshing::Off, ..Policy::default() });
    let answer = off.refresh_standing(refresh_of(&pair)).wait().unwrap();
    assert!(matches!(answer, RefreshStanding::Unusable));
    world.clock.advance(s(30 * DAY_S));
    assert!(!is_usable(refresh_of(&pair)));
}

// Goal: a client's own token goes with the subject it was issued for, and carries what the server
// attached. Method: issue, open the payload, revoke the subject.
#[test]
fn a_client_credential_with_a_subject() {
    let world = World::new();
    let request = ClientCredentials::new(CLIENT).subject("company").sealed_payload(b"claims");
    assert!(!format!("{request:?}").contains("99, 108"), "the payload's bytes");
    let token = world.grants.client_credentials(request).wait().unwrap().access;
    let claims = world.claims(token.expose()).unwrap();
    assert_eq!(claims.subject.as_deref(), Some("company"));
    let payload = world.grants.payload(&claims, token.expose()).unwrap();
    assert_eq!(payload.as_deref(), Some(&b"claims"[..]));
    world.grants.revoke_subject("company").wait().unwrap();
    assert!(!world.is_active(token.expose()));
}

//! What happens between a decision and its commit, case by case, and answers that are lost.

use crate::interposed::Interposed;
use crate::world::*;
use grantkeep::{ErrorKind, ManualClock, Owner, Wait};
use grantkeep_grants::{
    ClientCredentials, Grant, Grants, Introspection, Issued, NewPersonal, Policy, Redeemed,
    RefreshRequest, Refreshed, Secret,
};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

type Stage = Grants<Interposed>;

fn stage_under(policy: Policy) -> Stage {
    Interposed::grants(Arc::new(ManualClock::at(UNIX_EPOCH + s(1_800_000_000))), policy)
}

fn stage() -> Stage {
    stage_under(Policy::default())
}

/// Has `act` happen between the next decision on `stage` and its commit.
fn between(stage: &Stage, act: impl FnOnce(&Stage) + Send + 'static) {
    let same = stage.clone();
    stage.store().backend().before_commit(move || act(&same));
}

fn code(stage: &Stage) -> Secret {
    stage.authorize(authorize()).wait().unwrap()
}

fn redeem(stage: &Stage, code: &str) -> Redeemed {
    stage.redeem(code, &presented()).wait().unwrap()
}

fn pair(stage: &Stage) -> Issued {
    granted(redeem(stage, code(stage).expose()))
}

fn refresh(stage: &Stage, token: &str) -> Refreshed {
    stage.refresh(token, &RefreshRequest::by(CLIENT)).wait().unwrap()
}

fn is_active(stage: &Stage, token: &Secret) -> bool {
    matches!(stage.introspect(token.expose()).wait().unwrap(), Introspection::Active(_))
}

// Goal: P3, a redemption that another one overtakes is a replay, and the other's pair dies with
// it. Method: redeem between decision and commit.
#[test]
fn a_redemption_overtaken_is_a_replay() {
    let stage = stage();
    let code = code(&stage);
    let text = code.expose().to_owned();
    between(&stage, move |stage| drop(granted(redeem(stage, &text))));
    let Redeemed::Replayed { family: Some(family) } = redeem(&stage, code.expose()) else {
        panic!("not a replay")
    };
    let listed = stage.families_of(SUBJECT, None, 10).wait().unwrap();
    assert!(listed.items.iter().all(|item| item.family != family));
}

// Goal: P6, a redemption or a refresh that a revocation overtakes issues nothing. Method: revoke
// the subject, the client, the pair of both, and the family between decision and commit; count the
// rows.
#[test]
fn an_issue_overtaken_by_a_revocation_is_revoked() {
    let revoke_subject = |stage: &Stage| stage.revoke_subject(SUBJECT).wait().unwrap();
    let revoke_client = |stage: &Stage| stage.revoke_client(CLIENT).wait().unwrap();
    let revoke_pair = |stage: &Stage| {
        let pair = Owner::Pair { subject: SUBJECT, client: CLIENT };
        stage.store().begin_epoch(pair).wait().unwrap();
    };
    for revoke in [revoke_subject as fn(&Stage), revoke_client, revoke_pair] {
        let stage = stage();
        let fresh = code(&stage);
        let rows = stage.store().stats().rows_total();
        between(&stage, revoke);
        assert!(matches!(redeem(&stage, fresh.expose()), Redeemed::Revoked));
        assert_eq!(stage.store().stats().rows_total(), rows + 1, "the epoch only");
        let pair = pair(&stage);
        between(&stage, revoke);
        assert!(matches!(refresh(&stage, refresh_of(&pair)), Refreshed::Revoked));
        rotated(refresh(&stage, refresh_of(&self::pair(&stage))));
    }
    let stage = stage();
    let pair = pair(&stage);
    let family = pair.family.unwrap();
    between(&stage, move |stage| stage.revoke_family(family).wait().unwrap());
    assert!(matches!(refresh(&stage, refresh_of(&pair)), Refreshed::Revoked));
}

// Goal: what is answered after a revocation was issued after it. Method: revoke the client between
// decision and commit of each way to issue, and use what was issued.
#[test]
fn an_issue_that_decides_again_is_from_after() {
    let stage = stage();
    let revoke = |stage: &Stage| stage.revoke_client(CLIENT).wait().unwrap();
    revoke(&stage);
    between(&stage, revoke);
    granted(redeem(&stage, code(&stage).expose()));
    between(&stage, revoke);
    let pair = stage.open(Grant::new(CLIENT, SUBJECT)).wait().unwrap();
    assert!(is_active(&stage, &pair.access));
    between(&stage, revoke);
    let issued = stage.client_credentials(ClientCredentials::new(CLIENT)).wait().unwrap();
    assert!(is_active(&stage, &issued.access));
    between(&stage, revoke);
    let new = NewPersonal::new(SUBJECT, "laptop").client(CLIENT);
    let personal = stage.create_personal(new).wait().unwrap();
    assert!(is_active(&stage, &personal.token));
    assert!(!is_active(&stage, &pair.access) && !is_active(&stage, &issued.access));
}

// Goal: P3, a rotation that another one overtakes is its retry within grace, and reuse without.
// Method: rotate between decision and commit, under both policies.
#[test]
fn a_rotation_overtaken_is_a_retry_or_reuse() {
    for grace in [30, 0] {
        let stage = stage_under(Policy { refresh_grace: s(grace), ..Policy::default() });
        let first = pair(&stage);
        let text = refresh_of(&first).to_owned();
        between(&stage, move |stage| drop(rotated(refresh(stage, &text))));
        match refresh(&stage, refresh_of(&first)) {
            Refreshed::Retried(pair) if grace > 0 => {
                rotated(refresh(&stage, refresh_of(&pair)));
            }
            Refreshed::Reused { .. } if grace == 0 => {}
            other => panic!("{other:?}"),
        }
    }
}

// Goal: a retry holds only while the successor is unused and the family in force. Method: use the
// successor, or revoke the family, between the retry's decision and its commit.
#[test]
fn a_retry_overtaken_is_no_retry() {
    for revoke in [false, true] {
        let stage = stage();
        let first = pair(&stage);
        let second = rotated(refresh(&stage, refresh_of(&first)));
        let (text, family) = (refresh_of(&second).to_owned(), second.family);
        between(&stage, move |stage| {
            if revoke {
                stage.revoke_family(family.unwrap()).wait().unwrap();
            } else {
                rotated(refresh(stage, &text));
            }
        });
        match refresh(&stage, refresh_of(&first)) {
            Refreshed::Revoked if revoke => {}
            Refreshed::Reused { .. } if !revoke => {}
            other => panic!("{other:?}"),
        }
        assert!(!is_active(&stage, &second.access));
    }
}

// Goal: P2, a revocation is not lost to a rotation that overtakes it. Method: rotate between
// decision and commit of a revocation, of a replay, and of a reuse.
#[test]
fn a_revocation_overtaken_by_a_rotation_holds() {
    let stage = stage();
    for way in 0..3 {
        let code = code(&stage);
        let first = granted(redeem(&stage, code.expose()));
        let second = rotated(refresh(&stage, refresh_of(&first)));
        let third = rotated(refresh(&stage, refresh_of(&second)));
        let text = refresh_of(&third).to_owned();
        between(&stage, move |stage| drop(rotated(refresh(stage, &text))));
        match way {
            0 => stage.revoke_family(first.family.unwrap()).wait().unwrap(),
            1 => assert!(matches!(redeem(&stage, code.expose()), Redeemed::Replayed { .. })),
            _ => {
                let answer = refresh(&stage, refresh_of(&first));
                assert!(matches!(answer, Refreshed::Reused { .. }));
            }
        }
        assert!(!is_active(&stage, &third.access));
        assert!(stage.families_of(SUBJECT, None, 10).wait().unwrap().items.is_empty());
    }
}

// Goal: P2, a mismatch that would burn does not undo a redemption that overtakes it, and is then
// the replay that it looks like. Method: redeem between decision and commit of a burn.
#[test]
fn a_burn_overtaken_is_a_replay() {
    let stage = stage_under(Policy { burn_on_mismatch: true, ..Policy::default() });
    let code = code(&stage);
    let text = code.expose().to_owned();
    between(&stage, move |stage| drop(granted(redeem(stage, &text))));
    let wrong = presented().verifier(CHALLENGE);
    let answer = stage.redeem(code.expose(), &wrong).wait().unwrap();
    assert!(matches!(answer, Redeemed::Replayed { family: Some(_) }));
}

// Goal: P3, a lost answer never gives twice: a code is then a replay, a rotation a retry with the
// same successor, a revocation is done. Method: lose the answer of each, and repeat it.
#[test]
fn a_lost_answer_is_safe_to_repeat() {
    let stage = stage();
    let lose = || stage.store().backend().lose_answer();
    let fresh = code(&stage);
    lose();
    let lost = stage.redeem(fresh.expose(), &presented()).wait().unwrap_err();
    assert_eq!(lost.kind(), ErrorKind::Unknown);
    assert!(matches!(redeem(&stage, fresh.expose()), Redeemed::Replayed { family: Some(_) }));
    let pair = pair(&stage);
    lose();
    let request = RefreshRequest::by(CLIENT);
    assert!(stage.refresh(refresh_of(&pair), &request).wait().is_err());
    let Refreshed::Retried(next) = refresh(&stage, refresh_of(&pair)) else { panic!() };
    lose();
    assert!(stage.revoke_family(next.family.unwrap()).wait().is_err());
    assert!(!is_active(&stage, &next.access));
    stage.revoke_family(next.family.unwrap()).wait().unwrap();
}

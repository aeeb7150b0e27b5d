//! Revocation by token, family, subject, and client; and listing what is in force.

use crate::world::*;
use grantkeep::{ErrorKind, FamilyId, Wait};
use grantkeep_grants::{
    ClientCredentials, Grant, NewPersonal, OAuthError, Refreshed, RevokedBy, Secret,
};

// Goal: RFC 7009: an access token goes alone, a refresh token of any generation takes its family,
// anything else is success. Method: each kind, twice, and texts that are no tokens.
#[test]
fn by_token() {
    let world = World::new();
    let revoke = |token: &str| world.grants.revoke(token).wait().unwrap();
    let pair = world.pair();
    revoke(pair.access.expose());
    revoke(pair.access.expose());
    assert!(!world.is_active(pair.access.expose()));
    let next = rotated(world.refresh(refresh_of(&pair)));
    assert!(world.is_active(next.access.expose()));
    for unknown in ["", "x", &"x".repeat(100), &"x".repeat(8_193), refresh_of(&World::new().pair())]
    {
        revoke(unknown);
    }
    assert!(world.is_active(next.access.expose()));
    revoke(refresh_of(&pair));
    revoke(refresh_of(&next));
    assert!(!world.is_active(next.access.expose()));
    assert!(matches!(world.refresh(refresh_of(&next)), Refreshed::Revoked));
}

// Goal: P6, a family goes as a whole and alone. Method: two families of one subject; revoke one,
// one that is not there, and list.
#[test]
fn by_family() {
    let world = World::new();
    let (gone, stays) = (world.pair(), world.pair());
    let listed = || {
        let page = world.grants.families_of(SUBJECT, None, 10).wait().unwrap();
        page.items.into_iter().map(|item| item.family).collect::<Vec<_>>()
    };
    assert_eq!(listed().len(), 2);
    world.grants.revoke_family(gone.family.unwrap()).wait().unwrap();
    world.grants.revoke_family(gone.family.unwrap()).wait().unwrap();
    world.grants.revoke_family(FamilyId([0; 12])).wait().unwrap();
    assert!(!world.is_active(gone.access.expose()) && !world.is_active(refresh_of(&gone)));
    assert!(world.is_active(stays.access.expose()) && world.is_active(refresh_of(&stays)));
    assert_eq!(listed(), [stays.family.unwrap()]);
    let by_client = world.grants.families_of_client(CLIENT, None, 10).wait().unwrap();
    assert_eq!(Some(by_client.items[0].family), stays.family);
    world.clock.advance(s(30 * DAY_S));
    assert!(listed().is_empty());
}

// Goal: P6, everything of a subject or a client goes in one write, and nothing else. Method: two
// subjects at two clients; revoke one of each in turn and count the writes.
#[test]
fn by_subject_and_by_client() {
    let world = World::new();
    let open = |client, subject| world.grants.open(Grant::new(client, subject)).wait().unwrap();
    let issue = || {
        [("app-1", "alice"), ("app-1", "bob"), ("app-2", "alice"), ("app-2", "bob")]
            .map(|(client, subject)| open(client, subject))
    };
    let in_force = |pairs: &[grantkeep_grants::Issued; 4]| {
        pairs.each_ref().map(|pair| {
            let both = [world.is_active(pair.access.expose()), world.is_active(refresh_of(pair))];
            assert_eq!(both[0], both[1]);
            both[0]
        })
    };
    let pairs = issue();
    let commits = world.grants.store().stats().commits;
    world.grants.revoke_subject("alice").wait().unwrap();
    assert_eq!(world.grants.store().stats().commits, commits + 1);
    assert_eq!(in_force(&pairs), [false, true, false, true]);
    assert!(world.grants.families_of("alice", None, 10).wait().unwrap().items.is_empty());
    let pairs = issue();
    world.grants.revoke_client("app-2").wait().unwrap();
    assert_eq!(in_force(&pairs), [true, true, false, false]);
    for error in [world.grants.revoke_subject("").wait(), world.grants.revoke_client("").wait()] {
        assert_eq!(error.unwrap_err().kind(), ErrorKind::Limit);
    }
}

// Goal: a client revokes what was issued to it, and nothing of another's (RFC 7009 section 2.1).
// Method: access, refresh, and personal tokens, by a stranger and by their client; unknown texts.
#[test]
fn a_client_revokes_its_own_only() {
    let world = World::new();
    let pair = world.pair();
    let new = NewPersonal::new(SUBJECT, "laptop").client(CLIENT);
    let personal = world.grants.create_personal(new).wait().unwrap().token;
    let by = |client: &str, token: &str| world.grants.revoke_by(client, token).wait().unwrap();
    for token in [pair.access.expose(), personal.expose(), refresh_of(&pair)] {
        assert_eq!(by("client-2", token), RevokedBy::NotYours);
        assert!(world.is_active(token));
        assert_eq!(by(CLIENT, token), RevokedBy::Done);
        assert!(!world.is_active(token));
        assert_eq!(by(CLIENT, token), RevokedBy::Done);
    }
    for unknown in ["", "short", "a text that was never issued", &"x".repeat(9_000)] {
        assert_eq!(by("client-2", unknown), RevokedBy::Unknown);
    }
    assert_eq!(RevokedBy::Unknown.oauth_error(), None);
    let nobody = world.grants.revoke_by("", pair.access.expose()).wait();
    assert_eq!(nobody.unwrap_err().kind(), ErrorKind::Limit);
    assert_eq!(RevokedBy::NotYours.oauth_error(), Some(OAuthError::UnauthorizedClient));
    assert_eq!(RevokedBy::Done.oauth_error(), None);
}

// Goal: RFC 7009 section 2.1, a token can be revoked however long its record is. Method: an access
// and a personal token with the longest texts, and the longest payload that is accepted beside
// them.
#[test]
fn the_longest_tokens_can_be_revoked() {
    let world = World::new();
    let (client, subject) = ("c".repeat(4_096), "s".repeat(4_096));
    let (scopes, resource) = ("x".repeat(4_096), format!("https://{}", "a".repeat(4_088)));
    let payload = vec![7; 16 * 1024];
    let longest = |issue: &dyn Fn(&[u8]) -> grantkeep::Result<Secret>| {
        let lengths = (0..payload.len()).rev();
        lengths.map(|length| issue(&payload[..length])).find_map(Result::ok).unwrap()
    };
    let access = longest(&|payload| {
        let request = ClientCredentials::new(&client).subject(subject.as_str());
        let request = request.scopes([&scopes]).audience([&resource]).payload(payload);
        world.grants.client_credentials(request).wait().map(|issued| issued.access)
    });
    let name = "n".repeat(4_096);
    let personal = longest(&|payload| {
        let new = NewPersonal::new(&subject, &name).client(&client).scopes([&scopes]);
        world.grants.create_personal(new.payload(payload)).wait().map(|issued| issued.token)
    });
    for token in [access, personal] {
        assert!(world.is_active(token.expose()));
        assert_eq!(world.grants.revoke(token.expose()).wait().unwrap(), RevokedBy::Done);
        assert!(!world.is_active(token.expose()));
    }
}

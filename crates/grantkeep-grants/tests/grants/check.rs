//! What a resource server is answered of a token.

use crate::world::*;
use grantkeep::{ErrorKind, Wait};
use grantkeep_grants::{
    Checked, ClientCredentials, Demand, Grant, Issued, NewPersonal, OAuthError, Refusal,
};

const API: &str = "https://api.example";
const OTHER: &str = "https://other.example";

impl World {
    fn check(&self, token: &str, demand: &Demand<'_>) -> Result<String, Refusal> {
        match self.grants.check(token, demand).wait().unwrap() {
            Checked::Allowed(claims) => Ok(claims.subject.unwrap_or_default()),
            Checked::Refused(refusal) => Err(refusal),
        }
    }

    fn opened(&self, audience: Option<&str>, bound: bool) -> Issued {
        let mut grant = Grant::new(CLIENT, SUBJECT).scopes(["read", "write"]);
        if let Some(audience) = audience {
            grant = grant.audience([audience]);
        }
        if bound {
            grant = grant.confirmation(key(1));
        }
        self.grants.open(grant).wait().unwrap()
    }
}

// Goal: a token is served for what it was issued for (RFC 6750, RFC 8707, RFC 9449), and a refresh
// token for nothing. Method: tokens with an audience, another, and none; bound to a key and not;
// each against demands that fit and do not; personal tokens, and those of a client itself.
#[test]
fn a_resource_is_served_with_what_it_demands() {
    let world = World::new();
    let demand = || Demand::new(API);
    for (audience, passes, passes_strictly) in
        [(Some(API), true, true), (None, true, false), (Some(OTHER), false, false)]
    {
        let pair = world.opened(audience, false);
        let access = pair.access.expose();
        assert_eq!(world.check(access, &demand()).is_ok(), passes);
        let strict = demand().audience_required();
        assert_eq!(world.check(access, &strict).is_ok(), passes_strictly);
        assert_eq!(world.check(access, &demand().scopes(["read write"])).is_ok(), passes);
        assert!(world.check(access, &demand().scopes(["read", "admin"])).is_err());
        assert!(world.check(refresh_of(&pair), &demand()).is_err(), "a refresh token");
        assert!(world.check(access, &demand().proof(key(1))).is_err(), "it is bound to no key");
        world.grants.revoke(access).wait().unwrap();
        assert!(world.check(access, &demand()).is_err());
    }
    let bound = world.opened(Some(API), true);
    let with = |proof| world.check(bound.access.expose(), &demand().proof(proof));
    assert!(with(Some(key(1))).is_ok() && with(Some(key(2))).is_err() && with(None).is_err());

    let personal = world.grants.create_personal(NewPersonal::new(SUBJECT, "laptop"));
    let personal = personal.wait().unwrap().token;
    assert_eq!(world.check(personal.expose(), &demand()).unwrap(), SUBJECT);
    assert!(world.check(personal.expose(), &demand().audience_required()).is_err());
    let own = world.grants.client_credentials(ClientCredentials::new(CLIENT)).wait().unwrap();
    assert_eq!(world.check(own.access.expose(), &demand()).unwrap(), "");
}

// Goal: a refusal is told as RFC 6750 section 3 and RFC 9449 section 7.1 have it. Method: each.
#[test]
fn refusals_are_told_as_rfc_6750_has_them() {
    let world = World::new();
    let (plain, bound) = (world.opened(None, false), world.opened(None, true));
    let told = |token: &str, demand: &Demand<'_>| {
        let refusal = world.check(token, demand).unwrap_err();
        (refusal.status(), refusal.error, refusal.www_authenticate)
    };
    let demand = || Demand::new(API);
    assert_eq!(told("", &demand()), (401, None, "Bearer".to_owned()));
    assert_eq!(told("", &demand().proof(key(1))), (401, None, "DPoP".to_owned()));
    let invalid = |scheme| {
        let www_authenticate = format!("{scheme} error=\"invalid_token\"");
        (401, Some(OAuthError::InvalidToken), www_authenticate)
    };
    assert_eq!(told("unknown, and long enough", &demand()), invalid("Bearer"));
    assert_eq!(told(&"x".repeat(9_000), &demand()), invalid("Bearer"));
    assert_eq!(told(refresh_of(&plain), &demand()), invalid("Bearer"));
    assert_eq!(told(bound.access.expose(), &demand()), invalid("DPoP"));
    let scopes = demand().scopes(["read", "admin"]);
    let scope = "Bearer error=\"insufficient_scope\", scope=\"read admin\"".to_owned();
    let refused = (403, Some(OAuthError::InsufficientScope), scope);
    assert_eq!(told(plain.access.expose(), &scopes), refused);
    // Nothing of a demand gets into a header that would break it.
    let broken = demand().scopes(["read\"\r\n"]);
    let error = world.grants.check(plain.access.expose(), &broken).wait().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit);
}

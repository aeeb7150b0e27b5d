//! Client credentials.

use crate::world::*;
use grantkeep::{ErrorKind, Wait};
use grantkeep_grants::{ClaimsKind, ClientCredentials, Refreshed};

// Goal: any number of tokens live at once, none can be refreshed, and each has its own scopes and
// end. Method: issue a few, introspect, expire, revoke the client.
#[test]
fn several_live_at_once_and_none_is_renewable() {
    let world = World::new();
    let issue = |scope: &str| {
        let request = ClientCredentials::new(CLIENT).scopes([scope]).audience(["https://api"]);
        world.grants.client_credentials(request).wait().unwrap()
    };
    let first = issue("read");
    world.clock.advance(s(899));
    let second = issue("write");
    for (issued, scope) in [(&first, "read"), (&second, "write")] {
        let claims = world.claims(issued.access.expose()).unwrap();
        assert_eq!((claims.kind, claims.scopes.as_str()), (ClaimsKind::ClientCredential, scope));
        assert_eq!((claims.subject, claims.family), (None, None));
        assert_eq!(claims.audience.as_deref(), Some("https://api"));
        assert_eq!(issued.expires_in, s(900));
        assert!(matches!(world.refresh(issued.access.expose()), Refreshed::Unknown));
    }
    world.clock.advance(s(1));
    assert!(!world.is_active(first.access.expose()));
    world.grants.revoke_client(CLIENT).wait().unwrap();
    assert!(!world.is_active(second.access.expose()));
    assert!(world.is_active(issue("read").access.expose()));
    let nobody = world.grants.client_credentials(ClientCredentials::new("")).wait();
    assert_eq!(nobody.unwrap_err().kind(), ErrorKind::Limit);
}

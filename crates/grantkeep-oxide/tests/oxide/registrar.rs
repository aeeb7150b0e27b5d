//! The registrar over the clients of the store.

use crate::world::*;
use grantkeep::Wait;
use grantkeep_grants::{GrantType, NewClient};
use grantkeep_oxide::StoreRegistrar;
use oxide_auth::primitives::registrar::{
    BoundClient, ClientUrl, ExactUrl, RegisteredUrl, Registrar, RegistrarError,
};
use std::borrow::Cow;

fn bind<'a>(
    registrar: &StoreRegistrar<grantkeep::Embedded>,
    client: &'a str,
    uri: Option<&str>,
) -> Result<BoundClient<'a>, RegistrarError> {
    let redirect_uri = uri.map(|uri| Cow::Owned(ExactUrl::new(uri.to_owned()).unwrap()));
    registrar.bound_redirect(ClientUrl { client_id: Cow::Borrowed(client), redirect_uri })
}

fn bound(
    registrar: &StoreRegistrar<grantkeep::Embedded>,
    client: &str,
    uri: Option<&str>,
) -> Option<String> {
    match bind(registrar, client, uri) {
        Ok(bound) => {
            assert!(matches!(*bound.redirect_uri, RegisteredUrl::Exact(_)));
            Some(bound.redirect_uri.as_str().to_owned())
        }
        Err(RegistrarError::Unspecified) => None,
        Err(error) => panic!("{error:?}"),
    }
}

// Goal: a redirect URI is a registered one to the byte, and may be left out where there is one.
// Method: each way to name it, for clients with one, several, and none.
#[test]
fn redirect_uris_are_bound_exactly() {
    let world = World::new();
    world.step(|oxide| {
        let native = "http://127.0.0.1/cb";
        let code = [GrantType::AuthorizationCode];
        let both = [GrantType::AuthorizationCode, GrantType::ClientCredentials];
        for new in [
            NewClient::public("several")
                .redirect_uri(REDIRECT)
                .redirect_uri(native)
                .grants(code.clone()),
            NewClient::confidential("both")
                .redirect_uri(REDIRECT)
                .redirect_uri(native)
                .grants(both.clone()),
            NewClient::confidential("one of both").redirect_uri(REDIRECT).grants(both),
            NewClient::public("none").grants(code),
            NewClient::public("neither").redirect_uri(REDIRECT),
        ] {
            oxide.grants().create_client(new).wait().unwrap();
        }
        let registrar = oxide.registrar();
        let exact = Some(REDIRECT.to_owned());
        assert_eq!(bound(&registrar, CLIENT, Some(REDIRECT)), exact);
        assert_eq!(bound(&registrar, CLIENT, None), exact);
        for wrong in ["https://app.example/cb/", "https://app.example:443/cb", native] {
            assert_eq!(bound(&registrar, CLIENT, Some(wrong)), None);
        }
        let port = "http://127.0.0.1:50123/cb";
        assert_eq!(bound(&registrar, "several", Some(port)), Some(port.to_owned()));
        assert_eq!(bound(&registrar, "several", None), None);
        let nowhere = bound(&registrar, "both", None).unwrap();
        assert!(nowhere.contains(".invalid"), "for the client credentials flow alone");
        assert_eq!(bound(&registrar, "one of both", None).as_ref(), Some(&nowhere));
        assert_eq!(bound(&registrar, "one of both", Some(REDIRECT)), exact);
        assert_eq!(bound(&registrar, "none", None), None);
        assert_eq!(bound(&registrar, "neither", Some(REDIRECT)), None);
        assert_eq!(bound(&registrar, "neither", None), None);
        assert_eq!(bound(&registrar, "machine", None).as_ref(), Some(&nowhere));
        assert_eq!(bound(&registrar, "machine", Some(&nowhere)), None);
        assert_eq!(bound(&registrar, "nobody", None), None);
    });
}

// Goal: a client gets the scopes it asks for among its own, and all of them by default. Method:
// none, some, and others.
#[test]
fn scopes_are_negotiated() {
    let world = World::new();
    world.step(|oxide| {
        let registrar = oxide.registrar();
        let negotiate = |scope: Option<&str>| {
            let client = bind(&registrar, CLIENT, None).unwrap();
            registrar.negotiate(client, scope.map(|scope| scope.parse().unwrap()))
        };
        let all = negotiate(None).unwrap();
        assert_eq!((all.client_id.as_str(), all.redirect_uri.as_str()), (CLIENT, REDIRECT));
        assert_eq!(all.scope, "write read".parse().unwrap());
        assert_eq!(negotiate(Some("read")).unwrap().scope, "read".parse().unwrap());
        for scope in ["admin", "read admin"] {
            assert!(matches!(negotiate(Some(scope)), Err(RegistrarError::Unspecified)));
        }
    });
}

// Goal: what oxide-auth's own suite asks of a registrar: a public client is checked without a
// passphrase and no other way, a confidential one with its own only. Method: each way to be wrong.
#[test]
fn clients_are_checked() {
    let world = World::new();
    world.step(|oxide| {
        let registrar = oxide.registrar();
        let is_client =
            |client: &str, passphrase: Option<&[u8]>| match registrar.check(client, passphrase) {
                Ok(()) => true,
                Err(RegistrarError::Unspecified) => false,
                Err(error) => panic!("{error:?}"),
            };
        assert!(is_client("spa", None));
        assert!(!is_client("spa", Some(b"")));
        assert!(is_client(CLIENT, Some(SECRET.as_bytes())));
        for wrong in [None, Some(&b""[..]), Some(b"Not the private passphrase"), Some(&[0xff; 20])]
        {
            assert!(!is_client(CLIENT, wrong));
        }
        assert!(!is_client("nobody", None) && !is_client("nobody", Some(SECRET.as_bytes())));
    });
}

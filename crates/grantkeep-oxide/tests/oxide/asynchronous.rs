//! The flows of oxide-auth-async.

use crate::world::*;
use grantkeep::{Embedded, Wait};
use grantkeep_oxide::{AsyncAuthorizer, AsyncIssuer, AsyncRegistrar, Oxide};
use oxide_auth::endpoint::{OAuthError, OwnerConsent, Scopes, Solicitation, Template, WebRequest};
use oxide_auth::frontends::simple::endpoint::{Error, FnSolicitor};
use oxide_auth::frontends::simple::extensions::{AddonList, Extended, Pkce};
use oxide_auth::frontends::simple::request::{Request, Response, Status};
use oxide_auth::primitives::scope::Scope;
use oxide_auth_async::endpoint::access_token::AccessTokenFlow;
use oxide_auth_async::endpoint::authorization::AuthorizationFlow;
use oxide_auth_async::endpoint::client_credentials::ClientCredentialsFlow;
use oxide_auth_async::endpoint::refresh::RefreshFlow;
use oxide_auth_async::endpoint::resource::ResourceFlow;
use oxide_auth_async::endpoint::{Endpoint, OwnerSolicitor};
use oxide_auth_async::primitives::{Authorizer, Issuer, Registrar};

type Consent = fn(&mut Request, Solicitation<'_>) -> OwnerConsent<Response>;

struct Server {
    registrar: AsyncRegistrar<Embedded>,
    authorizer: AsyncAuthorizer<Embedded>,
    issuer: AsyncIssuer<Embedded>,
    solicitor: FnSolicitor<Consent>,
    scopes: Vec<Scope>,
}

/// A server with PKCE where the client uses it, whose owner consents.
fn server(oxide: &Oxide<Embedded>) -> Extended<Server, AddonList> {
    let mut addons = AddonList::new();
    addons.push_code(Pkce::optional());
    let server = Server {
        registrar: oxide.async_registrar(),
        authorizer: oxide.async_authorizer(),
        issuer: oxide.async_issuer(),
        solicitor: FnSolicitor(|_, _| OwnerConsent::Authorized(OWNER.to_owned())),
        scopes: vec!["read".parse().unwrap()],
    };
    Extended::extend_with(server, addons)
}

impl Endpoint<Request> for Server {
    type Error = Error<Request>;

    fn registrar(&self) -> Option<&(dyn Registrar + Sync)> {
        Some(&self.registrar)
    }

    fn authorizer_mut(&mut self) -> Option<&mut (dyn Authorizer + Send)> {
        Some(&mut self.authorizer)
    }

    fn issuer_mut(&mut self) -> Option<&mut (dyn Issuer + Send)> {
        Some(&mut self.issuer)
    }

    fn owner_solicitor(&mut self) -> Option<&mut (dyn OwnerSolicitor<Request> + Send)> {
        Some(&mut self.solicitor)
    }

    fn scopes(&mut self) -> Option<&mut dyn Scopes<Request>> {
        Some(&mut self.scopes)
    }

    fn response(&mut self, _: &mut Request, _: Template) -> Result<Response, Error<Request>> {
        Ok(Response::default())
    }

    fn error(&mut self, error: OAuthError) -> Error<Request> {
        Error::OAuth(error)
    }

    fn web_error(&mut self, error: <Request as WebRequest>::Error) -> Error<Request> {
        Error::Web(error)
    }
}

impl World {
    fn code_async(&self, client: &str) -> String {
        let query = [
            ("response_type", "code"),
            ("client_id", client),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ];
        let request = Request { query: map(&query), ..Request::default() };
        let response = self.step(|oxide| {
            let mut flow = AuthorizationFlow::prepare(server(oxide)).map_err(|_| ()).unwrap();
            flow.execute(request).wait().unwrap()
        });
        let url = response.location.unwrap();
        url.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned()
    }

    fn tokens_async(&self, code: &str) -> Answer {
        let body = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", REDIRECT),
            ("code_verifier", VERIFIER),
        ];
        let request = Request { auth: Some(basic(CLIENT)), ..form(&body) };
        Answer::of(self.step(|oxide| {
            let mut flow = AccessTokenFlow::prepare(server(oxide)).map_err(|_| ()).unwrap();
            flow.execute(request).wait()
        }))
    }

    fn refresh_async(&self, token: &str, scope: &str) -> Answer {
        let body = [("grant_type", "refresh_token"), ("refresh_token", token), ("scope", scope)];
        let request = Request { auth: Some(basic(CLIENT)), ..form(&body) };
        Answer::of(self.step(|oxide| {
            let mut flow = RefreshFlow::prepare(server(oxide)).map_err(|_| ()).unwrap();
            flow.execute(request).wait()
        }))
    }

    fn allows_async(&self, token: &str) -> bool {
        let request = Request { auth: Some(format!("Bearer {token}")), ..Request::default() };
        self.step(|oxide| {
            let mut flow = ResourceFlow::prepare(server(oxide)).map_err(|_| ()).unwrap();
            flow.execute(request).wait().is_ok()
        })
    }
}

// Goal: P3, P7, the async flows do what the others do: a code with PKCE, a narrowed refresh, a
// retry, reuse, a replay. Method: the whole life of a grant, in a store reopened for each step.
#[test]
fn async_flows_over_a_store_that_is_reopened() {
    let world = World::new();
    let code = world.code_async(CLIENT);
    let first = world.tokens_async(&code);
    assert_eq!(first.status, Status::Ok);
    assert!(world.allows_async(first.access()));
    assert!(!world.allows_async(first.refresh()));
    let second = world.refresh_async(first.refresh(), "write");
    assert_eq!(second.field("scope"), Some("write"));
    assert!(!world.allows_async(second.access()));
    assert_eq!(world.refresh_async(first.refresh(), "read").refresh(), second.refresh());
    let third = world.refresh_async(second.refresh(), "read");
    assert!(world.allows_async(third.access()));
    assert_eq!(world.refresh_async(first.refresh(), "read").error(), "invalid_grant");
    assert!(!world.allows_async(third.access()));

    let code = world.code_async(CLIENT);
    let tokens = world.tokens_async(&code);
    assert!(world.allows_async(tokens.access()));
    assert_eq!(world.tokens_async(&code).error(), "invalid_request");
    assert!(!world.allows_async(tokens.access()));
    assert_eq!(world.tokens_async(&world.code_async("spa")).error(), "invalid_grant");
}

// Goal: the async client credentials flow gives an access token alone. Method: the flow, told to
// hand out refresh tokens.
#[test]
fn async_client_credentials() {
    let world = World::new();
    let request =
        Request { auth: Some(basic("machine")), ..form(&[("grant_type", "client_credentials")]) };
    let answer = Answer::of(world.step(|oxide| {
        let mut flow = ClientCredentialsFlow::prepare(server(oxide)).map_err(|_| ()).unwrap();
        flow.allow_refresh_token(true);
        flow.execute(request).wait()
    }));
    assert_eq!((answer.status, answer.field("refresh_token")), (Status::Ok, None));
    assert!(world.allows_async(answer.access()));
}

// Goal: a server on a multi-threaded executor can spawn what the primitives do, and codes and
// tokens of the two kinds of primitives are the same. Method: the compiler; extract with one what
// the other made.
#[test]
fn async_primitives_are_send_and_share_claims() {
    fn assert_send<T: Send>(future: T) -> T {
        future
    }
    let world = World::new();
    world.step(|oxide| {
        let (mut authorizer, mut issuer) = (oxide.async_authorizer(), oxide.async_issuer());
        let minute = grant(std::time::Duration::from_secs(60));
        let code = assert_send(authorizer.authorize(minute.clone())).wait().unwrap();
        let found =
            oxide_auth::primitives::authorizer::Authorizer::extract(&mut oxide.authorizer(), &code);
        let issued = assert_send(issuer.issue(found.unwrap().unwrap())).wait().unwrap();
        assert!(issued.refreshable());
        assert_eq!(assert_send(authorizer.extract(&code)).wait(), Ok(None));
        assert_eq!(assert_send(issuer.recover_token(&issued.token)).wait(), Ok(None));
        let registrar = oxide.async_registrar();
        assert!(assert_send(registrar.check(CLIENT, Some(SECRET.as_bytes()))).wait().is_ok());
    });
}

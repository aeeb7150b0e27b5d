//! A store in a directory, opened for each step, and the requests of the flows.

use data_encoding::BASE64;
use grantkeep::{Embedded, Store, Wait};
use grantkeep_grants::{Creation, GrantType, Grants, Introspection, NewClient, Policy};
use grantkeep_oxide::{Oxide, OxideOptions};
use oxide_auth::endpoint::{
    AccessTokenFlow, AuthorizationFlow, OAuthError, OwnerConsent, Solicitation,
};
use oxide_auth::frontends::simple::endpoint::{
    Error, FnSolicitor, Generic, Vacant, client_credentials_flow, refresh_flow, resource_flow,
};
use oxide_auth::frontends::simple::extensions::{AddonList, Extended, Pkce};
use oxide_auth::frontends::simple::request::{Body, Request, Response, Status};
use oxide_auth::primitives::grant::{Extensions, Grant, Value};
use oxide_auth::primitives::scope::Scope;
use std::collections::HashMap;
use std::time::Duration;
use tempfile::TempDir;

pub(crate) const CLIENT: &str = "client-1";
pub(crate) const SECRET: &str = "a secret that the client brought";
pub(crate) const OWNER: &str = "alice";
pub(crate) const REDIRECT: &str = "https://app.example/cb";
/// RFC 7636 appendix B.
pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub(crate) const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

type Options = OxideOptions<Embedded>;

pub(crate) struct World {
    dir: TempDir,
    policy: Policy,
}

impl World {
    /// A store with a confidential client, a public one, and one for itself.
    pub(crate) fn new() -> Self {
        Self::under(Policy::default())
    }

    pub(crate) fn under(policy: Policy) -> Self {
        let world = Self { dir: tempfile::tempdir().unwrap(), policy };
        world.step(|oxide| {
            let code = [GrantType::AuthorizationCode, GrantType::RefreshToken];
            for new in [
                NewClient::confidential(CLIENT)
                    .secret(SECRET)
                    .redirect_uri(REDIRECT)
                    .grants(code.clone()),
                NewClient::public("spa").redirect_uri(REDIRECT).grants(code),
                NewClient::confidential("machine")
                    .secret(SECRET)
                    .grants([GrantType::ClientCredentials]),
            ] {
                let creation = oxide.grants().create_client(new.scopes(["read", "write"])).wait();
                assert!(matches!(creation.unwrap(), Creation::Created(_)));
            }
        });
        world
    }

    /// Opens the store, does one step, and closes it.
    pub(crate) fn step<T>(&self, act: impl FnOnce(&Oxide<Embedded>) -> T) -> T {
        self.step_with(|options| options.client_credentials(true), act)
    }

    pub(crate) fn step_with<T>(
        &self,
        choose: impl FnOnce(Options) -> Options,
        act: impl FnOnce(&Oxide<Embedded>) -> T,
    ) -> T {
        let store = Store::options().log_budget_bytes(2 << 20).reserve_bytes(0);
        let store = store.open(self.dir.path().join("store")).unwrap();
        let grants = Grants::new(store.clone(), self.policy.clone()).unwrap();
        let answer = act(&choose(Oxide::options(grants)).build());
        store.close().unwrap();
        answer
    }

    /// A code for `client`, with what it asks for beside.
    pub(crate) fn code(&self, client: &str, more: &[(&str, &str)]) -> String {
        let response = self.step(|oxide| authorize(oxide, client, more)).unwrap();
        assert_eq!(response.status, Status::Redirect);
        let url = response.location.unwrap();
        assert!(url.as_str().starts_with(REDIRECT));
        let code = url.query_pairs().find(|(name, _)| name == "code");
        code.unwrap_or_else(|| panic!("no code: {url}")).1.into_owned()
    }

    /// What the token endpoint answers to the client.
    pub(crate) fn tokens(&self, code: &str) -> Answer {
        Answer::of(self.step(|oxide| redeem(oxide, code, &[])))
    }

    pub(crate) fn refresh(&self, token: &str, more: &[(&str, &str)]) -> Answer {
        Answer::of(self.step(|oxide| {
            let body = [&[("grant_type", "refresh_token"), ("refresh_token", token)], more];
            let request = Request { auth: Some(basic(CLIENT)), ..form(&body.concat()) };
            let (registrar, mut issuer) = (oxide.registrar(), oxide.issuer());
            refresh_flow(&registrar, &mut issuer).execute(request)
        }))
    }

    /// The grant by which a resource that demands `scope` is given.
    pub(crate) fn resource(&self, token: &str, scope: &str) -> Option<Grant> {
        let scopes: [Scope; 1] = [scope.parse().unwrap()];
        self.step(|oxide| {
            let request = Request { auth: Some(format!("Bearer {token}")), ..Request::default() };
            match resource_flow(&mut oxide.issuer(), &scopes).execute(request) {
                Ok(grant) => Some(grant),
                Err(Ok(response)) => {
                    assert_eq!(response.status, Status::Unauthorized);
                    None
                }
                Err(Err(error)) => panic!("{error:?}"),
            }
        })
    }

    pub(crate) fn is_active(&self, token: &str) -> bool {
        let answer = self.step(|oxide| oxide.grants().introspect(token).wait().unwrap());
        matches!(answer, Introspection::Active(_))
    }
}

/// What a flow answered.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: Status,
    fields: HashMap<String, String>,
}

impl Answer {
    pub(crate) fn of(response: Result<Response, Error<Request>>) -> Self {
        let response = match response {
            Ok(response) => response,
            Err(Error::OAuth(OAuthError::PrimitiveError)) => return Self::default(),
            Err(error) => panic!("{error:?}"),
        };
        let Some(Body::Json(json)) = response.body else { panic!("{response:?}") };
        let fields: HashMap<String, serde_json::Value> = serde_json::from_str(&json).unwrap();
        let text = |value: serde_json::Value| match value {
            serde_json::Value::String(text) => text,
            other => other.to_string(),
        };
        let fields = fields.into_iter().map(|(name, value)| (name, text(value))).collect();
        Self { status: response.status, fields }
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }

    pub(crate) fn access(&self) -> &str {
        self.field("access_token").unwrap_or_else(|| panic!("{self:?}"))
    }

    pub(crate) fn refresh(&self) -> &str {
        self.field("refresh_token").unwrap_or_else(|| panic!("{self:?}"))
    }

    /// The error of a refusal; `server_error` if there was no answer at all.
    pub(crate) fn error(&self) -> &str {
        if self.fields.is_empty() {
            return "server_error";
        }
        self.field("error").unwrap_or_else(|| panic!("not refused: {self:?}"))
    }
}

pub(crate) fn basic(client: &str) -> String {
    format!("Basic {}", BASE64.encode(format!("{client}:{SECRET}").as_bytes()))
}

pub(crate) fn map(pairs: &[(&str, &str)]) -> HashMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

pub(crate) fn form(pairs: &[(&str, &str)]) -> Request {
    Request { urlbody: map(pairs), ..Request::default() }
}

/// An endpoint with PKCE where the client uses it, whose owner consents.
fn endpoint(
    oxide: &Oxide<Embedded>,
) -> impl oxide_auth::endpoint::Endpoint<Request, Error = Error<Request>> {
    let consent = |_: &mut Request, _: Solicitation<'_>| OwnerConsent::Authorized(OWNER.to_owned());
    let mut addons = AddonList::new();
    addons.push_code(Pkce::optional());
    let inner = Generic {
        registrar: oxide.registrar(),
        authorizer: oxide.authorizer(),
        issuer: oxide.issuer(),
        solicitor: FnSolicitor(consent),
        scopes: Vacant,
        response: Vacant,
    };
    Extended::extend_with(inner, addons)
}

pub(crate) fn authorize(
    oxide: &Oxide<Embedded>,
    client: &str,
    more: &[(&str, &str)],
) -> Result<Response, Error<Request>> {
    let query = [&[("response_type", "code"), ("client_id", client)], more].concat();
    let request = Request { query: map(&query), ..Request::default() };
    AuthorizationFlow::prepare(endpoint(oxide)).map_err(|_| ()).unwrap().execute(request)
}

/// Redeems as the confidential client, unless `more` names another.
pub(crate) fn redeem(
    oxide: &Oxide<Embedded>,
    code: &str,
    more: &[(&str, &str)],
) -> Result<Response, Error<Request>> {
    let fixed = [("grant_type", "authorization_code"), ("code", code), ("redirect_uri", REDIRECT)];
    let body = [&fixed, more].concat();
    let public = more.iter().any(|(name, _)| *name == "client_id");
    let request = Request { auth: (!public).then(|| basic(CLIENT)), ..form(&body) };
    AccessTokenFlow::prepare(endpoint(oxide)).map_err(|_| ()).unwrap().execute(request)
}

pub(crate) fn own_token(
    oxide: &Oxide<Embedded>,
    client: &str,
    more: &[(&str, &str)],
) -> Result<Response, Error<Request>> {
    let body = [&[("grant_type", "client_credentials")], more].concat();
    let request = Request { auth: Some(basic(client)), ..form(&body) };
    let consent = |_: &mut Request, _: Solicitation<'_>| OwnerConsent::Authorized(OWNER.to_owned());
    let mut solicitor = FnSolicitor(consent);
    let (registrar, mut issuer) = (oxide.registrar(), oxide.issuer());
    let mut flow = client_credentials_flow(&registrar, &mut issuer, &mut solicitor);
    flow.allow_refresh_token(true);
    flow.execute(request)
}

/// A grant with extensions of each kind, as the primitives are given it.
pub(crate) fn grant(left: Duration) -> Grant {
    let mut extensions = Extensions::new();
    extensions.set_raw("public".to_owned(), Value::public(Some("seen".to_owned())));
    extensions.set_raw("private".to_owned(), Value::private(Some("hidden".to_owned())));
    extensions.set_raw("flag".to_owned(), Value::private(None));
    Grant {
        owner_id: OWNER.to_owned(),
        client_id: CLIENT.to_owned(),
        scope: "one two three".parse().unwrap(),
        redirect_uri: "https://app.example/cb?tenant=1".parse().unwrap(),
        until: (std::time::SystemTime::now() + left).into(),
        extensions,
    }
}

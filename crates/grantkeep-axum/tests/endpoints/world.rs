//! A server in this process, without a socket.

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderValue, Request, header};
use grantkeep::{KeySource, Keyring, Store, Wait as _};
use grantkeep_axum::{Consent, Granted, INTROSPECTION_GRANT, OAuth};
use grantkeep_grants::{GrantType, Grants, NewClient, Policy};
use serde_json::Value;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tower::ServiceExt as _;

pub(crate) const REDIRECT: &str = "https://app.example/cb";
pub(crate) const SECRET: &str = "a secret of the app";
pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub(crate) const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

pub(crate) struct World {
    pub(crate) grants: Grants,
    pub(crate) oauth: OAuth,
    pub(crate) app: Router,
    _directory: tempfile::TempDir,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: axum::http::HeaderMap,
    pub(crate) body: String,
}

/// What fills a bucket, and how long one takes to leak.
pub(crate) type Bucket = (usize, Duration);
/// Of the secrets of clients and of operators.
pub(crate) const SECRETS: Bucket = (20, Duration::from_secs(1));

/// Asks, each time with a number of its own, until it is refused for how often it has asked;
/// answers the refusal. Before, it must be answered with `expected` as often as fills the bucket,
/// and no oftener than what has leaked meanwhile lets through: that is more on a slow machine.
pub(crate) fn until_refused(
    expected: u16,
    (full, leak): Bucket,
    mut ask: impl FnMut(usize) -> Answer,
) -> Answer {
    let begun = Instant::now();
    for through in 0.. {
        let answer = ask(through);
        // One may have leaked in part before.
        let leaked = begun.elapsed().as_millis() / leak.as_millis() + 1;
        let leaked = usize::try_from(leaked).unwrap();
        if answer.status == 429 {
            assert!(through >= full, "{through} let through in place of {full}");
            return answer;
        }
        assert_eq!(answer.status, expected, "{}", answer.body);
        assert!(through < full + leaked, "{through} let through, {full} and {leaked} leaked");
    }
    unreachable!("numbers do not end")
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {}", self.body))
    }

    pub(crate) fn error(&self) -> String {
        self.json()["error"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// A parameter of the address that it redirects to.
    pub(crate) fn redirected(&self, name: &str) -> Option<String> {
        let query = self.field("location")?.split_once('?')?.1;
        let pairs = form_urlencoded::parse(query.as_bytes());
        let found = pairs.into_owned().find(|(known, _)| known == name)?;
        Some(found.1)
    }
}

/// Clients: `app` with a secret, `phone` without one, `api`, which may introspect everything.
pub(crate) fn world() -> World {
    let directory = tempfile::tempdir().unwrap();
    let keys = KeySource::Given(Keyring::generate().unwrap());
    let store = Store::options().keys(keys).open(directory.path().join("store")).unwrap();
    let grants = Grants::new(store, Policy::default()).unwrap();
    let all = [
        GrantType::AuthorizationCode,
        GrantType::RefreshToken,
        GrantType::ClientCredentials,
        GrantType::Password,
        GrantType::DeviceCode,
    ];
    let app = NewClient::confidential("app").secret(SECRET).redirect_uri(REDIRECT);
    let app = app.grants(all.clone()).scopes(["read", "write"]);
    let phone = NewClient::public("phone").redirect_uri(REDIRECT).scopes(["read"]);
    let phone = phone.grants(all.into_iter().filter(|g| *g != GrantType::ClientCredentials));
    let looks = GrantType::read(INTROSPECTION_GRANT).unwrap();
    let api = NewClient::confidential("api").secret(SECRET).grants([looks]);
    for client in [app, phone, api] {
        grants.create_client(client).wait().unwrap();
    }
    let oauth = grantkeep_axum::oauth(grants.clone())
        .issuer("https://as.example")
        .password(|name, password| async move {
            Ok((name == "alice" && password.as_str() == "wonderland").then_some(name))
        })
        .consent(|asking| async move {
            match asking.headers.get("x-decision").map(HeaderValue::as_bytes) {
                Some(b"deny") => Consent::Denied,
                Some(b"page") => Consent::Page(Box::new(axum::response::Response::new(
                    asking.action.clone().into(),
                ))),
                _ => Consent::Granted(Granted::by("alice")),
            }
        });
    let app = Router::new().merge(oauth.clone());
    World { grants, oauth, app, _directory: directory }
}

impl World {
    pub(crate) fn send(&self, request: Request<Body>) -> Answer {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let response = self.app.clone().oneshot(request).await.unwrap();
            let (parts, body) = response.into_parts();
            let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
            let body = String::from_utf8(bytes.to_vec()).unwrap();
            Answer { status: parts.status.as_u16(), headers: parts.headers, body }
        })
    }

    /// A form from somewhere.
    pub(crate) fn post_as(&self, authorization: Option<&str>, path: &str, form: &str) -> Answer {
        let mut request = posted(7, path, form);
        if let Some(field) = authorization {
            request.headers_mut().insert(header::AUTHORIZATION, field.parse().unwrap());
        }
        self.send(request)
    }

    /// A form from the address 192.0.2.`host`.
    pub(crate) fn post_from(&self, host: u8, path: &str, pairs: &[(&str, &str)]) -> Answer {
        self.send(posted(host, path, &form(pairs)))
    }

    /// A form of the client `app`, which authenticates in it.
    pub(crate) fn post(&self, path: &str, pairs: &[(&str, &str)]) -> Answer {
        let own = [("client_id", "app"), ("client_secret", SECRET)];
        self.post_as(None, path, &form(&[&own, pairs].concat()))
    }

    pub(crate) fn get(&self, address: &str, decision: Option<&str>) -> Answer {
        let mut request = Request::get(address);
        if let Some(decision) = decision {
            request = request.header("x-decision", decision);
        }
        self.send(request.body(Body::empty()).unwrap())
    }
}

/// A request with a form from the address 192.0.2.`host`.
pub(crate) fn posted(host: u8, path: &str, form: &str) -> Request<Body> {
    let request = Request::post(path)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .extension(from(host));
    request.body(form.to_owned().into()).unwrap()
}

/// The address 192.0.2.`host`, as a server tells it.
pub(crate) fn from(host: u8) -> ConnectInfo<SocketAddr> {
    ConnectInfo(SocketAddr::from(([192, 0, 2, host], 4_711)))
}

pub(crate) fn form(pairs: &[(&str, &str)]) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    for (name, value) in pairs {
        form.append_pair(name, value);
    }
    form.finish()
}

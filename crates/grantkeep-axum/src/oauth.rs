//! What the endpoints share, and the routers made of it.

use crate::asking::{Asking, Consent};
use crate::guesses::Guesses;
use crate::paths::Paths;
use crate::rejection::Rejection;
use crate::{authorize, device, introspect, metadata, push, revoke, token};
use axum::Router;
use axum::extract::FromRef;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::future::BoxFuture;
use grantkeep::Embedded;
use grantkeep::backend::Backend;
use grantkeep_grants::{GrantType, Grants};
use std::fmt;
use std::sync::Arc;
use zeroize::Zeroizing;

type Verified = BoxFuture<'static, Result<Option<String>, Rejection>>;
type Verify = dyn Fn(String, Zeroizing<String>) -> Verified + Send + Sync;
type Ask = dyn Fn(Asking) -> BoxFuture<'static, Consent> + Send + Sync;
type ErrorPage = dyn Fn(&Rejection) -> Response + Send + Sync;

/// The endpoints of an authorization server over one store's grants. Clones share all of it.
///
/// Each endpoint is a router of its own, and `Router::from` has all that can be served: the one
/// that asks a person for consent only where [`OAuth::consent`] was called.
///
/// ```
/// use axum::Router;
/// use grantkeep::Store;
/// use grantkeep_grants::{Grants, Policy};
///
/// # let directory = tempfile::tempdir()?;
/// # let store = Store::open(directory.path().join("tokens"))?;
/// let grants = Grants::new(store, Policy::default())?;
/// let oauth = grantkeep_axum::oauth(grants).issuer("https://as.example");
/// let app: Router = Router::new().merge(oauth);
/// # drop(app);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct OAuth<B = Embedded>(pub(crate) Arc<Shared<B>>);

/// Changed only while the endpoints are put together.
pub(crate) struct Shared<B> {
    pub(crate) grants: Grants<B>,
    pub(crate) issuer: String,
    pub(crate) paths: Paths,
    pub(crate) guesses: Arc<Guesses>,
    pub(crate) verify: Option<Arc<Verify>>,
    pub(crate) ask: Option<Arc<Ask>>,
    pub(crate) error_page: Option<Arc<ErrorPage>>,
    pub(crate) token_type: Option<&'static str>,
    pub(crate) splits_forms: bool,
    /// The only grant types; all that can be served where nobody has said.
    pub(crate) only: Option<Vec<GrantType>>,
}

impl<B> Clone for Shared<B> {
    fn clone(&self) -> Self {
        Self {
            grants: self.grants.clone(),
            issuer: self.issuer.clone(),
            paths: self.paths.clone(),
            guesses: Arc::clone(&self.guesses),
            verify: self.verify.clone(),
            ask: self.ask.clone(),
            error_page: self.error_page.clone(),
            token_type: self.token_type,
            splits_forms: self.splits_forms,
            only: self.only.clone(),
        }
    }
}

impl<B> Clone for OAuth<B> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<B> fmt::Debug for OAuth<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OAuth")
            .field("issuer", &self.0.issuer)
            .field("paths", &self.0.paths)
            .finish_non_exhaustive()
    }
}

/// The endpoints over these grants; see [`OAuth`].
pub fn oauth<B: Backend>(grants: Grants<B>) -> OAuth<B> {
    OAuth(Arc::new(Shared {
        grants,
        issuer: "http://localhost".to_owned(),
        paths: Paths::default(),
        guesses: Arc::new(Guesses::new()),
        verify: None,
        ask: None,
        error_page: None,
        token_type: None,
        splits_forms: false,
        only: None,
    }))
}

impl<B: Backend> OAuth<B> {
    fn with(mut self, change: impl FnOnce(&mut Shared<B>)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// The address of the server, without a slash at its end: what it calls itself (RFC 8414, RFC
    /// 9207), and what its endpoints' addresses begin with.
    #[must_use]
    pub fn issuer(self, issuer: impl Into<String>) -> Self {
        let mut issuer = issuer.into();
        issuer.truncate(issuer.trim_end_matches('/').len());
        self.with(|shared| shared.issuer = issuer)
    }

    /// Where the endpoints are; see [`Paths`] for the usual places.
    #[must_use]
    pub fn paths(self, paths: Paths) -> Self {
        self.with(|shared| shared.paths = paths)
    }

    /// Counts failed attempts in this table, so that several routers share it.
    #[must_use]
    pub fn guesses(self, guesses: Arc<Guesses>) -> Self {
        self.with(|shared| shared.guesses = guesses)
    }

    /// Serves the grant type `password` (RFC 6749 section 4.3): `verify` is asked with a user name
    /// and a password, and answers whose they are. Without it the grant type is not known.
    #[must_use]
    pub fn password<F, V>(self, verify: V) -> Self
    where
        V: Fn(String, Zeroizing<String>) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Option<String>, Rejection>> + Send + 'static,
    {
        let verify: Arc<Verify> = Arc::new(move |name, secret| Box::pin(verify(name, secret)));
        self.with(|shared| shared.verify = Some(verify))
    }

    /// Serves the authorization endpoint (RFC 6749 section 4.1.1): `ask` is called with each
    /// request that is in order, with whatever form a page has sent to it, and answers with a page
    /// or with what the person has decided.
    #[must_use]
    pub fn consent<F, A>(self, ask: A) -> Self
    where
        A: Fn(Asking) -> F + Send + Sync + 'static,
        F: Future<Output = Consent> + Send + 'static,
    {
        let ask: Arc<Ask> = Arc::new(move |asking| Box::pin(ask(asking)));
        self.with(|shared| shared.ask = Some(ask))
    }

    /// The page for a person whose request cannot be redirected anywhere; plain text without it.
    #[must_use]
    pub fn error_page(self, page: impl Fn(&Rejection) -> Response + Send + Sync + 'static) -> Self {
        self.with(|shared| shared.error_page = Some(Arc::new(page)))
    }

    /// Spells the `token_type` of bearer tokens like this: it is compared without regard to case
    /// (RFC 6749 section 5.1), and a document may say `bearer`.
    #[must_use]
    pub fn token_type(self, spelled: &'static str) -> Self {
        self.with(|shared| shared.token_type = Some(spelled))
    }

    /// Understands a form that was escaped as a whole at the token endpoint; see
    /// [`Params::split_once_more`](crate::Params::split_once_more). Off by default.
    #[must_use]
    pub fn splits_forms(self) -> Self {
        self.with(|shared| shared.splits_forms = true)
    }

    /// Serves these grant types alone; by default all that can be served, whatever clients are
    /// registered for.
    #[must_use]
    pub fn grant_types(self, only: impl IntoIterator<Item = GrantType>) -> Self {
        let only = only.into_iter().collect();
        self.with(|shared| shared.only = Some(only))
    }

    /// The address of the server.
    pub fn issuer_address(&self) -> &str {
        &self.0.issuer
    }

    /// The grants.
    pub fn grants(&self) -> &Grants<B> {
        &self.0.grants
    }

    /// Where failed attempts are counted.
    pub fn table_of_guesses(&self) -> &Arc<Guesses> {
        &self.0.guesses
    }

    /// The token endpoint (RFC 6749 section 3.2).
    pub fn token_endpoint<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        Router::new().route(&self.0.paths.token, post(token::token::<B>)).with_state(self.clone())
    }

    /// The authorization endpoint (RFC 6749 section 3.1).
    pub fn authorization_endpoint<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        let serve = get(authorize::authorize::<B>).post(authorize::authorize::<B>);
        Router::new().route(&self.0.paths.authorize, serve).with_state(self.clone())
    }

    /// The introspection endpoint (RFC 7662).
    pub fn introspection_endpoint<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        let serve = post(introspect::introspect::<B>);
        Router::new().route(&self.0.paths.introspect, serve).with_state(self.clone())
    }

    /// The revocation endpoint (RFC 7009).
    pub fn revocation_endpoint<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        Router::new()
            .route(&self.0.paths.revoke, post(revoke::revoke::<B>))
            .with_state(self.clone())
    }

    /// The device authorization endpoint (RFC 8628); the page that approves is the server's.
    pub fn device_endpoint<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        Router::new()
            .route(&self.0.paths.device, post(device::device::<B>))
            .with_state(self.clone())
    }

    /// The endpoint for pushed authorization requests (RFC 9126).
    pub fn push_endpoint<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        Router::new().route(&self.0.paths.push, post(push::push::<B>)).with_state(self.clone())
    }

    /// The metadata of the server (RFC 8414), at the well-known path, and at that of the issuer if
    /// its address has a path.
    pub fn metadata_endpoint<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        // Paths of issuers may begin with what marked parameters in former routers.
        let routes = metadata::places(&self.0.issuer)
            .into_iter()
            .fold(Router::new().without_v07_checks(), |routes, place| {
                routes.route(&place, get(metadata::metadata::<B>))
            });
        routes.with_state(self.clone())
    }
}

impl<B: Backend, S: Clone + Send + Sync + 'static> From<OAuth<B>> for Router<S> {
    /// Every endpoint that can be served.
    fn from(oauth: OAuth<B>) -> Self {
        let mut all = Self::new()
            .merge(oauth.token_endpoint())
            .merge(oauth.introspection_endpoint())
            .merge(oauth.revocation_endpoint())
            .merge(oauth.metadata_endpoint());
        if oauth.0.serves(&GrantType::AuthorizationCode) {
            all = all.merge(oauth.authorization_endpoint()).merge(oauth.push_endpoint());
        }
        if oauth.0.serves(&GrantType::DeviceCode) {
            all = all.merge(oauth.device_endpoint());
        }
        all
    }
}

impl FromRef<OAuth> for Grants {
    fn from_ref(oauth: &OAuth) -> Self {
        oauth.0.grants.clone()
    }
}

impl FromRef<OAuth> for Arc<Guesses> {
    fn from_ref(oauth: &OAuth) -> Self {
        Arc::clone(&oauth.0.guesses)
    }
}

impl<B> Shared<B> {
    /// Whether the token endpoint knows this grant type. Those that lead to a page need somebody
    /// who asks, and a password somebody who verifies it.
    pub(crate) fn serves(&self, grant: &GrantType) -> bool {
        let can_be = match grant {
            GrantType::AuthorizationCode | GrantType::DeviceCode => self.ask.is_some(),
            GrantType::Password => self.verify.is_some(),
            GrantType::RefreshToken | GrantType::ClientCredentials => true,
            _ => false,
        };
        can_be && self.only.as_ref().is_none_or(|only| only.contains(grant))
    }

    /// The address of a path of this server.
    pub(crate) fn address(&self, path: &str) -> String {
        format!("{}{path}", self.issuer)
    }

    /// What a person sees of a request that cannot be redirected anywhere.
    pub(crate) fn page_of(&self, rejection: &Rejection) -> Response {
        if let Some(page) = &self.error_page {
            return page(rejection);
        }
        let why = rejection.description().unwrap_or("the request is not in order");
        let told = format!("{}: {why}\n", rejection.error());
        (axum::http::StatusCode::BAD_REQUEST, told).into_response()
    }
}

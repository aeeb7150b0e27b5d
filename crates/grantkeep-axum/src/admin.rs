//! What operators do, as a JSON API on a listener of its own: clients, a subject's grants, and how
//! the store is.
//!
//! Every request brings the secret that the server was started with, as a bearer token. The API
//! belongs on an address that only operators reach: it ends and hands out access. What is refused
//! is told as JSON, and nothing of what was sent is told back: a secret may be in it.

use crate::bearer::presented;
use crate::client::peer;
use crate::guesses::{Guessed, Guesses, Whose};
use crate::params::{BODY_BYTES_MAX, media_type};
use crate::rejection::{Rejection, json};
use axum::extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Path, Query, Request, State};
use axum::http::{StatusCode, request::Parts};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use grantkeep::{Cursor, Embedded, Error, ErrorKind, FamilyId, backend::Backend};
use grantkeep_grants::{
    ClientInfo, ClientState, Creation, GrantInForce, GrantType, Grants, NewClient, NewSecret,
    OAuthError, Refusal, SecretId,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use zeroize::Zeroizing;

/// No page of a listing has more entries.
const PAGE_MAX: usize = 100;
/// No secret of operators is shorter, in characters.
pub const OPERATOR_SECRET_CHARS_MIN: usize = 16;

/// The API for operators; see [`admin`].
pub struct Admin<B = Embedded>(Arc<Shared<B>>);

struct Shared<B> {
    grants: Grants<B>,
    secret: Zeroizing<String>,
    guesses: Arc<Guesses>,
    /// Clients of the server itself.
    reserved: BTreeSet<String>,
}

impl<B> Clone for Admin<B> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<B> fmt::Debug for Admin<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").finish_non_exhaustive()
    }
}

/// The API for operators over these grants, for whoever brings this secret. The clients `reserved`
/// are the server's own: they are listed, and can be enabled, but nobody disables or deletes them,
/// or gives them another secret.
///
/// # Errors
/// [`ErrorKind::Limit`] for a secret of fewer than [`OPERATOR_SECRET_CHARS_MIN`] characters.
///
/// ```
/// use axum::Router;
/// use grantkeep::Store;
/// use grantkeep_axum::Guesses;
/// use grantkeep_grants::{Grants, Policy};
/// use std::sync::Arc;
///
/// # let directory = tempfile::tempdir()?;
/// # let store = Store::open(directory.path().join("tokens"))?;
/// let grants = Grants::new(store, Policy::default())?;
/// let guesses = Arc::new(Guesses::new());
/// let admin = grantkeep_axum::admin(grants, "a long random text", guesses, ["my-pages"])?;
/// let app: Router = Router::new().merge(admin); // on another listener than the endpoints
/// # drop(app);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn admin<B: Backend>(
    grants: Grants<B>,
    secret: impl Into<String>,
    guesses: Arc<Guesses>,
    reserved: impl IntoIterator<Item = impl Into<String>>,
) -> grantkeep::Result<Admin<B>> {
    let secret = Zeroizing::new(secret.into());
    check_operator_secret(&secret)?;
    let reserved = reserved.into_iter().map(Into::into).collect();
    Ok(Admin(Arc::new(Shared { grants, secret, guesses, reserved })))
}

/// Refuses a secret that [`admin`] would refuse, before there is a store.
///
/// # Errors
/// As [`admin`].
pub fn check_operator_secret(secret: &str) -> grantkeep::Result<()> {
    if secret.chars().count() < OPERATOR_SECRET_CHARS_MIN {
        let what = "the secret of operators has fewer than 16 characters: take a long random text";
        return Err(Error::new(ErrorKind::Limit, what));
    }
    Ok(())
}

impl<B> Shared<B> {
    /// Refuses a client of the server itself.
    fn check_reserved(&self, id: &str) -> Result<(), Rejection> {
        if self.reserved.contains(id) {
            let told = malformed("this client is the server's own").status(StatusCode::CONFLICT);
            return Err(told);
        }
        Ok(())
    }
}

impl<B: Backend, S: Clone + Send + Sync + 'static> From<Admin<B>> for Router<S> {
    fn from(admin: Admin<B>) -> Self {
        Router::<Admin<B>>::new()
            .route("/admin/clients", get(clients::<B>).post(create::<B>))
            .route("/admin/clients/{id}", get(client::<B>).delete(remove::<B>))
            .route("/admin/clients/{id}/disable", post(disable::<B>))
            .route("/admin/clients/{id}/enable", post(enable::<B>))
            .route("/admin/clients/{id}/secrets", post(add_secret::<B>))
            .route("/admin/clients/{id}/secrets/{secret}", delete(remove_secret::<B>))
            .route("/admin/subjects/{subject}/grants", get(grants_of::<B>).delete(revoke_all::<B>))
            .route("/admin/subjects/{subject}/grants/{family}", delete(revoke_one::<B>))
            .route("/admin/stats", get(stats::<B>))
            .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
            .layer(from_fn_with_state(admin.clone(), admitted::<B>))
            .with_state(admin)
    }
}

/// Lets nobody in without the secret, and whoever has it in any case.
async fn admitted<B: Backend>(
    State(Admin(admin)): State<Admin<B>>,
    request: Request,
    next: Next,
) -> Result<Response, Rejection> {
    let presented = presented(request.headers())?;
    if constant_time_eq::constant_time_eq(presented.as_bytes(), admin.secret.as_bytes()) {
        return Ok(next.run(request).await);
    }
    let error = (!presented.is_empty()).then_some(OAuthError::InvalidToken);
    if error.is_some() {
        let whose = Whose::Address(peer(request.extensions()));
        admin.guesses.failed(Guessed::OperatorSecret, whose)?;
    }
    Err(Refusal { error, www_authenticate: "Bearer".to_owned() }.into())
}

/// What a path names.
struct Named<T>(T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Named<T> {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Rejection> {
        let named = Path::<T>::from_request_parts(parts, state).await;
        named.map(|Path(named)| Self(named)).map_err(|_| malformed("the path is not UTF-8 text"))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Paging {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Rejection> {
        let asked = Query::<Self>::from_request_parts(parts, state).await;
        let wrong = "the query is not in order: `limit` is a number, and `after` what `next` said";
        asked.map(|Query(asked)| asked).map_err(|_| malformed(wrong))
    }
}

impl<S: Send + Sync> FromRequest<S> for NewClientBody {
    type Rejection = Rejection;

    async fn from_request(request: Request, state: &S) -> Result<Self, Rejection> {
        media_type(request.headers())?;
        let read = Json::<Self>::from_request(request, state).await;
        read.map(|Json(body)| body).map_err(|cause| {
            let why = match cause.status() {
                StatusCode::PAYLOAD_TOO_LARGE => "the body is longer than 64 KiB",
                StatusCode::UNSUPPORTED_MEDIA_TYPE => "send application/json",
                _ => {
                    "the body is not the JSON of a client: client_id, client_name, scope, and \
                     token_endpoint_auth_method are texts, redirect_uris and grant_types arrays \
                     of texts, and there is nothing else in it"
                }
            };
            let status = cause.status();
            // What is well formed and says something else is as wrong.
            let is_told = status != StatusCode::UNPROCESSABLE_ENTITY;
            if is_told { malformed(why).status(status) } else { malformed(why) }
        })
    }
}

#[derive(Debug, Deserialize)]
struct Paging {
    after: Option<String>,
    limit: Option<usize>,
}

impl Paging {
    fn read(&self) -> Result<(Option<Cursor>, usize), Rejection> {
        let after = self.after.as_deref().map(str::parse).transpose()?;
        Ok((after, self.limit.unwrap_or(PAGE_MAX).clamp(1, PAGE_MAX)))
    }
}

/// A page of a listing: `next` is the `after` of the page behind it.
#[derive(Debug, Serialize)]
struct Page<T> {
    items: Vec<T>,
    next: Option<String>,
}

#[derive(Debug, Serialize)]
struct ClientView {
    client_id: String,
    client_name: String,
    confidential: bool,
    state: &'static str,
    redirect_uris: Vec<String>,
    grant_types: Vec<String>,
    scope: String,
    created_at: u64,
    secrets: Vec<SecretView>,
    /// Shown once, where it was just made.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<String>,
}

#[derive(Debug, Serialize)]
struct SecretView {
    id: String,
    created_at: u64,
    expires_at: Option<u64>,
}

#[derive(Debug, Serialize)]
struct GrantView {
    family: String,
    client_id: String,
    scope: String,
    label: String,
    granted_at: u64,
    last_used_at: u64,
    expires_at: u64,
}

/// Seconds since 1970.
fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Whether a client may act, in a word.
const fn word(state: ClientState) -> &'static str {
    match state {
        ClientState::Enabled => "enabled",
        ClientState::Disabled { .. } => "disabled",
        ClientState::AwaitsReview { .. } => "awaits_review",
    }
}

impl ClientView {
    fn of(client: ClientInfo, secret: Option<String>) -> Self {
        let secrets = client.secrets.iter().map(|held| SecretView {
            id: held.id.to_string(),
            created_at: seconds(held.created_at),
            expires_at: held.expires_at.map(seconds),
        });
        Self {
            secrets: secrets.collect(),
            state: word(client.state),
            grant_types: client.grants.iter().map(|grant| grant.as_str().to_owned()).collect(),
            scope: client.scopes.as_str().to_owned(),
            created_at: seconds(client.created_at),
            client_id: client.id,
            client_name: client.name,
            confidential: client.confidential,
            redirect_uris: client.redirect_uris,
            client_secret: secret,
        }
    }
}

impl GrantView {
    fn of(grant: GrantInForce) -> Self {
        Self {
            family: grant.family.to_string(),
            client_id: grant.client,
            scope: grant.scopes.as_str().to_owned(),
            label: grant.label,
            granted_at: seconds(grant.granted_at),
            last_used_at: seconds(grant.last_used_at),
            expires_at: seconds(grant.expires_at),
        }
    }
}

/// What a new client is, as RFC 7591 names it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewClientBody {
    client_id: Option<String>,
    #[serde(default)]
    client_name: String,
    #[serde(default)]
    redirect_uris: Vec<String>,
    #[serde(default)]
    grant_types: Vec<String>,
    #[serde(default)]
    scope: String,
    /// `none` for a public client, `client_secret_basic`, the default, or `client_secret_post`,
    /// which both stand for a confidential one.
    token_endpoint_auth_method: Option<String>,
}

fn malformed(why: &'static str) -> Rejection {
    Rejection::new(OAuthError::InvalidRequest).because(why)
}

fn not_found(what: &'static str) -> Rejection {
    malformed(what).status(StatusCode::NOT_FOUND)
}

type Answer = Result<Response, Rejection>;

async fn clients<B: Backend>(State(Admin(admin)): State<Admin<B>>, paging: Paging) -> Answer {
    let (after, limit) = paging.read()?;
    let listed = admin.grants.clients(after, limit).await?;
    let items = listed.items.into_iter().map(|client| ClientView::of(client, None)).collect();
    Ok(json(StatusCode::OK, &Page { items, next: listed.next.map(|next| next.to_string()) }))
}

async fn create<B: Backend>(State(Admin(admin)): State<Admin<B>>, body: NewClientBody) -> Answer {
    let grants = body
        .grant_types
        .iter()
        .map(|text| GrantType::read(text).ok_or_else(|| malformed("a grant type is none")));
    let grants: Vec<GrantType> = grants.collect::<Result<_, _>>()?;
    let id = body.client_id.as_deref();
    let new = match body.token_endpoint_auth_method.as_deref() {
        Some("none") => NewClient::public(id),
        None | Some("client_secret_basic" | "client_secret_post") => NewClient::confidential(id),
        Some(_) => {
            return Err(malformed(
                "token_endpoint_auth_method is none, client_secret_basic, or client_secret_post",
            ));
        }
    };
    let new = new.name(&body.client_name).scopes(body.scope.as_str()).grants(grants);
    let new = body.redirect_uris.iter().fold(new, |new, uri| new.redirect_uri(uri));
    let Creation::Created(made) = admin.grants.create_client(new).await? else {
        let told = malformed("the client_id is another client's");
        return Err(told.status(StatusCode::CONFLICT));
    };
    let secret = made.secret.map(|secret| secret.expose().to_owned());
    Ok(json(StatusCode::CREATED, &ClientView::of(made.client, secret)))
}

fn shown(client: Option<ClientInfo>) -> Answer {
    let client = client.ok_or_else(|| not_found("there is no such client"))?;
    Ok(json(StatusCode::OK, &ClientView::of(client, None)))
}

async fn client<B: Backend>(
    State(Admin(admin)): State<Admin<B>>,
    Named(id): Named<String>,
) -> Answer {
    shown(admin.grants.client(&id).await?)
}

async fn disable<B: Backend>(
    State(Admin(admin)): State<Admin<B>>,
    Named(id): Named<String>,
) -> Answer {
    admin.check_reserved(&id)?;
    shown(admin.grants.disable_client(&id).await?)
}

async fn enable<B: Backend>(
    State(Admin(admin)): State<Admin<B>>,
    Named(id): Named<String>,
) -> Answer {
    shown(admin.grants.enable_client(&id).await?)
}

async fn remove<B: Backend>(
    State(Admin(admin)): State<Admin<B>>,
    Named(id): Named<String>,
) -> Result<StatusCode, Rejection> {
    admin.check_reserved(&id)?;
    admin.grants.delete_client(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A new secret beside those that the client has, shown once.
#[derive(Debug, Serialize)]
struct AddedSecret {
    id: String,
    client_secret: Option<String>,
}

async fn add_secret<B: Backend>(
    State(Admin(admin)): State<Admin<B>>,
    Named(id): Named<String>,
) -> Answer {
    admin.check_reserved(&id)?;
    let added = admin.grants.add_client_secret(&id, NewSecret::minted()).await?;
    let added = added.ok_or_else(|| not_found("there is no such client"))?;
    let client_secret = added.secret.map(|secret| secret.expose().to_owned());
    Ok(json(StatusCode::CREATED, &AddedSecret { id: added.id.to_string(), client_secret }))
}

async fn remove_secret<B: Backend>(
    State(Admin(admin)): State<Admin<B>>,
    Named((id, secret)): Named<(String, String)>,
) -> Result<StatusCode, Rejection> {
    admin.grants.remove_client_secret(&id, secret.parse::<SecretId>()?).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn grants_of<B: Backend>(
    State(Admin(admin)): State<Admin<B>>,
    Named(subject): Named<String>,
    paging: Paging,
) -> Answer {
    let (after, limit) = paging.read()?;
    let listed = admin.grants.families_of(&subject, after, limit).await?;
    let items = listed.items.into_iter().map(GrantView::of).collect();
    Ok(json(StatusCode::OK, &Page { items, next: listed.next.map(|next| next.to_string()) }))
}

async fn revoke_all<B: Backend>(
    State(Admin(admin)): State<Admin<B>>,
    Named(subject): Named<String>,
) -> Result<StatusCode, Rejection> {
    admin.grants.revoke_subject(&subject).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn revoke_one<B: Backend>(
    State(Admin(admin)): State<Admin<B>>,
    Named((subject, family)): Named<(String, String)>,
) -> Result<StatusCode, Rejection> {
    admin.grants.revoke_family_of(&subject, family.parse::<FamilyId>()?).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn stats<B: Backend>(State(Admin(admin)): State<Admin<B>>) -> Response {
    json(StatusCode::OK, &admin.grants.store().stats())
}

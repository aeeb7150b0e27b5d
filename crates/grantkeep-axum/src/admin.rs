//! What operators do, as a JSON API on a listener of its own: clients, a subject's grants, and how
//! the store is.
//!
//! Every request brings the secret that the server was started with, as a bearer token. The API
//! belongs on an address that only operators reach: it ends and hands out access.

use crate::client::peer;
use crate::guesses::{Guessed, Guesses};
use crate::rejection::{Rejection, json};
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use grantkeep::{Cursor, Embedded, FamilyId, backend::Backend};
use grantkeep_grants::{
    ClientInfo, Creation, GrantInForce, GrantType, Grants, NewClient, NewSecret, OAuthError,
    Refusal, SecretId,
};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use zeroize::Zeroizing;

/// No page of a listing has more entries.
const PAGE_MAX: usize = 100;

/// The API for operators; see [`admin`].
pub struct Admin<B = Embedded>(Arc<Shared<B>>);

struct Shared<B> {
    grants: Grants<B>,
    secret: Zeroizing<String>,
    guesses: Arc<Guesses>,
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

/// The API for operators over these grants, for whoever brings this secret.
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
/// let admin = grantkeep_axum::admin(grants, "a long random text", Arc::new(Guesses::new()));
/// let app: Router = Router::new().merge(admin); // on another listener than the endpoints
/// # drop(app);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn admin<B: Backend>(
    grants: Grants<B>,
    secret: impl Into<String>,
    guesses: Arc<Guesses>,
) -> Admin<B> {
    Admin(Arc::new(Shared { grants, secret: Zeroizing::new(secret.into()), guesses }))
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
            .layer(from_fn_with_state(admin.clone(), admitted::<B>))
            .with_state(admin)
    }
}

/// Lets nobody in without the secret.
async fn admitted<B: Backend>(
    State(Admin(admin)): State<Admin<B>>,
    request: Request,
    next: Next,
) -> Result<Response, Rejection> {
    let from = peer(request.extensions());
    admin.guesses.check(Guessed::ClientSecret, from)?;
    let field = request.headers().get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
    let presented = field.and_then(|field| field.strip_prefix(b"Bearer "));
    let is_it =
        |presented: &[u8]| constant_time_eq::constant_time_eq(presented, admin.secret.as_bytes());
    if presented.is_some_and(is_it) {
        return Ok(next.run(request).await);
    }
    if presented.is_some() {
        admin.guesses.failed(Guessed::ClientSecret, from);
    }
    let error = presented.is_some().then_some(OAuthError::InvalidToken);
    Err(Refusal { error, www_authenticate: "Bearer".to_owned() }.into())
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
    state: String,
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

impl ClientView {
    fn of(client: ClientInfo, secret: Option<String>) -> Self {
        let secrets = client.secrets.iter().map(|held| SecretView {
            id: held.id.to_string(),
            created_at: seconds(held.created_at),
            expires_at: held.expires_at.map(seconds),
        });
        Self {
            secrets: secrets.collect(),
            state: format!("{:?}", client.state).to_lowercase(),
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
    /// `none` for a public client.
    token_endpoint_auth_method: Option<String>,
}

fn not_found(what: &'static str) -> Rejection {
    Rejection::new(OAuthError::InvalidRequest).status(StatusCode::NOT_FOUND).because(what)
}

type Answer = Result<Response, Rejection>;

async fn clients<B: Backend>(
    State(Admin(admin)): State<Admin<B>>,
    Query(paging): Query<Paging>,
) -> Answer {
    let (after, limit) = paging.read()?;
    let listed = admin.grants.clients(after, limit).await?;
    let items = listed.items.into_iter().map(|client| ClientView::of(client, None)).collect();
    Ok(json(StatusCode::OK, &Page { items, next: listed.next.map(|next| next.to_string()) }))
}

async fn create<B: Backend>(
    State(Admin(admin)): State<Admin<B>>,
    body: Result<Json<NewClientBody>, axum::extract::rejection::JsonRejection>,
) -> Answer {
    let malformed = |why: String| Rejection::new(OAuthError::InvalidRequest).because(why);
    let Json(body) = body.map_err(|cause| malformed(cause.body_text()))?;
    let grants = body.grant_types.iter().map(|text| {
        GrantType::read(text).ok_or_else(|| malformed("a grant type is none".to_owned()))
    });
    let grants: Vec<GrantType> = grants.collect::<Result<_, _>>()?;
    let id = body.client_id.as_deref();
    let new = match body.token_endpoint_auth_method.as_deref() {
        Some("none") => NewClient::public(id),
        _ => NewClient::confidential(id),
    };
    let new = new.name(&body.client_name).scopes(body.scope.as_str()).grants(grants);
    let new = body.redirect_uris.iter().fold(new, |new, uri| new.redirect_uri(uri));
    let Creation::Created(made) = admin.grants.create_client(new).await? else {
        let told = malformed("the client_id is another client's".to_owned());
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
    Path(id): Path<String>,
) -> Answer {
    shown(admin.grants.client(&id).await?)
}

async fn disable<B: Backend>(
    State(Admin(admin)): State<Admin<B>>,
    Path(id): Path<String>,
) -> Answer {
    shown(admin.grants.disable_client(&id).await?)
}

async fn enable<B: Backend>(
    State(Admin(admin)): State<Admin<B>>,
    Path(id): Path<String>,
) -> Answer {
    shown(admin.grants.enable_client(&id).await?)
}

async fn remove<B: Backend>(
    State(Admin(admin)): State<Admin<B>>,
    Path(id): Path<String>,
) -> Result<StatusCode, Rejection> {
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
    Path(id): Path<String>,
) -> Answer {
    let added = admin.grants.add_client_secret(&id, NewSecret::minted()).await?;
    let added = added.ok_or_else(|| not_found("there is no such client"))?;
    let client_secret = added.secret.map(|secret| secret.expose().to_owned());
    Ok(json(StatusCode::CREATED, &AddedSecret { id: added.id.to_string(), client_secret }))
}

async fn remove_secret<B: Backend>(
    State(Admin(admin)): State<Admin<B>>,
    Path((id, secret)): Path<(String, String)>,
) -> Result<StatusCode, Rejection> {
    admin.grants.remove_client_secret(&id, secret.parse::<SecretId>()?).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn grants_of<B: Backend>(
    State(Admin(admin)): State<Admin<B>>,
    Path(subject): Path<String>,
    Query(paging): Query<Paging>,
) -> Answer {
    let (after, limit) = paging.read()?;
    let listed = admin.grants.families_of(&subject, after, limit).await?;
    let items = listed.items.into_iter().map(GrantView::of).collect();
    Ok(json(StatusCode::OK, &Page { items, next: listed.next.map(|next| next.to_string()) }))
}

async fn revoke_all<B: Backend>(
    State(Admin(admin)): State<Admin<B>>,
    Path(subject): Path<String>,
) -> Result<StatusCode, Rejection> {
    admin.grants.revoke_subject(&subject).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn revoke_one<B: Backend>(
    State(Admin(admin)): State<Admin<B>>,
    Path((subject, family)): Path<(String, String)>,
) -> Result<StatusCode, Rejection> {
    admin.grants.revoke_family_of(&subject, family.parse::<FamilyId>()?).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn stats<B: Backend>(State(Admin(admin)): State<Admin<B>>) -> Response {
    json(StatusCode::OK, &admin.grants.store().stats())
}

//! The authorization endpoint: RFC 6749 section 4.1, with RFC 9126 section 4 and RFC 9207.
//!
//! 1. The client and its redirect URI are found. What is wrong with either is shown to the person,
//!    and redirected nowhere.
//! 2. The rest of the request is read. What is wrong is told by a redirect, with `state` and `iss`.
//! 3. The person is asked, as often as it takes; the same request comes again with the form of each
//!    page.
//! 4. A pushed request is taken when the person has decided, so that it can be looked at before.

use crate::asking::{Asking, Consent, Granted};
use crate::client::peer;
use crate::oauth::{OAuth, Shared};
use crate::params::Params;
use crate::rejection::Rejection;
use crate::wanted::{Target, Wanted, Wrong};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use grantkeep::backend::Backend;
use grantkeep_grants::{ClientInfo, OAuthError, Scopes, Taken};

pub(crate) async fn authorize<B: Backend>(
    State(OAuth(oauth)): State<OAuth<B>>,
    request: Request,
) -> Response {
    match serve(&oauth, request).await {
        Ok(response) => response,
        Err(Wrong { rejection, target: None }) => oauth.page_of(&rejection),
        Err(Wrong { rejection, target: Some(target) }) => {
            let error = rejection.error().as_str();
            let described = rejection.description().map(|text| ("error_description", text));
            redirect(&oauth, &target, [Some(("error", error)), described])
        }
    }
}

async fn serve<B: Backend>(oauth: &Shared<B>, request: Request) -> Result<Response, Wrong> {
    let (parts, body) = request.into_parts();
    let query = Params::of_form(parts.uri.query().unwrap_or_default())?;
    let form = match parts.method {
        Method::POST => Some(Params::of_body(&parts.headers, body).await?),
        _ => None,
    };
    // A request may be posted (section 3.1), and so is the form of a page, whose request is in the
    // query: the form of one that was posted leads to where it is as well.
    let at = parts.uri.path_and_query().map_or("/", |at| at.as_str());
    let (asked, form, action) = match (query.is_empty(), form) {
        (true, Some(posted)) => {
            let action = format!("{}?{}", parts.uri.path(), posted.to_form_without(&[]));
            (posted, None, action)
        }
        (_, form) => (query, form, at.to_owned()),
    };
    let client = find_client(oauth, &asked).await?;
    let pushed = asked.get("request_uri").map(str::to_owned);
    let asked = match &pushed {
        Some(uri) => look_at(oauth, uri, &client.id).await?,
        None => asked,
    };
    let wanted = Wanted::read(&oauth.grants, &client, &asked)?;
    let Some(ask) = &oauth.ask else {
        let told = Rejection::new(OAuthError::ServerError);
        return Err(told.because("nobody can be asked for consent here").into());
    };
    let asking = Asking {
        client: client.clone(),
        scopes: wanted.scopes.clone(),
        resources: wanted.resources.clone(),
        redirect_uri: wanted.target.redirect_uri.clone(),
        action,
        form,
        from: peer(&parts.extensions),
        headers: parts.headers,
    };
    let decided = match ask(asking).await {
        Consent::Page(page) => return Ok(*page),
        decided => decided,
    };
    if let Some(uri) = &pushed {
        // Of two answers to one request the first counts.
        taken(oauth.grants.take_pushed(uri, &client.id).await.map_err(Rejection::from)?)?;
    }
    let done = match decided {
        Consent::Granted(granted) => issue(oauth, &client, &wanted, &granted).await,
        _ => Err(OAuthError::AccessDenied.into()),
    };
    let target = wanted.target.clone();
    done.map_err(|rejection| Wrong { rejection, target: Some(target) })
}

/// The client of a request, which everything else is held against.
async fn find_client<B: Backend>(
    oauth: &Shared<B>,
    asked: &Params,
) -> Result<ClientInfo, Rejection> {
    let found = oauth.grants.client(asked.require("client_id")?).await?;
    found.ok_or_else(|| {
        Rejection::new(OAuthError::InvalidRequest).because("there is no client of this client_id")
    })
}

/// What was pushed under a reference.
async fn look_at<B: Backend>(
    oauth: &Shared<B>,
    uri: &str,
    client: &str,
) -> Result<Params, Rejection> {
    let form = taken(oauth.grants.look_at_pushed(uri, client).await?)?;
    // Whoever pushed it without this crate may have pushed any bytes.
    let form = String::from_utf8(form).map_err(|_| OAuthError::InvalidRequestUri)?;
    Params::of_form(&form)
}

fn taken(answer: Taken) -> Result<Vec<u8>, Rejection> {
    match answer {
        Taken::Request(form) => Ok(form),
        other => Err(other.oauth_error().unwrap_or(OAuthError::InvalidRequestUri).into()),
    }
}

/// Issues a code, and leads back to the client with it.
async fn issue<B: Backend>(
    oauth: &Shared<B>,
    client: &ClientInfo,
    wanted: &Wanted,
    granted: &Granted,
) -> Result<Response, Rejection> {
    let scopes = match &granted.scopes {
        Some(some) => {
            let both: Vec<&str> = some.iter().filter(|s| wanted.scopes.contains(s)).collect();
            Scopes::read(&both.join(" "))?
        }
        None => wanted.scopes.clone(),
    };
    let mut grant = wanted
        .authorize(&client.id, &granted.subject)
        .scopes(&scopes)
        .session(granted.session.as_deref())
        .label(granted.label.as_deref());
    if let Some(facts) = &granted.facts {
        grant = grant.sealed_facts(facts);
    }
    let code = oauth.grants.authorize(grant).await?;
    Ok(redirect(oauth, &wanted.target, [Some(("code", code.expose())), None]))
}

/// Leads back to the client: the answer, its `state`, and who answers (RFC 9207). The redirect URI
/// stays as it was registered, to the byte.
fn redirect<B>(oauth: &Shared<B>, target: &Target, answer: [Option<(&str, &str)>; 2]) -> Response {
    let mut query = form_urlencoded::Serializer::new(String::new());
    let state = target.state.as_deref().map(|state| ("state", state));
    let issuer = Some(("iss", oauth.issuer.as_str()));
    for (name, value) in answer.into_iter().chain([state, issuer]).flatten() {
        query.append_pair(name, value);
    }
    let joint = match target.redirect_uri.split_once('?') {
        None => "?",
        Some((_, "")) => "",
        Some(_) => "&",
    };
    let location = format!("{}{joint}{}", target.redirect_uri, query.finish());
    let Ok(location) = HeaderValue::try_from(location) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let fields = [
        (header::LOCATION, location),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    // A form is not sent on to the client: RFC 9700 section 4.12.
    (StatusCode::SEE_OTHER, fields).into_response()
}

//! Who asks for a page, and who sends a form: what every handler of a page begins with.
//!
//! 1. A page is shown to whoever is signed in; others are led to sign in, and back to it.
//! 2. A form counts if its sender is signed in, if the browser does not say that another site has
//!    sent it, and if it carries the digest of the session and of the very path that it goes to.
//!    [`Posted`] is the one way to a form, so no handler can leave this out.
//! 3. A page of operators, and a form of one, is refused to everybody else.
//! 4. After a form the browser is led to a page that it may load again. Where a secret is shown,
//!    which is in no address and no cookie, the form is answered at once instead, and counts once:
//!    it carries a number that the store burns.

use crate::pages::layout::{Page, see_other, wrong};
use crate::pages::nav::head;
use crate::people::{People, failed};
use crate::session::{Session, Shown as _};
use axum::extract::{ConnectInfo, FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;
use data_encoding::HEXLOWER;
use grantkeep::{Burned, Cursor};
use grantkeep_axum::Params;
use grantkeep_grants::{Grants, Once};
use maud::{Markup, html};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// How long a form that counts once may be open. A session is as old at most.
const OPEN_MAX: Duration = Duration::from_secs(12 * 3_600);

/// A request of somebody who is signed in.
pub(crate) struct Visit {
    pub(crate) people: Arc<People>,
    pub(crate) session: Session,
    pub(crate) headers: HeaderMap,
    pub(crate) from: Option<IpAddr>,
    pub(crate) query: Params,
    path: String,
}

/// A form of somebody who is signed in.
pub(crate) struct Posted {
    pub(crate) visit: Visit,
    pub(crate) form: Params,
}

/// A request of an operator.
pub(crate) struct Operator(pub(crate) Visit);

/// A form of an operator.
pub(crate) struct OperatorPosted(pub(crate) Posted);

/// Where a request comes from, where the server tells.
pub(crate) fn peer(parts: &Parts) -> Option<IpAddr> {
    parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(from)| from.ip())
}

/// The query of a request.
pub(crate) fn query(parts: &Parts) -> Result<Params, Response> {
    Params::of_form(parts.uri.query().unwrap_or_default())
        .map_err(|_| wrong(StatusCode::BAD_REQUEST, "The address of this page is not in order."))
}

/// The fields of a form that was posted.
pub(crate) async fn form(request: Request) -> Result<Params, Response> {
    let (parts, body) = request.into_parts();
    Params::of_body(&parts.headers, body)
        .await
        .map_err(|_| wrong(StatusCode::BAD_REQUEST, "This form cannot be read, or is too long."))
}

impl FromRequestParts<Arc<People>> for Visit {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, people: &Arc<People>) -> Result<Self, Response> {
        let Some(session) = people.session(&parts.headers).await? else {
            return Err(to_sign_in(parts));
        };
        Ok(Self {
            people: Arc::clone(people),
            session,
            headers: parts.headers.clone(),
            from: peer(parts),
            query: query(parts)?,
            path: parts.uri.path().to_owned(),
        })
    }
}

/// Leads to sign in, and back to the page that was asked for; what a form said is lost.
fn to_sign_in(parts: &Parts) -> Response {
    if parts.method != Method::GET {
        return see_other("/signin");
    }
    let wanted = parts.uri.path_and_query().map_or("/", |wanted| wanted.as_str());
    see_other(&address("/signin", &[("next", wanted)]))
}

impl FromRequest<Arc<People>> for Posted {
    type Rejection = Response;

    async fn from_request(request: Request, people: &Arc<People>) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let visit = Visit::from_request_parts(&mut parts, people).await?;
        people.check_origin(&parts.headers)?;
        let form = form(Request::from_parts(parts, body)).await?;
        if !visit.session.is_own(&visit.path, form.get("csrf")) {
            return Err(wrong(StatusCode::FORBIDDEN, "This form is not from here, or is too old."));
        }
        Ok(Self { visit, form })
    }
}

impl FromRequestParts<Arc<People>> for Operator {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, people: &Arc<People>) -> Result<Self, Response> {
        let visit = Visit::from_request_parts(parts, people).await?;
        if !visit.is_operator() {
            return Err(wrong(StatusCode::FORBIDDEN, "This page is for operators."));
        }
        Ok(Self(visit))
    }
}

impl FromRequest<Arc<People>> for OperatorPosted {
    type Rejection = Response;

    async fn from_request(request: Request, people: &Arc<People>) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        Operator::from_request_parts(&mut parts, people).await?;
        Posted::from_request(Request::from_parts(parts, body), people).await.map(Self)
    }
}

impl Visit {
    pub(crate) fn grants(&self) -> &Grants {
        self.people.oauth.grants()
    }

    pub(crate) fn subject(&self) -> &str {
        &self.session.subject
    }

    pub(crate) fn is_operator(&self) -> bool {
        self.people.users.is_operator(self.subject())
    }

    /// A page with the others above it; `here` is the path of the one that is marked.
    pub(crate) fn page<'a>(&self, here: &str, title: &'a str, body: &Markup) -> Page<'a> {
        let notice = self.query.get("done").and_then(notice);
        let body = html! {
            h1 { (title) }
            @if let Some(notice) = notice { p class="notice" role="status" { (notice) } }
            (body)
        };
        Page::new(title, body).under(head(self, here))
    }

    /// What a form that goes to `action` carries to be believed.
    pub(crate) fn proof(&self, action: &str) -> Markup {
        html! { input type="hidden" name="csrf" value=(self.session.csrf(action)); }
    }

    /// A form of one button, with what it is about.
    pub(crate) fn button(&self, action: &str, about: &[(&str, &str)], says: &Markup) -> Markup {
        self.form(action, about, "small", says)
    }

    fn form(&self, action: &str, about: &[(&str, &str)], class: &str, says: &Markup) -> Markup {
        html! {
            form method="post" action=(action) class="inline" {
                (self.proof(action))
                @for (name, value) in about { input type="hidden" name=(name) value=(value); }
                button class=(class) { (says) }
            }
        }
    }

    /// The same behind a word that is opened first, where it cannot be undone.
    pub(crate) fn asked(
        &self,
        action: &str,
        about: &[(&str, &str)],
        (word, whose): (&str, &str),
        warning: &str,
    ) -> Markup {
        let says = html! { (word) @if !whose.is_empty() { span class="unseen" { " " (whose) } } };
        html! {
            details class="asked" {
                summary { (says) }
                p { (warning) }
                (self.form(action, about, "small danger", &says))
            }
        }
    }

    /// Where a listing goes on, as the address says.
    pub(crate) fn cursor(&self) -> Option<Cursor> {
        self.query.get("after").and_then(|text| text.parse().ok())
    }
}

impl Posted {
    /// A field that must be there, and not blank.
    pub(crate) fn field(&self, name: &str, what: &str) -> Result<&str, Response> {
        let value = self.form.get(name).filter(|value| !value.trim().is_empty());
        value.ok_or_else(|| wrong(StatusCode::BAD_REQUEST, &format!("{what} is missing.")))
    }

    /// Refuses a form that was sent before.
    pub(crate) async fn first(&self) -> Result<(), Response> {
        let number = self.field("number", "The number of the form")?;
        let subject = self.visit.subject();
        let once = Once::new("form of a page", subject, number.as_bytes());
        let until = SystemTime::now() + OPEN_MAX;
        if self.visit.grants().burn(once, until).await.map_err(failed)? == Burned::First {
            return Ok(());
        }
        let what = "This form was sent before, and what it made was shown then.";
        Err(wrong(StatusCode::CONFLICT, what))
    }
}

/// A number for a form that counts once.
pub(crate) fn number() -> Result<Markup, Response> {
    let mut number = [0; 16];
    grantkeep::random(&mut number).map_err(failed)?;
    let number = HEXLOWER.encode(&number);
    Ok(html! { input type="hidden" name="number" value=(number); })
}

/// An address with parameters.
pub(crate) fn address(path: &str, parameters: &[(&str, &str)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(parameters);
    format!("{path}?{}", query.finish())
}

/// The link to the next part of a listing.
pub(crate) fn more(path: &str, parameters: &[(&str, &str)], next: Option<Cursor>) -> Markup {
    let next = next.map(|next| next.to_string());
    html! {
        @if let Some(next) = &next {
            @let parameters = [parameters, &[("after", next.as_str())]].concat();
            p { a class="more" href=(address(path, &parameters)) rel="next" { "Show more" } }
        }
    }
}

/// What a page says when a form has led to it.
fn notice(done: &str) -> Option<&'static str> {
    Some(match done {
        "key-revoked" => "The key is revoked. Whatever used it is refused from now on.",
        "disconnected" => "The app is disconnected. It has no access any more.",
        "ended" => "Its access has ended.",
        "browser-out" => "The browser is signed out.",
        "browsers-out" => "Every other browser is signed out.",
        "everything-out" => "Every other browser is signed out, and every app is disconnected.",
        "device-added" => "The device is approved. Return to it; it continues by itself.",
        "device-denied" => "The device is refused.",
        "secret-removed" => "The secret is removed.",
        "disabled" => "The client is disabled, and everything issued to it is revoked.",
        "enabled" => "The client is enabled.",
        "client-changed" => "The client is changed.",
        "client-deleted" => "The client is deleted, and everything issued to it is revoked.",
        "password-changed" => "Your password is changed. Every other browser is signed out.",
        "subject-ended" => "Everything that was issued to this person is revoked.",
        _ => return None,
    })
}

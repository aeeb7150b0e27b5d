//! Asking a person: who they are, and whether a client may have what it asks for.
//!
//! 1. Without a session the page to sign in on is shown. Its form comes back with a name and a
//!    password; a right one makes a session, and the question is shown at once.
//! 2. The question's form comes back with the decision. Its digest is that of the session and of
//!    this very request, so that a decision on one is none on another.
//! 3. A system that has everybody sign in for each request of a client shows the first page
//!    whatever session there is. The question that follows it is proof that somebody has.

use crate::pages::ask::{self, Said};
use crate::pages::layout;
use crate::people::{People, facts};
use crate::session::{Session, Shown as _};
use axum::http::{StatusCode, header};
use axum::response::Response;
use grantkeep_axum::{Asking, Consent, Granted, Params};
use std::sync::Arc;

/// Puts a request before a person.
pub(crate) async fn consent(people: Arc<People>, asking: Asking) -> Consent {
    match decide(&people, &asking).await {
        Ok(consent) => consent,
        Err(response) => Consent::Page(Box::new(response)),
    }
}

async fn decide(people: &People, asking: &Asking) -> Result<Consent, Response> {
    let session = people.session(&asking.headers).await?;
    let Some(form) = &asking.form else {
        return Ok(Consent::Page(Box::new(match session {
            Some(session) if !people.system.always_signs_in => question(people, asking, &session),
            _ => people.sign_in_page(&asking.headers, &asking.action, Said::Nothing)?,
        })));
    };
    people.check_origin(&asking.headers)?;
    match (form.get("decision"), session) {
        (Some(decision), Some(session)) => {
            if !session.is_own(&purpose(asking), form.get("csrf")) {
                return Err(layout::wrong(StatusCode::FORBIDDEN, "This form is not from here."));
            }
            Ok(match decision {
                "approve" => Consent::Granted(granted(asking, &session)),
                _ => Consent::Denied,
            })
        }
        // The session has ended meanwhile.
        (Some(_), None) => {
            Err(people.sign_in_page(&asking.headers, &asking.action, Said::Nothing)?)
        }
        (None, _) => signed_in(people, asking, form).await,
    }
}

/// What was typed into the page to sign in on, and what follows.
async fn signed_in(people: &People, asking: &Asking, form: &Params) -> Result<Consent, Response> {
    let opened = people.sign_in(&asking.headers, asking.from, &asking.action, form).await?;
    let (session, cookie) = opened;
    let mut page = question(people, asking, &session);
    if let Some(cookie) = cookie {
        page.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(Consent::Page(Box::new(page)))
}

fn question(people: &People, asking: &Asking, session: &Session) -> Response {
    let scopes: Vec<String> = asking.scopes.iter().map(|scope| people.in_words(scope)).collect();
    let client = &asking.client;
    let csrf = session.csrf(&purpose(asking));
    ask::approve(&ask::Question {
        client: if client.name.is_empty() { &client.id } else { &client.name },
        subject: &session.subject,
        scopes: &scopes,
        action: &asking.action,
        resources: &asking.resources,
        csrf: &csrf,
        leads_to: &origin_of(&asking.redirect_uri),
    })
}

fn granted(asking: &Asking, session: &Session) -> Granted {
    let facts = facts(&asking.headers, asking.from);
    Granted::by(&session.subject).label(&asking.client.name).facts(facts)
}

/// What a decision is about: this request, with all that it asks for, and what was read of it.
fn purpose(asking: &Asking) -> String {
    let Asking { client, redirect_uri, scopes, resources, action, .. } = asking;
    let (scopes, resources) = (scopes.as_str(), resources.join(" "));
    format!("decide {} {redirect_uri} {scopes} ({resources}) {action}", client.id)
}

/// The origin of a redirect URI, or its scheme where that is an app's own: what a browser lets a
/// form lead to (CSP Level 3 section 6.4.1).
pub(crate) fn origin_of(redirect_uri: &str) -> String {
    let Some((scheme, rest)) = redirect_uri.split_once("://") else {
        let scheme = redirect_uri.split(':').next().unwrap_or_default();
        return format!("{scheme}:");
    };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // What ends a source of the policy is in no host.
    if host.is_empty() || host.contains([';', ',', ' ']) {
        return format!("{scheme}:");
    }
    format!("{scheme}://{host}")
}

//! What the pages share: who may sign in, how, and what a system calls things.

use crate::pages::ask::{self, Said};
use crate::pages::layout;
use crate::pages::market::OneClick;
use crate::pages::tally::Tally;
use crate::session::{self, Cookies, Session, Shown as _};
use crate::systems::System;
use crate::users::Users;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use grantkeep::ErrorKind;
use grantkeep_axum::{Guessed, OAuth, Params, Rejection, Whose};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// The people of a server, and what its pages need.
pub(crate) struct People {
    pub(crate) oauth: OAuth,
    pub(crate) users: Arc<dyn Users>,
    pub(crate) cookies: Cookies,
    pub(crate) system: &'static System,
    /// The address of the server, as a browser names it.
    pub(crate) origin: String,
    /// The path of the introspection endpoint.
    pub(crate) introspect: String,
    /// Where flows that are started here lead, by the client's id.
    pub(crate) one_click: BTreeMap<String, OneClick>,
    /// What the dashboard shows.
    pub(crate) tally: Tally,
}

/// What a sign-in form is for, as its digest has it.
const SIGN_IN: &str = "sign in";

impl People {
    /// The session of a request, if there is one.
    pub(crate) async fn session(&self, headers: &HeaderMap) -> Result<Option<Session>, Response> {
        let found = session::session(self.oauth.grants(), self.cookies, headers).await;
        Ok(found.map_err(failed)?.filter(|session| self.users.is_known(&session.subject)))
    }

    /// Refuses a form that another site has sent.
    pub(crate) fn check_origin(&self, headers: &HeaderMap) -> Result<(), Response> {
        if session::is_same_site(headers, &self.origin) {
            return Ok(());
        }
        Err(layout::wrong(StatusCode::FORBIDDEN, "This form was sent by another site."))
    }

    /// The page to sign in on.
    pub(crate) fn sign_in_page(
        &self,
        headers: &HeaderMap,
        action: &str,
        said: Said<'_>,
    ) -> Result<Response, Response> {
        let Some((visitor, cookie)) = self.cookies.visitor(headers) else {
            let what = "The server has no randomness.";
            return Err(layout::wrong(StatusCode::INTERNAL_SERVER_ERROR, what));
        };
        let mut page = ask::sign_in(self.system.title, action, &visitor.csrf(SIGN_IN), said);
        if let Some(cookie) = cookie {
            page.headers_mut().append(header::SET_COOKIE, cookie);
        }
        Ok(page)
    }

    /// Signs in whoever has filled in that page.
    pub(crate) async fn sign_in(
        &self,
        headers: &HeaderMap,
        from: Option<IpAddr>,
        action: &str,
        form: &Params,
    ) -> Result<(Session, Option<HeaderValue>), Response> {
        let (name, password) = (form.get("username"), form.get("password"));
        let (name, password) = (name.unwrap_or_default(), password.unwrap_or_default());
        let said = |why| Said::Wrong { why, name };
        let visitor = self.cookies.visitor(headers).map(|(visitor, _)| visitor);
        if !visitor.is_some_and(|visitor| visitor.is_own(SIGN_IN, form.get("csrf"))) {
            let wrong = "The page was too old, or cookies are blocked. Please try again.";
            return Err(self.sign_in_page(headers, action, said(wrong))?);
        }
        let places = [
            (Guessed::Password, Whose::NameFrom(name, from)),
            (Guessed::Passwords, Whose::Address(from)),
        ];
        let refused = |why: &str, rejection: &Rejection| {
            let mut page = self.sign_in_page(headers, action, Said::Wrong { why, name })?;
            *page.status_mut() = rejection.status_code();
            if let Some(after) = rejection.retry_after() {
                page.headers_mut().insert(header::RETRY_AFTER, after);
            }
            Err(page)
        };
        let guess = match self.oauth.table_of_guesses().take(&places) {
            Ok(guess) => guess,
            Err(rejection) => {
                let wrong = "Too many failed attempts. Wait a minute, then try again.";
                return refused(wrong, &rejection);
            }
        };
        let verified = self.users.verify(name.to_owned(), password.to_owned().into()).await;
        let subject = match verified {
            Ok(subject) => subject,
            Err(busy) => {
                guess.give_back();
                let wrong = layout::sentence(busy.description().unwrap_or("please try again"));
                return refused(&wrong, &busy);
            }
        };
        let Some(subject) = subject else {
            let wrong = "The user name or the password is wrong.";
            return Err(self.sign_in_page(headers, action, said(wrong))?);
        };
        guess.give_back();
        // The browser has one session: the one that it had before is nobody's any more.
        let before = self.session(headers).await?;
        let grants = self.oauth.grants();
        let opened = session::sign_in(grants, self.cookies, headers, &subject).await;
        let opened = opened.map_err(failed)?;
        if let Some(before) = before {
            grants.revoke_family(before.family).await.map_err(failed)?;
        }
        Ok(opened)
    }

    /// What a person is told of a scope.
    pub(crate) fn in_words(&self, scope: &str) -> String {
        let known = self.system.scopes.iter().find(|(name, _)| *name == scope);
        known.map_or_else(|| format!("use \"{scope}\""), |(_, words)| (*words).to_owned())
    }
}

/// What is noted of where something was granted: the address, and what people call the browser.
pub(crate) fn facts(headers: &HeaderMap, from: Option<IpAddr>) -> Vec<u8> {
    let label = session::label(headers);
    from.map_or_else(|| label.clone(), |from| format!("{from} with {label}")).into_bytes()
}

/// A page for what the store answered: its own sentence where the form asked for too much.
#[expect(clippy::needless_pass_by_value, reason = "so that it goes behind `map_err`")]
pub(crate) fn failed(error: grantkeep::Error) -> Response {
    if matches!(error.kind(), ErrorKind::Limit | ErrorKind::Lifetime) {
        return layout::wrong(StatusCode::BAD_REQUEST, &layout::sentence(&error.to_string()));
    }
    if error.kind() == ErrorKind::Disabled {
        return layout::wrong(StatusCode::CONFLICT, "This app is not in use any more.");
    }
    if error.kind() == ErrorKind::Unauthorized {
        return layout::wrong(StatusCode::CONFLICT, "This app is not registered for that.");
    }
    tracing::error!(target: "grantkeep", "a page could not be shown: {error}");
    layout::wrong(StatusCode::SERVICE_UNAVAILABLE, "The server cannot do that at the moment.")
}

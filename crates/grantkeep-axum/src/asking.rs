//! What a person is asked, and what they answer.

use crate::params::Params;
use axum::http::HeaderMap;
use axum::response::Response;
use grantkeep_grants::{ClientInfo, Scopes};
use std::net::IpAddr;

/// An authorization request that is in order, to be put before a person.
///
/// The server says who the person is, and asks. A page that it answers with sends its form to
/// [`Asking::action`], and is found in [`Asking::form`] when the same request comes again.
#[derive(Debug)]
#[non_exhaustive]
pub struct Asking {
    /// Who asks.
    pub client: ClientInfo,
    /// What for.
    pub scopes: Scopes,
    /// The resource servers it is for (RFC 8707); none means any.
    pub resources: Vec<String>,
    /// Where the client's answer goes. A browser may be led on from there, so the page that asks
    /// has no `form-action` in its policy: Chromium holds each hop against it.
    pub redirect_uri: String,
    /// The path of this request, and all that it asks for as a query.
    pub action: String,
    /// The form of a page that asked before; `None` for the first look.
    pub form: Option<Params>,
    /// The fields of the request, cookies among them.
    pub headers: HeaderMap,
    /// Where the request comes from, where the server tells.
    pub from: Option<IpAddr>,
}

/// What comes of asking.
#[derive(Debug)]
pub enum Consent {
    /// A page first: to sign in, or to ask.
    Page(Box<Response>),
    /// The person says no.
    Denied,
    /// The person says yes.
    Granted(Granted),
}

/// A person's consent.
#[derive(Debug)]
pub struct Granted {
    pub(crate) subject: String,
    pub(crate) scopes: Option<Scopes>,
    pub(crate) session: Option<String>,
    pub(crate) label: Option<String>,
    pub(crate) facts: Option<Vec<u8>>,
}

impl Granted {
    /// By this person, to all that was asked for.
    pub fn by(subject: impl Into<String>) -> Self {
        let subject = subject.into();
        Self { subject, scopes: None, session: None, label: None, facts: None }
    }

    /// To fewer scopes than were asked for. Others are left out.
    #[must_use]
    pub fn scopes(self, scopes: Scopes) -> Self {
        Self { scopes: Some(scopes), ..self }
    }

    /// In this log-in session, with which what is granted ends.
    #[must_use]
    pub fn session(self, session: impl Into<String>) -> Self {
        Self { session: Some(session.into()), ..self }
    }

    /// What the person calls the device, or the server does.
    #[must_use]
    pub fn label(self, label: impl Into<String>) -> Self {
        Self { label: Some(label.into()), ..self }
    }

    /// Where it was: a device, an address. Sealed at rest.
    #[must_use]
    pub fn facts(self, facts: impl Into<Vec<u8>>) -> Self {
        Self { facts: Some(facts.into()), ..self }
    }
}

//! The bodies of responses, each as the JSON of its RFC: behind the feature `serde`, for whichever
//! serializer the server has.
//!
//! | what | RFC |
//! |---|---|
//! | [`Issued`] | 6749 section 5.1 |
//! | [`OAuthError`], [`ErrorResponse`] | 6749 section 5.2 |
//! | [`Redeemed`], [`Completed`], [`Refreshed`], [`Polled`] | one of the above |
//! | [`Introspection`] | 7662 section 2.2 |
//! | [`DeviceResponse`] | 8628 section 3.2 |
//! | [`Pushed`] | 9126 section 2.2 |
//!
//! This is the one place besides [`Secret::expose`](crate::Secret) where a text leaves: no secret
//! is serialized by itself, and `Debug` of none of these prints one. A server that has members of
//! its own flattens one of these beside them (`#[serde(flatten)]`). Members without a value are
//! left out.

use crate::code::claim::Completed;
use crate::code::push::Pushed;
use crate::code::redeem::Redeemed;
use crate::device::{DeviceIssued, Polled};
use crate::family::refresh::Refreshed;
use crate::oauth_error::OAuthError;
use crate::request::issued::Issued;
use crate::request::optional::{Optional, parameter};
use crate::request::proof::cnf;
use crate::request::scope::Scopes;
use crate::text::secret::Secret;
use crate::token::introspect::{Claims, Introspection};
use grantkeep::Confirmation;
use serde::{Serialize, Serializer};
use std::time::SystemTime;

impl Serialize for Issued {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Body<'a> {
            access_token: &'a str,
            token_type: &'a str,
            expires_in: u64,
            #[serde(skip_serializing_if = "Option::is_none")]
            refresh_token: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            scope: Option<&'a str>,
        }
        let body = Body {
            access_token: self.access.expose(),
            token_type: self.token_type,
            expires_in: self.expires_in.as_secs(),
            refresh_token: self.refresh.as_ref().map(Secret::expose),
            scope: scope(&self.scopes),
        };
        body.serialize(serializer)
    }
}

/// The `scope` member: its grammar has no empty one (RFC 6749 section 3.3).
fn scope(scopes: &Scopes) -> Option<&str> {
    Some(scopes.as_str()).filter(|scopes| !scopes.is_empty())
}

/// Serializes what was issued, or else the error that the client is told.
macro_rules! serialize_answer {
    ($($answer:ident: $($issued:ident)|+;)+) => {$(
        impl Serialize for $answer {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self {
                    $(Self::$issued(issued))|+ => issued.serialize(serializer),
                    // Everything else is an error: it is never none.
                    refused => refused.oauth_error().serialize(serializer),
                }
            }
        }
    )+};
}

serialize_answer! {
    Redeemed: Granted;
    Completed: Granted;
    Refreshed: Rotated | Retried;
    Polled: Granted;
}

impl Serialize for Introspection {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Inactive {
            active: bool,
        }
        match self {
            Self::Active(claims) => InForce::of(claims).serialize(serializer),
            Self::Inactive => Inactive { active: false }.serialize(serializer),
        }
    }
}

/// A token in force.
#[derive(Serialize)]
struct InForce<'a> {
    active: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<u64>,
    iat: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<Audience<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cnf: Option<Cnf<'a>>,
}

impl<'a> InForce<'a> {
    fn of(claims: &'a Claims) -> Self {
        Self {
            active: true,
            scope: scope(&claims.scopes),
            client_id: claims.client.as_deref(),
            token_type: claims.token_type,
            exp: claims.expires_at.map(numeric_date),
            iat: numeric_date(claims.issued_at),
            sub: claims.subject.as_deref(),
            aud: claims.audience.as_deref().map(Audience::of),
            cnf: claims.confirmation.as_ref().map(Cnf),
        }
    }
}

/// One resource is a text, and several are a list (RFC 7519 section 4.1.3).
#[derive(Serialize)]
#[serde(untagged)]
enum Audience<'a> {
    One(&'a str),
    Several(Vec<&'a str>),
}

impl<'a> Audience<'a> {
    fn of(stored: &'a str) -> Self {
        if stored.contains(' ') {
            Self::Several(stored.split(' ').collect())
        } else {
            Self::One(stored)
        }
    }
}

/// RFC 7800 section 3.1.
struct Cnf<'a>(&'a Confirmation);

impl Serialize for Cnf<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map([cnf(self.0)])
    }
}

/// Whole seconds since 1970 (RFC 7519 section 2), rounded down; the store is not older than that.
fn numeric_date(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// What a device is answered, RFC 8628 section 3.2; made by [`DeviceIssued::response`].
#[derive(Debug, Clone, Copy)]
pub struct DeviceResponse<'a> {
    issued: &'a DeviceIssued,
    verification_uri: &'a str,
    complete: bool,
}

impl DeviceIssued {
    /// The body of the response, to be serialized: these codes, and the address of the page on
    /// which the user code is typed. That should be short.
    pub fn response<'a>(&'a self, verification_uri: &'a str) -> DeviceResponse<'a> {
        DeviceResponse { issued: self, verification_uri, complete: false }
    }
}

impl DeviceResponse<'_> {
    /// Adds a `verification_uri_complete`: the address with the user code in its query, as
    /// `user_code`, for a device that can show a QR code (RFC 8628 section 3.3.1). The page has to
    /// show the code all the same, and to ask whether it is the one that the device shows.
    #[must_use]
    pub fn with_complete(self) -> Self {
        Self { complete: true, ..self }
    }
}

impl Serialize for DeviceResponse<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Body<'a> {
            device_code: &'a str,
            user_code: &'a str,
            verification_uri: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            verification_uri_complete: Option<String>,
            expires_in: u64,
            interval: u64,
        }
        let user_code = self.issued.user_code.expose();
        let address = self.verification_uri;
        let complete = || {
            let joint = if address.contains('?') { '&' } else { '?' };
            format!("{address}{joint}user_code={user_code}")
        };
        let body = Body {
            device_code: self.issued.device_code.expose(),
            user_code,
            verification_uri: address,
            verification_uri_complete: self.complete.then(complete),
            expires_in: self.issued.expires_in.as_secs(),
            interval: self.issued.interval.as_secs(),
        };
        body.serialize(serializer)
    }
}

impl Serialize for Pushed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Body<'a> {
            request_uri: &'a str,
            expires_in: u64,
        }
        let request_uri = self.request_uri.expose();
        Body { request_uri, expires_in: self.expires_in.as_secs() }.serialize(serializer)
    }
}

/// The body of an error response, RFC 6749 section 5.2; made by [`OAuthError::response`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorResponse {
    error: OAuthError,
    description: Option<String>,
    uri: Option<String>,
}

impl Serialize for ErrorResponse {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Body<'a> {
            error: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            error_description: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            error_uri: Option<&'a str>,
        }
        let body = Body {
            error: self.error.as_str(),
            error_description: self.description.as_deref(),
            error_uri: self.uri.as_deref(),
        };
        body.serialize(serializer)
    }
}

impl OAuthError {
    /// The body of the response, to which more may be added. An [`OAuthError`] that is serialized
    /// is one without more.
    pub fn response(self) -> ErrorResponse {
        ErrorResponse { error: self, description: None, uri: None }
    }
}

impl ErrorResponse {
    /// The `error_description`: a sentence for the client's developer. A character that it may not
    /// have, a quote or one that is not printable ASCII, becomes a question mark.
    #[must_use]
    pub fn description<'a>(self, text: impl Optional<'a, str>) -> Self {
        let shown = |c: char| if matches!(c, ' ' | '!' | '#'..='[' | ']'..='~') { c } else { '?' };
        Self { description: parameter(text).map(|text| text.chars().map(shown).collect()), ..self }
    }

    /// The `error_uri`: a page about the error. A character that no URI has is escaped.
    #[must_use]
    pub fn uri<'a>(self, uri: impl Optional<'a, str>) -> Self {
        let escaped = |byte: u8| match byte {
            b'!' | b'#'..=b'[' | b']'..=b'~' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        };
        Self { uri: parameter(uri).map(|uri| uri.bytes().map(escaped).collect()), ..self }
    }

    /// The status of the response, as [`OAuthError::status`].
    pub const fn status(&self) -> u16 {
        self.error.status()
    }
}

impl Serialize for OAuthError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.response().serialize(serializer)
    }
}

//! What is told of a request that is refused: a code, a sentence, a status, and the fields that go
//! with it.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use grantkeep::{Error, ErrorKind};
use grantkeep_grants::{OAuthError, Refusal};
use serde::Serialize;
use std::borrow::Cow;
use std::time::Duration;

/// Why a request is refused, as its client is told: RFC 6749 section 5.2 and RFC 6750 section 3.
#[derive(Debug, Clone)]
pub struct Rejection {
    error: OAuthError,
    because: Option<Cow<'static, str>>,
    status: Option<StatusCode>,
    challenge: Option<String>,
    retry_after: Option<Duration>,
}

impl Rejection {
    /// A refusal with this code, and the status that goes with it.
    pub fn new(error: OAuthError) -> Self {
        Self { error, because: None, status: None, challenge: None, retry_after: None }
    }

    /// A sentence for the client's developer (`error_description`). It names no value that was
    /// sent: a secret may be in it.
    #[must_use]
    pub fn because(self, why: impl Into<Cow<'static, str>>) -> Self {
        Self { because: Some(why.into()), ..self }
    }

    /// Another status than that of the code.
    #[must_use]
    pub fn status(self, status: StatusCode) -> Self {
        Self { status: Some(status), ..self }
    }

    /// A client that did not authenticate: 401 with a `WWW-Authenticate` (RFC 6749 section 5.2).
    pub fn client() -> Self {
        let challenge = Some(r#"Basic realm="client", charset="UTF-8""#.to_owned());
        Self { challenge, ..Self::new(OAuthError::InvalidClient) }
    }

    /// Too many attempts from where this one comes from: 429 (RFC 6585 section 4), and when to come
    /// again.
    pub fn too_many(retry_after: Duration) -> Self {
        let new = Self::new(OAuthError::TemporarilyUnavailable);
        let new = new.status(StatusCode::TOO_MANY_REQUESTS).because("too many failed attempts");
        Self { retry_after: Some(retry_after), ..new }
    }

    /// The code.
    pub fn error(&self) -> OAuthError {
        self.error
    }

    /// The status.
    pub fn status_code(&self) -> StatusCode {
        let of_code = || StatusCode::from_u16(self.error.status()).ok();
        self.status.or_else(of_code).unwrap_or(StatusCode::BAD_REQUEST)
    }

    /// When to come again, where that is known, in whole seconds: a `Retry-After` field (RFC 9110
    /// section 10.2.3).
    pub fn retry_after(&self) -> Option<HeaderValue> {
        self.retry_after.map(|after| HeaderValue::from(after.as_secs().max(1)))
    }

    /// The sentence, if there is one.
    pub fn description(&self) -> Option<&str> {
        self.because.as_deref()
    }
}

impl From<OAuthError> for Rejection {
    fn from(error: OAuthError) -> Self {
        if error == OAuthError::InvalidClient { Self::client() } else { Self::new(error) }
    }
}

impl From<Error> for Rejection {
    /// What the store refuses: its own sentence where the request asked for too much, and nothing
    /// of it where the store is at fault, which is logged.
    fn from(error: Error) -> Self {
        let told = Self::new(OAuthError::from(&error));
        match error.kind() {
            ErrorKind::Limit | ErrorKind::Lifetime => told.because(error.to_string()),
            ErrorKind::Disabled | ErrorKind::Unauthorized => told,
            _ => {
                tracing::error!(target: "grantkeep", "a request could not be decided: {error}");
                told
            }
        }
    }
}

impl From<Refusal> for Rejection {
    /// What a resource server answers.
    fn from(refusal: Refusal) -> Self {
        let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::UNAUTHORIZED);
        let new = Self::new(refusal.error.unwrap_or(OAuthError::InvalidToken)).status(status);
        Self { challenge: Some(refusal.www_authenticate), ..new }
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        let body = self.error.response().description(self.because.as_deref());
        let mut response = json(self.status_code(), &body);
        if let Some(after) = self.retry_after() {
            response.headers_mut().insert(header::RETRY_AFTER, after);
        }
        let challenge = self.challenge.and_then(|text| HeaderValue::try_from(text).ok());
        if let Some(challenge) = challenge {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

/// An answer as JSON that no cache keeps (RFC 6749 section 5.1).
pub fn json(status: StatusCode, body: &impl Serialize) -> Response {
    let Ok(body) = serde_json::to_vec(body) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

//! A request with an access token: RFC 6750, in the argument of a handler.

use crate::client::{authorization, peer};
use crate::guesses::{Guessed, Guesses, Whose};
use crate::rejection::Rejection;
use axum::extract::{FromRef, FromRequestParts};
use axum::http::{HeaderMap, request::Parts};
use grantkeep_grants::{Checked, Claims, Demand, Grants, OAuthError};
use std::marker::PhantomData;
use std::sync::Arc;

/// What the requests of a resource must bring: a type of its own, that a handler names.
pub trait Resource: Send + Sync + 'static {
    /// What is demanded of a token.
    fn demand() -> Demand<'static>;
}

/// The claims of an access token that is in force and good for `R`; a request without one is
/// refused as RFC 6750 says, and where too many tokens were none from where it comes, as RFC 6585
/// says. A good one is let through in any case.
///
/// ```
/// use axum::{Router, routing::get};
/// use grantkeep_axum::{Bearer, Resource};
/// use grantkeep_grants::Demand;
///
/// struct Devices;
///
/// impl Resource for Devices {
///     fn demand() -> Demand<'static> {
///         Demand::new("https://api.example").scopes("devices")
///     }
/// }
///
/// async fn devices(token: Bearer<Devices>) -> String {
///     format!("those of {:?}", token.claims.subject)
/// }
/// # let _: Router<grantkeep_axum::OAuth> = Router::new().route("/devices", get(devices));
/// ```
#[derive(Debug)]
pub struct Bearer<R> {
    /// On behalf of whom, and with which scopes.
    pub claims: Box<Claims>,
    resource: PhantomData<fn() -> R>,
}

impl<S, R> FromRequestParts<S> for Bearer<R>
where
    S: Send + Sync,
    R: Resource,
    Grants: FromRef<S>,
    Arc<Guesses>: FromRef<S>,
{
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Rejection> {
        let (grants, guesses) = (Grants::from_ref(state), Arc::<Guesses>::from_ref(state));
        let token = presented(&parts.headers)?;
        match grants.check(token, &R::demand()).await? {
            Checked::Allowed(claims) => Ok(Self { claims, resource: PhantomData }),
            Checked::Refused(refusal) => {
                if refusal.error == Some(OAuthError::InvalidToken) {
                    let whose = Whose::Address(peer(&parts.extensions));
                    guesses.failed(Guessed::Token, whose)?;
                }
                Err(refusal.into())
            }
        }
    }
}

/// The token of an `Authorization` field; empty where there is none, or one of another scheme. The
/// scheme's name is compared without regard to case (RFC 9110 section 11.1). A token with a space
/// or something else that no token has is one that was never issued.
pub(crate) fn presented(headers: &HeaderMap) -> Result<&str, Rejection> {
    let Some(field) = authorization(headers)? else { return Ok("") };
    let Some((scheme, token)) = field.split_at_checked(7) else { return Ok("") };
    if !scheme.eq_ignore_ascii_case(b"bearer ") {
        return Ok("");
    }
    // A text that is not ASCII is none that was ever issued, as any other.
    let token = std::str::from_utf8(token).map_or("?", str::trim);
    Ok(if token.is_empty() { "?" } else { token })
}

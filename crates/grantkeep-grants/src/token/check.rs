//! What a resource server asks of a token, in one call: RFC 6750 with RFC 8707, RFC 8705, and RFC
//! 9449.
//!
//! 1. A token is accepted if it is in force, is no refresh token, is meant for the resource, is
//!    bound to no key or to the one that was proven, and has every scope that is demanded.
//! 2. One that was issued without an audience is meant for any resource, and passes unless the
//!    demand says otherwise.
//! 3. A proof by `DPoP` beside a token that is bound to no key is refused (RFC 9449 section 7.1):
//!    who proves a key thinks that the token is bound to it.
//! 4. Why a token is refused is told as far as RFC 6750 section 3.1 has it: everything about the
//!    token itself is `invalid_token`.

use crate::grants::Grants;
use crate::oauth_error::OAuthError;
use crate::request::scope::Scopes;
use crate::request::setter::setter;
use crate::text::kind::ClaimsKind;
use crate::token::introspect::{Claims, Introspection};
use grantkeep::backend::Backend;
use grantkeep::{Confirmation, Result};
use std::fmt;

/// What a resource demands of a token.
#[derive(Debug, Clone)]
pub struct Demand<'a> {
    resource: &'a str,
    scopes: String,
    confirmation: Option<Confirmation>,
    audience_required: bool,
}

impl<'a> Demand<'a> {
    /// A token for this resource: an absolute URI, as it is named in audiences (RFC 8707 section
    /// 2), compared to the byte.
    pub fn new(resource: &'a str) -> Self {
        Self { resource, scopes: String::new(), confirmation: None, audience_required: false }
    }

    setter! {
        /// The scopes that the token must have, all of them; one text may name several, separated
        /// by spaces.
        scopes
    }

    /// The key whose possession the request proved: that of a `DPoP` proof, which the server has
    /// verified (RFC 9449 section 4.3), or of its certificate (RFC 8705). `None` where it proved
    /// none.
    #[must_use]
    pub fn proof(self, proven: impl Into<Option<Confirmation>>) -> Self {
        Self { confirmation: proven.into(), ..self }
    }

    /// Refuses a token that was issued without an audience, which is meant for any resource.
    #[must_use]
    pub fn audience_required(self) -> Self {
        Self { audience_required: true, ..self }
    }
}

/// The answer to a presented token.
#[derive(Debug)]
pub enum Checked {
    /// It may be served, on behalf of whom the claims say.
    Allowed(Box<Claims>),
    /// It may not.
    Refused(Refusal),
}

/// Why a request is not served, as its client is told (RFC 6750 section 3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The `error` code; `None` where no token was presented at all, which is told nothing more.
    pub error: Option<OAuthError>,
    /// The value of the `WWW-Authenticate` field of the response.
    pub www_authenticate: String,
}

impl Refusal {
    /// The status of the response: 401, or 403 where scopes are missing.
    pub fn status(&self) -> u16 {
        self.error.map_or(401, OAuthError::status)
    }

    /// A token that is none, or not for this.
    fn invalid(scheme: &str) -> Self {
        let error = OAuthError::InvalidToken;
        Self { error: Some(error), www_authenticate: format!("{scheme} error=\"{error}\"") }
    }
}

impl fmt::Display for Refusal {
    /// The `error` code.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.error.map_or("no token", OAuthError::as_str))
    }
}

impl<B: Backend> Grants<B> {
    /// Whether a resource server may serve a request with this token: the text of its
    /// `Authorization` field without the scheme, empty if it has none.
    ///
    /// ```
    /// use grantkeep::{Store, SystemClock, Wait};
    /// use grantkeep_grants::{Checked, Demand, Grant, Grants, Policy};
    /// use std::sync::Arc;
    ///
    /// # fn main() -> grantkeep::Result<()> {
    /// let store = Store::in_memory(Arc::new(SystemClock::new()))?;
    /// let grants = Grants::new(store, Policy::default())?;
    /// let grant = Grant::new("client-1", "alice").scopes(["read"]);
    /// let pair = grants.open(grant.audience(["https://api.example"])).wait()?;
    ///
    /// let demand = Demand::new("https://api.example").scopes(["read"]);
    /// match grants.check(pair.access.expose(), &demand).wait()? {
    ///     Checked::Allowed(claims) => assert_eq!(claims.subject.as_deref(), Some("alice")),
    ///     Checked::Refused(refusal) => panic!("{}", refusal.www_authenticate),
    /// }
    /// let demand = Demand::new("https://api.example").scopes(["write"]);
    /// let Checked::Refused(refusal) = grants.check(pair.access.expose(), &demand).wait()? else {
    ///     panic!("it has not that scope");
    /// };
    /// assert_eq!(refusal.status(), 403);
    /// let told = r#"Bearer error="insufficient_scope", scope="write""#;
    /// assert_eq!(refusal.www_authenticate, told);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Limit`](grantkeep::ErrorKind::Limit) for malformed scopes of the demand;
    /// otherwise as [`Backend::get`].
    pub async fn check(&self, token: &str, demand: &Demand<'_>) -> Result<Checked> {
        let demanded = Scopes::read(&demand.scopes)?;
        // The scheme to be told of: that of the proof, as long as the token says nothing else.
        let by_proof = scheme(demand.confirmation.as_ref());
        if token.is_empty() {
            let www_authenticate = by_proof.to_owned();
            return Ok(Checked::Refused(Refusal { error: None, www_authenticate }));
        }
        let Introspection::Active(claims) = self.introspect(token).await? else {
            return Ok(Checked::Refused(Refusal::invalid(by_proof)));
        };
        let bound = claims.confirmation.as_ref();
        let scheme = if bound.is_some() { scheme(bound) } else { by_proof };
        let has_audience = claims.audience.is_some() || !demand.audience_required;
        let overproven =
            bound.is_none() && matches!(demand.confirmation, Some(Confirmation::Jkt(_)));
        if claims.kind == ClaimsKind::Refresh
            || !has_audience
            || !claims.is_for(demand.resource)
            || !claims.is_confirmed_by(demand.confirmation.as_ref())
            || overproven
        {
            return Ok(Checked::Refused(Refusal::invalid(scheme)));
        }
        if !demanded.is_subset(&claims.scopes) {
            let error = OAuthError::InsufficientScope;
            let www_authenticate = format!("{scheme} error=\"{error}\", scope=\"{demanded}\"");
            return Ok(Checked::Refused(Refusal { error: Some(error), www_authenticate }));
        }
        Ok(Checked::Allowed(claims))
    }
}

/// The scheme by which a token is presented that is bound to this key (RFC 9449 section 7.1).
fn scheme(bound: Option<&Confirmation>) -> &'static str {
    crate::request::proof::token_type(bound)
}

//! A client to be registered, and the rules for its id and its redirect URIs.

use super::grant_type::GrantType;
use super::redirect;
use crate::request::optional::Optional;
use crate::request::setter::setter;
use data_encoding::HEXLOWER;
use grantkeep::{Error, ErrorKind, Result, random};
use std::fmt;

/// A client to be registered. The server has already decided that it may be.
#[derive(Clone)]
pub struct NewClient<'a> {
    pub(super) id: Option<&'a str>,
    pub(super) confidential: bool,
    pub(super) name: &'a str,
    pub(super) secret: Option<&'a str>,
    pub(super) redirect_uris: Vec<&'a str>,
    pub(super) grants: Vec<GrantType>,
    pub(super) scopes: String,
    pub(super) loopback: bool,
    pub(super) require_pkce: bool,
    pub(super) policy: Option<&'a str>,
}

impl<'a> NewClient<'a> {
    /// A client that can keep a secret (RFC 6749 section 2.1), under an id of 1 to 4,096 printable
    /// ASCII characters, or with `None` under a random one of 32 hex digits.
    pub fn confidential(id: impl Into<Option<&'a str>>) -> Self {
        Self {
            id: id.into(),
            confidential: true,
            name: "",
            secret: None,
            redirect_uris: Vec::new(),
            grants: Vec::new(),
            scopes: String::new(),
            loopback: false,
            require_pkce: false,
            policy: None,
        }
    }

    /// A client that cannot, such as one on its user's device: it has none, and is known by its id
    /// alone. Otherwise as [`NewClient::confidential`].
    pub fn public(id: impl Into<Option<&'a str>>) -> Self {
        Self { confidential: false, ..Self::confidential(id) }
    }

    /// What people call it.
    #[must_use]
    pub fn name(self, name: impl Optional<'a, str>) -> Self {
        Self { name: name.optional().unwrap_or_default(), ..self }
    }

    /// A secret that it brings along, 16 to 8,192 bytes, instead of one minted here.
    #[must_use]
    pub fn secret(self, secret: impl Optional<'a, str>) -> Self {
        Self { secret: secret.optional(), ..self }
    }

    /// Where it may be redirected to, besides those named before; up to
    /// [`REDIRECT_URIS_MAX`](grantkeep::REDIRECT_URIS_MAX). Absolute, without a fragment (RFC 6749
    /// section 3.1.2) and without a user name; `https`, or `http` to `127.0.0.1`, `[::1]`, or
    /// `localhost`. For a public client also a private-use scheme of an app, such as
    /// `com.example.app:/oauth2redirect` (RFC 8252 section 7.1): it has a dot, is in lower case,
    /// and a path follows it. No scheme without a dot is accepted, `javascript:` among them.
    #[must_use]
    pub fn redirect_uri(mut self, uri: &'a str) -> Self {
        self.redirect_uris.push(uri);
        self
    }

    /// The grants it may use; none by default.
    #[must_use]
    pub fn grants(self, grants: impl IntoIterator<Item = GrantType>) -> Self {
        Self { grants: grants.into_iter().collect(), ..self }
    }

    /// Whether a redirect URI that is `http` to `localhost` matches under any port, as one to
    /// `127.0.0.1` or `[::1]` always does. False by default: on some machines `localhost` is a
    /// name that leads elsewhere (RFC 8252 section 8.3).
    #[must_use]
    pub fn loopback(self, loopback: bool) -> Self {
        Self { loopback, ..self }
    }

    /// Whether it must use PKCE, also where the policy does not demand it of a client like this
    /// ([`RequirePkce`](crate::RequirePkce)). False by default.
    #[must_use]
    pub fn require_pkce(self, require_pkce: bool) -> Self {
        Self { require_pkce, ..self }
    }

    /// The name of the policy that its grants are under, one that
    /// [`Grants::with_policy`](crate::Grants::with_policy) registered; by default the one that the
    /// grants were made with.
    #[must_use]
    pub fn policy(self, name: impl Optional<'a, str>) -> Self {
        Self { policy: name.optional(), ..self }
    }

    setter! {
        /// The scopes it may be granted; one text may name several, separated by spaces.
        scopes
    }
}

impl fmt::Debug for NewClient<'_> {
    /// Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewClient")
            .field("id", &self.id)
            .field("confidential", &self.confidential)
            .field("name", &self.name)
            .field("redirect_uris", &self.redirect_uris.len())
            .field("grants", &self.grants)
            .field("scopes", &self.scopes)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

/// 128 random bits in hex.
pub(super) fn fresh_id() -> Result<String> {
    let mut bytes = [0; 16];
    random(&mut bytes)?;
    Ok(HEXLOWER.encode(&bytes))
}

/// Refuses an id that is no `client-id` of RFC 6749 appendix A.1.
pub(super) fn check_id(id: &str) -> Result<()> {
    if id.is_empty() || !id.bytes().all(|byte| matches!(byte, 0x20..=0x7e)) {
        return Err(Error::new(
            ErrorKind::Limit,
            "a client id is printable ASCII, at least one character: name one, or have one made",
        ));
    }
    Ok(())
}

/// Refuses a redirect URI that may not be registered, and drops those named twice.
pub(super) fn check_redirects(uris: &mut Vec<String>, confidential: bool) -> Result<()> {
    let mut checked: Vec<String> = Vec::with_capacity(uris.len());
    for uri in uris.drain(..) {
        redirect::check(&uri, confidential)?;
        if !checked.contains(&uri) {
            checked.push(uri);
        }
    }
    *uris = checked;
    Ok(())
}

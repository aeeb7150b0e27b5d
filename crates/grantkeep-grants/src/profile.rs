//! Policies of known systems, and policies in files.

use crate::policy::Policy;
use grantkeep::{Error, ErrorKind, LIFETIME_MAX, Result, read_named_file};
use std::fmt;
use std::path::Path;

/// No policy is longer as TOML, in bytes: 1 MiB. One that names every field takes about 1 KiB.
pub const POLICY_BYTES_MAX: usize = 1 << 20;

/// Ready-made policies, as TOML that is shipped with the crate. What a file does not name is as in
/// [`Policy::default`]; change what differs.
#[derive(Debug, Clone, Copy)]
pub struct Profile;

impl Profile {
    /// The names and the texts of all of them.
    pub const ALL: [(&'static str, &'static str); 4] = [
        ("hourfleet", include_str!("../profiles/hourfleet.toml")),
        ("rest_api_v1", include_str!("../profiles/rest_api_v1.toml")),
        ("hospitable", include_str!("../profiles/hospitable.toml")),
        ("hapn", include_str!("../profiles/hapn.toml")),
    ];

    /// Hourfleet: opaque access tokens of 15 minutes for users and for client applications, and
    /// refresh tokens that live much longer (90 days unused, 1 year at most).
    ///
    /// # Errors
    /// None in practice: a test reads each shipped text.
    pub fn hourfleet() -> Result<Policy> {
        Self::named("hourfleet")
    }

    /// REST API v1: code, access token, and refresh token of 64 hex characters; 7,200 s.
    ///
    /// # Errors
    /// None in practice: a test reads each shipped text.
    pub fn rest_api_v1() -> Result<Policy> {
        Self::named("rest_api_v1")
    }

    /// Hospitable: access tokens of 1,200 characters and 12 hours, codes and refresh tokens of
    /// 1,000 hex characters, 90 days unused; each refresh answers a new pair, and renews the 90
    /// days for up to 5 years.
    ///
    /// # Errors
    /// None in practice: a test reads each shipped text.
    pub fn hospitable() -> Result<Policy> {
        Self::named("hospitable")
    }

    /// Hapn: client credentials only, 3,600 s, any number live at once, none renewable.
    ///
    /// # Errors
    /// None in practice: a test reads each shipped text.
    pub fn hapn() -> Result<Policy> {
        Self::named("hapn")
    }

    /// The shipped profile of this name.
    ///
    /// # Errors
    /// [`ErrorKind::Missing`] for a name that none has.
    pub fn named(name: &str) -> Result<Policy> {
        let Some((_, text)) = Self::ALL.iter().find(|(known, _)| *known == name) else {
            let known = Self::ALL.map(|(known, _)| known).join(", ");
            return Err(Error::new(
                ErrorKind::Missing,
                format!("there is no profile {name:?}: take one of {known}, or a file of your own"),
            ));
        };
        Policy::from_toml(text)
    }
}

impl Policy {
    /// The policy that a TOML text describes: the fields of [`Policy`] by their names, lifetimes in
    /// whole seconds, formats as `{ style = "prefixed", app = "gk", chars = 60 }` with `hex` and
    /// `base64url` for the other styles, and the least length where `chars` is left out. A field
    /// that is not named is as in [`Policy::default`]; one that is not known is refused.
    ///
    /// ```
    /// use grantkeep_grants::Policy;
    /// use std::time::Duration;
    ///
    /// let policy = Policy::from_toml(
    ///     r#"
    ///     access_lifetime = 600
    ///     refreshing = "rotating"
    ///     access_format = { style = "prefixed", app = "acme" }
    ///     "#,
    /// )?;
    /// assert_eq!(policy.access_lifetime, Duration::from_secs(600));
    /// let wrong = Policy::from_toml("acces_lifetime = 600").unwrap_err();
    /// assert!(wrong.to_string().starts_with("line 1: unknown field `acces_lifetime`"));
    /// # Ok::<(), grantkeep::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Limit`] for a text that is not such a policy, naming the line, or is longer
    /// than [`POLICY_BYTES_MAX`]; [`ErrorKind::Limit`] and [`ErrorKind::Lifetime`] as
    /// [`Policy::check`], against the longest lifetime of any store.
    pub fn from_toml(text: &str) -> Result<Self> {
        if text.len() > POLICY_BYTES_MAX {
            // A parser takes many times the length of a text.
            return Err(Error::new(
                ErrorKind::Limit,
                format!(
                    "a policy is {} bytes, more than the limit of {POLICY_BYTES_MAX}: shorten it",
                    text.len()
                ),
            ));
        }
        let policy: Self = toml::from_str(text).map_err(|cause| {
            let at = cause.span().map_or(0, |span| span.start);
            let line = text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1;
            let what = cause.message().lines().next().unwrap_or_default().to_owned();
            Error::new(ErrorKind::Limit, format!("line {line}: {what}")).with_source(cause)
        })?;
        policy.check(LIFETIME_MAX)?;
        Ok(policy)
    }

    /// The policy as TOML, every field of it; [`Policy::from_toml`] reads it back.
    ///
    /// # Errors
    /// None in practice: every policy can be written.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self).map_err(|cause| {
            Error::new(ErrorKind::Limit, "the policy cannot be written as TOML").with_source(cause)
        })
    }

    /// The policy in a regular file of at most [`POLICY_BYTES_MAX`] bytes; see
    /// [`Policy::from_toml`]. The path may be a link.
    ///
    /// # Errors
    /// As [`Policy::from_toml`], naming the file; [`ErrorKind::Limit`] for a longer file, a
    /// directory, a FIFO, or a device, none of which is read; [`ErrorKind::Missing`],
    /// [`ErrorKind::Permission`], or [`ErrorKind::Io`] if it cannot be read.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bytes = read_named_file("the policy", path, POLICY_BYTES_MAX)?;
        let named = |kind, what: &dyn fmt::Display| {
            Error::new(kind, format!("the policy in {}: {what}", path.display()))
        };
        let text = String::from_utf8(bytes).map_err(|cause| {
            named(ErrorKind::Limit, &"it is not UTF-8 text").with_source(cause.utf8_error())
        })?;
        Self::from_toml(&text).map_err(|cause| named(cause.kind(), &cause).with_source(cause))
    }
}

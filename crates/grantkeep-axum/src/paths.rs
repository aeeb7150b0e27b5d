//! Where the endpoints are.

/// The paths of the endpoints, each with a slash in front.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// RFC 6749 section 3.2.
    pub token: String,
    /// RFC 6749 section 3.1.
    pub authorize: String,
    /// RFC 7662.
    pub introspect: String,
    /// RFC 7009.
    pub revoke: String,
    /// RFC 8628 section 3.1.
    pub device: String,
    /// RFC 9126 section 2.
    pub push: String,
    /// The page on which a person types the code that a device shows, RFC 8628 section 3.3. It is
    /// the server's own.
    pub verification: String,
}

impl Paths {
    /// The endpoints under a base, such as `/oauth`: `/oauth/token` and so on. The page for devices
    /// is `/device` whatever the base: people type it.
    pub fn under(base: &str) -> Self {
        let at = |name: &str| format!("{base}/{name}");
        Self {
            token: at("token"),
            authorize: at("authorize"),
            introspect: at("introspect"),
            revoke: at("revoke"),
            device: at("device_authorization"),
            push: at("par"),
            verification: "/device".to_owned(),
        }
    }
}

impl Default for Paths {
    fn default() -> Self {
        Self::under("")
    }
}

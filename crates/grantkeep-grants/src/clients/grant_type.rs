//! Grant types: the ones that the grants know, and names that a server knows.

use std::fmt;

/// No `grant_type` is longer, in characters.
pub const GRANT_TYPE_CHARS_MAX: usize = 256;

/// A way to be granted something: the `grant_type`s of the token endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GrantType {
    /// `authorization_code`, RFC 6749 section 4.1.
    AuthorizationCode,
    /// `refresh_token`, RFC 6749 section 6.
    RefreshToken,
    /// `client_credentials`, RFC 6749 section 4.4; confidential clients only.
    ClientCredentials,
    /// `password`, RFC 6749 section 4.3.
    Password,
    /// `urn:ietf:params:oauth:grant-type:device_code`, RFC 8628 section 3.4.
    DeviceCode,
    /// One that only the server knows (RFC 6749 section 4.5), such as
    /// `urn:ietf:params:oauth:grant-type:token-exchange`. [`GrantType::read`] makes it.
    Other(OtherGrantType),
}

/// The name of a grant type that the grants do not know: a legal `grant_type` of RFC 6749 appendix
/// A.10, of at most [`GRANT_TYPE_CHARS_MAX`] characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OtherGrantType(Box<str>);

impl OtherGrantType {
    /// The text of the `grant_type` parameter.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl GrantType {
    const KNOWN: [Self; 5] = [
        Self::AuthorizationCode,
        Self::RefreshToken,
        Self::ClientCredentials,
        Self::Password,
        Self::DeviceCode,
    ];

    /// The text of the `grant_type` parameter.
    pub fn as_str(&self) -> &str {
        match self {
            Self::AuthorizationCode => "authorization_code",
            Self::RefreshToken => "refresh_token",
            Self::ClientCredentials => "client_credentials",
            Self::Password => "password",
            Self::DeviceCode => "urn:ietf:params:oauth:grant-type:device_code",
            Self::Other(other) => other.as_str(),
        }
    }

    /// The grant type that a `grant_type` parameter names; [`GrantType::Other`] for one that the
    /// grants do not know, and `None` for a text that is none: it is empty, longer than
    /// [`GRANT_TYPE_CHARS_MAX`] characters, or neither a name nor a URI reference (RFC 6749
    /// appendix A.10).
    pub fn read(text: &str) -> Option<Self> {
        is_legal(text).then(|| Self::stored(text))
    }

    /// What a record holds. It was checked when it was registered; a text that is no legal
    /// `grant_type` all the same is kept as it is, since it permits nothing that can be asked for.
    fn stored(text: &str) -> Self {
        let known = Self::KNOWN.into_iter().find(|grant| grant.as_str() == text);
        known.unwrap_or_else(|| Self::Other(OtherGrantType(text.into())))
    }
}

impl fmt::Display for GrantType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// True for `grant-name / URI-reference`. A name has only characters that a URI reference may have,
/// so what is checked are the characters of RFC 3986 section 2, the two hex digits of an escape,
/// and that there is one fragment at most.
fn is_legal(text: &str) -> bool {
    let mut rest = text.bytes();
    let mut fragments = 0;
    while let Some(byte) = rest.next() {
        let legal = match byte {
            b'%' => {
                let mut is_digit = || rest.next().is_some_and(|digit| digit.is_ascii_hexdigit());
                is_digit() && is_digit()
            }
            b'#' => {
                fragments += 1;
                fragments == 1
            }
            _ => byte.is_ascii_alphanumeric() || b"-._~:/?[]@!$&'()*+,;=".contains(&byte),
        };
        if !legal {
            return false;
        }
    }
    (1..=GRANT_TYPE_CHARS_MAX).contains(&text.len())
}

/// Grant types as they are stored, separated by spaces, each once: the known ones in a fixed order,
/// then the others as they were named.
pub(super) fn grant_types(grants: &[GrantType]) -> String {
    let mut named: Vec<&str> = Vec::with_capacity(grants.len());
    let known = GrantType::KNOWN.iter().filter(|grant| grants.contains(grant));
    let others = grants.iter().filter(|grant| matches!(grant, GrantType::Other(_)));
    for grant in known.chain(others) {
        if !named.contains(&grant.as_str()) {
            named.push(grant.as_str());
        }
    }
    crate::request::scope::join(named)
}

/// What is stored, all of it.
pub(super) fn read_grant_types(text: &str) -> Vec<GrantType> {
    text.split(' ').filter(|name| !name.is_empty()).map(GrantType::stored).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: a grant type is a legal `grant_type` of RFC 6749 appendix A.10, known or not. Method:
    // the known ones, extension grants (section 4.5), each character that may not be in one,
    // escapes that are none, and the length limit.
    #[test]
    fn legal_grant_types_are_read() {
        for known in GrantType::KNOWN {
            assert_eq!(GrantType::read(known.as_str()), Some(known));
        }
        let exchange = "urn:ietf:params:oauth:grant-type:token-exchange";
        let uri = "https://as.example/grants/a%20b?c=d#e";
        for text in [exchange, uri, "urn:openid:params:grant-type:ciba", "implicit", "my-own_1.0"] {
            let read = GrantType::read(text).unwrap();
            assert!(matches!(&read, GrantType::Other(other) if other.as_str() == text));
            assert_eq!(read.to_string(), text);
        }
        for byte in 0..=u8::MAX {
            let text = format!("a{}b", char::from(byte));
            let legal = byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=".contains(&byte);
            assert_eq!(GrantType::read(&text).is_some(), legal, "{text:?}");
        }
        for bad in ["", "%", "a%", "a%2", "a%2g", "%%20", "a#b#c", "a b", " a", "a\n"] {
            assert_eq!(GrantType::read(bad), None, "{bad:?}");
        }
        let longest = "x".repeat(GRANT_TYPE_CHARS_MAX);
        assert!(GrantType::read(&longest).is_some());
        assert_eq!(GrantType::read(&format!("{longest}x")), None);
    }

    // Goal: what is stored is read back, all of it and once. Method: known and other ones, in
    // another order and twice; a text that none of this version wrote.
    #[test]
    fn stored_grant_types_are_read_back() {
        let other = |text| GrantType::read(text).unwrap();
        let grants = [
            other("urn:b"),
            GrantType::Password,
            other("urn:a"),
            other("urn:b"),
            other("password"),
        ];
        let stored = grant_types(&grants);
        assert_eq!(stored, "password urn:b urn:a");
        let read = read_grant_types(&stored);
        assert_eq!(read, [GrantType::Password, other("urn:b"), other("urn:a")]);
        assert_eq!(grant_types(&read), stored);
        assert_eq!(grant_types(&read_grant_types("<no> password")), "password <no>");
        assert!(read_grant_types("").is_empty());
    }
}

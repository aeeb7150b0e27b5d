//! The parameters of a request: a query, a form, or a JSON object, read once and in one way.
//!
//! 1. A body is a form (RFC 6749 appendix B) or, for clients that send it, a JSON object of texts;
//!    its `Content-Type` says which. Anything else is refused.
//! 2. A parameter without a value counts as left out, and none may come twice (RFC 6749 section
//!    3.1), but for `resource` (RFC 8707 section 2).
//! 3. Nothing that was sent is told back, logged, or shown by `Debug`: secrets are in it.

use crate::rejection::Rejection;
use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use grantkeep_grants::OAuthError;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use std::fmt;
use zeroize::Zeroizing;

/// No body is longer, in bytes: 64 KiB. A token has 8,192 at most.
pub const BODY_BYTES_MAX: usize = 64 << 10;

/// No request has more parameters.
pub const PARAMETERS_MAX: usize = 64;

const NOT_UTF8: &str = "a parameter is not UTF-8 text";

/// The parameter that may come several times: RFC 8707 section 2.
const REPEATED: &str = "resource";

/// The parameters of a request, by name.
#[derive(Clone, Default)]
pub struct Params(Vec<(String, Zeroizing<String>)>);

impl fmt::Debug for Params {
    /// The names alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl Params {
    /// What a query or a form says.
    ///
    /// # Errors
    /// [`OAuthError::InvalidRequest`] for a parameter that comes twice, for more than
    /// [`PARAMETERS_MAX`], and for what is not UTF-8 once it is unescaped.
    pub fn of_form(form: &str) -> Result<Self, Rejection> {
        // The separators are ASCII, so the whole is UTF-8 where each of its texts is. Left to the
        // parser, bytes that are none would be replaced, and come back as something else.
        if percent_decode_str(form).decode_utf8().is_err() {
            return Err(Rejection::new(OAuthError::InvalidRequest).because(NOT_UTF8));
        }
        let pairs = form_urlencoded::parse(form.as_bytes());
        Self::of_pairs(pairs.map(|(name, value)| (name.into_owned(), value.into_owned())))
    }

    /// What the body of a request says.
    ///
    /// # Errors
    /// [`OAuthError::InvalidRequest`] as [`Params::of_form`], for a body that is neither a form nor
    /// a JSON object of texts, and for one of more than [`BODY_BYTES_MAX`] bytes.
    pub async fn of_body(headers: &HeaderMap, body: Body) -> Result<Self, Rejection> {
        let bytes = axum::body::to_bytes(body, BODY_BYTES_MAX).await.map_err(|_| {
            Rejection::new(OAuthError::InvalidRequest)
                .status(StatusCode::PAYLOAD_TOO_LARGE)
                .because("the body is longer than 64 KiB, or ended early")
        })?;
        let malformed = |why| Rejection::new(OAuthError::InvalidRequest).because(why);
        match media_type(headers)? {
            Some(media) if media.eq_ignore_ascii_case("application/x-www-form-urlencoded") => {
                let form = std::str::from_utf8(&bytes).map_err(|_| malformed(NOT_UTF8))?;
                Self::of_form(form)
            }
            Some(media) if media.eq_ignore_ascii_case("application/json") => {
                let Pairs(pairs) = serde_json::from_slice(&bytes)
                    .map_err(|_| malformed("the body is not a JSON object of texts"))?;
                Self::of_pairs(pairs.into_iter())
            }
            // Nothing to be read, so nothing to be misread.
            None if bytes.is_empty() => Ok(Self::default()),
            _ => Err(malformed("send application/x-www-form-urlencoded or application/json")
                .status(StatusCode::UNSUPPORTED_MEDIA_TYPE)),
        }
    }

    /// Splits the one parameter of a form that was escaped as a whole, so that the others are in
    /// its value or in its name: `grant_type=client_credentials%26client_id%3D...`, as `curl
    /// --data-urlencode` sends a form that it is given in one piece. Its text is unescaped already
    /// and is not unescaped again: a secret may have a `+` or a `%`. Whatever has several
    /// parameters stays as it is.
    ///
    /// # Errors
    /// As [`Params::of_form`].
    pub fn split_once_more(self) -> Result<Self, Rejection> {
        let [(name, value)] = self.0.as_slice() else { return Ok(self) };
        let whole = match (name.contains('='), value.contains('&')) {
            (true, _) if value.is_empty() => Zeroizing::new(name.clone()),
            (false, true) => Zeroizing::new(format!("{name}={}", value.as_str())),
            _ => return Ok(self),
        };
        Self::of_pairs(whole.split('&').filter(|piece| !piece.is_empty()).map(|piece| {
            let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
            (name.to_owned(), value.to_owned())
        }))
    }

    fn of_pairs(pairs: impl Iterator<Item = (String, String)>) -> Result<Self, Rejection> {
        let mut read: Vec<(String, Zeroizing<String>)> = Vec::new();
        let malformed = |why| Err(Rejection::new(OAuthError::InvalidRequest).because(why));
        for (name, value) in pairs {
            let value = Zeroizing::new(value);
            if read.len() == PARAMETERS_MAX {
                return malformed("more than 64 parameters");
            }
            if name != REPEATED && read.iter().any(|(known, _)| *known == name) {
                return malformed("a parameter comes more than once");
            }
            read.push((name, value));
        }
        Ok(Self(read))
    }

    /// The value of a parameter; `None` where it was left out, or is empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name)?;
        Some(found.1.as_str()).filter(|value| !value.is_empty())
    }

    /// The value of a parameter that the request must have.
    ///
    /// # Errors
    /// [`OAuthError::InvalidRequest`] naming it.
    pub fn require(&self, name: &'static str) -> Result<&str, Rejection> {
        self.get(name).ok_or_else(|| {
            Rejection::new(OAuthError::InvalidRequest).because(format!("{name} is missing"))
        })
    }

    /// The values of a parameter that may come several times.
    pub fn all<'a>(&'a self, name: &'a str) -> Vec<&'a str> {
        let named = self.0.iter().filter(|(known, value)| known == name && !value.is_empty());
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The parameters as a form, but for those of these names.
    pub fn to_form_without(&self, left_out: &[&str]) -> String {
        let mut form = form_urlencoded::Serializer::new(String::new());
        for (name, value) in self.0.iter().filter(|(name, _)| !left_out.contains(&name.as_str())) {
            form.append_pair(name, value);
        }
        form.finish()
    }
}

impl<S: Send + Sync> FromRequest<S> for Params {
    type Rejection = Rejection;

    async fn from_request(request: Request, _: &S) -> Result<Self, Rejection> {
        let (parts, body) = request.into_parts();
        Self::of_body(&parts.headers, body).await
    }
}

/// The media type of a body, without its parameters.
///
/// # Errors
/// [`OAuthError::InvalidRequest`] where there are several: whoever stands before the server may
/// have read the body as another.
pub(crate) fn media_type(headers: &HeaderMap) -> Result<Option<&str>, Rejection> {
    let mut fields = headers.get_all(header::CONTENT_TYPE).iter();
    let value = fields.next().and_then(|value| value.to_str().ok());
    if fields.next().is_some() {
        let twice = Rejection::new(OAuthError::InvalidRequest);
        return Err(twice.because("Content-Type comes more than once"));
    }
    Ok(value.map(|value| value.split(';').next().unwrap_or_default().trim()))
}

/// The members of a JSON object, in order, so that one that comes twice is seen.
struct Pairs(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, Option<Scalar>>()? {
                    pairs.push((name, value.map_or_else(String::new, Scalar::into_text)));
                }
                Ok(Pairs(pairs))
            }
        }

        deserializer.deserialize_map(Members)
    }
}

/// What a member may be: a client id may be written as a number.
#[derive(Deserialize)]
#[serde(untagged)]
enum Scalar {
    Text(String),
    Number(u64),
}

impl Scalar {
    fn into_text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Number(number) => number.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(body: &str) -> Result<Params, Rejection> {
        let Pairs(pairs) = serde_json::from_str(body).map_err(|_| {
            Rejection::new(OAuthError::InvalidRequest).because("not a JSON object of texts")
        })?;
        Params::of_pairs(pairs.into_iter())
    }

    // Goal: a form and a JSON object say the same; empty values are left out, repeated ones and
    // what is not UTF-8 are refused (RFC 6749 section 3.1 and appendix B). Method: both spellings
    // of one request, and each fault.
    #[test]
    fn forms_and_objects_say_the_same() {
        let form = Params::of_form("client_id=a&code=x%2By&scope=").unwrap();
        let object = json(r#"{"client_id": "a", "code": "x+y", "scope": null}"#).unwrap();
        for params in [&form, &object] {
            assert_eq!(params.get("client_id"), Some("a"));
            assert_eq!(params.get("code"), Some("x+y"));
            assert_eq!(params.get("scope"), None);
            assert!(params.require("scope").is_err());
        }
        assert_eq!(json(r#"{"client_id": 7}"#).unwrap().get("client_id"), Some("7"));
        for twice in [Params::of_form("a=1&a=1"), json(r#"{"a": "1", "a": "2"}"#)] {
            assert!(twice.is_err());
        }
        for bytes in ["a=%ff", "%C3=a", "a=%C3&b=%A9"] {
            let refused = Params::of_form(bytes).unwrap_err();
            assert_eq!(refused.description(), Some(NOT_UTF8), "{bytes}");
        }
        assert_eq!(Params::of_form("a=%C3%A9").unwrap().get("a"), Some("\u{e9}"));
        let resources = Params::of_form("resource=https://a&resource=https://b").unwrap();
        assert_eq!(resources.all("resource"), ["https://a", "https://b"]);
        let many: Vec<String> = (0..=PARAMETERS_MAX).map(|at| format!("p{at}=1")).collect();
        assert!(Params::of_form(&many.join("&")).is_err());
        assert!(json(r#"{"a": {"b": "c"}}"#).is_err());
        assert!(json(r#"["a"]"#).is_err());
    }

    // Goal: a form that was escaped as a whole is split, and never unescaped twice. Method: what
    // `curl --data-urlencode` sends for a form in one piece, with the rest in the value and in the
    // name, and a secret with the characters that a second unescaping would change.
    #[test]
    fn a_form_escaped_as_a_whole_is_split_once() {
        let sent = [
            "grant_type=client_credentials%26client_id%3Da%26client_secret%3Dp%2Bq%25r%253D",
            "grant_type%3Dclient_credentials%26client_id%3Da%26client_secret%3Dp%2Bq%25r%253D",
        ];
        for form in sent {
            let params = Params::of_form(form).unwrap().split_once_more().unwrap();
            assert_eq!(params.get("grant_type"), Some("client_credentials"), "{form}");
            assert_eq!(params.get("client_id"), Some("a"));
            assert_eq!(params.get("client_secret"), Some("p+q%r%3D"));
        }
        let twice = "grant_type=a%26client_id%3Db%26client_id%3Dc";
        assert!(Params::of_form(twice).unwrap().split_once_more().is_err());
        // Two pairs are what they are, whatever is in them.
        let params = Params::of_form("a=1%26b%3D2&c=3").unwrap().split_once_more().unwrap();
        assert_eq!(params.get("a"), Some("1&b=2"));
        assert_eq!(params.get("b"), None);
    }

    // Goal: nothing that was sent is shown. Method: a secret in a value, printed for debugging.
    #[test]
    fn values_are_never_shown() {
        let params = Params::of_form("client_secret=hush").unwrap();
        assert_eq!(format!("{params:?}"), r#"["client_secret"]"#);
    }
}

//! What the lines of an import say, as they are written.
//!
//! A line is one JSON object; its `kind` says which fields it may have, and any other is an error.
//! Nothing of a line is repeated in an error, since any part of it may be a token.

use grantkeep::Result;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use zeroize::Zeroizing;

/// A text that is wiped from memory.
#[derive(Clone)]
pub(crate) struct Text(pub(crate) Zeroizing<String>);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(|text| Self(Zeroizing::new(text)))
    }
}

/// When something ends: in so many seconds from now, or at a time, in seconds since 1970.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ends {
    pub(crate) within: Option<u64>,
    pub(crate) at: Option<u64>,
}

/// A token as it was, or its SHA-256 in 64 hex digits.
#[derive(Clone, Default)]
pub(crate) struct Told {
    pub(crate) text: Option<Text>,
    pub(crate) sha256: Option<Text>,
}

/// An access token.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenLine {
    #[serde(rename = "kind")]
    _kind: IgnoredAny,
    text: Option<Text>,
    sha256: Option<Text>,
    pub(crate) client: String,
    #[serde(default)]
    pub(crate) subject: String,
    #[serde(default)]
    pub(crate) scopes: String,
    pub(crate) audience: Option<Vec<String>>,
    pub(crate) family: Option<String>,
    pub(crate) jkt: Option<String>,
    pub(crate) x5t_s256: Option<String>,
    pub(crate) issued_at: Option<u64>,
    expires_in: Option<u64>,
    expires_at: Option<u64>,
    pub(crate) payload: Option<String>,
}

/// A personal access token.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PersonalLine {
    #[serde(rename = "kind")]
    _kind: IgnoredAny,
    text: Option<Text>,
    sha256: Option<Text>,
    pub(crate) subject: String,
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) client: String,
    #[serde(default)]
    pub(crate) scopes: String,
    pub(crate) issued_at: Option<u64>,
    expires_in: Option<u64>,
    expires_at: Option<u64>,
    #[serde(default)]
    pub(crate) without_expiry: bool,
    pub(crate) payload: Option<String>,
}

/// A refresh family, and its present refresh token.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FamilyLine {
    #[serde(rename = "kind")]
    _kind: IgnoredAny,
    pub(crate) name: String,
    text: Option<Text>,
    sha256: Option<Text>,
    pub(crate) generation: Option<u32>,
    pub(crate) client: String,
    pub(crate) subject: String,
    #[serde(default)]
    pub(crate) scopes: String,
    pub(crate) audience: Option<Vec<String>>,
    pub(crate) jkt: Option<String>,
    pub(crate) x5t_s256: Option<String>,
    #[serde(default)]
    pub(crate) label: String,
    pub(crate) session: Option<Text>,
    pub(crate) session_id: Option<String>,
    pub(crate) idle: Option<u64>,
    pub(crate) granted_at: Option<u64>,
    expires_in: Option<u64>,
    expires_at: Option<u64>,
    ends_in: Option<u64>,
    ends_at: Option<u64>,
    pub(crate) payload: Option<String>,
}

/// A client.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClientLine {
    #[serde(rename = "kind")]
    _kind: IgnoredAny,
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) name: String,
    pub(crate) confidential: bool,
    #[serde(default)]
    pub(crate) secrets: Vec<SecretLine>,
    #[serde(default)]
    pub(crate) redirect_uris: Vec<String>,
    #[serde(default)]
    pub(crate) grants: Vec<String>,
    #[serde(default)]
    pub(crate) scopes: String,
    #[serde(default)]
    pub(crate) loopback: bool,
    #[serde(default)]
    pub(crate) require_pkce: bool,
    pub(crate) policy: Option<String>,
    pub(crate) created_at: Option<u64>,
}

/// A secret of a client: a text, or a hash.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SecretLine {
    pub(crate) text: Option<Text>,
    pub(crate) hash: Option<Text>,
    expires_in: Option<u64>,
    expires_at: Option<u64>,
}

impl TokenLine {
    pub(crate) fn told(&mut self) -> Told {
        Told { text: self.text.take(), sha256: self.sha256.take() }
    }

    pub(crate) fn ends(&self) -> Ends {
        Ends { within: self.expires_in, at: self.expires_at }
    }
}

impl PersonalLine {
    pub(crate) fn told(&mut self) -> Told {
        Told { text: self.text.take(), sha256: self.sha256.take() }
    }

    pub(crate) fn ends(&self) -> Ends {
        Ends { within: self.expires_in, at: self.expires_at }
    }
}

impl FamilyLine {
    pub(crate) fn told(&mut self) -> Told {
        Told { text: self.text.take(), sha256: self.sha256.take() }
    }

    /// When it ends unless it is refreshed.
    pub(crate) fn expires(&self) -> Ends {
        Ends { within: self.expires_in, at: self.expires_at }
    }

    /// When it ends, however often it is refreshed.
    pub(crate) fn ends(&self) -> Ends {
        Ends { within: self.ends_in, at: self.ends_at }
    }
}

impl SecretLine {
    pub(crate) fn ends(&self) -> Ends {
        Ends { within: self.expires_in, at: self.expires_at }
    }
}

/// A line of an import.
pub(crate) enum Line {
    Token(TokenLine),
    Personal(PersonalLine),
    Family(FamilyLine),
    Client(ClientLine),
}

#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
}

impl Line {
    /// Reads a line.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn read(line: &[u8]) -> Result<Self, String> {
        // A list of values would be taken for the fields in their order.
        if line.trim_ascii_start().first() != Some(&b'{') {
            return Err("it is not a JSON object".to_owned());
        }
        let Kind { kind } = serde_json::from_slice(line)
            .map_err(|cause| told(&cause, "a JSON object with a `kind`"))?;
        match &*kind {
            "token" => fields(line, "token").map(Self::Token),
            "personal" => fields(line, "personal").map(Self::Personal),
            "family" => fields(line, "family").map(Self::Family),
            "client" => fields(line, "client").map(Self::Client),
            _ => Err("its `kind` is none of `token`, `personal`, `family`, `client`".to_owned()),
        }
    }
}

fn fields<'a, T: Deserialize<'a>>(line: &'a [u8], kind: &str) -> Result<T, String> {
    serde_json::from_slice(line)
        .map_err(|cause| told(&cause, &format!("a line of the kind `{kind}`")))
}

/// What is wrong, without what the line says: a missing field has a name of ours, and of all else
/// only the place is told.
fn told(cause: &serde_json::Error, what: &str) -> String {
    let said = cause.to_string();
    let missing = said.strip_prefix("missing field `").and_then(|rest| rest.split_once('`'));
    match missing {
        Some((field, _)) => format!("it is not {what}: `{field}` is missing"),
        None if cause.is_data() => format!(
            "it is not {what}: at column {} is a field that it has not, that is there twice, or \
             that is of another type",
            cause.column()
        ),
        None => format!("it is not JSON from column {} on", cause.column()),
    }
}

//! Audiences, RFC 8707: the resource servers that tokens are meant for.
//!
//! 1. *Unset* means any resource server. It is what a grant has whose audience nobody set, and it
//!    is stored as an empty text.
//! 2. *Set* means those that are named: each an absolute URI without a fragment (RFC 8707 section
//!    2). Blanks, whitespace, control characters, and anything else that no URI has are refused
//!    (RFC 3986 section 2), since the stored text is separated by spaces: one resource with a blank
//!    would become two.
//! 3. A resource that is empty counts as omitted, as every empty parameter does (RFC 6749 section
//!    3.1). Where a grant's audience was set and names none after that, it is refused: it must not
//!    become rule 1. Where a request narrows what was granted, naming none asks for all of that,
//!    and no more.
//!
//! Resources are compared to the byte.

use crate::request::optional::Texts;
use grantkeep::sabotage::{self, Flaw};
use grantkeep::{Error, ErrorKind, Result, TEXT_BYTES_MAX};
use std::fmt;

/// A set of resource servers, in the order they were named, none of them twice. It may be empty:
/// see rule 3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Audience(String);

/// Why resources are no audience.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// One is not an absolute URI, or has a fragment.
    Resource,
    /// Together they are longer than [`TEXT_BYTES_MAX`].
    Length,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resource => f.write_str(
                "a `resource` is not an absolute URI without a fragment, such as \
                 `https://api.example`",
            ),
            Self::Length => {
                write!(f, "`resource` has more than {TEXT_BYTES_MAX} bytes: name fewer")
            }
        }
    }
}

impl std::error::Error for Malformed {}

impl From<Malformed> for Error {
    /// What is wrong goes along as its source: a client is told of a resource by a code of its own.
    fn from(malformed: Malformed) -> Self {
        Self::new(ErrorKind::Limit, malformed.to_string()).with_source(malformed)
    }
}

impl Audience {
    /// The audience of these resources; `None` if they were left out.
    ///
    /// # Errors
    /// The first that is wrong with them.
    fn read(resources: impl Texts) -> Result<Option<Self>, Malformed> {
        let (mut audience, mut read) = (Self(String::new()), Ok(()));
        let given = resources.each(&mut |resource| {
            if read.is_ok() {
                read = audience.add(resource);
            }
        });
        read.map(|()| given.then_some(audience))
    }

    /// Adds a resource, unless it is empty or among them.
    fn add(&mut self, resource: &str) -> Result<(), Malformed> {
        if resource.len() > TEXT_BYTES_MAX {
            return Err(Malformed::Length);
        }
        if resource.is_empty() || self.names(resource) {
            return Ok(());
        }
        if !is_absolute_uri(resource) {
            return Err(Malformed::Resource);
        }
        if !self.0.is_empty() {
            self.0.push(' ');
        }
        self.0.push_str(resource);
        if self.0.len() > TEXT_BYTES_MAX {
            return Err(Malformed::Length);
        }
        Ok(())
    }

    /// An audience as it is stored; `None` if it was unset.
    pub(crate) fn stored(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self(text.to_owned()))
    }

    /// The text that [`Audience::stored`] reads. One that is empty must not be stored.
    pub(crate) fn into_text(self) -> String {
        debug_assert!(!self.0.is_empty(), "an audience of nobody is stored as one of anybody");
        self.0
    }

    /// True if it names none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.split(' ').filter(|resource| !resource.is_empty())
    }

    /// True if it names this resource.
    pub(crate) fn names(&self, resource: &str) -> bool {
        self.iter().any(|one| one == resource)
    }

    /// True if all of it is among what was granted, where unset is any.
    pub(crate) fn is_within(&self, granted: Option<&Self>) -> bool {
        granted.is_none_or(|granted| self.iter().all(|resource| granted.names(resource)))
    }
}

/// The audience of a request, as its builder was given it: what is wrong with it is told when the
/// request is decided.
#[derive(Debug, Clone, Default)]
pub(crate) enum AskedAudience {
    /// Nobody has said.
    #[default]
    Unset,
    /// These, which may be none.
    Set(Audience),
    /// Something else.
    Malformed(Malformed),
}

impl AskedAudience {
    pub(crate) fn read(resources: impl Texts) -> Self {
        match Audience::read(resources) {
            Ok(Some(audience)) => Self::Set(audience),
            Ok(None) => Self::Unset,
            Err(malformed) => Self::Malformed(malformed),
        }
    }

    /// What is stored of a grant for this audience.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`], naming `resource`, for one that is malformed, or was set and names
    /// nobody.
    pub(crate) fn granted(&self) -> Result<String> {
        match self {
            Self::Unset => Ok(String::new()),
            Self::Set(audience) if audience.is_empty() && sabotage::is(Flaw::AudienceWidened) => {
                Ok(String::new())
            }
            Self::Set(audience) if audience.is_empty() => Err(Error::new(
                ErrorKind::Limit,
                "the audience names no `resource`: name one, or leave it out for any",
            )),
            Self::Set(audience) => Ok(audience.clone().into_text()),
            Self::Malformed(malformed) => Err((*malformed).into()),
        }
    }

    /// The resources that it names, if it names any.
    pub(crate) fn named(self) -> Option<String> {
        match self {
            Self::Set(audience) if !audience.is_empty() => Some(audience.into_text()),
            Self::Unset | Self::Set(_) | Self::Malformed(_) => None,
        }
    }

    /// What is left of a stored audience for a request that asks for this one: all of it where that
    /// names none; `None` if it asks for what was not granted, or for what is no resource (RFC 8707
    /// section 2: `invalid_target`).
    pub(crate) fn narrowed(&self, granted: &str) -> Option<String> {
        match self {
            Self::Unset => Some(granted.to_owned()),
            Self::Set(audience) if audience.is_empty() => Some(granted.to_owned()),
            Self::Set(audience) => {
                let within = audience.is_within(Audience::stored(granted).as_ref());
                within.then(|| audience.clone().into_text())
            }
            Self::Malformed(_) => None,
        }
    }
}

/// True for an absolute URI without a fragment, by the grammar of RFC 3986 section 4.3 as far as it
/// says where which characters may stand. It has to lead somewhere: a scheme alone does not, nor
/// does one of HTTP without a host (RFC 9110 section 4.2.1).
fn is_absolute_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let starts = scheme.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic());
    let is_scheme_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    if !starts || !scheme.bytes().all(is_scheme_byte) || rest.is_empty() {
        return false;
    }
    let http = ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    let (authority, path) = match rest.strip_prefix("//") {
        Some(rest) => rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len())),
        None if http => return false,
        None => ("", rest),
    };
    let host = authority.rsplit('@').next().unwrap_or(authority);
    if http && (host.is_empty() || host.starts_with(':')) {
        return false;
    }
    // An address of IPv6 stands in brackets, and nothing else does.
    has_uri_bytes(authority, b"[]") && has_uri_bytes(path, b"/?")
}

/// True if all characters are unreserved, sub-delimiters, `:`, `@`, escapes, or among `others`.
fn has_uri_bytes(text: &str, others: &[u8]) -> bool {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let stands = match byte {
            b'%' => {
                let mut is_hex = || bytes.next().is_some_and(|digit| digit.is_ascii_hexdigit());
                is_hex() && is_hex()
            }
            _ => {
                byte.is_ascii_alphanumeric()
                    || b"-._~!$&'()*+,;=:@".contains(&byte)
                    || others.contains(&byte)
            }
        };
        if !stands {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "https://a.example";
    const B: &str = "https://b.example/v1?tenant=%C3%A9";
    const NONE: [&str; 0] = [];

    fn read(resources: &[&str]) -> Audience {
        Audience::read(resources).unwrap().unwrap()
    }

    // Goal: RFC 8707 section 2, a resource is an absolute URI without a fragment. Method: URIs of
    // several schemes; relative ones, fragments, and names that are none.
    #[test]
    fn resources_are_absolute_uris_without_a_fragment() {
        for good in [
            A,
            B,
            "HTTPS://a.example:8443/x/../y",
            "http://[2001:db8::1]:80/",
            "https://user@a.example",
            "urn:example:api",
            "com.example.app:/api",
            "tag:example.com,2026:api",
            "api://0f8fad5b-d9cb-469f-a165-70867728950e",
        ] {
            assert_eq!(read(&[good]).into_text(), good);
        }
        for bad in [
            "api",
            "/v1",
            "//a.example",
            "./v1",
            "?x",
            "https://a.example#f",
            "https://a.example#",
            "https:",
            "https:a.example",
            "https:/a.example",
            "https://",
            "https:///v1",
            "https://:443",
            "https://user@",
            "1https://a.example",
            "ht tps://a.example",
            ":a",
            "https://a.example/%",
            "https://a.example/%4",
            "https://a.example/%zz",
            "https://a.example/[1]",
        ] {
            assert_eq!(Audience::read([bad]), Err(Malformed::Resource), "{bad}");
        }
    }

    // Goal: no character stands in a resource that could end it, hide it, or make it two. Method:
    // every character up to U+0100, and some beyond, at the start, in each part, and at the end.
    #[test]
    fn every_character_is_one_of_a_uri_or_refused() {
        let unreserved = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
        let others = ['\u{2028}', '\u{202e}', '\u{200b}', '\u{feff}', '\u{fffd}', '\u{1f600}'];
        for c in (0..=0x100).filter_map(char::from_u32).chain(others) {
            for (before, after) in [("https://a", "b.example/c"), ("https://a.example/", "")] {
                let resource = format!("{before}{c}{after}");
                let allowed = unreserved(c) || "!$&'()*+,;=:@/?".contains(c);
                let in_authority = !after.is_empty() && "[]".contains(c);
                let read = Audience::read([&resource]);
                assert_eq!(read.is_ok(), allowed || in_authority, "{resource:?}");
            }
            if !c.is_ascii_alphabetic() {
                assert!(Audience::read([format!("{c}{A}")]).is_err(), "{c:?}");
            }
            assert!(Audience::read([c.to_string()]).is_err(), "{c:?}");
        }
    }

    // Goal: unset and empty are two things, and neither is widened to the other (RFC 6749 section
    // 3.1, RFC 8707 section 2). Method: nothing set, and what names nobody, as a grant and as a
    // request, over grants for any and for one.
    #[test]
    fn an_audience_of_nobody_is_none_of_anybody() {
        assert_eq!(AskedAudience::Unset.granted().unwrap(), "");
        assert_eq!(AskedAudience::read(None::<&str>).granted().unwrap(), "", "left out");
        for nobody in
            [AskedAudience::read(NONE), AskedAudience::read([""]), AskedAudience::read(["", ""])]
        {
            let error = nobody.granted().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Limit);
            assert!(error.to_string().contains("`resource`"), "{error}");
            assert_eq!(nobody.narrowed(A).as_deref(), Some(A), "all that was granted");
            assert_eq!(nobody.narrowed("").as_deref(), Some(""));
        }
        for wrong in [" ", "\t", "\n", "a b", "https://a.example https://b.example"] {
            let asked = AskedAudience::read([A, wrong]);
            let error = asked.granted().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Limit);
            assert!(error.to_string().contains("`resource`"), "{error}");
            assert_eq!(asked.narrowed(""), None);
            assert_eq!(asked.narrowed(A), None);
        }
    }

    // Goal: an audience is narrowed, never widened, and reads back as it was stored. Method: all
    // subsets of four resources against all others.
    #[test]
    fn all_subsets_are_within_what_has_them() {
        let four = [A, B, "urn:example:c", "https://a.example/"];
        let subset = |bits: usize| {
            let named = four.iter().enumerate().filter(move |(at, _)| bits >> at & 1 == 1);
            named.map(|(_, resource)| *resource)
        };
        for granted in 1..16_usize {
            let held = read(&subset(granted).collect::<Vec<_>>());
            let text = held.clone().into_text();
            assert_eq!(Audience::stored(&text), Some(held));
            for asked in 1..16_usize {
                let doubled: Vec<_> = subset(asked).chain([""]).chain(subset(asked)).collect();
                let doubled = AskedAudience::read(doubled);
                let within = asked & !granted == 0;
                let expected = within.then(|| read(&subset(asked).collect::<Vec<_>>()).into_text());
                assert_eq!(doubled.narrowed(&text), expected, "{asked} of {granted}");
                assert_eq!(doubled.narrowed(""), doubled.granted().ok(), "any may be narrowed");
            }
        }
        assert_eq!(Audience::stored(""), None);
    }

    // Goal: P10, the limit of a text is that of an audience. Method: one byte at the limit and over
    // it, in one resource and in several.
    #[test]
    fn lengths_are_bounded() {
        let long = |bytes: usize| format!("urn:{}", "a".repeat(bytes - 4));
        assert!(Audience::read([long(TEXT_BYTES_MAX)]).is_ok());
        assert_eq!(Audience::read([long(TEXT_BYTES_MAX + 1)]), Err(Malformed::Length));
        assert!(Audience::read([long(TEXT_BYTES_MAX - 6).as_str(), "urn:b"]).is_ok());
        let over = Audience::read([long(TEXT_BYTES_MAX - 5).as_str(), "urn:b"]);
        assert_eq!(over, Err(Malformed::Length));
    }
}

//! What minted codes and tokens look like: how they are spelled, and how long they are.

use crate::text::base62;
use crate::text::secret::Secret;
use blake3::OutputReader;
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use grantkeep::{Error, ErrorKind, Result, TOKEN_BYTES_MAX, random};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize as _, Zeroizing};

/// The name of an application in a [`Style::Prefixed`] token has at most this many characters.
pub const APP_CHARS_MAX: usize = 16;

/// What a minted text is, as its prefix says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tag {
    /// `ac`, an authorization code.
    Code,
    /// `dc`, a device code.
    Device,
    /// `pr`, the random part of the `request_uri` of a pushed authorization request.
    PushedRequest,
    /// `at`, an access token.
    Access,
    /// `rt`, a refresh token.
    Refresh,
    /// `pt`, a personal access token.
    Personal,
    /// `cs`, the secret of a client.
    ClientSecret,
}

impl Tag {
    /// The two letters between the underscores.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Code => "ac",
            Self::Device => "dc",
            Self::PushedRequest => "pr",
            Self::Access => "at",
            Self::Refresh => "rt",
            Self::Personal => "pt",
            Self::ClientSecret => "cs",
        }
    }

    /// What it is called in a message.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::Device => "device code",
            Self::PushedRequest => "request URI",
            Self::Access => "access token",
            Self::Refresh => "refresh token",
            Self::Personal => "personal access token",
            Self::ClientSecret => "client secret",
        }
    }

    fn read(text: &str) -> Option<Self> {
        let codes = [Self::Code, Self::Device, Self::PushedRequest];
        let tokens = [Self::Access, Self::Refresh, Self::Personal, Self::ClientSecret];
        codes.into_iter().chain(tokens).find(|tag| tag.as_str() == text)
    }
}

/// How a token is spelled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Style {
    /// `<app>_<ac|dc|pr|at|rt|pt|cs>_<base62 body><6 base62 characters of CRC32 of all before>`: a
    /// scanner finds it in a leak, and tells it from text that only looks like it.
    Prefixed {
        /// 1 to [`APP_CHARS_MAX`] lower-case letters and digits, a letter first.
        app: String,
    },
    /// Lower-case hex digits.
    Hex,
    /// The characters of base64url without padding (RFC 4648 section 5).
    Base64Url,
}

/// How a token is spelled, and how long it is. Every format has room for at least 256 bits.
///
/// What is in them depends on the kind of text:
///
/// - Codes, device codes, pushed requests, access tokens, personal access tokens, and secrets of
///   clients are stretched from 256 random bits, however long they are: one is guessed in 1 of
///   2^256 cases.
/// - Refresh tokens are derived: 96 random bits that name the family, 32 bits of generation, and a
///   MAC of 128 bits, masked so that none of it shows. One of a given family is guessed in 1 of
///   2^256 cases as well, as long as the root keys are secret; `docs/security.md` has the
///   arithmetic. In a longer format the MAC is longer: 160 bits from 8 hex digits, or 6 characters
///   of the other styles, over the least length.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Format {
    /// How it is spelled.
    pub style: Style,
    /// Its whole length in characters, prefix and checksum included; one character is one byte.
    /// At least [`Format::chars_min`], at most [`TOKEN_BYTES_MAX`].
    pub chars: usize,
}

/// A format as it stands in a policy's file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    style: WrittenStyle,
    #[serde(skip_serializing_if = "Option::is_none")]
    app: Option<String>,
    chars: Option<usize>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum WrittenStyle {
    Prefixed,
    Hex,
    Base64Url,
}

impl TryFrom<Written> for Format {
    type Error = &'static str;

    fn try_from(Written { style, app, chars }: Written) -> Result<Self, Self::Error> {
        let style = match (style, app) {
            (WrittenStyle::Prefixed, Some(app)) => Style::Prefixed { app },
            (WrittenStyle::Prefixed, None) => {
                return Err("a prefixed format takes an application name: add `app`");
            }
            (WrittenStyle::Hex, None) => Style::Hex,
            (WrittenStyle::Base64Url, None) => Style::Base64Url,
            (_, Some(_)) => return Err("only a prefixed format takes `app`: leave it out"),
        };
        let shortest = Self::shortest(style);
        let chars = chars.unwrap_or(shortest.chars);
        Ok(shortest.chars(chars))
    }
}

impl From<Format> for Written {
    fn from(format: Format) -> Self {
        let (style, app) = match format.style {
            Style::Prefixed { app } => (WrittenStyle::Prefixed, Some(app)),
            Style::Hex => (WrittenStyle::Hex, None),
            Style::Base64Url => (WrittenStyle::Base64Url, None),
        };
        Self { style, app, chars: Some(format.chars) }
    }
}

impl Format {
    /// [`Style::Prefixed`] at its shortest.
    pub fn prefixed(app: &str) -> Self {
        Self::shortest(Style::Prefixed { app: app.to_owned() })
    }

    /// [`Style::Hex`] at its shortest: 64 characters.
    pub fn hex() -> Self {
        Self::shortest(Style::Hex)
    }

    /// [`Style::Base64Url`] at its shortest: 43 characters.
    pub fn base64url() -> Self {
        Self::shortest(Style::Base64Url)
    }

    /// The same style, `chars` characters long.
    #[must_use]
    pub fn chars(self, chars: usize) -> Self {
        Self { chars, ..self }
    }

    /// The least length that carries 256 bits in this style, in characters.
    pub fn chars_min(&self) -> usize {
        self.form().chars_min()
    }

    /// What `text` is by its prefix and checksum, if it is of [`Style::Prefixed`].
    ///
    /// It costs one pass over the text and proves nothing: anybody can write a text that passes.
    /// Use it to classify (in a leak scanner, a log filter), never to accept.
    pub fn classify(text: &str) -> Option<Tag> {
        Prefixed::read(text).map(|prefixed| prefixed.tag)
    }

    pub(crate) fn shortest(style: Style) -> Self {
        let mut format = Self { style, chars: 0 };
        format.chars = format.chars_min();
        format
    }

    /// Refuses a format that cannot be minted, naming what it is for.
    pub(crate) fn check(&self, name: &str) -> Result<()> {
        if let Style::Prefixed { app } = &self.style {
            let letters = app.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
            let starts = app.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
            if !letters || !starts || app.len() > APP_CHARS_MAX {
                return Err(Error::new(
                    ErrorKind::Limit,
                    format!(
                        "the application name of {name} is not 1 to {APP_CHARS_MAX} lower-case \
                         letters and digits, a letter first"
                    ),
                ));
            }
        }
        let (chars, min) = (self.chars, self.chars_min());
        if chars < min || chars > TOKEN_BYTES_MAX {
            return Err(Error::new(
                ErrorKind::Limit,
                format!(
                    "{name} of {chars} characters is not within {min} and {TOKEN_BYTES_MAX}: \
                     less does not carry 256 bits, more no store holds"
                ),
            ));
        }
        Ok(())
    }

    pub(crate) fn form(&self) -> Form<'_> {
        let face = match &self.style {
            Style::Prefixed { app } => Face::Prefixed(app),
            Style::Hex => Face::Hex,
            Style::Base64Url => Face::Base64Url,
        };
        Form { face, chars: self.chars }
    }

    /// A new random text: a seed from the system's generator, stretched to the length.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] where the system's generator fails.
    pub(crate) fn mint(&self, tag: Tag) -> Result<Secret> {
        let mut seed = Zeroizing::new([0; 32]);
        random(&mut seed[..])?;
        let mut hasher = blake3::Hasher::new_derive_key("grantkeep 2026-11 minted token v1");
        hasher.update(&seed[..]);
        let mut stream = hasher.finalize_xof();
        hasher.zeroize();
        let minted = self.form().write(tag, None, &mut stream);
        stream.zeroize();
        Ok(minted)
    }
}

/// A format, borrowed: of a policy, or of a presented text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Form<'a> {
    pub(crate) face: Face<'a>,
    pub(crate) chars: usize,
}

/// A style, borrowed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Face<'a> {
    Prefixed(&'a str),
    Hex,
    Base64Url,
}

impl Form<'_> {
    fn chars_min(self) -> usize {
        match self.face {
            Face::Prefixed(app) => {
                app.len() + "_at_".len() + base62::CHARS_OF_32_BYTES + base62::CHARS_OF_U32
            }
            Face::Hex => 64,
            Face::Base64Url => 43,
        }
    }

    /// The text: `core` if there is one, then characters of `stream` up to the length.
    pub(crate) fn write(
        self,
        tag: Tag,
        core: Option<&[u8; 32]>,
        stream: &mut OutputReader,
    ) -> Secret {
        // The capacity is exact, so no copy is left behind by growing.
        let mut text = Zeroizing::new(String::with_capacity(self.chars));
        let mut body_end = self.chars;
        if let Face::Prefixed(app) = self.face {
            for part in [app, "_", tag.as_str(), "_"] {
                text.push_str(part);
            }
            body_end = self.chars.saturating_sub(base62::CHARS_OF_U32);
        }
        if let Some(core) = core {
            match self.face {
                Face::Prefixed(_) => base62::push_32_bytes(&mut text, core),
                Face::Hex => HEXLOWER.encode_append(core, &mut text),
                Face::Base64Url => BASE64URL_NOPAD.encode_append(core, &mut text),
            }
        }
        self.face.fill(&mut text, body_end, stream);
        if let Face::Prefixed(_) = self.face {
            let check = crc32fast::hash(text.as_bytes());
            base62::push_u32(&mut text, check);
        }
        Secret::new(text)
    }
}

impl Face<'_> {
    /// Appends characters, each equally likely, until `text` has `len`.
    fn fill(self, text: &mut String, len: usize, stream: &mut OutputReader) {
        let mut block = Zeroizing::new([0; 64]);
        while text.len() < len {
            stream.fill(&mut block[..]);
            let left = len - text.len();
            text.extend(block.iter().filter_map(|byte| self.digit(*byte)).take(left));
        }
    }

    /// The character that a random byte stands for; base62 rejects 2 of 64, so that none is
    /// likelier.
    fn digit(self, byte: u8) -> Option<char> {
        match self {
            Self::Prefixed(_) => base62::digit(byte & 63),
            Self::Hex => char::from_digit(u32::from(byte & 15), 16),
            Self::Base64Url => Some(match byte & 63 {
                62 => '-',
                63 => '_',
                digit => base62::digit(digit)?,
            }),
        }
    }
}

/// The parts of a text whose prefix and checksum hold.
#[derive(Debug)]
pub(crate) struct Prefixed<'a> {
    pub(crate) app: &'a str,
    pub(crate) tag: Tag,
    pub(crate) body: &'a str,
}

impl<'a> Prefixed<'a> {
    pub(crate) fn read(text: &'a str) -> Option<Self> {
        let (app, rest) = text.split_once('_')?;
        if app.is_empty() || app.len() > APP_CHARS_MAX {
            return None;
        }
        let (tag, rest) = rest.split_once('_')?;
        let tag = Tag::read(tag)?;
        let (body, check) = rest.split_at_checked(rest.len().checked_sub(base62::CHARS_OF_U32)?)?;
        let checked = text.get(..text.len() - base62::CHARS_OF_U32)?;
        let holds = base62::read_u32(check)? == crc32fast::hash(checked.as_bytes());
        (holds && base62::is_base62(body)).then_some(Self { app, tag, body })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: the checksum is the one the documents state. Method: a fixed vector, made with
    // another implementation of CRC32.
    #[test]
    fn checksum_is_as_documented() {
        let text = concat!("gk_at_", "0000000000000000000000000000000000000000000", "2bvtMF");
        assert_eq!(Format::classify(text), Some(Tag::Access));
        assert_eq!(Format::classify(&text.replace("at", "rt")), None);
        assert_eq!(Format::classify(&text.replace("gk", "gj")), None);
        assert_eq!(Format::classify("gk_at_"), None);
        assert_eq!(Format::classify("\u{e9}_at_\u{e9}\u{e9}\u{e9}\u{e9}"), None);
    }

    // Goal: every length is minted exactly, in the right alphabet, and no two alike. Method: all
    // styles at lengths from the least to the limit.
    #[test]
    fn minted_texts_have_their_length_and_alphabet() {
        for format in [Format::prefixed("gk"), Format::hex(), Format::base64url()] {
            let least = format.chars_min();
            for chars in [least, least + 1, 64, 255, 1_000, 1_200, 4_000, TOKEN_BYTES_MAX] {
                let format = format.clone().chars(chars.max(least));
                format.check("a token").unwrap();
                let one = format.mint(Tag::Personal).unwrap();
                let other = format.mint(Tag::Personal).unwrap();
                assert_eq!(one.expose().len(), format.chars);
                assert_ne!(one.expose(), other.expose());
                let fits = |b: u8| match format.style {
                    Style::Hex => matches!(b, b'0'..=b'9' | b'a'..=b'f'),
                    _ => b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'),
                };
                assert!(one.expose().bytes().all(fits));
                let prefixed = matches!(format.style, Style::Prefixed { .. });
                let tag = Format::classify(one.expose());
                assert_eq!(tag, prefixed.then_some(Tag::Personal));
            }
        }
    }

    // Goal: a format that cannot carry 256 bits, or that no store holds, is refused. Method: one
    // character under and over each bound, and names that are none.
    #[test]
    fn format_bounds_are_exact() {
        for format in [Format::prefixed("gk"), Format::hex(), Format::base64url()] {
            let least = format.chars_min();
            assert!(format.clone().chars(least).check("a token").is_ok());
            assert!(format.clone().chars(least - 1).check("a token").is_err());
            assert!(format.clone().chars(TOKEN_BYTES_MAX).check("a token").is_ok());
            assert!(format.clone().chars(TOKEN_BYTES_MAX + 1).check("a token").is_err());
        }
        for app in ["", "Gk", "1gk", "g_k", "g-k", "abcdefghijklmnopq"] {
            assert!(Format::prefixed(app).check("a token").is_err(), "{app}");
        }
        assert!(Format::prefixed("abcdefghijklmnop").check("a token").is_ok());
    }
}

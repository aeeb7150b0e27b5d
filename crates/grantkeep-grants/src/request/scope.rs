//! Scopes, RFC 6749 section 3.3: what a grant allows.

use crate::request::optional::Texts;
use grantkeep::{Error, ErrorKind, Result, TEXT_BYTES_MAX};
use std::fmt;

/// A set of scopes, in the order they were asked for, none of them twice.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scopes(String);

impl Scopes {
    /// The scopes that `text` names, separated by spaces.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`] for more than [`TEXT_BYTES_MAX`] bytes, or a character that
    /// RFC 6749 section 3.3 does not allow.
    pub fn read(text: &str) -> Result<Self> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(Error::new(
                ErrorKind::Limit,
                format!(
                    "a list of scopes is {} bytes, more than the limit of {TEXT_BYTES_MAX}: \
                     shorten it",
                    text.len()
                ),
            ));
        }
        let mut scopes = Self(String::with_capacity(text.len()));
        for scope in text.split(' ').filter(|scope| !scope.is_empty()) {
            if !scope.bytes().all(is_scope_byte) {
                return Err(Error::new(
                    ErrorKind::Limit,
                    "a scope has a character outside printable ASCII, or a quote or backslash",
                ));
            }
            if !scopes.contains(scope) {
                if !scopes.0.is_empty() {
                    scopes.0.push(' ');
                }
                scopes.0.push_str(scope);
            }
        }
        Ok(scopes)
    }

    /// Scopes that were checked when they were stored.
    pub(crate) fn stored(text: String) -> Self {
        Self(text)
    }

    pub(crate) fn into_text(self) -> String {
        self.0
    }

    /// The scopes, separated by spaces, as in the `scope` parameter.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The scopes one by one.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.split(' ').filter(|scope| !scope.is_empty())
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// True if `scope` is among them.
    pub fn contains(&self, scope: &str) -> bool {
        self.iter().any(|each| each == scope)
    }

    /// True if all of them are among `others`.
    pub fn is_subset(&self, others: &Self) -> bool {
        self.iter().all(|scope| others.contains(scope))
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Joins what a builder is given, unless it was left out; [`Scopes::read`] checks it later.
pub(crate) fn given(scopes: impl Texts) -> Option<String> {
    let mut text = String::new();
    scopes.each(&mut |scope| add(&mut text, scope)).then_some(text)
}

/// Joins several; [`Scopes::read`] checks them later.
pub(crate) fn join<S: AsRef<str>>(scopes: impl IntoIterator<Item = S>) -> String {
    let mut text = String::new();
    scopes.into_iter().for_each(|scope| add(&mut text, scope.as_ref()));
    text
}

fn add(text: &mut String, scope: &str) {
    if !text.is_empty() {
        text.push(' ');
    }
    text.push_str(scope);
}

fn is_scope_byte(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: scopes are a set of RFC 6749 scope tokens. Method: doubles, empty ones, bounds of the
    // character set, and the length limit.
    #[test]
    fn scopes_are_a_checked_set() {
        let scopes = Scopes::read(" read  write read ").unwrap();
        assert_eq!(scopes.as_str(), "read write");
        assert!(Scopes::read("write").unwrap().is_subset(&scopes));
        assert!(!Scopes::read("write admin").unwrap().is_subset(&scopes));
        assert!(Scopes::default().is_subset(&Scopes::default()));
        for bad in ["a\"b", "a\\b", "a\tb", "\u{e9}", "a\u{7f}"] {
            assert_eq!(Scopes::read(bad).unwrap_err().kind(), ErrorKind::Limit, "{bad}");
        }
        assert!(Scopes::read(&"a".repeat(TEXT_BYTES_MAX)).is_ok());
        assert!(Scopes::read(&"a".repeat(TEXT_BYTES_MAX + 1)).is_err());
        assert_eq!(join(["a", "b"]), "a b");
        assert_eq!(given(["a", "b"]).as_deref(), Some("a b"));
        assert_eq!(given(None::<&str>), None);
    }
}

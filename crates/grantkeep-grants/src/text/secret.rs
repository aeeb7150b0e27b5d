//! Minted text: what is handed to a client once, and kept nowhere.

use std::fmt;
use zeroize::Zeroizing;

/// The text of a code or a token that was just issued.
///
/// It is wiped from memory when dropped, `Debug` prints its type name only, and it has neither
/// `Display` nor `PartialEq`, so that it does not end up in a log or in a comparison whose time
/// depends on it. [`Secret::expose`] is the one way to the text.
pub struct Secret(Zeroizing<String>);

impl Secret {
    pub(crate) fn new(text: Zeroizing<String>) -> Self {
        Self(text)
    }

    /// The text, to be put in a response and nowhere else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

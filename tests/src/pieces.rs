//! Pieces of tokens among stored bytes.

use std::collections::HashSet;

/// A piece of a token this long must not be found.
pub const PIECE: usize = 12;

type Piece = [u8; PIECE];

/// Every piece of some bytes that could be one of a token: tokens are letters and digits, and so
/// few stored bytes are that all of them fit in memory.
#[derive(Debug, Default)]
pub struct Pieces(HashSet<Piece>);

impl Pieces {
    /// Takes the pieces of these bytes in.
    pub fn add(&mut self, bytes: &[u8]) {
        for run in bytes.split(|byte| !byte.is_ascii_alphanumeric()) {
            self.0.extend(pieces(run));
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// How many pieces of `tokens` are among them.
    pub fn found<'a>(&self, tokens: impl IntoIterator<Item = &'a str>) -> usize {
        let pieces = tokens.into_iter().flat_map(|token| pieces(token.as_bytes()));
        pieces.filter(|piece| self.0.contains(piece)).count()
    }
}

fn pieces(bytes: &[u8]) -> impl Iterator<Item = Piece> + '_ {
    bytes.windows(PIECE).filter_map(|window| window.try_into().ok())
}

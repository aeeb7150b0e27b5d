//! The least that a look-up can cost: a keyed digest, and a map that nobody else uses.

use crate::workload::TokenText;
use grantkeep::Token;
use std::collections::HashMap;
use std::sync::Arc;

const KEY: [u8; 32] = [9; 32];

/// Tokens by the keyed BLAKE3 digest of their text.
#[derive(Debug, Default)]
pub struct DigestMap(HashMap<[u8; 32], Arc<Token>>);

impl DigestMap {
    /// A map of the tokens of the numbers below `count`, with texts of so many characters.
    pub fn new(count: u64, characters: usize, token: impl Fn(u64) -> Token) -> Self {
        let mut text = TokenText::new(characters);
        let mut map = HashMap::new();
        for number in 0..count {
            map.insert(digest(text.of(number)), Arc::new(token(number)));
        }
        Self(map)
    }

    /// The token with this text.
    pub fn find(&self, text: &[u8]) -> Option<Arc<Token>> {
        self.0.get(&digest(text)).cloned()
    }
}

fn digest(text: &[u8]) -> [u8; 32] {
    *blake3::keyed_hash(&KEY, text).as_bytes()
}

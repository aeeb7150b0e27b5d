//! Stores with grants in them, as the grants crate makes them.

use crate::Scratch;
use crate::workload::{LONG_TOKEN_CHARACTERS, TOKEN_CHARACTERS, subject};
use futures_util::{StreamExt as _, stream};
use grantkeep::{Embedded, Store, Wait};
use grantkeep_grants::{
    Authorize, Format, Grant, Grants, Issued, Minter, MinterError, Minting, Policy, Secret,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The lengths that are measured.
pub const CHARACTERS: [usize; 2] = [TOKEN_CHARACTERS, LONG_TOKEN_CHARACTERS];

/// The client of every grant.
pub const CLIENT: &str = "client-0000000a";

const SCOPES: [&str; 4] = ["openid", "profile", "email", "offline_access"];
const AUDIENCE: [&str; 1] = ["https://api.example.com"];

/// Callers that wait for one sync together while a store is filled.
const CALLERS: usize = 1_024;

/// Grants in an empty store, whose codes and tokens have this many characters.
pub fn grants(scratch: &Scratch, characters: usize) -> Grants<Embedded> {
    let store = Store::options().row_cache_bytes(1 << 30).open(scratch.path("store"));
    let format = Format::base64url().chars(characters);
    let policy = Policy {
        code_format: format.clone(),
        access_format: format.clone(),
        refresh_format: format,
        ..Policy::default()
    };
    Grants::new(store.expect("a store"), policy).expect("grants")
}

/// Grants whose texts a server makes: each of this many characters, at least 32, and all of them
/// starting with the same.
pub fn grants_with_minter(scratch: &Scratch, characters: usize) -> Grants<Embedded> {
    let minter = Server { characters, made: AtomicU64::new(0) };
    grants(scratch, TOKEN_CHARACTERS).with_minter(Arc::new(minter))
}

#[derive(Debug)]
struct Server {
    characters: usize,
    made: AtomicU64,
}

impl Minter for Server {
    fn mint(&self, _: &Minting<'_>) -> Result<Option<String>, MinterError> {
        let made = self.made.fetch_add(1, Ordering::Relaxed);
        let mut text = "def50200".repeat(self.characters.div_ceil(8));
        text.truncate(self.characters - 20);
        text.push_str(&format!("{made:020}"));
        Ok(Some(text))
    }
}

/// Issues this many codes.
pub fn codes(grants: &Grants<Embedded>, count: usize) -> Vec<Secret> {
    let issued = stream::iter(0..count as u64)
        .map(|number| async move {
            let subject = subject(number);
            let request = Authorize::new(CLIENT, &subject).scopes(SCOPES).audience(AUDIENCE);
            grants.authorize(request).await.expect("a code")
        })
        .buffer_unordered(CALLERS);
    issued.collect::<Vec<_>>().wait()
}

/// Opens this many families, and answers their first pairs.
pub fn pairs(grants: &Grants<Embedded>, count: usize) -> Vec<Issued> {
    let opened = stream::iter(0..count as u64)
        .map(|number| async move {
            let subject = subject(number);
            let grant = Grant::new(CLIENT, &subject).scopes(SCOPES).audience(AUDIENCE);
            grants.open(grant).await.expect("a pair")
        })
        .buffer_unordered(CALLERS);
    opened.collect::<Vec<_>>().wait()
}

/// Opens this many families, and answers their access tokens.
pub fn tokens(grants: &Grants<Embedded>, count: usize) -> Vec<Secret> {
    pairs(grants, count).into_iter().map(|pair| pair.access).collect()
}

/// Opens this many families, and answers their refresh tokens.
pub fn refresh_tokens(grants: &Grants<Embedded>, count: usize) -> Vec<Secret> {
    pairs(grants, count).into_iter().filter_map(|pair| pair.refresh).collect()
}

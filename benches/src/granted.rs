//! Stores with grants in them, as the grants crate makes them.

use crate::Scratch;
use crate::workload::{LONG_TOKEN_CHARACTERS, TOKEN_CHARACTERS, client, subject};
use futures_util::{StreamExt as _, stream};
use grantkeep::{Embedded, Store, Wait};
use grantkeep_grants::{Format, Grant, Grants, Pair, Policy, Secret};

/// The lengths that are measured.
pub const CHARACTERS: [usize; 2] = [TOKEN_CHARACTERS, LONG_TOKEN_CHARACTERS];

/// Callers that wait for one sync together while a store is filled.
const CALLERS: usize = 1_024;

/// Grants in an empty store, whose codes and tokens have this many characters.
pub fn grants(scratch: &Scratch, characters: usize) -> Grants<Embedded> {
    let store = Store::options().live_set_bytes(1 << 30).open(scratch.path("store"));
    let format = Format::base64url().chars(characters);
    let policy = Policy {
        code_format: format.clone(),
        access_format: format.clone(),
        refresh_format: format,
        ..Policy::default()
    };
    Grants::new(store.expect("a store"), policy).expect("grants")
}

/// Opens this many families, and answers their first pairs.
pub fn pairs(grants: &Grants<Embedded>, count: usize) -> Vec<Pair> {
    let opened = stream::iter(0..count as u64)
        .map(|number| async move {
            let (client, subject) = (client(number), subject(number));
            let grant = Grant::new(&client, &subject)
                .scopes(["openid", "profile", "email", "offline_access"])
                .audience(["https://api.example.com"]);
            grants.password(grant).await.expect("a pair")
        })
        .buffer_unordered(CALLERS);
    opened.collect::<Vec<_>>().wait()
}

/// Opens this many families, and answers their access tokens.
pub fn tokens(grants: &Grants<Embedded>, count: usize) -> Vec<Secret> {
    pairs(grants, count).into_iter().map(|pair| pair.access).collect()
}

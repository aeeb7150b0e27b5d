//! What one builds first on an embedded database: a table by token digest, one by family, an
//! index by expiry, and callers that share commits.

use super::group_commit::GroupCommit;
use crate::random::Random;
use crate::workload::{FAMILY_LIFETIME, TOKEN_LIFETIME};
use redb::{Database, Durability, TableDefinition};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

const TOKENS: TableDefinition<[u8; 32], &[u8]> = TableDefinition::new("tokens");
const FAMILIES: TableDefinition<[u8; 32], &[u8]> = TableDefinition::new("families");
/// When a row dies in milliseconds, which table it is in, and its key.
const EXPIRY: TableDefinition<(u64, u8, [u8; 32]), ()> = TableDefinition::new("expiry");

/// One pair to be issued.
#[derive(Debug)]
pub struct Pair {
    token: [u8; 32],
    token_expires_at_ms: u64,
    token_row: Vec<u8>,
    family: [u8; 32],
    family_expires_at_ms: u64,
    family_row: Vec<u8>,
}

impl Pair {
    /// A pair with random keys, and rows of these lengths, which die over a lifetime or so.
    pub fn random(random: &mut Random, token_bytes: usize, family_bytes: usize) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now_ms = now.as_millis() as u64;
        Self {
            // Hashed as the store's are: tokens are not to be kept as they are.
            token: *blake3::keyed_hash(&[7; 32], &random.bytes::<43>()).as_bytes(),
            token_expires_at_ms: now_ms + TOKEN_LIFETIME.as_millis() as u64,
            token_row: vec![1; token_bytes],
            family: random.bytes(),
            family_expires_at_ms: now_ms + FAMILY_LIFETIME.as_millis() as u64,
            family_row: vec![2; family_bytes],
        }
    }
}

/// redb with random keys and group commit.
#[derive(Debug)]
pub struct RandomKeys(GroupCommit<Vec<Pair>>);

impl RandomKeys {
    /// Makes the database with pairs in it, and a page cache of so many bytes.
    ///
    /// # Errors
    /// Whatever redb answers.
    pub fn create(
        path: &Path,
        cache_bytes: usize,
        mut pairs: Vec<Pair>,
    ) -> Result<Self, redb::Error> {
        let database = Database::builder().set_cache_size(cache_bytes).create(path)?;
        // Loaded in the order of the keys: only the loading is faster for it.
        pairs.sort_unstable_by_key(|pair| pair.token);
        for part in pairs.chunks(100_000) {
            insert(&database, part)?;
        }
        Ok(Self(GroupCommit::new(move |group: &mut Vec<Pair>| {
            insert(&database, group).expect("the yardstick commits");
            group.clear();
        })))
    }

    /// Issues a pair, and blocks until it is durable.
    pub fn issue(&self, pair: Pair) {
        self.0.commit(|group| group.push(pair));
    }
}

fn insert(database: &Database, pairs: &[Pair]) -> Result<(), redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    {
        let mut tokens = transaction.open_table(TOKENS)?;
        let mut families = transaction.open_table(FAMILIES)?;
        let mut expiry = transaction.open_table(EXPIRY)?;
        for pair in pairs {
            tokens.insert(pair.token, pair.token_row.as_slice())?;
            families.insert(pair.family, pair.family_row.as_slice())?;
            expiry.insert((pair.token_expires_at_ms, 0, pair.token), ())?;
            expiry.insert((pair.family_expires_at_ms, 1, pair.family), ())?;
        }
    }
    transaction.commit()?;
    Ok(())
}

//! What the table knows of the store: a few numbers by name, and their check.
//!
//! They say where the log goes on and what time it is at least, so one that is damaged would lose
//! rows, or expire them, in silence.

use super::{BLOCKS, DEATHS, LATER, ROWS, TABLE_FILE, TAGS, TERMS, failed};
use crate::clock::{Timestamp, millis};
use crate::engine::backup::ADVICE;
use crate::engine::place::NUMBER_MAX;
use crate::error::{Error, Result};
use crate::timekeeper::Mark;
use redb::{
    Database, ReadTransaction, ReadableDatabase as _, ReadableTable, TableDefinition,
    WriteTransaction,
};
use std::time::Duration;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

const META: TableDefinition<&str, u64> = TableDefinition::new("meta");

/// The format of the tables that this version reads and writes.
const FORMAT: u64 = 4;

const META_FORMAT: &str = "format";
const META_STORE_LOW: &str = "store id, low half";
const META_STORE_HIGH: &str = "store id, high half";
const META_CARRIED: &str = "carried through sequence number";
const META_HIGH_WATER: &str = "high-water mark of time, ms";
const META_LEAD: &str = "its lead over the wall clock, ms";
const META_FORGOTTEN: &str = "burnt values may be forgotten up to, ms";
const META_COMMITS: &str = "number of the last commit";

/// Of all other numbers.
const META_CHECK: &str = "check";
/// The numbers without their check.
const NUMBERS: u64 = 8;

/// What the table knows of the store.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Meta {
    /// The store's random id.
    pub(crate) store: [u8; 16],
    /// Every commit up to this one is in the table as far as it is still needed.
    pub(crate) carried: u64,
    /// The largest settled time that was stored, and its lead.
    pub(crate) high_water: Mark,
    /// The end, on the wall clock, up to which burnt values may have been swept.
    pub(crate) forgotten: Timestamp,
    /// The number of the table's last commit: it tells whether a commit that failed has happened.
    pub(crate) commits: u64,
}

pub(crate) fn set_carried(transaction: &WriteTransaction, carried: u64) -> Result<()> {
    let mut meta = transaction.open_table(META).map_err(failed)?;
    meta.insert(META_CARRIED, carried).map_err(failed)?;
    Ok(())
}

pub(crate) fn set_high_water(
    transaction: &WriteTransaction,
    mark: Mark,
    forgotten: Timestamp,
) -> Result<()> {
    let mut meta = transaction.open_table(META).map_err(failed)?;
    meta.insert(META_HIGH_WATER, mark.settled.as_millis()).map_err(failed)?;
    meta.insert(META_LEAD, millis(mark.lead)).map_err(failed)?;
    meta.insert(META_FORGOTTEN, forgotten.as_millis()).map_err(failed)?;
    Ok(())
}

/// Numbers the commit, and adds the check of the numbers as they are now. Answers its number.
pub(super) fn seal(transaction: &WriteTransaction) -> Result<u64> {
    let mut meta = transaction.open_table(META).map_err(failed)?;
    let before = meta.get(META_COMMITS).map_err(failed)?.map_or(0, |number| number.value());
    let commit = before.wrapping_add(1);
    meta.insert(META_COMMITS, commit).map_err(failed)?;
    let Summed { check, .. } = sum(&meta)?;
    meta.insert(META_CHECK, check).map_err(failed)?;
    Ok(commit)
}

struct Summed {
    /// How many numbers there are, without the check.
    numbers: u64,
    check: u64,
    stored: Option<u64>,
}

fn sum(meta: &impl ReadableTable<&'static str, u64>) -> Result<Summed> {
    let mut summed = Summed { numbers: 0, check: 0, stored: None };
    for entry in meta.range::<&str>(..).map_err(failed)? {
        let (name, number) = entry.map_err(failed)?;
        if name.value() == META_CHECK {
            summed.stored = Some(number.value());
            continue;
        }
        summed.numbers += 1;
        let seed = summed.check ^ xxh3_64(name.value().as_bytes());
        summed.check = xxh3_64_with_seed(&number.value().to_le_bytes(), seed);
    }
    Ok(summed)
}

/// Makes the tables of a new store.
pub(super) fn create(database: &Database, store: [u8; 16]) -> Result<()> {
    let number = u128::from_le_bytes(store);
    let half = |shift: u32| u64::try_from(number >> shift & u128::from(u64::MAX)).unwrap_or(0);
    let transaction = database.begin_write().map_err(failed)?;
    {
        let mut meta = transaction.open_table(META).map_err(failed)?;
        meta.insert(META_FORMAT, FORMAT).map_err(failed)?;
        meta.insert(META_STORE_LOW, half(0)).map_err(failed)?;
        meta.insert(META_STORE_HIGH, half(64)).map_err(failed)?;
        meta.insert(META_CARRIED, 0).map_err(failed)?;
        meta.insert(META_HIGH_WATER, 0).map_err(failed)?;
        meta.insert(META_FORGOTTEN, 0).map_err(failed)?;
        meta.insert(META_LEAD, 0).map_err(failed)?;
        transaction.open_table(BLOCKS).map_err(failed)?;
        transaction.open_table(TAGS).map_err(failed)?;
        transaction.open_table(LATER).map_err(failed)?;
        transaction.open_table(ROWS).map_err(failed)?;
        transaction.open_table(DEATHS).map_err(failed)?;
        transaction.open_table(TERMS).map_err(failed)?;
    }
    seal(&transaction)?;
    transaction.commit().map_err(failed)
}

/// Copies the numbers of a store, in the last commit of its copy; answers them.
///
/// # Durability
/// On success the copy is durable, whole, and quick to open.
pub(crate) fn copy_meta(from: &ReadTransaction, to: &Database) -> Result<Meta> {
    let from = from.open_table(META).map_err(failed)?;
    let mut transaction = to.begin_write().map_err(failed)?;
    transaction.set_two_phase_commit(true);
    transaction.set_quick_repair(true);
    {
        let mut meta = transaction.open_table(META).map_err(failed)?;
        for entry in from.iter().map_err(failed)? {
            let (name, number) = entry.map_err(failed)?;
            meta.insert(name.value(), number.value()).map_err(failed)?;
        }
    }
    transaction.commit().map_err(failed)?;
    read(to)
}

/// Reads the numbers of a store.
///
/// # Errors
/// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt) where they do not fit their check,
/// [`ErrorKind::Format`](crate::ErrorKind::Format) for a store of another format.
pub(super) fn read(database: &Database) -> Result<Meta> {
    read_in(&database.begin_read().map_err(failed)?)
}

/// Reads the numbers of a store as they were when a transaction began.
///
/// # Errors
/// As [`read`].
pub(crate) fn read_in(transaction: &ReadTransaction) -> Result<Meta> {
    let meta = transaction.open_table(META).map_err(|cause| {
        Error::corrupt(format!("{TABLE_FILE} holds no store")).with_source(redb::Error::from(cause))
    })?;
    let number = |name: &str| -> Result<u64> {
        let value = meta.get(name).map_err(failed)?;
        let missing = || Error::corrupt(format!("{TABLE_FILE} lacks its `{name}`"));
        Ok(value.ok_or_else(missing)?.value())
    };
    let format = number(META_FORMAT)?;
    if format != FORMAT {
        return Err(Error::format("the store", format, FORMAT));
    }
    let Summed { numbers, check, stored } = sum(&meta)?;
    if numbers != NUMBERS || stored != Some(check) {
        return Err(Error::corrupt(format!(
            "the numbers in {TABLE_FILE} do not fit their check: {ADVICE}"
        )));
    }
    let store = u128::from(number(META_STORE_HIGH)?) << 64 | u128::from(number(META_STORE_LOW)?);
    let carried = number(META_CARRIED)?;
    if carried > NUMBER_MAX {
        return Err(Error::corrupt(format!(
            "`{META_CARRIED}` in {TABLE_FILE} is damaged: {ADVICE}"
        )));
    }
    Ok(Meta {
        store: store.to_le_bytes(),
        carried,
        high_water: Mark {
            settled: Timestamp::from_millis(number(META_HIGH_WATER)?),
            lead: Duration::from_millis(number(META_LEAD)?),
        },
        forgotten: Timestamp::from_millis(number(META_FORGOTTEN)?),
        commits: number(META_COMMITS)?,
    })
}

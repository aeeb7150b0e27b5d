//! Bringing out what was gathered: it is written and synced, everybody sees it, and whom it
//! concerns is woken. The log thread does it; while one sync runs the next group gathers, so many
//! callers share one. A caller that waits, and finds nobody else there, does it itself: a change of
//! threads and back costs it about as much again as it computes.

use super::core::{Core, count};
use super::place::Place;
use super::shard::Shard;
use super::tag::Tags;
use super::writer::{Group, Item, Mode, Writer};
use crate::backend::Row;
use crate::error::Result;
use crate::foreign::AtWork;
use crate::sabotage::{self, Flaw};
use crate::sync::{Arc, RwLockWriteGuard};
use crate::wait::Lead;
use std::io;

/// What publishing an item took away: the place of the row before.
type Replaced = Option<Place>;

/// Poisons the store unless it was disarmed: a thread that dies must not die silently.
pub(crate) struct PoisonGuard<'c> {
    core: &'c Core,
    name: &'static str,
    armed: bool,
}

impl<'c> PoisonGuard<'c> {
    pub(crate) fn new(core: &'c Core, name: &'static str) -> Self {
        Self { core, name, armed: true }
    }

    pub(crate) fn disarm(mut self) {
        self.armed = false;
    }
}

impl Drop for PoisonGuard<'_> {
    fn drop(&mut self) {
        if self.armed {
            self.core.poison(&format!("the {} thread died", self.name));
        }
    }
}

/// Runs the log thread until the store is closed or poisoned.
pub(crate) fn run(core: &Core) {
    let _at_work = AtWork::begin();
    let guard = PoisonGuard::new(core, "log");
    while next_group(core).is_some_and(|group| bring_out(core, &group)) {}
    guard.disarm();
}

/// Waits for the next group; `None` once the store is closing and nothing is left, or poisoned.
fn next_group(core: &Core) -> Option<Group> {
    let mut writer = core.writer.lock();
    loop {
        if matches!(writer.mode, Mode::Poisoned(_)) {
            return None;
        }
        if !writer.led {
            if !writer.group.chunks.is_empty() {
                return Some(writer.take_group());
            }
            if matches!(writer.mode, Mode::Closed) {
                return None;
            }
        }
        core.work.sleep(&mut writer);
    }
}

/// True if a caller may bring out what is gathered: the log thread sleeps, and nobody else leads.
pub(crate) fn may_be_led(writer: &Writer) -> bool {
    // Who writes for itself is not answered before it has: that flaw is the log thread's.
    writer.log_idle && !writer.led && !sabotage::is(Flaw::AcknowledgedBeforeSync)
}

impl Lead for Core {
    /// Brings out what is gathered, unless it is on its way: between an offer and this the log
    /// thread may have been rung for, or another caller may have begun to lead. Whoever leads rings
    /// for what was gathered meanwhile.
    fn lead(self: Arc<Self>) {
        let mut writer = self.writer.lock();
        let poisoned = matches!(writer.mode, Mode::Poisoned(_));
        if poisoned || writer.group.chunks.is_empty() || !may_be_led(&writer) {
            return;
        }
        writer.led = true;
        let group = writer.take_group();
        drop(writer);
        lead(&self, &group);
    }

    fn leave(self: Arc<Self>) {
        if !sabotage::is(Flaw::OfferForgotten) {
            self.press();
        }
    }
}

/// Brings out a group in the place of the log thread, which goes on with what was gathered
/// meanwhile.
fn lead(core: &Core, group: &Group) {
    let _at_work = AtWork::begin();
    let guard = PoisonGuard::new(core, "leading");
    if bring_out(core, group) {
        let mut writer = core.writer.lock();
        writer.led = false;
        if !writer.group.chunks.is_empty() || !matches!(writer.mode, Mode::Open) {
            core.work.ring(writer);
        }
    }
    guard.disarm();
}

/// Brings out a group; false once the store is poisoned.
fn bring_out(core: &Core, group: &Group) -> bool {
    let early = sabotage::is(Flaw::AcknowledgedBeforeSync);
    if early {
        let _ = publish(core, group);
    }
    if let Err(cause) = write(core, group) {
        core.poison(&format!("writing the log failed: {cause}"));
        return false;
    }
    if !early && let Err(cause) = publish(core, group) {
        core.poison(&format!("publishing a commit failed: {cause}"));
        return false;
    }
    true
}

/// Writes and syncs a group; after an error nothing is known of its bytes.
fn write(core: &Core, group: &Group) -> io::Result<()> {
    for chunk in &group.chunks {
        chunk.segment.file.write_at(&chunk.bytes, u64::from(chunk.offset))?;
    }
    if sabotage::is(Flaw::AnsweredBeforeSync) {
        core.durable.advance(group.last);
    }
    for chunk in &group.chunks {
        chunk.segment.file.sync_data()?;
        count(&core.counters.log_syncs, 1);
    }
    Ok(())
}

/// Lets everybody see a durable group, batch by batch, and answers its callers.
fn publish(core: &Core, group: &Group) -> Result<()> {
    let mut replaced = Vec::with_capacity(group.items.len());
    let mut from = 0;
    for batch in &group.batches {
        let items = group.items.get(from..batch.end).unwrap_or_default();
        publish_batch(core, items, &mut replaced)?;
        from = batch.end;
    }
    let mut writer = core.writer.lock();
    for (item, replaced) in group.items.iter().zip(&replaced) {
        let key = item.row.key();
        writer.settle(item.tag, &key, group.last);
        writer.windows.unpin(item.place.slot());
        item.prior_slot.iter().for_each(|slot| writer.windows.unpin(*slot));
        if !item.row.is_tombstone() {
            writer.windows.add(item.place.slot(), key.kind);
        }
        let counted = item.prior.as_ref().is_some_and(|prior| !prior.is_tombstone());
        if let Some(place) = replaced
            && counted
        {
            writer.windows.remove(place.slot(), key.kind);
        }
    }
    drop(writer);
    count(&core.counters.commits, group.batches.len() as u64);
    for batch in &group.batches {
        core.commit_latencies.record(batch.asked_at.elapsed());
        // Before anybody is answered, and also for whom nobody waits any more.
        if let Some(applied) = &batch.applied {
            applied.call();
        }
    }
    core.durable.advance(group.last);
    Ok(())
}

/// Makes all rows of one batch visible at once: whoever sees one of them sees the others.
fn publish_batch(core: &Core, items: &[Item], replaced: &mut Vec<Replaced>) -> Result<()> {
    if sabotage::is(Flaw::RowByRow) && items.len() > 1 {
        return items.chunks(1).try_for_each(|item| publish_batch(core, item, replaced));
    }
    let mut numbers: Vec<usize> = items.iter().map(|item| Tags::shard(item.tag)).collect();
    let of_item = numbers.clone();
    numbers.sort_unstable();
    numbers.dedup();
    // What must be read is read without the locks, and holds while the shards stay as they were.
    let mut resolved = Vec::new();
    let mut shards = loop {
        let shards: Vec<(usize, RwLockWriteGuard<'_, Shard>)> = numbers
            .iter()
            .filter_map(|number| core.index.write(*number).map(|shard| (*number, shard)))
            .collect();
        let met = core.meetings(&shards, items, &resolved);
        if met.is_empty() {
            break shards;
        }
        drop(shards);
        resolved = core.resolve(met);
    };
    // Before any of them is published: another row of the batch may come under the same tag.
    let before: Vec<Vec<Place>> =
        items.iter().map(|item| core.before(&shards, item, &resolved)).collect();
    for ((item, number), before) in items.iter().zip(of_item).zip(before) {
        let Some((_, shard)) = shards.iter_mut().find(|(held, _)| *held == number) else {
            continue;
        };
        let before = publish_item(shard, item, &before);
        replaced.push(before);
        // Terms are noted under the shard's lock, where whoever drops them looks first.
        // What was carried in a block has its terms under that block's window only.
        let fresh = before.is_none_or(Place::is_in_block)
            || item.prior.as_ref().is_none_or(Row::is_tombstone);
        let terms = item.row.terms();
        if fresh && !item.row.is_tombstone() && !terms.is_empty() {
            let key = item.row.key();
            core.young_terms.lock().extend(terms.iter().map(|term| (term, key)));
        }
    }
    Ok(())
}

/// Points the index at the new row, in place of those that were there `before`. Nothing is read
/// here: the shard is locked.
fn publish_item(shard: &mut Shard, item: &Item, before: &[Place]) -> Replaced {
    let (tag, key) = (item.tag, item.row.key());
    match before.split_first() {
        None => shard.insert(tag, item.place),
        Some((first, others)) => {
            let replaced = shard.replace(tag, &key, *first, item.place);
            if !replaced && !sabotage::is(Flaw::MovedPlacesBelieved) {
                shard.insert(tag, item.place);
            }
            debug_assert!(
                replaced || sabotage::is(Flaw::MovedPlacesBelieved),
                "a row is where its shard said under the lock that is held still"
            );
            for other in others {
                shard.remove(tag, &key, *other);
            }
        }
    }
    shard.keep(tag, item.place, &item.row);
    before.first().copied()
}

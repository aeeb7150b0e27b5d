//! Committing a batch: its expectations are checked and its place in the order is taken under one
//! short lock; then it waits to be durable.

use super::core::{Core, count};
use super::line::{Class, Number};
use super::log::frame::{FRAME_HEADER_BYTES, padded};
use super::logger;
use super::lookup::Fetched;
use super::place::{Place, Slot};
use super::signal;
use super::window::Window;
use super::writer::{Gathered, Item, Pending, Writer};
use crate::backend::record::TOMBSTONE_BYTES_MAX;
use crate::backend::{Batch, Expect, Key, Kind, OnApplied, Outcome, Row, Step, Version, Write};
use crate::error::Result;
use crate::sabotage::{self, Flaw};
use crate::sync::{Arc, Instant};
use crate::timekeeper::Moment;
use crate::wait::{self, Lead};
use std::future::poll_fn;
use std::task::Poll;

/// A step made ready outside the lock.
struct Ready<'a> {
    step: &'a Step,
    tag: u64,
    /// The record to be put, without its version.
    put: Option<Row>,
}

/// What a batch finds under the lock.
enum Verdict {
    /// All expectations hold; what is there now, step by step.
    Holds(Vec<Stored>),
    /// The expectation on this key fails, by what is durable once `sequence` is.
    Fails(Key, u64),
    /// The row under this key must be fetched first.
    Fetch(u64, Key),
}

/// What is stored under a key as a batch finds it.
struct Stored {
    /// The row, a tombstone included.
    row: Option<Row>,
    /// The slot of the window it is filed under.
    slot: Option<Slot>,
}

/// A row of a batch that holds.
struct ToWrite {
    tag: u64,
    row: Row,
    prior: Stored,
}

/// What came of one attempt.
enum Attempt {
    Appended(u64),
    Failed(Key, u64),
    Fetch(u64, Key),
    /// There is no room for a frame of so many bytes.
    NoRoom(u64),
}

/// A commit's turn to write to the log; it leaves the line when this is dropped.
struct Turn<'c> {
    core: &'c Core,
    class: Class,
    number: Option<Number>,
}

impl Turn<'_> {
    /// Waits in line until the commit is called: there may be room for `bytes`, or the state of the
    /// store has changed.
    ///
    /// # Errors
    /// Why there is no room, and will be none before that changes.
    async fn wait(&mut self, bytes: u64) -> Result<()> {
        let (core, class) = (self.core, self.class);
        if let Some(error) = core.no_supply() {
            return Err(error);
        }
        let first = self.number.is_none();
        if first {
            count(&core.counters.log_stalls, 1);
        }
        let mut entered = false;
        poll_fn(|context| {
            let mut writer = core.writer.lock();
            let called = entered && self.number.is_none_or(|own| writer.line.is_called(class, own));
            if called || writer.check_open().is_err() {
                return Poll::Ready(Ok(()));
            }
            writer.line.enter(class, &mut self.number, bytes, context.waker());
            // Once: whoever is called and finds no room would have it look again and again.
            let to_ring = first && !entered;
            entered = true;
            // Room that appeared before it had entered was offered to nobody.
            let wakers = writer.call_line();
            drop(writer);
            signal::wake_all(wakers);
            if to_ring {
                core.supply.ring();
            }
            // Trouble that was noted before it had entered was told to nobody, either.
            core.no_supply().map_or(Poll::Pending, |error| Poll::Ready(Err(error)))
        })
        .await
    }
}

impl Drop for Turn<'_> {
    /// What was promised to it goes to the next.
    fn drop(&mut self) {
        if let Some(number) = self.number {
            let mut writer = self.core.writer.lock();
            writer.line.leave(self.class, number);
            let wakers = writer.call_line();
            drop(writer);
            signal::wake_all(wakers);
        }
    }
}

impl Core {
    /// Applies a batch, and answers once that is durable.
    pub(crate) async fn commit(self: &Arc<Self>, batch: Batch) -> Result<Outcome> {
        batch.validate()?;
        self.check_process()?;
        self.check_writable()?;
        let asked_at = Instant::now();
        let moment = self.time.moment();
        if batch.issues() {
            self.time.check_believed()?;
            self.space.check()?;
            self.check_whole()?;
        }
        let mut ready = self.make_ready(&batch)?;
        let mut fetched: Vec<Fetched> = Vec::new();
        let mut turn = Turn { core: self, class: class_of(&batch), number: None };
        loop {
            // Anew each time: a future may change hands where it waits.
            let offers = poll_fn(|task| Poll::Ready(wait::is_polling(task.waker()))).await;
            match self.attempt(&batch, &mut ready, &fetched, &turn, (moment, asked_at, offers))? {
                Attempt::Appended(sequence) => {
                    drop(turn);
                    self.wait_own(sequence).await?;
                    return Ok(Outcome::Applied);
                }
                Attempt::Failed(key, sequence) => {
                    self.wait_durable(sequence).await?;
                    return Ok(Outcome::Conflict(key));
                }
                Attempt::Fetch(tag, key) => {
                    fetched.retain(|held| held.key != key);
                    fetched.push(self.fetch(tag, &key)?);
                }
                Attempt::NoRoom(bytes) => turn.wait(bytes).await?,
            }
        }
    }

    fn make_ready<'a>(&self, batch: &'a Batch) -> Result<Vec<Ready<'a>>> {
        let steps = batch.steps().iter();
        let ready = steps.map(|step| {
            let put = match &step.write {
                Write::Put(new) => Some(Row::new(step.key, new, Version(0), batch.op())?),
                Write::Keep | Write::Delete => None,
            };
            Ok(Ready { step, tag: self.index.tag(&step.key), put })
        });
        ready.collect()
    }

    /// Appends a batch that holds. If it `offers` to write what is gathered, its caller looks after
    /// that once the present poll is over; else the log thread is rung for.
    fn attempt(
        self: &Arc<Self>,
        batch: &Batch,
        ready: &mut [Ready<'_>],
        fetched: &[Fetched],
        turn: &Turn<'_>,
        (moment, asked_at, offers): (Moment, Instant, bool),
    ) -> Result<Attempt> {
        let mut writer = self.writer.lock();
        writer.check_open()?;
        let stored = match self.judge(&writer, ready, fetched) {
            Verdict::Fails(key, sequence) => return Ok(Attempt::Failed(key, sequence)),
            Verdict::Fetch(tag, key) => return Ok(Attempt::Fetch(tag, key)),
            Verdict::Holds(stored) => stored,
        };
        let bytes = frame_bytes_at_most(ready);
        let room_bytes = writer.room_bytes_for(turn.class);
        if !writer.line.may_take(turn.class, turn.number, bytes as u64, room_bytes)
            || !self.make_room(&mut writer, bytes)
        {
            return Ok(Attempt::NoRoom(bytes as u64));
        }
        let rows = rows_to_write(batch, ready, stored)?;
        let applied = batch.applied().cloned();
        let sequence = self.append(&mut writer, rows, moment, (asked_at, applied))?;
        if sabotage::is(Flaw::NobodyRings) {
            return Ok(Attempt::Appended(sequence));
        }
        if offers && logger::may_be_led(&writer) {
            drop(writer);
            let refused = wait::offer(Arc::clone(self) as Arc<dyn Lead>);
            refused.into_iter().for_each(Lead::leave);
        } else {
            self.hand_over(writer);
        }
        Ok(Attempt::Appended(sequence))
    }

    /// Compares the expectations with what is pending, or else durable.
    fn judge(&self, writer: &Writer, ready: &[Ready<'_>], fetched: &[Fetched]) -> Verdict {
        let mut all = Vec::with_capacity(ready.len());
        for Ready { step, tag, .. } in ready {
            let (stored, sequence) = match writer
                .pending(*tag, &step.key)
                .filter(|_| !sabotage::is(Flaw::PendingUnseen))
            {
                Some(pending) => {
                    let (row, slot) = (Some(pending.row.clone()), Some(pending.slot));
                    (Stored { row, slot }, pending.sequence)
                }
                None => match self.durable_row(*tag, &step.key, fetched) {
                    Some(stored) => (stored, 0),
                    None => return Verdict::Fetch(*tag, step.key),
                },
            };
            let there = stored.row.as_ref().filter(|row| !row.is_tombstone());
            let holds = match step.expect {
                Expect::Absent => there.is_none(),
                Expect::Is(version) => there.is_some_and(|row| row.version() == version),
            };
            if !holds && !sabotage::is(Flaw::ConditionDropped) {
                return Verdict::Fails(step.key, sequence);
            }
            all.push(stored);
        }
        Verdict::Holds(all)
    }

    /// What is durable under `key`, tombstones included; `None` if it must be fetched first.
    fn durable_row(&self, tag: u64, key: &Key, fetched: &[Fetched]) -> Option<Stored> {
        let seen = self.index.read(tag, |shard| {
            let live = |slot: &Slot| !self.slots.is_dead(*slot);
            if let Some((row, slot)) = shard.kept(tag, key).filter(|(_, slot)| live(slot)) {
                return Some(Stored { row: Some(row), slot: Some(slot) });
            }
            if !shard.places(tag).any(|place| live(&place.slot())) {
                return Some(Stored { row: None, slot: None });
            }
            let same = |held: &&Fetched| held.key == *key && held.changes == shard.changes();
            let held = fetched.iter().find(same)?;
            let slot = held.slot.filter(live);
            Some(Stored { row: held.row.clone().filter(|_| slot.is_some()), slot })
        });
        seen.flatten()
    }

    fn append(
        &self,
        writer: &mut Writer,
        mut rows: Vec<ToWrite>,
        moment: Moment,
        (asked_at, applied): (Instant, Option<OnApplied>),
    ) -> Result<u64> {
        let mut slots = Vec::with_capacity(rows.len());
        for ToWrite { row, prior, .. } in &rows {
            self.time.note_lifetime(Window::of(row.expires_at(), moment.now).lifetime());
            // By settled time, as it will be cut: a leap that is taken back leaves nothing behind.
            let own = Window::of(row.expires_at(), moment.mark.settled);
            // Never under a window swept earlier than that of the version before: that one may be
            // in the table, and must not outlive what was said of it since (P2).
            let before = prior.slot.and_then(|slot| self.slots.window(slot));
            let window = before.filter(|window| window.turn() > own.turn()).unwrap_or(own);
            let slot = writer.windows.slot(window)?;
            if row.key().kind == Kind::REMEMBERED {
                writer.windows.remember(slot, window, moment.lead());
            }
            slots.push(slot);
        }
        let version = Version(writer.next_sequence);
        for write in &mut rows {
            write.row.note_before(write.prior.row.as_ref());
            write.row.set_version(version);
        }
        let number = writer.segment.number;
        let mut offsets = Vec::with_capacity(rows.len());
        let written = rows.iter().map(|write| &write.row);
        let sequence = writer.append(moment.mark, false, written, |offset| offsets.push(offset));
        for ((write, slot), offset) in rows.into_iter().zip(slots).zip(offsets) {
            let ToWrite { tag, row, prior } = write;
            let place = Place::in_log(slot, number, offset);
            writer.windows.pin(slot);
            prior.slot.iter().for_each(|slot| writer.windows.pin(*slot));
            writer.note_pending(Pending { tag, sequence, row: row.clone(), slot });
            writer.group.items.push(Item {
                tag,
                row,
                place,
                prior: prior.row,
                prior_slot: prior.slot,
            });
        }
        let end = writer.group.items.len();
        writer.group.batches.push(Gathered { end, asked_at, applied });
        Ok(sequence)
    }

    /// Makes room for a frame of `bytes`, in another segment if need be; false without one.
    pub(crate) fn make_room(&self, writer: &mut Writer, bytes: usize) -> bool {
        let Some(begun) = writer.make_room(bytes) else { return false };
        if !begun.is_empty() {
            for segment in begun {
                self.segments.push(segment);
            }
            self.supply.ring();
        }
        true
    }
}

/// How much of the log a batch may use.
fn class_of(batch: &Batch) -> Class {
    match (batch.issues(), batch.revokes_owner()) {
        (true, _) => Class::Issue,
        (false, false) => Class::Revoke,
        (false, true) => Class::Owner,
    }
}

/// How long the frame of these steps can become.
fn frame_bytes_at_most(ready: &[Ready<'_>]) -> usize {
    let record = |ready: &Ready<'_>| match (&ready.put, &ready.step.write) {
        (Some(row), _) => padded(row.as_record().len()),
        (None, Write::Keep) => 0,
        (None, _) => TOMBSTONE_BYTES_MAX,
    };
    FRAME_HEADER_BYTES + ready.iter().map(record).sum::<usize>()
}

/// The rows of a batch that holds, without their version.
fn rows_to_write(
    batch: &Batch,
    ready: &mut [Ready<'_>],
    stored: Vec<Stored>,
) -> Result<Vec<ToWrite>> {
    for (ready, stored) in ready.iter().zip(&stored) {
        let there = stored.row.as_ref().filter(|row| !row.is_tombstone());
        if let (Some(new), Some(there)) = (&ready.put, there) {
            there.check_terms(new.terms())?;
        }
    }
    let mut rows = Vec::with_capacity(ready.len());
    for (ready, prior) in ready.iter_mut().zip(stored) {
        let row = match (&ready.step.write, &prior.row) {
            (Write::Put(_), _) => ready.put.take(),
            (Write::Delete, Some(there)) => {
                let (expires_at, terms) = (there.expires_at(), there.terms());
                Some(Row::tombstone(ready.step.key, expires_at, terms, batch.op())?)
            }
            (Write::Keep, _) | (Write::Delete, None) => None,
        };
        if let Some(row) = row {
            rows.push(ToWrite { tag: ready.tag, row, prior });
        }
    }
    Ok(rows)
}

//! When personal access tokens were last used, in memory: a bounded number of them, and which are
//! to be written.
//!
//! 1. An introspection notes a use in the shard of the token's id. It is due to be written at once,
//!    unless the token was written within the resolution: then it waits for the next use, for
//!    [`Uses::all_due`], or for a lack of room.
//! 2. A shard queues what is due, first come, first served, each under a ticket: a number that only
//!    grows. Whoever writes takes some from the front, and puts them back there unless they were
//!    written. One that is on its way stays due, so it is nowhere twice.
//! 3. Who writes everything takes tickets only that were given before it began: what is used
//!    meanwhile is left for another time, so each token is written once.
//! 4. Where there is no room, a new use takes the place of one of its shard that is written, since
//!    that one says nothing that its row does not. It looks at a few, in the order of a clock's
//!    hand; those of rule 1 that wait are made due, so that they make room once they are written.
//!
//! # Locks
//!
//! Each shard has a lock, and no two are held at a time. What is done under it takes a constant
//! number of steps, but for rule 3, which goes through one shard at a time (about a thousand uses),
//! and the growth of a shard's tables, which is as much. An introspection waits for no more than
//! that: some tens of microseconds. Ids are keyed digests, so nobody can choose a shard.
//!
//! # What is left out
//!
//! Beyond [`USES_KEPT_MAX`] tokens that all wait to be written a use is not noted.

use grantkeep::{DRIFT_MAX, Digest, Timestamp};
use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Tokens whose last use is kept in memory at most, in under 32 MiB; of more it is not noted.
pub const USES_KEPT_MAX: usize = 65_536;

/// One for each bit of [`Uses::waiting`].
const SHARDS: usize = 64;

/// Uses that are looked at to make room for one.
const LOOKS_MAX: usize = 8;

/// The uses since the start, and which of them are to be written.
#[derive(Debug)]
pub(crate) struct Uses {
    shards: Vec<Mutex<Shard>>,
    /// How many uses all shards keep. Raised before one is put in, so it is never too low.
    kept: AtomicUsize,
    /// A bit for each shard that may have something due. Changed under the lock of that shard, so
    /// that a bit is set while its queue is not empty.
    waiting: AtomicU64,
    /// The next ticket. Taken under the lock of a shard, so that tickets grow within each queue.
    tickets: AtomicU64,
    /// Where taking goes on, so that no shard waits behind the others.
    hand: AtomicUsize,
    kept_max: usize,
}

#[derive(Debug, Default)]
struct Shard {
    uses: HashMap<Digest, Use>,
    /// Each id of `uses` once, in the order in which they are looked at for room.
    ring: VecDeque<Digest>,
    /// Those that are due and that nobody has taken, in the order of their tickets.
    due: VecDeque<(u64, Digest)>,
}

#[derive(Debug, Clone, Copy)]
struct Use {
    /// By the wall clock.
    at: Timestamp,
    /// The time that was written last, by this process.
    written: Option<Timestamp>,
    /// True while it stands among those to be written, or is being written.
    due: bool,
}

impl Use {
    /// True if its row says what it does.
    fn is_written(&self) -> bool {
        !self.due && self.written == Some(self.at)
    }
}

/// A use that is on its way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taken {
    pub(crate) id: Digest,
    pub(crate) at: Timestamp,
    ticket: u64,
}

/// The later of two times of a last use, as far as the wall clock has come that far: a time that is
/// ahead of `wall` by more than drift is of a clock that was set back since. It gives way to one
/// that is not, and stands where there is no other.
pub(crate) fn later(one: Timestamp, other: Timestamp, wall: Timestamp) -> Timestamp {
    let has_come = |at: &Timestamp| at.since(wall) <= DRIFT_MAX;
    match (has_come(&one), has_come(&other)) {
        (true, false) => one,
        (false, true) => other,
        (true, true) | (false, false) => one.max(other),
    }
}

impl Default for Uses {
    fn default() -> Self {
        Self::at_most(USES_KEPT_MAX)
    }
}

impl Uses {
    fn at_most(kept_max: usize) -> Self {
        Self {
            shards: std::iter::repeat_with(Mutex::default).take(SHARDS).collect(),
            kept: AtomicUsize::new(0),
            waiting: AtomicU64::new(0),
            tickets: AtomicU64::new(0),
            hand: AtomicUsize::new(0),
            kept_max,
        }
    }

    /// Notes a use at this time of the wall clock; it is due to be written if that was not done for
    /// `resolution`.
    pub(crate) fn note(&self, id: Digest, now: Timestamp, resolution: Duration) {
        let number = shard_of(&id);
        let Some(mut shard) = self.lock(number) else { return };
        if !shard.uses.contains_key(&id) && !self.has_room(number, &mut shard) {
            return;
        }
        let Shard { uses, ring, due } = &mut *shard;
        let each = match uses.entry(id) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                ring.push_back(id);
                entry.insert(Use { at: now, written: None, due: false })
            }
        };
        // Two calls may have looked at the clock in another order than that in which they come
        // here.
        each.at = later(each.at, now, now);
        // In either direction: the clock may have been set back since.
        let since = |written: Timestamp| each.at.since(written).max(written.since(each.at));
        if !each.due && each.written.is_none_or(|written| since(written) >= resolution) {
            each.due = true;
            self.queue(number, due, id);
        }
    }

    /// Makes every use due that is not written. Answers the ticket that none of them has come to.
    pub(crate) fn all_due(&self) -> u64 {
        for number in 0..SHARDS {
            let Some(mut shard) = self.lock(number) else { continue };
            let Shard { uses, due, .. } = &mut *shard;
            for (id, each) in uses.iter_mut().filter(|(_, each)| !each.due && !each.is_written()) {
                each.due = true;
                self.queue(number, due, *id);
            }
        }
        self.tickets.load(Ordering::Relaxed)
    }

    /// The last use that is known here.
    pub(crate) fn at(&self, id: &Digest) -> Option<Timestamp> {
        self.lock(shard_of(id))?.uses.get(id).map(|each| each.at)
    }

    /// Takes up to `count` that are to be written, of tickets before `until`; they go back unless
    /// they are.
    pub(crate) fn take(&self, count: usize, until: u64) -> Along<'_> {
        let mut along = Along { uses: self, taken: Vec::new(), written: false };
        let waiting = self.waiting.load(Ordering::Acquire);
        if waiting == 0 {
            return along;
        }
        let first = self.hand.load(Ordering::Relaxed);
        for number in (first..first + SHARDS).map(|number| number % SHARDS) {
            if along.taken.len() >= count {
                break;
            }
            if waiting & bit(number) == 0 {
                continue;
            }
            self.hand.store(number, Ordering::Relaxed);
            let Some(mut shard) = self.lock(number) else { continue };
            let Shard { uses, due, .. } = &mut *shard;
            while along.taken.len() < count
                && due.front().is_some_and(|(ticket, _)| *ticket < until)
                && let Some((ticket, id)) = due.pop_front()
            {
                debug_assert!(uses.get(&id).is_some_and(|each| each.due), "due and forgotten");
                if let Some(each) = uses.get(&id) {
                    along.taken.push(Taken { id, at: each.at, ticket });
                }
            }
            if due.is_empty() {
                self.waiting.fetch_and(!bit(number), Ordering::AcqRel);
            }
        }
        along
    }

    /// Says what became of those taken.
    fn settle(&self, taken: &[Taken], written: bool) {
        // The last first, so that those that go back to the front are in order again.
        for Taken { id, at, ticket } in taken.iter().rev() {
            let number = shard_of(id);
            let Some(mut shard) = self.lock(number) else { continue };
            let Shard { uses, due, .. } = &mut *shard;
            let Some(each) = uses.get_mut(id) else { continue };
            if written {
                each.written = Some(*at);
                each.due = false;
            } else {
                due.push_front((*ticket, *id));
                self.waiting.fetch_or(bit(number), Ordering::AcqRel);
            }
        }
    }

    fn queue(&self, number: usize, due: &mut VecDeque<(u64, Digest)>, id: Digest) {
        due.push_back((self.tickets.fetch_add(1, Ordering::Relaxed), id));
        self.waiting.fetch_or(bit(number), Ordering::AcqRel);
    }

    /// Makes room for one more use, if there is any.
    fn has_room(&self, number: usize, shard: &mut Shard) -> bool {
        let more = |kept: usize| (kept < self.kept_max).then_some(kept + 1);
        if self.kept.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok() {
            return true;
        }
        let Shard { uses, ring, due } = shard;
        for _ in 0..LOOKS_MAX {
            let Some(id) = ring.pop_front() else { return false };
            let Entry::Occupied(mut entry) = uses.entry(id) else {
                debug_assert!(false, "in the ring and forgotten");
                continue;
            };
            if entry.get().is_written() {
                entry.remove();
                return true;
            }
            ring.push_back(id);
            let each = entry.get_mut();
            if !each.due {
                each.due = true;
                self.queue(number, due, id);
            }
        }
        false
    }

    fn lock(&self, number: usize) -> Option<MutexGuard<'_, Shard>> {
        // A panic between two statements leaves a time too old at worst.
        Some(self.shards.get(number)?.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn shard_of(id: &Digest) -> usize {
    let [first, ..] = id.as_bytes();
    usize::from(*first) % SHARDS
}

fn bit(number: usize) -> u64 {
    1 << number
}

/// Uses on their way with a change; put back among those to be written unless it is applied.
#[derive(Debug)]
pub(crate) struct Along<'a> {
    uses: &'a Uses,
    taken: Vec<Taken>,
    written: bool,
}

impl Along<'_> {
    /// The uses, each with the id of its token.
    pub(crate) fn taken(&self) -> &[Taken] {
        &self.taken
    }

    pub(crate) fn written(mut self) {
        self.written = true;
    }
}

impl Drop for Along<'_> {
    /// Also when the future that carries them is dropped.
    fn drop(&mut self) {
        self.uses.settle(&self.taken, self.written);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn id(number: u64) -> Digest {
        Digest::of_name("token", &number.to_le_bytes())
    }

    fn at(second: u64) -> Timestamp {
        Timestamp::from_millis(second * 1_000)
    }

    fn all(uses: &Uses) -> usize {
        uses.shards.iter().map(|shard| shard.lock().unwrap().uses.len()).sum()
    }

    // Goal: what is used while everything is written does not keep it writing: each token is
    // written once. Method: 1,000 tokens that are used again before each batch, after the
    // resolution.
    #[test]
    fn each_use_is_taken_once() {
        let uses = Uses::default();
        for number in 0..1_000 {
            uses.note(id(number), at(1_000), MINUTE);
        }
        let until = uses.all_due();
        let mut taken = 0;
        for turn in 1.. {
            let along = uses.take(32, until);
            if along.taken().is_empty() {
                break;
            }
            taken += along.taken().len();
            along.written();
            for number in 0..1_000 {
                uses.note(id(number), at(1_000 + turn * 100), MINUTE);
            }
        }
        assert_eq!(taken, 1_000);
        assert_eq!(uses.take(usize::MAX, u64::MAX).taken().len(), 1_000, "for another time");
    }

    // Goal: what was not written goes back to where it stood. Method: take and drop, then take all.
    #[test]
    fn uses_go_back_in_order() {
        let uses = Uses::default();
        for number in 0..500 {
            uses.note(id(number), at(number), MINUTE);
        }
        let until = uses.all_due();
        for count in [1, 7, 500] {
            drop(uses.take(count, until));
        }
        let along = uses.take(1_000, until);
        assert_eq!(along.taken().len(), 500);
        for one in 0..SHARDS {
            let of_shard = along.taken().iter().filter(|each| shard_of(&each.id) == one);
            assert!(of_shard.map(|each| each.ticket).is_sorted());
        }
        assert!(uses.take(1, u64::MAX).taken().is_empty(), "nobody else gets them");
    }

    // Goal: memory is bounded, and a written use makes room for one that is not noted yet, while
    // one that is not written is never forgotten. Method: more tokens than are kept, none written,
    // then all, then half of them used once more within the resolution.
    #[test]
    fn written_uses_make_room() {
        let uses = Uses::at_most(1_000);
        let note = |numbers: std::ops::Range<u64>, second| {
            for number in numbers {
                uses.note(id(number), at(second), MINUTE);
            }
        };
        note(0..2_000, 1_000);
        assert_eq!(all(&uses), 1_000);
        assert!((0..1_000).all(|number| uses.at(&id(number)).is_some()), "the first are kept");
        uses.take(usize::MAX, u64::MAX).written();
        note(0..500, 1_030);
        for _ in 0..100 {
            note(2_000..2_500, 1_031);
        }
        assert_eq!(all(&uses), 1_000);
        assert!((0..500).all(|number| uses.at(&id(number)) == Some(at(1_030))), "not written yet");
        let come = (2_000..2_500).filter(|number| uses.at(&id(*number)).is_some()).count();
        assert!(come > 300, "as far as their shards have written ones: {come}");
        for shard in &uses.shards {
            let shard = shard.lock().unwrap();
            assert_eq!(shard.ring.len(), shard.uses.len());
        }
    }

    // Goal: P10, so many uses take no more memory than the documents say. Method: as many as are
    // kept, all due, and what the tables that hold them have room for.
    #[test]
    fn uses_take_under_32_mib() {
        let uses = Uses::default();
        for number in 0..USES_KEPT_MAX as u64 + 10_000 {
            uses.note(id(number), at(1_000), MINUTE);
        }
        assert_eq!(all(&uses), USES_KEPT_MAX);
        let mut bytes = 0;
        for shard in &uses.shards {
            let shard = shard.lock().unwrap();
            // What is done under one lock goes through no more than this.
            assert!(shard.uses.len() < 2 * USES_KEPT_MAX / SHARDS);
            // A table fills seven eighths of its places, each with a byte beside it.
            bytes += shard.uses.capacity() * 8 / 7 * (size_of::<(Digest, Use)>() + 1);
            bytes += shard.ring.capacity() * size_of::<Digest>();
            bytes += shard.due.capacity() * size_of::<(u64, Digest)>();
        }
        assert!(bytes < 32 << 20, "{bytes}");
    }

    // Goal: a last use does not go back, unless the clock was set back behind it. Method: pairs of
    // times around the wall clock, in both orders.
    #[test]
    fn the_later_use_counts_unless_the_clock_was_set_back() {
        let wall = at(1_000);
        for (one, other, counts) in [
            (at(900), at(999), at(999)),
            (at(999), at(1_002), at(1_002)),
            (at(999), at(1_003), at(999)),
            (at(2_000), at(3_000), at(3_000)),
        ] {
            assert_eq!(later(one, other, wall), counts);
            assert_eq!(later(other, one, wall), counts);
        }
        let uses = Uses::default();
        for (now, told) in [(1_000, 1_000), (999, 1_000), (1_010, 1_010), (900, 900)] {
            uses.note(id(1), at(now), MINUTE);
            assert_eq!(uses.at(&id(1)), Some(at(told)));
        }
    }
}

//! The table of a shard of the index: a hash table of eight-byte entries in cache lines.
//!
//! A line has room for seven entries, and a byte of each entry's hash, so that a look compares
//! bytes and touches one line of memory mostly (after FASTER's hash bucket; Chandramouli et al.,
//! SIGMOD 2018). The hash of an entry says which line is its home, as a fraction of however many
//! lines there are: a table grows by a quarter, and is not half empty then. Where the home is full,
//! the entry goes to the next line with room, and the home counts it as displaced: a look goes on
//! behind the home until it has met as many.
//!
//! # Invariants
//!
//! - A line's `displaced` is the number of entries whose home it is and that lie elsewhere; a count
//!   at its most says nothing, and a look goes round the whole table.
//! - A payload is never zero: a word of zero is room.

/// Bits of a hash that tell the entries of a table apart.
pub(crate) const REST_BITS: u32 = 24;
/// Bits of a payload; the rest of an entry's word are bits of its hash.
pub(crate) const PAYLOAD_BITS: u32 = 48;

/// Bits of a hash that stand in the line's head.
const LOW_BITS: u32 = REST_BITS - (64 - PAYLOAD_BITS);
const _: () = assert!(LOW_BITS == 8, "one byte for each entry");

const ENTRIES: usize = 7;
/// A count of displaced entries that is not exact any more.
const MANY: u8 = u8::MAX;

#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct Line {
    /// A byte of each entry's hash, and in the last byte how many entries were displaced.
    head: [u8; ENTRIES + 1],
    words: [u64; ENTRIES],
}

const _: () = assert!(size_of::<Line>() == 64);

impl Line {
    const EMPTY: Self = Self { head: [0; ENTRIES + 1], words: [0; ENTRIES] };

    fn displaced(&self) -> u8 {
        let [.., displaced] = self.head;
        displaced
    }

    fn displaced_mut(&mut self) -> &mut u8 {
        let [.., displaced] = &mut self.head;
        displaced
    }

    /// The slots whose byte may be this one, as the top bits of the bytes of a word: all that are,
    /// and a few that are not.
    fn candidates(&self, low: u8) -> u64 {
        const ONES: u64 = 0x0001_0101_0101_0101;
        // The bytes that differ are not zero (Mycroft's test for a zero byte).
        let differ = u64::from_le_bytes(self.head) ^ (u64::from(low) * ONES);
        differ.wrapping_sub(ONES) & !differ & (ONES << 7)
    }

    /// The hash and the payload of an entry; `None` where there is room.
    fn entry(&self, slot: usize) -> Option<(u32, u64)> {
        let word = self.words.get(slot).copied().filter(|word| *word != 0)?;
        let high = u32::try_from(word >> PAYLOAD_BITS).unwrap_or(0);
        let low = self.head.get(slot).copied().unwrap_or(0);
        Some((high << LOW_BITS | u32::from(low), word & ((1 << PAYLOAD_BITS) - 1)))
    }

    fn set(&mut self, slot: usize, rest: u32, payload: u64) {
        debug_assert!(payload != 0 && payload >> PAYLOAD_BITS == 0, "a payload of {payload:#x}");
        if let (Some(low), Some(word)) = (self.head.get_mut(slot), self.words.get_mut(slot)) {
            *low = low_byte(rest);
            *word = u64::from(rest >> LOW_BITS) << PAYLOAD_BITS | payload;
        }
    }

    fn room(&self) -> Option<usize> {
        self.words.iter().position(|word| *word == 0)
    }
}

/// Where an entry is: good until another one is put in or taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct At {
    line: usize,
    slot: usize,
}

/// A table of entries.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    lines: Box<[Line]>,
    len: u32,
}

impl Lines {
    pub(crate) fn len(&self) -> usize {
        self.len as usize
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        size_of_val(&*self.lines)
    }

    /// The entries of a hash, each with its payload.
    pub(crate) fn matches(&self, rest: u32) -> Matches<'_> {
        let home = home(rest, self.lines.len());
        let (slots, displaced) = match self.lines.get(home) {
            Some(line) if line.displaced() == MANY => (line.candidates(low_byte(rest)), usize::MAX),
            Some(line) => (line.candidates(low_byte(rest)), usize::from(line.displaced())),
            None => (0, 0),
        };
        Matches { lines: &self.lines, rest, home, line: home, slots, displaced }
    }

    /// All entries: their hashes and payloads.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (u32, u64)> + '_ {
        self.lines.iter().flat_map(|line| (0..ENTRIES).filter_map(|slot| line.entry(slot)))
    }

    /// Puts an entry in; the hash may have others.
    pub(crate) fn insert(&mut self, rest: u32, payload: u64) {
        let most = self.lines.len() * ENTRIES * 7 / 8;
        if self.len() + 1 > most {
            self.resize((self.lines.len() * 5 / 4).max(self.lines.len() + 1));
        }
        self.put(rest, payload);
    }

    /// Gives an entry another payload.
    pub(crate) fn set(&mut self, at: At, payload: u64) {
        if let Some(line) = self.lines.get_mut(at.line)
            && let Some((rest, _)) = line.entry(at.slot)
        {
            line.set(at.slot, rest, payload);
        }
    }

    /// Takes an entry out.
    pub(crate) fn remove(&mut self, at: At) {
        self.take_out(at);
        self.shrink();
    }

    /// Keeps the entries of whose payloads `keep` says so.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(u64) -> bool) {
        for line in 0..self.lines.len() {
            for slot in 0..ENTRIES {
                let entry = self.lines.get(line).and_then(|line| line.entry(slot));
                if entry.is_some_and(|(_, payload)| !keep(payload)) {
                    self.take_out(At { line, slot });
                }
            }
        }
        self.shrink();
    }

    fn take_out(&mut self, at: At) {
        let lines = self.lines.len();
        let Some(line) = self.lines.get_mut(at.line) else { return };
        let Some((rest, _)) = line.entry(at.slot) else { return };
        if let Some(word) = line.words.get_mut(at.slot) {
            *word = 0;
        }
        self.len -= 1;
        let home = home(rest, lines);
        if home != at.line
            && let Some(line) = self.lines.get_mut(home)
            && line.displaced() != MANY
        {
            *line.displaced_mut() -= 1;
        }
    }

    /// Gives memory back once half of it is room.
    fn shrink(&mut self) {
        let few = self.len() * 2 < self.lines.len() * ENTRIES;
        if few && lines_for(self.len()) < self.lines.len() {
            self.resize(lines_for(self.len()));
        }
    }

    fn resize(&mut self, lines: usize) {
        let before = std::mem::replace(&mut self.lines, vec![Line::EMPTY; lines].into());
        self.len = 0;
        for line in before {
            for (rest, payload) in (0..ENTRIES).filter_map(|slot| line.entry(slot)) {
                self.put(rest, payload);
            }
        }
    }

    /// Puts an entry into its home, or into the next line that has room: there is one.
    fn put(&mut self, rest: u32, payload: u64) {
        let home = home(rest, self.lines.len());
        let (behind, from) = self.lines.split_at_mut(home);
        let mut lines = from.iter_mut().chain(behind);
        let Some(first) = lines.next() else { return };
        let placed = if let Some(slot) = first.room() {
            first.set(slot, rest, payload);
            true
        } else {
            *first.displaced_mut() = first.displaced().saturating_add(1);
            let next = lines.find_map(|line| line.room().map(|slot| (line, slot)));
            next.map(|(line, slot)| line.set(slot, rest, payload)).is_some()
        };
        debug_assert!(placed, "a table is never full");
        self.len += 1;
    }
}

/// The entries of one hash: see [`Lines::matches`].
#[derive(Debug)]
pub(crate) struct Matches<'g> {
    lines: &'g [Line],
    rest: u32,
    home: usize,
    /// The line that is looked at.
    line: usize,
    /// Its slots that are still to be looked at, as top bits of the bytes of a word.
    slots: u64,
    /// Displaced entries of the home that are still to be met.
    displaced: usize,
}

impl Matches<'_> {
    /// The next entry of the hash on the present line.
    fn next_here(&mut self) -> Option<(At, u64)> {
        let line = self.lines.get(self.line)?;
        while self.slots != 0 {
            let slot = self.slots.trailing_zeros() as usize / 8;
            self.slots &= self.slots - 1;
            if let Some((rest, payload)) = line.entry(slot)
                && rest == self.rest
            {
                return Some((At { line: self.line, slot }, payload));
            }
        }
        None
    }

    /// Goes on to the next line that may have an entry of the hash; false if there is none.
    fn go_on(&mut self) -> bool {
        let next = if self.line + 1 == self.lines.len() { 0 } else { self.line + 1 };
        let Some(line) = self.lines.get(next).filter(|_| next != self.home) else { return false };
        let entries = (0..ENTRIES).filter_map(|slot| line.entry(slot));
        let met = entries.filter(|(rest, _)| home(*rest, self.lines.len()) == self.home).count();
        self.slots = if met == 0 { 0 } else { line.candidates(low_byte(self.rest)) };
        self.displaced -= met;
        self.line = next;
        true
    }
}

impl Iterator for Matches<'_> {
    type Item = (At, u64);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let found = self.next_here();
            if found.is_some() || self.displaced == 0 || !self.go_on() {
                return found;
            }
        }
    }
}

/// The home of a hash among so many lines.
fn home(rest: u32, lines: usize) -> usize {
    // Less than `lines`, since the hash is less than one as a fraction.
    usize::try_from((u64::from(rest) * lines as u64) >> REST_BITS).unwrap_or(0)
}

/// The byte of a hash that stands in the line's head.
fn low_byte(rest: u32) -> u8 {
    let [low, ..] = rest.to_le_bytes();
    low
}

/// As many lines as hold so many entries with room to grow.
fn lines_for(entries: usize) -> usize {
    (entries * 4).div_ceil(ENTRIES * 3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use xxhash_rust::xxh3::xxh3_64_with_seed;

    fn random(number: u64) -> u64 {
        xxh3_64_with_seed(&number.to_le_bytes(), 11)
    }

    fn payloads(table: &Lines, rest: u32) -> Vec<u64> {
        let mut found: Vec<u64> = table.matches(rest).map(|(_, payload)| payload).collect();
        found.sort_unstable();
        found
    }

    // Goal: P7, an entry that was put in is found until it is taken out, and no other is, however
    // the table grows and shrinks and whichever hashes meet. Method: 60,000 random steps over
    // 3,000 entries, with hashes spread over all bits and over a few values, held against a map.
    #[test]
    fn a_table_finds_what_was_put_in_and_not_taken_out() {
        for hashes in [1 << REST_BITS, 300, 3] {
            let mut table = Lines::default();
            let mut model: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
            let mut most = 0;
            for step in 0..60_000 {
                let entry = random(step) % 3_000;
                let rest = u32::try_from(random(entry + 1_000_000) % hashes).unwrap();
                let payload = entry + 1;
                let held = model.entry(rest).or_default();
                // More is put in at first, more is taken out later on.
                let grows = random(step + 2_000_000) % 60_000 > step;
                if let Some(at) = held.iter().position(|held| *held == payload) {
                    if grows {
                        continue;
                    }
                    held.remove(at);
                    let found = table.matches(rest).find(|(_, found)| *found == payload);
                    table.remove(found.unwrap().0);
                } else if grows {
                    held.push(payload);
                    table.insert(rest, payload);
                }
                held.sort_unstable();
                assert_eq!(payloads(&table, rest), *held, "step {step}");
                most = most.max(table.memory_bytes());
            }
            let len: usize = model.values().map(Vec::len).sum();
            assert_eq!((table.len(), table.entries().count()), (len, len));
            for (rest, held) in &model {
                assert_eq!(payloads(&table, *rest), *held);
            }
            table.retain(|payload| payload % 2 == 0);
            for (rest, held) in &model {
                let even: Vec<u64> = held.iter().copied().filter(|held| held % 2 == 0).collect();
                assert_eq!(payloads(&table, *rest), even);
            }
            assert!(table.memory_bytes() * 4 < most, "{} of {most}", table.memory_bytes());
        }
    }

    // Goal: P10, a table has at most 14 bytes for each entry once it has some lines, and at most a
    // line more than twice what it needs after it was larger. Method: put in 20,000, take out.
    #[test]
    fn a_table_is_no_larger_than_its_entries_need() {
        let mut table = Lines::default();
        for number in 0..20_000_u64 {
            table.insert(u32::try_from(random(number) >> (64 - REST_BITS)).unwrap(), number + 1);
            if number > 500 {
                let each = table.memory_bytes() as f64 / (number + 1) as f64;
                assert!(each <= 14.0, "{each} bytes for each of {number}");
            }
        }
        for number in 0..20_000_u64 {
            let rest = u32::try_from(random(number) >> (64 - REST_BITS)).unwrap();
            let found = table.matches(rest).find(|(_, payload)| *payload == number + 1).unwrap();
            table.remove(found.0);
            assert!(table.memory_bytes() <= 64 + table.len() * 64 * 2 / ENTRIES);
        }
    }
}

//! The windows that hold rows: their slots, how many rows each has, and which are dead.

use super::place::{SLOTS, Slot};
use super::window::Window;
use crate::backend::{Kind, KindRows};
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::sync::{Arc, AtomicBool, AtomicU64, Ordering};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The windows of all slots, readable without a lock.
#[derive(Debug)]
pub(crate) struct Slots(Box<[SlotState]>);

#[derive(Debug, Default)]
struct SlotState {
    window: AtomicU64,
    dead: AtomicBool,
}

impl Slots {
    pub(crate) fn new() -> Self {
        Self((0..SLOTS).map(|_| SlotState::default()).collect())
    }

    /// True if the slot's window was swept: rows of it are not there any more.
    pub(crate) fn is_dead(&self, slot: Slot) -> bool {
        self.state(slot).is_none_or(|state| state.dead.load(Ordering::Acquire))
    }

    /// The window that has the slot at present.
    pub(crate) fn window(&self, slot: Slot) -> Option<Window> {
        Window::unpack(self.state(slot)?.window.load(Ordering::Acquire))
    }

    fn set(&self, slot: Slot, window: Option<Window>, dead: bool) {
        if let Some(state) = self.state(slot) {
            state.window.store(window.map_or(0, Window::pack), Ordering::Release);
            state.dead.store(dead, Ordering::Release);
        }
    }

    fn state(&self, slot: Slot) -> Option<&SlotState> {
        self.0.get(usize::from(slot))
    }
}

/// The register of windows; guarded by the writer's lock.
#[derive(Debug)]
pub(crate) struct Windows {
    slots: BTreeMap<Window, Slot>,
    /// The same windows in the order in which they are swept.
    ends: BTreeSet<(Timestamp, Window)>,
    states: Vec<State>,
    free: Vec<Slot>,
    shown: Arc<Slots>,
    /// Remembered rows that stand for something which ends before this on the wall clock may have
    /// been swept.
    forgotten: Timestamp,
}

#[derive(Debug, Clone, Default)]
struct State {
    /// Rows that are written but not yet published: the slot must not be forgotten before.
    pins: u32,
    rows: BTreeMap<u8, u64>,
    dead: bool,
    /// True once it has ended, and no row by id is filed under it any more.
    cleared: bool,
    /// The paced time before which it is not swept, since it holds remembered rows.
    remembered_until: Timestamp,
}

impl Windows {
    pub(crate) fn new(shown: Arc<Slots>) -> Self {
        let free = (0..SLOTS).rev().filter_map(|slot| Slot::try_from(slot).ok()).collect();
        Self {
            slots: BTreeMap::new(),
            ends: BTreeSet::new(),
            states: vec![State::default(); SLOTS],
            free,
            shown,
            forgotten: Timestamp::default(),
        }
    }

    /// Notes that remembered rows up to this end may be gone.
    pub(crate) fn note_forgotten(&mut self, until: Timestamp) {
        self.forgotten = self.forgotten.max(until);
    }

    /// The end, on the wall clock, up to which remembered rows may be gone already.
    pub(crate) fn forgotten(&self) -> Timestamp {
        self.forgotten
    }

    /// The end up to which they may be once everything that has ended by `paced` is.
    pub(crate) fn forgettable(&self, paced: Timestamp) -> Timestamp {
        let ended = self.states.iter().map(|state| state.remembered_until);
        ended.filter(|until| *until <= paced).fold(self.forgotten, Timestamp::max)
    }

    /// The slot of a window, a fresh one if it has none.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] if all slots are taken, because sweeping is far behind.
    pub(crate) fn slot(&mut self, window: Window) -> Result<Slot> {
        if let Some(slot) = self.slots.get(&window) {
            return Ok(*slot);
        }
        let slot = self.free.pop().ok_or_else(|| {
            Error::new(
                ErrorKind::Unavailable,
                format!("more than {SLOTS} windows hold rows: sweep the store, then try again"),
            )
        })?;
        self.slots.insert(window, slot);
        self.ends.insert(window.turn());
        if let Some(state) = self.states.get_mut(usize::from(slot)) {
            *state = State::default();
        }
        self.shown.set(slot, Some(window), false);
        Ok(slot)
    }

    pub(crate) fn pin(&mut self, slot: Slot) {
        if let Some(state) = self.states.get_mut(usize::from(slot)) {
            state.pins += 1;
        }
    }

    pub(crate) fn unpin(&mut self, slot: Slot) {
        if let Some(state) = self.states.get_mut(usize::from(slot)) {
            state.pins = state.pins.saturating_sub(1);
        }
    }

    /// Counts one row more.
    pub(crate) fn add(&mut self, slot: Slot, kind: Kind) {
        if let Some(state) = self.states.get_mut(usize::from(slot)) {
            *state.rows.entry(kind.as_byte()).or_default() += 1;
        }
    }

    /// Counts one row less; rows of a dead window are counted off already.
    pub(crate) fn remove(&mut self, slot: Slot, kind: Kind) {
        if let Some(rows) = self
            .states
            .get_mut(usize::from(slot))
            .and_then(|state| state.rows.get_mut(&kind.as_byte()))
        {
            *rows = rows.saturating_sub(1);
        }
    }

    /// Notes that a remembered row is filed under a window while the lead is so large: what it
    /// stands for ends on the wall clock no later than the window, less that lead.
    pub(crate) fn remember(&mut self, slot: Slot, window: Window, lead: Duration) {
        if let Some(state) = self.states.get_mut(usize::from(slot)) {
            let until = window.end().saturating_sub(lead);
            state.remembered_until = state.remembered_until.max(until);
        }
    }

    /// The window that has ended, oldest end first, if any has by `settled`. One that holds
    /// remembered rows must have ended by `paced` as well, unless more than half of all slots hold
    /// windows: then the store could soon file nothing any more.
    pub(crate) fn ended(&self, settled: Timestamp, paced: Timestamp) -> Option<(Window, Slot)> {
        let crowded = self.slots.len() > SLOTS / 2;
        let mut ended = self.ends.iter().take_while(|(end, _)| *end <= settled);
        ended.find_map(|(_, window)| {
            let slot = *self.slots.get(window)?;
            let state = self.states.get(usize::from(slot))?;
            (crowded || state.remembered_until <= paced).then_some((*window, slot))
        })
    }

    /// The first window that has ended by `settled` and waits for paced time, and whose rows by id
    /// are not cleared yet. They are not remembered, and wait for nothing: if windows that end
    /// later were swept before, a version by id would outlive the one in the log that replaced it.
    pub(crate) fn held_back(&self, settled: Timestamp, paced: Timestamp) -> Option<Window> {
        let mut ended = self.ends.iter().take_while(|(end, _)| *end <= settled);
        let waits = |slot: &Slot| {
            let state = self.states.get(usize::from(*slot));
            state.is_some_and(|state| state.remembered_until > paced && !state.cleared)
        };
        ended.find(|(_, window)| self.slots.get(window).is_some_and(waits)).map(|ended| ended.1)
    }

    /// Notes that no row by id is filed any more under a window that has ended.
    pub(crate) fn note_cleared(&mut self, window: Window) {
        let slot = self.slots.get(&window).map(|slot| usize::from(*slot));
        if let Some(state) = slot.and_then(|slot| self.states.get_mut(slot)) {
            state.cleared = true;
        }
    }

    /// How long the oldest window that is to be swept has waited.
    pub(crate) fn lag(&self, settled: Timestamp, paced: Timestamp) -> Duration {
        let ended = self.ended(settled, paced);
        ended.map_or(Duration::ZERO, |(window, _)| settled.since(window.end()))
    }

    /// Declares a window dead: its rows are gone at once. Answers how many they were, or `None`
    /// while rows of it are being written.
    pub(crate) fn kill(&mut self, window: Window) -> Option<u64> {
        let slot = *self.slots.get(&window)?;
        let state = self.states.get_mut(usize::from(slot)).filter(|state| state.pins == 0)?;
        let rows = std::mem::take(&mut state.rows).into_values().sum();
        state.dead = true;
        self.forgotten = self.forgotten.max(state.remembered_until);
        self.slots.remove(&window);
        self.ends.remove(&window.turn());
        self.shown.set(slot, Some(window), true);
        Some(rows)
    }

    /// The dead slots that the index still has entries of.
    pub(crate) fn dead(&self) -> Vec<Slot> {
        let dead = self.states.iter().enumerate().filter(|(_, state)| state.dead);
        dead.filter_map(|(slot, _)| Slot::try_from(slot).ok()).collect()
    }

    /// Makes slots free again that no entry of the index has any more.
    pub(crate) fn forget(&mut self, slots: &[Slot]) {
        for slot in slots {
            if let Some(state) = self.states.get_mut(usize::from(*slot)) {
                *state = State::default();
                self.shown.set(*slot, None, false);
                self.free.push(*slot);
            }
        }
    }

    /// True if `window` needs a slot, and half of all are taken.
    pub(crate) fn is_crowded_for(&self, window: Window) -> bool {
        self.free.len() < SLOTS / 2 && !self.slots.contains_key(&window)
    }

    /// The windows that are not dead.
    pub(crate) fn live(&self) -> impl Iterator<Item = Window> + '_ {
        self.slots.keys().copied()
    }

    /// How many rows lie in windows that have ended at this time.
    pub(crate) fn rows_ended_by(&self, time: Timestamp) -> u64 {
        let ended = self.slots.iter().filter(|(window, _)| window.end() <= time);
        let states = ended.filter_map(|(_, slot)| self.states.get(usize::from(*slot)));
        states.flat_map(|state| state.rows.values()).sum()
    }

    /// Rows by kind, and the number of windows that hold any.
    pub(crate) fn count(&self) -> (Vec<KindRows>, u64) {
        let mut kinds: BTreeMap<u8, u64> = BTreeMap::new();
        let mut windows = 0;
        for state in &self.states {
            windows += u64::from(state.rows.values().any(|rows| *rows > 0));
            for (kind, rows) in &state.rows {
                *kinds.entry(*kind).or_default() += rows;
            }
        }
        let rows = kinds.into_iter().filter(|(_, rows)| *rows > 0);
        (rows.map(|(kind, rows)| KindRows { kind: Kind::from_byte(kind), rows }).collect(), windows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A register with one window for each of so many seconds.
    fn windows(count: u64) -> Windows {
        let mut windows = Windows::new(Arc::new(Slots::new()));
        for second in 0..count {
            let now = Timestamp::from_millis(second * 1_000);
            windows.slot(Window::of(now.saturating_add(SECOND), now)).unwrap();
        }
        windows
    }

    // Goal: P5, a window that holds remembered rows waits for paced time, others do not, and none
    // keeps the one behind it waiting. Method: three windows, the first and the last of which hold
    // such a row, filed without a lead and with one.
    #[test]
    fn remembered_rows_are_swept_by_paced_time() {
        let mut windows = windows(3);
        let all: Vec<Window> = windows.ends.iter().map(|(_, window)| *window).collect();
        for (at, lead) in [(0, Duration::ZERO), (2, 2 * SECOND)] {
            let slot = windows.slot(all[at]).unwrap();
            windows.remember(slot, all[at], lead);
        }
        let at = |seconds: u64| Timestamp::from_millis(seconds * 1_000);
        let ended = |windows: &Windows, settled, paced| {
            windows.ended(at(settled), at(paced)).map(|(window, _)| window)
        };
        assert_eq!(ended(&windows, 1, 2), None, "settled time counts in any case");
        assert_eq!(ended(&windows, 9, 2), Some(all[0]));
        assert_eq!(ended(&windows, 9, 1), Some(all[1]));
        windows.kill(all[1]);
        assert_eq!(ended(&windows, 9, 1), None, "neither is over on the wall clock");
        assert_eq!(windows.lag(at(9), at(1)), Duration::ZERO);
        windows.kill(all[0]);
        assert_eq!(ended(&windows, 9, 2), Some(all[2]), "what was filed ahead ends ahead");
    }

    // Goal: P10, remembered rows do not take all slots. Method: as many windows as half of them,
    // and a few more; sweep all that may be swept.
    #[test]
    fn remembered_rows_leave_half_of_the_slots() {
        let half = u64::try_from(SLOTS / 2).unwrap();
        let mut windows = windows(half + 3);
        for window in windows.live().collect::<Vec<_>>() {
            let slot = windows.slot(window).unwrap();
            windows.remember(slot, window, Duration::ZERO);
        }
        let mut swept = Vec::new();
        while let Some((window, _)) = windows.ended(Timestamp::MAX, Timestamp::default()) {
            windows.kill(window);
            swept.push(window.end().as_millis() / 1_000);
        }
        assert_eq!(swept, [2, 3, 4], "the oldest, until half of all slots are free");
    }
}

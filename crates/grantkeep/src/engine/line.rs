//! The line of commits that wait for room in the log: first come, first served.
//!
//! 1. A commit that finds no room, or finds others of its class waiting, enters the line with the
//!    length of its frame.
//! 2. When room appears, as many are called from the front as it has room for. Their bytes count as
//!    taken until they are written or given up, so nobody who comes later gets ahead of them.
//! 3. A commit that was called and still finds no room, because its frame does not fit into what is
//!    left of a segment, keeps its number and so its place.
//! 4. A commit whose future is dropped leaves the line, and what it was promised goes to the next.
//!
//! There is a lane for each class of commit, since each may use more of the log than the one behind
//! it (see [`Class`]). All of it is guarded by the writer's lock.

use super::log::frame::FRAME_HEADER_BYTES;
use std::collections::BTreeMap;
use std::task::Waker;

/// What a commit does, which decides how much of the log it may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// It revokes all that an owner has: it leaves room for the frame of an orderly close, with
    /// which an open can go on where the log ended, however full the disk.
    Owner,
    /// It takes something away: it leaves room for a thousand of the first class.
    Revoke,
    /// It issues: it leaves a segment for the two others.
    Issue,
}

impl Class {
    pub(crate) const ALL: [Self; 3] = [Self::Owner, Self::Revoke, Self::Issue];

    /// What it leaves in the log, in bytes: together less than the frames of the shortest segment.
    pub(crate) const fn leaves_bytes(self) -> u64 {
        match self {
            Self::Owner => FRAME_HEADER_BYTES as u64,
            Self::Revoke => OWNER_ROOM_BYTES,
            Self::Issue => OWNER_ROOM_BYTES + REVOKE_ROOM_BYTES,
        }
    }
}

/// A thousand frames that revoke an owner, each of 136 bytes, and some more.
pub(crate) const OWNER_ROOM_BYTES: u64 = 160 << 10;
/// Room for frames that revoke beyond that, until the table has made more.
const REVOKE_ROOM_BYTES: u64 = 64 << 10;

/// A commit's place in the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Number(u64);

#[derive(Debug)]
struct Waiting {
    bytes: u64,
    /// Whom to wake; `None` once it was called.
    waker: Option<Waker>,
    /// True while its bytes count as taken.
    promised: bool,
}

/// The commits that wait.
#[derive(Debug, Default)]
pub(crate) struct Line {
    lanes: [BTreeMap<u64, Waiting>; Class::ALL.len()],
    next: u64,
    promised_bytes: u64,
}

impl Line {
    /// True if a commit may take `bytes` of the `room_bytes` that its class may use: nobody of its
    /// class is before it, and enough is left beside what was promised to others.
    pub(crate) fn may_take(
        &self,
        class: Class,
        number: Option<Number>,
        bytes: u64,
        room_bytes: u64,
    ) -> bool {
        let own = number.and_then(|Number(own)| self.lane(class)?.get(&own));
        let first = self.lane(class).and_then(|lane| lane.first_key_value()).map(|(at, _)| *at);
        let promised = own.filter(|own| own.promised).map_or(0, |own| own.bytes);
        let in_turn = promised > 0 || first.is_none() || first == number.map(|Number(own)| own);
        in_turn && self.promised_bytes - promised + bytes <= room_bytes
    }

    /// Enters the line, or goes on waiting in its place; `waker` is woken once it is called.
    pub(crate) fn enter(
        &mut self,
        class: Class,
        number: &mut Option<Number>,
        bytes: u64,
        waker: &Waker,
    ) {
        let Number(own) = *number.get_or_insert(Number(self.next));
        self.next = self.next.max(own + 1);
        self.take_back(class, own);
        let waiting = Waiting { bytes, waker: Some(waker.clone()), promised: false };
        if let Some(lane) = self.lane_mut(class) {
            lane.insert(own, waiting);
        }
    }

    /// True if the commit of this number was called.
    pub(crate) fn is_called(&self, class: Class, Number(own): Number) -> bool {
        let waiting = self.lane(class).and_then(|lane| lane.get(&own));
        waiting.is_none_or(|waiting| waiting.waker.is_none())
    }

    /// Leaves the line.
    pub(crate) fn leave(&mut self, class: Class, Number(own): Number) {
        self.take_back(class, own);
        if let Some(lane) = self.lane_mut(class) {
            lane.remove(&own);
        }
    }

    /// Calls as many as there is room for; `room_bytes` says what a class may use. Answers whom to
    /// wake, which is to be done without the lock.
    pub(crate) fn call(&mut self, room_bytes: impl Fn(Class) -> u64) -> Vec<Waker> {
        let mut wakers = Vec::new();
        for (class, lane) in Class::ALL.into_iter().zip(&mut self.lanes) {
            let room_bytes = room_bytes(class);
            for waiting in lane.values_mut().filter(|waiting| !waiting.promised) {
                if self.promised_bytes + waiting.bytes > room_bytes {
                    break;
                }
                self.promised_bytes += waiting.bytes;
                waiting.promised = true;
                wakers.extend(waiting.waker.take());
            }
        }
        wakers
    }

    /// Calls everybody to look again, without a promise: the state of the store has changed.
    pub(crate) fn call_all(&mut self) -> Vec<Waker> {
        let all = self.lanes.iter_mut().flat_map(BTreeMap::values_mut);
        all.filter_map(|waiting| waiting.waker.take()).collect()
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.lanes.iter().map(BTreeMap::len).sum()
    }

    /// Ends the promise made to a commit, if any.
    fn take_back(&mut self, class: Class, own: u64) {
        let held = self.lane_mut(class).and_then(|lane| lane.get_mut(&own));
        if let Some(waiting) = held.filter(|waiting| waiting.promised) {
            waiting.promised = false;
            let bytes = waiting.bytes;
            debug_assert!(bytes <= self.promised_bytes, "a promise is counted once");
            self.promised_bytes = self.promised_bytes.saturating_sub(bytes);
        }
    }

    fn lane(&self, class: Class) -> Option<&BTreeMap<u64, Waiting>> {
        self.lanes.get(class as usize)
    }

    fn lane_mut(&mut self, class: Class) -> Option<&mut BTreeMap<u64, Waiting>> {
        self.lanes.get_mut(class as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enter(line: &mut Line, class: Class, bytes: u64) -> Number {
        let mut number = None;
        line.enter(class, &mut number, bytes, Waker::noop());
        number.unwrap()
    }

    // Goal: first come, first served; as many are called as fit, and nobody later gets ahead of
    // them. Method: three in line, room for two; a newcomer; one that was called gives up.
    #[test]
    fn as_many_are_called_as_fit_in_the_order_they_came() {
        let class = Class::Issue;
        let mut line = Line::default();
        let [first, second, third] = [40, 40, 40].map(|bytes| enter(&mut line, class, bytes));
        assert_eq!(line.call(|_| 100).len(), 2);
        let called = [first, second, third].map(|number| line.is_called(class, number));
        assert_eq!(called, [true, true, false]);
        assert!(line.may_take(class, Some(second), 40, 100));
        assert!(!line.may_take(class, Some(third), 40, 100), "it was promised to others");
        assert!(!line.may_take(class, None, 1, 1_000), "others came before");
        line.leave(class, first);
        assert_eq!(line.call(|_| 100).len(), 1);
        assert!(line.is_called(class, third));
        line.leave(class, second);
        line.leave(class, third);
        assert!(line.may_take(class, None, 100, 100) && line.len() == 0);
    }

    // Goal: one that was called and found no room keeps its place. Method: it enters again under
    // its number, and is called before the one behind it.
    #[test]
    fn place_in_the_line_is_kept() {
        let class = Class::Revoke;
        let mut line = Line::default();
        let (first, second) = (enter(&mut line, class, 60), enter(&mut line, class, 10));
        assert_eq!(line.call(|_| 60).len(), 1);
        line.enter(class, &mut Some(first), 60, Waker::noop());
        assert!(!line.is_called(class, first));
        assert!(line.call(|_| 50).is_empty(), "the second waits for the first");
        assert_eq!(line.call(|_| 100).len(), 2);
        assert!(line.is_called(class, second));
    }

    // Goal: each class leaves room for those before it, and never waits behind those after it.
    // Method: an issue waits; a revocation takes room that the issue must leave.
    #[test]
    fn revocations_do_not_wait_behind_issues() {
        let mut line = Line::default();
        enter(&mut line, Class::Issue, 1_000);
        let log = OWNER_ROOM_BYTES + REVOKE_ROOM_BYTES;
        let room = |class: Class| log - class.leaves_bytes();
        assert!(line.call(room).is_empty());
        assert!(line.may_take(Class::Revoke, None, 1_000, room(Class::Revoke)));
        assert!(!line.may_take(Class::Revoke, None, REVOKE_ROOM_BYTES + 1, room(Class::Revoke)));
        assert!(line.may_take(Class::Owner, None, OWNER_ROOM_BYTES, room(Class::Owner)));
    }
}

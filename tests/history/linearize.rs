//! Whether calls that overlapped can be put in one order in which each answer is right: the search
//! of Wing and Gong, with Lowe's memory of where it has been.
//!
//! It is not split by subject or client, since one revocation concerns several of them: a history
//! of a few threads has few cuts (the product of what each thread has done), and that is all that
//! the search can visit for each state.

use std::collections::HashSet;
use std::hash::Hash;

/// Calls of one history at most: they are noted in one number.
pub(crate) const CALLS_MAX: usize = 128;

/// A call, from its invocation to its response, in ticks that all threads share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call<T> {
    pub(crate) thread: usize,
    pub(crate) invoked: u64,
    pub(crate) responded: u64,
    pub(crate) what: T,
}

impl<T> Call<T> {
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        self.invoked < other.responded && other.invoked < self.responded
    }
}

/// An order of all calls that respects their intervals, in which `step` takes each; the longest
/// that was found to begin with if there is none.
pub(crate) fn linearize<T, S: Clone + Eq + Hash>(
    calls: &[Call<T>],
    start: S,
    step: impl Fn(&S, &T) -> Option<S>,
) -> Result<Vec<usize>, Vec<usize>> {
    assert!(calls.len() <= CALLS_MAX, "{} calls", calls.len());
    let mut search =
        Search { calls, step, been: HashSet::new(), order: Vec::new(), longest: Vec::new() };
    if search.place_rest(0, start) { Ok(search.order) } else { Err(search.longest) }
}

struct Search<'a, T, S, F> {
    calls: &'a [Call<T>],
    step: F,
    been: HashSet<(u128, S)>,
    order: Vec<usize>,
    longest: Vec<usize>,
}

impl<T, S: Clone + Eq + Hash, F: Fn(&S, &T) -> Option<S>> Search<'_, T, S, F> {
    /// True if the calls outside `placed` can follow a state.
    fn place_rest(&mut self, placed: u128, state: S) -> bool {
        let rest = || (0..self.calls.len()).filter(|at| placed & 1 << at == 0);
        // Whatever was invoked after another had answered comes after it.
        let Some(first) = rest().map(|at| self.calls[at].responded).min() else {
            return true;
        };
        let mut next: Vec<usize> = rest().filter(|at| self.calls[*at].invoked < first).collect();
        next.sort_by_key(|at| self.calls[*at].responded);
        for at in next {
            let Some(then) = (self.step)(&state, &self.calls[at].what) else { continue };
            let placed = placed | 1 << at;
            if self.been.contains(&(placed, then.clone())) {
                continue;
            }
            self.order.push(at);
            if self.order.len() > self.longest.len() {
                self.longest.clone_from(&self.order);
            }
            if self.place_rest(placed, then) {
                return true;
            }
            self.order.pop();
        }
        self.been.insert((placed, state));
        false
    }
}

// Goal: the search tells what is linearizable from what is not. Method: histories of one number
// that is written and read, with known verdicts; one where only backtracking finds the order.
#[test]
fn search_tells_right_from_wrong() {
    let write = |value| (value, true);
    let read = |value| (value, false);
    let verdict = |calls: &[(u64, u64, (u32, bool))]| {
        let calls: Vec<_> = calls
            .iter()
            .map(|&(invoked, responded, what)| Call { thread: 0, invoked, responded, what })
            .collect();
        linearize(&calls, 0, |held, (value, writes)| (*writes || held == value).then_some(*value))
    };
    // A read that overlaps a write sees it or not; one that follows must.
    assert!(verdict(&[(0, 3, write(1)), (1, 2, read(0))]).is_ok());
    assert!(verdict(&[(0, 3, write(1)), (1, 2, read(1))]).is_ok());
    assert_eq!(verdict(&[(0, 1, write(1)), (2, 3, read(0))]), Err(vec![0]));
    // Once one read has seen it, a later one must.
    assert!(verdict(&[(0, 9, write(1)), (1, 2, read(1)), (3, 4, read(0))]).is_err());
    assert!(verdict(&[(0, 9, write(1)), (1, 2, read(0)), (3, 4, read(1))]).is_ok());
    // The write that answers first has to be placed last.
    let crossed = [(0, 5, write(1)), (1, 4, write(2)), (6, 7, read(2))];
    assert_eq!(verdict(&crossed), Ok(vec![0, 1, 2]));
    // Two reads that disagree on the order of two writes.
    let torn =
        [(0, 9, write(1)), (0, 9, write(2)), (1, 2, read(1)), (3, 4, read(2)), (5, 6, read(1))];
    assert!(verdict(&torn).is_err());
}

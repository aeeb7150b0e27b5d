//! A number that grows at once, and shrinks once it was smaller for a while.

use std::time::Duration;

/// How far the shrinking of a number has come.
#[derive(Debug, Default)]
pub(super) struct Shrinking(Option<Seen>);

#[derive(Debug, Clone, Copy)]
struct Seen {
    /// The number that is to shrink: another one is judged anew.
    from: u64,
    /// The monotonic time at which it was first found smaller.
    since: Duration,
    /// The most that it was since.
    most: u64,
}

impl Shrinking {
    /// Looks at a number that stands at `held` and is found to be `found`. Answers what it shrinks
    /// to: by up to `drift` at once, by more once it was smaller for `hold`, and then to the most
    /// that it was meanwhile.
    pub(super) fn follow(
        &mut self,
        held: u64,
        found: u64,
        monotonic: Duration,
        hold: Duration,
        drift: u64,
    ) -> Option<u64> {
        let less = held.saturating_sub(found);
        if less <= drift {
            self.0 = None;
            return (less > 0).then_some(found);
        }
        let first = Seen { from: held, since: monotonic, most: found };
        let seen = self.0.get_or_insert(first);
        if seen.from != held {
            *seen = first;
        }
        seen.most = seen.most.max(found);
        if monotonic.saturating_sub(seen.since) < hold {
            return None;
        }
        let most = seen.most;
        self.0 = None;
        Some(most)
    }
}

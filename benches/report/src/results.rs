//! What a comparison found, as it is kept and read again.

use serde::{Deserialize, Serialize};

/// One run of the comparison.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Comparison {
    /// The command that made it.
    pub command: String,
    /// The machine, in words: processors, memory, file system, kernel.
    pub machine: String,
    /// How long the run took, in seconds.
    pub took_s: f64,
    /// Version and settings of each engine, and why it was left out if it was.
    pub engines: Vec<(String, String)>,
    /// The rows of the table.
    pub measures: Vec<Measure>,
    /// The pictures.
    pub plots: Vec<Plot>,
}

/// Whose figures they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// The store's.
    Store,
    /// Those of an engine that one would take instead.
    Peer,
    /// Those of something that does less than a store, to measure by.
    Yardstick,
}

/// The figures of one engine, a round each.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Side {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// One figure a round.
    pub rounds: Vec<f64>,
}

/// What a figure must keep to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Bound {
    /// So many times as good as the best of the peers, or better.
    BestPeer(f64),
    /// So many times as good as this side, or better.
    Side(String, f64),
    /// The store's figure itself, on its better side.
    Figure(f64),
}

/// One row of the table: the same thing measured on several engines.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Measure {
    /// What was measured.
    pub name: String,
    /// The unit of the figures.
    pub unit: String,
    /// True if a higher figure is the better one.
    pub more_is_better: bool,
    /// The engines, in turns round by round.
    pub sides: Vec<Side>,
    /// What must hold.
    pub bounds: Vec<Bound>,
    /// What one has to know to read it.
    pub note: String,
}

/// A ratio, or a figure, and how far it spread over the rounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// The median; of an even number of figures the mean of the two in the middle.
    pub median: f64,
    /// The least.
    pub least: f64,
    /// The most.
    pub most: f64,
}

impl Spread {
    /// Of these figures; zeros of none.
    pub fn of(figures: &[f64]) -> Self {
        let mut sorted = figures.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let at = |index: usize| sorted.get(index).copied().unwrap_or_default();
        let last = sorted.len().saturating_sub(1);
        let median = f64::midpoint(at(last / 2), at(sorted.len() / 2));
        Self { median, least: at(0), most: at(last) }
    }
}

/// A bound held against what was measured.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// Against what, in words.
    pub against: String,
    /// How many times as good; for [`Bound::Figure`] the figure itself.
    pub found: Spread,
    /// What it had to be.
    pub bound: f64,
    /// Whether it is.
    pub met: bool,
}

impl Measure {
    /// A measure without sides yet.
    pub fn new(name: impl Into<String>, unit: &str, more_is_better: bool) -> Self {
        Self {
            name: name.into(),
            unit: unit.to_owned(),
            more_is_better,
            sides: Vec::new(),
            bounds: Vec::new(),
            note: String::new(),
        }
    }

    /// The same, with what must hold.
    #[must_use]
    pub fn bound(mut self, bound: Bound) -> Self {
        self.bounds.push(bound);
        self
    }

    /// The same, with what one has to know to read it.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    /// Adds the figure of a round.
    pub fn push(&mut self, name: &str, kind: Kind, figure: f64) {
        match self.sides.iter_mut().find(|side| side.name == name) {
            Some(side) => side.rounds.push(figure),
            None => {
                let (name, rounds) = (name.to_owned(), vec![figure]);
                self.sides.push(Side { name, kind, rounds });
            }
        }
    }

    /// The store's figures.
    pub fn store(&self) -> Option<&Side> {
        self.sides.iter().find(|side| side.kind == Kind::Store)
    }

    /// The peer with the best median.
    pub fn best_peer(&self) -> Option<&Side> {
        let peers = self.sides.iter().filter(|side| side.kind == Kind::Peer);
        let median = |side: &&Side| Spread::of(&side.rounds).median;
        let better = |one: &&Side, other: &&Side| {
            let order = median(one).total_cmp(&median(other));
            if self.more_is_better { order } else { order.reverse() }
        };
        peers.max_by(better)
    }

    /// How many times as good the store is as this side, a round each.
    pub fn times(&self, side: &Side) -> Spread {
        let ours = self.store().map(|store| store.rounds.as_slice()).unwrap_or_default();
        let pairs = ours.iter().zip(&side.rounds);
        let ratio = |(ours, theirs): (&f64, &f64)| {
            if self.more_is_better { ours / theirs } else { theirs / ours }
        };
        Spread::of(&pairs.map(ratio).collect::<Vec<_>>())
    }

    /// What came of the bounds; one whose other side was not measured is left out.
    pub fn verdicts(&self) -> Vec<Verdict> {
        let against = |side: &Side, bound: f64| {
            let found = self.times(side);
            Verdict { against: side.name.clone(), found, bound, met: found.median >= bound }
        };
        let verdict = |bound: &Bound| match bound {
            Bound::BestPeer(times) => self.best_peer().map(|peer| against(peer, *times)),
            Bound::Side(name, times) => {
                let side = self.sides.iter().find(|side| side.name == *name);
                side.map(|side| against(side, *times))
            }
            Bound::Figure(bound) => self.store().map(|store| {
                let found = Spread::of(&store.rounds);
                let met = if self.more_is_better {
                    found.median >= *bound
                } else {
                    found.median <= *bound
                };
                Verdict { against: String::new(), found, bound: *bound, met }
            }),
        };
        self.bounds.iter().filter_map(verdict).collect()
    }
}

/// A picture: lines over an axis, and marks on it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Plot {
    /// The name of its file, without an extension.
    pub file: String,
    /// What it shows.
    pub title: String,
    /// What is to the right, with its unit.
    pub across: String,
    /// What is upwards, with its unit.
    pub upwards: String,
    /// Whether the axes are logarithmic: across, upwards.
    pub logarithmic: (bool, bool),
    /// The lines, the store's first.
    pub lines: Vec<Line>,
    /// Moments at which something began.
    pub marks: Vec<Mark>,
}

/// One line of a plot.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Line {
    /// What it shows.
    pub name: String,
    /// From left to right.
    pub points: Vec<(f64, f64)>,
}

/// Something that lasted from one place on the axis to another.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Mark {
    /// What it is.
    pub name: String,
    /// Where it began.
    pub from: f64,
    /// Where it ended.
    pub to: f64,
}

impl Plot {
    /// Adds a point to the line of this name.
    pub fn push(&mut self, line: &str, point: (f64, f64)) {
        match self.lines.iter_mut().find(|held| held.name == line) {
            Some(held) => held.points.push(point),
            None => self.lines.push(Line { name: line.to_owned(), points: vec![point] }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: an even number of rounds favors nobody. Method: the spread of two, three, and no
    // figures.
    #[test]
    fn median_of_two_lies_between_them() {
        let spread = |figures: &[f64]| {
            let Spread { median, least, most } = Spread::of(figures);
            (median, least, most)
        };
        assert_eq!(spread(&[3.0, 1.0]), (2.0, 1.0, 3.0));
        assert_eq!(spread(&[5.0, 1.0, 3.0]), (3.0, 1.0, 5.0));
        assert_eq!(spread(&[]), (0.0, 0.0, 0.0));
    }
}

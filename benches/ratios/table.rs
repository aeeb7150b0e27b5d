//! The table that a run prints.

use std::fmt::Write as _;

/// What a figure must keep to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
    /// Reported, not judged.
    Free,
}

/// One line: a figure, what it comes from, and its bound.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) what: String,
    /// The two sides, in words and with their units.
    pub(crate) sides: String,
    /// The figure of each round.
    pub(crate) rounds: Vec<f64>,
    pub(crate) unit: &'static str,
    pub(crate) bound: Bound,
}

pub(crate) fn head() {
    println!("{:<44} {:>9} {:<15} {:>8}        sides (medians)", "", "figure", "(spread)", "bound");
}

impl Line {
    pub(crate) fn print(&self) {
        let (least, most) = spread(&self.rounds);
        let mut line = String::new();
        let figure = format!("{:.2}{}", median(&self.rounds), self.unit);
        let _ = write!(line, "{:<44} {figure:>9} ", self.what);
        let _ = write!(line, "{:<15} ", format!("({least:.2}..{most:.2})"));
        let (bound, verdict) = match self.bound {
            Bound::AtLeast(bound) => (format!(">= {bound}"), self.verdict()),
            Bound::AtMost(bound) => (format!("<= {bound}"), self.verdict()),
            Bound::Free => ("-".to_owned(), ""),
        };
        let _ = write!(line, "{bound:>8} {verdict:<5}  {}", self.sides);
        println!("{line}");
    }

    pub(crate) fn is_met(&self) -> bool {
        let figure = median(&self.rounds);
        match self.bound {
            Bound::AtLeast(bound) => figure >= bound,
            Bound::AtMost(bound) => figure <= bound,
            Bound::Free => true,
        }
    }

    fn verdict(&self) -> &'static str {
        if self.is_met() { "PASS" } else { "MISS" }
    }
}

/// The figures of the rounds of two sides, one divided by the other.
pub(crate) fn ratios(ours: &[f64], theirs: &[f64]) -> Vec<f64> {
    ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect()
}

/// The middle one of the figures; zero of none.
pub(crate) fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

fn spread(figures: &[f64]) -> (f64, f64) {
    let least = figures.iter().copied().fold(f64::INFINITY, f64::min);
    (least, figures.iter().copied().fold(0.0, f64::max))
}

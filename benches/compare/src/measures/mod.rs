//! What is measured, part by part.

mod growth;
mod issue;
mod look_up;
mod quiet;
mod served;
mod size;
mod sustained;
mod sweep;

pub(crate) use issue::look_up_us;

use crate::run::Run;
use grantkeep_report::Comparison;

/// Measures one part, and adds what it found.
type Part = fn(&Run, &mut Comparison);

/// All parts, in the order in which they run.
pub(crate) const ALL: [(&str, Part); 8] = [
    ("issue", issue::measure),
    ("sustained", sustained::measure),
    ("look-up", look_up::measure),
    ("sweep", sweep::measure),
    ("quiet", quiet::measure),
    ("size", size::measure),
    ("growth", growth::measure),
    ("served", served::measure),
];

/// Their names.
pub(crate) fn names() -> Vec<&'static str> {
    ALL.map(|(name, _)| name).into()
}

//! The results of a comparison: as data, as plots, as one page, and as a table for documents.

pub mod page;
pub mod plot;
pub mod results;
pub mod table;

pub use results::{Bound, Comparison, Kind, Line, Mark, Measure, Plot, Side};

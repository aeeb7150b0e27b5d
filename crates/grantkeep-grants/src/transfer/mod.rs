//! The way in and the way out: what another server issued, taken over, and all that a store holds,
//! as JSON lines. `docs/transfer.md` has the lines, and the steps of a migration.

mod arrival;
mod check;
mod export;
mod import;
mod json;
mod line;
mod lines;
mod piece;

pub use export::{Exported, Exporting};
pub use import::{ImportStep, Imported};
pub use lines::IMPORT_LINE_BYTES_MAX;

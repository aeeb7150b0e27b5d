//! Clocks that step: back and forth by seconds, days, decades; across restarts; at the edges of
//! windows. Nothing revives, nothing is cut early, and the store stays of use and says what
//! happened.

mod grants;
mod leads;
mod pairs;
mod random;
mod steps;
mod subject;

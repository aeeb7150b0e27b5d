//! Guesses of somebody who is signed in: they count against the person, so that nobody has more of
//! them by coming from many places, and in a wider bound against the address that they come from.

use crate::pages::visit::Visit;
use grantkeep_axum::{Guess, Guessed, Whose};

/// Takes the places of a guess of this person, before it is looked at; `None` while there are too
/// many of theirs, or of all people's from there.
pub(super) fn take(visit: &Visit, own: Guessed, of_all: Guessed) -> Option<Guess<'_>> {
    let places = [(own, Whose::Person(visit.subject())), (of_all, Whose::Address(visit.from))];
    visit.people.oauth.table_of_guesses().take(&places).ok()
}

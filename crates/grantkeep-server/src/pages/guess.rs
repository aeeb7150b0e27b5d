//! Guesses of somebody who is signed in: they count against the address that they come from and
//! against the person, so that nobody has more of them by coming from many places.

use crate::pages::visit::Visit;
use grantkeep_axum::Guessed;
use std::net::{IpAddr, Ipv6Addr};

/// What the digest of a person is for.
const STAND_IN: &str = "grantkeep pages 2026-11 guesses of a person";

/// Whether this person may guess once more, from there.
pub(super) fn may(visit: &Visit, what: Guessed) -> bool {
    let guesses = visit.people.oauth.table_of_guesses();
    whose(visit).into_iter().all(|whose| guesses.check(what, whose).is_ok())
}

/// Notes a guess that was wrong.
pub(super) fn missed(visit: &Visit, what: Guessed) {
    let guesses = visit.people.oauth.table_of_guesses();
    for whose in whose(visit) {
        guesses.failed(what, whose);
    }
}

fn whose(visit: &Visit) -> [Option<IpAddr>; 2] {
    [visit.from, Some(stand_in(visit.subject()))]
}

/// What stands for a person in the table of guesses, which knows networks: one of the addresses
/// that are reserved and never used (`100::/8`, without the prefix of RFC 6666), by a digest.
fn stand_in(subject: &str) -> IpAddr {
    let digest = blake3::derive_key(STAND_IN, subject.as_bytes());
    let mut octets = [0; 16];
    for (octet, byte) in octets.iter_mut().zip(digest).take(8) {
        *octet = byte;
    }
    let [first, second, ..] = &mut octets;
    (*first, *second) = (1, *second | 1);
    IpAddr::V6(Ipv6Addr::from(octets))
}

//! Claims on their way from `extract` to `issue`, which oxide-auth does not link.

use grantkeep::{FamilyId, Timestamp};
use oxide_auth::primitives::grant::Grant;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// As many claims may be under way at one time, unless it is set otherwise.
pub const CLAIMS_MAX: usize = 16_384;

/// By what a grant that is issued is known to be one that was extracted. Not by its extensions:
/// the flow puts others in their place.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Mark {
    owner: String,
    client: String,
    redirect_uri: String,
    scope: Vec<String>,
    until: (i64, u32),
}

impl Mark {
    fn of(grant: &Grant) -> Self {
        let mut scope: Vec<String> = grant.scope.iter().map(str::to_owned).collect();
        scope.sort_unstable();
        Self {
            owner: grant.owner_id.clone(),
            client: grant.client_id.clone(),
            redirect_uri: grant.redirect_uri.as_str().to_owned(),
            scope,
            until: (grant.until.timestamp(), grant.until.timestamp_subsec_nanos()),
        }
    }
}

/// The claims that are under way: a bounded number of them.
#[derive(Debug)]
pub(crate) struct Pending {
    claims: Mutex<Claims>,
    max: usize,
}

#[derive(Debug, Default)]
struct Claims {
    /// Those with the same mark stand for the same grant: the first comes first.
    by_mark: HashMap<Mark, VecDeque<(Deadline, FamilyId)>>,
    by_deadline: BTreeMap<Deadline, Mark>,
    reserved: usize,
    count: u64,
}

/// When a claim cannot be completed any more, and its number.
type Deadline = (Timestamp, u64);

impl Pending {
    pub(crate) fn new(max: usize) -> Self {
        Self { claims: Mutex::default(), max }
    }

    /// Room for one claim; `None` if all of it is taken.
    pub(crate) fn reserve(&self, now: Timestamp) -> Option<Room<'_>> {
        let mut claims = self.lock();
        claims.forget_until(now);
        if claims.by_deadline.len() + claims.reserved >= self.max {
            return None;
        }
        claims.reserved += 1;
        Some(Room(self))
    }

    /// The family of the claim that gave this grant, if one did.
    pub(crate) fn take(&self, grant: &Grant) -> Option<FamilyId> {
        let mark = Mark::of(grant);
        let mut claims = self.lock();
        let queue = claims.by_mark.get_mut(&mark)?;
        let (deadline, family) = queue.pop_front()?;
        if queue.is_empty() {
            claims.by_mark.remove(&mark);
        }
        claims.by_deadline.remove(&deadline);
        Some(family)
    }

    fn lock(&self) -> MutexGuard<'_, Claims> {
        self.claims.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Claims {
    fn forget_until(&mut self, now: Timestamp) {
        while let Some(first) = self.by_deadline.first_entry() {
            let deadline = *first.key();
            if deadline.0 > now {
                break;
            }
            let mark = first.remove();
            if let Some(queue) = self.by_mark.get_mut(&mark) {
                queue.retain(|(other, _)| *other != deadline);
                if queue.is_empty() {
                    self.by_mark.remove(&mark);
                }
            }
        }
    }
}

/// Room for one claim, given back unless it is used.
#[derive(Debug)]
pub(crate) struct Room<'a>(&'a Pending);

impl Room<'_> {
    /// Keeps the family that `grant` was claimed for until `deadline`.
    pub(crate) fn keep(self, grant: &Grant, family: FamilyId, deadline: Timestamp) {
        let mark = Mark::of(grant);
        let mut claims = self.0.lock();
        claims.count += 1;
        let deadline = (deadline, claims.count);
        claims.by_deadline.insert(deadline, mark.clone());
        claims.by_mark.entry(mark).or_default().push_back((deadline, family));
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        let mut claims = self.0.lock();
        claims.reserved = claims.reserved.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{TimeDelta, Utc};
    use oxide_auth::primitives::grant::Extensions;

    fn grant(owner: &str) -> Grant {
        Grant {
            owner_id: owner.to_owned(),
            client_id: "client-1".to_owned(),
            scope: "read write".parse().unwrap(),
            redirect_uri: "https://app.example/cb".parse().unwrap(),
            until: chrono::DateTime::<Utc>::from_timestamp(1_800_000_000, 123_456_789).unwrap(),
            extensions: Extensions::new(),
        }
    }

    // Goal: a claim is found by its grant alone, once. Method: grants that differ in each field,
    // the time by a nanosecond; the same one with other extensions and its scope in another order.
    #[test]
    fn a_claim_is_found_by_its_grant() {
        let pending = Pending::new(2);
        let now = Timestamp::from_millis(1_000);
        let later = Timestamp::from_millis(2_000);
        pending.reserve(now).unwrap().keep(&grant("alice"), FamilyId([1; 12]), later);
        pending.reserve(now).unwrap().keep(&grant("alice"), FamilyId([2; 12]), later);
        let mut others = vec![grant("bob"); 5];
        others[1] = Grant { client_id: "client-2".to_owned(), ..grant("alice") };
        others[2] = Grant { scope: "read".parse().unwrap(), ..grant("alice") };
        let elsewhere = "https://app.example/other".parse().unwrap();
        others[3] = Grant { redirect_uri: elsewhere, ..grant("alice") };
        let until = grant("alice").until + TimeDelta::nanoseconds(1);
        others[4] = Grant { until, ..grant("alice") };
        assert!(others.iter().all(|other| pending.take(other).is_none()));
        let mut same = Grant { scope: "write read".parse().unwrap(), ..grant("alice") };
        let value = oxide_auth::primitives::grant::Value::private(None);
        same.extensions.set_raw("x".to_owned(), value);
        assert_eq!(pending.take(&same), Some(FamilyId([1; 12])));
        assert_eq!(pending.take(&grant("alice")), Some(FamilyId([2; 12])));
        assert_eq!(pending.take(&grant("alice")), None);
        let claims = pending.lock();
        assert!(claims.by_mark.is_empty() && claims.by_deadline.is_empty());
        assert_eq!(claims.reserved, 0);
    }

    // Goal: no more claims are kept than there is room for, and those that are too late make room.
    // Method: fill it with kept, reserved, and given back ones; let the first die.
    #[test]
    fn room_for_claims_is_bounded() {
        let pending = Pending::new(3);
        let at = Timestamp::from_millis;
        pending.reserve(at(0)).unwrap().keep(&grant("a"), FamilyId([1; 12]), at(10));
        pending.reserve(at(0)).unwrap().keep(&grant("b"), FamilyId([2; 12]), at(20));
        let room = pending.reserve(at(0)).unwrap();
        assert!(pending.reserve(at(9)).is_none());
        drop(room);
        pending.reserve(at(9)).unwrap().keep(&grant("c"), FamilyId([3; 12]), at(30));
        assert!(pending.reserve(at(9)).is_none());
        let room = pending.reserve(at(10));
        assert!(room.is_some() && pending.reserve(at(10)).is_none());
        assert_eq!(pending.take(&grant("a")), None);
        assert_eq!(pending.take(&grant("b")), Some(FamilyId([2; 12])));
        assert!(pending.reserve(at(10)).is_some());
    }
}

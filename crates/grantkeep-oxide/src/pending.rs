//! Claims on their way from `extract` to `issue`, which oxide-auth does not link.

use grantkeep::{FamilyId, Timestamp};
use oxide_auth::primitives::grant::Grant;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// As many claims of one client may be under way at one time, unless it is set otherwise. Each
/// takes some 500 bytes of memory until it is completed, or its code would have expired.
pub const CLAIMS_MAX: usize = 4_096;

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

/// The claims that are under way: a bounded number of each client's, so that what one leaves
/// unfinished is no trouble of another.
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
    /// How many there are of each client, reserved ones among them.
    of_client: HashMap<String, usize>,
    count: u64,
}

/// When a claim cannot be completed any more, and its number.
type Deadline = (Timestamp, u64);

impl Pending {
    pub(crate) fn new(max: usize) -> Self {
        Self { claims: Mutex::default(), max }
    }

    /// Room for one claim of `client`; `None` if all of it is taken.
    pub(crate) fn reserve(&self, client: &str, now: Timestamp) -> Option<Room<'_>> {
        let mut claims = self.lock();
        claims.forget_until(now);
        let count = claims.of_client.entry(client.to_owned()).or_default();
        if *count >= self.max {
            return None;
        }
        *count += 1;
        Some(Room { pending: self, client: client.to_owned() })
    }

    /// The claim that gave this grant, if one did. Nobody else gets it meanwhile, and unless it is
    /// completed it is there again.
    pub(crate) fn take(&self, grant: &Grant) -> Option<Taken<'_>> {
        let mark = Mark::of(grant);
        let mut claims = self.lock();
        let queue = claims.by_mark.get_mut(&mark)?;
        let (deadline, family) = queue.pop_front()?;
        if queue.is_empty() {
            claims.by_mark.remove(&mark);
        }
        claims.by_deadline.remove(&deadline);
        drop(claims);
        Some(Taken { pending: self, mark, deadline, family, completed: false })
    }

    fn lock(&self) -> MutexGuard<'_, Claims> {
        self.claims.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Claims {
    /// Counts one of a client's less.
    fn forget(&mut self, client: &str) {
        if let Some(count) = self.of_client.get_mut(client) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.of_client.remove(client);
            }
        }
    }

    fn forget_until(&mut self, now: Timestamp) {
        while let Some(first) = self.by_deadline.first_entry() {
            let deadline = *first.key();
            if deadline.0 > now {
                break;
            }
            let mark = first.remove();
            self.forget(&mark.client);
            if let Some(queue) = self.by_mark.get_mut(&mark) {
                queue.retain(|(other, _)| *other != deadline);
                if queue.is_empty() {
                    self.by_mark.remove(&mark);
                }
            }
        }
    }
}

/// A claim on its way to be completed.
#[derive(Debug)]
pub(crate) struct Taken<'a> {
    pending: &'a Pending,
    mark: Mark,
    deadline: Deadline,
    pub(crate) family: FamilyId,
    completed: bool,
}

impl Taken<'_> {
    /// Says that it was answered, whichever way.
    pub(crate) fn completed(mut self) {
        self.completed = true;
    }
}

impl Drop for Taken<'_> {
    /// Also when the future that completes it is dropped, or the store could not decide.
    fn drop(&mut self) {
        let mut claims = self.pending.lock();
        if self.completed {
            return claims.forget(&self.mark.client);
        }
        claims.by_deadline.insert(self.deadline, self.mark.clone());
        let queue = claims.by_mark.entry(self.mark.clone()).or_default();
        queue.push_front((self.deadline, self.family));
    }
}

/// Room for one claim, given back unless it is used.
#[derive(Debug)]
pub(crate) struct Room<'a> {
    pending: &'a Pending,
    client: String,
}

impl Room<'_> {
    /// Keeps the family that `grant` was claimed for until `deadline`.
    pub(crate) fn keep(self, grant: &Grant, family: FamilyId, deadline: Timestamp) {
        let mark = Mark::of(grant);
        let mut claims = self.pending.lock();
        // One more: that of the room is given back.
        *claims.of_client.entry(mark.client.clone()).or_default() += 1;
        claims.count += 1;
        let deadline = (deadline, claims.count);
        claims.by_deadline.insert(deadline, mark.clone());
        claims.by_mark.entry(mark).or_default().push_back((deadline, family));
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.pending.lock().forget(&self.client);
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
        let reserve = || pending.reserve("client-1", now).unwrap();
        reserve().keep(&grant("alice"), FamilyId([1; 12]), later);
        reserve().keep(&grant("alice"), FamilyId([2; 12]), later);
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
        let first = pending.take(&same).unwrap();
        let second = pending.take(&grant("alice")).unwrap();
        assert_eq!((first.family, second.family), (FamilyId([1; 12]), FamilyId([2; 12])));
        assert!(pending.take(&grant("alice")).is_none());
        // Cut: it is there again, and nothing else is.
        drop(first);
        second.completed();
        let again = pending.take(&same).unwrap();
        assert_eq!(again.family, FamilyId([1; 12]));
        assert!(pending.take(&same).is_none());
        again.completed();
        let claims = pending.lock();
        assert!(claims.by_mark.is_empty() && claims.by_deadline.is_empty());
        assert!(claims.of_client.is_empty());
    }

    // Goal: no more claims are kept than there is room for, and those that are too late make room.
    // Method: fill it with kept, reserved, and given back ones; let the first die; another client.
    #[test]
    fn room_for_claims_is_bounded() {
        let pending = Pending::new(3);
        let at = Timestamp::from_millis;
        let reserve = |now| pending.reserve("client-1", at(now));
        reserve(0).unwrap().keep(&grant("a"), FamilyId([1; 12]), at(10));
        reserve(0).unwrap().keep(&grant("b"), FamilyId([2; 12]), at(20));
        let room = reserve(0).unwrap();
        assert!(reserve(9).is_none());
        // What one client leaves is no trouble of another.
        assert!(pending.reserve("client-2", at(9)).is_some());
        drop(room);
        reserve(9).unwrap().keep(&grant("c"), FamilyId([3; 12]), at(30));
        assert!(reserve(9).is_none());
        let room = reserve(10);
        assert!(room.is_some() && reserve(10).is_none());
        assert!(pending.take(&grant("a")).is_none());
        let taken = pending.take(&grant("b")).unwrap();
        assert!(reserve(10).is_none(), "it is under way");
        taken.completed();
        assert!(reserve(10).is_some());
    }
}

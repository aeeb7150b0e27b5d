//! A bound on the families that one client has in force on behalf of one subject.
//!
//! Only where the policy sets `families_per_pair_max`:
//!
//! 1. One row for each pair names its families, the oldest first. Whoever opens one reads that row
//!    and the families that it names, and leaves out those that are over ([`Opens::read`]).
//! 2. If there are as many as the policy allows, the oldest are revoked. The new family, the row,
//!    and those that end are written in one batch ([`Opens::make_room`]). Whether one is over is
//!    judged by the time that has come for good: one that only a leap of the clock has ended is in
//!    force again once that is taken back. It makes room before all others.
//! 3. The row is written anew with each family, under the condition that it is as it was read. So
//!    two openings for one pair never count past each other: the loser decides again.
//!
//! Where there is no row yet, or one that names no family, the families of the pair are listed
//! instead: those that were opened before a bound was set, or were imported, count as well.
//!
//! # What it does not do
//!
//! - One opening ends [`ENDED_MAX`] families at most, since a batch is bounded. A bound that is
//!   made much smaller is reached after a few openings; where the names of the pair have thousands
//!   of bytes together, it may only end one, and there come to be no more.
//! - A family that is revoked, or expires, between the look and the commit was counted. Then one
//!   more has ended than had to.
//! - What is opened while a bound that was set is taken away again does not count later.

use crate::decision::{Issuing, Owned, Rests, Standing};
use crate::family::ending::ended;
use crate::grants::Grants;
use grantkeep::backend::{Backend, PAGE_ROWS_MAX};
use grantkeep::{Family, Held, Owner, PAIR_FAMILIES_MAX, PairFamilies, Result, RevocationReason};
use std::ops::Deref;

/// One opening ends at most this many families.
const ENDED_MAX: usize = 8;

/// The rows of the families that one opening ends have about as many bytes of texts together, at
/// most; one of them always fits.
const ENDED_BYTES_MAX: usize = 8 * 1024;

/// How the owners of a grant stand, and which families they have, where that is bounded: what
/// opening another one rests on.
#[derive(Debug)]
pub(crate) struct Opens {
    standing: Standing,
    bound: Option<Bound>,
}

/// The families of a pair whose number is bounded.
#[derive(Debug)]
struct Bound {
    max: usize,
    row: Option<Held<PairFamilies>>,
    /// Those that are not over for good, the oldest first.
    in_force: Vec<Held<Family>>,
}

impl Deref for Opens {
    type Target = Standing;

    fn deref(&self) -> &Standing {
        &self.standing
    }
}

impl<B: Backend> Rests<B> for Opens {
    fn policy(&self) -> Option<&str> {
        Rests::<B>::policy(&self.standing)
    }

    async fn read(grants: &Grants<B>, owned: Owned<'_>) -> Result<Self> {
        let standing = Standing::read(grants, owned).await?;
        let max = grants.policy_for(standing.client())?.families_per_pair_max;
        let max = usize::try_from(max).unwrap_or(usize::MAX);
        let bound = if max == 0 || owned.subject.is_empty() {
            None
        } else {
            Some(Bound::read(grants, owned.subject, owned.client, max).await?)
        };
        Ok(Self { standing, bound })
    }
}

impl Bound {
    async fn read<B: Backend>(
        grants: &Grants<B>,
        subject: &str,
        client: &str,
        max: usize,
    ) -> Result<Self> {
        let row: Option<Held<PairFamilies>> =
            grants.store.get(PairFamilies::row_id(subject, client)).await?;
        let mut in_force = Vec::new();
        if let Some(row) = row.as_ref().filter(|row| !row.record.families.is_empty()) {
            for id in &row.record.families {
                let held = grants.store.get::<Family>(id.digest()).await?;
                in_force.extend(still_in_force(grants, held).await?);
            }
        } else {
            let (owner, mut after) = (Owner::Pair { subject, client }, None);
            loop {
                let page = grants.store.list::<Family>(owner, after, PAGE_ROWS_MAX).await?;
                for held in page.records {
                    in_force.extend(still_in_force(grants, Some(held)).await?);
                }
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            in_force.sort_by_key(|held| held.record.granted_at);
        }
        Ok(Self { max, row, in_force })
    }
}

/// The family, unless it is over for good.
async fn still_in_force<B: Backend>(
    grants: &Grants<B>,
    held: Option<Held<Family>>,
) -> Result<Option<Held<Family>>> {
    let Some(held) = held else { return Ok(None) };
    let admitted = grants.admitted_family(held).await?;
    Ok(admitted.filter(|held| held.in_force(grants.store.settled())))
}

impl Opens {
    /// Makes room for `family`, which is opened by this change, where their number is bounded.
    pub(crate) fn make_room<B: Backend>(
        &self,
        grants: &Grants<B>,
        issuing: &mut Issuing,
        family: &Family,
    ) -> Result<()> {
        let Some(Bound { max, row, in_force }) = &self.bound else {
            return Ok(());
        };
        let too_many = (in_force.len() + 1).saturating_sub(*max);
        let texts = family.client.len() + family.subject.len();
        let may_end = (ENDED_BYTES_MAX / (texts + 256)).clamp(1, ENDED_MAX);
        let mut ending: Vec<_> = in_force.iter().collect();
        ending.sort_by_key(|held| held.in_force(issuing.now()));
        ending.truncate(too_many.min(may_end));
        let stays = |held: &&Held<Family>| !ending.iter().any(|over| over.id == held.id);
        let kept: Vec<_> = in_force.iter().filter(stays).collect();
        for held in &ending {
            issuing.end(held, ended(grants, held, RevocationReason::Superseded))?;
        }
        // More than the row has room for: they are listed again next time.
        if kept.len() >= PAIR_FAMILIES_MAX {
            return Ok(());
        }
        let ids = kept.iter().map(|held| held.record.id).chain([family.id]);
        let record = PairFamilies { families: ids.collect() };
        let ends = kept.iter().map(|held| held.record.absolute_expires_at);
        let until = ends.fold(family.absolute_expires_at, Ord::max).min(issuing.latest());
        if let Some(row) = row {
            return issuing.replace(row, &record, until.max(row.expires_at));
        }
        let id = PairFamilies::row_id(&family.subject, &family.client);
        issuing.insert(id, &record, until)
    }
}

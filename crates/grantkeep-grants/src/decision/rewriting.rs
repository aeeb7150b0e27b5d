//! Changes of what is there: revocations, refusals, edits. They issue nothing.

use super::{Commit, Standing, Verdict, allowed};
use crate::events::Told;
use crate::grants::Grants;
use grantkeep::backend::Backend;
use grantkeep::{Change, Client, EpochNumber, Held, HeldEpoch, Record, Result, Timestamp};

/// A change of records that are there, which issues nothing.
#[derive(Debug)]
pub(crate) struct Rewriting(Change);

impl Rewriting {
    pub(crate) fn of<B: Backend>(grants: &Grants<B>) -> Result<Self> {
        Ok(Self(grants.store.change()?))
    }

    /// Puts a changed record in place of the one that was read, with its expiry.
    pub(crate) fn replace<R: Record>(&mut self, held: &Held<R>, record: &R) -> Result<()> {
        self.replace_until(held, record, held.expires_at)
    }

    /// Puts a record with other texts or another payload in place of the one that was read, with
    /// its expiry.
    pub(crate) fn edit<R: Record>(&mut self, held: &Held<R>, record: &R) -> Result<()> {
        let until = allowed(&self.0, held.expires_at);
        self.0.edit(held, record, until).map(drop)
    }

    /// Puts a changed record in place of the one that was read, until then, or for as long as this
    /// store allows.
    pub(crate) fn replace_until<R: Record>(
        &mut self,
        held: &Held<R>,
        record: &R,
        until: Timestamp,
    ) -> Result<()> {
        let until = allowed(&self.0, until);
        self.0.replace(held, record, until).map(drop)
    }

    /// Puts a record that is revoked, or goes with one that is, in place of the one that was read:
    /// it need not be kept for good.
    pub(crate) fn end<R: Record>(&mut self, held: &Held<R>, record: &R) -> Result<()> {
        let until = held.expires_at.min(self.0.latest());
        self.0.replace(held, record, until).map(drop)
    }

    /// Removes a record that was read.
    pub(crate) fn delete<R: Record>(&mut self, held: &Held<R>) {
        self.0.delete(held);
    }

    /// Rests on the standing of the owners as well.
    pub(crate) fn require(&mut self, standing: &Standing) {
        standing.epochs.require(&mut self.0);
    }

    /// Begins a new epoch of an owner: all that was issued under the one before is revoked.
    pub(crate) fn open_epoch(&mut self, epoch: &HeldEpoch) -> Result<()> {
        self.0.open_epoch(epoch).map(drop)
    }

    /// Begins a closed epoch of an owner: nothing is issued until another begins.
    pub(crate) fn close_epoch(&mut self, epoch: &HeldEpoch) -> Result<()> {
        self.0.close_epoch(epoch).map(drop)
    }

    /// Ends all families of a subject but those that are put in this change with the number which
    /// is answered.
    pub(crate) fn renew_families(&mut self, epoch: &HeldEpoch) -> Result<EpochNumber> {
        self.0.renew_families(epoch)
    }

    /// Rests on an epoch that is not changed.
    pub(crate) fn require_epoch(&mut self, epoch: &HeldEpoch) {
        epoch.require(&mut self.0);
    }

    /// Registers a client.
    pub(crate) fn register(&mut self, client: &Client) -> Result<()> {
        self.0.insert(Client::row_id(&client.id), client, Timestamp::NEVER).map(drop)
    }

    /// Says that it takes something away, and goes through where issuing is refused.
    pub(crate) fn revoking(&mut self) {
        self.0.revoking();
    }

    /// Says that it takes away everything that an owner has.
    pub(crate) fn revoking_owner(&mut self) {
        self.0.revoking_owner();
    }

    /// Commits it for this answer.
    pub(crate) fn commit<A>(self, told: Told, answer: A) -> Verdict<A> {
        Verdict::Commit(Commit { change: self.0, told, answer })
    }
}

//! What a page of sessions does besides listing families: signing out of a log-in session, and
//! signing out everywhere else.

use crate::decision::{Flow, Found, Owned, Rewriting, Verdict};
use crate::events::event::Event;
use crate::family::ending::OwnerRevocation;
use crate::family::families::GrantInForce;
use crate::grants::{Grants, check_name};
use crate::request::listed::Listed;
use grantkeep::backend::Backend;
use grantkeep::{Cursor, Family, FamilyId, Held, HeldEpoch, Owner, Result};

/// The answer to revoking the other families of a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OthersRevoked {
    /// They are revoked, and the named family is in force.
    Kept,
    /// They are revoked, and the named family is not in force either: it had ended before, or is
    /// none of this subject. Whoever asked is to sign in again.
    NothingKept,
}

impl<B: Backend> Grants<B> {
    /// The grants in force that were made in a log-in session; otherwise as
    /// [`Grants::families_of`].
    ///
    /// # Errors
    /// [`ErrorKind::Limit`](grantkeep::ErrorKind::Limit) for an empty name; otherwise as
    /// [`Backend::list`].
    pub async fn families_of_session(
        &self,
        session: &str,
        cursor: Option<Cursor>,
        limit: usize,
    ) -> Result<Listed<GrantInForce>> {
        check_name("the name of a log-in session", session)?;
        self.families(Owner::Session(session), cursor, limit).await
    }

    /// Revokes everything that was granted in a log-in session until now, codes and approved
    /// devices included, in one write: what a server does when the session ends (OpenID Connect
    /// Back-Channel Logout 1.0 section 2.7). What is granted later in a session of this name is in
    /// force.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`](grantkeep::ErrorKind::Limit) for an empty name; otherwise as
    /// [`Backend::commit`].
    ///
    /// # Durability
    /// The revocation is durable when this returns, and no issue that is answered later falls
    /// before it.
    pub async fn revoke_session(&self, session: &str) -> Result<()> {
        check_name("the name of a log-in session", session)?;
        self.decide(&mut OwnerRevocation(Owner::Session(session))).await
    }

    /// Revokes all that clients have on behalf of `subject` but the family `keep`, in one write:
    /// its other families with their access tokens, codes and approved devices that wait to become
    /// families, and access tokens that have no family. Personal tokens stay, since their owner
    /// revokes them by hand. What `keep` has stays in force: its refresh token and its access
    /// tokens.
    ///
    /// Codes and devices go as well, since whoever holds one could open another family with it
    /// after this was answered. A device that nobody has approved yet is nobody's, and stays.
    ///
    /// A family that is not in force, or is somebody else's, is not kept, and comes to nothing by
    /// this: the others end all the same, since whoever asks wants that.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`](grantkeep::ErrorKind::Limit) for an empty name; otherwise as
    /// [`Backend::commit`].
    ///
    /// # Durability
    /// The revocation is durable when this returns, and no issue that is answered later falls
    /// before it.
    pub async fn revoke_others(&self, subject: &str, keep: FamilyId) -> Result<OthersRevoked> {
        check_name("a subject", subject)?;
        self.decide(&mut OthersRevocation { subject, keep }).await
    }
}

/// All families of a subject that are to be revoked, but one.
struct OthersRevocation<'a> {
    subject: &'a str,
    keep: FamilyId,
}

/// The family that is kept, if it is in force, and the epoch of its subject.
type Kept = (Option<Held<Family>>, HeldEpoch);

impl<B: Backend> Flow<B> for OthersRevocation<'_> {
    const NAME: &'static str = "revoke_others";
    type Read = Kept;
    /// Nothing else: it must be possible whatever has become of the client and its policy.
    type Rests = ();
    type Answer = OthersRevoked;

    async fn read(&mut self, grants: &Grants<B>) -> Result<Found<Kept, OthersRevoked>> {
        let held = grants.store.get::<Family>(self.keep.digest()).await?;
        let epoch = grants.store.epoch(Owner::Subject(self.subject)).await?;
        let Some(held) = held.filter(|held| held.record.subject == self.subject) else {
            return Ok(Found::Records((None, epoch)));
        };
        // After the epoch: if that has changed by now, the change is a conflict.
        let admitted = grants.admitted_family(held).await?;
        let kept = admitted.filter(|held| held.in_force(grants.store.now()));
        Ok(Found::Records((kept, epoch)))
    }

    fn owners<'r>(&'r self, _: &'r Kept) -> Owned<'r> {
        Owned::default()
    }

    fn judge(
        &mut self,
        grants: &Grants<B>,
        (kept, epoch): Kept,
        (): &(),
    ) -> Result<Verdict<OthersRevoked>> {
        let mut rewriting = Rewriting::of(grants)?;
        let families = rewriting.renew_families(&epoch)?;
        let mut answer = OthersRevoked::NothingKept;
        if let Some(mut held) = kept {
            // Its other numbers stay: a revocation of its client or session holds.
            held.record.epochs.families = Some(families);
            rewriting.replace(&held, &held.record)?;
            rewriting.revoking();
            answer = OthersRevoked::Kept;
        } else {
            rewriting.revoking_owner();
        }
        let kept = (answer == OthersRevoked::Kept).then_some(self.keep);
        let told = grants
            .told()
            .event(|| Event::OthersRevoked { subject: self.subject.to_owned(), family: kept });
        Ok(rewriting.commit(told, answer))
    }
}

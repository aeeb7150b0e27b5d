//! Epochs: everything of a subject, of a client, or of the two together is revoked by changing one
//! row.
//!
//! What is issued records the numbers of the epochs that it is issued under, and rests on them: it
//! is in force while each is the one that stands. An owner whose epoch has no row never revoked
//! anything, or all that was issued before has expired. The rows of subjects and clients stay for
//! good; the head of `horizon.rs` says when those of a pair and of a session expire, and why
//! nothing is in force again then.
//!
//! # Two numbers for a subject
//!
//! The row of a subject has a second number, for ending all of its families but one
//! ([`Change::renew_families`]):
//!
//! 1. Whatever rests on a pair rests on it as well: families, codes, devices, and tokens that have
//!    no family. Personal tokens rest on neither.
//! 2. A family that is kept is written anew in the same batch, with the new number.
//! 3. Access tokens of a family rest on the number that the *family* has now, and not on one of
//!    their own: those of a family that is kept stay in force.
//! 4. Whatever is issued requires the row as it was read, so nothing that was decided before is
//!    committed after.

use super::change::Change;
use super::fence::Fence;
use super::horizon::HeldHorizon;
use super::owner::{Owner, Owners, padded};
use super::record::{Held, Record};
use super::{Store, as_read};
use crate::backend::{Backend, Key, Kind, Outcome, Term};
use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::keyring::random;
use crate::sabotage::{self, Flaw};
use serde::{Deserialize, Serialize};

/// The key of the epoch of whoever is listed by this term.
fn key(term: Term) -> Key {
    Key::new(Epoch::KIND, padded(term))
}

/// The number of an epoch: a random one, so that no two are alike, whoever's they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochNumber(u64);

impl EpochNumber {
    fn draw() -> Result<Self> {
        let mut bytes = [0; 8];
        random(&mut bytes)?;
        Ok(Self(u64::from_le_bytes(bytes)))
    }
}

/// The epoch that an owner is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Epoch {
    /// What is recorded in what is issued under it; `None` while only families were ever ended.
    pub number: Option<EpochNumber>,
    /// Of a subject, what is recorded in what rests on a pair; `None` if no families were ended
    /// since the number.
    pub families: Option<EpochNumber>,
    /// True if nothing is issued under it: its owner is disabled.
    pub closed: bool,
}

impl Record for Epoch {
    const KIND: Kind = Kind::revised(6);
    const NAME: &'static str = "epoch";

    fn check(&self) -> Result<()> {
        Ok(())
    }
}

impl Epoch {
    /// True if what was issued under this number is in force under this epoch.
    fn admits(&self, issued: Option<EpochNumber>) -> bool {
        !self.closed && (self.number.is_none() || self.number == issued)
    }

    /// True if what rests on a pair, and was issued under this number, was not ended with the
    /// families of its subject.
    fn admits_family(&self, issued: Option<EpochNumber>) -> bool {
        self.families.is_none() || self.families == issued
    }
}

/// The epochs that something was issued under; `None` where its owner had none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Epochs {
    /// The store's fence, if it was ever restored.
    pub fence: Option<Fence>,
    /// The subject's.
    pub subject: Option<EpochNumber>,
    /// The second number of the subject's, for what rests on a pair.
    pub families: Option<EpochNumber>,
    /// The client's.
    pub client: Option<EpochNumber>,
    /// That of the pair of both.
    pub pair: Option<EpochNumber>,
    /// That of the log-in session.
    pub session: Option<EpochNumber>,
}

impl Epochs {
    /// As many bytes as any take: a record that fits with these fits with those that it is issued
    /// under.
    pub fn longest() -> Self {
        let number = Some(EpochNumber(u64::MAX));
        Self {
            fence: Some(Fence::longest()),
            subject: number,
            families: number,
            client: number,
            pair: number,
            session: number,
        }
    }

    /// These for what does not rest on the pair, as a personal token: nor does it go with the
    /// families of its subject, or with a session.
    #[must_use]
    pub fn without_pair(self) -> Self {
        Self { families: None, pair: None, session: None, ..self }
    }
}

/// The epochs as they stand, with what it takes to hold them still during a commit.
#[derive(Debug, Clone)]
pub struct StandingEpochs {
    fence: Option<Fence>,
    subject: Standing,
    client: Standing,
    pair: Option<Standing>,
    session: Option<Standing>,
    /// The horizon before they were read.
    horizon: Timestamp,
}

/// An epoch's key, and what stands there.
type Standing = (Key, Option<Held<Epoch>>);

impl StandingEpochs {
    /// What to record in something issued now.
    pub fn epochs(&self) -> Epochs {
        let number = |(_, held): &Standing| held.as_ref().and_then(|held| held.record.number);
        let families = |_: &Standing| self.subject.1.as_ref().and_then(|held| held.record.families);
        Epochs {
            fence: self.fence,
            subject: number(&self.subject),
            families: self.pair.as_ref().and_then(families),
            client: number(&self.client),
            pair: self.pair.as_ref().and_then(number),
            session: self.session.as_ref().and_then(number),
        }
    }

    /// True if what was issued under `issued` has not been revoked since.
    ///
    /// An owner without an epoch never revoked anything that can be in force.
    pub fn admit(&self, issued: &Epochs) -> bool {
        let now = self.epochs();
        if sabotage::is(Flaw::EpochIgnored) {
            return true;
        }
        let each = [
            (now.subject, issued.subject),
            (now.families, issued.families),
            (now.client, issued.client),
            (now.pair, issued.pair),
            (now.session, issued.session),
        ];
        !self.is_closed()
            && now.fence == issued.fence
            && each.iter().all(|(now, issued)| now.is_none() || now == issued)
    }

    /// True if one of the owners is disabled: nothing may be issued.
    pub fn is_closed(&self) -> bool {
        self.standing().any(|(_, held)| held.as_ref().is_some_and(|held| held.record.closed))
    }

    /// Makes `change` depend on the epochs standing as they were read.
    pub fn require(&self, change: &mut Change) {
        for (key, held) in self.standing() {
            change.require_key(*key, as_read(held.as_ref()));
        }
        if self.pair.is_some() {
            change.rest_within(self.horizon);
        }
    }

    fn standing(&self) -> impl Iterator<Item = &Standing> {
        [&self.subject, &self.client].into_iter().chain(&self.pair).chain(&self.session)
    }
}

impl<B: Backend> Store<B> {
    /// The epochs of a subject, a client, and the pair of both as they stand. An empty name is
    /// nobody, who is no part of a pair.
    ///
    /// # Errors
    /// As [`Backend::get`]; and as [`Backend::commit`], since the store may have to note first how
    /// long what is issued now may live.
    pub async fn epochs(&self, subject: &str, client: &str) -> Result<StandingEpochs> {
        self.epochs_of(Owners::new(subject, client)).await
    }

    /// The epochs of these owners as they stand.
    ///
    /// # Errors
    /// As [`Store::epochs`].
    pub async fn epochs_of(&self, owners: Owners) -> Result<StandingEpochs> {
        // Before they are read: see `horizon.rs`.
        let horizon = match owners.pair {
            Some(_) => self.inner.horizon_ahead().await?,
            None => Timestamp::default(),
        };
        Ok(StandingEpochs {
            fence: self.inner.fence,
            subject: self.standing(owners.subject).await?,
            client: self.standing(owners.client).await?,
            pair: self.standing_if(owners.pair).await?,
            session: self.standing_if(owners.session).await?,
            horizon,
        })
    }

    async fn standing_if(&self, owner: Option<Term>) -> Result<Option<Standing>> {
        match owner {
            Some(owner) => self.standing(owner).await.map(Some),
            None => Ok(None),
        }
    }

    async fn standing(&self, owner: Term) -> Result<Standing> {
        let key = key(owner);
        Ok((key, self.get(key.id).await?))
    }

    /// True if none of the owners was revoked since something was issued under `issued`, and the
    /// store was not restored since.
    ///
    /// The epochs of a pair and of a session go once what they revoked has expired. So judge an
    /// expiry by [`Store::now`] as it is after this.
    ///
    /// Of an access token that has a family, `issued` has the second number of the
    /// [family](crate::FamilyStanding::families).
    ///
    /// # Errors
    /// As [`Backend::get`].
    pub async fn admits(&self, owners: Owners, issued: &Epochs) -> Result<bool> {
        if issued.fence != self.inner.fence {
            return Ok(false);
        }
        if sabotage::is(Flaw::EpochIgnored) {
            return Ok(true);
        }
        let rests_on_pair = owners.pair.is_some();
        let subject = self.get::<Epoch>(key(owners.subject).id).await?;
        if let Some(Held { record: epoch, .. }) = subject
            && (!epoch.admits(issued.subject)
                || rests_on_pair && !epoch.admits_family(issued.families))
        {
            return Ok(false);
        }
        for (owner, issued) in [
            (Some(owners.client), issued.client),
            (owners.pair, issued.pair),
            (owners.session, issued.session),
        ] {
            let Some(owner) = owner else { continue };
            let held = self.get::<Epoch>(key(owner).id).await?;
            if held.is_some_and(|held| !held.record.admits(issued)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The epoch of one owner, to begin another in a [`Change`].
    ///
    /// # Errors
    /// [`ErrorKind::Limit`] for a session or a pair with an empty name, which has none. Otherwise
    /// as [`Backend::get`].
    pub async fn epoch(&self, owner: Owner<'_>) -> Result<HeldEpoch> {
        owner.check_has_epoch()?;
        let id = key(owner.term()).id;
        let horizon = match owner {
            Owner::Pair { .. } | Owner::Session(_) => Some(self.inner.held_horizon().await?),
            Owner::Subject(_) | Owner::Client(_) => None,
        };
        let is_subjects = matches!(owner, Owner::Subject(_));
        Ok(HeldEpoch { id, held: self.get(id).await?, horizon, is_subjects })
    }

    /// Begins a new epoch: everything issued to `owner` before is revoked, in one write. One that
    /// is closed stays so. That of a pair spares personal tokens, which do not rest on it, and so
    /// does that of a session.
    ///
    /// # Errors
    /// As [`Store::epoch`], and as [`Backend::commit`].
    ///
    /// # Durability
    /// On success the revocation is durable, and no later issue falls before it.
    pub async fn begin_epoch(&self, owner: Owner<'_>) -> Result<()> {
        loop {
            let epoch = self.epoch(owner).await?;
            let mut change = self.change()?;
            if epoch.is_closed() {
                change.close_epoch(&epoch)?
            } else {
                change.open_epoch(&epoch)?
            };
            change.revoking_owner();
            if self.commit(change).await? == Outcome::Applied {
                return Ok(());
            }
        }
    }
}

/// The epoch of one owner as it was read; see [`Store::epoch`].
#[derive(Debug, Clone)]
pub struct HeldEpoch {
    id: Digest,
    held: Option<Held<Epoch>>,
    /// Where the epoch of a pair or a session expires.
    horizon: Option<HeldHorizon>,
    /// Only the epoch of a subject has a second number.
    is_subjects: bool,
}

impl HeldEpoch {
    /// The epoch, unless nothing was ever revoked that can be in force.
    pub fn held(&self) -> Option<&Held<Epoch>> {
        self.held.as_ref()
    }

    /// True if its owner is disabled.
    pub fn is_closed(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.record.closed)
    }

    /// Makes `change` depend on the epoch standing as it was read.
    pub fn require(&self, change: &mut Change) {
        change.require_key(Key::new(Epoch::KIND, self.id), as_read(self.held.as_ref()));
    }
}

impl Change {
    /// Begins a new epoch: everything issued under the one that was read is revoked.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] where the system's random generator fails.
    pub fn open_epoch(&mut self, epoch: &HeldEpoch) -> Result<&mut Self> {
        self.put_epoch(epoch, false)
    }

    /// The same, and nothing is issued until another is opened: for an owner that is disabled.
    ///
    /// # Errors
    /// As [`Change::open_epoch`].
    pub fn close_epoch(&mut self, epoch: &HeldEpoch) -> Result<&mut Self> {
        self.put_epoch(epoch, true)
    }

    /// Ends what rests on a pair of this subject with anybody: families, codes, devices, and tokens
    /// without a family. Personal tokens are spared, and so is a family that has the number which
    /// is answered here in its [`Epochs::families`], when it is put in the same change.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`] for the epoch of another owner than a subject; [`ErrorKind::Io`] where
    /// the system's random generator fails.
    pub fn renew_families(&mut self, epoch: &HeldEpoch) -> Result<EpochNumber> {
        if !epoch.is_subjects {
            return Err(Error::new(
                ErrorKind::Limit,
                "the families of a subject are ended together: name a subject",
            ));
        }
        let families = EpochNumber::draw()?;
        let before = epoch.held.as_ref().map(|held| held.record);
        let closed = before.is_some_and(|before| before.closed);
        let number = before.and_then(|before| before.number);
        self.put_row_of(epoch, Epoch { number, families: Some(families), closed })?;
        Ok(families)
    }

    /// What was issued under an earlier second number was issued under an earlier first one as
    /// well, so the new epoch begins without one.
    fn put_epoch(&mut self, at: &HeldEpoch, closed: bool) -> Result<&mut Self> {
        let number = Some(EpochNumber::draw()?);
        self.put_row_of(at, Epoch { number, families: None, closed })
    }

    /// The row never expires, unless it is that of a pair or a session: what it revokes may live
    /// until it is revoked, or longer than a store that is opened anew with a shorter longest
    /// lifetime would know. A closed one stays as well, since nothing ends a closure but an
    /// opening.
    fn put_row_of(&mut self, at: &HeldEpoch, epoch: Epoch) -> Result<&mut Self> {
        let closed = epoch.closed;
        match at.horizon.filter(|_| !closed) {
            Some(horizon) => self.put_until_horizon(at.id, at.held.as_ref(), &epoch, horizon),
            None => self.put_row(at.id, at.held.as_ref(), &epoch, Timestamp::NEVER),
        }
    }
}

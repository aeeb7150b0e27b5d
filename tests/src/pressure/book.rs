//! What one client was told of what it owns, and what each answer must therefore be.
//!
//! Nobody else changes what a client owns. A row that an answer made is there from then on; one
//! that was revoked or spent is gone for good. Where a call was refused between two steps either
//! may be so, until an answer tells.

use grantkeep::{FamilyId, Timestamp};

/// Whether something is in force, by what was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Until it expires.
    InForce,
    /// Never again.
    Ended,
    /// Not known: a call was refused that may have ended it.
    Either,
}

/// When something expires: not before the first time, not after the second.
#[derive(Debug, Clone, Copy)]
pub struct Expiry {
    /// Before this it is in force.
    pub earliest: Timestamp,
    /// From this on it is not.
    pub latest: Timestamp,
}

/// The time of the store around a call; `still` if the clock was not stepped meanwhile.
#[derive(Debug, Clone, Copy)]
pub struct Around {
    /// Before the call.
    pub before: Timestamp,
    /// After it.
    pub after: Timestamp,
    /// True if time has only passed in between.
    pub still: bool,
}

impl Around {
    /// The expiry of what was issued by the call.
    pub fn plus(&self, life_s: u64) -> Expiry {
        let life = std::time::Duration::from_secs(life_s);
        if !self.still {
            return Expiry { earliest: Timestamp::default(), latest: Timestamp::MAX };
        }
        let earliest = self.before.saturating_add(life);
        Expiry { earliest, latest: self.after.saturating_add(life) }
    }

    /// What the answer must be, as far as that is known.
    pub fn must_be_in_force(&self, standing: Standing, expiry: Expiry) -> Option<bool> {
        match standing {
            Standing::Ended => Some(false),
            _ if !self.still => None,
            _ if self.before >= expiry.latest => Some(false),
            Standing::InForce if self.after < expiry.earliest => Some(true),
            _ => None,
        }
    }
}

/// A token that is looked up and revoked.
#[derive(Debug, Clone)]
pub struct Known {
    /// Its text.
    pub text: String,
    /// The number of its subject, and of its client.
    pub owner: (usize, usize),
    /// The family that it came from.
    pub family: Option<FamilyId>,
    /// Whether it is in force.
    pub standing: Standing,
    /// When it expires.
    pub expiry: Expiry,
}

/// A code.
#[derive(Debug, Clone)]
pub struct KnownCode {
    /// As for a token.
    pub known: Known,
    /// The policy under which it was issued.
    pub life: usize,
    /// True once it was redeemed.
    pub granted: bool,
}

/// A family, by its present refresh token.
#[derive(Debug, Clone)]
pub struct KnownGrant {
    /// As for a token; its text is the refresh token.
    pub known: Known,
    /// The refresh token before.
    pub spent: Option<String>,
    /// The policy under which it was issued.
    pub life: usize,
    /// When the family ends however often it is refreshed.
    pub absolute: Expiry,
}

/// All that a client knows.
#[derive(Debug, Default)]
pub struct Book {
    /// Access and personal tokens.
    pub tokens: Vec<Known>,
    /// Codes, redeemed ones included.
    pub codes: Vec<KnownCode>,
    /// Families.
    pub grants: Vec<KnownGrant>,
    /// Values that were burnt, and when whatever carries them ends, by the wall clock.
    pub burnt: Vec<(String, std::time::SystemTime)>,
}

impl Book {
    /// Everything that was issued and fits `owned` has ended, or may have.
    pub fn end(&mut self, standing: Standing, owned: impl Fn(&Known) -> bool) {
        let codes = self.codes.iter_mut().map(|code| &mut code.known);
        let grants = self.grants.iter_mut().map(|grant| &mut grant.known);
        for known in self.tokens.iter_mut().chain(codes).chain(grants) {
            if known.standing != Standing::Ended && owned(known) {
                known.standing = standing;
            }
        }
    }

    /// A family has ended.
    pub fn end_family(&mut self, family: FamilyId, standing: Standing) {
        self.end(standing, |known| known.family == Some(family));
    }
}

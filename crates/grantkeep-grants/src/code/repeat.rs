//! Lost answers: the redemption of a code, or the poll of a device, that comes again because its
//! response did not arrive.
//!
//! 1. Where the policy allows it, spending notes what it came with and which access token it gave,
//!    in a row that lives for the grace period ([`note`]).
//! 2. Who comes again with the same, while the family is as it was opened, is answered the same
//!    refresh token, derived again, and an access token in place of the first ([`answer`]). So
//!    however often it comes, one access token is in force, and one family was opened (P3).
//! 3. Who comes again with the same for a family that ended by itself, unused, is told that it
//!    expired, or that it was revoked. That is no replay, and nobody is warned of one.
//! 4. Anything else is a replay, and ends the family.
//!
//! A refresh token that a minter made cannot be derived again: such an answer is not repeated.

use crate::code::redeem::Presented;
use crate::decision::{Issuing, Standing, Verdict};
use crate::events::event::Event;
use crate::family::opening::{FirstTokens, expires_in, family_token};
use crate::grants::Grants;
use crate::request::issued::Issued;
use crate::request::proof::token_type;
use crate::request::scope::Scopes;
use crate::text::attachment::Attachment;
use grantkeep::backend::Backend;
use grantkeep::{
    Challenge, Digest, Family, FamilyState, Held, Repeat, Result, RevocationReason, Token,
};

/// The row of an answer that may be repeated, and the access token that it gave.
pub(crate) struct Noted {
    repeat: Held<Repeat>,
    access: Option<Held<Token>>,
}

impl Noted {
    /// What was noted when the code with this id was spent.
    pub(crate) async fn read<B: Backend>(grants: &Grants<B>, id: Digest) -> Result<Option<Self>> {
        let Some(repeat) = grants.store.get::<Repeat>(id).await? else {
            return Ok(None);
        };
        let access = grants.store.get(Digest::from_bytes(repeat.record.access)).await?;
        Ok(Some(Self { repeat, access }))
    }
}

/// Notes what a first answer takes to be repeated.
pub(crate) fn note<B: Backend>(
    grants: &Grants<B>,
    issuing: &mut Issuing,
    id: Digest,
    presented: &Presented<'_>,
    (redirect_uri, challenge): (Option<String>, Option<Challenge>),
    FirstTokens { issued, access, .. }: &FirstTokens,
    audience: String,
) -> Result<()> {
    let grace = grants.policy.refresh_grace;
    // A brought refresh token cannot be derived again, and none is none.
    if grace.is_zero() || issued.refresh.is_none() || grants.minter().is_some() {
        return Ok(());
    }
    let repeat = Repeat {
        redirect_uri,
        challenge,
        confirmation: presented.confirmation,
        nonce: issued.nonce.clone(),
        audience,
        access: *access.as_bytes(),
    };
    let until = issuing.now().saturating_add(grace);
    issuing.insert(id, &repeat, until)
}

/// What comes of an answer that is asked for once more.
pub(crate) enum Again {
    /// What was answered before, with another access token.
    Granted(Box<Issued>),
    /// Its family has expired.
    Expired,
    /// Its family was revoked, and not for a replay; or one of the owners was.
    Revoked,
}

/// What comes of the answer once more, if what is presented is what was presented then and nothing
/// of the answer was used; `None` for a replay.
pub(crate) fn answer<B: Backend, A>(
    grants: &Grants<B>,
    standing: &Standing,
    noted: Option<Noted>,
    family: Option<&Held<Family>>,
    presented: &Presented<'_>,
    wrap: impl FnOnce(Again) -> A,
) -> Result<Option<Verdict<A>>> {
    let Some((Noted { repeat, access }, held)) = noted.zip(family) else {
        return Ok(None);
    };
    let (first, family) = (&repeat.record, &held.record);
    let unused = family.refreshes == 0 && family.retries == 0;
    let now = grants.store.now();
    if repeat.is_expired(now) || !unused || !presented.is_again(first) {
        return Ok(None);
    }
    match family.state {
        FamilyState::Active => {}
        FamilyState::Revoked {
            reason: RevocationReason::Requested | RevocationReason::Superseded,
            ..
        } => return Ok(Some(Verdict::answer(wrap(Again::Revoked)))),
        FamilyState::Revoked { .. } => return Ok(None),
    }
    if held.is_expired(now) {
        return Ok(Some(Verdict::answer(wrap(Again::Expired))));
    }
    if !standing.admits(&family.epochs) {
        return Ok(Some(Verdict::if_unchanged(held, wrap(Again::Revoked))));
    }
    let mut issuing = standing.issue(grants)?;
    let keyring = grants.store.keyring();
    let open = |payload| Attachment::open(payload, &keyring, &family.salt);
    let attachment = family.payload.as_ref().map(open).transpose()?;
    let until = issuing.now().saturating_add(grants.policy.access_lifetime).min(held.expires_at);
    let narrowed = (family.scopes.clone(), first.audience.clone());
    let token = Token {
        confirmation: first.confirmation,
        ..family_token(family, issuing.epochs(), grants.store.wall(), narrowed)
    };
    let (text, id) = grants.add_token(&mut issuing, token, until, attachment.as_ref())?;
    if let Some(access) = &access {
        issuing.delete(access);
    }
    let access = *id.as_bytes();
    issuing.replace(&repeat, &Repeat { access, ..first.clone() }, repeat.expires_at)?;
    issuing.require(held);
    let (client, subject) = (family.client.clone(), family.subject.clone());
    let told = grants.told().event(|| Event::Repeated { client, subject, family: family.id });
    let issued = Issued {
        access: text,
        refresh: Some(grants.derived(family)?),
        expires_in: expires_in(issuing.now(), until),
        token_type: token_type(first.confirmation.as_ref()),
        scopes: Scopes::stored(family.scopes.clone()),
        subject: Some(family.subject.clone()),
        nonce: first.nonce.clone(),
        payload: attachment.as_ref().map(Attachment::bytes),
        family: Some(family.id),
    };
    Ok(Some(issuing.commit(told, wrap(Again::Granted(Box::new(issued))))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::{Flow, Found, Owned};
    use crate::events::Told;
    use crate::family::bound::Opens;
    use crate::family::opening::Opening;
    use crate::policy::Policy;
    use grantkeep::{Embedded, Store, Wait as _};

    const ID: Digest = Digest::from_bytes([7; 32]);

    /// A first answer during which the root key is rotated.
    struct Rotated(Opening);

    impl Flow<Embedded> for Rotated {
        const NAME: &'static str = "rotated";
        type Read = ();
        type Rests = Opens;
        type Answer = ();

        async fn read(&mut self, _: &Grants) -> Result<Found<(), ()>> {
            Ok(Found::Records(()))
        }

        fn owners<'r>(&'r self, (): &'r ()) -> Owned<'r> {
            Owned { subject: &self.0.subject, client: &self.0.client, session: None }
        }

        fn judge(&mut self, grants: &Grants, (): (), opens: &Opens) -> Result<Verdict<()>> {
            let mut issuing = opens.issue(grants)?;
            grants.store().rotate_keyring().wait()?;
            let (_, first) = grants.open_family(&mut issuing, &self.0, opens)?;
            let (presented, none) = (Presented::by(&self.0.client), (None, None));
            note(grants, &mut issuing, ID, &presented, none, &first, String::new())?;
            Ok(issuing.commit(Told::nothing(), ()))
        }
    }

    // Goal: P3, the access token of a first answer is found when another takes its place, also if
    // the root key was rotated while it was issued (RFC 6749 section 4.1.2). Method: rotate it
    // between the look at the keys and the note.
    #[test]
    fn what_is_noted_is_found_under_its_own_key() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::options().reserve_bytes(0).open(dir.path().join("store")).unwrap();
        let grants = Grants::new(store, Policy::default()).unwrap();
        let (client, subject) = ("client-1".to_owned(), "alice".to_owned());
        let mut flow = Rotated(Opening { client, subject, ..Opening::default() });
        grants.decide(&mut flow).wait().unwrap();
        let noted = Noted::read(&grants, ID).wait().unwrap().unwrap();
        assert!(noted.access.is_some());
    }
}

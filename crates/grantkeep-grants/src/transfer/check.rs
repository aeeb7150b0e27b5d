//! Checking a line: everything that would keep it from being issued is found here, before anything
//! is written.

use super::arrival::{Arrival, Bearer};
use super::line::{ClientLine, Ends, FamilyLine, Line, PersonalLine, Text, TokenLine, Told};
use crate::clients::{ArrivingClient, ArrivingSecret, GrantType, NewClient};
use crate::grants::{Grants, can_be_held, check_name};
use crate::request::audience::AskedAudience;
use crate::request::scope::Scopes;
use crate::text::attachment::close;
use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER_PERMISSIVE};
use grantkeep::backend::Backend;
use grantkeep::{
    Confirmation, Digest, Epochs, Error, ErrorKind, Family, FamilyId, FamilyState, Payload,
    Personal, Record, Result, SessionId, TOKEN_BYTES_MAX, TOKEN_BYTES_MIN, Timestamp, Token,
    TokenKind, TokenSha256, random,
};
use std::time::Duration;
use zeroize::Zeroizing;

/// The moment that an import goes by: what ends in so many seconds does so from then on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) now: Timestamp,
    pub(crate) wall: Timestamp,
}

impl Moment {
    /// When something ends, by the store's time.
    fn end(self, ends: Ends) -> Result<Option<Timestamp>> {
        match ends {
            Ends { within: None, at: None } => Ok(None),
            Ends { within: Some(seconds), at: None } => {
                Ok(Some(self.now.saturating_add(Duration::from_secs(seconds))))
            }
            Ends { within: None, at: Some(seconds) } => {
                // One that is too far is refused for its length: it must not become none.
                let left = wall_time(seconds).since(self.wall);
                let until = self.now.saturating_add(left);
                Ok(Some(if until == Timestamp::NEVER { Timestamp::MAX } else { until }))
            }
            Ends { within: Some(_), at: Some(_) } => {
                Err(limit("it ends twice: give the seconds that are left, or the time"))
            }
        }
    }
}

/// The name of a family of another server as an id of ours: the same each time.
pub(crate) fn family_id(name: &str) -> FamilyId {
    let digest = Digest::of_name("imported family", name.as_bytes());
    FamilyId(digest.as_bytes().first_chunk().copied().unwrap_or_default())
}

impl<B: Backend> Grants<B> {
    /// What a line brings. Its epochs and root keys are the longest that there may be, so that it
    /// fits with those of the moment when it is issued.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn arrival(&self, line: Line, moment: Moment) -> Result<Arrival> {
        let arrival = match line {
            Line::Token(line) => self.token_arrival(line, moment)?,
            Line::Personal(line) => self.personal_arrival(line, moment)?,
            Line::Family(line) => self.family_arrival(line, moment)?,
            Line::Client(line) => self.client_arrival(&line, moment)?,
        };
        let arrival = arrival.unless_over(moment.now);
        match &arrival {
            Arrival::Token { record, until, .. } => self.try_out(record, *until),
            Arrival::Personal { record, until, .. } => self.try_out(record, *until),
            Arrival::Family { record, until, .. } => {
                self.try_out(&**record, record.absolute_expires_at)?;
                self.try_out(&**record, *until)
            }
            Arrival::Client(record) => self.try_out(&**record, Timestamp::NEVER),
            Arrival::Ended(_) => Ok(()),
        }?;
        Ok(arrival)
    }

    /// Whether the store would take this record up to then: its fields, its length, its lifetime.
    fn try_out<R: Record>(&self, record: &R, until: Timestamp) -> Result<()> {
        let mut change = self.store.change()?;
        // What ends this very moment is passed over once it is to be issued.
        let until = until.max(change.now().saturating_add(Duration::from_millis(1)));
        change.insert(Digest::from_bytes([0; 32]), record, until).map(drop)
    }

    fn token_arrival(&self, mut line: TokenLine, moment: Moment) -> Result<Arrival> {
        check_name("a client id", &line.client)?;
        let bearer = bearer(line.told())?.ok_or_else(no_bearer)?;
        let until = moment.end(line.ends())?.ok_or_else(no_end)?;
        let of_client = line.subject.is_empty();
        if of_client && line.family.is_some() {
            return Err(limit("a token of a family names its subject"));
        }
        let record = Token {
            kind: if of_client { TokenKind::ClientCredential } else { TokenKind::Access },
            client: line.client,
            subject: line.subject,
            scopes: Scopes::read(&line.scopes)?.into_text(),
            audience: audience(line.audience)?,
            confirmation: confirmation(line.jkt, line.x5t_s256)?,
            family: line.family.as_deref().map(family_id),
            issued_at: line.issued_at.map_or(moment.wall, wall_time),
            epochs: Epochs::longest(),
            revoked_at: None,
            payload: self.plain(line.payload)?,
        };
        Ok(Arrival::Token { bearer, record, until })
    }

    fn personal_arrival(&self, mut line: PersonalLine, moment: Moment) -> Result<Arrival> {
        check_name("a subject", &line.subject)?;
        let bearer = bearer(line.told())?.ok_or_else(no_bearer)?;
        let until = match (moment.end(line.ends())?, line.without_expiry) {
            (Some(until), false) => until,
            (None, true) if self.policy.personal_without_expiry => Timestamp::NEVER,
            (None, true) => {
                return Err(limit(
                    "the policy does not allow personal tokens without expiry: give it an end, or \
                     set `personal_without_expiry`",
                ));
            }
            (Some(_), true) => return Err(limit("it has an end, and is said to have none")),
            (None, false) => return Err(no_end()),
        };
        let record = Personal {
            name: line.name,
            key_id: u32::MAX,
            subject: line.subject,
            client: line.client,
            scopes: Scopes::read(&line.scopes)?.into_text(),
            issued_at: line.issued_at.map_or(moment.wall, wall_time),
            epochs: Epochs::longest().without_pair(),
            revoked_at: None,
            payload: self.plain(line.payload)?,
        };
        Ok(Arrival::Personal { bearer, record, until })
    }

    fn family_arrival(&self, mut line: FamilyLine, moment: Moment) -> Result<Arrival> {
        check_name("the name of a family", &line.name)?;
        let bearer = bearer(line.told())?;
        let until = moment.end(line.expires())?.ok_or_else(no_end)?;
        let ends_at = moment.end(line.ends())?.unwrap_or(until);
        let until = until.min(ends_at);
        let generation = line.generation.unwrap_or(1);
        if generation == 0 {
            return Err(limit("its generation is 0, and the first is 1"));
        }
        if line.idle == Some(0) {
            return Err(limit("its `idle` is 0 seconds, and the least is 1"));
        }
        let mut salt = Zeroizing::new([0; 32]);
        random(&mut salt[..])?;
        let record = Family {
            state: FamilyState::Active,
            absolute_expires_at: ends_at,
            id: family_id(&line.name),
            client: line.client,
            subject: line.subject,
            granted_at: line.granted_at.map_or(moment.wall, wall_time),
            label: line.label,
            session: session(line.session, line.session_id)?,
            facts: None,
            scopes: Scopes::read(&line.scopes)?.into_text(),
            audience: audience(line.audience)?,
            confirmation: confirmation(line.jkt, line.x5t_s256)?,
            generation,
            brought: bearer.as_ref().map(|_| u32::MAX),
            salt: *salt,
            key_id: u32::MAX,
            rotated_at: moment.now,
            rotated_lead_ms: 0,
            refreshes: generation - 1,
            retries: 0,
            retried_generations: 0,
            idle_s: line.idle,
            epochs: Epochs::longest(),
            payload: self.plain(line.payload)?,
        };
        Ok(Arrival::Family { bearer, record: Box::new(record), until })
    }

    fn client_arrival(&self, line: &ClientLine, moment: Moment) -> Result<Arrival> {
        let new = if line.confidential {
            NewClient::confidential(line.id.as_str())
        } else {
            NewClient::public(line.id.as_str())
        };
        let grants = line.grants.iter().map(|name| {
            GrantType::read(name).ok_or_else(|| limit("one of its grants is no `grant_type`"))
        });
        let mut new = new
            .name(&line.name)
            .grants(grants.collect::<Result<Vec<_>>>()?)
            .scopes([&line.scopes])
            .loopback(line.loopback)
            .require_pkce(line.require_pkce)
            .policy(line.policy.as_deref());
        for uri in &line.redirect_uris {
            new = new.redirect_uri(uri);
        }
        let mut secrets = Vec::with_capacity(line.secrets.len());
        for secret in &line.secrets {
            let until = moment.end(secret.ends())?.unwrap_or(Timestamp::NEVER);
            secrets.push(match (&secret.text, &secret.hash) {
                (Some(Text(text)), None) => ArrivingSecret::Text(text, until),
                (None, Some(Text(hash))) => ArrivingSecret::Hash(hash, until),
                _ => return Err(limit("a secret has neither a `text` nor a `hash`, or both")),
            });
        }
        let created_at = line.created_at.map(wall_time);
        let client = self.arrived(&ArrivingClient { id: &line.id, new, secrets, created_at })?;
        Ok(Arrival::Client(Box::new(client)))
    }

    /// A payload in base64, to be kept as it is.
    fn plain(&self, payload: Option<String>) -> Result<Option<Payload>> {
        let Some(payload) = payload else { return Ok(None) };
        let bytes = BASE64.decode(payload.as_bytes());
        let bytes = bytes.map_err(|_| limit("its payload is not base64 (RFC 4648 section 4)"))?;
        close(Some((&bytes, false)), &self.store.keyring(), &[])
    }
}

/// A time of the wall clock in seconds since 1970.
fn wall_time(seconds: u64) -> Timestamp {
    Timestamp::default().saturating_add(Duration::from_secs(seconds)).min(Timestamp::NEVER)
}

fn bearer(Told { text, sha256 }: Told) -> Result<Option<Bearer>> {
    match (text, sha256) {
        (None, None) => Ok(None),
        (Some(Text(text)), None) if can_be_held(&text) => Ok(Some(Bearer::Text(text))),
        (Some(Text(text)), None) => Err(limit(format!(
            "its text is {} bytes, not within {TOKEN_BYTES_MIN} and {TOKEN_BYTES_MAX}",
            text.len()
        ))),
        (None, Some(Text(digits))) => {
            let mut bytes = [0; 32];
            let read = digits.len() == 64
                && HEXLOWER_PERMISSIVE.decode_mut(digits.as_bytes(), &mut bytes).is_ok();
            if !read {
                return Err(limit("its `sha256` is not 64 hex digits"));
            }
            Ok(Some(Bearer::Sha256(TokenSha256::from_bytes(bytes))))
        }
        (Some(_), Some(_)) => Err(limit("it has a `text` and a `sha256`: give one of them")),
    }
}

fn audience(named: Option<Vec<String>>) -> Result<String> {
    let asked = named.map_or(AskedAudience::Unset, AskedAudience::read);
    asked.granted()
}

fn confirmation(jkt: Option<String>, x5t: Option<String>) -> Result<Option<Confirmation>> {
    let read = |text: String| {
        let mut bytes = [0; 32];
        let good =
            text.len() == 43 && BASE64URL_NOPAD.decode_mut(text.as_bytes(), &mut bytes).is_ok();
        let told = "a thumbprint is not the 43 characters of a SHA-256 in base64url";
        if good { Ok(bytes) } else { Err(limit(told)) }
    };
    match (jkt, x5t) {
        (None, None) => Ok(None),
        (Some(jkt), None) => read(jkt).map(|bytes| Some(Confirmation::Jkt(bytes))),
        (None, Some(x5t)) => read(x5t).map(|bytes| Some(Confirmation::X5tS256(bytes))),
        (Some(_), Some(_)) => Err(limit("it is bound to two keys: give one")),
    }
}

/// The log-in session of this name, or of the id that an export has of it.
fn session(name: Option<Text>, id: Option<String>) -> Result<Option<SessionId>> {
    match (name, id) {
        (None, None) => Ok(None),
        (Some(Text(name)), None) => {
            check_name("the name of a log-in session", &name)?;
            Ok(Some(SessionId::of(&name)))
        }
        (None, Some(id)) => {
            let read = id.parse();
            read.map(Some).map_err(|_| limit("its `session_id` is not 32 hex digits"))
        }
        (Some(_), Some(_)) => Err(limit("it has a `session` and a `session_id`: give one")),
    }
}

fn no_bearer() -> Error {
    limit("it has neither a `text` nor a `sha256`")
}

fn no_end() -> Error {
    limit("it has no end: give `expires_in`, the seconds that are left, or `expires_at`")
}

pub(crate) fn limit(what: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Limit, what)
}

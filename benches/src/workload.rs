//! What authorization servers ask of a store: issuing a pair, presenting a token, rotating a
//! family.

use crate::random::{Random, mix};
use grantkeep::backend::Outcome;
use grantkeep::{Epochs, Family, FamilyId, FamilyState, Store, Timestamp, Token, TokenKind, Wait};
use std::time::Duration;

/// Subjects that grants are spread over.
pub const SUBJECTS: u64 = 100_000;
/// Clients that grants are spread over.
pub const CLIENTS: u64 = 50;
/// Characters of a usual access token: 256 bits in base64url.
pub const TOKEN_CHARACTERS: usize = 43;
/// Characters of a long one, as self-contained tokens have.
pub const LONG_TOKEN_CHARACTERS: usize = 1_200;
/// An access token lives this long.
pub const TOKEN_LIFETIME: Duration = Duration::from_secs(3_600);
/// A family lives this long.
pub const FAMILY_LIFETIME: Duration = Duration::from_secs(30 * 24 * 3_600);

/// The text of the token of this number, written again and again into one buffer, so that making
/// it costs the same few nanoseconds whatever its length.
#[derive(Debug, Clone)]
pub struct TokenText(Vec<u8>);

impl TokenText {
    /// Texts of this many characters, at least 16.
    pub fn new(characters: usize) -> Self {
        Self(vec![b'x'; characters.max(16)])
    }

    /// The text of the token of this number.
    pub fn of(&mut self, number: u64) -> &[u8] {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mixed = mix(number);
        for (at, digit) in self.0.iter_mut().take(16).enumerate() {
            *digit = DIGITS[(mixed >> (4 * at)) as usize & 15];
        }
        &self.0
    }
}

/// A subject's name.
pub fn subject(number: u64) -> String {
    format!("subject-{:012x}", mix(number % SUBJECTS) >> 16)
}

/// A client's id.
pub fn client(number: u64) -> String {
    format!("client-{:08x}", mix(number % CLIENTS) >> 32)
}

/// An access token as an authorization server would store it: about 220 bytes of record.
pub fn token(number: u64, family: Option<FamilyId>, epochs: Epochs, now: Timestamp) -> Token {
    Token {
        kind: TokenKind::Access,
        client: client(number),
        subject: subject(number),
        scopes: "openid profile email offline_access".to_owned(),
        audience: "https://api.example.com".to_owned(),
        confirmation: None,
        family,
        issued_at: now,
        epochs,
        revoked_at: None,
        payload: None,
    }
}

/// A family as an authorization server would store it: about 300 bytes of record.
pub fn family(number: u64, id: FamilyId, salt: [u8; 32], epochs: Epochs, now: Timestamp) -> Family {
    Family {
        id,
        client: client(number),
        subject: subject(number),
        granted_at: now,
        label: String::new(),
        session: None,
        facts: None,
        scopes: "openid profile email offline_access".to_owned(),
        audience: "https://api.example.com".to_owned(),
        confirmation: None,
        generation: 1,
        brought: None,
        salt,
        key_id: 1,
        rotated_at: now,
        rotated_lead_ms: 0,
        refreshes: 0,
        retries: 0,
        retried_generations: 0,
        idle_s: None,
        absolute_expires_at: now.saturating_add(12 * FAMILY_LIFETIME),
        epochs,
        state: FamilyState::Active,
        payload: None,
    }
}

/// The id of the family of this number.
pub fn family_id(number: u64) -> FamilyId {
    FamilyId(Random::new(mix(number ^ 0xfa)).bytes())
}

/// A caller that issues pairs: its random numbers and its token texts.
#[derive(Debug, Clone)]
pub struct Issuer {
    random: Random,
    text: TokenText,
    token_lifetime: Duration,
    family_lifetime: Duration,
}

impl Issuer {
    /// Callers with different random numbers, which differ from those of other `kinds` as well.
    pub fn crowd(callers: usize, kind: u64) -> Vec<Self> {
        let issuer = |caller| Self {
            random: Random::new(mix(kind << 32 | caller as u64)),
            text: TokenText::new(TOKEN_CHARACTERS),
            token_lifetime: TOKEN_LIFETIME,
            family_lifetime: FAMILY_LIFETIME,
        };
        (0..callers).map(issuer).collect()
    }

    /// The same caller, whose tokens and families live as long as this.
    pub fn with_lifetimes(mut self, token: Duration, family: Duration) -> Self {
        (self.token_lifetime, self.family_lifetime) = (token, family);
        self
    }

    /// The same caller, whose tokens have texts of so many characters.
    pub fn with_characters(mut self, characters: usize) -> Self {
        self.text = TokenText::new(characters);
        self
    }

    /// Issues a pair, durably: the family, the access token, and both epochs required.
    pub fn issue(&mut self, store: &Store) {
        let number = self.random.number();
        let now = store.now();
        let owner = (subject(number), client(number));
        let standing = store.epochs(&owner.0, &owner.1).wait().expect("the epochs are read");
        let (id, salt) = (family_id(number), self.random.bytes());
        let family = family(number, id, salt, standing.epochs(), now);
        let token = token(number, Some(id), standing.epochs(), now);
        let digest = store.id(self.text.of(number)).expect("the token is within its limits");
        let mut change = store.change().expect("a change");
        change
            .insert(id.digest(), &family, now.saturating_add(self.family_lifetime))
            .expect("the family is within its limits")
            .insert(digest, &token, now.saturating_add(self.token_lifetime))
            .expect("the token is within its limits");
        standing.require(&mut change);
        let outcome = store.commit(change).wait().expect("the store takes the pair");
        assert_eq!(outcome, Outcome::Applied, "a pair met another of the same ids");
    }
}

/// A caller that rotates families of its own among those that are loaded.
#[derive(Debug, Clone)]
pub struct Rotator {
    random: Random,
    caller: u64,
    callers: u64,
    families: u64,
}

impl Rotator {
    /// Callers that share out the families with numbers below `families`.
    pub fn crowd(callers: usize, families: u64) -> Vec<Self> {
        let callers = callers as u64;
        let rotator = |caller| Self { random: Random::new(mix(caller)), caller, callers, families };
        (0..callers).map(rotator).collect()
    }

    /// Reads a family and puts its next generation in its place, durably.
    pub fn rotate(&mut self, store: &Store) {
        let own = self.random.below(self.families / self.callers) * self.callers + self.caller;
        let id = family_id(own).digest();
        let held = store.get::<Family>(id).wait().expect("the family is read");
        let held = held.expect("the family is there");
        let now = store.now();
        let mut next = held.record.clone();
        next.generation += 1;
        next.rotated_at = now;
        let mut change = store.change().expect("a change");
        change
            .replace(&held, &next, now.saturating_add(FAMILY_LIFETIME))
            .expect("the family is within its limits");
        let outcome = store.commit(change).wait().expect("the store takes the family");
        assert_eq!(outcome, Outcome::Applied, "a family of one caller was changed by another");
    }
}

//! Records whose content follows from a name, so that any mixing of two is seen.

use grantkeep::backend::{Key, Kind};
use grantkeep::{
    Challenge, Code, CodeState, Digest, Epochs, Family, FamilyId, FamilyState, Origin, Payload,
    Purpose, Timestamp, Token, TokenKind,
};

/// The id under which `name` is filed.
pub fn id(name: &str) -> Digest {
    Digest::of_name("sample", name.as_bytes())
}

/// The key of a row that has no content to speak of.
pub fn key(kind: Kind, number: u64) -> Key {
    Key::new(kind, Digest::of_name("row", &number.to_le_bytes()))
}

/// A fresh code for `subject`.
pub fn code(name: &str, subject: &str) -> Code {
    Code {
        purpose: Purpose::Authorization,
        client: "client-1".to_owned(),
        subject: subject.to_owned(),
        scopes: format!("read {name}"),
        audience: String::new(),
        confirmation: None,
        redirect_uri: Some(format!("https://app.example/{name}")),
        challenge: Some(Challenge::S256(*id(name).as_bytes())),
        nonce: None,
        origin: Origin::default(),
        epochs: Epochs::default(),
        state: CodeState::Fresh,
        payload: None,
    }
}

/// An access token of `subject`.
pub fn token(name: &str, subject: &str) -> Token {
    Token {
        kind: TokenKind::Access,
        client: "client-1".to_owned(),
        subject: subject.to_owned(),
        scopes: format!("read {name}"),
        audience: String::new(),
        confirmation: None,
        family: Some(family_id(name)),
        issued_at: Timestamp::from_millis(1_800_000_000_000),
        epochs: Epochs::default(),
        revoked_at: None,
        payload: Some(Payload::Plain(name.repeat(8).into_bytes())),
    }
}

/// A family of `subject` in its first generation.
pub fn family(name: &str, subject: &str) -> Family {
    Family {
        id: family_id(name),
        client: "client-1".to_owned(),
        subject: subject.to_owned(),
        granted_at: Timestamp::from_millis(1_800_000_000_000),
        label: String::new(),
        session: None,
        facts: None,
        scopes: format!("read {name}"),
        audience: "https://api.example".to_owned(),
        confirmation: None,
        generation: 1,
        brought: None,
        salt: *id(name).as_bytes(),
        key_id: 1,
        rotated_at: Timestamp::from_millis(1_800_000_000_000),
        rotated_lead_ms: 0,
        refreshes: 0,
        retries: 0,
        retried_generations: 0,
        idle_s: None,
        absolute_expires_at: Timestamp::from_millis(1_900_000_000_000),
        epochs: Epochs::default(),
        state: FamilyState::Active,
        payload: None,
    }
}

/// The family named after `name`.
pub fn family_id(name: &str) -> FamilyId {
    let [a, b, c, d, e, f, g, h, i, j, k, l, ..] = *id(name).as_bytes();
    FamilyId([a, b, c, d, e, f, g, h, i, j, k, l])
}

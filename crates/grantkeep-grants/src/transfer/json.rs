//! The lines of an export. No line has the text of a token or of a secret: none is stored.

use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};
use grantkeep::{
    Client, ClientSecret, ClientState, Code, CodeState, Confirmation, Device, DeviceState, Digest,
    Family, FamilyState, Payload, Personal, RefreshText, RevocationReason, SecretDigest, Timestamp,
    Token, TokenKind,
};
use serde_json::{Value, json};

/// A row, and what is told of each: the id that it is filed under, and when it ends on the wall.
#[derive(Debug, Clone, Copy)]
pub(super) struct Filed {
    pub(super) id: Digest,
    pub(super) expires_at: Timestamp,
    /// Whether it would be accepted now.
    pub(super) active: bool,
}

pub(super) fn token(filed: Filed, token: &Token) -> Value {
    json!({
        "kind": "token",
        "id": hex(filed.id.as_bytes()),
        "active": filed.active,
        "of_client": token.kind == TokenKind::ClientCredential,
        "client": token.client,
        "subject": token.subject,
        "scopes": token.scopes,
        "audience": words(&token.audience),
        "confirmation": confirmation(token.confirmation.as_ref()),
        "family": token.family.map(|family| family.to_string()),
        "issued_at_ms": ms(token.issued_at),
        "expires_at_ms": ms(filed.expires_at),
        "revoked_at_ms": token.revoked_at.and_then(ms),
        "payload": token.payload.as_ref().map(payload),
    })
}

pub(super) fn personal(filed: Filed, token: &Personal, used_at: Option<Timestamp>) -> Value {
    json!({
        "kind": "personal",
        "id": hex(filed.id.as_bytes()),
        "active": filed.active,
        "key_id": token.key_id,
        "name": token.name,
        "subject": token.subject,
        "client": token.client,
        "scopes": token.scopes,
        "issued_at_ms": ms(token.issued_at),
        "expires_at_ms": ms(filed.expires_at),
        "used_at_ms": used_at.and_then(ms),
        "revoked_at_ms": token.revoked_at.and_then(ms),
        "payload": token.payload.as_ref().map(payload),
    })
}

pub(super) fn family(filed: Filed, family: &Family, ends_at: Timestamp) -> Value {
    let (revoked_at, reason) = match family.state {
        FamilyState::Active => (None, None),
        FamilyState::Revoked { at, reason } => (ms(at), Some(revoked(reason))),
    };
    json!({
        "kind": "family",
        "id": family.id.to_string(),
        "active": filed.active,
        "client": family.client,
        "subject": family.subject,
        "scopes": family.scopes,
        "audience": words(&family.audience),
        "confirmation": confirmation(family.confirmation.as_ref()),
        "label": family.label,
        "session": family.session.map(|session| session.to_string()),
        "generation": family.generation,
        "refreshes": family.refreshes,
        "key_id": family.key_id,
        "brought_key_id": family.brought,
        "salt": hex(&family.salt),
        "granted_at_ms": ms(family.granted_at),
        "refreshed_at_ms": ms(family.refreshed_at()),
        "expires_at_ms": ms(filed.expires_at),
        "ends_at_ms": ms(ends_at),
        "idle_s": family.idle_s,
        "revoked_at_ms": revoked_at,
        "revoked_for": reason,
        "facts": family.facts.as_ref().map(payload),
        "payload": family.payload.as_ref().map(payload),
    })
}

pub(super) fn refresh_text(filed: Filed, text: &RefreshText) -> Value {
    json!({
        "kind": "refresh_token",
        "id": hex(filed.id.as_bytes()),
        "family": text.family.to_string(),
        "generation": text.generation,
        "expires_at_ms": ms(filed.expires_at),
    })
}

pub(super) fn code(filed: Filed, code: &Code) -> Value {
    let (spent_at, family) = match code.state {
        CodeState::Fresh => (None, None),
        CodeState::Spent { at, family } => (ms(at), family.map(|family| family.to_string())),
    };
    json!({
        "kind": "code",
        "id": hex(filed.id.as_bytes()),
        "active": filed.active,
        "pushed": code.purpose == grantkeep::Purpose::PushedRequest,
        "client": code.client,
        "subject": code.subject,
        "scopes": code.scopes,
        "audience": words(&code.audience),
        "redirect_uri": code.redirect_uri,
        "label": code.origin.label,
        "session": code.origin.session.map(|session| session.to_string()),
        "confirmation": confirmation(code.confirmation.as_ref()),
        "expires_at_ms": ms(filed.expires_at),
        "spent_at_ms": spent_at,
        "family": family,
        "payload": code.payload.as_ref().map(payload),
    })
}

pub(super) fn device(filed: Filed, device: &Device) -> Value {
    let (state, subject) = match &device.state {
        DeviceState::Pending => ("pending", None),
        DeviceState::Approved { subject } => ("approved", Some(subject)),
        DeviceState::Denied => ("denied", None),
        DeviceState::Spent { .. } => ("spent", None),
    };
    json!({
        "kind": "device",
        "id": hex(filed.id.as_bytes()),
        "active": filed.active,
        "state": state,
        "client": device.client,
        "subject": subject,
        "scopes": device.scopes,
        "audience": words(&device.audience),
        "label": device.origin.label,
        "session": device.origin.session.map(|session| session.to_string()),
        "expires_at_ms": ms(filed.expires_at),
        "payload": device.payload.as_ref().map(payload),
    })
}

pub(super) fn client(client: &Client) -> Value {
    let state = match client.state {
        ClientState::Enabled => "enabled",
        ClientState::Disabled { .. } => "disabled",
        ClientState::AwaitsReview { .. } => "awaits_review",
    };
    json!({
        "kind": "client",
        "id": client.id,
        "active": client.is_enabled(),
        "state": state,
        "name": client.name,
        "confidential": client.confidential,
        "secrets": client.secrets.iter().map(secret).collect::<Vec<_>>(),
        "redirect_uris": client.redirect_uris,
        "grants": words(&client.grant_types),
        "scopes": client.scopes,
        "loopback": client.loopback,
        "require_pkce": client.require_pkce,
        "policy": client.policy,
        "created_at_ms": ms(client.created_at),
    })
}

fn secret(secret: &ClientSecret) -> Value {
    let (key_id, digest) = match &secret.digest {
        SecretDigest::Keyed { key_id, digest } => (Some(*key_id), hex(digest)),
        SecretDigest::Foreign(hash) => (None, hash.clone()),
    };
    json!({
        "id": hex(&secret.id),
        "key_id": key_id,
        "digest": digest,
        "created_at_ms": ms(secret.created_at),
        "expires_at_ms": ms(secret.expires_at),
    })
}

fn revoked(reason: RevocationReason) -> &'static str {
    match reason {
        RevocationReason::Requested => "requested",
        RevocationReason::CodeReplayed => "code_replayed",
        RevocationReason::RefreshReused => "refresh_reused",
        RevocationReason::Superseded => "superseded",
        _ => "other",
    }
}

/// A thumbprint, by the name of its member of `cnf` (RFC 7800).
fn confirmation(key: Option<&Confirmation>) -> Value {
    match key {
        None => Value::Null,
        Some(Confirmation::Jkt(bytes)) => json!({ "jkt": BASE64URL_NOPAD.encode(bytes) }),
        Some(Confirmation::X5tS256(bytes)) => json!({ "x5t#S256": BASE64URL_NOPAD.encode(bytes) }),
    }
}

fn payload(payload: &Payload) -> Value {
    match payload {
        Payload::Plain(bytes) => json!({ "plain": BASE64.encode(bytes) }),
        Payload::Sealed { key_id, nonce, bytes } => json!({
            "key_id": key_id,
            "nonce": BASE64.encode(nonce),
            "sealed": BASE64.encode(bytes),
        }),
    }
}

fn words(text: &str) -> Vec<&str> {
    text.split(' ').filter(|word| !word.is_empty()).collect()
}

/// Milliseconds since 1970; `None` for never.
fn ms(at: Timestamp) -> Option<u64> {
    (at != Timestamp::NEVER).then(|| at.as_millis())
}

fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

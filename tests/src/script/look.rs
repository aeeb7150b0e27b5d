//! What a store answers, line by line, and what the facts say that it must: two texts that are
//! equal or are not.

use super::facts::{Facts, Owner, Token};
use crate::ledger::burnt_key;
use grantkeep::backend::Backend as _;
use grantkeep::{Code, CodeState, Cursor, Embedded, Result, Wait as _};
use grantkeep_grants::{Authenticated, DeviceRequested, Grants, Introspection, Listed};

/// Rows of a page: few, so that a listing has several.
const PAGE_ROWS: usize = 3;

/// What `grants` answers about all that is in `facts`. Nothing is changed by it.
///
/// # Errors
/// Those of the store.
pub fn look(grants: &Grants<Embedded>, facts: &Facts) -> Result<Vec<String>> {
    let store = grants.store();
    let now = store.now().as_millis();
    let mut lines = Vec::new();
    for (number, code) in told(&facts.codes, |code| &code.text) {
        let held = store.find::<Code>(code.text.as_bytes()).wait()?;
        lines.push(match held.filter(|held| now < held.expires_at.as_millis()) {
            None => format!("code {number} is gone"),
            Some(held) if held.record.state == CodeState::Fresh => format!("code {number} fresh"),
            Some(_) => format!("code {number} spent"),
        });
    }
    let active = |name: String, text: &str| -> Result<String> {
        let owner = match grants.introspect(text).wait()? {
            Introspection::Inactive => None,
            Introspection::Active(claims) => {
                let (subject, client) = (claims.subject, claims.client);
                let [subject, client] = [subject, client].map(Option::unwrap_or_default);
                Some(Owner { subject, client })
            }
        };
        Ok(standing(&name, owner.as_ref()))
    };
    for (number, grant) in facts.grants.iter().enumerate() {
        for (generation, text) in told(&grant.refresh, |text| text) {
            lines.push(active(format!("refresh {number}.{generation}"), text)?);
        }
        for (at, (text, _)) in told(&grant.access, |(text, _)| text) {
            lines.push(active(format!("access {number}.{at}"), text)?);
        }
    }
    for (number, token) in told(&facts.tokens, |token| &token.text) {
        lines.push(active(format!("token {number}"), &token.text)?);
    }
    for (number, (value, _)) in facts.burnt.iter().enumerate() {
        let held = store.backend().get(burnt_key(value)).wait()?;
        let burnt = held.is_some_and(|row| now < row.expires_at().as_millis());
        lines.push(format!("value {number} burnt: {burnt}"));
    }
    for (number, device) in told(&facts.devices, |device| &device.user_code) {
        let answer = grants.device_request(&device.user_code).wait()?;
        let waits = matches!(answer, DeviceRequested::Pending(_));
        lines.push(format!("device {number} waits: {waits}"));
    }
    for (number, client) in facts.clients.iter().enumerate() {
        let held = grants.client(&client.id).wait()?;
        let enabled = held.is_some_and(|client| client.is_enabled());
        lines.push(format!("client {number} enabled: {enabled}"));
    }
    for (number, client) in told(&facts.clients, |client| &client.secret) {
        let secret = Some(client.secret.as_bytes());
        let answer = grants.authenticate_client(&client.id, secret).wait()?;
        let taken = matches!(answer, Authenticated::Client(_));
        lines.push(format!("client {number} authenticated: {taken}"));
    }
    for subject in ["alice", "bob"] {
        let held = count(|cursor| grants.families_of(subject, cursor, PAGE_ROWS).wait())?;
        lines.push(format!("{subject} has {held} grants"));
        let held = count(|cursor| grants.personal_of(subject, cursor, PAGE_ROWS).wait())?;
        lines.push(format!("{subject} has {held} personal tokens"));
    }
    let keys = store.keyring().newest_first().count();
    lines.push(format!("{keys} root keys"));
    Ok(lines)
}

/// Those whose text somebody has, with their numbers.
fn told<T>(of: &[T], text: impl Fn(&T) -> &String) -> impl Iterator<Item = (usize, &T)> {
    of.iter().enumerate().filter(move |(_, item)| !text(item).is_empty())
}

/// What is told of a token: whose it is, if it is in force.
fn standing(name: &str, in_force: Option<&Owner>) -> String {
    match in_force {
        None => format!("{name} inactive"),
        Some(Owner { subject, client }) => format!("{name} active for {subject} by {client}"),
    }
}

/// How many items the pages of a listing have together.
fn count<T>(page: impl Fn(Option<Cursor>) -> Result<Listed<T>>) -> Result<usize> {
    let (mut count, mut cursor) = (0, None);
    loop {
        let page = page(cursor)?;
        count += page.items.len();
        cursor = page.next;
        if cursor.is_none() {
            return Ok(count);
        }
    }
}

impl Facts {
    /// What [`look`] must answer where these facts hold, about all that is in `known`: the same
    /// facts, or later ones.
    pub fn lines(&self, known: &Self) -> Vec<String> {
        let now = self.now_ms;
        let mut lines = Vec::new();
        for (number, _) in told(&known.codes, |code| &code.text) {
            lines.push(match self.codes.get(number).filter(|code| now < code.dies_ms) {
                None => format!("code {number} is gone"),
                Some(code) if code.spent => format!("code {number} spent"),
                Some(_) => format!("code {number} fresh"),
            });
        }
        for (number, grant) in known.grants.iter().enumerate() {
            let in_force = self.grants.get(number).filter(|grant| grant.in_force(now));
            for (generation, _) in told(&grant.refresh, |text| text) {
                let present = in_force.filter(|grant| generation + 1 == grant.refresh.len());
                let name = format!("refresh {number}.{generation}");
                lines.push(standing(&name, present.map(|grant| &grant.owner)));
            }
            for (at, _) in told(&grant.access, |(text, _)| text) {
                let access = in_force.and_then(|grant| grant.access.get(at));
                let active = access.is_some_and(|(_, dies_ms)| now < *dies_ms);
                let owner = in_force.filter(|_| active).map(|grant| &grant.owner);
                lines.push(standing(&format!("access {number}.{at}"), owner));
            }
        }
        for (number, _) in told(&known.tokens, |token| &token.text) {
            let in_force = |token: &&Token| !token.revoked && now < token.dies_ms;
            let owner = self.tokens.get(number).filter(in_force).map(|token| &token.owner);
            lines.push(standing(&format!("token {number}"), owner));
        }
        for number in 0..known.burnt.len() {
            let burnt = self.burnt.get(number).is_some_and(|(_, until_ms)| now < *until_ms);
            lines.push(format!("value {number} burnt: {burnt}"));
        }
        for (number, _) in told(&known.devices, |device| &device.user_code) {
            let waits = self.devices.get(number).is_some_and(|device| {
                device.approved.is_none() && !device.revoked && now < device.dies_ms
            });
            lines.push(format!("device {number} waits: {waits}"));
        }
        let enabled = |number: usize| self.clients.get(number).is_some_and(|client| client.enabled);
        for number in 0..known.clients.len() {
            lines.push(format!("client {number} enabled: {}", enabled(number)));
        }
        for (number, _) in told(&known.clients, |client| &client.secret) {
            lines.push(format!("client {number} authenticated: {}", enabled(number)));
        }
        for subject in ["alice", "bob"] {
            let of_subject = self.grants.iter().filter(|grant| grant.owner.subject == subject);
            let grants = of_subject.filter(|grant| grant.in_force(now)).count();
            let personal = self.tokens.iter().filter(|token| {
                let in_force = !token.revoked && now < token.dies_ms;
                token.is_personal && token.owner.subject == subject && in_force
            });
            lines.push(format!("{subject} has {grants} grants"));
            lines.push(format!("{subject} has {} personal tokens", personal.count()));
        }
        lines.push(format!("{} root keys", self.keys));
        lines
    }
}

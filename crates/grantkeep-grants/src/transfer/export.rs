//! Writing out all that a store holds, as JSON lines.
//!
//! 1. The store is gone through row by row ([`Backend::scan`]), while everything else goes on. A
//!    row that changes meanwhile is written once, as it is when its turn comes.
//! 2. Each is judged as a look-up would judge it, so that what is in force can be counted.
//! 3. The last line says how many of each kind there were. A file without it is not whole.
//!
//! # What it does not do
//!
//! - It is no state of one moment: what is issued while it runs may be missing, and a token may be
//!   written as in force whose family was revoked after that.
//! - No line can be presented, and none can be imported: the texts are not stored. With the root
//!   keys, a text can be found among the lines.
//! - The row of an access token, a code, or a device code does not name the root key that it is
//!   filed under, unless its payload is sealed. So after a retirement, those that died with the key
//!   may be written as in force until they end.

use super::json::{self, Filed};
use crate::grants::Grants;
use grantkeep::backend::{Backend, Key, Kind, Scan};
use grantkeep::{
    Client, Code, CodeState, Device, DeviceState, Error, ErrorKind, Family, Held, Owners, Payload,
    Personal, Record, RefreshText, Result, Timestamp, Token,
};
use serde::Serialize;
use serde_json::Value;
use std::io::Write;

/// How far an export has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exporting {
    /// Lines that are written.
    pub lines: u64,
}

/// What an export has written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct Exported {
    /// Access tokens.
    pub tokens: u64,
    /// Those of them that are in force.
    pub tokens_active: u64,
    /// Personal access tokens.
    pub personal: u64,
    /// Those of them that are in force.
    pub personal_active: u64,
    /// Families.
    pub families: u64,
    /// Those of them that are in force.
    pub families_active: u64,
    /// Refresh tokens whose texts were brought, or imported.
    pub refresh_tokens: u64,
    /// Codes and pushed requests.
    pub codes: u64,
    /// Device authorization requests.
    pub devices: u64,
    /// Clients.
    pub clients: u64,
    /// Rows of the store's own, which have no line.
    pub others: u64,
}

impl Exported {
    /// How many lines there are, the last one not counted.
    pub fn lines(&self) -> u64 {
        let tokens = self.tokens + self.personal + self.families + self.refresh_tokens;
        tokens + self.codes + self.devices + self.clients
    }
}

#[derive(Serialize)]
struct End {
    kind: &'static str,
    at_ms: u64,
    #[serde(flatten)]
    exported: Exported,
}

impl<B: Backend> Grants<B> {
    /// Writes out all access tokens, personal access tokens, families, clients, codes, and device
    /// authorization requests, one JSON object on each line; `docs/transfer.md` has their fields.
    ///
    /// There are digests and no texts among them: the lines are for counting and for audits, or to
    /// be searched with the root keys. They name subjects and clients, and payloads that are not
    /// sealed are in them: keep them as the store itself.
    ///
    /// The store is not held up. The output is written to on the thread that polls this.
    /// `progress` is told now and then how far it has come.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] where the backend cannot be gone through; [`ErrorKind::Io`] where
    /// the output is refused; otherwise as [`Backend::get`].
    pub async fn export<W: Write + Send>(
        &self,
        output: &mut W,
        mut progress: impl FnMut(Exporting) + Send,
    ) -> Result<Exported> {
        let mut exported = Exported::default();
        let mut scan = Scan::new();
        while !scan.is_done() {
            let rows = self.store.backend().scan(&mut scan).await?;
            for row in &rows {
                if let Some(line) = self.exported(row.key(), &mut exported).await? {
                    write(output, &line)?;
                }
            }
            if !rows.is_empty() {
                progress(Exporting { lines: exported.lines() });
            }
        }
        let at_ms = self.store.wall().as_millis();
        write(output, &End { kind: "end", at_ms, exported })?;
        output.flush().map_err(|cause| refused(Box::new(cause)))?;
        Ok(exported)
    }

    /// The line of a row; `None` for one of the store's own, and one that has gone meanwhile.
    async fn exported(&self, key: Key, counts: &mut Exported) -> Result<Option<Value>> {
        let line = match key.kind {
            kind if kind == Token::KIND => {
                let Some(held) = self.held::<Token>(key).await? else { return Ok(None) };
                let filed = self.filed(&held, self.is_active(&held).await?);
                count(&mut counts.tokens, &mut counts.tokens_active, filed.active);
                json::token(filed, &held.record)
            }
            kind if kind == Personal::KIND => {
                let Some(held) = self.held::<Personal>(key).await? else { return Ok(None) };
                let admitted = held.record.revoked_at.is_none()
                    && self.store.keyring().key(held.record.key_id).is_some()
                    && self.admitted_apart(&held.record).await?;
                let filed = self.filed(&held, admitted);
                count(&mut counts.personal, &mut counts.personal_active, filed.active);
                json::personal(filed, &held.record, self.last_use_of(held.id).await?)
            }
            kind if kind == Family::KIND => {
                let Some(held) = self.held::<Family>(key).await? else { return Ok(None) };
                // It may be kept, while the others end, between the looks at it and its owners.
                let admitted = self.admitted_family(held.clone()).await?;
                let active = admitted.as_ref().is_some_and(|held| {
                    held.in_force(self.store.now())
                        && held.record.is_presentable(&self.store.keyring())
                });
                let held = admitted.unwrap_or(held);
                let filed = self.filed(&held, active);
                count(&mut counts.families, &mut counts.families_active, filed.active);
                let ends_at = self.store.on_the_wall(held.record.absolute_expires_at);
                json::family(filed, &held.record, ends_at)
            }
            kind => return self.exported_other(kind, key, counts).await,
        };
        Ok(Some(line))
    }

    async fn exported_other(
        &self,
        kind: Kind,
        key: Key,
        counts: &mut Exported,
    ) -> Result<Option<Value>> {
        if kind == RefreshText::KIND {
            let Some(held) = self.held::<RefreshText>(key).await? else { return Ok(None) };
            counts.refresh_tokens += 1;
            return Ok(Some(json::refresh_text(self.filed(&held, true), &held.record)));
        }
        if kind == Code::KIND {
            let Some(held) = self.held::<Code>(key).await? else { return Ok(None) };
            let Code { subject, client, epochs, state, origin, payload, .. } = &held.record;
            let owners = Owners::new(subject, client).in_session(origin.session);
            let admitted = *state == CodeState::Fresh
                && self.opens(payload.as_ref())
                && self.store.admits(owners, epochs).await?;
            counts.codes += 1;
            return Ok(Some(json::code(self.filed(&held, admitted), &held.record)));
        }
        if kind == Device::KIND {
            let Some(held) = self.held::<Device>(key).await? else { return Ok(None) };
            let (subject, open) = match &held.record.state {
                DeviceState::Pending => ("", true),
                DeviceState::Approved { subject } => (subject.as_str(), true),
                DeviceState::Denied | DeviceState::Spent { .. } => ("", false),
            };
            let Device { client, epochs, origin, payload, .. } = &held.record;
            let owners = Owners::new(subject, client).in_session(origin.session);
            let admitted =
                open && self.opens(payload.as_ref()) && self.store.admits(owners, epochs).await?;
            counts.devices += 1;
            return Ok(Some(json::device(self.filed(&held, admitted), &held.record)));
        }
        if kind == Client::KIND {
            let Some(held) = self.held::<Client>(key).await? else { return Ok(None) };
            // As the store judges it after a restore. It may be deleted between the two looks.
            let Some(judged) = self.store.client(&held.record.id).await? else { return Ok(None) };
            counts.clients += 1;
            return Ok(Some(json::client(&judged.record)));
        }
        counts.others += 1;
        Ok(None)
    }

    async fn held<R: Record>(&self, key: Key) -> Result<Option<Held<R>>> {
        self.store.get::<R>(key.id).await
    }

    async fn is_active(&self, held: &Held<Token>) -> Result<bool> {
        Ok(held.record.revoked_at.is_none()
            && self.opens(held.record.payload.as_ref())
            && self.admitted_with_family(&held.record, self.store.now()).await?)
    }

    /// False for a payload that is sealed under a root key which was retired: what it goes with is
    /// filed under the same key.
    fn opens(&self, payload: Option<&Payload>) -> bool {
        payload.is_none_or(|payload| payload.opens_under(&self.store.keyring()))
    }

    /// What is told of each row. An expiry is judged after the epochs: that of a pair goes when
    /// what it revoked has expired.
    fn filed<R: Record>(&self, held: &Held<R>, admitted: bool) -> Filed {
        let expires_at: Timestamp = self.store.on_the_wall(held.expires_at);
        let active = admitted && !held.is_expired(self.store.now());
        Filed { id: held.id, expires_at, active }
    }
}

fn count(all: &mut u64, active: &mut u64, is_active: bool) {
    *all += 1;
    *active += u64::from(is_active);
}

fn write<W: Write, T: Serialize>(output: &mut W, line: &T) -> Result<()> {
    serde_json::to_writer(&mut *output, line).map_err(|cause| refused(Box::new(cause)))?;
    output.write_all(b"\n").map_err(|cause| refused(Box::new(cause)))
}

fn refused(cause: Box<dyn std::error::Error + Send + Sync>) -> Error {
    Error::new(ErrorKind::Io, "the export cannot be written: what there is of it is not whole")
        .with_source(cause)
}

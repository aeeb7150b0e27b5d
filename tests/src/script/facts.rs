//! What a store must answer, and the rules by which operations change that.

use super::op::Op;
use grantkeep_grants::PersonalId;

/// How long codes and access tokens live, seconds.
pub const SHORT_S: u64 = 60;
/// How long grants live unused, seconds.
pub const IDLE_S: u64 = 7_200;
/// How long a predecessor is answered its successor again, seconds.
pub const GRACE_S: u64 = 30;
/// How long burnt values are remembered, seconds.
pub const BURNT_S: u64 = 600;
/// How long devices wait, seconds.
pub const DEVICE_S: u64 = 600;

/// Everything that was issued, and what became of it. The text of what was issued by an operation
/// that may have happened, and was not answered, is empty: nobody has it.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The time, milliseconds.
    pub now_ms: u64,
    pub codes: Vec<Code>,
    pub grants: Vec<Grant>,
    pub tokens: Vec<Token>,
    /// Values, and when they are forgotten.
    pub burnt: Vec<(String, u64)>,
    pub devices: Vec<Device>,
    pub clients: Vec<Client>,
    /// Root keys.
    pub keys: usize,
}

/// To whom something was issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    pub subject: String,
    pub client: String,
}

#[derive(Debug, Clone)]
pub struct Code {
    pub text: String,
    pub owner: Owner,
    pub spent: bool,
    pub revoked: bool,
    pub dies_ms: u64,
}

#[derive(Debug, Clone)]
pub struct Grant {
    pub owner: Owner,
    /// Refresh tokens by generation; those that were not told are empty.
    pub refresh: Vec<String>,
    /// Access tokens, and when they die.
    pub access: Vec<(String, u64)>,
    pub revoked: bool,
    pub rotated_ms: u64,
    pub dies_ms: u64,
}

#[derive(Debug, Clone)]
pub struct Token {
    pub text: String,
    pub owner: Owner,
    /// What it is revoked by, if it is a personal one.
    pub personal: Option<PersonalId>,
    pub is_personal: bool,
    pub revoked: bool,
    pub dies_ms: u64,
}

#[derive(Debug, Clone)]
pub struct Device {
    pub user_code: String,
    pub device_code: String,
    pub client: String,
    /// Who approved it.
    pub approved: Option<String>,
    pub revoked: bool,
    pub dies_ms: u64,
}

#[derive(Debug, Clone)]
pub struct Client {
    pub id: String,
    pub secret: String,
    pub enabled: bool,
}

impl Facts {
    /// A time from now, milliseconds.
    pub fn after_s(&self, seconds: u64) -> u64 {
        self.now_ms + seconds * 1_000
    }

    /// To whom the thing of this number is issued.
    pub fn owner(number: usize) -> Owner {
        let subject = if number.is_multiple_of(2) { "alice" } else { "bob" };
        Owner { subject: subject.to_owned(), client: format!("client-{}", number % 3) }
    }

    /// The number of a registered client's next.
    pub fn next_client(&self) -> String {
        format!("registered-{}", self.clients.len())
    }

    pub fn next_code(&self) -> Option<usize> {
        let usable = |code: &Code| !code.text.is_empty() && code.is_usable(self.now_ms);
        self.codes.iter().position(usable)
    }

    /// The latest grant in force.
    pub fn latest_grant(&self) -> Option<usize> {
        self.grants.iter().rposition(|grant| grant.is_usable(self.now_ms))
    }

    /// A grant whose predecessor would be answered its successor again.
    pub fn retryable(&self) -> Option<usize> {
        self.grants.iter().rposition(|grant| {
            let in_grace = self.now_ms < grant.rotated_ms + GRACE_S * 1_000;
            grant.is_usable(self.now_ms) && grant.refresh.len() > 1 && in_grace
        })
    }

    pub fn first_grant(&self) -> Option<usize> {
        self.grants.iter().position(|grant| grant.is_usable(self.now_ms))
    }

    pub fn first_token(&self, personal: bool) -> Option<usize> {
        let usable = |token: &Token| {
            let told = !token.text.is_empty() && token.is_personal == personal;
            told && !token.revoked && self.now_ms < token.dies_ms
        };
        self.tokens.iter().position(usable)
    }

    pub fn next_device(&self) -> Option<usize> {
        let waits = |device: &Device| {
            let told = !device.user_code.is_empty() && device.approved.is_none();
            told && !device.revoked && self.now_ms < device.dies_ms
        };
        self.devices.iter().position(waits)
    }

    pub fn next_enabled(&self) -> Option<usize> {
        self.clients.iter().position(|client| client.enabled)
    }

    /// What holds after `op`, but for the texts that only its answer tells. `None` if there is
    /// nothing that it could be done to.
    pub fn after(&self, op: Op) -> Option<Self> {
        let mut after = self.clone();
        let (short_ms, idle_ms) = (self.after_s(SHORT_S), self.after_s(IDLE_S));
        match op {
            Op::Issue | Op::Fill | Op::Personal => after.tokens.push(Token {
                text: String::new(),
                owner: Self::owner(self.tokens.len()),
                personal: None,
                is_personal: op == Op::Personal,
                revoked: false,
                dies_ms: if op == Op::Personal { idle_ms } else { short_ms },
            }),
            Op::Authorize => after.codes.push(Code {
                text: String::new(),
                owner: Self::owner(self.codes.len()),
                spent: false,
                revoked: false,
                dies_ms: short_ms,
            }),
            Op::Redeem => {
                let code = &mut after.codes[self.next_code()?];
                code.spent = true;
                // For so long a replay is recognized.
                code.dies_ms = code.dies_ms.max(short_ms);
                let owner = code.owner.clone();
                after.grants.push(Grant {
                    owner,
                    refresh: vec![String::new()],
                    access: vec![(String::new(), short_ms)],
                    revoked: false,
                    rotated_ms: 0,
                    dies_ms: idle_ms,
                });
            }
            Op::Rotate => {
                let grant = &mut after.grants[self.latest_grant()?];
                grant.refresh.push(String::new());
                grant.access.push((String::new(), short_ms));
                (grant.rotated_ms, grant.dies_ms) = (self.now_ms, idle_ms);
            }
            Op::Retry => {
                let grant = &mut after.grants[self.retryable()?];
                grant.access.push((String::new(), short_ms));
            }
            Op::RevokeToken => after.tokens[self.first_token(false)?].revoked = true,
            Op::RevokePersonal => after.tokens[self.first_token(true)?].revoked = true,
            Op::RevokeFamily => after.grants[self.first_grant()?].revoked = true,
            Op::RevokeSubject => after.revoke_of(|owner| owner.subject == "alice"),
            Op::RevokeClient => after.revoke_of(|owner| owner.client == "client-1"),
            Op::Burn => {
                after.burnt.push((format!("jti-{}", self.burnt.len()), self.after_s(BURNT_S)));
            }
            Op::Device => after.devices.push(Device {
                user_code: String::new(),
                device_code: String::new(),
                client: Self::owner(self.devices.len()).client,
                approved: None,
                revoked: false,
                dies_ms: self.after_s(DEVICE_S),
            }),
            Op::ApproveDevice => {
                after.devices[self.next_device()?].approved = Some("bob".to_owned());
            }
            Op::CreateClient => {
                let (id, secret) = (self.next_client(), String::new());
                after.clients.push(Client { id, secret, enabled: true });
            }
            Op::DisableClient => after.clients[self.next_enabled()?].enabled = false,
            Op::RotateKeyring => after.keys += 1,
            Op::Pass(seconds) => after.now_ms = self.after_s(seconds),
            Op::Sweep | Op::Checkpoint | Op::Reopen | Op::Backup => {}
        }
        Some(after)
    }

    fn revoke_of(&mut self, owns: impl Fn(&Owner) -> bool) {
        self.codes.iter_mut().for_each(|code| code.revoked |= owns(&code.owner));
        self.grants.iter_mut().for_each(|grant| grant.revoked |= owns(&grant.owner));
        self.tokens.iter_mut().for_each(|token| token.revoked |= owns(&token.owner));
        for device in &mut self.devices {
            let subject = device.approved.clone().unwrap_or_default();
            device.revoked |= owns(&Owner { subject, client: device.client.clone() });
        }
    }

    /// Every text that a store may not hold (P9).
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        let refresh = self.grants.iter().flat_map(|grant| &grant.refresh);
        let access = self.grants.iter().flat_map(|grant| grant.access.iter().map(|(text, _)| text));
        let devices = self.devices.iter().map(|device| &device.device_code);
        let tokens = self.tokens.iter().map(|token| &token.text);
        let texts = self.codes.iter().map(|code| &code.text).chain(refresh).chain(access);
        let secrets = self.clients.iter().map(|client| &client.secret);
        texts.chain(devices).chain(tokens).chain(secrets).map(String::as_str)
    }
}

impl Code {
    pub fn is_usable(&self, now_ms: u64) -> bool {
        !self.spent && !self.revoked && now_ms < self.dies_ms
    }
}

impl Grant {
    /// True if the text of its present generation is known.
    fn is_usable(&self, now_ms: u64) -> bool {
        self.in_force(now_ms) && self.refresh.last().is_some_and(|text| !text.is_empty())
    }

    pub fn in_force(&self, now_ms: u64) -> bool {
        !self.revoked && now_ms < self.dies_ms
    }
}

//! Policies: lifetimes, formats, and choices, as data.

use crate::clients::ClientInfo;
use crate::text::format::Format;
use grantkeep::{Error, ErrorKind, LIFETIME_MAX, Result};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// No code lives longer: 10 minutes, the maximum that RFC 6749 section 4.1.2 recommends.
pub const CODE_LIFETIME_MAX: Duration = Duration::from_secs(10 * 60);

/// No device code lives longer: 30 minutes.
pub const DEVICE_LIFETIME_MAX: Duration = Duration::from_secs(30 * 60);

/// No pushed authorization request lives longer: 10 minutes. RFC 9126 section 2.2 speaks of 5 to
/// 600 s.
pub const PUSH_LIFETIME_MAX: Duration = Duration::from_secs(10 * 60);

/// No other clock is believed to be further off: 5 minutes.
pub const CLOCK_SKEW_MAX: Duration = Duration::from_secs(5 * 60);

/// No grace period is longer whose retries are not counted ([`Retries::UntilUsed`]): 5 minutes.
/// While it lasts, the predecessor of a refresh token is a second one.
pub const GRACE_MAX: Duration = Duration::from_secs(5 * 60);

/// No grace period is longer whose retries are counted ([`Retries::Count`]): a day.
pub const GRACE_COUNTED_MAX: Duration = Duration::from_secs(DAY_S);

/// No more retries of one generation are allowed, where they are counted.
pub const RETRIES_MAX: u32 = 1_000;

/// No more families in force are allowed for one subject and one client, where they are bounded.
pub const FAMILIES_PER_PAIR_MAX: u32 = 100;

/// A last use is written at least this often while its token is used: once a day.
pub const LAST_USED_RESOLUTION_MAX: Duration = Duration::from_secs(DAY_S);

/// What becomes of a refresh token when it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refreshing {
    /// Each use answers a new one and spends the old one: reuse is noticed (RFC 9700 section
    /// 4.14.2). For public clients this or sender-constrained tokens are required.
    Rotating,
    /// It stays the same until it expires or is revoked.
    Fixed,
    /// None is issued, and none is accepted.
    Off,
}

/// How often the predecessor of a refresh token is answered its successor again, within the grace
/// period and while the successor is unused. In a policy's file a number, or `"until_used"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "WrittenRetries", into = "WrittenRetries")]
pub enum Retries {
    /// This often for each generation. So of the access tokens of one generation at most one more
    /// are in force at one time.
    Count(u32),
    /// As often as it comes.
    UntilUsed,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum WrittenRetries {
    Count(u32),
    Word(String),
}

impl TryFrom<WrittenRetries> for Retries {
    type Error = String;

    fn try_from(written: WrittenRetries) -> Result<Self, String> {
        match written {
            WrittenRetries::Count(count) => Ok(Self::Count(count)),
            WrittenRetries::Word(word) if word == "until_used" => Ok(Self::UntilUsed),
            WrittenRetries::Word(word) => {
                Err(format!("retries are a number or \"until_used\", not {word:?}"))
            }
        }
    }
}

impl From<Retries> for WrittenRetries {
    fn from(retries: Retries) -> Self {
        match retries {
            Retries::Count(count) => Self::Count(count),
            Retries::UntilUsed => Self::Word("until_used".to_owned()),
        }
    }
}

/// What is done about a family whose spent refresh token is presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnReuse {
    /// It is revoked (RFC 9700 section 4.14.2).
    Revoke,
    /// It stays in force, and the request is refused: for clients that are known to present spent
    /// tokens, and are watched by their events.
    Refuse,
}

/// Of whom PKCE is demanded (RFC 7636). An authorization request without a `code_challenge` is then
/// refused.
///
/// A client's record may demand it as well: see
/// [`NewClient::require_pkce`](crate::NewClient::require_pkce). What either demands is demanded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequirePkce {
    /// Of every client, also of one that is not registered in the store (RFC 9700 section 2.1.1
    /// recommends it for confidential clients too).
    Always,
    /// Of every client that is registered as public: without a secret it authenticates with nothing
    /// else, and RFC 9700 section 2.1.1 says that it must. How a client authenticates that is not
    /// registered in the store is known to the server alone: it checks that itself, or says
    /// `Always`.
    Public,
    /// Of no client, unless its record demands it.
    Never,
}

/// How grants are made. All lifetimes are whole seconds, at least 1 s, at most the store's
/// longest lifetime; they are written in seconds where a policy is serialized.
///
/// A policy may change between two runs: what was issued keeps the lifetime it was issued with,
/// and refresh tokens of an earlier format keep working.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
// Each of its choices stands for itself, under its own name in a file.
#[allow(clippy::struct_excessive_bools)]
pub struct Policy {
    /// How long a code lives unless it is asked for otherwise. 60 s by default.
    #[serde(with = "seconds")]
    pub code_lifetime: Duration,
    /// How long a code may be asked to live. [`CODE_LIFETIME_MAX`] by default and at most.
    #[serde(with = "seconds")]
    pub code_lifetime_max: Duration,
    /// How long a device code and its user code live. 10 minutes by default, at most
    /// [`DEVICE_LIFETIME_MAX`].
    #[serde(with = "seconds")]
    pub device_lifetime: Duration,
    /// How long a device waits between two polls (RFC 8628 section 3.2). 5 s by default, at most
    /// `device_lifetime`.
    #[serde(with = "seconds")]
    pub device_interval: Duration,
    /// How long a pushed authorization request lives. 60 s by default, at most
    /// [`PUSH_LIFETIME_MAX`].
    #[serde(with = "seconds")]
    pub push_lifetime: Duration,
    /// How far the clock of whoever made a burnt value may be off: it is remembered this much
    /// longer. 30 s by default, 0 for none, at most [`CLOCK_SKEW_MAX`]. What is issued here has
    /// none: its expiry is exact.
    #[serde(with = "seconds")]
    pub clock_skew: Duration,
    /// How long an access token on behalf of a subject lives. 15 minutes by default.
    #[serde(with = "seconds")]
    pub access_lifetime: Duration,
    /// How long an access token for the client itself lives. 15 minutes by default.
    #[serde(with = "seconds")]
    pub client_credentials_lifetime: Duration,
    /// How long a personal access token lives at most, and unless asked for otherwise. 1 year by
    /// default.
    #[serde(with = "seconds")]
    pub personal_lifetime: Duration,
    /// Whether a personal access token may be asked to live until it is revoked. False by default.
    pub personal_without_expiry: bool,
    /// How often the last use of a personal access token is written at most. 1 minute by default,
    /// at most [`LAST_USED_RESOLUTION_MAX`].
    #[serde(with = "seconds")]
    pub last_used_resolution: Duration,
    /// How long a refresh token lives unused. 30 days by default; at least `access_lifetime`, so
    /// that no access token outlives its family.
    #[serde(with = "seconds")]
    pub refresh_idle: Duration,
    /// How long a grant lives, however often it is refreshed. 90 days by default; at least
    /// `refresh_idle`.
    #[serde(with = "seconds")]
    pub refresh_absolute: Duration,
    /// How long after a rotation the predecessor, presented again, is answered the same successor:
    /// what a client does whose response was lost. 30 s by default, 0 for never, at most
    /// [`GRACE_COUNTED_MAX`], or [`GRACE_MAX`] where `refresh_retries` are not counted. A retry
    /// writes the family. Where a [`Minter`](crate::Minter) makes refresh tokens, one sealed row
    /// per generation is kept for all of this time.
    #[serde(with = "seconds")]
    pub refresh_grace: Duration,
    /// How often it is, within that time. 3 times by default, at most [`RETRIES_MAX`]. One more is
    /// refused, and the family stays in force. Several processes of one client that share a token
    /// need as many as there are of them, less one.
    pub refresh_retries: Retries,
    /// How many generations in a row may be retried before that is told
    /// ([`Event::RetriedInRow`](crate::Event::RetriedInRow)): who refreshes beside the owner makes
    /// one retry in each. 10 by default; 0 for no limit, for clients with several processes.
    pub retried_generations_max: u32,
    /// Whether more of them are treated as reuse, too. False by default.
    pub retried_generations_are_reuse: bool,
    /// What is done about reuse. The family is revoked by default.
    pub on_reuse: OnReuse,
    /// How many families a client may have in force on behalf of one subject. With one more the
    /// oldest is revoked, as [`Superseded`](grantkeep::RevocationReason::Superseded), in the same
    /// write. 0 by default, for no bound; at most [`FAMILIES_PER_PAIR_MAX`]. Families from before
    /// it was set, or from an import, count at the next opening. A bound costs one row for each
    /// pair, and each opening reads the families of its pair.
    pub families_per_pair_max: u32,
    /// How long a spent code, device code, or `request_uri` is recognized, so that a replay ends
    /// what it opened (RFC 6749 section 4.1.2): to the moment, from when it was spent. 1 hour by
    /// default; `access_lifetime` where that is longer, and no longer than the store's longest
    /// lifetime.
    #[serde(with = "seconds")]
    pub replay_memory: Duration,
    /// Whether a code may be redeemed again by the same client, with the same verifier, redirect
    /// URI, and key, within `refresh_grace` and while its refresh token is unused: what a client
    /// does whose response was lost. It is answered the same refresh token, and an access token in
    /// place of the first. Where the family has expired meanwhile, or was revoked by itself, that
    /// is told, and is no replay. False by default: RFC 6749 section 4.1.2 has a code denied that
    /// comes again.
    pub repeat_codes: bool,
    /// Whether a device may poll again for a grant that it was given, on the same conditions: RFC
    /// 8628 section 3.5 has it poll again after a timeout. True by default.
    pub repeat_devices: bool,
    /// What becomes of a refresh token when it is used. Rotating by default.
    pub refreshing: Refreshing,
    /// Whether a mismatch spends the code. False by default: who stole a code and guesses the rest
    /// could otherwise take it from its owner.
    pub burn_on_mismatch: bool,
    /// Of whom PKCE is demanded. Of public clients by default.
    pub require_pkce: RequirePkce,
    /// Whether a code challenge may be the verifier itself. False by default: RFC 9700 section
    /// 2.1.1 asks for S256.
    pub allow_plain_pkce: bool,
    /// The form of codes, device codes, and the random part of a `request_uri`.
    pub code_format: Format,
    /// The form of access tokens.
    pub access_format: Format,
    /// The form of refresh tokens.
    pub refresh_format: Format,
    /// The form of personal access tokens.
    pub personal_format: Format,
}

const MINUTE_S: u64 = 60;
const DAY_S: u64 = 24 * 3600;

impl Default for Policy {
    fn default() -> Self {
        let format = Format::prefixed("gk");
        Self {
            code_lifetime: Duration::from_secs(MINUTE_S),
            code_lifetime_max: CODE_LIFETIME_MAX,
            device_lifetime: Duration::from_secs(10 * MINUTE_S),
            device_interval: Duration::from_secs(5),
            push_lifetime: Duration::from_secs(MINUTE_S),
            clock_skew: Duration::from_secs(30),
            access_lifetime: Duration::from_secs(15 * MINUTE_S),
            client_credentials_lifetime: Duration::from_secs(15 * MINUTE_S),
            personal_lifetime: Duration::from_secs(365 * DAY_S),
            personal_without_expiry: false,
            last_used_resolution: Duration::from_secs(MINUTE_S),
            refresh_idle: Duration::from_secs(30 * DAY_S),
            refresh_absolute: Duration::from_secs(90 * DAY_S),
            refresh_grace: Duration::from_secs(30),
            refresh_retries: Retries::Count(3),
            retried_generations_max: 10,
            retried_generations_are_reuse: false,
            on_reuse: OnReuse::Revoke,
            families_per_pair_max: 0,
            replay_memory: Duration::from_secs(60 * MINUTE_S),
            repeat_codes: false,
            repeat_devices: true,
            refreshing: Refreshing::Rotating,
            burn_on_mismatch: false,
            require_pkce: RequirePkce::Public,
            allow_plain_pkce: false,
            code_format: format.clone(),
            access_format: format.clone(),
            refresh_format: format.clone(),
            personal_format: format,
        }
    }
}

impl Policy {
    /// How long what is spent is recognized: no shorter than what it gave may be in force unless it
    /// is refreshed.
    pub(crate) fn remembers(&self) -> Duration {
        self.replay_memory.max(self.access_lifetime)
    }

    /// Whether an authorization request of this client is refused if it has no `code_challenge`
    /// (RFC 7636 section 4.4.1: `invalid_request`). `None` for a client that is not registered in
    /// the store; see [`RequirePkce`].
    ///
    /// [`Grants::authorize`](crate::Grants::authorize) asks this by itself, under the client's own
    /// policy. A server asks it earlier, before it bothers the user.
    pub fn demands_pkce(&self, client: Option<&ClientInfo>) -> bool {
        self.demands_pkce_of(client.map(|client| (client.confidential, client.require_pkce)))
    }

    /// The decision: `client` is whether it is confidential, and whether its record demands PKCE.
    pub(crate) fn demands_pkce_of(&self, client: Option<(bool, bool)>) -> bool {
        let (public, by_record) =
            client.map_or((false, false), |(confidential, demands)| (!confidential, demands));
        by_record
            || match self.require_pkce {
                RequirePkce::Always => true,
                RequirePkce::Public => public,
                RequirePkce::Never => false,
            }
    }

    /// Checks the policy against its bounds and those of a store whose rows live at most
    /// `lifetime_max`.
    ///
    /// # Errors
    /// [`ErrorKind::Lifetime`] or [`ErrorKind::Limit`], naming the field.
    pub fn check(&self, lifetime_max: Duration) -> Result<()> {
        for (name, lifetime, max) in [
            ("code_lifetime_max", self.code_lifetime_max, CODE_LIFETIME_MAX.min(lifetime_max)),
            ("code_lifetime", self.code_lifetime, self.code_lifetime_max),
            ("device_lifetime", self.device_lifetime, DEVICE_LIFETIME_MAX.min(lifetime_max)),
            ("device_interval", self.device_interval, self.device_lifetime),
            ("push_lifetime", self.push_lifetime, PUSH_LIFETIME_MAX.min(lifetime_max)),
            ("client_credentials_lifetime", self.client_credentials_lifetime, lifetime_max),
            ("personal_lifetime", self.personal_lifetime, lifetime_max),
            ("last_used_resolution", self.last_used_resolution, LAST_USED_RESOLUTION_MAX),
            ("refresh_absolute", self.refresh_absolute, lifetime_max),
            ("refresh_idle", self.refresh_idle, self.refresh_absolute),
            ("access_lifetime", self.access_lifetime, self.refresh_idle),
        ] {
            check_lifetime(name, lifetime, max)?;
        }
        if !self.clock_skew.is_zero() {
            check_lifetime("clock_skew", self.clock_skew, CLOCK_SKEW_MAX)?;
        }
        let (grace_max, retries) = match self.refresh_retries {
            Retries::Count(retries) => (GRACE_COUNTED_MAX, retries),
            Retries::UntilUsed => (GRACE_MAX, 0),
        };
        if !self.refresh_grace.is_zero() {
            check_lifetime("refresh_grace", self.refresh_grace, grace_max.min(lifetime_max))?;
        }
        if retries > RETRIES_MAX {
            let message = format!("refresh_retries is {retries}: set it to at most {RETRIES_MAX}");
            return Err(Error::new(ErrorKind::Limit, message));
        }
        let families = self.families_per_pair_max;
        if families > FAMILIES_PER_PAIR_MAX {
            let way_out = format!("set it to at most {FAMILIES_PER_PAIR_MAX}");
            let message = format!("families_per_pair_max is {families}: {way_out}");
            return Err(Error::new(ErrorKind::Limit, message));
        }
        // No row lives longer than its store allows, whatever this says.
        check_lifetime("replay_memory", self.replay_memory, LIFETIME_MAX)?;
        self.code_format.check("code_format")?;
        self.access_format.check("access_format")?;
        self.refresh_format.check("refresh_format")?;
        self.personal_format.check("personal_format")
    }
}

/// Refuses a lifetime that is not whole seconds from 1 s to `max`.
pub(crate) fn check_lifetime(name: &str, lifetime: Duration, max: Duration) -> Result<()> {
    if lifetime.is_zero() || lifetime.subsec_nanos() != 0 || lifetime > max {
        return Err(Error::new(
            ErrorKind::Lifetime,
            format!(
                "{name} is {lifetime:?}: set it to whole seconds from 1 s to {} s",
                max.as_secs()
            ),
        ));
    }
    Ok(())
}

/// Durations as whole seconds.
mod seconds {
    use serde::{Deserialize as _, Deserializer, Serializer};
    use std::time::Duration;

    pub(super) fn serialize<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(time.as_secs())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_secs)
    }
}

//! OAuth grants over a [Grantkeep](grantkeep) store: authorize, redeem, refresh, introspect,
//! revoke.
//!
//! The crate decides what a code or a token is worth; each decision is one read and one
//! conditional, durable batch of the store. It is *not* an authorization server: it authenticates
//! no subject, asks nobody for consent, and speaks no HTTP. Clients may be registered in the same
//! store, which then authenticates them; grants do not depend on it. What the server must have
//! checked before is said at each item.
//!
//! Futures complete on any executor, and with [`Wait`](grantkeep::Wait) on none:
//!
//! ```
//! use grantkeep::{Store, SystemClock, Wait};
//! use grantkeep_grants::{Authorize, Grants, Introspection, Policy, Presented, Redeemed};
//! use grantkeep_grants::{RefreshRequest, Refreshed};
//! use std::sync::Arc;
//!
//! # fn main() -> grantkeep::Result<()> {
//! let store = Store::in_memory(Arc::new(SystemClock::new()))?;
//! let grants = Grants::new(store, Policy::default())?;
//!
//! // The subject consented: a code for the redirect. The challenge came with the request.
//! let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
//! let code = grants
//!     .authorize(
//!         Authorize::new("client-1", "alice")
//!             .redirect_uri("https://app.example/cb")
//!             .scopes(["read"])
//!             .pkce_s256(challenge),
//!     )
//!     .wait()?;
//!
//! // The client, authenticated by the server, presents the code.
//! let presented = Presented::by("client-1")
//!     .redirect_uri("https://app.example/cb")
//!     .verifier("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
//! let Redeemed::Granted(pair) = grants.redeem(code.expose(), &presented).wait()? else {
//!     panic!("a fresh code with the right verifier is granted");
//! };
//!
//! let Some(refresh) = &pair.refresh else { panic!("this policy issues refresh tokens") };
//! let request = RefreshRequest::by("client-1");
//! let Refreshed::Rotated(next) = grants.refresh(refresh.expose(), &request).wait()? else {
//!     panic!("the present generation rotates");
//! };
//! let Introspection::Active(claims) = grants.introspect(next.access.expose()).wait()? else {
//!     panic!("a new access token is active");
//! };
//! assert_eq!(claims.subject.as_deref(), Some("alice"));
//!
//! // The code again: the family that it opened ends.
//! let replay = grants.redeem(code.expose(), &presented).wait()?;
//! assert!(matches!(replay, Redeemed::Replayed { .. }));
//! let answer = grants.introspect(next.access.expose()).wait()?;
//! assert!(matches!(answer, Introspection::Inactive));
//! # Ok(())
//! # }
//! ```

// A folder is one concern, and uses the files beside this one and the folders before it: text,
// request, events, decision, clients, family, personal, token, code, device, transfer.
mod clients;
mod code;
mod decision;
mod device;
mod events;
mod family;
mod grants;
mod oauth_error;
mod personal;
mod policies;
mod policy;
mod profile;
mod replay;
mod request;
#[cfg(feature = "serde")]
mod response;
mod text;
mod token;
#[cfg(feature = "transfer")]
mod transfer;

#[cfg(feature = "hashed-secrets")]
pub use clients::{
    ARGON2_LANES_MAX, ARGON2_MEMORY_KIB_MAX, ARGON2_PASSES_MAX, BCRYPT_COST_MAX,
    PBKDF2_ITERATIONS_MAX, VERIFYING_QUEUE_MAX, VERIFYING_THREADS_MAX,
};
pub use clients::{
    Authenticated, ClientCreated, ClientEdit, ClientInfo, ClientRefusal, ClientState, Creation,
    GRANT_TYPE_CHARS_MAX, GrantType, NewClient, NewSecret, OtherGrantType, SecretAdded, SecretId,
    SecretInfo,
};
pub use code::authorize::Authorize;
pub use code::claim::{Claimed, ClaimedGrant, Completed, Completion};
pub use code::pkce::{VERIFIER_CHARS_MAX, VERIFIER_CHARS_MIN};
pub use code::push::{Pushed, REQUEST_URI_PREFIX, Taken};
pub use code::redeem::{Presented, Redeemed};
pub use device::approval::{DeviceApproval, DeviceRequested, PendingDevice, Verified};
pub use device::pace::DEVICE_PACES_MAX;
pub use device::user_code::USER_CODE_CHARS;
pub use device::{DeviceIssued, DeviceRequest, Polled};
pub use events::event::Event;
pub use events::{Events, Subscription};
pub use family::families::GrantInForce;
pub use family::family_edit::{FamilyEdit, FamilyEdited};
pub use family::opening::Grant;
pub use family::refresh::{RefreshRequest, Refreshed};
pub use family::sessions::OthersRevoked;
pub use grants::Grants;
pub use oauth_error::OAuthError;
pub use personal::uses::USES_KEPT_MAX;
pub use personal::{NewPersonal, PersonalId, PersonalInForce, PersonalIssued};
pub use policy::{
    CLOCK_SKEW_MAX, CODE_LIFETIME_MAX, DEVICE_LIFETIME_MAX, FAMILIES_PER_PAIR_MAX,
    GRACE_COUNTED_MAX, GRACE_MAX, LAST_USED_RESOLUTION_MAX, OnReuse, PUSH_LIFETIME_MAX, Policy,
    RETRIES_MAX, Refreshing, RequirePkce, Retries,
};
pub use profile::{POLICY_BYTES_MAX, Profile};
pub use replay::Once;
pub use request::issued::Issued;
pub use request::listed::Listed;
pub use request::mismatch::Mismatch;
pub use request::optional::{Optional, Texts};
pub use request::proof;
pub use request::scope::Scopes;
#[cfg(feature = "serde")]
pub use response::{DeviceResponse, ErrorResponse};
pub use text::format::{APP_CHARS_MAX, Format, Style, Tag};
pub use text::kind::ClaimsKind;
pub use text::minter::{Minter, MinterError, Minting};
pub use text::secret::Secret;
pub use token::check::{Checked, Demand, Refusal};
pub use token::client_credentials::ClientCredentials;
pub use token::introspect::{Claims, Introspection};
pub use token::refresh_standing::RefreshStanding;
pub use token::revoke::RevokedBy;
#[cfg(feature = "transfer")]
pub use transfer::{Exported, Exporting, IMPORT_LINE_BYTES_MAX, ImportStep, Imported};

//! What the traits do, once: async, over any backend.

use crate::envelope;
use crate::pending::Pending;
use crate::registration::NOWHERE;
use crate::tagging::{Tagger, Tagging};
use chrono::{DateTime, Utc};
use grantkeep::backend::Backend;
use grantkeep::{Code, Error, ErrorKind, FamilyId, TOKEN_BYTES_MAX, TOKEN_BYTES_MIN, Timestamp};
use grantkeep_grants::{
    Authorize, Claimed, ClaimedGrant, Claims, ClaimsKind, ClientCredentials, ClientInfo, Completed,
    Completion, GrantType, Grants, Introspection, RefreshRequest, RefreshStanding, Refreshed,
    Secret,
};
use oxide_auth::primitives::grant::Grant;
use oxide_auth::primitives::issuer::{IssuedToken, RefreshedToken, TokenType};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Under which name oxide-auth's extension keeps the code challenge in a grant.
const PKCE: &str = "pkce";

type OnError = Arc<dyn Fn(&Error) + Send + Sync>;

/// What authorizer, issuer, and registrar share.
pub(crate) struct Core<B> {
    pub(crate) grants: Grants<B>,
    pub(crate) pending: Pending,
    pub(crate) refresh_without_code: bool,
    pub(crate) client_credentials: bool,
    pub(crate) codes: Option<Arc<Tagger>>,
    pub(crate) tokens: Option<Arc<Tagger>>,
    pub(crate) on_error: Option<OnError>,
}

impl<B> fmt::Debug for Core<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core")
            .field("refresh_without_code", &self.refresh_without_code)
            .field("client_credentials", &self.client_credentials)
            .finish_non_exhaustive()
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It is refused, for good reason.
    Refused,
    /// The store could not decide.
    Store(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

type Answer<T> = Result<T, Failure>;

impl<B: Backend> Core<B> {
    /// The traits' errors say nothing: what they hide is told here.
    pub(crate) fn tell<T>(&self, answer: Answer<T>) -> Result<T, ()> {
        answer.map_err(|failure| {
            if let (Failure::Store(error), Some(on_error)) = (&failure, &self.on_error) {
                on_error(error);
            }
        })
    }

    pub(crate) async fn authorize(&self, grant: Grant) -> Answer<String> {
        // The registrar could not say where to: no code goes nowhere.
        if grant.redirect_uri.as_str() == NOWHERE {
            return Err(Failure::Refused);
        }
        let payload = envelope::close(&grant)?;
        let scope = grant.scope.to_string();
        let request = Authorize::new(&grant.client_id, &grant.owner_id)
            .redirect_uri(grant.redirect_uri.as_str())
            .scopes([&scope])
            .sealed_payload(&payload)
            .lifetime(self.code_lifetime(&grant));
        // The endpoint verifies what it keeps in the grant itself.
        let mut kept = grant.extensions.private().chain(grant.extensions.public());
        let verified = kept.any(|(name, _)| name == PKCE);
        let request = if verified { request.pkce_verified_elsewhere() } else { request };
        let grants = self.tagged(self.codes.as_ref(), &grant);
        Ok(grants.authorize(request).await?.expose().to_owned())
    }

    /// What is left of the grant's time, in whole seconds within the policy's bounds. A grant that
    /// has expired is a code all the same: who extracts it judges.
    fn code_lifetime(&self, grant: &Grant) -> Duration {
        let left = SystemTime::from(grant.until).duration_since(self.now()).unwrap_or_default();
        let up = u64::from(left.subsec_nanos() > 0);
        let seconds = Duration::from_secs(left.as_secs().saturating_add(up));
        seconds.clamp(Duration::from_secs(1), self.grants.policy().code_lifetime_max)
    }

    pub(crate) async fn extract(&self, code: &str) -> Answer<Option<Grant>> {
        if !(TOKEN_BYTES_MIN..=TOKEN_BYTES_MAX).contains(&code.len()) {
            return Ok(None);
        }
        let store = self.grants.store();
        let Some(held) = store.find::<Code>(code.as_bytes()).await? else {
            return Ok(None);
        };
        // Before the code is burnt: without room a replay could not revoke what comes of it.
        let client = &held.record.client;
        let room = self.pending.reserve(client, store.wall()).ok_or_else(|| too_many(client))?;
        let Claimed::Grant(claimed) = self.grants.claim(code).await? else {
            return Ok(None);
        };
        let ClaimedGrant { client, subject, scopes, payload, expires_at, family, .. } = *claimed;
        let Some(payload) = payload else { return Ok(None) };
        let grant = envelope::open((subject, client, scopes.as_str()), &payload)?;
        match family {
            Some(family) => room.keep(&grant, family, expires_at.into()),
            // The policy ended it, though the flow would not.
            None if !self.is_over(&grant) => return Ok(None),
            None => {}
        }
        Ok(Some(grant))
    }

    pub(crate) async fn issue(&self, grant: Grant) -> Answer<IssuedToken> {
        let now = self.now();
        if let Some(claim) = self.pending.take(&grant) {
            // It is there for another try if this one is cut, or the store could not decide.
            let completed = self.complete(claim.family, &grant).await?;
            claim.completed();
            let Completed::Granted(pair) = completed else { return Err(Failure::Refused) };
            return Ok(issued(&pair.access, pair.refresh, now, pair.expires_in));
        }
        if self.is_over(&grant) {
            return Err(Failure::Refused);
        }
        let payload = envelope::close(&grant)?;
        let scope = grant.scope.to_string();
        let grants = self.tagged(self.tokens.as_ref(), &grant);
        if self.refresh_without_code {
            let request = grantkeep_grants::Grant::new(&grant.client_id, &grant.owner_id)
                .scopes([&scope])
                .sealed_payload(&payload);
            let pair = grants.open(request).await?;
            return Ok(issued(&pair.access, pair.refresh, now, pair.expires_in));
        }
        if !self.client_credentials {
            return Err(Failure::Refused);
        }
        // It may be a code's grant, whose claim was completed or forgotten.
        let client = self.grants.client(&grant.client_id).await?;
        let has_codes = |client: ClientInfo| client.permits(GrantType::AuthorizationCode).is_ok();
        if grant.redirect_uri.as_str() != NOWHERE && client.is_some_and(has_codes) {
            return Err(Failure::Refused);
        }
        let request = ClientCredentials::new(&grant.client_id)
            .subject(&grant.owner_id)
            .scopes([&scope])
            .sealed_payload(&payload);
        let own = grants.client_credentials(request).await?;
        Ok(issued(&own.access, None, now, own.expires_in))
    }

    async fn complete(&self, family: FamilyId, grant: &Grant) -> Answer<Completed> {
        let payload = envelope::close(grant)?;
        let scope = grant.scope.to_string();
        let completion = Completion::by(&grant.client_id).scopes([&scope]).sealed_payload(&payload);
        let grants = self.tagged(self.tokens.as_ref(), grant);
        Ok(grants.complete(family, &completion).await?)
    }

    pub(crate) async fn refresh(&self, token: &str, grant: Grant) -> Answer<RefreshedToken> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Failure::Refused);
        }
        let now = self.now();
        let scope = grant.scope.to_string();
        let request = RefreshRequest::by(&grant.client_id).scopes([&scope]);
        let grants = self.tagged(self.tokens.as_ref(), &grant);
        match grants.refresh(token, &request).await? {
            Refreshed::Rotated(pair) | Refreshed::Retried(pair) => {
                let fresh = pair.refresh.filter(|refresh| refresh.expose() != token);
                let issued = issued(&pair.access, fresh, now, pair.expires_in);
                Ok(RefreshedToken {
                    token: issued.token,
                    refresh: issued.refresh,
                    until: issued.until,
                    token_type: issued.token_type,
                })
            }
            _ => Err(Failure::Refused),
        }
    }

    pub(crate) async fn recover_token(&self, token: &str) -> Answer<Option<Grant>> {
        let Introspection::Active(claims) = self.grants.introspect(token).await? else {
            return Ok(None);
        };
        if !matches!(claims.kind, ClaimsKind::Access | ClaimsKind::ClientCredential) {
            return Ok(None);
        }
        self.grant_of(*claims, token)
    }

    pub(crate) async fn recover_refresh(&self, token: &str) -> Answer<Option<Grant>> {
        let standing = self.grants.refresh_standing(token).await?;
        let RefreshStanding::Usable(claims) = standing else {
            return Ok(None);
        };
        let Some(grant) = self.grant_of(*claims, token)? else {
            return Ok(None);
        };
        match self.permits(&grant.client_id, GrantType::RefreshToken).await {
            Ok(()) => Ok(Some(grant)),
            Err(Failure::Refused) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// The grant that a token stands for, until that token expires; none for a token that was not
    /// issued here, or is bound to a key that these traits cannot ask for.
    fn grant_of(&self, claims: Claims, token: &str) -> Answer<Option<Grant>> {
        let Some(payload) = self.grants.payload(&claims, token)? else {
            return Ok(None);
        };
        let Some(expires_at) = claims.expires_at.filter(|_| claims.confirmation.is_none()) else {
            return Ok(None);
        };
        let owner = claims.subject.unwrap_or_default();
        let client = claims.client.unwrap_or_default();
        let grant = envelope::open((owner, client, claims.scopes.as_str()), &payload)?;
        Ok(Some(Grant { until: expires_at.into(), ..grant }))
    }

    /// Refuses a grant to a client that is registered in the store, and not for it.
    async fn permits(&self, client: &str, grant: GrantType) -> Answer<()> {
        match self.grants.client(client).await? {
            Some(client) => client.permits(grant).map_err(|_| Failure::Refused),
            None => Ok(()),
        }
    }

    fn tagged(&self, tagger: Option<&Arc<Tagger>>, grant: &Grant) -> Grants<B> {
        match tagger {
            None => self.grants.clone(),
            Some(tagger) => {
                let (tagger, grant) = (Arc::clone(tagger), grant.clone());
                self.grants.clone().with_minter(Arc::new(Tagging { tagger, grant }))
            }
        }
    }

    /// True once the grant's time has passed, by the wall clock and in the store's milliseconds.
    fn is_over(&self, grant: &Grant) -> bool {
        Timestamp::from(SystemTime::from(grant.until)) <= self.grants.store().wall()
    }

    fn now(&self) -> SystemTime {
        self.grants.store().wall().into()
    }
}

fn issued(
    access: &Secret,
    refresh: Option<Secret>,
    now: SystemTime,
    expires_in: Duration,
) -> IssuedToken {
    let until = now.checked_add(expires_in).unwrap_or(now);
    IssuedToken {
        token: access.expose().to_owned(),
        refresh: refresh.map(|refresh| refresh.expose().to_owned()),
        until: DateTime::<Utc>::from(until),
        token_type: TokenType::Bearer,
    }
}

fn too_many(client: &str) -> Error {
    let message = format!(
        "too many claimed codes of client `{client}` wait to be issued for: try again, or allow \
         for more of them"
    );
    Error::new(ErrorKind::Unavailable, message)
}

//! Where the parts come from.

#[cfg(feature = "async")]
use crate::asynchronous::{AsyncAuthorizer, AsyncIssuer, AsyncRegistrar};
use crate::blocking::{StoreAuthorizer, StoreIssuer, StoreRegistrar};
use crate::core::Core;
use crate::pending::{CLAIMS_MAX, Pending};
use crate::tagging::Tagger;
use grantkeep::backend::Backend;
use grantkeep::{Error, Result};
use grantkeep_grants::Grants;
use oxide_auth::primitives::generator::TagGrant;
use std::sync::Arc;

/// Grants as the primitives of oxide-auth. One per process and store: authorizer and issuer must
/// come from the same one, or from clones of it, because a replayed code is recognized between
/// them.
#[derive(Debug)]
pub struct Oxide<B>(Arc<Core<B>>);

impl<B> Clone for Oxide<B> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<B: Backend> Oxide<B> {
    /// The primitives over `grants`, with the defaults of [`OxideOptions`].
    pub fn new(grants: Grants<B>) -> Self {
        Self::options(grants).build()
    }

    /// Choices to be made before.
    pub fn options(grants: Grants<B>) -> OxideOptions<B> {
        OxideOptions(Core {
            grants,
            pending: Pending::new(CLAIMS_MAX),
            refresh_without_code: false,
            client_credentials: false,
            codes: None,
            tokens: None,
            on_error: None,
        })
    }

    /// The grants below: for revocation, introspection, and clients.
    pub fn grants(&self) -> &Grants<B> {
        &self.0.grants
    }

    /// Makes and extracts codes.
    pub fn authorizer(&self) -> StoreAuthorizer<B> {
        StoreAuthorizer(Arc::clone(&self.0))
    }

    /// Issues, refreshes, and recovers tokens.
    pub fn issuer(&self) -> StoreIssuer<B> {
        StoreIssuer(Arc::clone(&self.0))
    }

    /// Knows the clients that are registered in the store.
    pub fn registrar(&self) -> StoreRegistrar<B> {
        StoreRegistrar(Arc::clone(&self.0))
    }

    /// As [`Oxide::authorizer`], for oxide-auth-async.
    #[cfg(feature = "async")]
    pub fn async_authorizer(&self) -> AsyncAuthorizer<B> {
        AsyncAuthorizer(Arc::clone(&self.0))
    }

    /// As [`Oxide::issuer`], for oxide-auth-async.
    #[cfg(feature = "async")]
    pub fn async_issuer(&self) -> AsyncIssuer<B> {
        AsyncIssuer(Arc::clone(&self.0))
    }

    /// As [`Oxide::registrar`], for oxide-auth-async.
    #[cfg(feature = "async")]
    pub fn async_registrar(&self) -> AsyncRegistrar<B> {
        AsyncRegistrar(Arc::clone(&self.0))
    }
}

/// Choices to be made before an [`Oxide`] is used.
#[derive(Debug)]
pub struct OxideOptions<B>(Core<B>);

impl<B: Backend> OxideOptions<B> {
    /// Gives a grant that is issued without a code a refresh token as well: for servers that call
    /// `issue` by themselves. Off by default, because the client credentials flow calls it in the
    /// same way, and throws the refresh token away (RFC 6749 section 4.4.3).
    #[must_use]
    pub fn refresh_without_code(self, allow: bool) -> Self {
        Self(Core { refresh_without_code: allow, ..self.0 })
    }

    /// Issues tokens to clients for themselves (RFC 6749 section 4.4): the client credentials flow
    /// calls `issue` with a grant that came of no code. Off by default, because the grant of a code
    /// that is not remembered any more, since it was extracted before a restart or was issued for
    /// already, looks much the same, and would be issued a token that a replay of the code does not
    /// revoke. With this on, a client that may use both grant types names its redirect URI in each
    /// authorization request: that tells the two apart. With another registrar nothing does.
    #[must_use]
    pub fn client_credentials(self, allow: bool) -> Self {
        Self(Core { client_credentials: allow, ..self.0 })
    }

    /// As many codes of one client may be extracted and not yet issued for at one time;
    /// [`CLAIMS_MAX`] by default. Beyond it `extract` fails before the code is spent. A code that
    /// is extracted and then refused by the flow counts until it would have expired.
    #[must_use]
    pub fn claims_max(self, claims: usize) -> Self {
        Self(Core { pending: Pending::new(claims), ..self.0 })
    }

    /// Lets `codes` make the texts of codes and `tokens` those of access and refresh tokens, in
    /// place of the policy's formats. Each text must be of 16 to 8,192 bytes and new for its kind;
    /// what is issued together must be different, an access token and its refresh token as well.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](grantkeep::ErrorKind::Io) where the system's random generator fails.
    pub fn taggers(
        self,
        codes: impl TagGrant + Send + 'static,
        tokens: impl TagGrant + Send + 'static,
    ) -> Result<Self> {
        let codes = Some(Arc::new(Tagger::new(Box::new(codes))?));
        let tokens = Some(Arc::new(Tagger::new(Box::new(tokens))?));
        Ok(Self(Core { codes, tokens, ..self.0 }))
    }

    /// Is told each error of the store, which the traits of oxide-auth have no place for. It is
    /// called by the thread that met the error; no error holds a token.
    #[must_use]
    pub fn on_error(self, told: impl Fn(&Error) + Send + Sync + 'static) -> Self {
        Self(Core { on_error: Some(Arc::new(told)), ..self.0 })
    }

    /// The primitives.
    pub fn build(self) -> Oxide<B> {
        Oxide(Arc::new(self.0))
    }
}

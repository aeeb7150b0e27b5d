//! The traits of oxide-auth.

use crate::core::Core;
use grantkeep::Wait as _;
use grantkeep::backend::Backend;
use oxide_auth::primitives::authorizer::Authorizer;
use oxide_auth::primitives::grant::Grant;
use oxide_auth::primitives::issuer::{IssuedToken, Issuer, RefreshedToken};
use oxide_auth::primitives::registrar::{
    BoundClient, ClientUrl, PreGrant, Registrar, RegistrarError,
};
use oxide_auth::primitives::scope::Scope;
use std::sync::Arc;

macro_rules! handle {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name<B>(pub(crate) Arc<Core<B>>);

        impl<B> Clone for $name<B> {
            fn clone(&self) -> Self {
                Self(Arc::clone(&self.0))
            }
        }
    };
}
#[cfg(feature = "async")]
pub(crate) use handle;

handle! {
    /// An [`Authorizer`] over a store: [`Oxide::authorizer`](crate::Oxide::authorizer). It blocks
    /// the calling thread for as long as the store takes, which must not be one of an executor.
    StoreAuthorizer
}

handle! {
    /// An [`Issuer`] over a store: [`Oxide::issuer`](crate::Oxide::issuer). It blocks the calling
    /// thread for as long as the store takes, which must not be one of an executor.
    StoreIssuer
}

handle! {
    /// A [`Registrar`] over the clients of a store: [`Oxide::registrar`](crate::Oxide::registrar).
    /// It blocks the calling thread for as long as the store takes, which must not be one of an
    /// executor.
    StoreRegistrar
}

impl<B: Backend> Authorizer for StoreAuthorizer<B> {
    fn authorize(&mut self, grant: Grant) -> Result<String, ()> {
        self.0.tell(self.0.authorize(grant).wait())
    }

    fn extract(&mut self, token: &str) -> Result<Option<Grant>, ()> {
        self.0.tell(self.0.extract(token).wait())
    }
}

impl<B: Backend> Issuer for StoreIssuer<B> {
    fn issue(&mut self, grant: Grant) -> Result<IssuedToken, ()> {
        self.0.tell(self.0.issue(grant).wait())
    }

    fn refresh(&mut self, refresh: &str, grant: Grant) -> Result<RefreshedToken, ()> {
        self.0.tell(self.0.refresh(refresh, grant).wait())
    }

    fn recover_token<'a>(&'a self, token: &'a str) -> Result<Option<Grant>, ()> {
        self.0.tell(self.0.recover_token(token).wait())
    }

    fn recover_refresh<'a>(&'a self, token: &'a str) -> Result<Option<Grant>, ()> {
        self.0.tell(self.0.recover_refresh(token).wait())
    }
}

impl<B: Backend> Registrar for StoreRegistrar<B> {
    fn bound_redirect<'a>(&self, bound: ClientUrl<'a>) -> Result<BoundClient<'a>, RegistrarError> {
        let answer = self.0.bound_redirect(bound).wait();
        answer.map_err(|failure| self.0.registrar_error(failure))
    }

    fn negotiate(
        &self,
        client: BoundClient<'_>,
        scope: Option<Scope>,
    ) -> Result<PreGrant, RegistrarError> {
        let answer = self.0.negotiate(client, scope).wait();
        answer.map_err(|failure| self.0.registrar_error(failure))
    }

    fn check(&self, client_id: &str, passphrase: Option<&[u8]>) -> Result<(), RegistrarError> {
        let answer = self.0.check(client_id, passphrase).wait();
        answer.map_err(|failure| self.0.registrar_error(failure))
    }
}

//! The traits of oxide-auth-async. Whatever implements those of oxide-auth implements these as
//! well, and would block in them: so these are types of their own.

use crate::blocking::handle;
use crate::core::Core;
use async_trait::async_trait;
use grantkeep::backend::Backend;
use oxide_auth::primitives::grant::Grant;
use oxide_auth::primitives::issuer::{IssuedToken, RefreshedToken};
use oxide_auth::primitives::registrar::{BoundClient, ClientUrl, PreGrant, RegistrarError};
use oxide_auth::primitives::scope::Scope;
use oxide_auth_async::primitives::{Authorizer, Issuer, Registrar};
use std::sync::Arc;

handle! {
    /// An [`Authorizer`] over a store that blocks no thread:
    /// [`Oxide::async_authorizer`](crate::Oxide::async_authorizer).
    AsyncAuthorizer
}

handle! {
    /// An [`Issuer`] over a store that blocks no thread:
    /// [`Oxide::async_issuer`](crate::Oxide::async_issuer).
    AsyncIssuer
}

handle! {
    /// A [`Registrar`] over the clients of a store that blocks no thread:
    /// [`Oxide::async_registrar`](crate::Oxide::async_registrar).
    AsyncRegistrar
}

#[async_trait]
impl<B: Backend> Authorizer for AsyncAuthorizer<B> {
    async fn authorize(&mut self, grant: Grant) -> Result<String, ()> {
        self.0.tell(self.0.authorize(grant).await)
    }

    async fn extract(&mut self, token: &str) -> Result<Option<Grant>, ()> {
        self.0.tell(self.0.extract(token).await)
    }
}

#[async_trait]
impl<B: Backend> Issuer for AsyncIssuer<B> {
    async fn issue(&mut self, grant: Grant) -> Result<IssuedToken, ()> {
        self.0.tell(self.0.issue(grant).await)
    }

    async fn refresh(&mut self, refresh: &str, grant: Grant) -> Result<RefreshedToken, ()> {
        self.0.tell(self.0.refresh(refresh, grant).await)
    }

    async fn recover_token(&mut self, token: &str) -> Result<Option<Grant>, ()> {
        self.0.tell(self.0.recover_token(token).await)
    }

    async fn recover_refresh(&mut self, token: &str) -> Result<Option<Grant>, ()> {
        self.0.tell(self.0.recover_refresh(token).await)
    }
}

#[async_trait]
impl<B: Backend> Registrar for AsyncRegistrar<B> {
    async fn bound_redirect<'a>(
        &self,
        bound: ClientUrl<'a>,
    ) -> Result<BoundClient<'a>, RegistrarError> {
        let answer = self.0.bound_redirect(bound).await;
        answer.map_err(|failure| self.0.registrar_error(failure))
    }

    async fn negotiate<'a>(
        &self,
        client: BoundClient<'a>,
        scope: Option<Scope>,
    ) -> Result<PreGrant, RegistrarError> {
        let answer = self.0.negotiate(client, scope).await;
        answer.map_err(|failure| self.0.registrar_error(failure))
    }

    async fn check(
        &self,
        client_id: &str,
        passphrase: Option<&[u8]>,
    ) -> Result<(), RegistrarError> {
        let answer = self.0.check(client_id, passphrase).await;
        answer.map_err(|failure| self.0.registrar_error(failure))
    }
}

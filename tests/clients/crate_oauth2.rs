//! The crate `oauth2`: code with PKCE, refresh, client credentials, password, device, revocation,
//! and introspection, with each way to authenticate.

use crate::http::{get, send};
use crate::world::{Known, REDIRECT, USER, World};
use axum::http::{Request, Response};
use oauth2::basic::{BasicClient, BasicErrorResponseType, BasicTokenResponse};
use oauth2::{
    AuthType, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken,
    DeviceAuthorizationUrl, EndpointSet, HttpRequest, HttpResponse, IntrospectionUrl,
    PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RequestTokenError, ResourceOwnerPassword,
    ResourceOwnerUsername, RevocationUrl, Scope, StandardDeviceAuthorizationResponse,
    StandardRevocableToken, TokenIntrospectionResponse, TokenResponse, TokenUrl,
};
use std::collections::BTreeMap;
use std::time::Duration;
use url::{Url, form_urlencoded};

type Client = BasicClient<EndpointSet, EndpointSet, EndpointSet, EndpointSet, EndpointSet>;

/// What went wrong on the way, as the crate wants it.
#[derive(Debug)]
struct Failed(String);

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failed {}

/// Sends a request of the crate.
async fn exchange(request: HttpRequest) -> Result<HttpResponse, Failed> {
    let (parts, body) = request.into_parts();
    let body = String::from_utf8(body).map_err(|cause| Failed(cause.to_string()))?;
    let answer = send(Request::from_parts(parts, body)).await.map_err(Failed)?;
    let mut response = Response::new(answer.body);
    *response.status_mut() = answer.status.try_into().map_err(|_| Failed(String::new()))?;
    *response.headers_mut() = answer.headers;
    Ok(response)
}

/// A run against one system.
struct Run<'a> {
    world: &'a World,
    paths: grantkeep_axum::Paths,
    passed: u64,
}

/// Runs it; how many checks passed.
pub(crate) async fn run(world: &World) -> Result<u64, String> {
    let mut run = Run { world, paths: world.system.paths(), passed: 0 };
    for flow in world.flows() {
        match flow {
            "code" => run.code().await?,
            "refresh" => run.refresh().await?,
            "client_credentials" => run.own().await?,
            "password" => run.password().await?,
            "device" => run.device().await?,
            _ => {}
        }
    }
    run.introspection_and_revocation().await?;
    Ok(run.passed)
}

impl Run<'_> {
    fn check(&mut self, what: &str, holds: bool) -> Result<(), String> {
        self.passed += u64::from(holds);
        let failed = || format!("the crate oauth2, {}: {what}", self.world.name());
        if holds { Ok(()) } else { Err(failed()) }
    }

    fn client(&self, known: &Known, way: AuthType) -> Client {
        let at = |path: &str| format!("{}{path}", self.world.issuer);
        let token = TokenUrl::new(at(&self.paths.token)).unwrap();
        let look = IntrospectionUrl::new(at(&self.paths.introspect)).unwrap();
        // It revokes by TLS alone (RFC 7009 section 2).
        let revoke = at(&self.paths.revoke).replace("http://", "https://");
        let device = DeviceAuthorizationUrl::new(at(&self.paths.device)).unwrap();
        let client = BasicClient::new(ClientId::new(known.id.clone()))
            .set_auth_type(way)
            .set_auth_uri(AuthUrl::new(at(&self.paths.authorize)).unwrap())
            .set_token_uri(token)
            .set_introspection_url(look)
            .set_revocation_url(RevocationUrl::new(revoke).unwrap())
            .set_device_authorization_url(device)
            .set_redirect_uri(RedirectUrl::new(REDIRECT.to_owned()).unwrap());
        match &known.secret {
            Some(secret) => client.set_client_secret(ClientSecret::new(secret.clone())),
            None => client,
        }
    }

    /// Each client, in each of its ways to authenticate.
    fn ways(&self) -> Vec<Client> {
        let World { confidential, odd, public, .. } = self.world;
        vec![
            self.client(confidential, AuthType::BasicAuth),
            self.client(confidential, AuthType::RequestBody),
            self.client(odd, AuthType::BasicAuth),
            self.client(odd, AuthType::RequestBody),
            self.client(public, AuthType::RequestBody),
        ]
    }

    fn scopes(&self) -> Vec<Scope> {
        self.world.scope.split(' ').map(|scope| Scope::new(scope.to_owned())).collect()
    }

    /// What the browser answers for an address.
    async fn decided(&mut self, address: &str, decision: &str) -> Result<String, String> {
        let asked = [("url", address), ("decision", decision)];
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(asked).finish();
        let answer = get(&format!("{}/decide?{query}", self.world.browser)).await?;
        let text = answer.text();
        self.check(&text, answer.status == 200)?;
        Ok(text)
    }

    /// The code that a person approves, and the verifier that goes with it.
    async fn approved(
        &mut self,
        client: &Client,
        decision: &str,
    ) -> Result<(BTreeMap<String, String>, PkceCodeVerifier), String> {
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let (address, state) = client
            .authorize_url(CsrfToken::new_random)
            .add_scopes(self.scopes())
            .set_pkce_challenge(challenge)
            .url();
        let back = self.decided(address.as_str(), decision).await?;
        let back = Url::parse(&back).map_err(|cause| format!("{back}: {cause}"))?;
        let query: BTreeMap<_, _> = back.query_pairs().into_owned().collect();
        self.check("its state", query.get("state") == Some(state.secret()))?;
        self.check("who answers (RFC 9207)", query.get("iss") == Some(&self.world.issuer))?;
        Ok((query, verifier))
    }

    async fn granted(&mut self, client: &Client) -> Result<BasicTokenResponse, String> {
        let (query, verifier) = self.approved(client, "approve").await?;
        let code = query.get("code").cloned().ok_or_else(|| format!("no code: {query:?}"))?;
        let exchanged = client.exchange_code(AuthorizationCode::new(code));
        let token = exchanged.set_pkce_verifier(verifier).request_async(&exchange).await;
        token.map_err(|cause| format!("{cause:?}"))
    }

    /// What the API answers to a token.
    async fn api(&self, token: &BasicTokenResponse) -> Result<u16, String> {
        let bearer = format!("Bearer {}", token.access_token().secret());
        let request = Request::get(self.world.api()).header("authorization", bearer);
        Ok(send(request.body(String::new()).map_err(|cause| cause.to_string())?).await?.status)
    }

    async fn check_pair(&mut self, token: &BasicTokenResponse, pair: bool) -> Result<(), String> {
        let lifetime = Duration::from_secs(self.world.expires_in);
        self.check("the lifetime", token.expires_in() == Some(lifetime))?;
        let scopes = token.scopes().map_or(0, Vec::len);
        self.check("the scopes", scopes == self.scopes().len())?;
        let pair = pair && self.world.flows().contains(&"refresh");
        self.check("a refresh token", token.refresh_token().is_some() == pair)?;
        let opened = self.api(token).await? == 200;
        self.check("the API opens", opened)
    }

    async fn code(&mut self) -> Result<(), String> {
        for client in self.ways() {
            let token = self.granted(&client).await?;
            self.check_pair(&token, true).await?;
        }
        let client = self.client(&self.world.public, AuthType::RequestBody);
        let (query, _) = self.approved(&client, "deny").await?;
        self.check("denied", query.get("error").is_some_and(|error| error == "access_denied"))?;
        let (query, _) = self.approved(&client, "approve").await?;
        let (_, another) = PkceCodeChallenge::new_random_sha256();
        let code = AuthorizationCode::new(query.get("code").cloned().unwrap_or_default());
        let told = client.exchange_code(code).set_pkce_verifier(another);
        let told = told.request_async(&exchange).await;
        let refused = matches!(
            told,
            Err(RequestTokenError::ServerResponse(told))
                if *told.error() == BasicErrorResponseType::InvalidGrant
        );
        self.check("another verifier", refused)
    }

    async fn refresh(&mut self) -> Result<(), String> {
        for client in self.ways() {
            let first = self.granted(&client).await?;
            let old = first.refresh_token().ok_or("no refresh token")?;
            let second = client.exchange_refresh_token(old).request_async(&exchange).await;
            let second = second.map_err(|cause| format!("{cause:?}"))?;
            self.check_pair(&second, true).await?;
            let new = second.refresh_token().ok_or("no refresh token")?;
            self.check("another", new.secret() != old.secret())?;
        }
        Ok(())
    }

    async fn own(&mut self) -> Result<(), String> {
        for client in self.ways().into_iter().take(4) {
            let asked = client.exchange_client_credentials().add_scopes(self.scopes());
            let token = asked.request_async(&exchange).await;
            self.check_pair(&token.map_err(|cause| format!("{cause:?}"))?, false).await?;
        }
        Ok(())
    }

    async fn password(&mut self) -> Result<(), String> {
        let (name, password) = USER;
        let name = ResourceOwnerUsername::new(name.to_owned());
        let password = ResourceOwnerPassword::new(password.to_owned());
        for client in self.ways().into_iter().take(4) {
            let asked = client.exchange_password(&name, &password).add_scopes(self.scopes());
            let token = asked.request_async(&exchange).await;
            self.check_pair(&token.map_err(|cause| format!("{cause:?}"))?, true).await?;
        }
        Ok(())
    }

    async fn device(&mut self) -> Result<(), String> {
        for client in self.ways().into_iter().skip(3) {
            let asked = client.exchange_device_code().add_scopes(self.scopes());
            let told: StandardDeviceAuthorizationResponse =
                asked.request_async(&exchange).await.map_err(|cause| format!("{cause:?}"))?;
            let page = told.verification_uri_complete().ok_or("no complete address")?;
            self.decided(page.secret(), "approve").await?;
            let polled = client.exchange_device_access_token(&told);
            let token = polled.request_async(&exchange, tokio::time::sleep, None).await;
            self.check_pair(&token.map_err(|cause| format!("{cause:?}"))?, true).await?;
        }
        Ok(())
    }

    async fn introspection_and_revocation(&mut self) -> Result<(), String> {
        let client = self.client(&self.world.odd, AuthType::BasicAuth);
        let token = if self.world.flows().contains(&"code") {
            self.granted(&client).await?
        } else {
            let asked = client.exchange_client_credentials().request_async(&exchange).await;
            asked.map_err(|cause| format!("{cause:?}"))?
        };
        let looking = self.client(&self.world.resource_server, AuthType::BasicAuth);
        for active in [true, false] {
            let asked = looking.introspect(token.access_token()).request_async(&exchange).await;
            let told = asked.map_err(|cause| format!("{cause:?}"))?;
            self.check("active or not", told.active() == active)?;
            let opens = self.api(&token).await? == 200;
            self.check("the API as well", opens == active)?;
            if active {
                let whose = told.client_id().is_some_and(|id| **id == self.world.odd.id);
                self.check("whose", whose)?;
                if self.world.certificate().is_none() {
                    return Ok(());
                }
                let revoked = StandardRevocableToken::from(token.access_token().clone());
                let revoked = client.revoke_token(revoked).map_err(|cause| cause.to_string())?;
                let revoked = revoked.request_async(&exchange).await;
                self.check(&format!("revoked: {revoked:?}"), revoked.is_ok())?;
            }
        }
        Ok(())
    }
}

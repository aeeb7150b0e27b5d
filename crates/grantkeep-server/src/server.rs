//! A server: put together, started, and stopped in order.

use crate::consent::consent;
use crate::failure::Failure;
use crate::listen::{self, Limits};
use crate::pages::layout;
use crate::people::People;
use crate::session::{self, Cookies};
use crate::systems::System;
use crate::users::Users;
use crate::{api, tls};
use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use grantkeep::Store;
use grantkeep_axum::OAuth;
use grantkeep_grants::{GrantType, Grants, Policy};
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// The files of a certificate, both PEM.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The certificate, and those that it is signed by.
    pub certificates: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// A server that listens.
pub struct Server {
    grants: Grants,
    oauth: OAuth,
    address: SocketAddr,
    listener: TcpListener,
    tls: Option<tokio_rustls::TlsAcceptor>,
    app: Router,
    limits: Limits,
    stop: watch::Receiver<bool>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Stops a server, from wherever. Dropping it stops nothing.
#[derive(Debug, Clone)]
pub struct Stop(watch::Sender<bool>);

impl Stop {
    /// A server that is made with this stops when it is told.
    #[expect(clippy::new_without_default, reason = "an action, not a value")]
    pub fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    /// Stops: nothing is accepted any more, and what is under way is answered.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

/// What a server is made of.
#[derive(Debug)]
pub struct Config {
    /// Which of the four systems it is.
    pub system: &'static System,
    /// Another policy than that of its profile.
    pub policy: Option<Policy>,
    /// Where it listens; port 0 for any that is free.
    pub listen: SocketAddr,
    /// How it is reached, where that is not where it listens.
    pub issuer: Option<String>,
    /// The files of its certificate; without, it listens on this machine alone.
    pub tls: Option<TlsFiles>,
    /// What connections may take.
    pub limits: Limits,
}

impl Server {
    /// Puts a server together, and has it listen.
    ///
    /// # Errors
    /// For an address that is in use or is not this machine's own without TLS, files that cannot be
    /// used, and a policy out of bounds.
    pub async fn bind(
        store: Store,
        users: Arc<dyn Users>,
        config: Config,
        stop: &Stop,
    ) -> Result<Self, Failure> {
        let Config { system, policy, listen, issuer, tls, limits } = config;
        if tls.is_none() && !listen.ip().is_loopback() {
            return Err(Failure::new(format!(
                "without TLS the server listens on this machine alone, and {listen} is reached \
                 from others: give a certificate, or listen on 127.0.0.1"
            )));
        }
        let tls = tls.map(|files| tls::acceptor(&files.certificates, &files.key)).transpose()?;
        let failed = |cause| Failure::new(format!("cannot listen on {listen}")).because(cause);
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let origin = issuer.unwrap_or_else(|| format!("{scheme}://{address}"));
        let policy = policy.map_or_else(|| system.policy(), Ok)?;
        let grants = session::prepare(Grants::new(store, policy)?).await?;
        let (oauth, app) = assemble(&grants, users, system, &origin, tls.is_some());
        let stop = stop.0.subscribe();
        Ok(Self { grants, oauth, address, listener, tls, app, limits, stop })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How it is reached.
    pub fn issuer(&self) -> &str {
        self.oauth.issuer_address()
    }

    /// The grants that it serves.
    pub fn grants(&self) -> &Grants {
        &self.grants
    }

    /// The endpoints.
    pub fn oauth(&self) -> &OAuth {
        &self.oauth
    }

    /// Serves until it is told to stop; then the store is closed.
    ///
    /// # Errors
    /// Whatever closing the store answers.
    ///
    /// # Durability
    /// Everything that was answered is durable, and so is when each personal token was last used.
    pub async fn run(self) -> Result<(), Failure> {
        let Self { grants, listener, tls, app, limits, mut stop, .. } = self;
        // Where nobody can stop it any more it goes on.
        let stopped = async move {
            if stop.wait_for(|stop| *stop).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        listen::serve(listener, tls, app, limits, stopped).await;
        // Closing waits for the store's own threads.
        let close = move || grantkeep::Wait::wait(grants.close());
        let closed = tokio::task::spawn_blocking(close).await;
        let closed = closed.map_err(|cause| Failure::new("the store's close died").because(cause))?;
        closed.map_err(Failure::from)
    }
}

/// The endpoints of a system and its pages.
fn assemble(
    grants: &Grants,
    users: Arc<dyn Users>,
    system: &'static System,
    origin: &str,
    secure: bool,
) -> (OAuth, Router) {
    let mut oauth = grantkeep_axum::oauth(grants.clone()).issuer(origin).paths(system.paths());
    if let Some(spelled) = system.token_type {
        oauth = oauth.token_type(spelled);
    }
    if system.splits_forms {
        oauth = oauth.splits_forms();
    }
    if system.has(&GrantType::Password) {
        let users = Arc::clone(&users);
        oauth = oauth.password(move |name, password| users.verify(name, password));
    }
    oauth = oauth.error_page(|rejection| {
        let what = rejection.description().unwrap_or("The app's request is not in order.");
        layout::wrong(StatusCode::BAD_REQUEST, what)
    });
    let mut app = Router::new().route(layout::STYLE_PATH, get(layout::style));
    if system.asks() {
        let people = Arc::new(People {
            oauth: oauth.clone(),
            users,
            cookies: Cookies { secure },
            system,
            origin: origin.to_owned(),
        });
        oauth = oauth.consent(move |asking| consent(Arc::clone(&people), asking));
    }
    app = app.merge(api::router(&oauth, system)).merge(oauth.clone());
    (oauth, app)
}

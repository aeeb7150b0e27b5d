//! A server: put together, started, and stopped in order.

use crate::bound::Bound;
use crate::consent::consent;
use crate::failure::Failure;
use crate::listen::{self, Limits};
use crate::pages::market::OneClick;
use crate::pages::tally::{self, Tally};
use crate::pages::{self, layout};
use crate::people::People;
use crate::session::{self, Cookies};
use crate::systems::System;
use crate::users::Users;
use crate::{api, audit, openapi, operators, proxies, requests};
use axum::Router;
use axum::body::Bytes;
use axum::http::{StatusCode, header};
use axum::routing::get;
use grantkeep::Store;
use grantkeep_axum::OAuth;
use grantkeep_grants::{GrantType, Grants, Policy};
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

/// The files of a certificate, both PEM.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The certificate, and those that it is signed by.
    pub certificates: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Where operators reach the server.
#[derive(Debug, Clone)]
pub struct Operators {
    /// An address of this machine's own: metrics and health are told to whoever asks there.
    pub listen: SocketAddr,
    /// What opens the JSON API; without it there is none.
    pub secret: Option<String>,
}

/// A server that listens.
pub struct Server {
    grants: Grants,
    oauth: OAuth,
    address: SocketAddr,
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    app: Router,
    operators: Option<(TcpListener, Router)>,
    audit: Option<JoinHandle<()>>,
    limits: Limits,
    stop: watch::Receiver<Told>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Stops a server, from wherever. Dropping it stops nothing.
#[derive(Debug, Clone)]
pub struct Stop(watch::Sender<Told>);

/// What a server was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Told {
    Nothing,
    ToStop,
    ToHasten,
}

impl Stop {
    /// A server that is made with this stops when it is told.
    #[expect(clippy::new_without_default, reason = "an action, not a value")]
    pub fn new() -> Self {
        Self(watch::Sender::new(Told::Nothing))
    }

    /// Stops: nothing is accepted any more, and what is under way is answered.
    pub fn stop(&self) {
        self.tell(Told::ToStop);
    }

    /// Stops without waiting for what is under way: it is not answered any more. What was decided
    /// is durable all the same, and the store is closed in order.
    pub fn hasten(&self) {
        self.tell(Told::ToHasten);
    }

    fn tell(&self, what: Told) {
        self.0.send_modify(|told| *told = what.max(*told));
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
    /// How it is reached, where that is not where it listens: `https://HOST` or, on this machine,
    /// `http://HOST`, and a port. It has to be named where it listens on all addresses.
    pub issuer: Option<String>,
    /// The files of its certificate; without, it listens on this machine alone.
    pub tls: Option<TlsFiles>,
    /// Where operators reach it; nowhere by default.
    pub operators: Option<Operators>,
    /// The file that events are appended to, as JSON lines.
    pub audit: Option<PathBuf>,
    /// Where the marketplace leads for an app, by the client's id, instead of to its only redirect
    /// URI with a code.
    pub one_click: BTreeMap<String, OneClick>,
    /// Proxies of one's own before the server: where a connection comes from one of them, the last
    /// address in `X-Forwarded-For` that is none of theirs is the client's. No header is believed
    /// from anybody else.
    pub proxies: Vec<IpAddr>,
    /// What connections may take.
    pub limits: Limits,
}

impl Config {
    /// This system at this address, and nothing else.
    pub fn new(system: &'static System, listen: SocketAddr) -> Self {
        Self {
            system,
            policy: None,
            listen,
            issuer: None,
            tls: None,
            operators: None,
            audit: None,
            one_click: BTreeMap::new(),
            proxies: Vec::new(),
            limits: Limits::default(),
        }
    }
}

impl Server {
    /// Puts a server together on a store that is open, and has it listen: [`Bound::take`], then
    /// [`Bound::with`].
    ///
    /// # Errors
    /// Those of both.
    pub async fn bind(
        store: Store,
        users: Arc<dyn Users>,
        config: Config,
        stop: &Stop,
    ) -> Result<Self, Failure> {
        Bound::take(config).await?.with(store, users, stop).await
    }

    /// Puts a server together of what it has taken of the machine.
    pub(crate) async fn assembled(
        bound: Bound,
        store: Store,
        users: Arc<dyn Users>,
        stop: &Stop,
    ) -> Result<Self, Failure> {
        let Bound { system, policy, listener, address, origin, tls, operators, .. } = bound;
        let Bound { audit, one_click, proxies, limits, .. } = bound;
        let policy = policy.map_or_else(|| system.policy(), Ok)?;
        let grants = session::prepare(Grants::new(store, policy)?).await?;
        let audit = audit.map(|path| audit::start(grants.events(), &path)).transpose()?;
        let (oauth, app) = assemble(&grants, users, one_click, system, &origin);
        let app = proxies::believed(app, &proxies);
        let operators = match operators {
            None => None,
            Some((listener, at, secret)) => {
                operators::count()?;
                let guesses = oauth.table_of_guesses();
                let router = operators::router(&grants, secret.as_deref(), guesses, at)?;
                Some((listener, proxies::believed(requests::told(router), &proxies)))
            }
        };
        let stop = stop.0.subscribe();
        Ok(Self { grants, oauth, address, listener, tls, app, operators, audit, limits, stop })
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

    /// All that it serves, for a listener of one's own, or for none: a test calls it.
    pub fn router(&self) -> Router {
        self.app.clone()
    }

    /// The endpoints.
    pub fn oauth(&self) -> &OAuth {
        &self.oauth
    }

    /// Serves until it is told to stop; then the store is closed.
    ///
    /// What is under way is waited for, up to [`Limits::stop`], unless [`Stop::hasten`] is told.
    ///
    /// # Errors
    /// Whatever closing the store answers.
    ///
    /// # Durability
    /// Everything that was answered is durable, and so is when each personal token was last used.
    pub async fn run(self) -> Result<(), Failure> {
        let Self { grants, oauth, listener, tls, app, operators, audit, limits, stop, .. } = self;
        // Whoever is served may still hold the grants.
        drop(oauth);
        let told = |what| until(stop.clone(), what);
        let (to_stop, to_hasten) = (told(Told::ToStop), told(Told::ToHasten));
        let served = listen::serve(listener, tls, app, limits, to_stop, to_hasten);
        match operators {
            None => served.await,
            Some((listener, router)) => {
                let (to_stop, to_hasten) = (told(Told::ToStop), told(Told::ToHasten));
                let beside = listen::serve(listener, None, router, limits, to_stop, to_hasten);
                tokio::join!(served, beside);
            }
        }
        // Closing waits for the store's own threads.
        let close = move || grantkeep::Wait::wait(grants.close());
        let closed = tokio::task::spawn_blocking(close).await;
        if let Some(audit) = audit {
            // It ends with the events, and these with the last handle of the grants.
            let ended = tokio::task::spawn_blocking(move || audit.join());
            let _ = tokio::time::timeout(limits.stop, ended).await;
        }
        let closed =
            closed.map_err(|cause| Failure::new("the store's close died").because(cause))?;
        closed.map_err(Failure::from)
    }
}

/// Waits until the server is told this; for ever where nobody can tell it any more.
async fn until(mut told: watch::Receiver<Told>, what: Told) {
    if told.wait_for(|told| *told >= what).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// The endpoints of a system and its pages.
fn assemble(
    grants: &Grants,
    users: Arc<dyn Users>,
    one_click: BTreeMap<String, OneClick>,
    system: &'static System,
    origin: &str,
) -> (OAuth, Router) {
    // A proxy may stand between a browser and a server that itself has no certificate.
    let secure = origin.starts_with("https:");
    let mut oauth = grantkeep_axum::oauth(grants.clone()).issuer(origin).paths(system.paths());
    oauth = oauth.grant_types(system.grants.iter().cloned());
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
        let why = rejection.description().map(|why| format!(": {why}")).unwrap_or_default();
        let what = format!("The app's request is not in order{why}.");
        layout::wrong(StatusCode::BAD_REQUEST, &what)
    });
    let people = Arc::new(People {
        oauth: oauth.clone(),
        users,
        cookies: Cookies { secure },
        system,
        origin: origin.to_owned(),
        introspect: system.paths().introspect,
        one_click,
        tally: Tally::default(),
    });
    if system.asks() {
        let people = Arc::clone(&people);
        oauth = oauth.consent(move |asking| consent(Arc::clone(&people), asking));
    }
    // Written once: a client that does not read its answer holds no copy of its own.
    let contract = serde_json::to_vec(&openapi::document(system, origin)).unwrap_or_default();
    let contract = ([(header::CONTENT_TYPE, "application/json")], Bytes::from(contract));
    let endpoints = api::router(&oauth, system).merge(oauth.clone());
    let app = tally::counted(&people, endpoints)
        .route(openapi::PATH, get(move || async move { contract }))
        .merge(pages::router(people));
    (oauth, requests::told(app))
}

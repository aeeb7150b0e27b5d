//! The four systems, each on a store and a port of its own, with the clients that the suites use.

use crate::browser::{self, Person};
use crate::{certificate, http};
use grantkeep::Store;
use grantkeep_grants::{ClientCredentials, Creation, Grant, GrantType, Grants, NewClient};
use grantkeep_server::{Config, KnownUsers, SYSTEMS, Server, Stop, System, TlsFiles};
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::task::JoinHandle;

const NAME: &str = "alice";
const PASSWORD: &str = "wonderland & looking-glass + 100%";
/// Where the clients are led back to. Nothing listens there: the browser tells them instead.
pub(crate) const REDIRECT: &str = "http://127.0.0.1:8999/callback";
/// An id and a secret of every printable character: RFC 6749 appendices A.1 and A.2, and what
/// section 2.3.1 has clients encode.
const ODD_ID: &str = "app: 1+2=3 & 100% (\"~\", '/', <?>)";
const ODD_SECRET: &str = " !\"#$%&'()*+,-./0123456789:;<=>?@AZ[\\]^_`az{|}~%2B";

/// Who a client is.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) id: String,
    pub(crate) secret: Option<String>,
}

/// A running server, and what there is on it.
pub(crate) struct World {
    pub(crate) system: &'static System,
    pub(crate) issuer: String,
    pub(crate) grants: Grants,
    pub(crate) browser: String,
    pub(crate) scope: String,
    pub(crate) expires_in: u64,
    /// An ordinary client with a secret, one without, one whose credentials are hard to encode, and
    /// a resource server.
    pub(crate) confidential: Known,
    pub(crate) public: Known,
    pub(crate) odd: Known,
    pub(crate) resource_server: Known,
    /// Its certificate, in a directory that all those share that have one.
    tls: Option<(TlsFiles, Arc<TempDir>)>,
    stop: Stop,
    serving: JoinHandle<()>,
    _directory: TempDir,
}

/// The person of each server.
pub(crate) const USER: (&str, &str) = (NAME, PASSWORD);

/// How the servers are reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reached {
    /// By plain HTTP, on this machine.
    Plainly,
    /// Each once so, and once by TLS where a certificate can be made. For one test of a process:
    /// its certificate is the one that is trusted.
    BothWays,
}

/// Starts all four, with one person's browser.
pub(crate) async fn worlds(reached: Reached) -> Vec<World> {
    let mut worlds = Vec::new();
    for system in &SYSTEMS {
        worlds.push(World::start(system, None).await);
    }
    if reached == Reached::BothWays {
        let directory = Arc::new(tempfile::tempdir().unwrap());
        match certificate::make(directory.path()) {
            Ok(tls) => {
                http::trust(|| certificate::trusting(&tls.certificates));
                for system in &SYSTEMS {
                    let tls = Some((tls.clone(), Arc::clone(&directory)));
                    worlds.push(World::start(system, tls).await);
                }
            }
            Err(why) => println!("skipped because {why}"),
        }
    }
    let browser = browser::serve(Person { name: NAME, password: PASSWORD }).await;
    for world in &mut worlds {
        world.browser.clone_from(&browser);
    }
    worlds
}

impl World {
    async fn start(system: &'static System, tls: Option<(TlsFiles, Arc<TempDir>)>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store");
        let store = tokio::task::spawn_blocking(|| Store::open(path)).await.unwrap().unwrap();
        let users = Arc::new(KnownUsers::new().unwrap());
        users.add(NAME, &grantkeep_server::hash(PASSWORD).unwrap(), false).unwrap();
        let listen = "127.0.0.1:0".parse().unwrap();
        let files = tls.as_ref().map(|(files, _)| files.clone());
        let config = Config { tls: files, ..Config::new(system, listen) };
        let stop = Stop::new();
        let server = Server::bind(store, users, config, &stop).await.unwrap();
        let grants = server.grants().clone();
        let scope = system.scopes.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(" ");
        let own = |grant: &GrantType| *grant == GrantType::ClientCredentials;
        let persons: Vec<GrantType> = system.grants.iter().filter(|g| !own(g)).cloned().collect();
        let confidential =
            made(&grants, NewClient::confidential(None), system.grants, &scope, "App").await;
        let public = made(&grants, NewClient::public(None), &persons, &scope, "Phone").await;
        let odd = NewClient::confidential(ODD_ID).secret(ODD_SECRET);
        let odd = Known {
            secret: Some(ODD_SECRET.to_owned()),
            ..made(&grants, odd, system.grants, &scope, "<Odd> & co").await
        };
        let introspects = [GrantType::read(grantkeep_axum::INTROSPECTION_GRANT).unwrap()];
        let resource_server =
            made(&grants, NewClient::confidential(None), &introspects, "", "API").await;
        Self {
            system,
            issuer: server.issuer().to_owned(),
            browser: String::new(),
            scope,
            expires_in: grants.policy().access_lifetime.as_secs(),
            grants,
            confidential,
            public,
            odd,
            resource_server,
            stop,
            serving: tokio::spawn(async { server.run().await.unwrap() }),
            tls,
            _directory: directory,
        }
    }

    /// What is said of it.
    pub(crate) fn name(&self) -> String {
        let way = if self.tls.is_some() { ", by TLS" } else { "" };
        format!("{}{way}", self.system.name)
    }

    /// The file with the certificate, where it is reached by TLS.
    pub(crate) fn certificate(&self) -> Option<&Path> {
        self.tls.as_ref().map(|(files, _)| files.certificates.as_path())
    }

    /// What the suites do with this system: its grants, and what leads to them.
    pub(crate) fn flows(&self) -> Vec<&'static str> {
        let flows = [
            ("code", GrantType::AuthorizationCode),
            ("push", GrantType::AuthorizationCode),
            ("refresh", GrantType::RefreshToken),
            ("client_credentials", GrantType::ClientCredentials),
            ("password", GrantType::Password),
            ("device", GrantType::DeviceCode),
        ];
        let has = flows.iter().filter(|(_, grant)| self.system.has(grant));
        has.map(|(flow, _)| *flow).collect()
    }

    /// A path of the example API.
    pub(crate) fn api(&self) -> String {
        format!("{}{}", self.issuer, self.system.resources[0])
    }

    /// All of it, for a program in another language.
    pub(crate) fn settings(&self) -> String {
        let known = |known: &Known| match &known.secret {
            Some(secret) => serde_json::json!({ "id": known.id, "secret": secret }),
            None => serde_json::json!({ "id": known.id }),
        };
        let settings = serde_json::json!({
            "issuer": self.issuer,
            "browser": self.browser,
            "flows": self.flows(),
            "api": self.api(),
            "token_type": self.system.token_type.unwrap_or("Bearer"),
            "expires_in": self.expires_in,
            "scope": self.scope,
            "redirect_uri": REDIRECT,
            "confidential": known(&self.confidential),
            "public": known(&self.public),
            "odd": known(&self.odd),
            "resource_server": known(&self.resource_server),
            "user": { "name": NAME, "password": PASSWORD },
        });
        settings.to_string()
    }

    /// Stops the server; it ends in order.
    pub(crate) async fn end(self) {
        self.stop.stop();
        self.serving.await.unwrap();
    }
}

/// A token of the ordinary client: for the person, or where none is asked, for itself.
pub(crate) async fn issued(world: &World, scopes: &str) -> String {
    let client = &world.confidential.id;
    let issued = if world.system.asks() {
        world.grants.open(Grant::new(client, NAME).scopes(scopes)).await.unwrap()
    } else {
        let asked = ClientCredentials::new(client).scopes(scopes);
        world.grants.client_credentials(asked).await.unwrap()
    };
    issued.access.expose().to_owned()
}

async fn made(
    grants: &Grants,
    new: NewClient<'_>,
    of: &[GrantType],
    scope: &str,
    name: &str,
) -> Known {
    let new = new.name(name).redirect_uri(REDIRECT).grants(of.iter().cloned()).scopes(scope);
    match grants.create_client(new).await.unwrap() {
        Creation::Created(made) => Known {
            id: made.client.id,
            secret: made.secret.map(|secret| secret.expose().to_owned()),
        },
        other => panic!("{other:?}"),
    }
}

//! A server of one of the systems, in this process, with a person and a client.

use crate::curl::{Answer, curl};
use grantkeep::{KeySource, Keyring, Options, Store, Wait as _};
use grantkeep_grants::{Creation, Grants, NewClient};
use grantkeep_server::{Config, KnownUsers, Server, Stop, System, hash};
use std::sync::Arc;
use std::thread::JoinHandle;

pub(crate) const USER: (&str, &str) = ("alice", "wonder land+%41");
/// What a second unescaping would change, and what ends a value.
pub(crate) const SECRET: &str = "a+secret%41with&every=sign?";
pub(crate) const REDIRECT: &str = "https://not-hospitable.example/redirect";

/// It is stopped when it is dropped.
pub(crate) struct Started {
    pub(crate) address: String,
    pub(crate) grants: Grants,
    pub(crate) directory: tempfile::TempDir,
    stop: Stop,
    thread: Option<JoinHandle<()>>,
}

impl Started {
    /// The system of this name, with the confidential client `app`, without scopes.
    pub(crate) fn system(name: &str) -> Self {
        Self::configured(name, Store::options(), |config| config)
    }

    /// That system on a store with these options, by this configuration.
    pub(crate) fn configured(
        name: &str,
        options: Options,
        change: impl FnOnce(Config) -> Config + Send + 'static,
    ) -> Self {
        let system = System::named(name).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let keys = KeySource::Given(Keyring::generate().unwrap());
        let store = options.keys(keys).open(directory.path().join("store")).unwrap();
        let stop = Stop::new();
        let (told, served) = std::sync::mpsc::channel();
        let own = stop.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let users = KnownUsers::new().unwrap();
                users.add(USER.0, &hash(USER.1).unwrap(), false).unwrap();
                let config = change(Config::new(system, ([127, 0, 0, 1], 0).into()));
                let server = Server::bind(store, Arc::new(users), config, &own).await.unwrap();
                told.send((server.issuer().to_owned(), server.grants().clone())).unwrap();
                server.run().await.unwrap();
            });
        });
        let (address, grants) = served.recv().unwrap();
        let started = Self { address, grants, directory, stop, thread: Some(thread) };
        started.client("app", SECRET, system);
        started
    }

    fn client(&self, id: &str, secret: &str, system: &System) {
        let new = NewClient::confidential(id)
            .name("The app")
            .secret(secret)
            .redirect_uri(REDIRECT)
            .grants(system.grants.iter().cloned());
        let made = self.grants.create_client(new).wait().unwrap();
        assert!(matches!(made, Creation::Created(_)));
    }

    pub(crate) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }

    /// What this endpoint answers `app` to a form of these fields.
    pub(crate) fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let own = [("client_id", "app"), ("client_secret", SECRET)];
        let fields: Vec<String> =
            own.iter().chain(fields).map(|(name, value)| format!("{name}={value}")).collect();
        let address = self.at(path);
        let pairs = fields.iter().flat_map(|field| ["--data-urlencode", field]);
        curl(&pairs.chain([address.as_str()]).collect::<Vec<_>>())
    }

    /// What the example API answers this token.
    pub(crate) fn api(&self, path: &str, token: &str) -> Answer {
        curl(&["--header", &format!("Authorization: Bearer {token}"), &self.at(path)])
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        self.stop.stop();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !std::thread::panicking()
        {
            panic!("the server died");
        }
    }
}

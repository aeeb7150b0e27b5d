//! A server that a test starts, on a directory that outlives it.

use super::PROGRAM;
use super::connection::{Answer, Connection};
use futures_util::{StreamExt as _, stream};
use grantkeep::{Embedded, Store, Wait as _};
use grantkeep_grants::{Authorize, Grant, Grants, Issued, Policy};
use grantkeep_tests::process::Process;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

pub(crate) const TOKEN: &str = "/api/oauth/token";
pub(crate) const INTROSPECT: &str = "/api/oauth/introspect";
pub(crate) const REVOKE: &str = "/api/oauth/revoke";
pub(crate) const RESOURCE: &str = "/api/cars";
pub(crate) const CLIENT: [(&str, &str); 2] =
    [("client_id", "load"), ("client_secret", "a-secret-of-the-load")];

/// The client asks about many tokens that are in force no more, as a resource server does.
const CLIENTS: &str = r#"
[[client]]
id = "load"
name = "Whoever loads"
secret = "a-secret-of-the-load"
redirect_uris = ["https://app.example/cb"]
grants = ["authorization_code", "refresh_token", "client_credentials", "password",
          "urn:grantkeep:grant-type:introspection"]
scopes = ["profile", "bookings"]
"#;

/// Without grace, so that each generation is accepted once; reuse is refused and ends nothing, so
/// that a family lives on where two of its requests race.
const POLICY: &str = r#"
refresh_grace = 0
on_reuse = "refuse"
access_lifetime = 86400
"#;

/// A directory with a store, and the files that its servers are started with.
pub(crate) struct Place(TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("clients.toml"), CLIENTS).unwrap();
        fs::write(dir.path().join("policy.toml"), POLICY).unwrap();
        Self(dir)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Starts a server on the store.
    pub(crate) fn start(&self, more: &[&str]) -> Server {
        let mut command = Command::new(PROGRAM);
        command.args(["serve", "--profile", "hourfleet", "--listen", "127.0.0.1:0"]);
        command.arg("--dir").arg(self.path("store"));
        command.arg("--clients").arg(self.path("clients.toml"));
        command.arg("--policy").arg(self.path("policy.toml")).args(more);
        let logged = fs::File::options().create(true).append(true).open(self.path("stderr"));
        let mut process = Process::start(command.stderr(logged.unwrap()));
        let first = process.line().expect("it ended by itself");
        let (_, address) = first.split_once("http://").expect(&first);
        let address = address.split(',').next().unwrap().parse().unwrap();
        while process.line().expect("it ended by itself") != "Ctrl-C ends it." {}
        Server { process, address }
    }

    /// The grants in the store, while no server has it open.
    pub(crate) fn grants(&self) -> Grants<Embedded> {
        let policy = Policy::load(self.path("policy.toml")).unwrap();
        Grants::new(Store::open(self.path("store")).unwrap(), policy).unwrap()
    }
}

/// A server that runs.
pub(crate) struct Server {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Tells it to end.
    pub(crate) fn terminate(&self) {
        let id = self.process.id().to_string();
        let told = Command::new("kill").args(["-TERM", &id]).status().unwrap();
        assert!(told.success());
    }

    /// Has it end in order.
    pub(crate) fn stop(mut self) {
        self.terminate();
        assert!(self.process.wait().success(), "it did not end in order");
    }
}

/// Opens a family for a person, as a server does that has its own pages.
pub(crate) async fn open(grants: &Grants<Embedded>, subject: &str) -> Issued {
    grants.open(Grant::new("load", subject).scopes(["profile"])).await.unwrap()
}

/// A code that a person has approved.
pub(crate) async fn code(grants: &Grants<Embedded>, subject: &str) -> String {
    let asked = Authorize::new("load", subject).lifetime(Duration::from_secs(600));
    grants.authorize(asked.scopes(["profile"])).await.unwrap().expose().to_owned()
}

/// What these come to, many of them at a time, so that they share the store's syncs.
pub(crate) fn all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    stream::iter(futures).buffered(512).collect::<Vec<_>>().wait()
}

/// What the token endpoint says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Told {
    /// An access token and a refresh token.
    Granted(String, String),
    /// What was presented is no grant (any more).
    Refused,
    /// Nothing: the connection ended before.
    Nothing,
}

/// Presents a code or a refresh token.
pub(crate) async fn present(connection: &mut Connection, what: (&str, &str)) -> Told {
    let (grant, name) = match what.0 {
        "code" => ("authorization_code", "code"),
        other => (other, other),
    };
    let form = [CLIENT[0], CLIENT[1], ("grant_type", grant), (name, what.1)];
    told(connection.post(TOKEN, &form).await)
}

pub(crate) fn told(answered: io::Result<Answer>) -> Told {
    let Ok(answer) = answered else { return Told::Nothing };
    match answer.status {
        200 => Told::Granted(answer.member("access_token"), answer.member("refresh_token")),
        400 if answer.member("error") == "invalid_grant" => Told::Refused,
        _ => panic!("{}", answer.text()),
    }
}

/// Whether the server says that a token is in force.
pub(crate) async fn is_active(connection: &mut Connection, token: &str) -> bool {
    let form = [CLIENT[0], CLIENT[1], ("token", token)];
    connection.post(INTROSPECT, &form).await.unwrap().is_active()
}

//! Apache with mod_auth_openidc as a resource server: it asks the introspection endpoint (RFC 7662)
//! about each token that it is shown, and believes what it is told. It does so by TLS alone, and
//! each time, so that a revoked token is refused at once.

use crate::http::{Answer, send};
use crate::programs::installed;
use crate::world::{Known, USER, World, issued};
use axum::http::Request;
use grantkeep_tests::process::Process;
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

const PROGRAM: &str = "/usr/sbin/apache2";
const MODULES: &str = "/usr/lib/apache2/modules";
/// How often it is asked whether it serves, until it does.
const POLL: Duration = Duration::from_millis(50);
const POLLS_MAX: usize = 400;

/// A private instance, which ends with this.
pub(crate) struct Apache {
    address: String,
    directory: TempDir,
    _process: Process,
}

impl Apache {
    /// Starts one that asks this server, which it reaches by TLS with this certificate.
    ///
    /// # Errors
    /// What is missing.
    pub(crate) fn start(world: &World, certificate: &Path) -> Result<Self, String> {
        for file in [PROGRAM.to_owned(), format!("{MODULES}/mod_auth_openidc.so")] {
            if !Path::new(&file).exists() {
                return Err(format!("{file} is missing: run tests/clients/install"));
            }
        }
        std::fs::create_dir_all(installed()).map_err(|cause| cause.to_string())?;
        let directory = tempfile::tempdir().map_err(|cause| cause.to_string())?;
        // Its workers run as another user.
        let permissions = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(directory.path(), permissions).unwrap();
        for name in ["any", "person", "scope"] {
            let folder = directory.path().join("files").join(name);
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("file"), "opened").unwrap();
        }
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let file = directory.path().join("apache.conf");
        std::fs::write(&file, configuration(world, certificate, directory.path(), port)).unwrap();
        let mut command = Command::new(PROGRAM);
        let process = Process::start(command.arg("-f").arg(&file).arg("-DFOREGROUND"));
        Ok(Self { address: format!("http://127.0.0.1:{port}"), directory, _process: process })
    }

    /// Shows it tokens of this server; how many checks passed.
    ///
    /// # Errors
    /// The check that failed, and what Apache logged.
    pub(crate) async fn run(&self, world: &World) -> Result<u64, String> {
        let checked = self.checks(world).await;
        checked.map_err(|wrong| {
            let log = std::fs::read_to_string(self.directory.path().join("error.log"));
            format!("mod_auth_openidc, {}: {wrong}\n{}", world.name(), log.unwrap_or_default())
        })
    }

    async fn checks(&self, world: &World) -> Result<u64, String> {
        let mut passed = 0;
        let mut check = |what: &str, holds: bool| {
            passed += u64::from(holds);
            if holds { Ok(()) } else { Err(what.to_owned()) }
        };
        self.serves().await?;
        let answer = self.open("any", None).await?;
        check("no token", answer.status == 401)?;
        let challenge = answer.field("www-authenticate").unwrap_or_default();
        check("a challenge", challenge.starts_with("Bearer"))?;
        check("none that was issued", self.open("any", Some("none")).await?.status == 401)?;
        let own = !world.system.asks();
        let first = world.scope.split(' ').next().unwrap_or_default();
        for scopes in [world.scope.as_str(), first] {
            let token = issued(world, scopes).await;
            let any = self.open("any", Some(&token)).await?;
            check("a token opens", any.status == 200 && any.text() == "opened")?;
            let person = self.open("person", Some(&token)).await?;
            check("whose", (person.status == 200) != own)?;
            let all = self.open("scope", Some(&token)).await?;
            check("every scope", (all.status == 200) == (scopes == world.scope))?;
            world.grants.revoke(&token).await.map_err(|cause| cause.to_string())?;
            check("revoked", self.open("any", Some(&token)).await?.status == 401)?;
        }
        Ok(passed)
    }

    async fn open(&self, folder: &str, token: Option<&str>) -> Result<Answer, String> {
        let mut request = Request::get(format!("{}/{folder}/file", self.address));
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        send(request.body(String::new()).map_err(|cause| cause.to_string())?).await
    }

    async fn serves(&self) -> Result<(), String> {
        for _ in 0..POLLS_MAX {
            if self.open("any", None).await.is_ok() {
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
        Err("it does not serve".to_owned())
    }
}

/// What an administrator would write, but for the paths.
fn configuration(world: &World, certificate: &Path, directory: &Path, port: u16) -> String {
    let at = |path: &str| format!("{}{path}", world.issuer);
    let (directory, certificate) = (directory.display(), certificate.display());
    let Known { id, secret } = &world.resource_server;
    let secret = secret.as_deref().unwrap_or_default();
    let look = at(&world.system.paths().introspect);
    let mut text = String::new();
    for name in ["mpm_event", "authn_core", "authz_core", "authz_user", "auth_openidc"] {
        let _ = writeln!(text, "LoadModule {name}_module {MODULES}/mod_{name}.so");
    }
    let _ = write!(
        text,
        "ServerRoot {directory}
ServerName 127.0.0.1
Listen 127.0.0.1:{port}
PidFile {directory}/apache.pid
DefaultRuntimeDir {directory}
ErrorLog {directory}/error.log
DocumentRoot {directory}/files
User nobody
Group nogroup
OIDCOAuthIntrospectionEndpoint {look}
OIDCOAuthIntrospectionEndpointAuth client_secret_basic
OIDCOAuthClientID {id}
OIDCOAuthClientSecret {secret}
OIDCOAuthTokenIntrospectionInterval -1
OIDCCABundlePath {certificate}
OIDCOAuthRemoteUserClaim client_id
<Location />
  AuthType oauth20
</Location>
<Location /any>
  Require valid-user
</Location>
<Location /person>
  Require claim sub:{}
</Location>
<Location /scope>
  <RequireAll>
",
        USER.0,
    );
    for scope in world.scope.split(' ') {
        let _ = writeln!(text, "    Require claim scope~(^|[[:space:]]){scope}([[:space:]]|$)");
    }
    text.push_str("  </RequireAll>\n</Location>\n");
    text
}

//! What a server prints works, and what it refuses is told.

use super::PROGRAM;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

const PROFILES: [&str; 4] = ["hourfleet", "rest_api_v1", "hospitable", "hapn"];

/// A server at work, and what it has printed.
struct Serving {
    child: Child,
    printed: String,
}

impl Serving {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(PROGRAM)
            .arg("serve")
            .args(arguments)
            .args(["--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut printed = String::new();
        loop {
            let line = lines.next().unwrap_or_else(|| panic!("it has ended: {printed}")).unwrap();
            if line.starts_with("Ctrl-C") {
                break;
            }
            printed.push_str(&line);
            printed.push('\n');
        }
        Self { child, printed }
    }

    /// Where it says that it is.
    fn address(&self) -> &str {
        let from = self.printed.find("http").unwrap();
        self.printed[from..].split([',', '\n']).next().unwrap()
    }

    /// Its commands, as they would be pasted into a shell.
    fn script(&self) -> &str {
        &self.printed[self.printed.find("TOKENS=").unwrap()..]
    }

    /// The store's directory, as it says.
    fn store(&self) -> &Path {
        Path::new(self.printed.lines().next().unwrap().split("on the store in ").nth(1).unwrap())
    }

    /// Ends it as an init system does.
    fn end(mut self) -> Output {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}");
        self.child.wait_with_output().unwrap()
    }
}

fn shell(script: &str) -> String {
    let done = Command::new("bash").args(["-c", script]).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).into_owned()
}

fn says(arguments: &[&str]) -> String {
    let output = Command::new(PROGRAM).arg("serve").args(arguments).output().unwrap();
    assert!(!output.status.success(), "{arguments:?}");
    assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

// Goal: what a try-out prints works as it is pasted, for each of the four systems; a store that
// was made for the run goes with it, in order. Method: run the printed lines in a shell, look for a
// token from each and an answer of the API, and end the server as an init system does.
#[test]
fn printed_lines_work() {
    for profile in PROFILES {
        let server = Serving::start(&["--profile", profile, "--demo-users"]);
        let answered = shell(server.script());
        let asked = server.script().matches("echo \"$TOKENS\"").count();
        assert_eq!(answered.matches("\"access_token\":").count(), asked, "{profile}: {answered}");
        assert!(!answered.contains("\"error\""), "{profile}: {answered}");
        let served = server.script().matches("Authorization: Bearer").count();
        assert_eq!(answered.matches("\"caller\":").count(), served, "{profile}: {answered}");
        let store = server.store().to_owned();
        assert!(store.exists());
        server.end();
        assert!(!store.parent().unwrap().exists(), "{}", store.display());
    }
}

// Goal: what was issued outlives the server, on a directory of its own. Method: issue, end, start
// again, and ask the API with the same token.
#[test]
fn a_store_of_its_own_outlives_the_server() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path().join("store");
    let arguments = ["--profile", "hospitable", "--demo-users", "--dir", dir.to_str().unwrap()];
    let server = Serving::start(&arguments);
    let answered = shell(server.script());
    let last = answered.lines().rfind(|line| line.contains("\"access_token\"")).unwrap();
    let from = last.find("\"access_token\":\"").unwrap() + 16;
    let token = last[from..].split('"').next().unwrap().to_owned();
    server.end();
    let server = Serving::start(&arguments);
    let ask = format!("curl -s {}/properties -H 'Authorization: Bearer {token}'", server.address());
    assert!(shell(&ask).contains("\"subject\":\"alice\""));
    server.end();
}

// Goal: TLS from files, and health for operators. Method: a certificate made by `openssl`, the
// metadata over TLS, and a probe.
#[test]
fn tls_is_served_from_files() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (cert, key) = (at("cert.pem"), at("key.pem"));
    shell(&format!(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
         -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1 -keyout {key} -out {cert} 2>&1"
    ));
    let server = Serving::start(&["--profile", "hapn", "--cert", &cert, "--key", &key]);
    assert!(server.address().starts_with("https://"), "{}", server.printed);
    let address = server.address();
    let metadata =
        shell(&format!("curl -s --cacert {cert} {address}/.well-known/oauth-authorization-server"));
    assert!(metadata.contains(&format!("\"issuer\":\"{address}\"")), "{metadata}");
    server.end();
    // The two files swapped are neither.
    let swapped = says(&["--profile", "hapn", "--cert", &key, "--key", &cert]);
    assert!(swapped.contains("cannot be used") && swapped.contains(&key), "{swapped}");
}

// Goal: a server that cannot start says why, and what to do, and leaves nothing behind. Method:
// each fault.
#[test]
fn a_server_that_cannot_start_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let unknown_key = file("unknown.toml", "acces_lifetime = 600\n");
    let impossible = file("impossible.toml", "\naccess_lifetime = 0\n");
    let missing = directory.path().join("none.pem").to_str().unwrap().to_owned();
    let nowhere = directory.path().join("none/audit").to_str().unwrap().to_owned();
    let store = directory.path().join("store");
    let cases: [(&[&str], &[&str]); 10] = [
        (&["--profile", "hospitality"], &["no profile \"hospitality\"", "hospitable", "hapn"]),
        (
            &["--profile", "hapn", "--policy", &unknown_key],
            &["unknown.toml", "line 1", "acces_lif"],
        ),
        (&["--profile", "hapn", "--policy", &impossible], &["impossible.toml", "access_lifetime"]),
        (&["--profile", "hapn", "--cert", &missing, "--key", &missing], &["none.pem", "cannot"]),
        (&["--profile", "hapn", "--listen", "0.0.0.0:0"], &["without TLS", "127.0.0.1"]),
        (&["--profile", "hapn", "--operators", "0.0.0.0:0"], &["operators", "127.0.0.1"]),
        (&["--profile", "hapn", "--connections", "0"], &["0 connections", "give 1 to"]),
        (
            &["--profile", "hapn", "--cert", "c", "--key", "k", "--listen", "0.0.0.0:0"],
            &["name the issuer", "https://auth.example"],
        ),
        (&["--profile", "hapn", "--issuer", "http://auth.example"], &["neither https"]),
        (&["--profile", "hapn", "--audit", &nowhere], &["audit log", "none/audit"]),
    ];
    let says = |arguments: &[&str]| {
        let mut all = vec!["--dir", store.to_str().unwrap()];
        all.extend(arguments);
        let message = says(&all);
        assert!(!store.exists(), "{arguments:?}: a store was made");
        message
    };
    for (arguments, told) in cases {
        let message = says(arguments);
        for part in told {
            assert!(message.contains(part), "{arguments:?}: {message}");
        }
    }
    let holding = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = holding.local_addr().unwrap().to_string();
    let message = says(&["--profile", "hapn", "--listen", &address]);
    assert!(message.contains(&address) && message.contains("another program"), "{message}");
    let message = says(&["--profile", "hapn", "--listen", "127.0.0.1:0", "--operators", &address]);
    assert!(message.contains(&address) && message.contains("another program"), "{message}");
}

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

/// The commands for a profile in `docs/systems.md`.
fn documented(profile: &str) -> String {
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/systems.md");
    let document = std::fs::read_to_string(document).unwrap();
    let start = format!("```console\ncargo run --release -- serve --profile {profile} ");
    let from = document.find(&start).unwrap_or_else(|| panic!("no commands for {profile}"));
    let block = document[from..].split("```").nth(1).unwrap();
    let (_, behind) = block.split_once("\n\n").unwrap();
    behind.to_owned()
}

/// What follows this text in what was printed, up to a quote, an `&`, or the end of the line.
fn printed_behind<'a>(printed: &'a str, before: &str) -> &'a str {
    let behind = printed.split(before).nth(1).unwrap_or_else(|| panic!("no {before}: {printed}"));
    behind.split(['"', '\'', '&', '\n']).next().unwrap()
}

// Goal: the command sequence of each system in `docs/systems.md` works as it is pasted, once what
// the server printed stands in the place of the placeholders. Method: run each in a shell against a
// server of that system; every token and every answer of the API that it asks for comes.
#[test]
fn documented_lines_work() {
    for profile in PROFILES {
        let server = Serving::start(&["--profile", profile, "--demo-users"]);
        let mut script = documented(profile).replace("http://127.0.0.1:8080", server.address());
        for (placeholder, before) in [
            ("CLIENT_ID", if profile == "hapn" { "client_id=" } else { "\"client_id\": \"" }),
            ("CLIENT_SECRET", if profile == "hapn" { "secret=" } else { "_secret\": \"" }),
            ("PASSWORD", "password "),
            ("PERSONAL_TOKEN", "'Authorization: Bearer "),
            ("CODE", "\"code\": \""),
        ] {
            if script.contains(placeholder) {
                script = script.replace(placeholder, printed_behind(&server.printed, before));
            }
        }
        let answered = shell(&script);
        let asked = script.matches("echo \"$TOKENS\"").count();
        assert!(asked > 0, "{script}");
        assert_eq!(answered.matches("\"access_token\":").count(), asked, "{profile}: {answered}");
        let served = script.matches("Authorization: Bearer").count();
        assert_eq!(answered.matches("\"caller\":").count(), served, "{profile}: {answered}");
        assert!(served > 0 && !answered.contains("\"error\""), "{profile}: {answered}");
        server.end();
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

// Goal: TLS from files: cookies then have the prefix `__Host-`, which binds them to this host and
// to TLS (RFC 6265bis section 4.1.3.2); health for operators is beside it, without. Method: a
// certificate made by `openssl`, the metadata over TLS, a sign-in as a browser does it, and a
// probe.
#[test]
fn tls_is_served_from_files() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (cert, key, jar) = (at("cert.pem"), at("key.pem"), at("jar"));
    shell(&format!(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
         -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1 -keyout {key} -out {cert} 2>&1"
    ));
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let operators = free.to_string();
    let arguments = ["--profile", "hapn", "--cert", &cert, "--key", &key, "--demo-users"];
    let server = Serving::start(&[&arguments[..], &["--operators", &operators]].concat());
    assert!(server.address().starts_with("https://"), "{}", server.printed);
    let address = server.address();
    let curl = format!("curl -s --cacert {cert}");
    let metadata = shell(&format!("{curl} {address}/.well-known/oauth-authorization-server"));
    assert!(metadata.contains(&format!("\"issuer\":\"{address}\"")), "{metadata}");

    let curl = format!("{curl} --include --cookie {jar} --cookie-jar {jar}");
    let page = shell(&format!("{curl} {address}/signin"));
    let csrf = page.split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    let password = server.printed.split("password ").nth(1).unwrap().lines().next().unwrap();
    let signed_in = shell(&format!(
        "{curl} {address}/signin --data csrf={csrf} --data username=alice \
         --data-urlencode 'password={password}'"
    ));
    for (answer, name) in [(&page, "visitor"), (&signed_in, "session")] {
        let set = answer.lines().find_map(|line| line.strip_prefix("set-cookie: "));
        let set = set.unwrap_or_else(|| panic!("no cookie: {answer}"));
        assert!(set.starts_with(&format!("__Host-{name}=")), "{set}");
        for about in ["; Path=/;", "; Secure", "; HttpOnly", "; SameSite=Lax"] {
            assert!(set.contains(about), "{set}");
        }
        assert!(!set.contains("Domain"), "{set}");
    }
    let inside = shell(&format!("{curl} {address}/account/browsers"));
    assert!(inside.starts_with("HTTP/1.1 200 "), "{inside}");

    let health = shell(&format!("curl -s --write-out ' %{{http_code}}' http://{operators}/health"));
    assert!(health.contains("\"state\":\"open\"") && health.ends_with(" 200"), "{health}");
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

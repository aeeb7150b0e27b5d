//! The pages in Debian's Chromium: a program presses what people press, in four variants of the
//! window, and axe-core looks at each page. Here is the server that it does so on.

use crate::programs;
use grantkeep::Store;
use grantkeep_server::{Config, KnownUsers, Server, Stop, System, hash};
use grantkeep_tests::process::Process;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

const CHROMIUM: &str = "/usr/bin/chromium";
/// The system that has all the pages.
const SYSTEM: &str = "hospitable";
const OPERATOR: (&str, &str) = ("alice", "wonderland & looking-glass");
const PERSON: (&str, &str) = ("bob", "correct horse battery staple");
/// The directory that pictures are put into, if it is set: each page in each variant.
const SHOTS: &str = "GRANTKEEP_SCREENSHOTS";

/// Makes the program ready to run.
///
/// # Errors
/// What is missing.
pub(crate) fn prepare() -> Result<(), String> {
    if !Path::new(CHROMIUM).exists() {
        return Err(programs::missing("chromium"));
    }
    let parts = ["chromium.mjs", "pages.mjs"];
    programs::node("puppeteer-core", &parts).and_then(|()| programs::node("axe-core", &parts))
}

/// Runs it; what it says last, which tells how much it has looked at.
///
/// # Errors
/// All that it said, where anything was found.
pub(crate) async fn run() -> Result<String, String> {
    let directory = tempfile::tempdir().map_err(|cause| cause.to_string())?;
    let path = directory.path().join("store");
    let store = tokio::task::spawn_blocking(|| Store::open(path)).await.unwrap().unwrap();
    let users = KnownUsers::new().unwrap().keeping(|_, _| Ok(()));
    users.add(OPERATOR.0, &hash(OPERATOR.1).unwrap(), true).unwrap();
    users.add(PERSON.0, &hash(PERSON.1).unwrap(), false).unwrap();
    let system = System::named(SYSTEM).unwrap();
    let (config, stop) = (Config::new(system, ([127, 0, 0, 1], 0).into()), Stop::new());
    let server = Server::bind(store, Arc::new(users), config, &stop).await.unwrap();
    let person = |(name, password)| serde_json::json!({ "name": name, "password": password });
    let settings = serde_json::json!({
        "issuer": server.issuer(),
        "api": format!("{}{}", server.issuer(), system.resources[0]),
        "operator": person(OPERATOR),
        "person": person(PERSON),
        "chromium": CHROMIUM,
        "shots": std::env::var(SHOTS).ok(),
    });
    let serving = tokio::spawn(server.run());
    let said = tokio::task::spawn_blocking(move || said(&settings.to_string())).await.unwrap();
    stop.stop();
    serving.await.unwrap().unwrap();
    said
}

fn said(settings: &str) -> Result<String, String> {
    let mut node = Command::new("node");
    node.arg(programs::installed().join("node/pages.mjs")).env("GRANTKEEP_CLIENTS", settings);
    let mut process = Process::start(&mut node);
    let (mut found, mut last) = (Vec::new(), String::new());
    while let Some(line) = process.line() {
        if let Some(what) = line.strip_prefix("failed: ") {
            found.push(what.to_owned());
        }
        last = line;
    }
    let status = process.wait();
    if status.success() && found.is_empty() {
        return Ok(last);
    }
    found.push(format!("{status}, and said last: {last}"));
    Err(found.join("\n"))
}

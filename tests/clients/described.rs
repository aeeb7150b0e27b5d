//! Requests that schemathesis makes up from the server's OpenAPI document: what it describes, what
//! it does not allow, and what no document would think of. The answers are held against it.

use crate::http::get;
use crate::programs::installed;
use crate::world::{REDIRECT, World, issued};
use grantkeep_tests::setting;
use std::fmt::Write as _;
use std::process::Command;

/// Where the document is.
const PATH: &str = "/openapi.json";
/// Requests of each operation, by default: half of what it describes, half of what it does not.
const EXAMPLES: u32 = 100;
/// Seconds that one run may take.
const SECONDS_MAX: &str = "600";

/// The address of the server's description.
///
/// # Errors
/// What is missing.
pub(crate) async fn is_served(world: &World) -> Result<String, String> {
    if !installed().join("python/bin/schemathesis").exists() {
        return Err("schemathesis is missing: run tests/clients/install".to_owned());
    }
    let address = format!("{}{PATH}", world.issuer);
    match get(&address).await?.status {
        200 => Ok(address),
        status => panic!("there is no OpenAPI document: {address} answers {status}"),
    }
}

/// What is checked of each answer: that it is no 500, and that the document describes it.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance";

/// Sends the requests, as a client that has authenticated and with a token in force; how many.
///
/// # Errors
/// What schemathesis found.
pub(crate) async fn run(world: &World, document: &str) -> Result<u64, String> {
    let known = &world.confidential;
    let basic = format!("{}:{}", known.id, known.secret.as_deref().unwrap_or_default());
    let token = issued(world, &world.scope).await;
    let bearer = format!("Authorization: Bearer {token}");
    let directory = tempfile::tempdir().map_err(|cause| cause.to_string())?;
    let file = directory.path().join("schemathesis.toml");
    std::fs::write(&file, words(world, &token)).map_err(|cause| cause.to_string())?;
    let mut requests = 0;
    for (option, value) in [("--auth", &basic), ("--header", &bearer)] {
        let mut command = Command::new("timeout");
        command.arg(SECONDS_MAX).arg(installed().join("python/bin/schemathesis"));
        command.arg("--config-file").arg(&file).args(["run", document, option, value]);
        command.args(["--checks", CHECKS, "--phases", "examples,coverage,fuzzing"]);
        command.args(["--continue-on-failure", "--warnings", "off", "--max-redirects", "0"]);
        command.args(["--max-examples", &setting("GRANTKEEP_DESCRIBED", EXAMPLES).to_string()]);
        let output = command.current_dir(directory.path()).output();
        let output = output.map_err(|cause| cause.to_string())?;
        let said = String::from_utf8_lossy(&output.stdout);
        let generated = said
            .lines()
            .find_map(|line| line.trim().split_once(" generated")?.0.parse::<u64>().ok());
        match generated {
            Some(generated) if output.status.success() => requests += generated,
            _ => {
                let wrong = String::from_utf8_lossy(&output.stderr);
                return Err(format!("{}: {said}{wrong}", world.name()));
            }
        }
    }
    Ok(requests)
}

/// Words that are right, to be put into most requests: one that is wrong throughout is refused
/// before much of it is read.
fn words(world: &World, token: &str) -> String {
    let grants: Vec<&str> = world.system.grants.iter().map(|grant| grant.as_str()).collect();
    let (id, scope) = (world.confidential.id.as_str(), world.scope.as_str());
    let mut text = String::from("[dictionaries]\n");
    for (name, values) in [
        ("client", vec![id]),
        ("none", vec![""]),
        ("response", vec!["code"]),
        ("redirect", vec![REDIRECT]),
        ("scope", vec![scope, ""]),
        ("grant", grants),
        ("token", vec![token]),
    ] {
        let _ = writeln!(text, "{name} = {{ values = {values:?} }}");
    }
    text.push_str("[parameters]\n");
    for (place, name, words) in [
        ("query", "client_id", "client"),
        ("query", "response_type", "response"),
        ("query", "redirect_uri", "redirect"),
        ("query", "scope", "scope"),
        ("body", "client_id", "client"),
        // It comes with the request, and not twice.
        ("body", "client_secret", "none"),
        ("body", "response_type", "response"),
        ("body", "redirect_uri", "redirect"),
        ("body", "scope", "scope"),
        ("body", "grant_type", "grant"),
        ("body", "token", "token"),
    ] {
        let word = format!("{{ dictionary = {words:?}, probability = 0.8 }}");
        let _ = writeln!(text, "\"{place}.{name}\" = {word}");
    }
    text
}

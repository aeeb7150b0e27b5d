//! The commands that a try-out of a server prints: they work as they are.

use super::{DEMO_REDIRECT, Demo};
use grantkeep_grants::GrantType;
use grantkeep_server::System;
use std::fmt::Write as _;

/// Takes a member of a JSON object out of a shell variable.
fn member(name: &str) -> String {
    format!("printf %s \"$TOKENS\" | sed -n 's/.*\"{name}\":\"\\([^\"]*\\)\".*/\\1/p'")
}

/// The commands for a system, in an order that works.
pub(crate) fn lines(system: &System, address: &str, demo: &Demo) -> String {
    let mut text = String::new();
    let paths = system.paths();
    let Demo { user, password, client, secret, code, personal } = demo;
    let token = format!("{address}{}", paths.token);
    let body = |pairs: &[(&str, &str)]| {
        let member = |(name, value): &(&str, &str)| format!("\"{name}\": \"{value}\"");
        let members: Vec<String> = pairs.iter().map(member).collect();
        format!(
            "TOKENS=$(curl -s {token} -H 'Content-Type: application/json' \\\n  -d '{{{}}}')\n",
            members.join(", ")
        )
    };
    let credentials = [("client_id", client.as_str()), ("client_secret", secret.as_str())];
    let with = |more: &[(&'static str, &str)]| {
        body(&credentials.iter().chain(more).copied().collect::<Vec<_>>())
    };
    let _ = writeln!(text, "\nUser name {user}, password {password}\n");
    let _ = writeln!(text, "# {user}'s pages, and those of operators: {address}/");
    let _ = writeln!(text, "# What the server is doing: {address}/operator/dashboard\n");
    if let Some(code) = code {
        let _ = writeln!(text, "# In a browser: sign in, and approve.");
        let _ = writeln!(
            text,
            "{address}{}?response_type=code&client_id={client}&state=xyz\n",
            paths.authorize
        );
        let _ = writeln!(text, "# A code that {user} has approved already, once:");
        text.push_str(&with(&[("grant_type", "authorization_code"), ("code", code)]));
        text.push_str("echo \"$TOKENS\"\n\n# A refresh:\n");
        let _ = writeln!(text, "REFRESH=$({})", member("refresh_token"));
        let refresh = with(&[("grant_type", "refresh_token"), ("refresh_token", "@")]);
        text.push_str(&refresh.replace('@', "'\"$REFRESH\"'"));
        text.push_str("echo \"$TOKENS\"\n\n");
    }
    if system.has(&GrantType::Password) {
        text.push_str("# With a name and a password:\n");
        text.push_str(&with(&[
            ("grant_type", "password"),
            ("username", user),
            ("password", password),
        ]));
        text.push_str("echo \"$TOKENS\"\n\n");
    }
    if system.has(&GrantType::ClientCredentials) {
        text.push_str("# For the client itself:\n");
        let _ = writeln!(
            text,
            "TOKENS=$(curl -s {token} --data-urlencode \\\n  \
             'grant_type=client_credentials&client_id={client}&client_secret={secret}')"
        );
        if !system.splits_forms {
            text.truncate(text.rfind("TOKENS=").unwrap_or(text.len()));
            let _ = writeln!(
                text,
                "TOKENS=$(curl -s {token} -u '{client}:{secret}' \\\n  \
                 -d grant_type=client_credentials)"
            );
        }
        text.push_str("echo \"$TOKENS\"\n\n");
    }
    for path in system.resources.iter().take(1) {
        text.push_str("# The example API, with the token:\n");
        let _ = writeln!(
            text,
            "curl -s {address}{path} -H \"Authorization: Bearer $({})\"\n",
            member("access_token")
        );
        if let Some(personal) = personal {
            text.push_str("# The same with a personal access token:\n");
            let _ =
                writeln!(text, "curl -s {address}{path} -H 'Authorization: Bearer {personal}'\n");
        }
    }
    if system.asks() {
        let _ = writeln!(text, "# The client's redirect URI is {DEMO_REDIRECT}.");
    }
    text
}

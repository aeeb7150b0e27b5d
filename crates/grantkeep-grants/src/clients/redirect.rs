//! Redirect URIs: which may be registered, and which presented one is a registered one.

use grantkeep::{Error, ErrorKind, Result};
use url::{Host, Url};

/// Refuses a redirect URI that may not be registered: see
/// [`NewClient::redirect_uri`](super::NewClient::redirect_uri).
pub(super) fn check(uri: &str) -> Result<()> {
    fault(uri)
        .map_or(Ok(()), |why| Err(Error::new(ErrorKind::Limit, format!("a redirect URI {why}"))))
}

fn fault(uri: &str) -> Option<&'static str> {
    // The parser would repair these; compared is what is written.
    if !uri.bytes().all(|byte| matches!(byte, 0x21..=0x7e) && byte != b'\\') {
        return Some("has a character outside printable ASCII, or a backslash: escape it");
    }
    if uri.contains('#') {
        return Some("has a fragment: leave it out (RFC 6749 section 3.1.2)");
    }
    let rest = uri.strip_prefix("https://").or_else(|| uri.strip_prefix("http://"));
    let absolute = rest.is_some_and(|rest| !rest.starts_with('/'));
    let Some(url) = Url::parse(uri).ok().filter(|url| absolute && url.has_host()) else {
        return Some("is not an absolute https or http URI");
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Some("has a user name: leave it out");
    }
    if url.scheme() == "http" && !is_loopback(&url) {
        return Some("is http and leaves this machine: use https");
    }
    None
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address == std::net::Ipv4Addr::LOCALHOST,
        Some(Host::Ipv6(address)) => address == std::net::Ipv6Addr::LOCALHOST,
        None => false,
    }
}

/// True if `presented` is `registered`: exact to the byte (RFC 9700 section 2.1), but for the port
/// of a loopback address, which a native app learns only when it listens (RFC 8252 section 7.3).
pub(super) fn matches(registered: &str, presented: &str) -> bool {
    if registered == presented {
        return true;
    }
    match (loopback(registered), loopback(presented)) {
        (Some(registered), Some(presented)) => registered == presented,
        _ => false,
    }
}

/// The address and what follows the port, if `uri` is `http` to a loopback address as it is
/// usually written.
fn loopback(uri: &str) -> Option<(&str, &str)> {
    for address in ["127.0.0.1", "[::1]"] {
        let rest = uri.strip_prefix("http://").and_then(|rest| rest.strip_prefix(address));
        let Some(rest) = rest else { continue };
        let Some(port_on) = rest.strip_prefix(':') else {
            return Some((address, rest));
        };
        let digits = port_on.bytes().take_while(u8::is_ascii_digit).count();
        let (port, rest) = port_on.split_at(digits);
        return matches!(port.parse::<u16>(), Ok(1..)).then_some((address, rest));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: only what RFC 6749 section 3.1.2 and RFC 9700 section 2.6 allow is registered. Method:
    // good ones, and each fault by itself, those that a lenient parser repairs among them.
    #[test]
    fn registered_redirects_are_absolute_and_safe() {
        for good in [
            "https://app.example/cb",
            "https://app.example",
            "https://app.example:8443/cb?tenant=1",
            "http://127.0.0.1/cb",
            "http://127.0.0.1:8080/cb",
            "http://[::1]/cb",
            "http://localhost:3000/cb",
        ] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "/cb",
            "app.example/cb",
            "//app.example/cb",
            "https:app.example",
            "https://",
            "https:///cb",
            "ftp://app.example/cb",
            "javascript:alert(1)",
            "com.example.app:/cb",
            "HTTPS://app.example/cb",
            "http://app.example/cb",
            "http://127.0.0.2/cb",
            "http://localhost.example/cb",
            "https://app.example/cb#",
            "https://app.example/cb#part",
            "https://alice@app.example/cb",
            "https://:secret@app.example/cb",
            " https://app.example/cb",
            "https://app.example/c b",
            "https://app.example/c\tb",
            "https://app.example\\cb",
            "https://app.example/\u{e9}",
            "https://app.example:99999/cb",
        ] {
            assert_eq!(check(bad).map_err(|error| error.kind()), Err(ErrorKind::Limit), "{bad}");
        }
    }

    // Goal: a presented URI is a registered one to the byte, but for the port of a loopback
    // address. Method: near misses, and tricks with what follows the address.
    #[test]
    fn presented_redirects_match_to_the_byte() {
        let app = "https://app.example/cb";
        assert!(matches(app, app));
        for other in [
            "https://app.example/cb/",
            "https://app.example/cb?",
            "https://app.example:443/cb",
            "https://APP.example/cb",
            "https://app.example/x/../cb",
            "http://app.example/cb",
            "",
        ] {
            assert!(!matches(app, other), "{other}");
        }
        for (registered, presented, same) in [
            ("http://127.0.0.1/cb", "http://127.0.0.1:51004/cb", true),
            ("http://127.0.0.1:80/cb", "http://127.0.0.1/cb", true),
            ("http://[::1]:1/cb?a=b", "http://[::1]:65535/cb?a=b", true),
            ("http://127.0.0.1", "http://127.0.0.1:9", true),
            ("http://127.0.0.1/cb", "http://127.0.0.1:65536/cb", false),
            ("http://127.0.0.1/cb", "http://127.0.0.1:0/cb", false),
            ("http://127.0.0.1/cb", "http://127.0.0.1:/cb", false),
            ("http://127.0.0.1/cb", "http://127.0.0.1:+1/cb", false),
            ("http://127.0.0.1/cb", "http://127.0.0.1:51004/other", false),
            ("http://127.0.0.1/cb", "http://127.0.0.1:51004@evil.example/cb", false),
            ("http://127.0.0.1/cb", "http://127.0.0.1.evil.example/cb", false),
            ("http://127.0.0.1", "http://127.0.0.1.evil.example", false),
            ("http://127.0.0.1/cb", "http://[::1]/cb", false),
            ("http://127.0.0.1/cb", "https://127.0.0.1:51004/cb", false),
            ("https://127.0.0.1/cb", "https://127.0.0.1:51004/cb", false),
            ("http://localhost/cb", "http://localhost:51004/cb", false),
        ] {
            assert_eq!(matches(registered, presented), same, "{presented}");
        }
    }
}

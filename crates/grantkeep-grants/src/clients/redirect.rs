//! Redirect URIs: which may be registered, and which presented one is a registered one.
//!
//! A redirect URI is where a code goes, so what may be registered is a list of what is known to be
//! safe, and everything else is refused:
//!
//! 1. `https`, to anywhere.
//! 2. `http`, to the loopback addresses `127.0.0.1` and `[::1]`, and to `localhost`.
//! 3. For public clients, the private-use scheme of an app, which has a dot (RFC 8252 section 7.1).
//!    `javascript`, `data`, `vbscript`, `file`, `about`, and `blob` have none, and nor has any
//!    other scheme that a browser acts on by itself. A confidential client runs on a server, which
//!    has no use for it.
//!
//! What is written is checked and compared, byte for byte: a scheme in upper case, a blank before
//! it, or a tab within it would be repaired by a lenient parser, and is refused here.

use grantkeep::{Error, ErrorKind, Result};
use url::{Host, Url};

/// Refuses a redirect URI that may not be registered: see
/// [`NewClient::redirect_uri`](super::NewClient::redirect_uri).
pub(super) fn check(uri: &str, confidential: bool) -> Result<()> {
    fault(uri, confidential)
        .map_or(Ok(()), |why| Err(Error::new(ErrorKind::Limit, format!("a redirect URI {why}"))))
}

fn fault(uri: &str, confidential: bool) -> Option<&'static str> {
    // The parser would repair these; compared is what is written.
    if !uri.bytes().all(|byte| matches!(byte, 0x21..=0x7e) && byte != b'\\') {
        return Some("has a character outside printable ASCII, or a backslash: escape it");
    }
    if uri.contains('#') {
        return Some("has a fragment: leave it out (RFC 6749 section 3.1.2)");
    }
    if let Some((scheme, rest)) = private_use(uri) {
        return private_use_fault(scheme, rest, confidential);
    }
    let rest = uri.strip_prefix("https://").or_else(|| uri.strip_prefix("http://"));
    let absolute = rest.is_some_and(|rest| !rest.starts_with('/'));
    let Some(url) = Url::parse(uri).ok().filter(|url| absolute && url.has_host()) else {
        return Some("is neither an absolute https or http URI nor one of an app's own scheme");
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Some("has a user name: leave it out");
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if matches!(url.host(), Some(Host::Domain(name)) if !name.bytes().all(plain)) {
        return Some("has a host that is no name: none stands for several");
    }
    if url.scheme() == "http" && !is_loopback(&url) {
        return Some("is http and leaves this machine: use https");
    }
    None
}

/// The scheme of a URI, and what follows its colon, if the scheme has a dot: it is then nobody's
/// but that of the app whose domain it is.
fn private_use(uri: &str) -> Option<(&str, &str)> {
    uri.split_once(':').filter(|(scheme, _)| scheme.contains('.') && !scheme.contains('/'))
}

/// What is wrong with a URI of a private-use scheme: RFC 3986 section 3.1 for its characters, RFC
/// 8252 section 7.1 for its dots and for the path that follows.
fn private_use_fault(scheme: &str, rest: &str, confidential: bool) -> Option<&'static str> {
    let is_label = |label: &str| {
        let known = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'+' | b'-');
        !label.is_empty() && label.bytes().all(known)
    };
    if !scheme.starts_with(|first: char| first.is_ascii_lowercase())
        || !scheme.split('.').all(is_label)
    {
        return Some("has a scheme that is no reversed domain name in lower case");
    }
    if confidential {
        return Some("has the scheme of an app, and the client is confidential: register the app");
    }
    if !rest.starts_with('/') {
        return Some("has no path: write `/` behind the colon (RFC 8252 section 7.1)");
    }
    let authority = rest.strip_prefix("//").and_then(|rest| rest.split(['/', '?']).next());
    if authority.is_some_and(|authority| authority.contains('@')) {
        return Some("has a user name: leave it out");
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
/// `localhost` is one only where the client's record says `by_name`.
pub(super) fn matches(registered: &str, presented: &str, by_name: bool) -> bool {
    if registered == presented {
        return true;
    }
    match (loopback(registered, by_name), loopback(presented, by_name)) {
        (Some(registered), Some(presented)) => registered == presented,
        _ => false,
    }
}

/// The address and what follows the port, if `uri` is `http` to a loopback address as it is
/// usually written.
fn loopback(uri: &str, by_name: bool) -> Option<(&str, &str)> {
    let addresses: &[&str] =
        if by_name { &["127.0.0.1", "[::1]", "localhost"] } else { &["127.0.0.1", "[::1]"] };
    for address in addresses {
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
            assert!(check(good, true).is_ok() && check(good, false).is_ok(), "{good}");
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
            for confidential in [false, true] {
                let kind = check(bad, confidential).map_err(|error| error.kind());
                assert_eq!(kind, Err(ErrorKind::Limit), "{bad}");
            }
        }
    }

    // Goal: an app is redirected to by a scheme of its own (RFC 8252 section 7.1), if its client is
    // public. Method: schemes with a dot, for both kinds of client; each fault by itself.
    #[test]
    fn private_use_schemes_are_for_public_clients() {
        for good in [
            "com.example.app:/oauth2redirect",
            "com.example.app:/",
            "com.example.app:/cb?tenant=1",
            "com.example.app://callback",
            "com.googleusercontent.apps.123-abc:/oauth2redirect",
            "a.b:/c:d",
        ] {
            assert!(check(good, false).is_ok(), "{good}");
            let kind = check(good, true).map_err(|error| error.kind());
            assert_eq!(kind, Err(ErrorKind::Limit), "{good}");
        }
        for bad in [
            "com.example.app:",
            "https://*/cb",
            "https://*.example/cb",
            "com.example.app:cb",
            "com.example.app",
            "com.example.app/cb",
            "COM.example.app:/cb",
            "com.Example.app:/cb",
            ".example.app:/cb",
            "com.example.:/cb",
            "com..app:/cb",
            ".:/cb",
            "1com.example:/cb",
            "com.ex_ample:/cb",
            "com.ex%61mple:/cb",
            "com.example.app:/cb#part",
            "com.example.app:/c b",
            "com.example.app://alice@host/cb",
            " com.example.app:/cb",
        ] {
            let kind = check(bad, false).map_err(|error| error.kind());
            assert_eq!(kind, Err(ErrorKind::Limit), "{bad}");
        }
    }

    // Goal: no scheme that a browser acts on by itself is ever a redirect URI (RFC 8252 section
    // 7.1, RFC 9700 section 4.1). Method: each of them and other schemes without a dot, in the
    // spellings that lenient parsers accept, for both kinds of client.
    #[test]
    fn schemes_without_a_dot_are_never_accepted() {
        let schemes = [
            "javascript",
            "data",
            "vbscript",
            "file",
            "about",
            "blob",
            "ftp",
            "app",
            "intent",
            "view-source",
            "ws",
            "urn",
            "mailto",
            "tel",
            "x-app",
            "http+unix",
        ];
        for scheme in schemes {
            let (half, upper) = scheme.split_at(1);
            for spelled in [
                scheme.to_owned(),
                scheme.to_uppercase(),
                format!("{half}{}", upper.to_uppercase()),
                format!(" {scheme}"),
                format!("\u{1}{scheme}"),
                format!("{half}\t{upper}"),
                format!("{half}\n{upper}"),
                format!("{half}\u{0}{upper}"),
                format!("%{:02x}{upper}", half.as_bytes()[0]),
                format!("\u{200b}{scheme}"),
            ] {
                for rest in [
                    ":",
                    ":alert(1)",
                    ":/a.b",
                    "://app.example/cb",
                    ":a.b",
                    "://%0aalert(1)",
                    ":com.example.app:/cb",
                    "&colon;alert(1)",
                    "%3aalert(1)",
                    "\u{ff1a}alert(1)",
                    "://com.example:80/cb",
                ] {
                    let uri = format!("{spelled}{rest}");
                    for confidential in [false, true] {
                        let kind = check(&uri, confidential).map_err(|error| error.kind());
                        assert_eq!(kind, Err(ErrorKind::Limit), "{uri:?}");
                    }
                }
            }
        }
    }

    // Goal: a presented URI is a registered one to the byte, but for the port of a loopback
    // address. Method: near misses, and tricks with what follows the address.
    #[test]
    fn presented_redirects_match_to_the_byte() {
        let app = "https://app.example/cb";
        assert!(matches(app, app, false) && matches(app, app, true));
        for other in [
            "https://app.example/cb/",
            "https://app.example/cb?",
            "https://app.example:443/cb",
            "https://APP.example/cb",
            "https://app.example/x/../cb",
            "http://app.example/cb",
            "",
        ] {
            assert!(!matches(app, other, false) && !matches(app, other, true), "{other}");
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
            ("com.example.app:/cb", "com.example.app:/cb", true),
            ("com.example.app:/cb", "com.example.app:/cb/", false),
            ("com.example.app:/cb", "com.example.app:51004/cb", false),
        ] {
            for by_name in [false, true] {
                assert_eq!(matches(registered, presented, by_name), same, "{presented}");
            }
        }
    }

    // Goal: `localhost` is a loopback address under any port where the client's record says so, and
    // nowhere else (RFC 8252 sections 7.3 and 8.3). Method: ports, and tricks with what follows the
    // name, with the record's word and without.
    #[test]
    fn localhost_has_any_port_where_the_record_says_loopback() {
        let registered = "http://localhost/cb";
        for (presented, same) in [
            ("http://localhost:51004/cb", true),
            ("http://localhost:1/cb", true),
            ("http://localhost:65536/cb", false),
            ("http://localhost:0/cb", false),
            ("http://localhost:/cb", false),
            ("http://localhost:51004/other", false),
            ("http://localhost:51004@evil.example/cb", false),
            ("http://localhost.evil.example/cb", false),
            ("http://LOCALHOST:51004/cb", false),
            ("http://127.0.0.1:51004/cb", false),
            ("https://localhost:51004/cb", false),
        ] {
            assert_eq!(matches(registered, presented, true), same, "{presented}");
            assert!(!matches(registered, presented, false), "{presented}");
        }
        assert!(matches("http://localhost:3000/cb", "http://localhost:51004/cb", true));
        assert!(!matches("http://localhost", "http://localhost.evil.example", true));
        assert!(!matches("http://127.0.0.1/cb", "http://localhost/cb", true));
    }
}

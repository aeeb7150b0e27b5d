//! How the server is reached from outside: the origin that it calls itself (RFC 8414 section 2).

use crate::failure::Failure;
use url::{Host, Url};

/// The origin of an issuer that an operator has named, without a slash at its end.
///
/// # Errors
/// Unless it is `https`, or `http` on this machine, and has nothing but a host and a port: pages
/// and cookies are at the root. What it says is not repeated where there may be a password in it.
pub(crate) fn origin(issuer: &str) -> Result<String, Failure> {
    let wrong = |what: &str| {
        Failure::new(format!(
            "the issuer {what}: give its scheme, host, and port alone, such as https://auth.example"
        ))
    };
    let url = Url::parse(issuer).map_err(|cause| wrong("is no URL").because(cause))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("names a user"));
    }
    let here = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    if url.scheme() != "https" && !(url.scheme() == "http" && here) {
        return Err(wrong(&format!("{issuer:?} is neither https nor on this machine")));
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err(wrong(&format!("{issuer:?} has a path, a query, or a fragment")));
    }
    Ok(url.origin().ascii_serialization())
}

#[cfg(test)]
mod tests {
    use super::origin;

    // Goal: what an operator calls the server is an origin that browsers and clients reach, or is
    // refused with what to give. Method: a list of each.
    #[test]
    fn an_issuer_is_an_origin() {
        for (given, origin_of) in [
            ("https://auth.example", "https://auth.example"),
            ("https://auth.example:8443/", "https://auth.example:8443"),
            ("HTTPS://Auth.Example:443", "https://auth.example"),
            ("http://127.0.0.1:80", "http://127.0.0.1"),
            ("http://[::1]:81", "http://[::1]:81"),
            ("http://localhost:82", "http://localhost:82"),
        ] {
            assert_eq!(origin(given).unwrap(), origin_of);
        }
        for (given, why) in [
            ("auth.example", "is no URL"),
            ("", "is no URL"),
            ("http://auth.example", "neither https"),
            ("ftp://127.0.0.1", "neither https"),
            ("https://auth.example/tenant", "has a path"),
            ("https://auth.example/?x", "has a path"),
            ("https://auth.example/#x", "has a path"),
            ("https://name:hunter2@auth.example", "names a user"),
        ] {
            let said = origin(given).unwrap_err().to_string();
            assert!(said.contains(why) && said.contains("https://auth.example"), "{said}");
            assert!(!said.contains("hunter2"), "{said}");
        }
    }
}

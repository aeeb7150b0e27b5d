//! The kinds of requests that are measured, and what is sent for each.

use super::stock::{CLIENT, SECRET, Stock};
use std::io::Write as _;

/// The path of the token endpoint.
pub const TOKEN: &str = "/api/oauth/token";
/// The path of the introspection endpoint.
pub const INTROSPECT: &str = "/api/oauth/introspect";
/// The path of a protected resource.
pub const RESOURCE: &str = "/api/cars";

/// A kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// RFC 6749 section 6: durable, each family in turn.
    Refresh,
    /// RFC 7662: any of the tokens.
    Introspect,
    /// RFC 6749 section 4.1.3: durable, each code once.
    Code,
    /// RFC 6749 section 4.4: durable.
    ClientCredentials,
    /// RFC 6750: a protected resource, any of the tokens.
    Bearer,
}

impl Kind {
    /// All kinds, in the order in which they are measured.
    pub const ALL: [Self; 5] =
        [Self::Refresh, Self::Introspect, Self::Code, Self::ClientCredentials, Self::Bearer];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Refresh => "refresh",
            Self::Introspect => "introspect",
            Self::Code => "code",
            Self::ClientCredentials => "client_credentials",
            Self::Bearer => "bearer",
        }
    }

    /// The rate that is asked for, a second.
    pub fn at_least(self) -> Option<f64> {
        match self {
            Self::Refresh => Some(20_000.0),
            Self::Introspect => Some(40_000.0),
            _ => None,
        }
    }

    /// Writes the next request of a connection; false where the stock is used up.
    pub fn write(self, stock: &mut Stock, connection: usize, request: &mut Vec<u8>) -> bool {
        request.clear();
        let (path, form) = match self {
            Self::Refresh => {
                let Some(token) = stock.take_refresh(connection) else { return false };
                (TOKEN, format!("grant_type=refresh_token&refresh_token={token}"))
            }
            Self::Code => {
                let Some(code) = stock.take_code() else { return false };
                (TOKEN, format!("grant_type=authorization_code&code={code}"))
            }
            Self::ClientCredentials => (TOKEN, "grant_type=client_credentials".to_owned()),
            Self::Introspect => (INTROSPECT, format!("token={}", stock.any_access())),
            Self::Bearer => {
                let token = stock.any_access();
                return write!(
                    request,
                    "GET {RESOURCE} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer \
                     {token}\r\n\r\n"
                )
                .is_ok();
            }
        };
        let len = form.len() + CLIENT.len() + SECRET.len() + 26;
        write!(
            request,
            "POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: \
             application/x-www-form-urlencoded\r\ncontent-length: {len}\r\n\r\n\
             client_id={CLIENT}&client_secret={SECRET}&{form}"
        )
        .is_ok()
    }

    /// Notes an answer.
    ///
    /// # Panics
    /// If it is none that was asked for: what is measured is success.
    pub fn read(self, stock: &mut Stock, connection: usize, status: u16, body: &[u8]) {
        let is_right = status == 200
            && match self {
                Self::Refresh => match member(body, b"\"refresh_token\":\"") {
                    Some(token) => stock.put_refresh(connection, token),
                    None => false,
                },
                Self::Introspect => body.starts_with(b"{\"active\":true"),
                Self::Code | Self::ClientCredentials => {
                    member(body, b"\"access_token\":\"").is_some()
                }
                Self::Bearer => true,
            };
        assert!(is_right, "{}: {status} {}", self.name(), String::from_utf8_lossy(body));
    }
}

/// A text of a JSON object, of the characters that tokens have.
fn member<'b>(body: &'b [u8], name: &[u8]) -> Option<&'b str> {
    let at = body.windows(name.len()).position(|window| window == name)?;
    let rest = body.get(at + name.len()..)?;
    let end = rest.iter().position(|byte| *byte == b'"')?;
    std::str::from_utf8(rest.get(..end)?).ok()
}

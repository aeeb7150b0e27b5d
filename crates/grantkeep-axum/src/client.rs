//! Who a request is from: RFC 6749 section 2.3, with RFC 7617 for the `Authorization` field.
//!
//! 1. A client is named by an `Authorization: Basic` field, whose two parts are form-encoded
//!    (section 2.3.1), or by `client_id` in the body, with a `client_secret` or, for a public
//!    client, without. Both ways at once are refused (section 2.3).
//! 2. Whoever is right is let through at once. Anybody else takes a place in the table of
//!    [`Guesses`], by where it comes from; while there is none, nothing more is looked up, and no
//!    event tells of it.

use crate::guesses::{Guessed, Guesses, Whose};
use crate::params::Params;
use crate::rejection::Rejection;
use axum::extract::{ConnectInfo, FromRef, FromRequest, Request};
use axum::http::{Extensions, HeaderMap, HeaderValue, header};
use data_encoding::BASE64;
use grantkeep::backend::Backend;
use grantkeep_grants::{Authenticated, ClientInfo, Grants, OAuthError};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use zeroize::Zeroizing;

/// A client that has authenticated, or a public one that has named itself, and the parameters that
/// it sent.
#[derive(Debug)]
pub struct AuthenticatedClient {
    /// The client.
    pub client: ClientInfo,
    /// The parameters of its request.
    pub params: Params,
}

impl<S> FromRequest<S> for AuthenticatedClient
where
    S: Send + Sync,
    Grants: FromRef<S>,
    Arc<Guesses>: FromRef<S>,
{
    type Rejection = Rejection;

    async fn from_request(request: Request, state: &S) -> Result<Self, Rejection> {
        let (grants, guesses) = (Grants::from_ref(state), Arc::<Guesses>::from_ref(state));
        let (parts, body) = request.into_parts();
        let params = Params::of_body(&parts.headers, body).await?;
        let from = peer(&parts.extensions);
        let client = authenticate(&grants, &guesses, from, &parts.headers, &params).await?;
        Ok(Self { client, params })
    }
}

/// The address of the connection that a request came by, where the server tells.
pub(crate) fn peer(extensions: &Extensions) -> Option<IpAddr> {
    let ConnectInfo(address) = extensions.get::<ConnectInfo<SocketAddr>>()?;
    Some(address.ip())
}

/// The client of a request.
///
/// # Errors
/// [`OAuthError::InvalidClient`] where it did not authenticate, [`OAuthError::InvalidRequest`]
/// where it says who it is in two ways or in none, and a refusal with status 429 after too many
/// failures.
pub(crate) async fn authenticate<B: Backend>(
    grants: &Grants<B>,
    guesses: &Guesses,
    from: Option<IpAddr>,
    headers: &HeaderMap,
    params: &Params,
) -> Result<ClientInfo, Rejection> {
    let malformed = |why| Rejection::new(OAuthError::InvalidRequest).because(why);
    let basic = authorization(headers)?.map(basic);
    let (id, secret) = match &basic {
        Some(read) => {
            // Another scheme, or a field that is none: nobody has authenticated by it.
            let (id, secret) = read.as_ref().ok_or_else(Rejection::client)?;
            if params.get("client_secret").is_some() {
                return Err(malformed("the client authenticates in two ways"));
            }
            if params.get("client_id").is_some_and(|named| named != id.as_str()) {
                return Err(malformed("client_id is another than the one that authenticates"));
            }
            (id.as_str(), Some(secret.as_bytes()))
        }
        None => (params.require("client_id")?, params.get("client_secret").map(str::as_bytes)),
    };
    if let Authenticated::Client(client) = grants.recognize_client(id, secret).await? {
        return Ok(*client);
    }
    let guess = guesses.take(&[(Guessed::ClientSecret, Whose::Address(from))])?;
    // A secret may be known by a hash that another server has made.
    if let Authenticated::Client(client) = grants.authenticate_client(id, secret).await? {
        guess.give_back();
        return Ok(*client);
    }
    Err(Rejection::client())
}

/// The `Authorization` field, if there is one.
///
/// # Errors
/// [`OAuthError::InvalidRequest`] where there are several: whoever stands before the server may
/// have looked at another.
pub(crate) fn authorization(headers: &HeaderMap) -> Result<Option<&[u8]>, Rejection> {
    let mut fields = headers.get_all(header::AUTHORIZATION).iter();
    let first = fields.next().map(HeaderValue::as_bytes);
    if fields.next().is_some() {
        let twice = Rejection::new(OAuthError::InvalidRequest);
        return Err(twice.because("Authorization comes more than once"));
    }
    Ok(first)
}

/// The id and the secret in a field of the scheme `Basic`.
fn basic(field: &[u8]) -> Option<(Zeroizing<String>, Zeroizing<String>)> {
    let (scheme, encoded) = field.split_at_checked(6)?;
    scheme.eq_ignore_ascii_case(b"basic ").then_some(())?;
    let pair = Zeroizing::new(BASE64.decode(encoded.trim_ascii()).ok()?);
    let pair = std::str::from_utf8(&pair).ok()?;
    let (id, secret) = pair.split_once(':')?;
    Some((form_decoded(id), form_decoded(secret)))
}

/// A text that was encoded as the value of a form: a `+` is a space, and `%41` an `A`.
fn form_decoded(text: &str) -> Zeroizing<String> {
    // Neither of the two that end a value is in what was encoded; where it is, it was not encoded.
    let escaped = text.replace('&', "%26").replace('=', "%3D");
    let form = Zeroizing::new(format!("v={escaped}"));
    let value = form_urlencoded::parse(form.as_bytes()).next();
    Zeroizing::new(value.map(|(_, value)| value.into_owned()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: an `Authorization` field is read as RFC 6749 section 2.3.1 encodes it. Method: an id
    // and a secret with every character that is escaped, fields of other schemes, and broken ones.
    #[test]
    fn basic_credentials_are_form_decoded() {
        let field = |pair: &str| format!("Basic {}", BASE64.encode(pair.as_bytes()));
        let read = |field: &str| {
            let (id, secret) = basic(field.as_bytes())?;
            Some((id.to_string(), secret.to_string()))
        };
        let pair = |id: &str, secret: &str| Some((id.to_owned(), secret.to_owned()));
        assert_eq!(read(&field("app:hush")), pair("app", "hush"));
        assert_eq!(read(&field("a%3Ab:p%2Bq+r%25")), pair("a:b", "p+q r%"));
        // Who does not encode has nothing to lose but a `+` and a `%`.
        assert_eq!(read(&field("app:a=b&c:d")), pair("app", "a=b&c:d"));
        assert_eq!(read(&field("app:hush").replace("Basic", "bAsIc")), pair("app", "hush"));
        for broken in ["", "Basic", "Basic ", "Basic *", "Bearer abc", &field("no colon")] {
            assert_eq!(read(broken), None, "{broken}");
        }
    }
}

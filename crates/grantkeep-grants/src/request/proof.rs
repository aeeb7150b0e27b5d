//! Proof of possession: the thumbprints that tokens are bound to, RFC 9449 (`DPoP`) and RFC 8705
//! (mutual TLS).
//!
//! The server verifies the proof itself, its signature and its claims; here is what it compares,
//! and [`Grants::burn`](crate::Grants) keeps its `jti` from being used twice.

use data_encoding::BASE64URL_NOPAD;
use grantkeep::{Confirmation, Error, ErrorKind, Result};
use ring::digest::{SHA256, digest};

/// The public key of a proof, by the members of its JWK (RFC 7517) that its thumbprint takes: each
/// as it stands there, in base64url.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PublicKey<'a> {
    /// `"kty":"EC"`.
    Ec {
        /// `P-256`, `P-384`, ...
        crv: &'a str,
        /// The x coordinate.
        x: &'a str,
        /// The y coordinate.
        y: &'a str,
    },
    /// `"kty":"RSA"`.
    Rsa {
        /// The exponent.
        e: &'a str,
        /// The modulus.
        n: &'a str,
    },
    /// `"kty":"OKP"`, RFC 8037.
    Okp {
        /// `Ed25519`, ...
        crv: &'a str,
        /// The public key.
        x: &'a str,
    },
}

impl PublicKey<'_> {
    /// The binding to this key: its JWK thumbprint, RFC 7638 section 3.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`] for a member that is empty, or holds a character that neither
    /// base64url nor the name of a curve has.
    pub fn confirmation(&self) -> Result<Confirmation> {
        // Members in the order of their names, without white space: section 3.2.
        let (members, kty): (&[(&str, &str)], _) = match self {
            Self::Ec { crv, x, y } => {
                (&[("crv", crv), ("kty", "EC"), ("x", x), ("y", y)], "an EC key")
            }
            Self::Rsa { e, n } => (&[("e", e), ("kty", "RSA"), ("n", n)], "an RSA key"),
            Self::Okp { crv, x } => (&[("crv", crv), ("kty", "OKP"), ("x", x)], "an OKP key"),
        };
        let mut text = String::from("{");
        for (name, value) in members {
            let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            if value.is_empty() || !value.bytes().all(known) {
                return Err(Error::new(
                    ErrorKind::Limit,
                    format!("the member `{name}` of {kty} is empty, or not base64url: send a JWK"),
                ));
            }
            if text.len() > 1 {
                text.push(',');
            }
            for part in ["\"", name, "\":\"", value, "\""] {
                text.push_str(part);
            }
        }
        text.push('}');
        Ok(Confirmation::Jkt(sha256(text.as_bytes())))
    }
}

/// The binding to a client's certificate in DER: `x5t#S256`, RFC 8705 section 3.1.
pub fn of_certificate(der: &[u8]) -> Confirmation {
    Confirmation::X5tS256(sha256(der))
}

/// The binding that a `dpop_jkt` parameter names (RFC 9449 section 10): 43 characters of
/// base64url.
///
/// # Errors
/// [`ErrorKind::Limit`] for anything else.
pub fn jkt(text: &str) -> Result<Confirmation> {
    let mut thumbprint = [0; 32];
    if text.len() == 43 && BASE64URL_NOPAD.decode_mut(text.as_bytes(), &mut thumbprint).is_ok() {
        return Ok(Confirmation::Jkt(thumbprint));
    }
    Err(Error::new(
        ErrorKind::Limit,
        "a `dpop_jkt` is the 43 base64url characters of a SHA-256: send it unpadded",
    ))
}

/// The member of `cnf` (RFC 7800 section 3.1) by which an introspection tells the binding, and
/// its value.
pub fn cnf(confirmation: &Confirmation) -> (&'static str, String) {
    match confirmation {
        Confirmation::Jkt(thumbprint) => ("jkt", BASE64URL_NOPAD.encode(thumbprint)),
        Confirmation::X5tS256(thumbprint) => ("x5t#S256", BASE64URL_NOPAD.encode(thumbprint)),
    }
}

/// The `ath` that a proof must carry beside this access token, RFC 9449 section 4.2.
pub fn ath(access_token: &str) -> String {
    BASE64URL_NOPAD.encode(&sha256(access_token.as_bytes()))
}

/// The `token_type` of an access token that is bound so (RFC 9449 section 5, RFC 8705 section 3).
pub(crate) fn token_type(confirmation: Option<&Confirmation>) -> &'static str {
    match confirmation {
        Some(Confirmation::Jkt(_)) => "DPoP",
        Some(Confirmation::X5tS256(_)) | None => "Bearer",
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.iter_mut().zip(digest(&SHA256, bytes).as_ref()).for_each(|(to, from)| *to = *from);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: thumbprints are those of RFC 7638. Method: the RSA key of its section 3.1, the EC key
    // of RFC 9449 section 4.1 with the thumbprint of its section 6.1, and the Ed25519 key of RFC
    // 8037 appendix A.3.
    #[test]
    fn jwk_thumbprint_vectors() {
        let rsa = PublicKey::Rsa {
            e: "AQAB",
            n: "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxu\
                hDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN\
                5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5\
                hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBni\
                Iqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
        };
        let ec = PublicKey::Ec {
            crv: "P-256",
            x: "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
            y: "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA",
        };
        let okp =
            PublicKey::Okp { crv: "Ed25519", x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" };
        for (key, thumbprint) in [
            (rsa, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"),
            (ec, "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"),
            (okp, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"),
        ] {
            let confirmation = key.confirmation().unwrap();
            assert_eq!(cnf(&confirmation), ("jkt", thumbprint.to_owned()), "{key:?}");
            assert_eq!(jkt(thumbprint).unwrap(), confirmation);
        }
    }

    // Goal: `ath` is that of RFC 9449. Method: the vector of its section 7.1.
    #[test]
    fn ath_vector() {
        let token = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";
        assert_eq!(ath(token), "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo");
    }

    // Goal: no text of a client ends up as it is in what is digested, and no other length is a
    // thumbprint. Method: members and parameters with what must not be there.
    #[test]
    fn malformed_keys_are_refused() {
        for x in ["", "a\"b", "a,b", "a=", "\u{e9}"] {
            let key = PublicKey::Okp { crv: "Ed25519", x };
            assert_eq!(key.confirmation().unwrap_err().kind(), ErrorKind::Limit, "{x}");
        }
        for text in ["", "short", &"A".repeat(42), &"A".repeat(44), &"=".repeat(43)] {
            assert_eq!(jkt(text).unwrap_err().kind(), ErrorKind::Limit, "{text}");
        }
        let certificate = of_certificate(b"der");
        assert_eq!(cnf(&certificate).0, "x5t#S256");
        assert_eq!(token_type(Some(&certificate)), "Bearer");
    }
}

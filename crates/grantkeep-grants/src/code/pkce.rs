//! Proof Key for Code Exchange, RFC 7636.

use constant_time_eq::constant_time_eq;
use data_encoding::BASE64URL_NOPAD;
use grantkeep::{Challenge, Error, ErrorKind, Result};
use ring::digest::{SHA256, digest};

/// A verifier has at least this many characters, RFC 7636 section 4.1.
pub const VERIFIER_CHARS_MIN: usize = 43;

/// A verifier has at most this many characters, RFC 7636 section 4.1.
pub const VERIFIER_CHARS_MAX: usize = 128;

/// Reads an S256 challenge: 43 characters of base64url.
pub(crate) fn s256(challenge: &str) -> Result<Challenge> {
    let mut digest = [0; 32];
    let decoded = challenge.len() == 43
        && BASE64URL_NOPAD.decode_mut(challenge.as_bytes(), &mut digest).is_ok();
    if !decoded {
        return Err(Error::new(
            ErrorKind::Limit,
            "an S256 code challenge is the 43 base64url characters of a SHA-256: send it unpadded",
        ));
    }
    Ok(Challenge::S256(digest))
}

/// Reads a plain challenge: a verifier.
pub(crate) fn plain(challenge: &str) -> Result<Challenge> {
    if !is_verifier(challenge) {
        return Err(Error::new(
            ErrorKind::Limit,
            format!(
                "a plain code challenge is {VERIFIER_CHARS_MIN} to {VERIFIER_CHARS_MAX} letters, \
                 digits, and `-._~`"
            ),
        ));
    }
    Ok(Challenge::Plain(challenge.to_owned()))
}

/// True if `verifier` is what the challenge of the request demands; where there was none, there
/// must be no verifier either: a client that sends one was talked out of its challenge (RFC 9700
/// section 4.8.2).
pub(crate) fn matches(challenge: Option<&Challenge>, verifier: Option<&str>) -> bool {
    match (challenge, verifier) {
        (None, None) => true,
        (Some(challenge), Some(verifier)) if is_verifier(verifier) => match challenge {
            Challenge::S256(expected) => {
                constant_time_eq(digest(&SHA256, verifier.as_bytes()).as_ref(), expected)
            }
            Challenge::Plain(expected) => {
                constant_time_eq(verifier.as_bytes(), expected.as_bytes())
            }
        },
        _ => false,
    }
}

fn is_verifier(text: &str) -> bool {
    let unreserved = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
    (VERIFIER_CHARS_MIN..=VERIFIER_CHARS_MAX).contains(&text.len()) && text.bytes().all(unreserved)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    // Goal: S256 is that of RFC 7636. Method: the vector of its appendix B.
    #[test]
    fn appendix_b_vector() {
        let challenge = s256(CHALLENGE).unwrap();
        assert!(matches(Some(&challenge), Some(VERIFIER)));
        assert!(!matches(Some(&challenge), Some(CHALLENGE)));
    }

    // Goal: neither side can be left out. Method: each of the two alone, and none.
    #[test]
    fn challenge_and_verifier_go_together() {
        let challenge = s256(CHALLENGE).unwrap();
        assert!(!matches(Some(&challenge), None));
        assert!(!matches(None, Some(VERIFIER)));
        assert!(matches(None, None));
    }

    // Goal: the bounds of a verifier and of a challenge are exact. Method: one character under and
    // over, and characters outside the set.
    #[test]
    fn verifier_bounds_are_exact() {
        for (len, good) in [(42, false), (43, true), (128, true), (129, false)] {
            let verifier = "~".repeat(len);
            assert_eq!(plain(&verifier).is_ok(), good, "{len}");
            let challenge = Challenge::Plain(verifier.clone());
            assert_eq!(matches(Some(&challenge), Some(&verifier)), good, "{len}");
        }
        assert!(plain(&"+".repeat(50)).is_err());
        for challenge in ["", &CHALLENGE[1..], &format!("{CHALLENGE}="), &"+".repeat(43)] {
            assert_eq!(s256(challenge).unwrap_err().kind(), ErrorKind::Limit);
        }
    }
}

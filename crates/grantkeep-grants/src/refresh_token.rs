//! Refresh tokens: their family, their generation, and a MAC, so that every generation ever
//! issued is recognized without being stored.
//!
//! ```text
//! bytes 0..12   family id
//!      12..16   generation, big-endian
//!      16..32   MAC: keyed BLAKE3 over the family id, the generation and the form, 16 bytes of it
//! ```
//!
//! The key takes the root key *and* the family's salt to derive. What a form is longer than these
//! 32 bytes is filled from the rest of the MAC's output stream, so the same token can be derived
//! again at any time, and verifying derives the whole text: every character counts. The form
//! (spelling, application name, length) is under the MAC, so a cut or respelled token is another
//! token, and one issued before a policy changed its format still verifies.

use crate::base62;
use crate::format::{Face, Form, Format, Prefixed, Tag};
use crate::secret::Secret;
use constant_time_eq::constant_time_eq;
use data_encoding::{BASE64URL_NOPAD, Encoding, HEXLOWER};
use grantkeep::{FAMILY_ID_BYTES, FamilyId, RootKey, TOKEN_BYTES_MAX};
use zeroize::{Zeroize as _, Zeroizing};

const MAC_BYTES: usize = 16;

/// The refresh token of one generation of a family, the same each time it is asked for.
pub(crate) fn derive(
    root: &RootKey,
    salt: &[u8; 32],
    family: FamilyId,
    generation: u32,
    format: &Format,
) -> Secret {
    write(root, salt, family, generation, format.form())
}

/// What a presented text says it is. Nothing of it is true until [`Claim::verify`] says so.
#[derive(Debug)]
pub(crate) struct Claim<'a> {
    pub(crate) family: FamilyId,
    pub(crate) generation: u32,
    form: Form<'a>,
}

impl<'a> Claim<'a> {
    pub(crate) fn read(text: &'a str) -> Option<Self> {
        if text.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let (face, core) = match Prefixed::read(text) {
            Some(prefixed) if prefixed.tag == Tag::Refresh => {
                let core = prefixed.body.get(..base62::CHARS_OF_32_BYTES)?;
                (Face::Prefixed(prefixed.app), base62::read_32_bytes(core)?)
            }
            Some(_) => return None,
            None => match decode(&HEXLOWER, text.get(..64)) {
                Some(core) => (Face::Hex, core),
                None => (Face::Base64Url, decode(&BASE64URL_NOPAD, text.get(..43))?),
            },
        };
        let (family, rest) = core.split_first_chunk::<FAMILY_ID_BYTES>()?;
        let generation = u32::from_be_bytes(*rest.first_chunk()?);
        let form = Form { face, chars: text.len() };
        Some(Self { family: FamilyId(*family), generation, form })
    }

    /// True if `text`, which this claim was read from, was derived from these keys. Takes the same
    /// time wherever it differs.
    pub(crate) fn verify(&self, text: &str, root: &RootKey, salt: &[u8; 32]) -> bool {
        let derived = write(root, salt, self.family, self.generation, self.form);
        constant_time_eq(text.as_bytes(), derived.expose().as_bytes())
    }
}

fn decode(encoding: &Encoding, text: Option<&str>) -> Option<[u8; 32]> {
    let mut core = [0; 32];
    encoding.decode_mut(text?.as_bytes(), &mut core).ok()?;
    Some(core)
}

fn write(
    root: &RootKey,
    salt: &[u8; 32],
    family: FamilyId,
    generation: u32,
    form: Form<'_>,
) -> Secret {
    let generation = generation.to_be_bytes();
    let (face, app) = match form.face {
        Face::Prefixed(app) => (0, app),
        Face::Hex => (1, ""),
        Face::Base64Url => (2, ""),
    };
    let mut hasher = blake3::Hasher::new_keyed(&root.refresh_key(salt));
    hasher
        .update(&family.0)
        .update(&generation)
        .update(&[face])
        .update(&(form.chars as u64).to_le_bytes())
        .update(app.as_bytes());
    let mut stream = hasher.finalize_xof();
    hasher.zeroize();
    let mut mac = [0; MAC_BYTES];
    stream.fill(&mut mac);
    let mut core = Zeroizing::new([0; 32]);
    let parts = family.0.iter().chain(&generation).chain(&mac);
    for (byte, part) in core.iter_mut().zip(parts) {
        *byte = *part;
    }
    let token = form.write(Tag::Refresh, Some(&core), &mut stream);
    stream.zeroize();
    mac.zeroize();
    token
}

#[cfg(test)]
mod tests {
    use super::*;
    use grantkeep::Keyring;

    fn formats() -> Vec<Format> {
        let styles = [Format::prefixed("gk"), Format::hex(), Format::base64url()];
        let longer = styles.clone().map(|format| format.chars(300));
        styles.into_iter().chain(longer).collect()
    }

    // Goal: a token is derived again to the byte, and read back. Method: all styles, at their
    // shortest and longer, at the first and last generation.
    #[test]
    fn tokens_are_derived_again_and_read_back() {
        let keyring = Keyring::from_keys([(1, [7; 32])]).unwrap();
        let root = keyring.active().unwrap();
        let family = FamilyId([9; 12]);
        for format in formats() {
            for generation in [0, 1, u32::MAX] {
                let token = derive(root, &[3; 32], family, generation, &format);
                let again = derive(root, &[3; 32], family, generation, &format);
                assert_eq!(token.expose(), again.expose());
                assert_eq!(token.expose().len(), format.chars);
                let claim = Claim::read(token.expose()).unwrap();
                assert_eq!((claim.family, claim.generation), (family, generation));
                assert!(claim.verify(token.expose(), root, &[3; 32]));
                assert!(!claim.verify(token.expose(), root, &[4; 32]));
            }
        }
    }

    // Goal: P4, no changed, cut or lengthened token verifies. Method: change every character, cut
    // at every length, and add one, in all formats.
    #[test]
    fn every_character_counts() {
        let keyring = Keyring::from_keys([(1, [7; 32])]).unwrap();
        let root = keyring.active().unwrap();
        let verifies =
            |text: &str| Claim::read(text).is_some_and(|claim| claim.verify(text, root, &[3; 32]));
        for format in formats() {
            let token = derive(root, &[3; 32], FamilyId([9; 12]), 5, &format);
            let text = token.expose();
            assert!(verifies(text));
            for at in 0..text.len() {
                let mut bytes = text.as_bytes().to_vec();
                bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
                assert!(!verifies(std::str::from_utf8(&bytes).unwrap()), "changed at {at}");
                assert!(!verifies(&text[..at]), "cut at {at}");
            }
            assert!(!verifies(&format!("{text}0")));
            assert!(!verifies(&text.to_uppercase()));
        }
    }

    // Goal: tokens already in clients' hands keep verifying over versions of this crate. Method: a
    // pinned token.
    #[test]
    fn derivation_is_pinned() {
        let keyring = Keyring::from_keys([(1, [7; 32])]).unwrap();
        let root = keyring.active().unwrap();
        let token = derive(root, &[3; 32], FamilyId([9; 12]), 5, &Format::hex());
        let longer = Format::prefixed("gk").chars(64);
        let longer = derive(root, &[3; 32], FamilyId([9; 12]), 5, &longer);
        assert_eq!(
            longer.expose(),
            "gk_rt_28pwpFvXuOCuClQJROzesDkkn7cDPSarKf5ckvJosbzzXaz1Jv774NEFP7"
        );
        assert_eq!(&token.expose()[..32], "09090909090909090909090900000005");
        assert_eq!(&token.expose()[32..], "4523322a8461a30ee53bedf36b55681f");
    }
}

//! Refresh tokens: derived from their family, so that every generation ever issued is recognized
//! without being stored. Nothing of the family shows in the text.
//!
//! # Writing
//!
//! 1. `L` is the family id (12 bytes) and the generation (4 bytes, big-endian).
//! 2. `R` is the MAC: the first 16 bytes of the output stream of BLAKE3 over `L` and the form,
//!    keyed with a key that takes the root key *and* the family's salt to derive.
//! 3. `A` is `L` xor `F1(R)`, and `B` is `R` xor `F2(A)`. `F1` and `F2` are 16 bytes of BLAKE3 over
//!    a 1 or a 2 and the argument, keyed with the mask key of the root key: no salt, since the salt
//!    is in the family, which the reader does not know yet.
//!
//! ```text
//! bytes 0..16   A, the masked family id and generation
//!      16..32   B, the masked MAC
//! ```
//!
//! What a form is longer than these 32 bytes is filled from the rest of the MAC's stream, so a
//! token can be derived again at any time. The form (spelling, application name, length) is under
//! the MAC: a cut or respelled token is another token, and one issued before a policy changed its
//! format still verifies.
//!
//! # Reading
//!
//! A text does not say under which root key it was made. Each root key of the keyring undoes step 3
//! in turn, the newest first; a wrong one yields a family id that is random, and is not found. So a
//! text costs at most one probe of the index for each root key, of which there are at most
//! [`KEYS_MAX`](grantkeep::KEYS_MAX). A family that is found must name this root key. Then the
//! whole text is derived again and compared in constant time: every character counts.
//!
//! # Odds of a guess
//!
//! For each form, one of the 2^256 texts is the token of a given family's present generation (and
//! one more that of the generation before, within the grace period: double what follows). Say that
//! a guesser knows the ids and generations of all families, and has seen `q` tokens, earlier ones
//! of the family among them, but no root key. Of each text that he makes up himself:
//!
//! - If its `A` is none that he has seen, `F2(A)` is new to him, so its `R` is random: it is the
//!   MAC that it has to be in 1 of 2^128 cases, and then `F1(R)` is new as well and gives the right
//!   `L` in 1 of 2^128. Or `R` meets one of the `q` MACs that he has seen the masks of (`q` of
//!   2^128 cases), so that he could choose `L`: then the MAC of that `L` is `R` in 1 of 2^128
//!   cases.
//! - If he has seen its `A`, its `B` differs, so its `R` is a MAC that he has seen, xor something.
//!   He does not know the former, so `F1(R)` is new to him but in at most `q` of 2^128 cases, and
//!   as before both `L` and its MAC have to be right.
//!
//! So he is right in at most (1 + q) of 2^256 cases, in the shortest format as well: RFC 6749
//! section 10.10 asks for 2^-160, which is kept until he has seen 2^96 tokens. (The mask of a
//! construction that only adds a key stream to `L` could be taken over from a token that he owns:
//! that would leave him the MAC alone, 2^-128.) For *any* of `n` families it is `n` times as much:
//! 2^-200 for a million families and a billion tokens seen. This takes BLAKE3 for a random
//! function; it is built for 2^128 steps of work.
//!
//! The mask counts for nothing against who holds the root keys. Without the salts, which are in the
//! store, he has to guess the MAC: 2^-128 in the 256 bits of the shortest formats, which have no
//! room for more, and less by each character that a format is longer. From 8 hex digits, or 6
//! characters of the other styles, the MAC has 160 bits. Who has the store and no root key is left
//! with the guesser's odds.
//!
//! # What a text shows
//!
//! Its form, and nothing else. `A`, `B`, and what fills the rest look random without the root key:
//! two tokens have an `R` in common, and show the difference of their `L`, once in 2^128 pairs.

use crate::text::base62;
use crate::text::format::{Face, Form, Format, Prefixed, Tag};
use crate::text::secret::Secret;
use blake3::OutputReader;
use constant_time_eq::{constant_time_eq, constant_time_eq_16};
use data_encoding::{BASE64URL_NOPAD, Encoding, HEXLOWER};
use grantkeep::{FAMILY_ID_BYTES, FamilyId, RootKey, TOKEN_BYTES_MAX};
use zeroize::{Zeroize as _, Zeroizing};

/// Bytes of either half of a core.
const HALF_BYTES: usize = 16;

/// A half of a core: a family id and a generation, or a MAC.
type Half = [u8; HALF_BYTES];

/// `F1`, which masks the family id and the generation.
const NAME_ROUND: u8 = 1;

/// `F2`, which masks the MAC.
const MAC_ROUND: u8 = 2;

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

/// A text that has the form of a refresh token: what it says is read under a root key.
#[derive(Debug)]
pub(crate) struct Masked<'a> {
    core: [u8; 32],
    form: Form<'a>,
}

/// What a presented text says it is. Nothing of it is true until [`Claim::verify`] says so.
#[derive(Debug)]
pub(crate) struct Claim<'a> {
    pub(crate) family: FamilyId,
    pub(crate) generation: u32,
    mac: Half,
    core: [u8; 32],
    form: Form<'a>,
}

impl<'a> Masked<'a> {
    /// `None` for a text that no form of a refresh token fits.
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
        Some(Self { core, form: Form { face, chars: text.len() } })
    }

    /// What it says if it was made under this root key; something random if it was not.
    pub(crate) fn claim(&self, root: &RootKey) -> Option<Claim<'a>> {
        let (mut name, mut mac) = halves(&self.core)?;
        xor(&mut mac, &root.refresh_mask(MAC_ROUND, &name));
        xor(&mut name, &root.refresh_mask(NAME_ROUND, &mac));
        let (family, generation) = name.split_first_chunk::<FAMILY_ID_BYTES>()?;
        let generation = u32::from_be_bytes(*generation.first_chunk()?);
        let Self { core, form } = *self;
        Some(Claim { family: FamilyId(*family), generation, mac, core, form })
    }
}

impl Claim<'_> {
    /// True if `text`, which this claim was read from, was derived from these keys. Takes as long
    /// wherever it differs.
    pub(crate) fn verify(&self, text: &str, root: &RootKey, salt: &[u8; 32]) -> bool {
        let name = name(self.family, self.generation);
        let (mac, mut stream) = authenticate(root, salt, &name, self.form);
        // The masks are undone, so a right MAC makes the core right as well: they need not be made
        // again.
        let derived = self.form.write(Tag::Refresh, Some(&self.core), &mut stream);
        stream.zeroize();
        let is_genuine = constant_time_eq_16(&mac, &self.mac);
        is_genuine & constant_time_eq(text.as_bytes(), derived.expose().as_bytes())
    }
}

fn decode(encoding: &Encoding, text: Option<&str>) -> Option<[u8; 32]> {
    let mut core = [0; 32];
    encoding.decode_mut(text?.as_bytes(), &mut core).ok()?;
    Some(core)
}

/// The two halves of a core.
fn halves(core: &[u8; 32]) -> Option<(Half, Half)> {
    Some((*core.first_chunk()?, *core.last_chunk()?))
}

fn xor(half: &mut Half, mask: &Half) {
    for (byte, mask) in half.iter_mut().zip(mask) {
        *byte ^= mask;
    }
}

/// The first half of a core before it is masked.
fn name(family: FamilyId, generation: u32) -> Half {
    let mut name = [0; HALF_BYTES];
    for (byte, part) in name.iter_mut().zip(family.0.into_iter().chain(generation.to_be_bytes())) {
        *byte = part;
    }
    name
}

/// The MAC over a name and the form, and what the text is filled from after it.
fn authenticate(
    root: &RootKey,
    salt: &[u8; 32],
    name: &Half,
    form: Form<'_>,
) -> (Zeroizing<Half>, OutputReader) {
    let (face, app) = match form.face {
        Face::Prefixed(app) => (0, app),
        Face::Hex => (1, ""),
        Face::Base64Url => (2, ""),
    };
    let mut hasher = blake3::Hasher::new_keyed(&root.refresh_key(salt));
    hasher
        .update(name)
        .update(&[face])
        .update(&(form.chars as u64).to_le_bytes())
        .update(app.as_bytes());
    let mut stream = hasher.finalize_xof();
    hasher.zeroize();
    let mut mac = Zeroizing::new([0; HALF_BYTES]);
    stream.fill(&mut mac[..]);
    (mac, stream)
}

fn write(
    root: &RootKey,
    salt: &[u8; 32],
    family: FamilyId,
    generation: u32,
    form: Form<'_>,
) -> Secret {
    let mut name = name(family, generation);
    let (mut mac, mut stream) = authenticate(root, salt, &name, form);
    xor(&mut name, &root.refresh_mask(NAME_ROUND, &mac));
    xor(&mut mac, &root.refresh_mask(MAC_ROUND, &name));
    let mut core = Zeroizing::new([0; 32]);
    for (byte, part) in core.iter_mut().zip(name.iter().chain(&*mac)) {
        *byte = *part;
    }
    let token = form.write(Tag::Refresh, Some(&core), &mut stream);
    stream.zeroize();
    token
}

#[cfg(test)]
mod tests {
    use super::*;
    use grantkeep::Keyring;
    use std::collections::HashSet;

    fn formats() -> Vec<Format> {
        let styles = [Format::prefixed("gk"), Format::hex(), Format::base64url()];
        let longer = styles.clone().map(|format| format.chars(300));
        styles.into_iter().chain(longer).collect()
    }

    fn read<'a>(text: &'a str, root: &RootKey) -> Option<Claim<'a>> {
        Masked::read(text)?.claim(root)
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
                let claim = read(token.expose(), root).unwrap();
                assert_eq!((claim.family, claim.generation), (family, generation));
                assert!(claim.verify(token.expose(), root, &[3; 32]));
                assert!(!claim.verify(token.expose(), root, &[4; 32]));
            }
        }
    }

    // Goal: RFC 6749 section 10.10, nothing of a family shows in its tokens: neither its id nor its
    // generation, and no two of them have a part in common. Method: 2,000 generations of a family
    // in each shortest format; the id and the generation in them; each four bytes of the two halves
    // at their places; under another root key.
    #[test]
    fn nothing_of_a_family_shows() {
        let keyring = Keyring::from_keys([(1, [7; 32]), (2, [8; 32])]).unwrap();
        let root = keyring.key(1).unwrap();
        let family = FamilyId([9; 12]);
        for format in formats() {
            let mut parts = HashSet::new();
            for generation in 0..2_000_u32 {
                let token = derive(root, &[3; 32], family, generation, &format);
                let core = Masked::read(token.expose()).unwrap().core;
                assert!(!core.windows(3).any(|three| three == [9; 3]), "{generation}");
                let (a, b) = halves(&core).unwrap();
                for (half, place) in [(a, 0), (b, 1)] {
                    // Of 2,000 random halves none agree in 8 bytes, wherever these stand.
                    for (at, eight) in half.windows(8).enumerate() {
                        let eight = <[u8; 8]>::try_from(eight).unwrap();
                        assert!(parts.insert((place, at, eight)), "{generation}");
                    }
                }
                assert_ne!(&a[12..], &generation.to_be_bytes(), "{generation}");
                let other = read(token.expose(), keyring.key(2).unwrap()).unwrap();
                assert_ne!((other.family, other.generation), (family, generation));
            }
        }
    }

    // Goal: every bit of a token depends on every bit of what it names, and reading diffuses as
    // well: a mask that is taken over from another token leads nowhere. Method: the halves of two
    // tokens of one family put together, each bit of a core turned, and what is read then.
    #[test]
    fn masks_cannot_be_taken_over() {
        let keyring = Keyring::from_keys([(1, [7; 32])]).unwrap();
        let root = keyring.active().unwrap();
        let family = FamilyId([9; 12]);
        let core = |generation| {
            let token = derive(root, &[3; 32], family, generation, &Format::hex());
            Masked::read(token.expose()).unwrap().core
        };
        let claim = |core: [u8; 32]| {
            let form = Form { face: Face::Hex, chars: 64 };
            Masked { core, form }.claim(root).unwrap()
        };
        let (one, two) = (core(1), core(2));
        let ((a1, b1), (a2, b2)) = (halves(&one).unwrap(), halves(&two).unwrap());
        let mut families = HashSet::from([family]);
        for (a, b) in [(a1, b2), (a2, b1)] {
            let core = <[u8; 32]>::try_from([a, b].concat()).unwrap();
            assert!(families.insert(claim(core).family));
        }
        // With the masks of the first, what the second names: `A` of the one, xor the difference.
        let mut aimed = one;
        aimed[15] ^= 1 ^ 2;
        assert!(families.insert(claim(aimed).family));
        for bit in 0..256 {
            let mut turned = one;
            turned[bit / 8] ^= 1 << (bit % 8);
            let read = claim(turned).family;
            let unlike = read.0.iter().filter(|byte| **byte != 9).count();
            assert!(unlike > 6, "bit {bit}");
            assert!(families.insert(read), "bit {bit}");
        }
    }

    // Goal: P4, no changed, cut or lengthened token verifies. Method: change every character, cut
    // at every length, and add one, in all formats.
    #[test]
    fn every_character_counts() {
        let keyring = Keyring::from_keys([(1, [7; 32])]).unwrap();
        let root = keyring.active().unwrap();
        let verifies =
            |text: &str| read(text, root).is_some_and(|claim| claim.verify(text, root, &[3; 32]));
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

    // Goal: formats with room carry a MAC of 160 bits, RFC 6749 section 10.10: all that follows the
    // first 32 bytes depends on the salt. Method: 8 hex digits, and 6 characters of the others,
    // with 200 salts.
    #[test]
    fn longer_formats_carry_a_longer_mac() {
        let keyring = Keyring::from_keys([(1, [7; 32])]).unwrap();
        let root = keyring.active().unwrap();
        for (format, more, check) in
            [(Format::hex(), 8, 0), (Format::base64url(), 6, 0), (Format::prefixed("gk"), 6, 6)]
        {
            let chars = format.chars + more;
            let format = format.chars(chars);
            let tails: HashSet<String> = (0..200)
                .map(|salt| {
                    let token = derive(root, &[salt; 32], FamilyId([9; 12]), 5, &format);
                    token.expose()[chars - check - more..chars - check].to_owned()
                })
                .collect();
            assert_eq!(tails.len(), 200, "{format:?}");
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
            "gk_rt_uPUFViMvD9fLcYLGWRwM9Sjdi5QyZEPOG4J3Psz0XEJzXaz1Jv772KvMFl"
        );
        assert_eq!(
            token.expose(),
            "0eefa0e67dc68aa8334fa92be01d056b2007405862c7bbd9bfa7467d95ecc6ef"
        );
    }
}

//! User codes, RFC 8628 section 6.1: short enough to be typed, of letters that form no words.

use crate::text::secret::Secret;
use grantkeep::{Result, random};
use zeroize::Zeroizing;

/// A user code has this many letters of 20: some 34.6 bits.
pub const USER_CODE_CHARS: usize = 8;

/// The base-20 alphabet of RFC 8628 section 6.1: no vowels, nothing that looks like another.
const LETTERS: &[u8] = b"BCDFGHJKLMNPQRSTVWXZ";

/// Random bytes from here on are rejected, so that each letter stands for 12 of them.
const BYTES_USED: u8 = 240;

/// What stands before a user code where its look-up id is made.
const LABEL: &str = "device user code:";

/// The letters of a user code, as they are compared: upper case, nothing between them.
pub(crate) struct Letters(Zeroizing<String>);

impl Letters {
    /// New ones, each equally likely.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](grantkeep::ErrorKind::Io) where the system's generator fails.
    pub(crate) fn mint() -> Result<Self> {
        let mut letters = Zeroizing::new(String::with_capacity(USER_CODE_CHARS));
        let mut block = Zeroizing::new([0; 2 * USER_CODE_CHARS]);
        while letters.len() < USER_CODE_CHARS {
            random(&mut block[..])?;
            let left = USER_CODE_CHARS - letters.len();
            letters.extend(block.iter().filter_map(|byte| letter(*byte)).take(left));
        }
        Ok(Self(letters))
    }

    /// What somebody typed: case, spaces, dashes, and whatever else is neither a letter nor a digit
    /// is overlooked. `None` unless the right number of letters of the alphabet is left.
    pub(crate) fn read(typed: &str) -> Option<Self> {
        let mut letters = Zeroizing::new(String::with_capacity(USER_CODE_CHARS));
        for typed in typed.chars().filter(|typed| typed.is_alphanumeric()) {
            let byte = u8::try_from(typed.to_ascii_uppercase()).ok()?;
            if letters.len() == USER_CODE_CHARS || !LETTERS.contains(&byte) {
                return None;
            }
            letters.push(char::from(byte));
        }
        (letters.len() == USER_CODE_CHARS).then_some(Self(letters))
    }

    /// As they are shown: `WDJB-MJHT`.
    pub(crate) fn shown(&self) -> Secret {
        let (head, tail) = self.0.split_at_checked(USER_CODE_CHARS / 2).unwrap_or_default();
        let mut text = Zeroizing::new(String::with_capacity(USER_CODE_CHARS + 1));
        for part in [head, "-", tail] {
            text.push_str(part);
        }
        Secret::new(text)
    }

    /// What their look-up id is made of.
    pub(crate) fn labeled(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(LABEL.len() + USER_CODE_CHARS));
        bytes.extend_from_slice(LABEL.as_bytes());
        bytes.extend_from_slice(self.0.as_bytes());
        bytes
    }
}

/// The letter that a random byte stands for.
fn letter(byte: u8) -> Option<char> {
    let place = (byte < BYTES_USED).then(|| usize::from(byte) % LETTERS.len())?;
    LETTERS.get(place).copied().map(char::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn read(typed: &str) -> Option<String> {
        Letters::read(typed).map(|letters| letters.0.to_string())
    }

    // Goal: what a person types is read as it is meant, and nothing else is. Method: separators,
    // case, and line ends around one code; then one letter less and more, digits, vowels, letters
    // of other alphabets, and what only looks or folds like a letter.
    #[test]
    fn what_is_typed_is_read_as_it_is_meant() {
        let meant = Some("WDJBMJHT".to_owned());
        for typed in [
            "WDJB-MJHT",
            "wdjbmjht",
            " wdjb mjht\r\n",
            "W.D.J.B_M/J/H/T",
            "WDJB\u{2013}MJHT",
            "WDJB\u{a0}MJHT",
            "\u{feff}WDJB MJHT",
        ] {
            assert_eq!(read(typed), meant, "{typed:?}");
        }
        for typed in [
            "",
            "-",
            "WDJB-MJH",
            "WDJB-MJHTB",
            "WDJB-MJH7",
            "WDJB-MJHA",
            "WDJB-MJH\u{422}",
            "WDJB-MJ\u{212a}T",
            "\u{ff37}DJB-MJHT",
        ] {
            assert_eq!(read(typed), None, "{typed:?}");
        }
        assert_eq!(read(&"BCDFGHJK".repeat(100_000)), None);
    }

    // Goal: each letter is equally likely. Method: what each of the 256 bytes stands for.
    #[test]
    fn every_letter_stands_for_as_many_bytes() {
        let letters: Vec<char> = (0..=u8::MAX).filter_map(letter).collect();
        assert_eq!(letters.len(), usize::from(BYTES_USED));
        for each in LETTERS {
            let count = letters.iter().filter(|letter| **letter == char::from(*each)).count();
            assert_eq!(count, 12);
        }
    }

    // Goal: user codes are spread over all that there are, read back as shown, and none is printed.
    // Method: 20,000 of them: as many different ones but for the two or three that chance allows,
    // and each letter within six standard deviations at each place.
    #[test]
    fn minted_codes_are_uniform_and_read_back() {
        const CODES: usize = 20_000;
        let mut seen = HashSet::new();
        let mut counts = [[0_u32; 20]; USER_CODE_CHARS];
        for _ in 0..CODES {
            let minted = Letters::mint().unwrap();
            let shown = minted.shown();
            let text = shown.expose();
            assert!(text.len() == 9 && text.as_bytes()[4] == b'-', "{text}");
            assert_eq!(read(text).as_deref(), Some(minted.0.as_str()));
            for (counts, byte) in counts.iter_mut().zip(minted.0.bytes()) {
                counts[LETTERS.iter().position(|letter| *letter == byte).unwrap()] += 1;
            }
            seen.insert(minted.0.to_string());
        }
        assert!(seen.len() >= CODES - 3, "{}", seen.len());
        // A binomial share of 1 in 20: a mean of 1,000, a deviation of 31.
        for count in counts.iter().flatten() {
            assert!((1_000 - 186..=1_000 + 186).contains(count), "{count}");
        }
    }
}

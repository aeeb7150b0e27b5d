//! Secrets of clients as other servers hashed them: Argon2 and PBKDF2 as PHC strings, bcrypt in its
//! modular crypt format.
//!
//! A hash says itself how much work it takes to verify. Whoever presents something to a client
//! causes that work, so what a hash may ask for is capped when it is imported, and a stored one is
//! read by the same rules.
//!
//! ```text
//! $argon2id$v=19$m=65536,t=3,p=4$SALT$HASH      argon2d, argon2i, argon2id; base64 without padding
//! $pbkdf2-sha256$i=600000,l=32$SALT$HASH        pbkdf2-sha1, pbkdf2-sha256, pbkdf2-sha512
//! $2b$12$SALTHASH                               2a, 2b, 2y; 53 characters
//! ```

use argon2::{Algorithm, Argon2, Params, Version};
use constant_time_eq::constant_time_eq;
use data_encoding::BASE64_NOPAD;
use ring::pbkdf2;
use std::num::NonZeroU32;
use zeroize::Zeroizing;

/// An Argon2 hash may take this much memory, KiB.
pub const ARGON2_MEMORY_KIB_MAX: u32 = 128 * 1_024;

/// An Argon2 hash may go through its memory this often.
pub const ARGON2_PASSES_MAX: u32 = 16;

/// An Argon2 hash may have this many lanes.
pub const ARGON2_LANES_MAX: u32 = 16;

/// A PBKDF2 hash may take this many iterations.
pub const PBKDF2_ITERATIONS_MAX: u32 = 2_000_000;

/// A bcrypt hash may have this cost: 2 to the power of it are its rounds.
pub const BCRYPT_COST_MAX: u32 = 14;

/// A shorter hash is guessed too easily.
const HASH_BYTES_MIN: usize = 16;
const HASH_BYTES_MAX: usize = 64;
const SALT_BYTES_MIN: usize = 8;
const SALT_BYTES_MAX: usize = 64;

/// A hash that is within the caps.
pub(crate) enum Foreign {
    Argon2 { algorithm: Algorithm, version: Version, params: Params, salted: Salted },
    Pbkdf2 { algorithm: pbkdf2::Algorithm, iterations: NonZeroU32, salted: Salted },
    Bcrypt(String),
}

/// A salt and the hash made with it.
pub(crate) struct Salted {
    salt: Vec<u8>,
    hash: Vec<u8>,
}

/// What is wrong with a hash.
type Refusal = &'static str;

impl Foreign {
    /// Reads a hash, and holds it to the caps.
    ///
    /// # Errors
    /// What is wrong with it, and what would not be. It does not repeat the hash.
    pub(crate) fn read(text: &str) -> Result<Self, Refusal> {
        let mut parts = text.split('$');
        let (Some(""), Some(id)) = (parts.next(), parts.next()) else { return Err(UNKNOWN) };
        let rest: Vec<&str> = parts.collect();
        match id {
            "argon2d" => read_argon2(Algorithm::Argon2d, &rest),
            "argon2i" => read_argon2(Algorithm::Argon2i, &rest),
            "argon2id" => read_argon2(Algorithm::Argon2id, &rest),
            "pbkdf2-sha1" => read_pbkdf2(pbkdf2::PBKDF2_HMAC_SHA1, &rest),
            "pbkdf2-sha256" => read_pbkdf2(pbkdf2::PBKDF2_HMAC_SHA256, &rest),
            "pbkdf2-sha512" => read_pbkdf2(pbkdf2::PBKDF2_HMAC_SHA512, &rest),
            "2a" | "2b" | "2y" => read_bcrypt(text, &rest),
            _ => Err(UNKNOWN),
        }
    }

    /// Whether it is the hash of this secret. Takes as long as the hash wants, and as much memory.
    pub(crate) fn verify(&self, secret: &[u8]) -> bool {
        match self {
            Self::Argon2 { algorithm, version, params, salted } => {
                let mut made = Zeroizing::new(vec![0; salted.hash.len()]);
                let argon2 = Argon2::new(*algorithm, *version, params.clone());
                let done = argon2.hash_password_into(secret, &salted.salt, &mut made);
                done.is_ok() && constant_time_eq(&made, &salted.hash)
            }
            Self::Pbkdf2 { algorithm, iterations, salted: Salted { salt, hash } } => {
                pbkdf2::verify(*algorithm, *iterations, salt, secret, hash).is_ok()
            }
            Self::Bcrypt(text) => bcrypt::verify(secret, text).unwrap_or(false),
        }
    }
}

const UNKNOWN: Refusal = "is no hash that is known: Argon2 and PBKDF2 are PHC strings, such as \
     `$argon2id$v=19$m=65536,t=3,p=4$SALT$HASH`, and bcrypt is `$2b$12$` and 53 characters";
const NUMBERS: Refusal = "has parameters that are no numbers, missing, or unknown";
const SALT: Refusal = "has a salt that is not base64 without padding of 8 to 64 bytes";
const HASH: Refusal = "has a hash that is not base64 without padding of 16 to 64 bytes";
const ARGON2_CAPS: Refusal =
    "asks for more than 131072 KiB, 16 passes, or 16 lanes: give the client a new secret";
const PBKDF2_CAPS: Refusal =
    "asks for no iterations or for more than 2000000: give the client a new secret";
const BCRYPT_CAPS: Refusal = "has a cost that is not 4 to 14: give the client a new secret";

fn read_argon2(algorithm: Algorithm, rest: &[&str]) -> Result<Foreign, Refusal> {
    let (version, parameters, salted) = match rest {
        [version, parameters, salt, hash] => {
            let version = match *version {
                "v=19" => Version::V0x13,
                "v=16" => Version::V0x10,
                _ => return Err("is of a version of Argon2 that is not 16 or 19"),
            };
            (version, *parameters, Salted::read(salt, hash)?)
        }
        // As it was written before there was a version.
        [parameters, salt, hash] => (Version::V0x10, *parameters, Salted::read(salt, hash)?),
        _ => return Err(UNKNOWN),
    };
    let [memory, passes, lanes] = numbers(parameters, ["m", "t", "p"])?;
    let (Some(memory), Some(passes), Some(lanes)) = (memory, passes, lanes) else {
        return Err(NUMBERS);
    };
    if memory > ARGON2_MEMORY_KIB_MAX || passes > ARGON2_PASSES_MAX || lanes > ARGON2_LANES_MAX {
        return Err(ARGON2_CAPS);
    }
    let params = Params::new(memory, passes, lanes, Some(salted.hash.len()));
    let params = params.map_err(|_| "has parameters that are none of Argon2")?;
    Ok(Foreign::Argon2 { algorithm, version, params, salted })
}

fn read_pbkdf2(algorithm: pbkdf2::Algorithm, rest: &[&str]) -> Result<Foreign, Refusal> {
    let [parameters, salt, hash] = rest else { return Err(UNKNOWN) };
    let [iterations, length] = numbers(parameters, ["i", "l"])?;
    let salted = Salted::read(salt, hash)?;
    if length.is_some_and(|length| usize::try_from(length) != Ok(salted.hash.len())) {
        return Err("has a hash of another length than it says");
    }
    let iterations = iterations.ok_or(NUMBERS)?;
    let iterations = NonZeroU32::new(iterations).filter(|it| it.get() <= PBKDF2_ITERATIONS_MAX);
    Ok(Foreign::Pbkdf2 { algorithm, iterations: iterations.ok_or(PBKDF2_CAPS)?, salted })
}

fn read_bcrypt(text: &str, rest: &[&str]) -> Result<Foreign, Refusal> {
    let [cost, salt_and_hash] = rest else { return Err(UNKNOWN) };
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || b"./".contains(&byte);
    if salt_and_hash.len() != 53 || !salt_and_hash.bytes().all(is_digit) {
        return Err("has not the 53 characters of a salt and a hash of bcrypt");
    }
    let cost = (cost.len() == 2).then(|| number(cost)).flatten().ok_or(NUMBERS)?;
    if !(4..=BCRYPT_COST_MAX).contains(&cost) {
        return Err(BCRYPT_CAPS);
    }
    Ok(Foreign::Bcrypt(text.to_owned()))
}

impl Salted {
    fn read(salt: &str, hash: &str) -> Result<Self, Refusal> {
        let read = |text: &str, min, max| {
            let bytes = BASE64_NOPAD.decode(text.as_bytes()).ok()?;
            (min..=max).contains(&bytes.len()).then_some(bytes)
        };
        Ok(Self {
            salt: read(salt, SALT_BYTES_MIN, SALT_BYTES_MAX).ok_or(SALT)?,
            hash: read(hash, HASH_BYTES_MIN, HASH_BYTES_MAX).ok_or(HASH)?,
        })
    }
}

/// The values of `a=1,b=2`, each name once and no other.
fn numbers<const N: usize>(text: &str, names: [&str; N]) -> Result<[Option<u32>; N], Refusal> {
    let mut values = [None; N];
    for part in text.split(',') {
        let (name, value) = part.split_once('=').ok_or(NUMBERS)?;
        let at = names.iter().position(|known| *known == name).ok_or(NUMBERS)?;
        let place = values.get_mut(at).filter(|place| place.is_none()).ok_or(NUMBERS)?;
        *place = Some(number(value).ok_or(NUMBERS)?);
    }
    Ok(values)
}

/// A number in decimal digits alone.
fn number(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: hashes of other programs are verified. Method: vectors of their documents, each with
    // its secret, with another one, and with one character of the hash changed.
    #[test]
    fn hashes_of_other_programs_are_verified() {
        for (hash, secret) in VECTORS {
            let read = Foreign::read(hash).unwrap_or_else(|why| panic!("{hash}: {why}"));
            assert!(read.verify(secret.as_bytes()), "{hash}");
            assert!(!read.verify(b"another secret"), "{hash}");
            assert!(!read.verify(b""), "{hash}");
            let middle = hash.len() - 12;
            let other = if &hash[middle..=middle] == "A" { "B" } else { "A" };
            let changed = format!("{}{other}{}", &hash[..middle], &hash[middle + 1..]);
            assert!(!Foreign::read(&changed).unwrap().verify(secret.as_bytes()), "{changed}");
        }
    }

    const VECTORS: [(&str, &str); 7] = [
        // The reference implementation's test.c.
        (
            "$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$\
             wWKIMhR9lyDFvRz9YTZweHKfbftvj+qf+YFY4NeBbtA",
            "password",
        ),
        (
            "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$\
             CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
            "password",
        ),
        // RFC 6070, its like for SHA-256, and one that Python's hashlib made.
        (
            "$pbkdf2-sha1$i=4096$c2FsdFNBTFRzYWx0U0FMVHNhbHRTQUxUc2FsdFNBTFRzYWx0$\
             PS7sT+QchJuAyNg2YsDkSospGpY",
            "passwordPASSWORDpassword",
        ),
        (
            "$pbkdf2-sha256$i=4096,l=32$c2FsdFNBTFRzYWx0U0FMVHNhbHRTQUxUc2FsdFNBTFRzYWx0$\
             NIyJ28vTKy8y2BS4EW6EzysXNH68GAAYHE4qH7jdU+E",
            "passwordPASSWORDpassword",
        ),
        (
            "$pbkdf2-sha512$i=1000$c2FsdHNhbHQ$fZO1bnUhvQ7pwKKeVHdf95youQU8WtI0BLKUU9jH+oF59\
             JtyVq/e30qktNmyFnGb+0bm7fQem/8GHfRTki3g1g",
            "pass",
        ),
        // crypt_blowfish.
        ("$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U"),
        ("$2y$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK", "U*U*"),
    ];

    // Goal: P9 and a server that goes on: what a hash may ask for is capped, and what is none is
    // refused, with a way out and without the hash. Method: each cap at its bound and one over it;
    // malformed hashes of each kind.
    #[test]
    fn what_a_hash_asks_for_is_capped() {
        let (salt, hash) = ("c29tZXNhbHQ", "wWKIMhR9lyDFvRz9YTZweHKfbftvj+qf+YFY4NeBbtA");
        let argon2 = |parameters: &str| format!("$argon2id$v=19${parameters}${salt}${hash}");
        let pbkdf2 = |parameters: &str| format!("$pbkdf2-sha256${parameters}${salt}${hash}");
        let bcrypt = |cost: &str| format!("$2b${cost}${}", "a".repeat(53));
        for good in [
            argon2("m=131072,t=16,p=16"),
            argon2("t=1,p=1,m=8"),
            pbkdf2("i=2000000"),
            pbkdf2("i=1,l=32"),
            bcrypt("04"),
            bcrypt("14"),
        ] {
            assert!(Foreign::read(&good).is_ok(), "{good}");
        }
        for bad in [
            argon2("m=131073,t=1,p=1"),
            argon2("m=8,t=17,p=1"),
            argon2("m=1024,t=1,p=17"),
            argon2("m=7,t=1,p=1"),
            argon2("m=8,t=0,p=1"),
            argon2("m=8,t=1,p=0"),
            argon2("m=8,t=1"),
            argon2("m=8,t=1,p=1,p=1"),
            argon2("m=8,t=1,p=1,x=1"),
            argon2("m=+8,t=1,p=1"),
            argon2("m=99999999999,t=1,p=1"),
            argon2("m=8,t=1,p=1").replace("v=19", "v=20"),
            argon2("m=8,t=1,p=1").replace(hash, "c2hvcnQ"),
            argon2("m=8,t=1,p=1").replace(salt, "c2E"),
            argon2("m=8,t=1,p=1").replace(salt, "c29tZXNhbHQ="),
            pbkdf2("i=0"),
            pbkdf2("i=2000001"),
            pbkdf2("l=32"),
            pbkdf2("i=1,l=31"),
            pbkdf2("29000"),
            bcrypt("03"),
            bcrypt("15"),
            bcrypt("5"),
            bcrypt("12").replace('a', "~"),
            bcrypt("12") + "a",
            "$2x$05$".to_owned() + &"a".repeat(53),
            "$scrypt$ln=16,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4Cb".to_owned(),
            String::new(),
            "$".to_owned(),
            "$argon2id".to_owned(),
            "plain text".to_owned(),
            "$2b$\u{e9}\u{e9}$".to_owned() + &"a".repeat(53),
        ] {
            let why = Foreign::read(&bad).err().unwrap_or_else(|| panic!("{bad} is read"));
            assert!(!why.contains(hash) && !why.ends_with('.'), "{bad}: {why}");
        }
    }
}

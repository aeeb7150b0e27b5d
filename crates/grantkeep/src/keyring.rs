//! The root keys, and everything that is derived from them.

use crate::digest::Digest;
use crate::disk::{self, Disk, OpenMode};
use crate::error::{Error, ErrorKind, Result};
use crate::sabotage::{self, Flaw};
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use std::fmt;
use std::path::Path;
use xxhash_rust::xxh3::xxh3_64;
use zeroize::{Zeroize as _, Zeroizing};

/// The keyring's file in a store directory.
pub const KEYRING_FILE: &str = "keyring";

/// A keyring holds at most this many root keys.
pub const KEYS_MAX: usize = 16;

const MAGIC: &str = "grantkeep keyring 1";

/// Fills `bytes` from the operating system's random generator.
///
/// # Errors
/// [`ErrorKind::Io`] where the generator fails, which no supported system does.
pub fn random(bytes: &mut [u8]) -> Result<()> {
    fill_random(bytes)
        .map_err(|_| Error::new(ErrorKind::Io, "the system's random generator failed"))
}

#[cfg(model_checked)]
use crate::sync::fill_random;

#[cfg(not(model_checked))]
fn fill_random(bytes: &mut [u8]) -> std::result::Result<(), ring::error::Unspecified> {
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), bytes)
}

/// One root key and the keys derived from it with `blake3::derive_key`.
#[derive(Clone)]
pub struct RootKey {
    id: u32,
    root: Zeroizing<[u8; 32]>,
    lookup: Zeroizing<[u8; 32]>,
    refresh: Zeroizing<[u8; 32]>,
    mask: Zeroizing<[u8; 32]>,
    seal: Zeroizing<[u8; 32]>,
    secret: Zeroizing<[u8; 32]>,
    imported: Zeroizing<[u8; 32]>,
    check: [u8; 32],
}

impl RootKey {
    fn new(id: u32, root: Zeroizing<[u8; 32]>) -> Self {
        let derive = |context| Zeroizing::new(blake3::derive_key(context, &root[..]));
        Self {
            id,
            lookup: derive("grantkeep 2026-11 look-up id v1"),
            refresh: derive("grantkeep 2026-11 refresh token v1"),
            mask: derive("grantkeep 2026-11 refresh token mask v1"),
            seal: derive("grantkeep 2026-11 sealed payload v1"),
            secret: derive("grantkeep 2026-11 client secret v1"),
            imported: derive("grantkeep 2026-11 imported token v1"),
            check: *derive("grantkeep 2026-11 keyring check v1"),
            root,
        }
    }

    /// The number by which a stored value names this key.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The look-up id of a presented token, exact to the byte.
    pub fn lookup(&self, token: &[u8]) -> Digest {
        if sabotage::is(Flaw::TextAsLookupId)
            && let Some(bytes) = token.last_chunk()
        {
            return Digest::from_bytes(*bytes);
        }
        Digest::from_bytes(*blake3::keyed_hash(&self.lookup, token).as_bytes())
    }

    /// The id under which a token is filed of which the store was given the SHA-256 alone.
    pub fn imported(&self, sha256: &[u8; 32]) -> Digest {
        Digest::from_bytes(*blake3::keyed_hash(&self.imported, sha256).as_bytes())
    }

    /// The digest of a client's secret. It takes the client's id as well, so that one secret of two
    /// clients is not seen to be one.
    pub fn client_secret(&self, client: &str, secret: &[u8]) -> Digest {
        let mut hasher = blake3::Hasher::new_keyed(&self.secret);
        hasher.update(&(client.len() as u64).to_le_bytes()).update(client.as_bytes());
        hasher.update(secret);
        let digest = Digest::from_bytes(*hasher.finalize().as_bytes());
        hasher.zeroize();
        digest
    }

    /// A key for the refresh tokens of one family: it takes this root key *and* the family's salt
    /// to derive it, so that neither alone forges a token.
    pub fn refresh_key(&self, salt: &[u8; 32]) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(*blake3::keyed_hash(&self.refresh, salt).as_bytes())
    }

    /// What masks one half of a refresh token: `round` says which, `half` is the other one. It
    /// takes no salt, since the salt is in the family, which only the unmasked token names.
    pub fn refresh_mask(&self, round: u8, half: &[u8; 16]) -> Zeroizing<[u8; 16]> {
        let mut input = Zeroizing::new([round; 17]);
        if let Some(tail) = input.last_chunk_mut() {
            *tail = *half;
        }
        let hash = Zeroizing::new(*blake3::keyed_hash(&self.mask, &input[..]).as_bytes());
        let mut mask = Zeroizing::new([0; 16]);
        if let Some(head) = hash.first_chunk() {
            *mask = *head;
        }
        mask
    }

    /// A key that seals a payload, bound to `secret`: the token itself, or a family's salt.
    pub fn seal_key(&self, secret: &[u8]) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(*blake3::keyed_hash(&self.seal, secret).as_bytes())
    }

    /// A value that tells this key from any other and says nothing of it: the store keeps it to
    /// recognize a wrong keyring.
    pub fn check(&self) -> &[u8; 32] {
        &self.check
    }
}

impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RootKey({})", self.id)
    }
}

/// Root keys in the order they were made. The last one is active: what is issued is issued under
/// it. The others verify what was issued under them until they are retired.
#[derive(Clone)]
pub struct Keyring {
    keys: Vec<RootKey>,
}

impl Keyring {
    /// A keyring with one random root key.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] where the system's random generator fails.
    pub fn generate() -> Result<Self> {
        let mut root = Zeroizing::new([0; 32]);
        random(&mut root[..])?;
        Ok(Self { keys: vec![RootKey::new(1, root)] })
    }

    /// A keyring from keys kept elsewhere, such as a key management service: ids and 32-byte keys,
    /// oldest first; the last one is active.
    ///
    /// # Errors
    /// [`ErrorKind::Keyring`] if there is no key, more than [`KEYS_MAX`], or an id twice.
    pub fn from_keys(keys: impl IntoIterator<Item = (u32, [u8; 32])>) -> Result<Self> {
        let keys: Vec<RootKey> =
            keys.into_iter().map(|(id, key)| RootKey::new(id, Zeroizing::new(key))).collect();
        if keys.is_empty() || keys.len() > KEYS_MAX {
            return Err(keyring_error(format!(
                "a keyring has 1 to {KEYS_MAX} keys, this one {}",
                keys.len()
            )));
        }
        for (at, key) in keys.iter().enumerate() {
            if keys.iter().skip(at + 1).any(|other| other.id == key.id) {
                return Err(keyring_error(format!(
                    "key id {} stands twice in the keyring: give each key its own id",
                    key.id
                )));
            }
        }
        Ok(Self { keys })
    }

    /// Reads a keyring from text: `id:64 hex digits`, separated by commas, oldest first.
    ///
    /// # Errors
    /// [`ErrorKind::Keyring`] for text that is not of this form. The error never repeats it.
    pub fn from_text(text: &str) -> Result<Self> {
        let malformed = || keyring_error("a keyring is `id:64 hex digits` by commas, oldest first");
        let keys = text
            .split(',')
            .map(|part| {
                let (id, key) = part.trim().split_once(':').ok_or_else(malformed)?;
                let id = id.parse().map_err(|_| malformed())?;
                let bytes = HEXLOWER_PERMISSIVE
                    .decode(key.as_bytes())
                    .map(Zeroizing::new)
                    .map_err(|_| malformed())?;
                Ok((id, <[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| malformed())?))
            })
            .collect::<Result<Vec<_>>>()?;
        Self::from_keys(keys)
    }

    /// The text form that [`from_text`](Self::from_text) reads: the keys themselves, a secret.
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::new());
        for key in &self.keys {
            if !text.is_empty() {
                text.push(',');
            }
            text.push_str(&key.id.to_string());
            text.push(':');
            text.push_str(&Zeroizing::new(HEXLOWER.encode(&key.root[..])));
        }
        text
    }

    /// Adds a random root key, which becomes the active one.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`] if the keyring already has [`KEYS_MAX`] keys: retire one first.
    pub fn rotate(&mut self) -> Result<()> {
        let id = self.next_id();
        self.rotate_to(id)
    }

    /// The id after the largest.
    pub(crate) fn next_id(&self) -> u32 {
        self.keys.iter().map(|key| key.id).max().unwrap_or(0).wrapping_add(1)
    }

    /// The same under an id that no other key has.
    pub(crate) fn rotate_to(&mut self, id: u32) -> Result<()> {
        if self.keys.len() >= KEYS_MAX {
            return Err(Error::new(
                ErrorKind::Limit,
                format!(
                    "the keyring would have {} keys, the limit is {KEYS_MAX}: retire one that \
                     nothing in force was issued under",
                    self.keys.len() + 1
                ),
            ));
        }
        let mut root = Zeroizing::new([0; 32]);
        random(&mut root[..])?;
        self.keys.push(RootKey::new(id, root));
        Ok(())
    }

    /// Removes a key: nothing issued under it validates any more.
    ///
    /// # Errors
    /// [`ErrorKind::Keyring`] if there is no such key, or it is the active one.
    pub fn retire(&mut self, id: u32) -> Result<()> {
        if self.active().is_none_or(|active| active.id == id) {
            return Err(keyring_error(format!("key {id} is the active one: rotate first")));
        }
        let before = self.keys.len();
        self.keys.retain(|key| key.id != id);
        if self.keys.len() == before {
            return Err(keyring_error(format!("there is no key {id} in the keyring")));
        }
        Ok(())
    }

    /// All keys, the active one first: the order in which a presented token is tried.
    pub fn newest_first(&self) -> impl Iterator<Item = &RootKey> {
        self.keys.iter().rev()
    }

    /// The key that issues; a keyring always has one.
    pub fn active(&self) -> Option<&RootKey> {
        self.keys.last()
    }

    /// The key with this id.
    pub fn key(&self, id: u32) -> Option<&RootKey> {
        self.keys.iter().find(|key| key.id == id)
    }

    /// Reads the keyring file of a store directory.
    pub(crate) fn load(disk: &dyn Disk, dir: &Path) -> Result<Self> {
        let path = dir.join(KEYRING_FILE);
        let shown = path.display();
        let file = disk.open(&path, OpenMode::Existing).map_err(|cause| {
            keyring_error(format!(
                "cannot open the keyring {shown}: put it back, or give the keys another way"
            ))
            .with_source(cause)
        })?;
        let bytes = disk::read_small(&*file)
            .map_err(|cause| Error::file("read the keyring", &shown, cause))?;
        let bytes = Zeroizing::new(bytes);
        let damaged =
            || keyring_error(format!("the keyring {shown} is damaged: restore it from a copy"));
        let text = std::str::from_utf8(&bytes).map_err(|_| damaged())?;
        let mut lines = text.lines();
        match lines.next() {
            Some(MAGIC) => {}
            Some(line) if line.starts_with("grantkeep keyring ") => {
                return Err(Error::new(
                    ErrorKind::Format,
                    format!("the keyring {shown} is of a newer format: use a newer version"),
                ));
            }
            _ => return Err(damaged()),
        }
        let keys = lines.next().ok_or_else(damaged)?;
        // As a whole: lines may end in more than one way.
        if text != file_text(keys).as_str() {
            return Err(damaged());
        }
        Self::from_text(keys)
    }

    /// Writes what is to become the keyring file (mode 0600), beside it.
    pub(crate) fn stage(&self, disk: &dyn Disk, dir: &Path) -> Result<()> {
        let text = file_text(&self.to_text());
        disk::stage(disk, dir, KEYRING_FILE, text.as_bytes())
            .map_err(|cause| Error::file("write the keyring in", dir.display(), cause))
    }

    /// Makes what was staged the keyring file.
    ///
    /// # Durability
    /// On success the file is durable; after a crash it has the old content or the new. After an
    /// error nobody knows which, so nothing may be issued that rests on either.
    pub(crate) fn exchange(disk: &dyn Disk, dir: &Path) -> Result<()> {
        disk::exchange(disk, dir, KEYRING_FILE)
            .map_err(|cause| Error::file("replace the keyring in", dir.display(), cause))
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.keys).finish()
    }
}

fn file_text(keys: &str) -> Zeroizing<String> {
    Zeroizing::new(format!("{MAGIC}\n{keys}\n{}\n", checksum(keys)))
}

fn checksum(keys: &str) -> String {
    format!("check {:016x}", xxh3_64(keys.as_bytes()))
}

fn keyring_error(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Keyring, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::OsDisk;

    fn save(keyring: &Keyring, dir: &Path) {
        keyring.stage(&OsDisk, dir).unwrap();
        Keyring::exchange(&OsDisk, dir).unwrap();
    }

    // Goal: a damaged keyring file is refused, never half-believed. Method: save one, flip and
    // cut every byte in turn, load.
    #[test]
    fn every_damaged_byte_of_the_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let mut keyring = Keyring::generate().unwrap();
        keyring.rotate().unwrap();
        save(&keyring, dir.path());
        let path = dir.path().join(KEYRING_FILE);
        let good = std::fs::read(&path).unwrap();
        assert_eq!(Keyring::load(&OsDisk, dir.path()).unwrap().to_text(), keyring.to_text());
        for at in 0..good.len() {
            for damage in 0..3 {
                let mut bytes = good.clone();
                match damage {
                    0 => bytes[at] ^= 1,
                    1 => bytes[at] = 0,
                    _ => bytes.truncate(at),
                }
                std::fs::write(&path, &bytes).unwrap();
                let error = Keyring::load(&OsDisk, dir.path()).unwrap_err();
                assert!(matches!(error.kind(), ErrorKind::Keyring | ErrorKind::Format), "{at}");
            }
        }
    }

    // Goal: a file with other ends of lines is damage like any other. Method: a line end of two
    // bytes after each line in turn, with and without the last one, so that the length is right.
    #[test]
    fn other_line_ends_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        save(&Keyring::generate().unwrap(), dir.path());
        let path = dir.path().join(KEYRING_FILE);
        let good = std::fs::read_to_string(&path).unwrap();
        let ends: Vec<usize> = good.match_indices('\n').map(|(at, _)| at).collect();
        for at in ends {
            let mut text = good.clone();
            text.insert(at, '\r');
            for text in [text.as_str(), text.trim_end_matches('\n')] {
                std::fs::write(&path, text).unwrap();
                let error = Keyring::load(&OsDisk, dir.path()).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Keyring, "{at}");
            }
        }
    }

    // Goal: rotation and retirement keep exactly the keys they say. Method: rotate, retire, look.
    #[test]
    fn rotation_adds_the_active_key_and_retirement_removes_one() {
        let mut keyring = Keyring::generate().unwrap();
        keyring.rotate().unwrap();
        assert_eq!(keyring.active().map(RootKey::id), Some(2));
        assert_eq!(keyring.retire(2).unwrap_err().kind(), ErrorKind::Keyring);
        keyring.retire(1).unwrap();
        assert!(keyring.key(1).is_none());
        assert_eq!(keyring.retire(1).unwrap_err().kind(), ErrorKind::Keyring);
    }
}

//! The people of the server: names and passwords.
//!
//! A password is kept as an Argon2id hash. Verifying one takes 19 MiB and some tens of
//! milliseconds, so it is done on a few threads that may block, and no more wait for them than
//! [`WAITING_MAX`]; whoever comes then is told to come again.
//!
//! A name that nobody has takes as long as one that somebody has: its password is held against the
//! hash of the next name, and what comes of that is thrown away. So it costs what the hashes of
//! this server cost, whatever their parameters, and the same each time.

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, Params, PasswordHasher, PasswordVerifier};
use data_encoding::BASE32_NOPAD;
use futures_util::future::BoxFuture;
use grantkeep_axum::Rejection;
use grantkeep_grants::OAuthError;
use parking_lot::RwLock;
use ring::rand::{SecureRandom as _, SystemRandom};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::sync::Arc;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

/// Passwords that are verified at the same time.
pub const VERIFYING_MAX: usize = 2;
/// A hash takes at most so much memory, in KiB: 128 MiB, as that of a client's secret.
pub const HASH_KIB_MAX: u32 = 128 << 10;
/// A hash takes at most so many passes over it.
pub const HASH_PASSES_MAX: u32 = 16;
/// Passwords that wait to be verified.
pub const WAITING_MAX: usize = 64;

/// Who has which password. A server that has its own people implements this.
pub trait Users: Send + Sync + 'static {
    /// The subject of this name and password, if there is one; what is refused is told as it is.
    fn verify(
        &self,
        name: String,
        password: Zeroizing<String>,
    ) -> BoxFuture<'static, Result<Option<String>, Rejection>>;

    /// Whether there is this subject still: the sessions of one that is gone are over.
    fn is_known(&self, subject: &str) -> bool;

    /// Whether this subject may see the pages of operators.
    fn is_operator(&self, subject: &str) -> bool;
}

/// People in memory, by name: those of a demonstration, or of a file that was read.
pub struct KnownUsers {
    users: RwLock<BTreeMap<String, User>>,
    /// What a name is held against while there is nobody.
    nobody: Arc<str>,
    verifying: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

#[derive(Clone)]
struct User {
    hash: Arc<str>,
    operator: bool,
}

impl fmt::Debug for KnownUsers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KnownUsers")
            .field("users", &self.users.read().len())
            .finish_non_exhaustive()
    }
}

/// What is wrong with a password, or with a hash of one.
#[derive(Debug)]
pub struct PasswordError(String);

impl fmt::Display for PasswordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for PasswordError {}

/// The Argon2id hash of a password, as a PHC string.
///
/// # Errors
/// Where the operating system has no randomness.
pub fn hash(password: &str) -> Result<String, PasswordError> {
    let hashed: Result<argon2::password_hash::phc::PasswordHash, _> =
        Argon2::default().hash_password(password.as_bytes());
    hashed.map(|hash| hash.to_string()).map_err(|cause| PasswordError(cause.to_string()))
}

/// A password of 120 random bits, as 24 characters that are easily typed.
///
/// # Errors
/// Where the operating system has no randomness.
pub fn random_password() -> Result<String, PasswordError> {
    let mut random = [0; 15];
    let filled = SystemRandom::new().fill(&mut random);
    filled.map_err(|_| PasswordError("the operating system has no randomness".to_owned()))?;
    Ok(BASE32_NOPAD.encode(&random).to_lowercase())
}

impl KnownUsers {
    /// Nobody yet.
    ///
    /// # Errors
    /// As [`hash`].
    pub fn new() -> Result<Self, PasswordError> {
        Ok(Self {
            users: RwLock::default(),
            nobody: hash("")?.into(),
            verifying: Arc::new(Semaphore::new(VERIFYING_MAX)),
            waiting: Arc::new(Semaphore::new(VERIFYING_MAX + WAITING_MAX)),
        })
    }

    /// Adds somebody, or gives them another password.
    ///
    /// # Errors
    /// For a hash that is no Argon2 hash, or takes more than [`HASH_KIB_MAX`] or
    /// [`HASH_PASSES_MAX`].
    pub fn add(&self, name: &str, hash: &str, operator: bool) -> Result<(), PasswordError> {
        let read = PasswordHash::new(hash).map_err(|cause| {
            PasswordError(format!("the password hash of {name:?} is none of Argon2: {cause}"))
        })?;
        if !read.algorithm.as_str().starts_with("argon2") {
            return Err(PasswordError(format!("the password hash of {name:?} is none of Argon2")));
        }
        let wrong = |what: String| PasswordError(format!("the password hash of {name:?} {what}"));
        let takes = Params::try_from(&read).map_err(|cause| wrong(cause.to_string()))?;
        let (kib, passes) = (takes.m_cost(), takes.t_cost());
        if kib > HASH_KIB_MAX || passes > HASH_PASSES_MAX {
            return Err(wrong(format!(
                "takes {kib} KiB and {passes} passes each time, and {HASH_KIB_MAX} and \
                 {HASH_PASSES_MAX} are the most: make it with less"
            )));
        }
        let user = User { hash: hash.into(), operator };
        self.users.write().insert(name.to_owned(), user);
        Ok(())
    }
}

impl KnownUsers {
    /// Whoever has this name, and the hash that a password for it is held against.
    fn held_against(&self, name: &str) -> (Option<User>, Arc<str>) {
        let users = self.users.read();
        let held = users.get(name).cloned();
        let from = (Bound::Included(name), Bound::Unbounded);
        let next = users.range::<str, _>(from).chain(users.iter()).next();
        let hash = next.map_or_else(|| Arc::clone(&self.nobody), |(_, user)| user.hash.clone());
        (held, hash)
    }
}

impl Users for KnownUsers {
    fn verify(
        &self,
        name: String,
        password: Zeroizing<String>,
    ) -> BoxFuture<'static, Result<Option<String>, Rejection>> {
        let (held, hash) = self.held_against(&name);
        let (verifying, waiting) = (Arc::clone(&self.verifying), Arc::clone(&self.waiting));
        Box::pin(async move {
            let busy = || {
                let told = Rejection::new(OAuthError::TemporarilyUnavailable);
                told.because("too many passwords are being verified: come again")
            };
            let _in_line = waiting.try_acquire_owned().map_err(|_| busy())?;
            let permit = verifying.acquire_owned().await.map_err(|_| busy())?;
            let verify = move || {
                let _permit = permit;
                let hash = PasswordHash::new(&hash).ok()?;
                Argon2::default().verify_password(password.as_bytes(), &hash).ok()
            };
            let verified = tokio::task::spawn_blocking(verify).await.map_err(|_| busy())?;
            Ok((verified.is_some() && held.is_some()).then_some(name))
        })
    }

    fn is_known(&self, subject: &str) -> bool {
        self.users.read().contains_key(subject)
    }

    fn is_operator(&self, subject: &str) -> bool {
        self.users.read().get(subject).is_some_and(|user| user.operator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: a password opens its own name alone, and a name that nobody has nothing, the empty
    // password of "nobody" included. Method: each pair.
    #[tokio::test]
    async fn passwords_are_verified() {
        let users = KnownUsers::new().unwrap();
        users.add("alice", &hash("wonderland").unwrap(), true).unwrap();
        assert!(users.add("bob", "$2b$12$none", false).is_err());
        let tried = async |name: &str, password: &str| {
            let password = Zeroizing::new(password.to_owned());
            users.verify(name.to_owned(), password).await.unwrap()
        };
        assert_eq!(tried("alice", "wonderland").await.as_deref(), Some("alice"));
        for (name, password) in [("alice", "Wonderland"), ("alice", ""), ("nobody", ""), ("", "")] {
            assert_eq!(tried(name, password).await, None, "{name}");
        }
        assert!(users.is_operator("alice") && !users.is_operator("bob"));
    }

    // Goal: a name that nobody has is held against a hash as dear as those of the people here, and
    // a hash that is dearer than any may be is refused, naming the bounds. Method: people whose
    // hashes differ in cost, names around them, and hashes over each bound.
    #[test]
    fn a_name_that_nobody_has_costs_what_somebodys_does() {
        let users = KnownUsers::new().unwrap();
        assert!(users.held_against("anybody").1 == users.nobody);
        let dear = hash("").unwrap().replace("m=19456,t=2", "m=65536,t=3");
        users.add("bob", &dear, false).unwrap();
        for name in ["", "alice", "bob", "carol"] {
            let (held, against) = users.held_against(name);
            assert_eq!((held.is_some(), &*against), (name == "bob", dear.as_str()), "{name}");
        }
        for costs in ["m=4194304,t=2", "m=19456,t=17"] {
            let over = hash("").unwrap().replace("m=19456,t=2", costs);
            let said = users.add("eve", &over, false).unwrap_err().to_string();
            assert!(said.contains("131072 and 16 are the most"), "{said}");
        }
    }
}

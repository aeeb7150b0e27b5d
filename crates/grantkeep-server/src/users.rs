//! The people of the server: names and passwords.
//!
//! A password is kept as an Argon2id hash. Verifying one takes 19 MiB and some tens of
//! milliseconds, so it is done on a few threads that may block, and no more wait for them than
//! [`WAITING_MAX`]; whoever comes then is told to come again. A new
//! password is hashed on the same threads, kept for good, and then the one that counts.
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
use parking_lot::{Mutex, RwLock};
use ring::rand::{SecureRandom as _, SystemRandom};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
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
/// No new password is shorter, in characters: NIST SP 800-63B-4 section 3.1.1.2, for a password
/// that is asked for alone.
pub const PASSWORD_CHARS_MIN: usize = 15;
/// No new password is longer, in characters.
pub const PASSWORD_CHARS_MAX: usize = 1_024;
/// One address leaves places for others.
const _: () = assert!(grantkeep_axum::PASSWORDS_AT_ONCE * 4 <= WAITING_MAX);

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

    /// Whether [`Users::change_password`] changes any: there is a page for it only where it does.
    fn changes_passwords(&self) -> bool {
        false
    }

    /// Gives somebody who is signed in another password, if the present one is right. The new one
    /// is between [`PASSWORD_CHARS_MIN`] and [`PASSWORD_CHARS_MAX`] characters long. By default
    /// nothing is changed, and what is refused is told as it is.
    ///
    /// # Durability
    /// The new password must be the one that counts, also after a crash, once this has answered
    /// [`PasswordChange::Changed`].
    fn change_password(
        &self,
        subject: String,
        present: Zeroizing<String>,
        new: Zeroizing<String>,
    ) -> BoxFuture<'static, Result<PasswordChange, Rejection>> {
        drop((subject, present, new));
        Box::pin(async { Err(refused("passwords are not changed here")) })
    }
}

/// What came of changing a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordChange {
    /// The new one counts from now on.
    Changed,
    /// The present one was wrong: nothing was changed.
    Wrong,
}

/// Keeps the hash of somebody's new password, by their name.
type Keep = dyn Fn(&str, &str) -> io::Result<()> + Send + Sync;

/// People in memory, by name: those of a demonstration, or of a file that was read.
pub struct KnownUsers {
    users: Arc<RwLock<BTreeMap<String, User>>>,
    /// What a name is held against while there is nobody.
    nobody: Arc<str>,
    threads: Threads,
    keep: Option<Arc<Keep>>,
    /// Held while a new hash is kept and put into `users`, so that both end with the same one.
    changing: Arc<Mutex<()>>,
}

/// The threads that hash, and those who wait for one.
#[derive(Clone)]
struct Threads {
    verifying: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

impl Threads {
    /// Runs this on one of them.
    async fn run<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Rejection> {
        let busy = || refused("too many passwords are being verified: come again");
        let in_line = self.waiting.try_acquire_owned().map_err(|_| busy())?;
        let permit = self.verifying.acquire_owned().await.map_err(|_| busy())?;
        let work = move || {
            // Held for as long as it takes, whether or not somebody still waits for it.
            let _held = (permit, in_line);
            work()
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| busy())
    }
}

fn refused(why: &'static str) -> Rejection {
    Rejection::new(OAuthError::TemporarilyUnavailable).because(why)
}

/// Whether a password is that of a hash.
fn is_of(hash: &str, password: &str) -> bool {
    let Ok(hash) = PasswordHash::new(hash) else { return false };
    Argon2::default().verify_password(password.as_bytes(), &hash).is_ok()
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
            users: Arc::default(),
            nobody: hash("")?.into(),
            threads: Threads {
                verifying: Arc::new(Semaphore::new(VERIFYING_MAX)),
                waiting: Arc::new(Semaphore::new(VERIFYING_MAX + WAITING_MAX)),
            },
            keep: None,
            changing: Arc::default(),
        })
    }

    /// Has people change their passwords. `keep` is called with a name and the hash of its new
    /// password, on a thread that may block, and returns once that is kept for as long as the
    /// people are: where it fails nothing is changed.
    #[must_use]
    pub fn keeping(
        self,
        keep: impl Fn(&str, &str) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self { keep: Some(Arc::new(keep)), ..self }
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
        let threads = self.threads.clone();
        Box::pin(async move {
            let right = threads.run(move || is_of(&hash, &password)).await?;
            Ok((right && held.is_some()).then_some(name))
        })
    }

    fn is_known(&self, subject: &str) -> bool {
        self.users.read().contains_key(subject)
    }

    fn is_operator(&self, subject: &str) -> bool {
        self.users.read().get(subject).is_some_and(|user| user.operator)
    }

    fn changes_passwords(&self) -> bool {
        self.keep.is_some()
    }

    fn change_password(
        &self,
        subject: String,
        present: Zeroizing<String>,
        new: Zeroizing<String>,
    ) -> BoxFuture<'static, Result<PasswordChange, Rejection>> {
        let Some(keep) = self.keep.clone() else {
            return Box::pin(async { Err(refused("passwords are not changed here")) });
        };
        let (users, changing) = (Arc::clone(&self.users), Arc::clone(&self.changing));
        let threads = self.threads.clone();
        let change = move || {
            let _one = changing.lock();
            let held = users.read().get(&subject).cloned();
            let Some(held) = held.filter(|held| is_of(&held.hash, &present)) else {
                return Ok(PasswordChange::Wrong);
            };
            let hash = hash(&new).map_err(|cause| cause.to_string())?;
            keep(&subject, &hash).map_err(|cause| cause.to_string())?;
            users.write().insert(subject, User { hash: hash.into(), ..held });
            Ok::<_, String>(PasswordChange::Changed)
        };
        Box::pin(async move {
            threads.run(change).await?.map_err(|cause| {
                tracing::error!(target: "grantkeep", "a password could not be kept: {cause}");
                refused("the server could not keep the new password: the one you had still counts")
            })
        })
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
        assert!(!users.changes_passwords());
    }

    // Goal: a password is changed by whoever knows the present one, once it is kept, and nothing is
    // changed where it cannot be. Method: a wrong one, a keeper that fails, and one that keeps.
    #[tokio::test]
    async fn a_password_is_changed_once_it_is_kept() {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let (keeps, full) = (Arc::clone(&kept), Arc::new(Mutex::new(true)));
        let is_full = Arc::clone(&full);
        let users = KnownUsers::new().unwrap().keeping(move |name, hash| {
            if *is_full.lock() {
                return Err(io::ErrorKind::StorageFull.into());
            }
            keeps.lock().push((name.to_owned(), hash.to_owned()));
            Ok(())
        });
        users.add("alice", &hash("wonderland").unwrap(), true).unwrap();
        assert!(users.changes_passwords());
        let text = |text: &str| Zeroizing::new(text.to_owned());
        let changed = async |name: &str, present: &str| {
            users.change_password(name.to_owned(), text(present), text("looking-glass")).await
        };
        assert!(changed("alice", "wonderland").await.is_err());
        assert_eq!(changed("alice", "wrong").await.unwrap(), PasswordChange::Wrong);
        *full.lock() = false;
        assert_eq!(changed("nobody", "").await.unwrap(), PasswordChange::Wrong);
        assert!(kept.lock().is_empty());
        let opens = async |password: &str| {
            users.verify("alice".to_owned(), text(password)).await.unwrap().is_some()
        };
        assert!(opens("wonderland").await && !opens("looking-glass").await);
        assert_eq!(changed("alice", "wonderland").await.unwrap(), PasswordChange::Changed);
        assert!(!opens("wonderland").await && opens("looking-glass").await);
        assert!(users.is_operator("alice"));
        let kept = kept.lock();
        let [(name, hash)] = kept.as_slice() else { panic!("kept once") };
        assert!(name == "alice" && is_of(hash, "looking-glass"));
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

//! The one error type of the store.

use std::borrow::Cow;
use std::fmt;

type Source = Box<dyn std::error::Error + Send + Sync + 'static>;

/// The result of every fallible operation of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, as a category that a program can act on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The caller's input is outside a documented limit (`docs/limits.md`). Nothing was changed.
    Limit,
    /// A lifetime is zero, in the past, or over a maximum. Nothing was changed.
    Lifetime,
    /// What was named is not there: the store directory, the parent it should be created in, a
    /// file, a policy.
    Missing,
    /// The store directory is there, and what is in it is not a store.
    NotAStore,
    /// The store was written by another version of this crate, or its table by one of redb. Nothing
    /// of it was changed.
    Format,
    /// The store is open already, in another process or in this one.
    Locked,
    /// The keyring is missing, unreadable, or belongs to another store.
    Keyring,
    /// Bytes on disk are not what was written. Nothing of them was believed.
    Corrupt,
    /// The disk is full: issuing is refused, while revocation and sweeping go on.
    Full,
    /// The clock leapt further than is believed without being told.
    Clock,
    /// The operating system refuses access to a file.
    Permission,
    /// The outcome is not known: the change may or may not have happened.
    Unknown,
    /// The store does not take work (closed, or poisoned by an earlier failure); the change did
    /// not happen.
    Unavailable,
    /// Another failure of the operating system; the change did not happen.
    Io,
    /// The owner of what was to be issued is disabled. Nothing was changed.
    Disabled,
    /// The client is registered, and not for what it asks for. Nothing was changed.
    Unauthorized,
    /// The store is open for reading only
    /// ([`Options::read_only`](crate::Options::read_only)). Nothing was changed.
    ReadOnly,
}

/// An error of the store: a kind, a message that names the subject, the limit and the way out,
/// and the cause where there is one.
///
/// One word wide, so that `Result`s stay small on the hot path. No message ever holds a token.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: Cow<'static, str>,
    source: Option<Source>,
}

impl Error {
    /// An error of `kind` with a message in lower case, without a final stop.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner { kind, message: message.into(), source: None }))
    }

    /// The same error with the cause that [`std::error::Error::source`] answers.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Source>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The category of this error.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// For whoever uses a store after its close.
    pub(crate) fn closed() -> Self {
        Self::new(ErrorKind::Unavailable, "the store is closed: open it again")
    }

    /// For whoever wants to change a store that is only looked at.
    pub(crate) fn read_only() -> Self {
        Self::new(
            ErrorKind::ReadOnly,
            "the store is open for reading only: to change it, close it and open it without \
             `read_only`",
        )
    }

    pub(crate) fn limit(subject: &str, size: usize, max: usize, unit: &str) -> Self {
        Self::new(
            ErrorKind::Limit,
            format!("{subject} is {size} {unit}, more than the limit of {max}: shorten it"),
        )
    }

    /// Something stored in another format than the one that this version reads.
    pub(crate) fn format(subject: &str, found: u64, read: u64) -> Self {
        let way_out = if found > read {
            "upgrade"
        } else {
            "it was written by an earlier version: open it with that one, or begin a new store"
        };
        Self::new(
            ErrorKind::Format,
            format!("{subject} is of format {found}, this version reads {read}: {way_out}"),
        )
    }

    pub(crate) fn corrupt(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Corrupt, message)
    }

    /// A failed operation on a file, with the kind that the operating system's answer means.
    pub(crate) fn file(action: &str, subject: impl fmt::Display, cause: std::io::Error) -> Self {
        let kind = match cause.kind() {
            std::io::ErrorKind::NotFound => ErrorKind::Missing,
            std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
                ErrorKind::Permission
            }
            std::io::ErrorKind::StorageFull
            | std::io::ErrorKind::QuotaExceeded
            | std::io::ErrorKind::FileTooLarge => ErrorKind::Full,
            _ => ErrorKind::Io,
        };
        let way_out = match kind {
            _ if cause.kind() == std::io::ErrorKind::FileTooLarge => {
                ": raise the limit on file sizes (`ulimit -f`)"
            }
            ErrorKind::Missing => ": check the path",
            ErrorKind::Permission => ": give this user read and write access",
            ErrorKind::Full => ": free some space",
            _ => "",
        };
        Self::new(kind, format!("cannot {action} {subject}{way_out}")).with_source(cause)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("message", &self.0.message)
            .field("source", &self.0.source)
            .finish()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

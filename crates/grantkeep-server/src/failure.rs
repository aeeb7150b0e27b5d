//! Why the server does not start, as whoever started it reads it.

use std::error::Error;
use std::fmt;

/// Why the server did not start, or did not stop in order.
#[derive(Debug)]
pub struct Failure(Why);

#[derive(Debug)]
enum Why {
    /// What the server itself says.
    Said { what: String, because: Option<Box<dyn Error + Send + Sync>> },
    /// What the store or the grants say, with their own cause.
    Store(grantkeep::Error),
}

impl Failure {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self(Why::Said { what: what.into(), because: None })
    }

    pub(crate) fn because(self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        match self.0 {
            Why::Said { what, .. } => Self(Why::Said { what, because: Some(cause.into()) }),
            store @ Why::Store(_) => Self(store),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Why::Said { what, .. } => f.write_str(what),
            Why::Store(error) => error.fmt(f),
        }
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0 {
            Why::Said { because, .. } => because.as_deref().map(|cause| cause as _),
            Why::Store(error) => error.source(),
        }
    }
}

impl From<grantkeep::Error> for Failure {
    fn from(error: grantkeep::Error) -> Self {
        Self(Why::Store(error))
    }
}

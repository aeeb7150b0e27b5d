//! Why the server does not start, as whoever started it reads it.

use std::error::Error;
use std::fmt;

/// Why the server did not start, or did not stop in order.
#[derive(Debug)]
pub struct Failure {
    what: String,
    because: Option<Box<dyn Error + Send + Sync>>,
}

impl Failure {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), because: None }
    }

    pub(crate) fn because(self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { because: Some(cause.into()), ..self }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.because.as_deref().map(|cause| cause as _)
    }
}

impl From<grantkeep::Error> for Failure {
    fn from(error: grantkeep::Error) -> Self {
        Self::new(error.to_string()).because(error)
    }
}

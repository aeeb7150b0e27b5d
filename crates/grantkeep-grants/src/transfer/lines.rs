//! Lines of an input, each within a bound and with its number.

use grantkeep::{Error, ErrorKind, Result};
use std::io::{BufRead, Read as _};
use zeroize::{Zeroize as _, Zeroizing};

/// A line of an import has at most this many bytes, its end not counted.
pub const IMPORT_LINE_BYTES_MAX: usize = 64 * 1_024;

/// Reads one line after the other into one buffer.
pub(crate) struct Lines<'r, R> {
    input: &'r mut R,
    /// What it holds may be tokens.
    buffer: Zeroizing<Vec<u8>>,
    number: u64,
}

impl<'r, R: BufRead> Lines<'r, R> {
    pub(crate) fn new(input: &'r mut R) -> Self {
        // It never grows, so no copy is left behind.
        let buffer = Zeroizing::new(Vec::with_capacity(IMPORT_LINE_BYTES_MAX + 2));
        Self { input, buffer, number: 0 }
    }

    /// The number of the last line, the first is 1; and the next line that is not blank.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`] for a line over [`IMPORT_LINE_BYTES_MAX`], [`ErrorKind::Io`] for an
    /// input that cannot be read.
    pub(crate) fn next(&mut self) -> Result<Option<(u64, &[u8])>> {
        loop {
            self.buffer.as_mut_slice().zeroize();
            self.buffer.clear();
            self.number += 1;
            let most = IMPORT_LINE_BYTES_MAX as u64 + 1;
            let read = self.input.by_ref().take(most).read_until(b'\n', &mut self.buffer);
            let read = read.map_err(|cause| {
                let message = format!("line {} of the import cannot be read", self.number);
                Error::new(ErrorKind::Io, message).with_source(cause)
            })?;
            if read == 0 {
                return Ok(None);
            }
            if self.buffer.last() == Some(&b'\n') {
                self.buffer.pop();
            } else if self.buffer.len() > IMPORT_LINE_BYTES_MAX {
                return Err(named(
                    self.number,
                    format!("it has more than {IMPORT_LINE_BYTES_MAX} bytes: shorten it"),
                ));
            }
            if !self.buffer.iter().all(u8::is_ascii_whitespace) {
                break;
            }
        }
        Ok(Some((self.number, self.buffer.as_slice())))
    }
}

/// What is wrong with a line.
pub(crate) fn named(number: u64, what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Limit, format!("line {number} of the import: {what}"))
}

/// An error that a line has led to, named after it.
pub(crate) fn at_line(number: u64, cause: Error) -> Error {
    let message = format!("line {number} of the import: {cause}");
    Error::new(cause.kind(), message).with_source(cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: lines are read with their numbers, blank ones are passed over, and one over the bound
    // is refused, to the byte. Method: lines of each kind, with and without an end.
    #[test]
    fn lines_are_bounded_and_numbered() {
        let longest = "x".repeat(IMPORT_LINE_BYTES_MAX);
        for (text, expected) in [
            (String::new(), vec![]),
            ("\n\r\n  \n".to_owned(), vec![]),
            ("a\n\nb".to_owned(), vec![(1, 1), (3, 1)]),
            (longest.clone(), vec![(1, IMPORT_LINE_BYTES_MAX)]),
            (format!("{longest}\nb\r\n"), vec![(1, IMPORT_LINE_BYTES_MAX), (2, 2)]),
        ] {
            let mut input = text.as_bytes();
            let mut lines = Lines::new(&mut input);
            let mut found = Vec::new();
            while let Some((number, line)) = lines.next().unwrap() {
                found.push((number, line.len()));
            }
            assert_eq!(found, expected);
        }
        for text in [format!("a\n{longest}x"), format!("a\n{longest}x\n")] {
            let mut input = text.as_bytes();
            let mut lines = Lines::new(&mut input);
            assert!(lines.next().unwrap().is_some());
            let error = lines.next().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Limit);
            assert!(error.to_string().starts_with("line 2 of the import: "), "{error}");
        }
    }
}

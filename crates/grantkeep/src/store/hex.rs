//! The text forms of ids: hex digits in lower case.

use crate::error::{Error, ErrorKind, Result};
use data_encoding::HEXLOWER;

/// The text form of an id.
pub(super) fn shown(id: &[u8]) -> String {
    HEXLOWER.encode(id)
}

/// Reads what is shown: two digits for each byte, in lower case, and nothing around them. `what`
/// names the id in the error, which does not repeat the text.
pub(super) fn read<const N: usize>(what: &str, text: &str) -> Result<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() == 2 * N && HEXLOWER.decode_mut(text.as_bytes(), &mut bytes).is_ok() {
        return Ok(bytes);
    }
    Err(Error::new(ErrorKind::Limit, format!("the id of {what} is {} hex digits", 2 * N)))
}

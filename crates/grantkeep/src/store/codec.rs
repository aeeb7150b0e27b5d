//! Values as bytes: a format version, then bincode. The one place that knows the codec.

use crate::backend::VALUE_BYTES_MAX;
use crate::error::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// What decoding may claim: it counts a number as long as it is in memory, so a value at its limit
/// claims more than it has.
const CLAIM_BYTES_MAX: usize = 2 * VALUE_BYTES_MAX;

const CONFIG: bincode::config::Configuration<
    bincode::config::LittleEndian,
    bincode::config::Varint,
    bincode::config::Limit<CLAIM_BYTES_MAX>,
> = bincode::config::standard().with_limit::<CLAIM_BYTES_MAX>();

/// A value of any length that a row may have.
pub(super) fn encode<T: Serialize>(name: &str, format: u8, value: &T) -> Result<Vec<u8>> {
    encode_within(name, format, value, VALUE_BYTES_MAX)
}

/// A value of at most so many bytes, and of at most [`VALUE_BYTES_MAX`].
pub(super) fn encode_within<T: Serialize>(
    name: &str,
    format: u8,
    value: &T,
    bytes_max: usize,
) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(192);
    bytes.push(format);
    let too_long = || {
        Error::new(
            ErrorKind::Limit,
            format!("a {name} does not fit in {bytes_max} bytes: shorten its fields"),
        )
    };
    bincode::serde::encode_into_std_write(value, &mut bytes, CONFIG)
        .map_err(|cause| too_long().with_source(cause))?;
    if bytes.len() > bytes_max.min(VALUE_BYTES_MAX) { Err(too_long()) } else { Ok(bytes) }
}

pub(super) fn decode<T: DeserializeOwned>(name: &str, format: u8, bytes: &[u8]) -> Result<T> {
    let body = body(name, format, bytes)?;
    let (value, used) = bincode::serde::decode_from_slice(body, CONFIG)
        .map_err(|cause| damaged(name).with_source(cause))?;
    if used == body.len() { Ok(value) } else { Err(damaged(name)) }
}

/// Reads the first fields of a value, borrowing its texts, and leaves the rest alone.
pub(super) fn decode_head<'a, T: Deserialize<'a>>(
    name: &str,
    format: u8,
    bytes: &'a [u8],
) -> Result<T> {
    let (value, _) = bincode::serde::borrow_decode_from_slice(body(name, format, bytes)?, CONFIG)
        .map_err(|cause| damaged(name).with_source(cause))?;
    Ok(value)
}

fn body<'a>(name: &str, format: u8, bytes: &'a [u8]) -> Result<&'a [u8]> {
    let (stored, body) = bytes.split_first().ok_or_else(|| damaged(name))?;
    if *stored != format {
        return Err(Error::format(&format!("a stored {name}"), (*stored).into(), format.into()));
    }
    Ok(body)
}

fn damaged(name: &str) -> Error {
    Error::corrupt(format!("a stored {name} does not decode"))
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: a record whose fields have changed since it was written is refused as what it is, not
    // read as another and not taken for damage. Method: a value under each other version.
    #[test]
    fn other_formats_of_a_record_are_refused() {
        let bytes = encode("family", 2, &7_u32).unwrap();
        assert_eq!(decode::<u32>("family", 2, &bytes).unwrap(), 7);
        for format in (0..=u8::MAX).filter(|format| *format != 2) {
            let refused = [
                decode::<u32>("family", format, &bytes).unwrap_err(),
                decode_head::<u32>("family", format, &bytes).unwrap_err(),
            ];
            assert!(refused.iter().all(|error| error.kind() == ErrorKind::Format));
        }
        assert_eq!(decode::<u32>("family", 2, &[]).unwrap_err().kind(), ErrorKind::Corrupt);
    }
}

//! Numbers in 62 letters and digits: text that a double click selects as a whole.

/// The digits in the order of their values.
pub(crate) const DIGITS: &[u8; 62] =
    b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Characters that 32 bytes take: 62^43 is just over 2^256.
pub(crate) const CHARS_OF_32_BYTES: usize = 43;

/// Characters that a CRC32 takes: 62^6 is over 2^32.
pub(crate) const CHARS_OF_U32: usize = 6;

/// The character of a digit; `None` from 62 on.
pub(crate) fn digit(value: u8) -> Option<char> {
    DIGITS.get(usize::from(value)).copied().map(char::from)
}

fn value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'Z' => Some(digit - b'A' + 10),
        b'a'..=b'z' => Some(digit - b'a' + 36),
        _ => None,
    }
}

/// Appends a 256-bit number, most significant digit first, at its fixed width.
pub(crate) fn push_32_bytes(text: &mut String, bytes: &[u8; 32]) {
    let mut limbs = [0_u32; 8];
    for (limb, chunk) in limbs.iter_mut().zip(bytes.as_chunks::<4>().0) {
        *limb = u32::from_be_bytes(*chunk);
    }
    let mut digits = ['0'; CHARS_OF_32_BYTES];
    for place in digits.iter_mut().rev() {
        let mut rest = 0_u64;
        for limb in &mut limbs {
            let dividend = (rest << 32) | u64::from(*limb);
            // The remainder before was under 62, so the quotient fits in 32 bits.
            *limb = u32::try_from(dividend / 62).unwrap_or(u32::MAX);
            rest = dividend % 62;
        }
        *place = u8::try_from(rest).ok().and_then(digit).unwrap_or('0');
    }
    text.extend(digits);
}

/// The number that [`push_32_bytes`] wrote; `None` for anything else.
pub(crate) fn read_32_bytes(text: &str) -> Option<[u8; 32]> {
    if text.len() != CHARS_OF_32_BYTES {
        return None;
    }
    let mut limbs = [0_u32; 8];
    for byte in text.bytes() {
        let mut carry = u64::from(value(byte)?);
        for limb in limbs.iter_mut().rev() {
            let product = u64::from(*limb) * 62 + carry;
            *limb = u32::try_from(product & u64::from(u32::MAX)).unwrap_or(0);
            carry = product >> 32;
        }
        if carry != 0 {
            return None;
        }
    }
    let mut bytes = [0; 32];
    for (chunk, limb) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(limbs) {
        *chunk = limb.to_be_bytes();
    }
    Some(bytes)
}

/// Appends a 32-bit number, most significant digit first, at its fixed width.
pub(crate) fn push_u32(text: &mut String, number: u32) {
    let mut rest = number;
    let mut digits = ['0'; CHARS_OF_U32];
    for place in digits.iter_mut().rev() {
        *place = u8::try_from(rest % 62).ok().and_then(digit).unwrap_or('0');
        rest /= 62;
    }
    text.extend(digits);
}

/// The number that [`push_u32`] wrote; `None` for anything else.
pub(crate) fn read_u32(text: &str) -> Option<u32> {
    if text.len() != CHARS_OF_U32 {
        return None;
    }
    let number =
        text.bytes().try_fold(0_u64, |number, byte| Some(number * 62 + u64::from(value(byte)?)))?;
    u32::try_from(number).ok()
}

/// True if every character is a digit.
pub(crate) fn is_base62(text: &str) -> bool {
    text.bytes().all(|byte| value(byte).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: numbers keep their width and value. Method: fixed vectors at both ends, and a walk of
    // one set bit through all places, there and back.
    #[test]
    fn numbers_round_trip_at_their_width() {
        let encode = |bytes: &[u8; 32]| {
            let mut text = String::new();
            push_32_bytes(&mut text, bytes);
            text
        };
        assert_eq!(encode(&[0; 32]), "0".repeat(43));
        assert_eq!(encode(&[0xff; 32]), "yhjskwdA6OZ1AL1YmHWZWm8LLG7HjnuCA2j5rOw8Xp1");
        for bit in 0..256 {
            let mut bytes = [0; 32];
            bytes[bit / 8] = 1 << (bit % 8);
            assert_eq!(read_32_bytes(&encode(&bytes)), Some(bytes), "bit {bit}");
        }
        assert_eq!(read_32_bytes(&"z".repeat(43)), None, "over 2^256");
        assert_eq!(read_32_bytes(&format!("{}-", "0".repeat(42))), None);
        for (number, text) in [(0, "000000"), (61, "00000z"), (62, "000010"), (u32::MAX, "4gfFC3")]
        {
            let mut written = String::new();
            push_u32(&mut written, number);
            assert_eq!(written, text);
            assert_eq!(read_u32(text), Some(number));
        }
        assert_eq!(read_u32("4gfFC4"), None, "over 2^32");
    }
}

//! Windows of time: every row is filed under the one in which it dies.
//!
//! A lifetime class is a power of two of seconds, and its windows are 1/32 of that, so a class has
//! 17 to 33 live windows and a row outlives its expiry by at most 1/16 of its lifetime (but at
//! least up to a second).

use crate::clock::Timestamp;
use std::time::Duration;

/// The class of the shortest lifetimes: up to 32 s, in windows of one second.
const CLASS_MIN: u8 = 5;
/// The class of the longest: its windows are 2^37 s long.
const CLASS_MAX: u8 = 42;
const WINDOWS_PER_CLASS_LOG2: u8 = 5;
/// A window's number: milliseconds since 1970 over at least 1,000.
const NUMBER_BITS: u32 = 56;

/// One window of one lifetime class. Ordered by class, then by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Window {
    class: u8,
    number: u64,
}

impl Window {
    /// Length of [`Window::to_bytes`].
    pub(crate) const BYTES: usize = 9;

    /// The window for something that is written at `now` and dies at `expires_at`. It never lies
    /// wholly in the past: what is written after its death is filed under the present.
    pub(crate) fn of(expires_at: Timestamp, now: Timestamp) -> Self {
        let lifetime_s = expires_at.since(now).as_secs().saturating_add(1);
        let log2 = u8::try_from(lifetime_s.next_power_of_two().trailing_zeros()).unwrap_or(64);
        let class = log2.clamp(CLASS_MIN, CLASS_MAX);
        Self { class, number: expires_at.max(now).as_millis() / width_ms(class) }
    }

    /// The first moment at which nothing in the window is valid any more.
    pub(crate) fn end(self) -> Timestamp {
        Timestamp::from_millis(width_ms(self.class).saturating_mul(self.number.saturating_add(1)))
    }

    /// The order in which windows are swept: several may end at one moment.
    pub(crate) fn turn(self) -> (Timestamp, Self) {
        (self.end(), self)
    }

    /// The longest lifetime of the window's class.
    pub(crate) fn lifetime(self) -> Duration {
        Duration::from_secs(1 << self.class)
    }

    /// The window in one word, which is never zero.
    pub(crate) fn pack(self) -> u64 {
        u64::from(self.class) << NUMBER_BITS | self.number & ((1 << NUMBER_BITS) - 1)
    }

    /// The window packed into `word`, if it is one.
    pub(crate) fn unpack(word: u64) -> Option<Self> {
        let class = u8::try_from(word >> NUMBER_BITS).ok().filter(|class| *class != 0)?;
        Some(Self { class, number: word & ((1 << NUMBER_BITS) - 1) })
    }

    /// Bytes in the order of the windows.
    pub(crate) fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        if let Some((class, number)) = bytes.split_first_mut() {
            *class = self.class;
            number.copy_from_slice(&self.number.to_be_bytes());
        }
        bytes
    }

    /// The window whose bytes these are; `None` for a class there is not.
    pub(crate) fn from_bytes(bytes: [u8; Self::BYTES]) -> Option<Self> {
        let [class, number @ ..] = bytes;
        (CLASS_MIN..=CLASS_MAX)
            .contains(&class)
            .then_some(Self { class, number: u64::from_be_bytes(number) })
    }
}

fn width_ms(class: u8) -> u64 {
    1_000 << (class - WINDOWS_PER_CLASS_LOG2)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: no row's window ends before its expiry, nor later than promised. Method: lifetimes
    // from a millisecond to a century, at even and odd moments.
    #[test]
    fn window_ends_after_the_expiry_and_soon() {
        for now_ms in [0, 1, 999, 1_700_000_000_123] {
            let now = Timestamp::from_millis(now_ms);
            for lifetime_ms in [1, 999, 1_000, 31_999, 32_000, 600_000, 7_776_000_000] {
                let expires_at = now.saturating_add(Duration::from_millis(lifetime_ms));
                let window = Window::of(expires_at, now);
                let late_ms = window.end().since(expires_at).as_millis();
                assert!(window.end() > expires_at);
                assert!(late_ms <= u128::from(1_000.max(lifetime_ms / 16 + 63)), "{lifetime_ms}");
                assert_eq!(Window::from_bytes(window.to_bytes()), Some(window));
            }
        }
    }

    // Goal: what is written after its death is not filed where nobody sweeps. Method: an expiry
    // a year ago.
    #[test]
    fn past_expiry_is_filed_under_the_present() {
        let now = Timestamp::from_millis(1_700_000_000_000);
        let window = Window::of(now.saturating_sub(Duration::from_secs(31_536_000)), now);
        assert!(window.end() > now && window.end().since(now) <= Duration::from_secs(1));
    }
}

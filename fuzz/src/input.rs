//! How input becomes choices: each takes a few bytes from the front, so that a changed byte changes
//! one choice, and what is cut off at the end leaves the choices before it as they were.

/// The rest of an input. At its end every byte is zero.
#[derive(Debug, Clone)]
pub(crate) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All that is left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    /// The next bytes, fewer at the end.
    pub(crate) fn bytes(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or(0)
    }

    pub(crate) fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    pub(crate) fn short(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    pub(crate) fn word(&mut self) -> u64 {
        u64::from_le_bytes(std::array::from_fn(|_| self.byte()))
    }

    /// A number below `bound`; zero where that is zero.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let drawn = match bound {
            0 | 1 => 0,
            2..=256 => usize::from(self.byte()),
            257..=65_536 => usize::from(self.short()),
            _ => usize::from(self.short()) << 16 | usize::from(self.short()),
        };
        drawn % bound.max(1)
    }

    /// A number of any order of magnitude from 1 to `most`.
    pub(crate) fn span(&mut self, most: u64) -> u64 {
        let (bits, part) = (u32::from(self.byte()) % 64, u64::from(self.byte()));
        let span = (1_u64 << bits) + ((1_u64 << bits) >> 8) * part;
        1 + (span - 1) % most
    }

    /// A number in place of `present`: near it, at an edge, or any.
    pub(crate) fn number(&mut self, present: u64) -> u64 {
        match self.byte() % 8 {
            0 => present.wrapping_add(1 + u64::from(self.byte())),
            1 => present.wrapping_sub(1 + u64::from(self.byte())),
            2 => present ^ 1 << (self.byte() % 64),
            3 => u64::MAX - u64::from(self.byte()),
            4 => u64::from(self.byte()),
            5 => u64::from(self.short()),
            6 => 1 << (self.byte() % 64),
            _ => self.word(),
        }
    }
}

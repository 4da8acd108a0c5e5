//! A cursor over the bytes of a message: it reads numbers, texts and blocks, and never reads past the end.

/// Maximum nesting depth of types: a recursive type could otherwise nest forever.
const DEEPEST: usize = 128;

/// Maximum number of array and map items per message that take no bytes, such as nulls.
const EMPTY_ITEMS: usize = 1024;

/// The unread rest of a message.
pub(super) struct Cursor<'m> {
    octets: &'m [u8],
    /// The item budget: about as many as there are bytes, so that a short message can't exhaust memory.
    items: usize,
    depth: usize,
}

impl<'m> Cursor<'m> {
    pub(super) fn new(octets: &'m [u8]) -> Self {
        Self { octets, items: octets.len() + EMPTY_ITEMS, depth: 0 }
    }

    /// The number of unread bytes.
    pub(super) fn left(&self) -> usize {
        self.octets.len()
    }

    #[inline]
    pub(super) fn take(&mut self, size: usize) -> Result<&'m [u8], String> {
        let (taken, rest) = self.octets.split_at_checked(size).ok_or_else(ends)?;
        self.octets = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let (taken, rest) = self.octets.split_first_chunk().ok_or_else(ends)?;
        self.octets = rest;
        Ok(*taken)
    }

    /// An int or a long: zigzag encoded, seven bits per byte, lowest first.
    #[inline]
    pub(super) fn long(&mut self) -> Result<i64, String> {
        let mut bits = 0_u64;
        for (i, &octet) in self.octets.iter().take(10).enumerate() {
            // Only one bit of the tenth byte fits.
            if i == 9 && octet > 1 {
                break;
            }
            bits |= u64::from(octet & 0x7f) << (7 * i);
            if octet < 0x80 {
                self.octets = self.octets.get(i + 1..).unwrap_or_default();
                return Ok((bits >> 1).cast_signed() ^ -(bits & 1).cast_signed());
            }
        }
        Err(if self.octets.len() < 10 { ends() } else { "a number is longer than 64 bits".into() })
    }

    pub(super) fn int(&mut self) -> Result<i32, String> {
        let v = self.long()?;
        i32::try_from(v).map_err(|_| format!("{v} does not fit an int (32 bits, signed)"))
    }

    /// Bytes, prefixed by their number.
    #[inline]
    pub(super) fn bytes(&mut self) -> Result<&'m [u8], String> {
        let size = self.long()?;
        self.take(usize::try_from(size).map_err(|_| format!("a length of {size} octets"))?)
    }

    #[inline]
    pub(super) fn text(&mut self) -> Result<&'m str, String> {
        std::str::from_utf8(self.bytes()?).map_err(|_| "a string is not UTF-8 text".into())
    }

    /// The number of items in the next block of an array or map, or `None` at its end.
    pub(super) fn block(&mut self) -> Result<Option<usize>, String> {
        let mut count = self.long()?;
        if count < 0 {
            // The block's length in bytes only matters to readers that skip it.
            self.long()?;
            count = count.checked_neg().ok_or_else(too_many)?;
        }
        let count = usize::try_from(count).map_err(|_| too_many())?;
        self.items = self.items.checked_sub(count).ok_or_else(too_many)?;
        Ok((count > 0).then_some(count))
    }

    /// Enters a nested type.
    pub(super) fn enter(&mut self) -> Result<(), String> {
        self.depth += 1;
        if self.depth > DEEPEST { Err(format!("types are nested more than {DEEPEST} deep")) } else { Ok(()) }
    }

    /// Leaves a nested type.
    pub(super) fn leave(&mut self) {
        self.depth -= 1;
    }
}

#[cold]
fn ends() -> String {
    "the message ends within a value".into()
}

#[cold]
fn too_many() -> String {
    "an array or map has more items than the message has octets".into()
}

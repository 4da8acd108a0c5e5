//! The memory that values own outside their table: strings, lists, boxes. It is estimated from the encoded size of a few of them.

use serde::Serialize;

use super::codec;
use crate::error::Error;

/// An estimate of the bytes that each of many values of one type owns outside its own slot.
#[derive(Clone, Copy, Debug)]
pub struct Weight {
    /// Whether an entry owns anything.
    owns: bool,
    mean: f32,
    samples: u32,
}

impl Weight {
    /// An estimate for entries of these types.
    pub(super) fn of<K, V>() -> Self {
        Self { owns: std::mem::needs_drop::<K>() || std::mem::needs_drop::<V>(), mean: 0.0, samples: 0 }
    }

    /// Whether sampling an entry is worthwhile.
    pub(super) fn wants_sample(&self) -> bool {
        self.owns
    }

    /// Where to sample: a different place each time.
    pub(super) fn place(&self) -> usize {
        (self.samples as usize).wrapping_mul(0x9e37_79b9)
    }

    /// Adds a sample of `encoded` bytes. An entry takes more in memory: pointers, spare capacity, allocator rounding.
    pub(super) fn sample(&mut self, encoded: usize) {
        let bytes = 2.0 * encoded as f32 + 32.0;
        self.samples = self.samples.wrapping_add(1);
        let part = 1.0 / (self.samples.min(256) as f32);
        self.mean += (bytes - self.mean) * part;
    }

    /// An estimate for values of one type.
    #[must_use]
    pub fn of_values<V>() -> Self {
        Self::of::<(), V>()
    }

    /// Adds a value to the sample.
    ///
    /// # Errors
    /// The value can't be encoded.
    pub fn measure<V: Serialize>(&mut self, value: &V) -> Result<(), Error> {
        if self.owns {
            let mut encoded = Vec::new();
            codec::encode(value, &mut encoded)?;
            self.sample(encoded.len());
        }
        Ok(())
    }

    /// Estimated bytes per value.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.mean as usize
    }
}

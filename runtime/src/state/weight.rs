//! What values own beside their place in a table: text, lists, boxes. It is estimated, from what a few of them come to when encoded.

use serde::Serialize;

use super::codec;
use crate::error::Error;

/// An estimate of the bytes that each of many values of a type owns outside its own place.
#[derive(Clone, Copy, Debug)]
pub struct Weight {
    /// Does an entry own anything?
    owns: bool,
    mean: f32,
    samples: u32,
}

impl Weight {
    /// Of entries of these types.
    pub(super) fn of<K, V>() -> Self {
        Self { owns: std::mem::needs_drop::<K>() || std::mem::needs_drop::<V>(), mean: 0.0, samples: 0 }
    }

    /// Is it worth while to look at an entry?
    pub(super) fn wants_sample(&self) -> bool {
        self.owns
    }

    /// Where to look: somewhere else each time.
    pub(super) fn place(&self) -> usize {
        (self.samples as usize).wrapping_mul(0x9e37_79b9)
    }

    /// An entry came to this many bytes, encoded. In memory it takes more: pointers, capacity, what the allocator rounds up.
    pub(super) fn sample(&mut self, encoded: usize) {
        let bytes = 2.0 * encoded as f32 + 32.0;
        self.samples = self.samples.wrapping_add(1);
        let part = 1.0 / (self.samples.min(256) as f32);
        self.mean += (bytes - self.mean) * part;
    }

    /// Of values of one type.
    #[must_use]
    pub fn of_values<V>() -> Self {
        Self::of::<(), V>()
    }

    /// Looks at a value.
    ///
    /// # Errors
    /// It can't be kept in state.
    pub fn measure<V: Serialize>(&mut self, value: &V) -> Result<(), Error> {
        if self.owns {
            let mut encoded = Vec::new();
            codec::encode(value, &mut encoded)?;
            self.sample(encoded.len());
        }
        Ok(())
    }

    /// Bytes per value.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.mean as usize
    }
}

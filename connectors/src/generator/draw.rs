//! Deterministic randomness: the draws of field `f` in row `i` depend only on the seed, `i` and `f`.

/// The increment of splitmix64.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// The finalizer of splitmix64: every bit of the result depends on every bit of `z`.
#[must_use]
#[inline]
pub fn mix(z: u64) -> u64 {
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A sequence of draws.
#[derive(Clone, Debug)]
pub(super) struct Draw(u64);

impl Draw {
    pub(super) fn new(seed: u64, row: u64, field: u64) -> Self {
        Self(mix(seed ^ mix(row.wrapping_mul(STEP).wrapping_add(field + 1))))
    }

    /// 64 random bits.
    #[inline]
    pub(super) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// A number in `0.0..1.0`.
    #[inline]
    pub(super) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A number in `0..n`, or any 64 bits if `n` is 0.
    #[inline]
    pub(super) fn below(&mut self, n: u64) -> u64 {
        let bits = self.bits();
        if n == 0 { bits } else { ((u128::from(bits) * u128::from(n)) >> 64) as u64 }
    }
}

//! The Zipf distribution in constant time and memory, by rejection-inversion (W. Hörmann and G. Derflinger, 1996).
//!
//! It samples from a continuous function that bounds the density from above, and rejects where the bound is too
//! loose: less than two draws on average.

use super::draw::Draw;

#[derive(Clone, Debug)]
pub(super) struct Zipf {
    n: f64,
    exponent: f64,
    /// The integral of the bounding function at 3/2, minus the probability mass of 1.
    first: f64,
    /// The integral at `n + 1/2`.
    last: f64,
    /// Up to this distance, a sample is accepted without evaluating the density.
    sure: f64,
}

impl Zipf {
    pub(super) fn new(n: u64, exponent: f64) -> Self {
        let mut zipf = Self { n: n as f64, exponent, first: 0.0, last: 0.0, sure: 0.0 };
        zipf.first = zipf.integral(1.5) - 1.0;
        zipf.last = zipf.integral(zipf.n + 0.5);
        zipf.sure = 2.0 - zipf.inverse(zipf.integral(2.5) - zipf.density(2.0));
        zipf
    }

    pub(super) fn sample(&self, draw: &mut Draw) -> u64 {
        loop {
            let u = self.last + draw.unit() * (self.first - self.last);
            let x = self.inverse(u);
            let k = (x + 0.5).floor().clamp(1.0, self.n);
            if k - x <= self.sure || u >= self.integral(k + 0.5) - self.density(k) {
                return k as u64;
            }
        }
    }

    fn density(&self, x: f64) -> f64 {
        (-self.exponent * x.ln()).exp()
    }

    fn integral(&self, x: f64) -> f64 {
        let log = x.ln();
        expm1_over((1.0 - self.exponent) * log) * log
    }

    fn inverse(&self, x: f64) -> f64 {
        // Rounding may lead below -1, where the logarithm is undefined.
        let t = (x * (1.0 - self.exponent)).max(-1.0);
        (ln1p_over(t) * x).exp()
    }
}

/// `ln(1 + x) / x`, accurate near 0.
fn ln1p_over(x: f64) -> f64 {
    if x.abs() > 1e-8 { x.ln_1p() / x } else { 1.0 - x * (0.5 - x * (1.0 / 3.0 - 0.25 * x)) }
}

/// `(exp(x) - 1) / x`, accurate near 0.
fn expm1_over(x: f64) -> f64 {
    if x.abs() > 1e-8 { x.exp_m1() / x } else { 1.0 + x * 0.5 * (1.0 + x / 3.0 * (1.0 + 0.25 * x)) }
}

//! Sums of doubles that do not depend on the order of their terms: rounding errors are kept (Shewchuk: "Adaptive
//! precision floating-point arithmetic and fast robust geometric predicates", 1997), and the sum is rounded once, at
//! the end.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

/// An exact sum.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Exact {
    /// Non-overlapping doubles, the smallest first, whose exact total is the sum. Money rarely needs more than two.
    parts: SmallVec<[f64; 2]>,
    /// The sum of the non-finite terms, if there were any.
    special: f64,
}

impl Exact {
    /// A sum of one term.
    pub(crate) fn of(term: f64) -> Self {
        let mut sum = Self::default();
        sum.add(term);
        sum
    }

    pub(crate) fn add(&mut self, term: f64) {
        let mut sum = term;
        // Each part becomes the rounding error of adding it.
        self.parts.retain_mut(|part| {
            let (large, small) = if sum.abs() < part.abs() { (*part, sum) } else { (sum, *part) };
            sum = large + small;
            *part = small - (sum - large);
            *part != 0.0
        });
        if sum.is_finite() {
            self.parts.push(sum);
        } else {
            self.parts.clear();
            self.special += sum;
        }
    }

    /// Adds the exact product of two doubles.
    fn add_product(&mut self, a: f64, b: f64) {
        let product = a * b;
        self.add(product);
        if product.is_finite() {
            self.add(a.mul_add(b, -product));
        }
    }

    pub(crate) fn add_square(&mut self, term: f64) {
        self.add_product(term, term);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        other.parts.iter().for_each(|part| self.add(*part));
        self.special += other.special;
    }

    /// The double nearest to the sum.
    pub(crate) fn rounded(&self) -> f64 {
        if self.special != 0.0 {
            return self.special;
        }
        let mut rest = self.parts.iter().rev().copied();
        let Some(mut sum) = rest.next() else { return 0.0 };
        while let Some(part) = rest.next() {
            let before = sum;
            sum = before + part;
            let lost = part - (sum - before);
            if lost != 0.0 {
                // The tie was rounded to even: the remaining parts decide.
                let up = lost * 2.0;
                if rest.next().is_some_and(|next| (next < 0.0) == (lost < 0.0)) && (sum + up) - sum == up {
                    sum += up;
                }
                break;
            }
        }
        sum
    }

    /// The sample variance of `count` values with this sum and the sum of squares `squares`.
    pub(crate) fn variance(&self, squares: &Self, count: u64) -> f64 {
        let n = count as f64;
        let mut numerator = Self { parts: SmallVec::new(), special: self.special + squares.special };
        squares.parts.iter().for_each(|part| numerator.add_product(*part, n));
        for a in &self.parts {
            self.parts.iter().for_each(|b| numerator.add_product(-a, *b));
        }
        let numerator = numerator.rounded();
        // Squares of the smallest doubles underflow to zero.
        if numerator < 0.0 { 0.0 } else { numerator / (n * (n - 1.0)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Multiples of 2^-40 of any magnitude, which sum exactly in 128 bits.
    fn terms() -> impl Strategy<Value = Vec<i64>> {
        proptest::collection::vec(
            prop_oneof![-1_000i64..1_000, any::<i64>().prop_map(|v| v >> 11), any::<i64>().prop_map(|v| v >> 30)],
            0..40,
        )
    }

    fn scaled(term: i64) -> f64 {
        term as f64 / (1u64 << 40) as f64
    }

    fn sum(terms: &[i64]) -> Exact {
        let mut sum = Exact::default();
        terms.iter().for_each(|term| sum.add(scaled(*term)));
        sum
    }

    proptest! {
        #[test]
        fn a_sum_is_rounded_once(terms in terms(), cut in 0usize..40) {
            let exact: i128 = terms.iter().map(|term| i128::from(*term)).sum();
            let expected = exact as f64 / (1u64 << 40) as f64;
            prop_assert_eq!(sum(&terms).rounded(), expected);
            let (first, second) = terms.split_at(cut.min(terms.len()));
            let mut merged = sum(second);
            merged.merge(&sum(first));
            prop_assert_eq!(merged.rounded(), expected);
        }

        #[test]
        fn a_variance_is_that_of_its_definition(terms in proptest::collection::vec(-1_000_000i64..1_000_000, 2..40)) {
            let (mut total, mut squares) = (Exact::default(), Exact::default());
            // Far from zero, where a naive sum of squares has no digits left.
            terms.iter().map(|term| 1e9 + *term as f64 / f64::from(1 << 20)).for_each(|term| {
                total.add(term);
                squares.add_square(term);
            });
            let n = terms.len() as i128;
            let of = |f: fn(i128) -> i128| terms.iter().map(|term| f(i128::from(*term))).sum::<i128>();
            let numerator = n * of(|term| term * term) - of(|term| term).pow(2);
            let expected = numerator as f64 / (n * (n - 1)) as f64 / (1u64 << 40) as f64;
            let found = total.variance(&squares, terms.len() as u64);
            prop_assert!((found - expected).abs() <= 1e-15 * expected, "{} is not {}", found, expected);
        }
    }

    #[test]
    fn infinities_are_kept() {
        let mut sum = Exact::default();
        [1.0, f64::INFINITY, 2.0].into_iter().for_each(|term| sum.add(term));
        assert_eq!(sum.rounded(), f64::INFINITY);
        sum.add(f64::NEG_INFINITY);
        assert!(sum.rounded().is_nan());
        assert_eq!(Exact::default().rounded(), 0.0);
    }
}

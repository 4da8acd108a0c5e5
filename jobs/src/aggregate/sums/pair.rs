//! Exact sums of doubles, for as long as two doubles suffice.

use serde::{Deserialize, Serialize};
use tidegate_rows::Value;

use super::{Decimals, Exact, Sums, Wide};
use crate::aggregate::{Accumulator, At};

/// A sum of doubles that does not depend on their order. The two parts don't overlap, and their exact total is the sum: some 106 bits, more
/// than amounts of money need. What needs more continues as [`Sums`].
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Pair {
    low: f64,
    high: f64,
}

impl Pair {
    /// The sum after this term. `None` if it does not fit, or is not finite.
    #[inline]
    fn plus(self, term: f64) -> Option<Self> {
        let (sum, least) = two_sum(term, self.low);
        let (sum, less) = two_sum(sum, self.high);
        // Both errors must fit one double.
        let (error, lost) = two_sum(less, least);
        let (high, low) = two_sum(sum, error);
        (high.is_finite() && lost == 0.0).then_some(Self { low, high })
    }

    fn merged(self, other: Self) -> Option<Self> {
        self.plus(other.low)?.plus(other.high)
    }

    /// The double nearest to the sum.
    pub(crate) fn rounded(self) -> f64 {
        self.high + self.low
    }

    fn exact(self) -> Exact {
        let mut exact = Exact::of(self.low);
        exact.add(self.high);
        exact
    }
}

/// The rounded sum of two doubles, and its error (Knuth, "The Art of Computer Programming", volume 2, 4.2.2).
#[inline]
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let of_b = sum - a;
    (sum, (a - (sum - of_b)) + (b - of_b))
}

impl Accumulator for Pair {
    const RETRACT: Option<fn(&mut Self, &Self)> = None;

    #[inline]
    fn add(&mut self, value: &Value, _: At) {
        if let Some(sum) = value.as_f64().and_then(|term| self.plus(term)) {
            *self = sum;
        }
    }

    fn merge(&mut self, other: &Self) {
        if let Some(sum) = self.merged(*other) {
            *self = sum;
        }
    }

    #[inline]
    fn takes(&self, value: &Value) -> bool {
        matches!(value, Value::Double(term) if self.plus(*term).is_some())
    }

    fn absorbs(&self, other: &Self) -> bool {
        self.merged(*other).is_some()
    }

    fn to_sums(&self) -> Option<Sums> {
        Some(Sums::of_exact(self.exact()))
    }

    fn to_decimals(&self) -> Option<Decimals> {
        // A sum's count is never used.
        Some(Decimals::of(Wide::default(), Some(self.exact()), 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn term() -> impl Strategy<Value = f64> {
        prop_oneof![
            (-1_000_000i64..1_000_000).prop_map(|cents| cents as f64 / 100.0),
            any::<f64>(),
            (-60i32..60, -1.0..1.0f64).prop_map(|(power, part)| part * 2f64.powi(power)),
        ]
    }

    proptest! {
        /// As long as it takes terms, it is the exact sum of them.
        #[test]
        fn a_pair_is_an_exact_sum(terms in proptest::collection::vec(term(), 0..20)) {
            let (mut pair, mut exact) = (Pair::default(), Exact::default());
            for term in terms {
                let Some(next) = pair.plus(term) else { break };
                pair = next;
                exact.add(term);
                prop_assert_eq!(pair.rounded(), exact.rounded());
                prop_assert_eq!(pair.exact().rounded(), exact.rounded());
            }
        }

        #[test]
        fn amounts_fit_in_any_order(cents in proptest::collection::vec(-1_000_000i64..1_000_000, 0..200), by in any::<u64>()) {
            let mut other = cents.clone();
            other.sort_by_key(|cents| cents.wrapping_mul(by as i64 | 1));
            let sum = |cents: &[i64]| cents.iter().try_fold(Pair::default(), |sum, cents| sum.plus(*cents as f64 / 100.0)).unwrap().rounded();
            prop_assert_eq!(sum(&cents), sum(&other));
        }
    }
}

//! Lists of values whose order does not matter, which `collect` and `quantile` keep.

use std::cmp::Ordering;

/// Sorts the values, and takes out one for each equal one that is gone.
pub(super) fn take_out<T: Clone>(values: &mut Vec<T>, gone: &[T], order: impl Fn(&T, &T) -> Ordering) {
    let mut gone = gone.to_vec();
    gone.sort_by(&order);
    values.sort_by(&order);
    let mut gone = gone.into_iter().peekable();
    values.retain(|value| gone.next_if(|other| order(other, value).is_eq()).is_none());
}

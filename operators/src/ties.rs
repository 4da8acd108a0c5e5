//! What decides between records that nothing else puts in order.

use std::cmp::Ordering;

/// The order of records of one event time, or of one measure. Where it calls none equal but those that are the same, the order in which records
/// reach their worker never shows.
pub type Ties<T> = Box<dyn Fn(&T, &T) -> Ordering>;

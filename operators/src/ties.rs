//! Tie-breaking between records that are otherwise equal in order.

use std::cmp::Ordering;

/// The order of records with the same event time or the same measure. If it calls only identical records equal, results do not depend on
/// the order in which records reach their worker.
pub type Ties<T> = Box<dyn Fn(&T, &T) -> Ordering>;

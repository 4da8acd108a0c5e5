//! The aggregates of job files: `{ n: count(), ips: count_distinct(ip) }` compiles to one accumulator per name.
//!
//! An aggregate is a file in `functions`, which holds its [`Definition`] and its [`Accumulator`]s, and its lines in the lists of
//! `functions/mod.rs`. The sums that several of them share are in `sums`.
//!
//! Nulls don't count: an aggregate of a field ignores records in which the field is null, except in `count()` and
//! `collect(x)`.

mod accumulator;
mod call;
mod definition;
mod functions;
mod row;
mod sums;
#[cfg(test)]
mod tests;

pub(crate) use accumulator::At;
pub(crate) use call::{Compiled, compile};
pub(crate) use definition::Takes;
pub use functions::reference;
pub(crate) use row::{Accs, RowAggregate};

pub(crate) use functions::{Acc, Function};

use accumulator::Accumulator;
use definition::{About, Definition, Finish};

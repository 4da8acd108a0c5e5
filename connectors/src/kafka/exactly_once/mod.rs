//! Writing a topic so that each record stands once, across failures.
//!
//! Records of an epoch are gathered in a [segment](segment) on disk, which becomes part of the checkpoint. Once that is complete, they are
//! sent in one transaction together with a [marker](marker) that says which epoch it was. Whoever comes after a crash first fences the
//! transactional ids of the writers before it, then reads their markers, and then [decides](unit) of every unit that a checkpoint holds
//! whether it is in the topic already. So nothing depends on how long a transaction stays open, or on what an open one has written.
//!
//! Flink keeps a transaction open for the whole epoch and loses it if the broker gives it up first; the marker is Materialize's.

mod marker;
mod outbox;
mod segment;
mod settling;
mod sink;
mod transaction;
mod unit;

pub use marker::MARKERS;
pub use sink::ExactlyOnce;
pub(super) use sink::{nothing_pends, values};

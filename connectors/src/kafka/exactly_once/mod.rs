//! Writes a topic exactly once, across failures.
//!
//! The records of an epoch are collected in a [segment](segment) on disk, which becomes part of the checkpoint. Once
//! the checkpoint is complete, they are sent in one transaction together with a [marker](marker) that names the
//! epoch. After a crash, the next run first fences the transactional ids of the previous writers, then reads their
//! markers, and then [decides](unit) for every unit in the checkpoint whether it is already in the topic. So
//! correctness depends neither on how long a transaction stays open nor on what an open one has written.
//!
//! Flink keeps a transaction open for the whole epoch and loses it if the broker aborts it first; the marker is
//! Materialize's idea.

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

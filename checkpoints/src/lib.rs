//! The durable identity of a job: what must mean the same thing to every run that touches its state.
//!
//! Lives here: [`Epoch`], [`OperatorId`], [`KeyGroup`] and the [`stable_hash`] that assigns keys to groups. Changing any of
//! them changes where stored state is found, so each carries a golden test.
//!
//! Does not live here: anything that runs. This crate knows no dataflow and does no I/O.

mod epoch;
mod key_group;
mod operator_id;
mod stable_hash;

pub use epoch::Epoch;
pub use key_group::{KeyGroup, KeyGroups, Owners};
pub use operator_id::{InvalidOperatorId, OperatorId};
pub use stable_hash::stable_hash;

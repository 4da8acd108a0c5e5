//! The durable side of a job: what must mean the same thing to every run that touches its state.
//!
//! Lives here: [`Epoch`], [`OperatorId`], [`KeyGroup`] and the [`stable_hash`] that assigns keys to groups, each with a golden test, as changing it
//! changes where stored state is found; the form of checkpoints and savepoints ([`Manifest`], [`RowWriter`]), where they are kept
//! ([`Storage`], [`Directory`]), how long ([`retention`]), and whether a job can go on from one ([`judge`]).
//!
//! Does not live here: anything that runs. This crate knows no dataflow; its decisions are pure, and I/O is at its edge.

mod basis;
mod directory;
mod epoch;
pub mod failpoint;
mod file_ref;
mod key_group;
mod manifest;
mod operator_id;
pub mod retention;
mod rows;
mod savepoint;
mod snapshot;
mod storage;
#[cfg(test)]
mod test_manifest;
mod verdict;

pub use basis::{Basis, Field, places};
pub use directory::{Damage, Directory, DirectoryError, Fault, Found, Unusable};
pub use epoch::Epoch;
pub use file_ref::{FileError, FileRef, verify};
pub use key_group::{KeyGroup, KeyGroups, Owners};
pub use manifest::{Kind, Manifest, ManifestError, OperatorState, Part, StateInfo};
pub use operator_id::{InvalidOperatorId, OperatorId};
pub use rows::{Finished, Row, RowReader, RowWriter, Rows, RowsError};
pub use savepoint::{check_vacant, publish_savepoint};
pub use snapshot::{Snapshot, SnapshotError};
pub use storage::{Storage, StorageError, Stored};
pub use tidegate_hash::stable_hash;
pub use verdict::{Declared, DeclaredState, Line, Outcome, Verdict, judge};

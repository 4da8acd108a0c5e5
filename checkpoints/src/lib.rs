//! The durable side of a job: what must mean the same thing to every run that touches its state.
//!
//! **Here:** [`Epoch`], [`OperatorId`] and [`KeyGroup`], which decide where stored state is found; the form of checkpoints and savepoints ([`Manifest`],
//! [`RowWriter`]); where they are kept ([`Storage`], [`Directory`]) and how long ([`retention`]); and whether a job can go on from one ([`judge`]).
//!
//! **Not here:** anything that runs. This crate knows no dataflow. Its decisions are pure, and I/O is at its edge.
//!
//! ```
//! use tidegate_checkpoints::{KeyGroups, RowReader, RowWriter, stable_hash};
//!
//! // The key group of user 42, and the worker of four that owns it.
//! let groups = KeyGroups::default();
//! let group = groups.group(stable_hash(&42u64));
//! assert!(groups.owner(group, 4) < 4);
//!
//! // A row of the operator's state 0 in a file, and read back by key group.
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("state.rows");
//! let mut writer = RowWriter::create(&path)?;
//! writer.push(group.0, 0, b"user 42", b"3 failures")?;
//! writer.finish()?;
//! let reader = RowReader::open(&path)?;
//! let rows = reader.groups(0..groups.max_parallelism()).collect::<Result<Vec<_>, _>>()?;
//! assert_eq!(rows.len(), 1);
//! assert_eq!(rows[0].value, b"3 failures");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod basis;
mod directory;
mod epoch;
mod explain;
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
pub use explain::explain;
pub use file_ref::{FileError, FileRef, verify};
pub use key_group::{KeyGroup, KeyGroups, Owners};
pub use manifest::{Kind, Manifest, ManifestError, OperatorState, Part, StateInfo};
pub use operator_id::{InvalidOperatorId, OperatorId};
pub use rows::{Finished, Row, RowReader, RowWriter, Rows, RowsError};
pub use savepoint::{check_vacant, publish_savepoint};
pub use snapshot::{Snapshot, SnapshotError};
pub use storage::{Storage, StorageError, Stored};
pub use tidegate_stable::stable_hash;
pub use verdict::{Declared, DeclaredState, Line, Outcome, Verdict, judge};

//! Lookup joins: each record joined with what an external table holds for its key at that moment.
//!
//! A table's answers are not part of a checkpoint: a record that is read again after a restore may find different rows.

mod cached;
mod join;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tidegate_runtime::Error;

pub use cached::{CacheConfig, Cached};

/// The rows of one key: none, one or several.
pub type Rows<R> = Arc<[R]>;

/// A future of the rows of one key.
pub type Finding<'t, R> = Pin<Box<dyn Future<Output = Result<Rows<R>, Error>> + Send + 't>>;

/// An external table to look records up in. All workers share it. The trait is object-safe: a job holds a `dyn LookupTable`.
pub trait LookupTable<K>: Send + Sync + 'static {
    /// The type of a row.
    type Row: Send + Sync + 'static;

    /// A short description, such as `file accounts.csv`.
    fn describe(&self) -> String;

    /// Prepares the table. Called on every worker before its first record.
    ///
    /// # Errors
    /// An error here fails the job.
    fn open(&self) -> Result<(), Error> {
        Ok(())
    }

    /// The rows of `key`, if they are known without waiting.
    ///
    /// # Errors
    /// An error here fails the job.
    fn known(&self, key: &K) -> Result<Option<Rows<Self::Row>>, Error>;

    /// Requests the rows of a key that are not [known](Self::known). The cost of the boxed future is small next to that of the request.
    fn find(&self, key: K) -> Finding<'_, Self::Row>;
}

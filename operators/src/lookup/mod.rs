//! Lookup joins: each record with what a table outside says of its key at that moment.
//!
//! What a table says is not part of any checkpoint: a record that is read again after a restore may find another row.

mod cached;
mod join;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tidegate_runtime::Error;

pub use cached::{CacheConfig, Cached};

/// The rows of one key: none, one or several.
pub type Rows<R> = Arc<[R]>;

/// The rows of one key, once they are found.
pub type Finding<'t, R> = Pin<Box<dyn Future<Output = Result<Rows<R>, Error>> + Send + 't>>;

/// A table to look records up in. The workers share it. It is object-safe: a job holds a `dyn LookupTable` of whatever kind it is.
pub trait LookupTable<K>: Send + Sync + 'static {
    /// What is found.
    type Row: Send + Sync + 'static;

    /// What it is, in a few words, such as `file accounts.csv`.
    fn describe(&self) -> String;

    /// Makes it ready, on every worker before its first record.
    ///
    /// # Errors
    /// The job fails with this cause.
    fn open(&self) -> Result<(), Error> {
        Ok(())
    }

    /// The rows of `key`, if they are known without waiting.
    ///
    /// # Errors
    /// The job fails with this cause.
    fn known(&self, key: &K) -> Result<Option<Rows<Self::Row>>, Error>;

    /// Finds the rows of a key that are not [known](Self::known). Such a key costs a request; the allocation of its future is lost in that.
    fn find(&self, key: K) -> Finding<'_, Self::Row>;
}

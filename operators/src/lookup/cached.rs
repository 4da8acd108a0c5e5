//! A lookup table with a cache of its latest answers.

use std::hash::Hash;
use std::time::{Duration, Instant};

use quick_cache::sync::Cache;
use tidegate_runtime::Error;

use super::{Finding, LookupTable, Rows};

/// How a table's answers are cached. Answers without rows are cached too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheConfig {
    /// The maximum number of keys.
    pub entries: usize,
    /// How long an answer is valid.
    pub ttl: Duration,
}

/// A lookup table with a cache that all workers share.
pub struct Cached<K, T: LookupTable<K>> {
    table: T,
    cache: Cache<K, (Instant, Rows<T::Row>)>,
    ttl: Duration,
}

impl<K: Eq + Hash, T: LookupTable<K>> Cached<K, T> {
    /// Puts an empty cache in front of `table`.
    #[must_use]
    pub fn new(table: T, config: CacheConfig) -> Self {
        Self { table, cache: Cache::new(config.entries), ttl: config.ttl }
    }
}

impl<K, T> LookupTable<K> for Cached<K, T>
where
    K: Eq + Hash + Clone + Send + Sync + 'static,
    T: LookupTable<K>,
{
    type Row = T::Row;

    fn describe(&self) -> String {
        format!("{}, cached", self.table.describe())
    }

    fn open(&self) -> Result<(), Error> {
        self.table.open()
    }

    fn known(&self, key: &K) -> Result<Option<Rows<T::Row>>, Error> {
        match self.cache.get(key) {
            Some((at, rows)) if at.elapsed() < self.ttl => Ok(Some(rows)),
            _ => self.table.known(key),
        }
    }

    fn find(&self, key: K) -> Finding<'_, T::Row> {
        Box::pin(async move {
            loop {
                // When several records with the same key wait at a time, only one of them makes the request.
                match self.cache.get_value_or_guard_async(&key).await {
                    Ok((at, rows)) if at.elapsed() < self.ttl => return Ok(rows),
                    Ok(_) => drop(self.cache.remove_if(&key, |(at, _)| at.elapsed() >= self.ttl)),
                    Err(place) => {
                        let asked = Instant::now();
                        let rows = self.table.find(key.clone()).await?;
                        // If another answer was inserted meanwhile, it is as recent as this one.
                        let _ = place.insert((asked, Rows::clone(&rows)));
                        return Ok(rows);
                    }
                }
            }
        })
    }
}

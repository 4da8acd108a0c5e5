//! A table behind a cache of its latest answers.

use std::hash::Hash;
use std::time::{Duration, Instant};

use quick_cache::sync::Cache;
use tidegate_runtime::Error;

use super::{Finding, LookupTable, Rows};

/// What is kept of a table's answers, those without a row included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheConfig {
    /// How many keys at most.
    pub entries: usize,
    /// How long an answer is used.
    pub ttl: Duration,
}

/// A table behind a cache that the workers share.
pub struct Cached<K, T: LookupTable<K>> {
    table: T,
    cache: Cache<K, (Instant, Rows<T::Row>)>,
    ttl: Duration,
}

impl<K: Eq + Hash, T: LookupTable<K>> Cached<K, T> {
    /// `table` behind an empty cache.
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
                // Of several records of one key at a time, one asks.
                match self.cache.get_value_or_guard_async(&key).await {
                    Ok((at, rows)) if at.elapsed() < self.ttl => return Ok(rows),
                    Ok(_) => drop(self.cache.remove_if(&key, |(at, _)| at.elapsed() >= self.ttl)),
                    Err(place) => {
                        let asked = Instant::now();
                        let rows = self.table.find(key.clone()).await?;
                        // What was put there meanwhile is as new.
                        let _ = place.insert((asked, Rows::clone(&rows)));
                        return Ok(rows);
                    }
                }
            }
        })
    }
}

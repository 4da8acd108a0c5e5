//! What a job counts while it runs.
//!
//! Each operator has one set of counters, shared by its instances on all workers. Instances update them once per batch.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`.
    #[inline]
    pub fn add(&self, n: u64) {
        if n > 0 {
            self.0.fetch_add(n, Relaxed);
        }
    }

    /// The sum so far.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A number that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// Replaces one part of the sum with another.
    #[inline]
    pub fn replace(&self, old: u64, new: u64) {
        if old != new {
            self.0.fetch_add(new.wrapping_sub(old), Relaxed);
        }
    }

    /// The number now.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// The size of an operator's state, over all its instances.
#[derive(Debug, Default)]
pub struct StateMetrics {
    /// Entries in memory.
    pub entries: Gauge,
    /// Bytes in memory, estimated.
    pub memory: Gauge,
    /// Bytes of files on disk.
    pub disk: Gauge,
    /// Key look-ups while some of the state was on disk.
    pub lookups: Counter,
    /// Look-ups that missed in memory.
    pub misses: Counter,
    /// Rows written to disk to make room.
    pub flushed: Counter,
    /// Entries dropped from memory to make room.
    pub evicted: Counter,
}

/// The counters of an operator. Every record that came in was sent on, was filtered, was late, or failed.
#[derive(Debug, Default)]
pub struct OperatorMetrics {
    /// Records that came in.
    pub records_in: Counter,
    /// Records sent on.
    pub records_out: Counter,
    /// Records dropped by a condition.
    pub filtered: Counter,
    /// Records too late for every window.
    pub late: Counter,
    /// Records skipped because an expression or a function failed on them.
    pub failed: Counter,
    /// The size of its state.
    pub state: Arc<StateMetrics>,
    /// Partial matches of a pattern dropped because of a limit.
    pub dropped: Counter,
    /// Records that went on although they were late.
    pub behind: Counter,
    /// How often a record went on but did not count, because an expression failed on it.
    pub uncounted: Counter,
    /// Wall-clock windows that were still open when the input ended, and so never fired.
    pub unfinished: Counter,
}

/// The counters of a source.
#[derive(Debug, Default)]
pub struct SourceMetrics {
    /// Records read and understood.
    pub records: Counter,
    /// Records that could not be understood.
    pub bad: Counter,
    /// Messages without a value. They delete the earlier value of their key and are not records.
    pub tombstones: Counter,
    /// Bytes read, as stored (before decompression).
    pub bytes: Counter,
    /// Total bytes to read, as stored, where known; otherwise 0.
    pub bytes_total: Counter,
    remark: OnceLock<String>,
}

impl SourceMetrics {
    /// The number of records and messages read, whatever became of them.
    #[must_use]
    pub fn read(&self) -> u64 {
        self.records.get() + self.bad.get() + self.tombstones.get()
    }

    /// Adds a remark, in words, about what the numbers do not show. Only the first remark is kept.
    pub fn remark(&self, words: String) {
        self.remark.get_or_init(|| words);
    }

    /// The remark about what the numbers do not show.
    #[must_use]
    pub fn remarked(&self) -> Option<&str> {
        self.remark.get().map(String::as_str)
    }
}

/// The counters of one node of the graph.
#[derive(Clone, Debug)]
pub enum NodeMetrics {
    /// The counters of a source.
    Source(Arc<SourceMetrics>),
    /// The counters of any other operator.
    Operator(Arc<OperatorMetrics>),
}

//! What flows along a stream.

use serde::{Deserialize, Serialize};
use tidegate_stable::Stored;

/// A value and its event time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record<T> {
    /// Event time in milliseconds since 1970, or [`Record::UNTIMED`].
    pub time: i64,
    /// The value.
    pub value: T,
}

impl Record<()> {
    /// The time of a record whose source assigns none.
    pub const UNTIMED: i64 = i64::MIN;
}

impl<T> Record<T> {
    /// A record of `value` at `time` (milliseconds since 1970).
    pub fn new(time: i64, value: T) -> Self {
        Self { time, value }
    }
}

impl<T: Stored> Stored for Record<T> {
    const SCHEMA: &'static str = "record";

    fn schema() -> String {
        format!("record<{}>", T::schema())
    }
}

/// What a value needs to travel between workers. [`Record`]s move between threads as they are, and are serialized between processes.
pub trait Data: Clone + Send + Serialize + for<'de> Deserialize<'de> + 'static {}

impl<T: Clone + Send + Serialize + for<'de> Deserialize<'de> + 'static> Data for T {}

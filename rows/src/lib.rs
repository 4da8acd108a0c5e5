//! Rows, and the formats that turn bytes into rows and back.
//!
//! A [`Row`] holds [`Value`]s laid out by a [`Schema`]. It carries no names: readers look up a field's slot in the
//! schema once, when the job is compiled. The formats in [`format`](mod@format) are JSON, CSV, text, regular
//! expressions and Avro.
//!
//! **Not here:** expressions over rows (`tidegate-expr`), the sources of bytes (`tidegate-connectors`), and dataflow. This
//! crate depends on none of them.
//!
//! ```
//! use tidegate_rows::format::{Conversion, CsvFormat, Decoded, Decoder, Format, Layout, TimeUnit};
//! use tidegate_rows::{Row, Value};
//!
//! let layout = Layout::new([("user", Conversion::String), ("ts", Conversion::Int)]).with_event_time("ts", TimeUnit::Seconds)?;
//! let mut decoder = CsvFormat::new(layout).with_header(false).decoder();
//! let row = Row::from_iter([Value::string("ann"), Value::Int(7)]);
//! assert_eq!(decoder.decode(b"ann,7")?, Decoded::Record { time: Some(7_000), value: row });
//! # Ok::<(), String>(())
//! ```
//!
//! # How a record lies in memory
//!
//! A row is one allocation: its values side by side, in the order of the schema, 24 bytes each. The [`Row`] itself is a pointer and a
//! length. On its way it is a `Record<Row>`: event time, pointer and length, also 24 bytes. Operators pass on batches of up to 1,024 of
//! them, so moving a record, between operators or workers, moves 24 bytes and never its values.
//!
//! ```text
//! batch     | time  pointer  length | time  pointer  length | ...
//!                      |
//! row                  +--> | user: 7          Int    | kind: "login"   String | amount: 12.5   Double |
//!                             8 bytes, ..., tag         up to 24 bytes of text     8 bytes, ..., tag
//! ```
//!
//! - **A value** is 24 bytes, the last of which is its tag. Numbers, times and decimals lie in it. So does text of up to 24 bytes: user
//!   ids, addresses and words need no allocation of their own. Longer text is behind a pointer. Byte strings, lists and maps are behind a
//!   counted pointer, so a clone shares them.
//! - **Names and types** are not in the row. Expressions, keys and aggregates know their slots from the plan; encoders know the names.
//! - **Null** is a value. **Absent** is another, and only rows hold it: the record lacks the field, so it is not written back either.
//! - **Rows of open schemas** have the fields that the job names in slots, too. Everything else is in the first slot, as one map.
//! - **A key** is copied out of the row: one or two values lie next to the state that they lead to, so that comparing them costs no
//!   further look into memory.
//! - **State** holds accumulators next to their key. They are added to from the slots of the row, where the values lie.
//!
//! **Why not columns?** Batches by column make decoding and stateless steps cheaper. But the work here is keyed: each record asks for the
//! state of its own key, is kept by joins and patterns by itself, and is sent to the worker of its key by itself. What such a record costs
//! is mostly the wait for the memory of that state, which is fetched ahead for many records at once. With one worker, making and dropping
//! rows takes about a twentieth of the time of a windowed job. With several it takes more, because rows are then dropped by another worker
//! than the one that made them.

mod decimal;
mod decimal_sum;
pub mod format;
mod schema;
mod stored;
mod value;

pub use decimal::{Decimal, NotDecimal, Rounding};
pub use decimal_sum::DecimalSum;
pub use schema::{Field, Schema, Type};
pub use value::{Map, Value};

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

/// The values of one record, in the order of its schema's fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Row(pub Box<[Value]>);

impl Row {
    /// A row of `width` nulls.
    #[must_use]
    pub fn nulls(width: usize) -> Self {
        Self(std::iter::repeat_with(Value::default).take(width).collect())
    }

    /// The value in `slot`; null if the row lacks the field.
    #[must_use]
    #[inline]
    pub fn get(&self, slot: usize) -> &Value {
        match self.0.get(slot) {
            None | Some(Value::Absent) => &Value::Null,
            Some(value) => value,
        }
    }

    /// Whether the row has the field in `slot`.
    #[must_use]
    #[inline]
    pub fn has(&self, slot: usize) -> bool {
        !matches!(self.0.get(slot), None | Some(Value::Absent))
    }

    /// The value in `slot`, for copying into another row: it stays absent if the row lacks the field.
    #[must_use]
    #[inline]
    pub fn copy(&self, slot: usize) -> Value {
        self.0.get(slot).cloned().unwrap_or(Value::Absent)
    }

    /// Compares rows field by field with [`Value::strict_cmp`].
    #[must_use]
    pub fn strict_cmp(&self, other: &Self) -> Ordering {
        let unequal = self.0.iter().zip(&other.0).map(|(a, b)| a.strict_cmp(b)).find(|order| order.is_ne());
        unequal.unwrap_or_else(|| self.0.len().cmp(&other.0.len()))
    }
}

impl FromIterator<Value> for Row {
    fn from_iter<I: IntoIterator<Item = Value>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

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
        Self(vec![Value::Null; width].into_boxed_slice())
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

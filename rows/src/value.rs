//! The values of job-file records and expressions.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use compact_str::CompactString;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Decimal, Type};

/// A map value: entries in insertion order, with unique keys.
pub type Map = Vec<(Value, Value)>;

/// One value in 24 bytes. Text of up to 24 bytes is stored inline.
///
/// `Eq` and `Hash` make values usable as keys. They distinguish types (`1` is not `1.0`) and compare doubles by their
/// bits, except that all NaNs are equal and `-0.0` equals `0.0`. They distinguish decimals by their digits (`1.0` is
/// not `1.00`). The equality of expressions, which compares numbers across types, belongs to the evaluator.
#[derive(Debug, Default, Serialize, Deserialize)]
pub enum Value {
    /// The field was missing, or null.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A signed integer.
    Int(i64),
    /// An unsigned integer.
    Uint(u64),
    /// A float.
    Double(f64),
    /// Text.
    String(CompactString),
    /// A byte string.
    Bytes(Arc<[u8]>),
    /// An instant.
    #[serde(with = "instant")]
    Timestamp(Timestamp),
    /// A span of time.
    #[serde(with = "span")]
    Duration(SignedDuration),
    /// A list, shared on clone.
    List(Arc<Vec<Value>>),
    /// A map, shared on clone.
    Map(Arc<Map>),
    /// The row lacks the field. Only [rows](super::Row) hold this; reading the field gives null.
    Absent,
    /// An exact decimal number. It must stay last: variants are stored by index, so their order is fixed for good.
    Decimal(Decimal),
}

impl Clone for Value {
    /// What most values are is copied on the spot.
    #[inline]
    fn clone(&self) -> Self {
        match self {
            Self::Null => Self::Null,
            Self::Bool(v) => Self::Bool(*v),
            Self::Int(v) => Self::Int(*v),
            Self::Double(v) => Self::Double(*v),
            other => other.clone_other(),
        }
    }
}

impl Value {
    #[inline(never)]
    fn clone_other(&self) -> Self {
        match self {
            Self::Null => Self::Null,
            Self::Bool(v) => Self::Bool(*v),
            Self::Int(v) => Self::Int(*v),
            Self::Uint(v) => Self::Uint(*v),
            Self::Double(v) => Self::Double(*v),
            Self::String(v) => Self::String(v.clone()),
            Self::Bytes(v) => Self::Bytes(Arc::clone(v)),
            Self::Timestamp(v) => Self::Timestamp(*v),
            Self::Duration(v) => Self::Duration(*v),
            Self::List(v) => Self::List(Arc::clone(v)),
            Self::Map(v) => Self::Map(Arc::clone(v)),
            Self::Absent => Self::Absent,
            Self::Decimal(v) => Self::Decimal(*v),
        }
    }

    /// A text value.
    pub fn string(text: impl AsRef<str>) -> Self {
        Self::String(CompactString::from(text.as_ref()))
    }

    /// An instant given as milliseconds since 1970. Null outside the years -9999 to 9999.
    #[must_use]
    pub fn timestamp_ms(ms: i64) -> Self {
        Timestamp::from_millisecond(ms).map_or(Self::Null, Self::Timestamp)
    }

    /// A list value.
    pub fn list(values: impl IntoIterator<Item = Value>) -> Self {
        Self::List(Arc::new(values.into_iter().collect()))
    }

    /// A map value.
    pub fn map(entries: impl IntoIterator<Item = (Value, Value)>) -> Self {
        Self::Map(Arc::new(entries.into_iter().collect()))
    }

    /// The type of this value. Element types of lists and maps are reported as `Any`.
    #[must_use]
    pub fn type_of(&self) -> Type {
        match self {
            Self::Null | Self::Absent => Type::Null,
            Self::Bool(_) => Type::Bool,
            Self::Int(_) => Type::Int,
            Self::Uint(_) => Type::Uint,
            Self::Double(_) => Type::Double,
            Self::String(_) => Type::String,
            Self::Bytes(_) => Type::Bytes,
            Self::Timestamp(_) => Type::Timestamp,
            Self::Duration(_) => Type::Duration,
            Self::List(_) => Type::list(),
            Self::Map(_) => Type::map(),
            Self::Decimal(_) => Type::Decimal,
        }
    }

    /// Whether this is null.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null | Self::Absent)
    }

    /// The text, if this is text.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(s) = self { Some(s) } else { None }
    }

    /// The number as a float, if this is a number.
    #[must_use]
    #[inline]
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Int(v) => Some(*v as f64),
            Self::Uint(v) => Some(*v as f64),
            Self::Double(v) => Some(*v),
            Self::Decimal(v) => Some(v.to_f64()),
            _ => None,
        }
    }

    /// The number as a decimal, if it is a decimal or an integer.
    #[must_use]
    #[inline]
    pub fn as_decimal(&self) -> Option<Decimal> {
        match self {
            Self::Decimal(v) => Some(*v),
            Self::Int(v) => Some((*v).into()),
            Self::Uint(v) => Some((*v).into()),
            _ => None,
        }
    }

    /// Compares a decimal with another number by amount, exactly. `None` unless one of the two is a decimal and the
    /// other a number, and `None` for NaN.
    #[must_use]
    pub fn decimal_cmp(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Decimal(a), Self::Double(b)) => a.cmp_f64(*b),
            (Self::Double(a), Self::Decimal(b)) => b.cmp_f64(*a).map(Ordering::reverse),
            (Self::Decimal(a), b) => Some(a.amount_cmp(b.as_decimal()?)),
            (a, Self::Decimal(b)) => Some(a.as_decimal()?.amount_cmp(*b)),
            _ => None,
        }
    }

    /// The order used for sorting and for extremes: null first, then by type. Numbers of all types compare by amount.
    #[must_use]
    pub fn total_cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => a.cmp(b),
            (Self::Uint(a), Self::Uint(b)) => a.cmp(b),
            (Self::Int(a), Self::Uint(b)) => i128::from(*a).cmp(&i128::from(*b)),
            (Self::Uint(a), Self::Int(b)) => i128::from(*a).cmp(&i128::from(*b)),
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::String(a), Self::String(b)) => a.cmp(b),
            (Self::Bytes(a), Self::Bytes(b)) => a.cmp(b),
            (Self::Timestamp(a), Self::Timestamp(b)) => a.cmp(b),
            (Self::Duration(a), Self::Duration(b)) => a.cmp(b),
            (Self::List(a), Self::List(b)) => {
                let unequal = a.iter().zip(b.iter()).map(|(x, y)| x.total_cmp(y)).find(|o| o.is_ne());
                unequal.unwrap_or_else(|| a.len().cmp(&b.len()))
            }
            (Self::Map(a), Self::Map(b)) => {
                let pair = |x: &(Value, Value), y: &(Value, Value)| x.0.total_cmp(&y.0).then_with(|| x.1.total_cmp(&y.1));
                let unequal = a.iter().zip(b.iter()).map(|(x, y)| pair(x, y)).find(|o| o.is_ne());
                unequal.unwrap_or_else(|| a.len().cmp(&b.len()))
            }
            (a, b) => a.decimal_cmp(b).unwrap_or_else(|| match (a.as_f64(), b.as_f64()) {
                (Some(x), Some(y)) => x.total_cmp(&y),
                _ => a.rank().cmp(&b.rank()),
            }),
        }
    }

    /// Like [`Value::total_cmp`], but breaks ties: among equal numbers an int sorts before a uint, a double and a
    /// decimal, and among equal decimals the one with fewer digits comes first.
    #[must_use]
    pub fn strict_cmp(&self, other: &Self) -> Ordering {
        self.total_cmp(other).then_with(|| self.rank().cmp(&other.rank())).then_with(|| match (self, other) {
            (Self::Decimal(a), Self::Decimal(b)) => a.scale().cmp(&b.scale()),
            _ => Ordering::Equal,
        })
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Bool(_) => 1,
            Self::Int(_) => 2,
            Self::Uint(_) => 3,
            Self::Double(_) => 4,
            Self::Decimal(_) => 5,
            Self::String(_) => 6,
            Self::Bytes(_) => 7,
            Self::Timestamp(_) => 8,
            Self::Duration(_) => 9,
            Self::List(_) => 10,
            Self::Map(_) => 11,
            Self::Absent => 12,
        }
    }
}

/// The bits that identify a double as a key.
fn double_bits(v: f64) -> u64 {
    if v.is_nan() {
        f64::NAN.to_bits()
    } else if v == 0.0 {
        0
    } else {
        v.to_bits()
    }
}

impl PartialEq for Value {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) | (Self::Absent, Self::Absent) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::Uint(a), Self::Uint(b)) => a == b,
            (Self::Double(a), Self::Double(b)) => double_bits(*a) == double_bits(*b),
            (Self::String(a), Self::String(b)) => a == b,
            (Self::Bytes(a), Self::Bytes(b)) => a == b,
            (Self::Timestamp(a), Self::Timestamp(b)) => a == b,
            (Self::Duration(a), Self::Duration(b)) => a == b,
            (Self::List(a), Self::List(b)) => a == b,
            (Self::Map(a), Self::Map(b)) => a == b,
            (Self::Decimal(a), Self::Decimal(b)) => a == b,
            _ => false,
        }
    }
}

impl Eq for Value {}

impl Hash for Value {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Int(v) => state.write_i64(*v),
            Self::String(v) => v.hash(state),
            other => {
                state.write_u8(other.rank());
                match other {
                    Self::Bool(v) => v.hash(state),
                    Self::Uint(v) => v.hash(state),
                    Self::Double(v) => double_bits(*v).hash(state),
                    Self::Bytes(v) => v.hash(state),
                    Self::Timestamp(v) => v.hash(state),
                    Self::Duration(v) => v.hash(state),
                    Self::List(v) => v.hash(state),
                    Self::Map(v) => v.hash(state),
                    Self::Decimal(v) => v.hash(state),
                    Self::Null | Self::Absent | Self::Int(_) | Self::String(_) => {}
                }
            }
        }
    }
}

/// Instants in binary formats as (seconds, nanoseconds): jiff's own serde form is text.
mod instant {
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub fn serialize<S: Serializer>(v: &Timestamp, s: S) -> Result<S::Ok, S::Error> {
        (v.as_second(), v.subsec_nanosecond()).serialize(s)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Timestamp, D::Error> {
        let (seconds, nanos) = <(i64, i32)>::deserialize(d)?;
        Timestamp::new(seconds, nanos).map_err(D::Error::custom)
    }
}

/// Spans in binary formats as (seconds, nanoseconds).
mod span {
    use jiff::SignedDuration;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(v: &SignedDuration, s: S) -> Result<S::Ok, S::Error> {
        (v.as_secs(), v.subsec_nanos()).serialize(s)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<SignedDuration, D::Error> {
        let (seconds, nanos) = <(i64, i32)>::deserialize(d)?;
        Ok(SignedDuration::new(seconds, nanos))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_24_bytes() {
        assert_eq!(size_of::<Value>(), 24);
    }

    #[test]
    fn as_keys_values_tell_types_apart_but_not_the_zeros_or_nans() {
        assert_ne!(Value::Int(1), Value::Double(1.0));
        assert_eq!(Value::Double(0.0), Value::Double(-0.0));
        assert_eq!(Value::Double(f64::NAN), Value::Double(-f64::NAN));
    }
}

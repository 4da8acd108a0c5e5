//! Values as text: the output of `string(x)` and `format("%s")`, and values in error messages.

use std::fmt::{self, Write};

use jiff::{SignedDuration, Timestamp};
use tidegate_rows::Value;

/// A value in plain text: strings without quotes, maps sorted by their printed keys.
pub(super) struct Plain<'a>(pub &'a Value);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Null | Value::Absent => f.write_str("null"),
            Value::Bool(v) => write!(f, "{v}"),
            Value::Int(v) => write!(f, "{v}"),
            Value::Uint(v) => write!(f, "{v}"),
            Value::Double(v) => f.write_str(&double(*v)),
            Value::Decimal(v) => write!(f, "{v}"),
            Value::String(v) => f.write_str(v),
            Value::Bytes(v) => f.write_str(&String::from_utf8_lossy(v)),
            Value::Timestamp(v) => f.write_str(&timestamp(*v)),
            Value::Duration(v) => f.write_str(&duration(*v)),
            Value::List(items) => {
                f.write_char('[')?;
                for (i, item) in items.iter().enumerate() {
                    write!(f, "{}{}", if i == 0 { "" } else { ", " }, Plain(item))?;
                }
                f.write_char(']')
            }
            Value::Map(entries) => {
                let mut lines: Vec<(String, &Value)> = entries.iter().map(|(k, v)| (Plain(k).to_string(), v)).collect();
                lines.sort_by(|a, b| a.0.cmp(&b.0));
                f.write_char('{')?;
                for (i, (key, value)) in lines.iter().enumerate() {
                    write!(f, "{}{key}: {}", if i == 0 { "" } else { ", " }, Plain(value))?;
                }
                f.write_char('}')
            }
        }
    }
}

/// A double with the fewest digits that read back as the same number. Exponents are used only where the plain form
/// would be long.
pub(super) fn double(v: f64) -> String {
    let amount = v.abs();
    if v.is_nan() {
        "NaN".into()
    } else if v.is_infinite() {
        if v > 0.0 { "Infinity".into() } else { "-Infinity".into() }
    } else if amount != 0.0 && !(1e-6..1e21).contains(&amount) {
        let text = format!("{v:e}");
        match text.split_once('e') {
            Some((mantissa, exponent)) => format!("{mantissa}e{}", signed_exponent(exponent)),
            None => text,
        }
    } else {
        format!("{v}")
    }
}

/// An exponent with a sign and at least two digits, as in `e+06`.
pub(super) fn signed_exponent(exponent: &str) -> String {
    match exponent.strip_prefix('-') {
        Some(digits) => format!("-{digits:0>2}"),
        None => format!("+{exponent:0>2}"),
    }
}

/// An instant in RFC 3339, with as many fractional digits as it needs.
pub(super) fn timestamp(v: Timestamp) -> String {
    v.to_string()
}

/// A duration in seconds: `1.5s`.
pub(super) fn duration(v: SignedDuration) -> String {
    let sign = if v.is_negative() { "-" } else { "" };
    let (seconds, nanos) = (v.as_secs().unsigned_abs(), v.subsec_nanos().unsigned_abs());
    if nanos == 0 {
        format!("{sign}{seconds}s")
    } else {
        let digits = format!("{nanos:09}");
        format!("{sign}{seconds}.{}s", digits.trim_end_matches('0'))
    }
}

/// Bytes in hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

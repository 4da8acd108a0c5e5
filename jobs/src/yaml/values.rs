//! The syntax of single values: durations, sizes, names and numbers. Pure functions of the text.

use std::time::Duration;

use jiff::SignedDuration;
use tidegate_rows::format::duration;

const NANOS: [(&str, i64); 6] =
    [("d", 86_400_000_000_000), ("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000)];

const BYTES: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

/// Parses a duration such as `500ms`, `1h30m`, `7d`, `-5m` or `0`. It must be shorter than 292 years.
///
/// ```
/// use tidegate_jobs::file::{duration_text, parse_duration};
/// let span = parse_duration("1h30m").unwrap();
/// assert_eq!(span.as_secs(), 5400);
/// assert_eq!(duration_text(span), "1h30m");
/// assert_eq!(parse_duration("90"), None);
/// ```
#[must_use]
pub fn parse_duration(text: &str) -> Option<SignedDuration> {
    duration::parse(text).filter(|span| i64::try_from(span.as_nanos()).is_ok())
}

/// Whether this is a valid duration that is too long for [`parse_duration`].
pub(crate) fn is_too_long(text: &str) -> bool {
    duration::parse(text).is_some() && parse_duration(text).is_none()
}

/// Writes a duration in the syntax of [`parse_duration`]. Fractions of a microsecond are dropped.
#[must_use]
pub fn duration_text(span: SignedDuration) -> String {
    let mut left = span.as_nanos().unsigned_abs();
    let mut text = String::from(if span.is_negative() { "-" } else { "" });
    for (unit, factor) in NANOS {
        let factor = u128::from(factor.unsigned_abs());
        if left >= factor {
            text.push_str(&format!("{}{unit}", left / factor));
            left %= factor;
        }
    }
    if text.len() <= usize::from(span.is_negative()) { "0s".to_owned() } else { text }
}

/// Converts a duration that the reader has checked not to be negative.
pub(crate) fn unsigned(duration: SignedDuration) -> Duration {
    Duration::try_from(duration).unwrap_or_default()
}

/// The duration in whole milliseconds.
pub(crate) fn millis(duration: SignedDuration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Parses a size in bytes: `64KiB`, `512MiB`, `2GB`, `1048576`.
///
/// ```
/// assert_eq!(tidegate_jobs::file::parse_size("64KiB"), Some(65_536));
/// ```
#[must_use]
pub fn parse_size(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim_start_matches(' ');
    let factor = if unit.is_empty() { 1 } else { BYTES.iter().find(|(name, _)| *name == unit)?.1 };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// Whether this can name a source, a stream or a sink: letters of any script, digits, `_` and `-`, not starting with
/// a digit or `-`.
pub(crate) fn is_name(text: &str) -> bool {
    let mut letters = text.chars();
    letters.next().is_some_and(|c| c.is_alphabetic() || c == '_') && letters.all(|c| c.is_alphanumeric() || c == '_' || c == '-')
}

/// The maximum length of a job name. It becomes part of directory and file names, which file systems limit to 255
/// bytes.
pub(crate) const MAX_JOB_NAME: usize = 128;

/// Whether this can name a job: `[a-z0-9-]+`.
pub(crate) fn is_job_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// A plain scalar, interpreted as YAML does.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// Null.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Double(f64),
    /// Text.
    String(String),
}

impl Literal {
    /// The value of a scalar. Quoted text is always a string.
    pub(crate) fn read(text: &str, plain: bool) -> Self {
        if !plain {
            return Self::String(text.to_owned());
        }
        match text {
            "" | "~" | "null" | "Null" | "NULL" => Self::Null,
            "true" | "True" | "TRUE" => Self::Bool(true),
            "false" | "False" | "FALSE" => Self::Bool(false),
            _ => number(text).unwrap_or_else(|| Self::String(text.to_owned())),
        }
    }
}

/// Parses a decimal number. `1_000` is text, and so are `inf` and `nan`.
fn number(text: &str) -> Option<Literal> {
    if let Ok(int) = text.parse::<i64>() {
        return Some(Literal::Int(int));
    }
    let starts = text.trim_start_matches(['-', '+']).starts_with(|c: char| c.is_ascii_digit() || c == '.');
    let double = text.parse::<f64>().ok().filter(|double| starts && double.is_finite())?;
    Some(Literal::Double(double))
}

//! `format`: text with placeholders, `'%s has %d'.format([name, n])`.

use tidegate_rows::{Decimal, Rounding, Value};

use super::{Function, Outcome, Style, T, no_match};
use crate::arith::bounded_text;
use crate::display;
use crate::error::EvalError;
use crate::val::Val;

pub(super) const FUNCTIONS: &[Function] = &[Function {
    name: "format",
    style: Style::Member,
    overloads: &[(&[T::String, T::List(&T::Any)], T::String)],
    call: format,
    doc: "The text with its placeholders filled from a list: `%s` anything, `%d` ints, `%f` and `%e` numbers (`%.2f`: two digits), `%b` binary, `%o` octal, `%x` and `%X` hexadecimal, `%%` a percent sign.",
    examples: &[("'%s: %.2f%%'.format(['rate', 1.5])", "'rate: 1.50%'")],
}];

/// The maximum number of digits after the decimal point.
const MAX_PRECISION: usize = 1000;

fn format(args: &[Val<'_>]) -> Outcome {
    let [pattern, values] = args else { return no_match() };
    let (Some(Value::String(pattern)), Some(values)) = (pattern.data(), values.items()) else { return no_match() };
    let mut text = String::with_capacity(pattern.len());
    let mut next = 0;
    pieces(pattern, |piece| {
        match piece {
            Piece::Text(piece) => text.push_str(piece),
            Piece::Placeholder(precision, clause) => {
                let value = values.get(next).ok_or_else(|| missing(next, values.len()))?;
                next += 1;
                one(clause, precision, &value, &mut text)?;
            }
        }
        bounded_text(text.len())
    })?;
    Ok(Val::text(text))
}

/// Checks whether a template can be filled with these values, as far as they are known.
pub(crate) fn check(pattern: &str, values: &[Option<Val<'static>>]) -> Result<(), EvalError> {
    let mut next = 0;
    pieces(pattern, |piece| {
        let Piece::Placeholder(precision, clause) = piece else { return Ok(()) };
        let value = values.get(next).ok_or_else(|| missing(next, values.len()))?;
        next += 1;
        // For an unknown value, check only that the placeholder is valid.
        one(clause, precision, value.as_ref().unwrap_or(&sample(clause)), &mut String::new())
    })
}

/// A value that the placeholder accepts.
fn sample(clause: char) -> Val<'static> {
    if matches!(clause, 'f' | 'e') { Val::Own(Value::Double(0.0)) } else { Val::int(0) }
}

fn missing(index: usize, values: usize) -> EvalError {
    EvalError::message(format!("there are {values} values, and placeholder {} needs another", index + 1))
}

/// A part of a template.
enum Piece<'p> {
    Text(&'p str),
    /// The number of digits after the decimal point, and the kind.
    Placeholder(usize, char),
}

/// Splits a template into pieces.
fn pieces<'p>(pattern: &'p str, mut each: impl FnMut(Piece<'p>) -> Result<(), EvalError>) -> Result<(), EvalError> {
    let mut rest = pattern;
    while let Some(at) = rest.find('%') {
        each(Piece::Text(&rest[..at]))?;
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            each(Piece::Text("%"))?;
            rest = after;
            continue;
        }
        let (precision, clause, after) = placeholder(rest)?;
        rest = after;
        each(Piece::Placeholder(precision, clause))?;
    }
    each(Piece::Text(rest))
}

/// Parses what follows a percent sign: the precision, the kind, and the remaining text.
fn placeholder(rest: &str) -> Result<(usize, char, &str), EvalError> {
    let (precision, rest) = match rest.strip_prefix('.') {
        Some(digits) => {
            let after = digits.trim_start_matches(|c: char| c.is_ascii_digit());
            let number = &digits[..digits.len() - after.len()];
            let precision = number.parse().ok().filter(|p| *p <= MAX_PRECISION);
            (precision.ok_or_else(|| EvalError::message(format!("invalid precision: `.{number}`")))?, after)
        }
        None => (6, rest),
    };
    let clause = rest.chars().next().ok_or_else(|| EvalError::message("the format ends in an incomplete placeholder"))?;
    Ok((precision, clause, &rest[clause.len_utf8()..]))
}

fn one(clause: char, precision: usize, value: &Val<'_>, text: &mut String) -> Result<(), EvalError> {
    let refuse = |what: &str| Err(EvalError::message(format!("%{clause} prints {what}, not {}", value.tag())));
    let piece = match (clause, value.data()) {
        ('s', Some(value)) => display::Plain(value).to_string(),
        ('s', None) => match value {
            Val::Type(name) => (*name).to_owned(),
            other => display::Plain(&other.clone().into_value()).to_string(),
        },
        ('d', Some(Value::Int(v))) => v.to_string(),
        ('d', Some(Value::Uint(v))) => v.to_string(),
        ('d', Some(Value::Double(v))) if !v.is_finite() => display::double(*v),
        ('d', _) => return refuse("ints"),
        ('f', Some(Value::Decimal(v))) => fixed(*v, precision),
        ('f', data) => match data.and_then(Value::as_f64) {
            Some(v) if v.is_finite() => format!("{v:.precision$}"),
            Some(v) => display::double(v),
            None => return refuse("numbers"),
        },
        ('e', data) => match data.and_then(Value::as_f64) {
            Some(v) if v.is_finite() => {
                let plain = format!("{v:.precision$e}");
                match plain.split_once('e') {
                    Some((mantissa, exponent)) => format!("{mantissa}e{}", display::signed_exponent(exponent)),
                    None => plain,
                }
            }
            Some(v) => display::double(v),
            None => return refuse("numbers"),
        },
        ('b', Some(Value::Bool(v))) => u8::from(*v).to_string(),
        ('b', Some(Value::Int(v))) => signed(*v, |v| format!("{v:b}")),
        ('b', Some(Value::Uint(v))) => format!("{v:b}"),
        ('b', _) => return refuse("ints and bools"),
        ('o', Some(Value::Int(v))) => signed(*v, |v| format!("{v:o}")),
        ('o', Some(Value::Uint(v))) => format!("{v:o}"),
        ('o', _) => return refuse("ints"),
        ('x' | 'X', data) => {
            let lower = match data {
                Some(Value::Int(v)) => signed(*v, |v| format!("{v:x}")),
                Some(Value::Uint(v)) => format!("{v:x}"),
                Some(Value::String(v)) => display::hex(v.as_bytes()),
                Some(Value::Bytes(v)) => display::hex(v),
                _ => return refuse("ints, bytes and strings"),
            };
            if clause == 'X' { lower.to_ascii_uppercase() } else { lower }
        }
        _ => return Err(EvalError::message(format!("unknown placeholder: %{clause}"))),
    };
    text.push_str(&piece);
    Ok(())
}

/// A decimal with this many digits after the decimal point.
fn fixed(v: Decimal, precision: usize) -> String {
    let places = i64::try_from(precision).unwrap_or(i64::MAX);
    let rounded = v.round(places, Rounding::Nearest).unwrap_or(v);
    let point = if rounded.scale() == 0 && precision > 0 { "." } else { "" };
    format!("{rounded}{point}{}", "0".repeat(precision.saturating_sub(rounded.scale().into())))
}

fn signed(v: i64, digits: impl Fn(u64) -> String) -> String {
    let sign = if v < 0 { "-" } else { "" };
    format!("{sign}{}", digits(v.unsigned_abs()))
}

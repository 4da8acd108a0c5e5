//! Conversions between types.

use jiff::Timestamp;
use tidegate_rows::format::{duration as spans, instant_with_offset};
use tidegate_rows::{Decimal, NotDecimal, Value};

use super::{Function, Outcome, Style::Global, T, no_match};
use crate::error::{EvalError, Kind, Tag};
use crate::val::Val;
use crate::{arith, display};

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "int",
        style: Global,
        overloads: &[
            (&[T::Int], T::Int),
            (&[T::Uint], T::Int),
            (&[T::Double], T::Int),
            (&[T::Decimal], T::Int),
            (&[T::String], T::Int),
            (&[T::Timestamp], T::Int),
        ],
        call: int,
        doc: "An int from a number (truncated towards zero), text, or a timestamp (in seconds since 1970). An error if it does not fit.",
        examples: &[("int('-7')", "-7"), ("int(2.9)", "2")],
    },
    Function {
        name: "uint",
        style: Global,
        overloads: &[
            (&[T::Int], T::Uint),
            (&[T::Uint], T::Uint),
            (&[T::Double], T::Uint),
            (&[T::Decimal], T::Uint),
            (&[T::String], T::Uint),
        ],
        call: uint,
        doc: "An unsigned int from a number (truncated towards zero) or text. An error if it does not fit.",
        examples: &[("uint('7')", "7u")],
    },
    Function {
        name: "double",
        style: Global,
        overloads: &[
            (&[T::Int], T::Double),
            (&[T::Uint], T::Double),
            (&[T::Double], T::Double),
            (&[T::Decimal], T::Double),
            (&[T::String], T::Double),
        ],
        call: double,
        doc: "A double from a number or text.",
        examples: &[("double('1.5')", "1.5")],
    },
    Function {
        name: "decimal",
        style: Global,
        overloads: &[
            (&[T::String], T::Decimal),
            (&[T::Int], T::Decimal),
            (&[T::Uint], T::Decimal),
            (&[T::Double], T::Decimal),
            (&[T::Decimal], T::Decimal),
        ],
        call: decimal,
        doc: "An exact decimal from text, with all its digits, or from a number; from a double, the shortest decimal that represents it. An error if it has more than 38 digits.",
        examples: &[("string(decimal('12.30') * 2)", "'24.60'"), ("decimal(0.1)", "decimal('0.1')")],
    },
    Function {
        name: "string",
        style: Global,
        overloads: &[
            (&[T::String], T::String),
            (&[T::Int], T::String),
            (&[T::Uint], T::String),
            (&[T::Double], T::String),
            (&[T::Decimal], T::String),
            (&[T::Bool], T::String),
            (&[T::Bytes], T::String),
            (&[T::Timestamp], T::String),
            (&[T::Duration], T::String),
            (&[T::Ip], T::String),
            (&[T::Cidr], T::String),
        ],
        call: string,
        doc: "The text form of a value; bytes must be UTF-8.",
        examples: &[("string(1.5)", "'1.5'")],
    },
    Function {
        name: "bytes",
        style: Global,
        overloads: &[(&[T::String], T::Bytes), (&[T::Bytes], T::Bytes)],
        call: bytes,
        doc: "Text as UTF-8 bytes.",
        examples: &[("bytes('a')", "b'a'")],
    },
    Function {
        name: "bool",
        style: Global,
        overloads: &[(&[T::String], T::Bool), (&[T::Bool], T::Bool)],
        call: bool,
        doc: "A bool from text: `true`, `t`, `1`, `false`, `f`, `0`.",
        examples: &[("bool('true')", "true")],
    },
    Function {
        name: "timestamp",
        style: Global,
        overloads: &[(&[T::String], T::Timestamp), (&[T::Int], T::Timestamp), (&[T::Timestamp], T::Timestamp)],
        call: timestamp,
        doc: "A timestamp from RFC 3339 text, or from seconds since 1970.",
        examples: &[("timestamp('1970-01-01T00:00:05Z')", "timestamp(5)")],
    },
    Function {
        name: "duration",
        style: Global,
        overloads: &[(&[T::String], T::Duration), (&[T::Duration], T::Duration), (&[T::Int], T::Duration)],
        call: duration,
        doc: "A duration from text such as `1h30m`, `500ms` or `7d`, or from seconds.",
        examples: &[("duration('1h30m')", "duration('90m')")],
    },
    Function {
        name: "type",
        style: Global,
        overloads: &[(&[T::Any], T::Type)],
        call: type_of,
        doc: "The type of a value.",
        examples: &[("type(1)", "int")],
    },
];

fn range(tag: Tag) -> EvalError {
    Kind::Range(tag).into()
}

fn unreadable(text: &str, what: &str) -> EvalError {
    EvalError::message(format!("`{text}` is not {what}"))
}

fn int(args: &[Val<'_>]) -> Outcome {
    let v = match args.first().and_then(Val::data) {
        Some(Value::Int(v)) => *v,
        Some(Value::Uint(v)) => i64::try_from(*v).map_err(|_| range(Tag::Int))?,
        // The bounds are excluded: as doubles they are no longer the ints they look like.
        Some(Value::Double(v)) if *v > i64::MIN as f64 && *v < i64::MAX as f64 => *v as i64,
        Some(Value::Double(_)) => return Err(range(Tag::Int)),
        Some(Value::Decimal(v)) => i64::try_from(v.trunc()).map_err(|_| range(Tag::Int))?,
        Some(Value::String(v)) => v.parse().map_err(|_| unreadable(v, "an int"))?,
        Some(Value::Timestamp(v)) => i64::try_from(v.as_nanosecond().div_euclid(1_000_000_000)).map_err(|_| range(Tag::Int))?,
        _ => return no_match(),
    };
    Ok(Val::int(v))
}

fn uint(args: &[Val<'_>]) -> Outcome {
    let v = match args.first().and_then(Val::data) {
        Some(Value::Int(v)) => u64::try_from(*v).map_err(|_| range(Tag::Uint))?,
        Some(Value::Uint(v)) => *v,
        Some(Value::Double(v)) if *v >= 0.0 && *v < u64::MAX as f64 => *v as u64,
        Some(Value::Double(_)) => return Err(range(Tag::Uint)),
        Some(Value::Decimal(v)) => u64::try_from(v.trunc()).map_err(|_| range(Tag::Uint))?,
        Some(Value::String(v)) => v.parse().map_err(|_| unreadable(v, "a uint"))?,
        _ => return no_match(),
    };
    Ok(Val::Own(Value::Uint(v)))
}

fn double(args: &[Val<'_>]) -> Outcome {
    let v = match args.first().and_then(Val::data) {
        Some(Value::String(v)) => match v.parse::<f64>() {
            // As in source text, a finite number too large for a double is refused. Infinity itself is written in
            // letters.
            Ok(double) if double.is_finite() || !v.contains(|c: char| c.is_ascii_digit()) => double,
            _ => return Err(unreadable(v, "a double")),
        },
        Some(other) => match other.as_f64() {
            Some(v) => v,
            None => return no_match(),
        },
        None => return no_match(),
    };
    Ok(Val::Own(Value::Double(v)))
}

fn decimal(args: &[Val<'_>]) -> Outcome {
    let v = match args.first().and_then(Val::data) {
        Some(Value::String(v)) => v.parse::<Decimal>().map_err(|wrong| match wrong {
            NotDecimal::NoNumber => unreadable(v, "a decimal such as 12.30"),
            NotDecimal::TooLong => unreadable(v, "a decimal: it has more than 38 digits"),
        })?,
        Some(Value::Double(v)) => Decimal::from_f64(*v).ok_or_else(|| range(Tag::Decimal))?,
        Some(other) => match other.as_decimal() {
            Some(v) => v,
            None => return no_match(),
        },
        None => return no_match(),
    };
    Ok(Val::Own(Value::Decimal(v)))
}

fn string(args: &[Val<'_>]) -> Outcome {
    if let Some(Val::Net(net)) = args.first() {
        return Ok(Val::text(net.to_string()));
    }
    match args.first().and_then(Val::data) {
        Some(v @ Value::String(_)) => Ok(Val::Own(v.clone())),
        Some(Value::Bytes(v)) => match std::str::from_utf8(v) {
            Ok(text) => Ok(Val::text(text)),
            Err(_) => Err(EvalError::message("the bytes are not UTF-8")),
        },
        Some(Value::Null | Value::List(_) | Value::Map(_)) | None => no_match(),
        Some(other) => Ok(Val::text(display::Plain(other).to_string())),
    }
}

fn bytes(args: &[Val<'_>]) -> Outcome {
    match args.first().and_then(Val::data) {
        Some(Value::String(v)) => Ok(Val::Own(Value::Bytes(v.as_bytes().into()))),
        Some(v @ Value::Bytes(_)) => Ok(Val::Own(v.clone())),
        _ => no_match(),
    }
}

fn bool(args: &[Val<'_>]) -> Outcome {
    match args.first().and_then(Val::data) {
        Some(Value::Bool(v)) => Ok(Val::bool(*v)),
        Some(Value::String(v)) => match v.as_str() {
            "1" | "t" | "true" | "TRUE" | "True" => Ok(Val::bool(true)),
            "0" | "f" | "false" | "FALSE" | "False" => Ok(Val::bool(false)),
            other => Err(unreadable(other, "a bool")),
        },
        _ => no_match(),
    }
}

fn timestamp(args: &[Val<'_>]) -> Outcome {
    let v = match args.first().and_then(Val::data) {
        Some(Value::Timestamp(v)) => Value::Timestamp(*v),
        Some(Value::Int(v)) => arith::instant(Timestamp::from_second(*v))?,
        Some(Value::String(v)) => match instant_with_offset(v) {
            Some(t) => arith::instant::<()>(Ok(t))?,
            None => return Err(unreadable(v, "a timestamp such as 2026-01-31T12:00:00Z")),
        },
        _ => return no_match(),
    };
    Ok(Val::Own(v))
}

fn duration(args: &[Val<'_>]) -> Outcome {
    let v = match args.first().and_then(Val::data) {
        Some(Value::Duration(v)) => Value::Duration(*v),
        Some(Value::Int(v)) => arith::span(Some(jiff::SignedDuration::from_secs(*v)))?,
        Some(Value::String(v)) => match spans::parse(v) {
            Some(d) => arith::span(Some(d))?,
            None => return Err(unreadable(v, "a duration such as 1h30m or 500ms")),
        },
        _ => return no_match(),
    };
    Ok(Val::Own(v))
}

fn type_of(args: &[Val<'_>]) -> Outcome {
    args.first().map_or_else(no_match, |v| Ok(Val::Type(v.tag().cel_name())))
}

//! The `math.` functions.

use tidegate_rows::{Rounding, Value};

use super::{Function, Outcome, Style::Global, T, no_match};
use crate::error::{EvalError, Kind, Op, Tag};
use crate::ops;
use crate::val::Val;

const ROUNDING: &[(&[T], T)] = &[(&[T::Double], T::Double), (&[T::Decimal], T::Decimal), (&[T::Decimal, T::Int], T::Decimal)];
const DOUBLE_TEST: &[(&[T], T)] = &[(&[T::Double], T::Bool)];
const BITS: &[(&[T], T)] = &[(&[T::Int, T::Int], T::Int), (&[T::Uint, T::Uint], T::Uint)];
const SHIFT: &[(&[T], T)] = &[(&[T::Int, T::Int], T::Int), (&[T::Uint, T::Int], T::Uint)];
const SAME: &[(&[T], T)] = &[(&[T::Int], T::Int), (&[T::Uint], T::Uint), (&[T::Double], T::Double), (&[T::Decimal], T::Decimal)];
/// Any number of numbers, or a list of them. The checker handles these two functions by name.
const EXTREME: &[(&[T], T)] = &[(&[T::List(&T::A)], T::A)];

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "math.greatest",
        style: Global,
        overloads: EXTREME,
        call: |a| extreme(a, Op::Gt),
        doc: "The greatest of its arguments, or of the elements of a list; NaN if one is NaN.",
        examples: &[("math.greatest(1, 3.5, 2u)", "3.5")],
    },
    Function {
        name: "math.least",
        style: Global,
        overloads: EXTREME,
        call: |a| extreme(a, Op::Lt),
        doc: "The least of its arguments, or of the elements of a list; NaN if one is NaN.",
        examples: &[("math.least([3, 1, 2])", "1")],
    },
    Function {
        name: "math.ceil",
        style: Global,
        overloads: ROUNDING,
        call: |a| round(a, f64::ceil, Rounding::Ceiling),
        doc: "Rounds up; a decimal optionally to a number of digits after the point.",
        examples: &[("math.ceil(1.2)", "2.0")],
    },
    Function {
        name: "math.floor",
        style: Global,
        overloads: ROUNDING,
        call: |a| round(a, f64::floor, Rounding::Floor),
        doc: "Rounds down; a decimal optionally to a number of digits after the point.",
        examples: &[("math.floor(-1.2)", "-2.0")],
    },
    Function {
        name: "math.round",
        style: Global,
        overloads: ROUNDING,
        call: |a| round(a, f64::round, Rounding::Nearest),
        doc: "Rounds to the nearest whole number, halves away from zero; a decimal optionally to a number of digits after the point.",
        examples: &[
            ("math.round(1.5)", "2.0"),
            ("string(math.round(decimal('2.345'), 2))", "'2.35'"),
            ("math.round(decimal('1250'), -2)", "1300"),
        ],
    },
    Function {
        name: "math.trunc",
        style: Global,
        overloads: ROUNDING,
        call: |a| round(a, f64::trunc, Rounding::Down),
        doc: "Rounds towards zero; a decimal optionally to a number of digits after the point.",
        examples: &[("math.trunc(-1.7)", "-1.0")],
    },
    Function {
        name: "math.sqrt",
        style: Global,
        overloads: &[(&[T::Double], T::Double), (&[T::Int], T::Double), (&[T::Uint], T::Double), (&[T::Decimal], T::Double)],
        call: sqrt,
        doc: "The square root as a double; NaN for negative numbers.",
        examples: &[("math.sqrt(9)", "3.0")],
    },
    Function {
        name: "math.abs",
        style: Global,
        overloads: SAME,
        call: abs,
        doc: "The absolute value.",
        examples: &[("math.abs(-2)", "2")],
    },
    Function {
        name: "math.sign",
        style: Global,
        overloads: SAME,
        call: sign,
        doc: "The sign of the number: -1, 0 or 1.",
        examples: &[("math.sign(-2.5)", "-1.0")],
    },
    Function {
        name: "math.isNaN",
        style: Global,
        overloads: DOUBLE_TEST,
        call: |a| test(a, f64::is_nan),
        doc: "Whether the number is NaN, that is, not a number.",
        examples: &[("math.isNaN(0.0 / 0.0)", "true")],
    },
    Function {
        name: "math.isInf",
        style: Global,
        overloads: DOUBLE_TEST,
        call: |a| test(a, f64::is_infinite),
        doc: "Whether the number is infinite.",
        examples: &[("math.isInf(1.0 / 0.0)", "true")],
    },
    Function {
        name: "math.isFinite",
        style: Global,
        overloads: DOUBLE_TEST,
        call: |a| test(a, f64::is_finite),
        doc: "Whether the number is neither infinite nor NaN.",
        examples: &[("math.isFinite(1.5)", "true")],
    },
    Function {
        name: "math.bitAnd",
        style: Global,
        overloads: BITS,
        call: |a| bits(a, |x, y| x & y),
        doc: "The bits set in both.",
        examples: &[("math.bitAnd(6, 3)", "2")],
    },
    Function {
        name: "math.bitOr",
        style: Global,
        overloads: BITS,
        call: |a| bits(a, |x, y| x | y),
        doc: "The bits set in either.",
        examples: &[("math.bitOr(6, 3)", "7")],
    },
    Function {
        name: "math.bitXor",
        style: Global,
        overloads: BITS,
        call: |a| bits(a, |x, y| x ^ y),
        doc: "The bits set in exactly one.",
        examples: &[("math.bitXor(6, 3)", "5")],
    },
    Function {
        name: "math.bitNot",
        style: Global,
        overloads: &[(&[T::Int], T::Int), (&[T::Uint], T::Uint)],
        call: bit_not,
        doc: "The bits flipped.",
        examples: &[("math.bitNot(1)", "-2")],
    },
    Function {
        name: "math.bitShiftLeft",
        style: Global,
        overloads: SHIFT,
        call: |a| shift(a, u64::checked_shl),
        doc: "The bits shifted to the left; the second argument must not be negative.",
        examples: &[("math.bitShiftLeft(1, 4)", "16")],
    },
    Function {
        name: "math.bitShiftRight",
        style: Global,
        overloads: SHIFT,
        call: |a| shift(a, u64::checked_shr),
        doc: "The bits shifted to the right, filled with zeros; the second argument must not be negative.",
        examples: &[("math.bitShiftRight(16, 4)", "1")],
    },
];

fn double(args: &[Val<'_>]) -> Option<f64> {
    match args {
        [value] => match value.data() {
            Some(Value::Double(v)) => Some(*v),
            _ => None,
        },
        _ => None,
    }
}

fn round(args: &[Val<'_>], round: fn(f64) -> f64, rounding: Rounding) -> Outcome {
    let (number, places) = match args {
        [number] => (number.data(), 0),
        [number, places] => match places.data() {
            Some(Value::Int(places)) => (number.data(), *places),
            _ => return no_match(),
        },
        _ => return no_match(),
    };
    match number {
        Some(Value::Double(v)) if args.len() == 1 => Ok(Val::Own(Value::Double(round(*v)))),
        Some(Value::Decimal(v)) => {
            let rounded = v.round(places, rounding).ok_or(EvalError(Kind::Overflow(Tag::Decimal)))?;
            Ok(Val::Own(Value::Decimal(rounded)))
        }
        _ => no_match(),
    }
}

fn test(args: &[Val<'_>], test: fn(f64) -> bool) -> Outcome {
    double(args).map_or_else(no_match, |v| Ok(Val::bool(test(v))))
}

fn sqrt(args: &[Val<'_>]) -> Outcome {
    let number = args.first().and_then(Val::data).and_then(Value::as_f64);
    number.map_or_else(no_match, |v| Ok(Val::Own(Value::Double(v.sqrt()))))
}

fn abs(args: &[Val<'_>]) -> Outcome {
    match args.first().and_then(Val::data) {
        Some(Value::Int(v)) => Ok(Val::int(v.checked_abs().ok_or(EvalError(Kind::Overflow(Tag::Int)))?)),
        Some(Value::Double(v)) => Ok(Val::Own(Value::Double(v.abs()))),
        Some(Value::Decimal(v)) => Ok(Val::Own(Value::Decimal(v.abs()))),
        Some(v @ Value::Uint(_)) => Ok(Val::Own(v.clone())),
        _ => no_match(),
    }
}

fn sign(args: &[Val<'_>]) -> Outcome {
    match args.first().and_then(Val::data) {
        Some(Value::Int(v)) => Ok(Val::int(v.signum())),
        Some(Value::Uint(v)) => Ok(Val::Own(Value::Uint((*v).min(1)))),
        Some(Value::Decimal(v)) => Ok(Val::Own(Value::Decimal((v.units().signum() as i64).into()))),
        // Unlike with `f64::signum`, the sign of zero is zero.
        Some(Value::Double(v)) => Ok(Val::Own(Value::Double(if *v == 0.0 { 0.0 } else { v.signum() }))),
        _ => no_match(),
    }
}

/// Makes a value of one type from its bits.
type FromBits = fn(u64) -> Value;

/// The bits of an int or uint, and how to convert bits back to the same type.
fn as_bits(value: &Val<'_>) -> Option<(u64, FromBits)> {
    match value.data() {
        Some(Value::Int(v)) => Some((v.cast_unsigned(), |v| Value::Int(v.cast_signed()))),
        Some(Value::Uint(v)) => Some((*v, Value::Uint)),
        _ => None,
    }
}

fn bits(args: &[Val<'_>], op: fn(u64, u64) -> u64) -> Outcome {
    match args {
        [a, b] if a.tag() == b.tag() => match (as_bits(a), as_bits(b)) {
            (Some((x, make)), Some((y, _))) => Ok(Val::Own(make(op(x, y)))),
            _ => no_match(),
        },
        _ => no_match(),
    }
}

fn bit_not(args: &[Val<'_>]) -> Outcome {
    args.first().and_then(as_bits).map_or_else(no_match, |(v, make)| Ok(Val::Own(make(!v))))
}

/// Shifts bits, filling with zeros. Shifting by 64 or more gives 0.
fn shift(args: &[Val<'_>], op: fn(u64, u32) -> Option<u64>) -> Outcome {
    match args {
        [value, by] => match (as_bits(value), by.data()) {
            (Some(_), Some(Value::Int(by))) if *by < 0 => Err(EvalError::message(format!("negative offset: {by}"))),
            (Some((v, make)), Some(Value::Int(by))) => Ok(Val::Own(make(u32::try_from(*by).ok().and_then(|by| op(v, by)).unwrap_or(0)))),
            _ => no_match(),
        },
        _ => no_match(),
    }
}

/// The greatest or the least argument; the first among equal ones.
fn extreme(args: &[Val<'_>], better: Op) -> Outcome {
    let list = match args {
        [one] => one.items(),
        _ => None,
    };
    let candidates: Vec<Val<'_>> = match list {
        Some(items) => items.iter().collect(),
        None => args.iter().map(Val::reborrow).collect(),
    };
    let mut best: Option<&Val<'_>> = None;
    for candidate in &candidates {
        if candidate.data().and_then(Value::as_f64).is_none() {
            return no_match();
        }
        match best {
            Some(held) if !ops::replaces(better, candidate, held)? => {}
            _ => best = Some(candidate),
        }
    }
    best.map_or_else(no_match, |v| Ok(v.clone().into_static()))
}

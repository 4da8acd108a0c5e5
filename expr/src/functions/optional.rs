//! Optional values: `optional.of(x)`, `.or`, `.orValue`, `.value`, `.hasValue`.

use tidegate_rows::Value;

use super::{Function, Outcome, Style, T, no_match};
use crate::error::Kind;
use crate::val::Val;

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "optional.none",
        style: Style::Global,
        overloads: &[(&[], T::Optional(&T::Any))],
        call: none,
        doc: "An empty optional.",
        examples: &[("optional.none().hasValue()", "false")],
    },
    Function {
        name: "optional.of",
        style: Style::Global,
        overloads: &[(&[T::A], T::Optional(&T::A))],
        call: of,
        doc: "An optional that holds the value.",
        examples: &[("optional.of(1).value()", "1")],
    },
    Function {
        name: "optional.ofNonZeroValue",
        style: Style::Global,
        overloads: &[(&[T::A], T::Optional(&T::A))],
        call: of_non_zero,
        doc: "An optional that holds the value, or an empty one if the value is null, false, zero or empty.",
        examples: &[("optional.ofNonZeroValue('').hasValue()", "false")],
    },
    Function {
        name: "hasValue",
        style: Style::Member,
        overloads: &[(&[T::Optional(&T::A)], T::Bool)],
        call: has_value,
        doc: "Whether the optional holds a value.",
        examples: &[("optional.of(1).hasValue()", "true")],
    },
    Function {
        name: "value",
        style: Style::Member,
        overloads: &[(&[T::Optional(&T::A)], T::A)],
        call: value,
        doc: "The value in the optional; an error if it is empty.",
        examples: &[("optional.of(1).value()", "1")],
    },
    Function {
        name: "or",
        style: Style::Member,
        overloads: &[(&[T::Optional(&T::A), T::Optional(&T::A)], T::Optional(&T::A))],
        call: or,
        doc: "The optional if it holds a value, else the other.",
        examples: &[("optional.none().or(optional.of(2)).value()", "2")],
    },
    Function {
        name: "orValue",
        style: Style::Member,
        overloads: &[(&[T::Optional(&T::A), T::A], T::A)],
        call: or_value,
        doc: "The value in the optional, or the other value if it is empty.",
        examples: &[("optional.none().orValue(3)", "3")],
    },
];

fn none(_: &[Val<'_>]) -> Outcome {
    Ok(Val::Optional(None))
}

fn of(args: &[Val<'_>]) -> Outcome {
    args.first().map_or_else(no_match, |v| Ok(Val::some(v.clone())))
}

fn of_non_zero(args: &[Val<'_>]) -> Outcome {
    let Some(value) = args.first() else { return no_match() };
    let zero = match value.data() {
        Some(Value::Null | Value::Bool(false) | Value::Int(0) | Value::Uint(0)) => true,
        Some(Value::Double(v)) => *v == 0.0,
        Some(Value::String(v)) => v.is_empty(),
        Some(Value::Bytes(v)) => v.is_empty(),
        Some(Value::List(v)) => v.is_empty(),
        Some(Value::Map(v)) => v.is_empty(),
        Some(Value::Duration(v)) => v.is_zero(),
        Some(_) => false,
        None => matches!(value, Val::Optional(None)),
    };
    if zero { Ok(Val::Optional(None)) } else { of(args) }
}

fn has_value(args: &[Val<'_>]) -> Outcome {
    match args.first() {
        Some(Val::Optional(inner)) => Ok(Val::bool(inner.is_some())),
        _ => no_match(),
    }
}

fn value(args: &[Val<'_>]) -> Outcome {
    match args.first() {
        Some(Val::Optional(Some(inner))) => Ok((**inner).clone()),
        Some(Val::Optional(None)) => Err(Kind::EmptyOptional.into()),
        _ => no_match(),
    }
}

fn or(args: &[Val<'_>]) -> Outcome {
    match args {
        [Val::Optional(a), Val::Optional(b)] => Ok(Val::Optional(a.clone().or_else(|| b.clone()))),
        _ => no_match(),
    }
}

fn or_value(args: &[Val<'_>]) -> Outcome {
    match args {
        [Val::Optional(Some(inner)), _] => Ok((**inner).clone()),
        [Val::Optional(None), other] => Ok(other.clone().into_static()),
        _ => no_match(),
    }
}

//! Sizes, and the functions of lists: rearrangements and aggregates, which skip nulls and return null if nothing
//! remains.

use tidegate_rows::{Decimal, DecimalSum, Value};

use super::{Function, Outcome, Style, T, no_match};
use crate::arith::{self, bounded_list};
use crate::error::{EvalError, Op};
use crate::ops;
use crate::val::{Items, Val};

const ELEMENT: &[(&[T], T)] = &[(&[T::List(&T::A)], T::A)];
const DOUBLE: &[(&[T], T)] = &[(&[T::List(&T::Any)], T::Double)];
const SAME: &[(&[T], T)] = &[(&[T::List(&T::A)], T::List(&T::A))];

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "size",
        style: Style::Either,
        overloads: &[(&[T::String], T::Int), (&[T::Bytes], T::Int), (&[T::List(&T::Any)], T::Int), (&[T::Map], T::Int)],
        call: size,
        doc: "The number of characters, bytes, elements or entries.",
        examples: &[("size('abc')", "3"), ("[1, 2].size()", "2")],
    },
    Function {
        name: "first",
        style: Style::Either,
        overloads: ELEMENT,
        call: |a| element(a, |items| items.get(0)),
        doc: "The first element, or null if there is none.",
        examples: &[("[1, 2].first()", "1"), ("[].first()", "null")],
    },
    Function {
        name: "last",
        style: Style::Either,
        overloads: ELEMENT,
        call: |a| element(a, |items| items.len().checked_sub(1).and_then(|i| items.get(i))),
        doc: "The last element, or null if there is none.",
        examples: &[("[1, 2].last()", "2")],
    },
    Function {
        name: "count",
        style: Style::Either,
        overloads: &[(&[T::List(&T::Any)], T::Int)],
        call: count,
        doc: "The number of elements that are not null.",
        examples: &[("[1, null, 2].count()", "2")],
    },
    Function {
        name: "sum",
        style: Style::Either,
        overloads: ELEMENT,
        call: sum,
        doc: "The sum of numbers or durations, ignoring nulls; 0 if there are none.",
        examples: &[("sum([1, null, 2])", "3"), ("sum([])", "0")],
    },
    Function {
        name: "min",
        style: Style::Either,
        overloads: ELEMENT,
        call: |a| extreme(a, Op::Lt),
        doc: "The least element, ignoring nulls; null if there is none, and NaN if one is NaN.",
        examples: &[("min([2, 1])", "1")],
    },
    Function {
        name: "max",
        style: Style::Either,
        overloads: ELEMENT,
        call: |a| extreme(a, Op::Gt),
        doc: "The greatest element, ignoring nulls; null if there is none, and NaN if one is NaN.",
        examples: &[("[2, 3.5].max()", "3.5")],
    },
    Function {
        name: "avg",
        style: Style::Either,
        overloads: DOUBLE,
        call: avg,
        doc: "The mean of the numbers as a double, ignoring nulls; of decimals, even mixed with ints, as a decimal exact to 38 digits. Null if there are none.",
        examples: &[("avg([1, 2])", "1.5"), ("avg([])", "null")],
    },
    Function {
        name: "stddev",
        style: Style::Either,
        overloads: DOUBLE,
        call: stddev,
        doc: "The population standard deviation of the numbers, or null if there are none.",
        examples: &[("stddev([2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0])", "2.0")],
    },
    Function {
        name: "reverse",
        style: Style::Member,
        overloads: &[(&[T::String], T::String), (&[T::List(&T::A)], T::List(&T::A))],
        call: reverse,
        doc: "The characters or elements in reverse order.",
        examples: &[("'abc'.reverse()", "'cba'"), ("[1, 2].reverse()", "[2, 1]")],
    },
    Function {
        name: "distinct",
        style: Style::Member,
        overloads: SAME,
        call: distinct,
        doc: "The elements without repetitions, in order of first occurrence; at most 4,096 different ones.",
        examples: &[("[1, 2, 1].distinct()", "[1, 2]")],
    },
    Function {
        name: "sort",
        style: Style::Member,
        overloads: SAME,
        call: sort,
        doc: "The elements in ascending order; they must be of one kind.",
        examples: &[("[3, 1, 2].sort()", "[1, 2, 3]")],
    },
    Function {
        name: "slice",
        style: Style::Member,
        overloads: &[(&[T::List(&T::A), T::Int, T::Int], T::List(&T::A))],
        call: slice,
        doc: "The elements from one index up to, but not including, another.",
        examples: &[("[1, 2, 3].slice(1, 3)", "[2, 3]")],
    },
    Function {
        name: "flatten",
        style: Style::Member,
        overloads: &[(&[T::List(&T::Any)], T::List(&T::Any)), (&[T::List(&T::Any), T::Int], T::List(&T::Any))],
        call: flatten,
        doc: "The list with nested lists replaced by their elements, one level deep or to the given depth.",
        examples: &[("[1, [2, [3]]].flatten()", "[1, 2, [3]]")],
    },
    Function {
        name: "lists.range",
        style: Style::Global,
        overloads: &[(&[T::Int], T::List(&T::Int))],
        call: range,
        doc: "The ints from 0 up to, but not including, a number.",
        examples: &[("lists.range(3)", "[0, 1, 2]")],
    },
];

fn items<'a>(args: &'a [Val<'_>]) -> Option<Items<'a>> {
    match args {
        [list] => list.items(),
        _ => None,
    }
}

fn size(args: &[Val<'_>]) -> Outcome {
    let [value] = args else { return no_match() };
    let size = match value.data() {
        Some(Value::String(text)) => text.chars().count(),
        Some(Value::Bytes(bytes)) => bytes.len(),
        _ => match (value.items(), value.entries()) {
            (Some(items), _) => items.len(),
            (_, Some(entries)) => entries.len(),
            _ => return no_match(),
        },
    };
    Ok(Val::int(size as i64))
}

fn element(args: &[Val<'_>], pick: impl Fn(Items<'_>) -> Option<Val<'_>>) -> Outcome {
    match items(args) {
        Some(items) => Ok(pick(items).map_or(Val::NULL, Val::into_static)),
        None => no_match(),
    }
}

fn is_null(value: &Val<'_>) -> bool {
    matches!(value.data(), Some(Value::Null))
}

fn count(args: &[Val<'_>]) -> Outcome {
    items(args).map_or_else(no_match, |items| Ok(Val::int(items.iter().filter(|v| !is_null(v)).count() as i64)))
}

fn sum(args: &[Val<'_>]) -> Outcome {
    let Some(items) = items(args) else { return no_match() };
    let mut total: Option<Val<'static>> = None;
    for item in items.iter().filter(|v| !is_null(v)) {
        if !matches!(item.data(), Some(Value::Int(_) | Value::Uint(_) | Value::Double(_) | Value::Decimal(_) | Value::Duration(_))) {
            return no_match();
        }
        total = Some(match total {
            Some(total) => arith::values(Op::Add, &total, &item)?,
            None => item.into_static(),
        });
    }
    Ok(total.unwrap_or(Val::int(0)))
}

fn extreme(args: &[Val<'_>], better: Op) -> Outcome {
    let Some(items) = items(args) else { return no_match() };
    let mut best: Option<Val<'_>> = None;
    for item in items.iter().filter(|v| !is_null(v)) {
        match &best {
            Some(held) if !ops::replaces(better, &item, held)? => {}
            _ => best = Some(item),
        }
    }
    Ok(best.map_or(Val::NULL, Val::into_static))
}

/// The numbers of a list, without nulls.
fn numbers(args: &[Val<'_>]) -> Option<Vec<f64>> {
    items(args)?.iter().filter(|v| !is_null(v)).map(|v| v.data().and_then(Value::as_f64)).collect()
}

fn mean(numbers: &[f64]) -> f64 {
    numbers.iter().sum::<f64>() / numbers.len() as f64
}

/// The mean of a list of ints and decimals that has at least one decimal.
fn decimal_mean(args: &[Val<'_>]) -> Option<Decimal> {
    let items = items(args)?;
    if !items.iter().any(|v| matches!(v.data(), Some(Value::Decimal(_)))) {
        return None;
    }
    let (mut sum, mut count) = (DecimalSum::default(), 0);
    for item in items.iter().filter(|v| !is_null(v)) {
        sum.add(item.data()?.as_decimal()?);
        count += 1;
    }
    sum.divided_by(count)
}

fn avg(args: &[Val<'_>]) -> Outcome {
    if let Some(mean) = decimal_mean(args) {
        return Ok(Val::Own(Value::Decimal(mean)));
    }
    match numbers(args) {
        Some(numbers) if numbers.is_empty() => Ok(Val::NULL),
        Some(numbers) => Ok(Val::Own(Value::Double(mean(&numbers)))),
        None => no_match(),
    }
}

/// The population standard deviation.
fn stddev(args: &[Val<'_>]) -> Outcome {
    match numbers(args) {
        Some(numbers) if numbers.is_empty() => Ok(Val::NULL),
        Some(numbers) => {
            let mean = mean(&numbers);
            let variance = numbers.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / numbers.len() as f64;
            Ok(Val::Own(Value::Double(variance.sqrt())))
        }
        None => no_match(),
    }
}

fn reverse(args: &[Val<'_>]) -> Outcome {
    if let [text] = args
        && let Some(Value::String(text)) = text.data()
    {
        return Ok(Val::text(text.chars().rev().collect::<String>()));
    }
    items(args).map_or_else(no_match, |items| Ok(Val::list(items.iter().rev().collect())))
}

/// `distinct` compares elements pairwise, so it refuses lists with more distinct elements than this.
const PAIRWISE: usize = 4096;

fn distinct(args: &[Val<'_>]) -> Outcome {
    let Some(items) = items(args) else { return no_match() };
    let mut kept: Vec<Val<'_>> = Vec::new();
    for item in items.iter() {
        if !kept.iter().any(|held| ops::equal(held, &item)) {
            kept.push(item);
        }
        if kept.len() > PAIRWISE {
            return Err(EvalError::message(format!("distinct() takes at most {PAIRWISE} different elements")));
        }
    }
    Ok(Val::list(kept))
}

fn sort(args: &[Val<'_>]) -> Outcome {
    let Some(items) = items(args) else { return no_match() };
    let mut sorted: Vec<Val<'_>> = items.iter().collect();
    // Comparing every element with the first shows whether they can be ordered at all.
    for item in &sorted {
        ops::compare(Op::Lt, &sorted[0], item)?;
    }
    sorted.sort_by(|a, b| match (a.data(), b.data()) {
        (Some(a), Some(b)) => a.total_cmp(b),
        _ => std::cmp::Ordering::Equal,
    });
    Ok(Val::list(sorted))
}

fn slice(args: &[Val<'_>]) -> Outcome {
    let [list, start, end] = args else { return no_match() };
    match (list.items(), start.data(), end.data()) {
        (Some(items), Some(Value::Int(start)), Some(Value::Int(end))) => {
            let range = usize::try_from(*start).ok().zip(usize::try_from(*end).ok());
            match range {
                Some((from, to)) if from <= to && to <= items.len() => Ok(Val::list((from..to).filter_map(|i| items.get(i)).collect())),
                _ => Err(EvalError::message(format!("invalid slice of {} elements: start {start}, end {end}", items.len()))),
            }
        }
        _ => no_match(),
    }
}

fn flatten(args: &[Val<'_>]) -> Outcome {
    let depth = match args.get(1).map(Val::data) {
        None => 1,
        Some(Some(Value::Int(depth))) if *depth >= 0 => (*depth).min(64),
        _ => return no_match(),
    };
    let Some(items) = args.first().and_then(Val::items) else { return no_match() };
    let mut flat = Vec::new();
    flatten_into(items, depth, &mut flat)?;
    Ok(Val::list(flat))
}

fn flatten_into<'a>(items: Items<'a>, depth: i64, flat: &mut Vec<Val<'a>>) -> Result<(), EvalError> {
    for item in items.iter() {
        match item {
            Val::Ref(Value::List(inner)) if depth > 0 => flatten_into(Items::Plain(inner), depth - 1, flat)?,
            other => flat.push(other),
        }
        bounded_list(flat.len())?;
    }
    Ok(())
}

fn range(args: &[Val<'_>]) -> Outcome {
    match args.first().and_then(Val::data) {
        Some(Value::Int(end)) => {
            bounded_list(usize::try_from(*end).unwrap_or(0))?;
            Ok(Val::Own(Value::list((0..*end).map(Value::Int))))
        }
        _ => no_match(),
    }
}

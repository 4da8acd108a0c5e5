//! The functions of indicators: those of windows, and those that only make sense as of a record.

use std::fmt::Write;

use tidegate_expr::{Arg, Call, Expr, form_of, nearest, parse_call};
use tidegate_rows::{Schema, Type};

use super::column::Fold;
use crate::aggregate::{self, Function, Takes};
use crate::relation::expression::located;
use crate::text::{Problem, Spanned};

/// What is known about a function without a call.
struct About {
    name: &'static str,
    call: &'static str,
    returns: &'static str,
}

/// The functions that windows do not have.
const OWN: [About; 11] = [
    About { name: "mode", call: "mode(x)", returns: "the most frequent value; of equal counts the lesser value" },
    About { name: "ratio", call: "ratio(x > 0)", returns: "the share of records for which the condition holds; null of none" },
    About { name: "streak", call: "streak(x > 0)", returns: "for how many of the newest records in a row the condition holds" },
    About { name: "is_new", call: "is_new(x)", returns: "whether no earlier record has this record's value; null if it is null" },
    About { name: "previous", call: "previous(x)", returns: "the value of the newest earlier record" },
    About { name: "delta", call: "delta(x)", returns: "this record's value less that of the newest earlier record; a duration for times" },
    About { name: "time_since_last", call: "time_since_last()", returns: "the time since the newest earlier record, as a duration" },
    About { name: "time_since_first", call: "time_since_first()", returns: "the time since the oldest record, as a duration" },
    About { name: "zscore", call: "zscore(x)", returns: "by how many standard deviations this record's value is above the mean of the earlier ones; null of fewer than two, or if they are equal" },
    About { name: "travel_distance", call: "travel_distance(lat, lon)", returns: "the distance in metres from the last known place before" },
    About { name: "travel_speed", call: "travel_speed(lat, lon)", returns: "the speed in km/h from the last known place before; no time counts as a millisecond" },
];

/// What an indicator computes.
#[derive(Clone, Debug)]
pub(super) enum What {
    /// The number of records.
    Count,
    /// The number of values that are not null.
    CountOf,
    /// A function with a small accumulator.
    Fold(Function, Fold),
    First,
    Last,
    Distinct,
    Collect,
    /// A function of all values.
    Gather(Function),
    /// The first of `top(x, 1)`.
    Mode(Function),
    IsNew,
    Previous,
    /// By this expression, over the earlier value and this one.
    Delta(Expr),
    SinceLast,
    SinceFirst,
    Ratio,
    Streak,
    /// By the mean and the standard deviation.
    Zscore { mean: (Function, Fold), deviation: (Function, Fold) },
    /// By this expression, over the latitude and longitude of both places.
    TravelDistance(Expr),
    TravelSpeed(Expr),
}

impl What {
    /// Whether it compares the record with what came before it. Then the record never takes a place in the span itself.
    pub(super) fn looks_back(&self) -> bool {
        matches!(
            self,
            Self::IsNew
                | Self::Previous
                | Self::Delta(_)
                | Self::SinceLast
                | Self::Zscore { .. }
                | Self::TravelDistance(_)
                | Self::TravelSpeed(_)
        )
    }

    /// Whether it needs the first or the last value of its span.
    pub(super) fn needs_ends(&self) -> bool {
        matches!(self, Self::First | Self::Last | Self::TravelDistance(_) | Self::TravelSpeed(_))
    }

    /// Whether it needs all items of its span, whatever their number.
    pub(super) fn needs_items(&self) -> bool {
        matches!(self, Self::Collect | Self::Gather(_) | Self::Mode(_))
    }
}

/// What a record leaves in the history of an indicator.
#[derive(Clone, Debug)]
pub(super) enum Leaves {
    /// Its time.
    Time,
    /// A value. If it must be a number, and its type does not say so, it is checked.
    Value { value: Expr, checked: bool },
    /// A value in the one form of all that are equal to it.
    Form(Expr),
    /// A value to be told apart from others.
    Distinct(Expr),
    /// Whether a condition holds.
    Flag(Expr),
    /// A latitude and a longitude.
    Place(Expr, Expr),
}

impl Leaves {
    /// What tells it from others in a savepoint.
    pub(super) fn kept(&self) -> (String, String) {
        let of = |what: &str, value: &Expr| (format!("{what}({})", value.source().trim()), value.ty().to_string());
        match self {
            Self::Time => ("times".to_owned(), "time".to_owned()),
            Self::Value { value, checked: false } => of("values", value),
            Self::Value { value, checked: true } => of("numbers", value),
            Self::Form(value) => of("forms", value),
            Self::Distinct(value) => of("distinct", value),
            Self::Flag(value) => of("conditions", value),
            Self::Place(lat, lon) => (format!("places({}, {})", lat.source().trim(), lon.source().trim()), "place".to_owned()),
        }
    }
}

/// A compiled call.
pub(super) struct Compiled {
    pub(super) what: What,
    pub(super) leaves: Leaves,
    pub(super) ty: Type,
}

/// Compiles the call of an indicator over rows of `schema`.
pub(super) fn compile(text: &Spanned<String>, schema: &Schema) -> Result<Compiled, Vec<Problem>> {
    let call = parse_call(&text.value).map_err(|found| found.into_iter().map(|p| located(text, 0, p)).collect::<Vec<_>>())?;
    match OWN.iter().find(|about| about.name == call.name) {
        Some(about) => own(about, text, &call, schema),
        None if Function::names().any(|name| name == call.name) => windowed(text, schema),
        None => Err(vec![unknown(text, &call)]),
    }
}

fn unknown(text: &Spanned<String>, call: &Call) -> Problem {
    let names = || Function::names().chain(OWN.iter().map(|about| about.name));
    let mut problem = text.problem_at(call.name_span.clone(), format!("there is no indicator `{}`", call.name));
    problem.nearest = nearest(&call.name, names());
    if problem.nearest.is_none() {
        let names: Vec<String> = names().map(|name| format!("`{name}`")).collect();
        problem.message.push_str(&format!("; there are {}", names.join(", ")));
    }
    problem
}

/// A function that windows have, too.
fn windowed(text: &Spanned<String>, schema: &Schema) -> Result<Compiled, Vec<Problem>> {
    let (compiled, ty) = aggregate::compile(text, None, schema)?;
    let (function, argument) = compiled.into_parts();
    let about = function.about();
    let Some(value) = argument else { return Ok(Compiled { what: What::Count, leaves: Leaves::Time, ty }) };
    let numbers = about.takes() == Takes::Numbers;
    let what = match about.name() {
        "count" => What::CountOf,
        "first" => What::First,
        "last" => What::Last,
        "count_distinct" => What::Distinct,
        "collect" => What::Collect,
        name => match Fold::of(name) {
            Some(fold) => What::Fold(function, fold),
            None => What::Gather(function),
        },
    };
    let leaves = match what {
        What::Distinct => Leaves::Distinct(value),
        What::Gather(_) if !numbers && form_of(value.ty()).is_some() => Leaves::Form(value),
        _ => Leaves::Value { checked: numbers && *value.ty() == Type::Any, value },
    };
    Ok(Compiled { what, leaves, ty })
}

/// A function that only indicators have.
fn own(about: &About, text: &Spanned<String>, call: &Call, schema: &Schema) -> Result<Compiled, Vec<Problem>> {
    let expected = parse_call(about.call).map_or(0, |usage| usage.args.len());
    if call.args.len() != expected {
        let message = format!("`{}` is called as {}", call.name, about.call);
        return Err(vec![text.problem_at(call.name_span.clone(), message)]);
    }
    let at = |arg: &Arg| arg.span.start;
    let value = |arg: &Arg| Expr::compile(&arg.source, schema).map_err(|found| placed(text, at(arg), found));
    let condition = |arg: &Arg| Expr::condition(&arg.source, schema).map_err(|found| placed(text, at(arg), found));
    let wrong = |arg: &Arg, wanted: &str, ty: &Type| {
        vec![text.problem_at(arg.span.clone(), format!("`{}` is over {wanted}, and this is of type {ty}", about.name))]
    };
    let number = |arg: &Arg| {
        let value = value(arg)?;
        if Takes::Numbers.check_type(value.ty()).is_err() { Err(wrong(arg, "numbers", value.ty())) } else { Ok(value) }
    };
    let args: Vec<&Arg> = call.args.iter().collect();
    let checked = |value: Expr| Leaves::Value { checked: *value.ty() == Type::Any, value };
    let (what, leaves, ty) = match (about.name, args.as_slice()) {
        ("time_since_last", _) => (What::SinceLast, Leaves::Time, Type::Duration),
        ("time_since_first", _) => (What::SinceFirst, Leaves::Time, Type::Duration),
        ("ratio", [arg]) => (What::Ratio, Leaves::Flag(condition(arg)?), Type::Double),
        ("streak", [arg]) => (What::Streak, Leaves::Flag(condition(arg)?), Type::Int),
        ("is_new", [arg]) => (What::IsNew, Leaves::Distinct(value(arg)?), Type::Bool),
        ("previous", [arg]) => {
            let value = value(arg)?;
            let ty = value.ty().clone();
            (What::Previous, Leaves::Value { value, checked: false }, ty)
        }
        ("mode", [arg]) => {
            let value = value(arg)?;
            let ty = value.ty().clone();
            let top = Function::new("top", &ty, "1").and_then(Result::ok).ok_or_else(Vec::new)?;
            let leaves = if form_of(&ty).is_some() { Leaves::Form(value) } else { Leaves::Value { value, checked: false } };
            (What::Mode(top), leaves, ty)
        }
        ("delta", [arg]) => {
            let value = value(arg)?;
            let ty = value.ty().clone();
            if !matches!(ty, Type::Int | Type::Uint | Type::Double | Type::Decimal | Type::Any | Type::Timestamp | Type::Duration) {
                return Err(wrong(arg, "numbers or times", &ty));
            }
            let difference = Expr::compile("after - before", &Schema::new([("before", ty.clone()), ("after", ty)])).map_err(|_| Vec::new())?;
            let ty = difference.ty().clone();
            (What::Delta(difference), Leaves::Value { value, checked: false }, ty)
        }
        ("zscore", [arg]) => {
            let value = number(arg)?;
            let function = |name: &str| Function::new(name, value.ty(), "").and_then(Result::ok).zip(Fold::of(name)).ok_or_else(Vec::new);
            (What::Zscore { mean: function("avg")?, deviation: function("stddev")? }, checked(value), Type::Double)
        }
        ("travel_distance" | "travel_speed", [lat, lon]) => {
            let (lat, lon) = (number(lat)?, number(lon)?);
            let places = ["a", "b", "c", "d"].map(|name| (name, Type::Double));
            let distance = Expr::compile("geo_distance(a, b, c, d)", &Schema::new(places)).map_err(|_| Vec::new())?;
            let what = if about.name == "travel_speed" { What::TravelSpeed(distance) } else { What::TravelDistance(distance) };
            (what, Leaves::Place(lat, lon), Type::Double)
        }
        _ => return Err(Vec::new()),
    };
    Ok(Compiled { what, leaves, ty })
}

fn placed(text: &Spanned<String>, at: usize, found: Vec<tidegate_expr::Problem>) -> Vec<Problem> {
    found.into_iter().map(|problem| located(text, at, problem)).collect()
}

/// All functions of indicators as a table in Markdown: how each is called, and what it returns.
#[must_use]
pub fn reference() -> String {
    let mut text = aggregate::reference();
    for about in &OWN {
        let _ = writeln!(text, "| `{}` | {} |", about.call, about.returns);
    }
    text
}

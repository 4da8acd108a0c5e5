//! The aggregate functions: their names, arguments and results.

use tidegate_rows::{Schema, Type, Value};

use super::Compiled;
use crate::relation::expression::{condition as compiled, located};
use crate::text::{Problem as FileProblem, Spanned};
use crate::yaml::foreign;
use tidegate_expr::{Call, Expr, nearest, parse_call};

/// An aggregate function with its constant arguments.
#[derive(Clone, Debug, PartialEq)]
pub enum Function {
    /// The number of records, or of those whose argument isn't null.
    Count,
    /// The sum: for ints an int, for decimals a decimal (a double if that overflows), for doubles a double. 0 if
    /// there are no values.
    Sum(Numbers),
    /// The mean: for decimals a decimal, otherwise a double.
    Avg(Numbers),
    /// The least value.
    Min,
    /// The greatest value.
    Max,
    /// The value of the record with the least event time; among equal times, the first in order.
    First,
    /// The value of the record with the greatest event time; among equal times, the last in order.
    Last,
    /// The exact number of distinct values.
    CountDistinct,
    /// All values in order, including nulls.
    Collect,
    /// The sample standard deviation. Null for fewer than two values.
    Stddev,
    /// The sample variance. Null for fewer than two values.
    Variance,
    /// The exact quantile at this fraction (0 to 1), interpolated between the nearest ranks.
    Quantile(f64),
    /// The most frequent values with their counts, at most this many.
    Top(usize),
}

/// The statically known type of the numbers in a sum or mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    /// Ints or uints.
    Ints,
    /// Doubles.
    Doubles,
    /// Decimals.
    Decimals,
    /// Values of any type.
    Any,
}

impl From<&Type> for Numbers {
    fn from(ty: &Type) -> Self {
        match ty {
            Type::Int | Type::Uint => Self::Ints,
            Type::Double => Self::Doubles,
            Type::Decimal => Self::Decimals,
            _ => Self::Any,
        }
    }
}

/// The name, the function (with a placeholder constant), the argument counts, and how it is called.
const FUNCTIONS: &[(&str, Function, std::ops::RangeInclusive<usize>, &str)] = &[
    ("count", Function::Count, 0..=1, "count() or count(x)"),
    ("sum", Function::Sum(Numbers::Any), 1..=1, "sum(x)"),
    ("avg", Function::Avg(Numbers::Any), 1..=1, "avg(x)"),
    ("min", Function::Min, 1..=1, "min(x)"),
    ("max", Function::Max, 1..=1, "max(x)"),
    ("first", Function::First, 1..=1, "first(x)"),
    ("last", Function::Last, 1..=1, "last(x)"),
    ("count_distinct", Function::CountDistinct, 1..=1, "count_distinct(x)"),
    ("collect", Function::Collect, 1..=1, "collect(x)"),
    ("stddev", Function::Stddev, 1..=1, "stddev(x)"),
    ("variance", Function::Variance, 1..=1, "variance(x)"),
    ("quantile", Function::Quantile(0.0), 2..=2, "quantile(x, 0.99)"),
    ("top", Function::Top(0), 2..=2, "top(x, 10)"),
];

impl Function {
    /// The name of its accumulator. Functions that share a kind of accumulator share the name.
    pub(super) fn kept(&self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Sum(_) => "sum",
            Self::Avg(_) => "avg",
            Self::Min => "min",
            Self::Max => "max",
            Self::First => "first",
            Self::Last => "last",
            Self::CountDistinct => "count_distinct",
            Self::Collect => "collect",
            // The standard deviation is the root of the variance.
            Self::Stddev | Self::Variance => "variance",
            Self::Quantile(_) => "quantile",
            Self::Top(_) => "top",
        }
    }

    /// Whether it takes null values into account.
    pub(super) fn takes_null(&self) -> bool {
        matches!(self, Self::Collect)
    }

    fn needs_number(&self) -> bool {
        matches!(self, Self::Sum(_) | Self::Avg(_) | Self::Stddev | Self::Variance | Self::Quantile(_))
    }

    /// Checks that the function accepts this value. Called for every value, because a field may be of any type.
    pub(super) fn check(&self, value: &Value) -> Result<(), String> {
        if self.needs_number() && value.as_f64().is_none() {
            return Err(format!("expected a number, found {}", value.type_of()));
        }
        Ok(())
    }

    /// The result type for an argument of type `argument`.
    #[must_use]
    pub fn result(&self, argument: &Type) -> Type {
        match self {
            Self::Count | Self::CountDistinct => Type::Int,
            Self::Avg(Numbers::Decimals) => Type::Decimal,
            Self::Avg(_) | Self::Stddev | Self::Variance | Self::Quantile(_) => Type::Double,
            Self::Sum(_) if *argument == Type::Uint => Type::Int,
            Self::Sum(_) | Self::Min | Self::Max | Self::First | Self::Last => argument.clone(),
            Self::Collect => Type::List(Box::new(argument.clone())),
            Self::Top(_) => Type::List(Box::new(Type::map())),
        }
    }
}

/// Compiles an aggregate call such as `quantile(amount, 0.99)` for a stream. Also returns the type of the result.
///
/// # Errors
/// Everything that is wrong with the call.
pub fn compile(call: &Spanned<String>, condition: Option<&Spanned<String>>, schema: &Schema) -> Result<(Compiled, Type), Vec<FileProblem>> {
    let mut problems = Vec::new();
    let condition = condition.and_then(|text| compiled(text, schema, &mut problems));
    let function = match parse_call(&call.value) {
        Ok(parsed) => function(call, &parsed, schema, &mut problems),
        Err(found) => {
            problems.extend(found.into_iter().map(|p| located(call, 0, p)));
            None
        }
    };
    match function {
        Some((function, argument)) if problems.is_empty() => {
            let ty = function.result(argument.as_ref().map_or(&Type::Int, Expr::ty));
            Ok((Compiled { function, argument, condition }, ty))
        }
        _ => Err(problems),
    }
}

fn function(text: &Spanned<String>, call: &Call, schema: &Schema, problems: &mut Vec<FileProblem>) -> Option<(Function, Option<Expr>)> {
    let Some((_, function, arity, usage)) = FUNCTIONS.iter().find(|(name, ..)| *name == call.name) else {
        let mut problem = text.problem_at(call.name_span.clone(), format!("there is no aggregate `{}`", call.name));
        let foreign = || foreign::aggregate(&call.name).map(str::to_owned);
        problem.nearest = nearest(&call.name, FUNCTIONS.iter().map(|(name, ..)| *name)).or_else(foreign);
        if problem.nearest.is_none() {
            let names: Vec<String> = FUNCTIONS.iter().map(|(name, ..)| format!("`{name}`")).collect();
            problem.message.push_str(&format!("; there are {}", names.join(", ")));
        }
        problems.push(problem);
        return None;
    };
    if !arity.contains(&call.args.len()) {
        problems.push(text.problem_at(call.name_span.clone(), format!("`{}` is called as {usage}", call.name)));
        return None;
    }
    let argument = match call.args.first() {
        None => None,
        Some(arg) => match Expr::compile(&arg.source, schema) {
            Ok(expr) => Some(expr),
            Err(found) => {
                problems.extend(found.into_iter().map(|p| located(text, arg.span.start, p)));
                return None;
            }
        },
    };
    if let (Some(expr), Some(arg)) = (&argument, call.args.first())
        && function.needs_number()
        && !matches!(expr.ty(), Type::Int | Type::Uint | Type::Double | Type::Decimal | Type::Any)
    {
        let message = format!("`{}` is over numbers, and this is of type {}", call.name, expr.ty());
        problems.push(text.problem_at(arg.span.clone(), message));
        return None;
    }
    let function = match (function, call.args.get(1)) {
        (Function::Quantile(_), Some(arg)) => match arg.source.trim().parse::<f64>() {
            Ok(q) if (0.0..=1.0).contains(&q) => Function::Quantile(q),
            _ => {
                problems.push(text.problem_at(arg.span.clone(), "a quantile is a number from 0 to 1, such as 0.99"));
                return None;
            }
        },
        (Function::Top(_), Some(arg)) => match arg.source.trim().parse::<usize>() {
            Ok(n) if n > 0 => Function::Top(n),
            _ => {
                problems.push(text.problem_at(arg.span.clone(), "`top` wants to know how many: a whole number above zero"));
                return None;
            }
        },
        (Function::Sum(_), _) => Function::Sum(argument.as_ref().map_or(Numbers::Any, |a| a.ty().into())),
        (Function::Avg(_), _) => Function::Avg(argument.as_ref().map_or(Numbers::Any, |a| a.ty().into())),
        (other, _) => other.clone(),
    };
    Some((function, argument))
}

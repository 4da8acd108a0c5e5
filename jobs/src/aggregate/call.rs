//! Compiles calls of aggregates.

use tidegate_expr::{Call, Expr, nearest, parse_call};
use tidegate_rows::{Schema, Type};

use super::Function;
use crate::relation::expression::{condition as compiled, located};
use crate::text::{Problem as FileProblem, Spanned};
use crate::yaml::foreign;

/// One compiled aggregate of a stream.
#[derive(Clone, Debug)]
pub(crate) struct Compiled {
    /// The function it computes.
    pub(super) function: Function,
    /// Its argument; `None` for `count()`.
    pub(super) argument: Option<Expr>,
    /// Which records it includes; all, if `None`.
    pub(super) condition: Option<Expr>,
}

impl Compiled {
    /// The function and its argument.
    pub(crate) fn into_parts(self) -> (Function, Option<Expr>) {
        (self.function, self.argument)
    }

    /// What the accumulator holds: the argument, its type, and the condition on records. The final function is not
    /// part of it.
    pub(crate) fn kept(&self) -> String {
        let argument = self.argument.as_ref().map_or_else(String::new, |of| format!("{}: {}", of.source().trim(), of.ty()));
        let call = format!("{}({argument})", self.function.about().kept);
        match &self.condition {
            Some(condition) => format!("{call} where {}", condition.source().trim()),
            None => call,
        }
    }
}

/// Compiles an aggregate call such as `quantile(amount, 0.99)` for a stream. Also returns the type of the result.
///
/// # Errors
/// Everything that is wrong with the call.
pub(crate) fn compile(
    call: &Spanned<String>,
    condition: Option<&Spanned<String>>,
    schema: &Schema,
) -> Result<(Compiled, Type), Vec<FileProblem>> {
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
            let ty = function.result(type_of(argument.as_ref()));
            Ok((Compiled { function, argument, condition }, ty))
        }
        _ => Err(problems),
    }
}

/// The type of what an aggregate is over. `count()` is over records and returns an int all the same.
fn type_of(argument: Option<&Expr>) -> &Type {
    argument.map_or(&Type::Int, Expr::ty)
}

fn function(text: &Spanned<String>, call: &Call, schema: &Schema, problems: &mut Vec<FileProblem>) -> Option<(Function, Option<Expr>)> {
    let Some(about) = Function::all().find(|about| about.name == call.name) else {
        problems.push(unknown(text, call));
        return None;
    };
    let has_so_many = |usage: &&str| parse_call(usage).is_ok_and(|usage| usage.args.len() == call.args.len());
    if !about.calls.iter().any(has_so_many) {
        let message = format!("`{}` is called as {}", call.name, about.calls.join(" or "));
        problems.push(text.problem_at(call.name_span.clone(), message));
        return None;
    }
    let argument = match call.args.first() {
        None => None,
        Some(arg) => match Expr::compile(&arg.source, schema) {
            Ok(expr) => Some((expr, arg)),
            Err(found) => {
                problems.extend(found.into_iter().map(|p| located(text, arg.span.start, p)));
                return None;
            }
        },
    };
    if let Some((expr, arg)) = &argument
        && let Err(wanted) = about.takes.check_type(expr.ty())
    {
        let message = format!("`{}` is over {wanted}, and this is of type {}", call.name, expr.ty());
        problems.push(text.problem_at(arg.span.clone(), message));
        return None;
    }
    let argument = argument.map(|(expr, _)| expr);
    let constant = call.args.get(1);
    match Function::new(about.name, type_of(argument.as_ref()), constant.map_or("", |arg| arg.source.trim()))? {
        Ok(function) => Some((function, argument)),
        Err(wanted) => {
            let at = constant.map_or(&call.name_span, |arg| &arg.span);
            problems.push(text.problem_at(at.clone(), wanted));
            None
        }
    }
}

/// The problem of a call of an aggregate that does not exist.
fn unknown(text: &Spanned<String>, call: &Call) -> FileProblem {
    let names = || Function::all().map(|about| about.name);
    let mut problem = text.problem_at(call.name_span.clone(), format!("there is no aggregate `{}`", call.name));
    problem.nearest = nearest(&call.name, names()).or_else(|| foreign::aggregate(&call.name).map(str::to_owned));
    if problem.nearest.is_none() {
        let names: Vec<String> = names().map(|name| format!("`{name}`")).collect();
        problem.message.push_str(&format!("; there are {}", names.join(", ")));
    }
    problem
}

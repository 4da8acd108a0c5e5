//! Compiles the expressions of a job, and reports their problems at their place in the file.

use tidegate_expr::{Expr, Problem as Wrong};
use tidegate_rows::Schema;

use crate::text::{Problem, Spanned};

/// Places a problem in the file. The expression starts at `offset` within `text`.
pub(crate) fn located(text: &Spanned<String>, offset: usize, problem: Wrong) -> Problem {
    let mut placed = text.problem_at(problem.span.start + offset..problem.span.end + offset, problem.message);
    placed.nearest = problem.nearest;
    placed
}

/// Compiles an expression over rows of `schema`. Reports problems and returns `None` if there are any.
pub(crate) fn expression(text: &Spanned<String>, schema: &Schema, problems: &mut Vec<Problem>) -> Option<Expr> {
    compiled(Expr::compile(&text.value, schema), text, problems)
}

/// Compiles a condition over rows of `schema`. Reports problems and returns `None` if there are any.
pub(crate) fn condition(text: &Spanned<String>, schema: &Schema, problems: &mut Vec<Problem>) -> Option<Expr> {
    compiled(Expr::condition(&text.value, schema), text, problems)
}

fn compiled(expr: Result<Expr, Vec<Wrong>>, text: &Spanned<String>, problems: &mut Vec<Problem>) -> Option<Expr> {
    expr.map_err(|found| problems.extend(found.into_iter().map(|problem| located(text, 0, problem)))).ok()
}

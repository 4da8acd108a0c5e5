//! Expressions of a job: what is wrong with one is told at its place in the file.

use tidegate_expr::{Expr, Problem as Wrong};
use tidegate_rows::Schema;

use crate::text::{Problem, Spanned};

/// A problem of an expression that stands in `text` from `offset` on, placed in the file.
pub(crate) fn located(text: &Spanned<String>, offset: usize, problem: Wrong) -> Problem {
    let mut placed = text.problem_at(problem.span.start + offset..problem.span.end + offset, problem.message);
    placed.nearest = problem.nearest;
    placed
}

/// Compiles an expression over rows of `schema`; `None` after a problem.
pub(crate) fn expression(text: &Spanned<String>, schema: &Schema, problems: &mut Vec<Problem>) -> Option<Expr> {
    compiled(Expr::compile(&text.value, schema), text, problems)
}

/// The same for a condition.
pub(crate) fn condition(text: &Spanned<String>, schema: &Schema, problems: &mut Vec<Problem>) -> Option<Expr> {
    compiled(Expr::condition(&text.value, schema), text, problems)
}

fn compiled(expr: Result<Expr, Vec<Wrong>>, text: &Spanned<String>, problems: &mut Vec<Problem>) -> Option<Expr> {
    expr.map_err(|found| problems.extend(found.into_iter().map(|problem| located(text, 0, problem)))).ok()
}

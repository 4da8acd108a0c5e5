//! Job files: expressions, aggregates, the planner.

pub mod expr;
pub mod file;

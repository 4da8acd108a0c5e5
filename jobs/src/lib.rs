//! Job files: expressions, aggregates, the planner.

pub mod expr;
pub mod file;
pub mod aggregate;
mod failures;
pub mod plan;

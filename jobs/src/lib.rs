//! Job files: expressions, aggregates, the planner.

pub mod file;

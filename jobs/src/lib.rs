//! Job files: expressions, aggregates, the planner.

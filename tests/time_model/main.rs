//! The time model.

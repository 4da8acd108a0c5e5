//! Tidegate.
pub use tidegate_connectors as connectors;
pub use tidegate_operators as operators;
pub use tidegate_runtime as runtime;

//! Rows and values in state. What the fields of a row are is said by the basis of an operator.

use tidegate_stable::Stored;

use super::{Row, Value};

impl Stored for Row {
    const SCHEMA: &'static str = "row/1";
}

impl Stored for Value {
    const SCHEMA: &'static str = "value/1";
}

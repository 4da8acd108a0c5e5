//! How rows and values are stored in state. The basis of an operator says what the fields of a row are.

use tidegate_stable::Stored;

use super::{Row, Value};

impl Stored for Row {
    const SCHEMA: &'static str = "row/1";
}

impl Stored for Value {
    const SCHEMA: &'static str = "value/1";
}

//! Values that are computed for each row and appended to it, such as keys.

use tidegate_expr::Expr;
use tidegate_rows::Schema;

use super::pipeline::{Pipeline, append};

/// Expressions whose values are appended to rows.
pub(crate) struct Appended {
    /// The number of fields before them.
    width: usize,
    values: Vec<Expr>,
}

impl Appended {
    /// Appends nothing yet to rows of this schema.
    pub(crate) fn to(schema: &Schema) -> Self {
        Self { width: schema.width(), values: Vec::new() }
    }

    /// Appends a value. Returns its slot.
    pub(crate) fn add(&mut self, value: Expr) -> usize {
        self.values.push(value);
        self.width + self.values.len() - 1
    }

    /// The slot of a value, which is appended unless it is a field.
    pub(crate) fn slot(&mut self, value: Expr) -> usize {
        value.as_slot().unwrap_or_else(|| self.add(value))
    }

    /// The appended values.
    pub(crate) fn values(&self) -> &[Expr] {
        &self.values
    }
}

/// The pipeline that computes the values.
impl From<Appended> for Pipeline {
    fn from(appended: Appended) -> Self {
        append(appended.values)
    }
}

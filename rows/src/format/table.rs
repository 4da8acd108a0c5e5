//! Rows as a table for people: named columns, each as wide as its widest cell so far.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::{Encoder, Timestamps, print};
use crate::{Row, Schema, Type, Value};

/// Writes a table with a header. The writers of a sink share the column widths; a column that has grown stays wide.
#[derive(Clone, Debug)]
pub struct TableEncoder {
    /// The columns with their slots.
    columns: Arc<[(usize, Column)]>,
    timestamps: Timestamps,
}

#[derive(Debug)]
struct Column {
    name: String,
    /// Whether cells are right-aligned, as numbers are.
    right: bool,
    width: AtomicUsize,
}

impl Column {
    /// The maximum column width. Longer cells push the rest of their line to the right.
    const WIDEST: usize = 60;

    fn new(name: &str, ty: &Type) -> Self {
        let usual = match ty {
            Type::Timestamp => "2026-01-31T12:00:00Z".len(),
            Type::Null | Type::Bool => 5,
            Type::Int | Type::Uint | Type::Double | Type::Decimal => 8,
            _ => 10,
        };
        let right = matches!(ty, Type::Int | Type::Uint | Type::Double | Type::Decimal);
        Self { name: name.to_owned(), right, width: AtomicUsize::new(usual.max(name.chars().count())) }
    }

    /// Appends a cell.
    fn cell(&self, text: &str, last: bool, out: &mut Vec<u8>) {
        let length = text.chars().count();
        let width = self.width.fetch_max(length.min(Self::WIDEST), Relaxed).max(length.min(Self::WIDEST));
        let blanks = width.saturating_sub(length);
        let (before, behind) = if self.right { (blanks, 0) } else { (0, blanks) };
        out.extend(std::iter::repeat_n(b' ', before));
        out.extend_from_slice(text.as_bytes());
        if !last {
            out.extend(std::iter::repeat_n(b' ', behind + 2));
        }
    }
}

impl TableEncoder {
    /// A table of the fields of `schema`.
    #[must_use]
    pub fn new(schema: &Schema, timestamps: Timestamps) -> Self {
        let named = schema.fields().map(|(slot, field)| (slot, Column::new(&field.name, &field.ty)));
        // Undeclared fields share one column.
        let others = schema.rest().map(|slot| (slot, Column::new("(others)", &Type::Any)));
        Self { columns: named.chain(others).collect(), timestamps }
    }

    fn line<T: AsRef<str>>(&self, cells: impl Iterator<Item = T>, out: &mut Vec<u8>) {
        for (i, (column, cell)) in self.columns.iter().map(|(_, column)| column).zip(cells).enumerate() {
            column.cell(cell.as_ref(), i + 1 == self.columns.len(), out);
        }
        out.push(b'\n');
    }

    fn text(&self, value: &Value) -> String {
        let mut text = Vec::new();
        print::plain(value, self.timestamps, &mut text);
        let text = String::from_utf8_lossy(&text);
        // Escape control characters: they could move the cursor or do worse.
        let control = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
        if text.contains(control) {
            text.chars().flat_map(|c| if control(c) { c.escape_default().collect::<Vec<_>>() } else { vec![c] }).collect()
        } else {
            text.into_owned()
        }
    }
}

impl Encoder<Row> for TableEncoder {
    fn header(&self, out: &mut Vec<u8>) {
        self.line(self.columns.iter().map(|(_, column)| &column.name), out);
        let lines: Vec<String> = self.columns.iter().map(|(_, column)| "-".repeat(column.width.load(Relaxed))).collect();
        self.line(lines.iter(), out);
    }

    fn encode(&self, row: &Row, out: &mut Vec<u8>) {
        self.line(self.columns.iter().map(|(slot, _)| self.text(row.get(*slot))), out);
    }

    fn extension(&self) -> &'static str {
        "txt"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_their_names_and_grow() {
        let schema = Schema::new([("user", Type::String), ("n", Type::Int), ("at", Type::Timestamp)]);
        let table = TableEncoder::new(&schema, Timestamps::Iso);
        let mut out = Vec::new();
        table.header(&mut out);
        for (user, n) in [("ann", 3), ("someone-with-a-long-name", -12), ("b\x1b[2J\nb", 7)] {
            table.encode(&[Value::string(user), Value::Int(n), Value::timestamp_ms(0)].into_iter().collect(), &mut out);
        }
        table.encode(&Row::nulls(3), &mut out);
        let expected = [
            "user               n  at",
            "----------  --------  --------------------",
            "ann                3  1970-01-01T00:00:00Z",
            "someone-with-a-long-name       -12  1970-01-01T00:00:00Z",
            r"b\u{1b}[2J\nb                    7  1970-01-01T00:00:00Z",
            "                                    ",
            "",
        ];
        assert_eq!(String::from_utf8(out).unwrap().split('\n').collect::<Vec<_>>(), expected);
    }
}

//! A lookup table in a file. It is held in memory and reloaded when the file changes.

use std::sync::Arc;

use jiff::SignedDuration;
use tidegate_connectors::table::FileTable;
use tidegate_expr::{comparable, has_forms, is_matchless};
use tidegate_rows::{Row, Schema};

use crate::connect::claim::Claim;
use crate::connect::format::{self, DELIMITER, HEADER, SourceFormat};
use crate::connect::kind::{Carrier, MadeTable, TableConnector, TableScope};
use crate::connect::look::{self, Look};
use crate::connect::tables::lookup_key;
use crate::text::{Problem, Spanned};
use crate::yaml::{Fields, Reader, Table, key, unsigned};

pub(super) static KEYS: Table = Table {
    name: "table.file",
    title: "A table with `connector: file`",
    keys: &[
        key("path", "path", "", "the file; it is held in memory"),
        key(
            "format",
            "json | csv",
            "csv for a path in .csv, else json",
            "how a row is read from a line; a line that can't be parsed fails the job",
        ),
        HEADER,
        DELIMITER,
        key("reload", "duration", "10s", "how often to check whether the file has changed"),
    ],
};

/// The rows of a file.
#[derive(Clone, Debug)]
struct Rows {
    path: Spanned<String>,
    /// How a line becomes a row.
    format: Arc<dyn SourceFormat>,
    /// How often the file is checked for changes.
    reload: SignedDuration,
}

pub(super) fn read(reader: &mut Reader, fields: &Fields<'_>) -> Option<Arc<dyn TableConnector>> {
    let path = reader.required(fields, "path").and_then(|node| reader.text(node, "a path"));
    let format = format::read_source(reader, fields, Carrier::Lines, path.as_ref())?;
    if let Some(node) = fields.get("format").filter(|_| !format.is_of_tables()) {
        return reader.wrong(node, "`json` or `csv`");
    }
    let reload = fields.get("reload").and_then(|node| reader.positive(node));
    let reload = reload.map_or(SignedDuration::from_secs(10), |reload| reload.value);
    Some(Arc::new(Rows { path: path?, format, reload }))
}

impl TableConnector for Rows {
    fn claims(&self) -> Vec<Claim> {
        vec![Claim::Reads(self.path.clone())]
    }

    fn look(&self) -> Option<Look> {
        Some(look::at_file(self.path.clone()))
    }

    fn plan(&self, scope: &TableScope<'_>) -> Result<MadeTable, Vec<Problem>> {
        let slots = slots(scope)?;
        let forms = slots.iter().map(|(_, forms)| *forms).collect();
        let key = move |row: &Row| Some(lookup_key(row, &slots)).filter(|key| !key.0.iter().any(is_matchless));
        let format = self.format.decoding(scope.layout.clone(), scope.name, scope.answers)?.lines(scope.name)?;
        let table = FileTable::new(&self.path.value, format, key, unsigned(self.reload));
        Ok(MadeTable { table: Box::new(table), forms, requests: None })
    }
}

/// The slots of the table that must be equal to the key, and for each whether equal values can have more than one form.
fn slots(scope: &TableScope<'_>) -> Result<Vec<(usize, bool)>, Vec<Problem>> {
    let schema: &Schema = scope.layout.schema();
    let (mut slots, mut problems) = (Vec::new(), Vec::new());
    for (i, (field, text)) in scope.on.iter().enumerate() {
        let Some(slot) = schema.slot(&field.value) else {
            let problem = field.problem(format!("no field `{}` in the table `{}`", field.value, scope.name.value));
            problems.push(problem.near(&field.value, schema.names()));
            continue;
        };
        let own = schema.field(slot).map(|field| &field.ty);
        let (Some(own), Some(ty)) = (own, scope.types.and_then(|types| types.get(i))) else { continue };
        slots.push((slot, own != ty || has_forms(own)));
        if !comparable(own, ty) {
            problems.push(text.problem(format!("these are never equal: `{}` is of type {own}, this of type {ty}", field.value)));
        }
    }
    if problems.is_empty() { Ok(slots) } else { Err(problems) }
}

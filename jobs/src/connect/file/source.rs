//! Reads files to their end.

use std::sync::Arc;

use tidegate_connectors::file;

use crate::connect::claim::{Claim, Owner};
use crate::connect::kind::{Carrier, MadeSource, SourceConnector, SourceScope};
use crate::connect::lines::{self, Lines};
use crate::connect::look;
use crate::connect::outside::{Answers, Ask};
use crate::relation::known::Order;
use crate::text::{Problem, Spanned};
use crate::yaml::{Fields, Reader, Table, key};

pub(super) static KEYS: Table = Table {
    name: "source.file",
    title: "A source with `connector: file`",
    keys: &[
        key("path", "path", "", "a file, a glob or a directory"),
        key("split", "bool", "false", "whether all workers read a large file together; its lines then have no order"),
    ],
};

/// The files at a path.
#[derive(Clone, Debug)]
pub(crate) struct FileSource {
    /// A file, a glob or a directory.
    pub(crate) path: Spanned<String>,
    /// Whether workers share a file, whose lines then have no order.
    split: bool,
    /// How lines become records.
    lines: Lines,
}

pub(super) fn read(reader: &mut Reader, fields: &Fields<'_>) -> Option<Arc<dyn SourceConnector>> {
    let path = reader.required(fields, "path").and_then(|node| reader.text(node, "a path"));
    let lines = lines::read(reader, fields, Carrier::Lines, path.as_ref());
    let split = fields.get("split").and_then(|node| reader.bool(node)).is_some_and(|split| split.value);
    Some(Arc::new(FileSource { path: path?, split, lines: lines? }))
}

impl SourceConnector for FileSource {
    fn words(&self) -> String {
        format!("file {}", self.path.value)
    }

    fn lines(&self) -> Option<&Lines> {
        Some(&self.lines)
    }

    fn asks(&self) -> Vec<Ask> {
        let mut asks = self.lines.asks();
        asks.push(Ask::OneFile(self.path.value.clone()));
        asks
    }

    fn claims(&self, _: &Owner<'_>) -> Vec<Claim> {
        vec![Claim::Reads(self.path.clone())]
    }

    /// Several files are distributed among the workers.
    fn order(&self, answers: &Answers) -> Order {
        if answers.is_one_file(&self.path.value) && !self.split { Order::Total } else { Order::Arrival }
    }

    fn plan(&self, scope: &SourceScope<'_>) -> Result<MadeSource, Vec<Problem>> {
        let planned = self.lines.plan(scope, &self.words(), &[])?;
        let format = planned.decoding.lines(scope.name)?;
        let source = Arc::new(file::FileSource::new(&self.path.value, format).on_bad(planned.on_bad).split(self.split));
        let (files, time) = (Arc::clone(&source), scope.event_time.map(|time| time.field.clone()));
        let look = look::at_records(self.path.clone(), time, self.lines.bad(), move || files.sample(look::RECORDS));
        Ok(MadeSource { source, schema: planned.schema, own_times: None, look: Some(look) })
    }
}

//! `format: csv`: comma-separated values (RFC 4180).

use std::sync::Arc;

use tidegate_rows::format::{AnyEncoder, AnyFormat, Conversion, CsvEncoder, CsvFormat, Layout};

use super::{Decoding, Encoding, Format, FormatScope, Said, Side, SinkFormat, SourceFormat, fields_unknown};
use crate::connect::kind::{Carrier, SinkScope};
use crate::connect::outside::{Answers, Ask};
use crate::connect::{lines, sinks};
use crate::text::{Problem, Spanned};
use crate::yaml::{Key, Reader, Table, key, scalar};

pub(crate) static FORMAT: Format = Format {
    name: "csv",
    source: Some(Side { mapped: None, beside: &[&SOURCE], within: &[], read: |reader, said| Some(Arc::new(read(reader, said))) }),
    sink: Some(Side { mapped: None, beside: &[&SINK], within: &[], read: |reader, said| Some(Arc::new(read(reader, said))) }),
};

/// The keys of CSV next to `format`.
pub(crate) const HEADER: Key = key("header", "bool", "true", "csv: whether the first line names the fields");
pub(crate) const DELIMITER: Key = key("delimiter", "character", "`,`", "csv: the character between fields");

static SOURCE: Table = Table {
    name: "source.text",
    title: lines::TITLE,
    keys: &[key("header", "bool", "true", "csv from files and streams: whether the first line names the fields"), DELIMITER],
};

static SINK: Table = Table { name: "sink", title: sinks::TITLE, keys: &[HEADER, DELIMITER] };

/// CSV with its options.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Csv {
    /// Whether the first line names the fields.
    pub(crate) header: bool,
    /// The byte between fields.
    pub(crate) delimiter: u8,
}

/// Whether a file with this path is CSV by default.
pub(crate) fn is_path(path: &str) -> bool {
    [".csv", ".csv.gz", ".csv.zst"].iter().any(|end| path.ends_with(end))
}

fn read(reader: &mut Reader, said: &Said<'_, '_>) -> Csv {
    let header = said.fields.get("header").and_then(|node| reader.bool(node));
    let may_have_header = said.carrier != Carrier::Messages;
    if let (false, Some(at)) = (may_have_header, said.fields.key("header")) {
        reader.push(at.problem("`header` is of files: a message is one line, and no header"));
    }
    let delimiter = said.fields.get("delimiter").and_then(|node| match scalar(node).unwrap_or_default() {
        "\\t" | "tab" => Some(b'\t'),
        one if one.len() == 1 && !matches!(one, "\"" | "\n" | "\r") => one.bytes().next(),
        _ => reader.wrong(node, "one ASCII character"),
    });
    Csv { header: may_have_header && header.is_none_or(|header| header.value), delimiter: delimiter.unwrap_or(b',') }
}

impl SourceFormat for Csv {
    fn needs_schema(&self) -> bool {
        !self.header
    }

    fn is_of_tables(&self) -> bool {
        true
    }

    fn asks(&self, headed: Option<&Spanned<String>>) -> Vec<Ask> {
        headed.map(|path| Ask::FirstLine(path.value.clone())).into_iter().collect()
    }

    /// One string field per name in the header.
    fn layout(&self, scope: &FormatScope<'_>) -> Result<Layout, Vec<Problem>> {
        let name = scope.source.name;
        let Some(path) = scope.path else {
            let message = format!("csv from {} needs a `schema`: its header can't be read before the job starts", scope.words);
            return Err(vec![name.problem(message)]);
        };
        let header = scope.source.answers.first_line(&path.value).map_err(|error| vec![name.problem(error)])?;
        let names = CsvFormat::header_names(header, self.delimiter);
        let names = names.map_err(|error| vec![name.problem(format!("`{}`: {error}", path.value))])?;
        Ok(Layout::new(names.into_iter().map(|name| (name, Conversion::String))))
    }

    fn decoding(&self, layout: Layout, _: &Spanned<String>, _: &Answers) -> Result<Decoding, Vec<Problem>> {
        let format = CsvFormat::new(layout).with_header(self.header).with_delimiter(self.delimiter);
        Ok(Decoding::Lines(AnyFormat::new(format)))
    }
}

impl SinkFormat for Csv {
    fn ending(&self) -> &'static str {
        "csv"
    }

    fn encoding(&self, scope: &SinkScope<'_>) -> Result<Encoding, Vec<Problem>> {
        if scope.schema.rest().is_some() {
            return Err(vec![fields_unknown(scope, "csv")]);
        }
        let encoder = CsvEncoder::new(scope.schema, scope.timestamps).with_header(self.header).with_delimiter(self.delimiter);
        Ok(Encoding::Lines(AnyEncoder::new(encoder)))
    }
}

//! `format: text`: a line or message is a record with one field, `line`. A sink writes each record as one line.

use std::sync::Arc;

use tidegate_rows::format::{AnyEncoder, AnyFormat, Conversion, Layout, TextEncoder, TextFormat, TextPart};

use super::{Decoding, Encoding, Format, FormatScope, Said, Side, SinkFormat, SourceFormat, fields_unknown};
use crate::connect::kind::SinkScope;
use crate::connect::outside::Answers;
use crate::connect::sinks;
use crate::connect::template::{self, Template};
use crate::text::{Problem, Spanned};
use crate::yaml::{Reader, Table, key};

pub(crate) static FORMAT: Format = Format {
    name: "text",
    source: Some(Side { mapped: None, beside: &[], within: &[], read: |_, _| Some(Arc::new(Line)) }),
    sink: Some(Side { mapped: None, beside: &[&SINK], within: &[], read: |reader, said| Some(Arc::new(read(reader, said)?)) }),
};

static SINK: Table = Table {
    name: "sink",
    title: sinks::TITLE,
    keys: &[key("text", "field | template", "the only field", "text: one field, or text with `{field}`s in it")],
};

/// Decodes each line as a record.
#[derive(Clone, Copy, Debug)]
struct Line;

/// Encodes a record as a line made of this template, or of its only field if there is none.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Text(pub(crate) Option<Template>);

fn read(reader: &mut Reader, said: &Said<'_, '_>) -> Option<Text> {
    match said.fields.get("text") {
        Some(node) => Some(Text(Some(template::read(reader, node)?))),
        None => Some(Text(None)),
    }
}

impl SourceFormat for Line {
    fn layout(&self, _: &FormatScope<'_>) -> Result<Layout, Vec<Problem>> {
        Ok(Layout::new(TextFormat::schema().names().map(|name| (name.to_owned(), Conversion::String))))
    }

    fn decoding(&self, layout: Layout, of: &Spanned<String>, _: &Answers) -> Result<Decoding, Vec<Problem>> {
        if layout.event_time().is_some() {
            let message = "a line of text has no event time: read it with a pattern, as `format: { regex: ... }`";
            return Err(vec![of.problem(message)]);
        }
        Ok(Decoding::Lines(AnyFormat::new(TextFormat)))
    }
}

impl SinkFormat for Text {
    fn names(&self) -> Vec<String> {
        self.0.iter().flat_map(template::names).collect()
    }

    fn ending(&self) -> &'static str {
        "txt"
    }

    fn encoding(&self, scope: &SinkScope<'_>) -> Result<Encoding, Vec<Problem>> {
        let parts = match &self.0 {
            Some(template) => template::over(template, scope.schema)?,
            None if scope.schema.rest().is_some() => return Err(vec![fields_unknown(scope, "text")]),
            None if scope.schema.width() != 1 => {
                let fields: Vec<_> = scope.schema.names().collect();
                let message = format!(
                    "`format: text` writes one field, and these records have {}: say which, or how, with `text: '{{field}} ...'`",
                    fields.join(", ")
                );
                return Err(vec![scope.owner.name.problem(message)]);
            }
            None => vec![TextPart::Field(0)],
        };
        Ok(Encoding::Lines(AnyEncoder::new(TextEncoder::new(parts, scope.timestamps))))
    }
}

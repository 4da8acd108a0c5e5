//! `format: table`: records for people to read, on standard output.

use std::sync::Arc;

use tidegate_rows::format::{AnyEncoder, TableEncoder, Timestamps};

use super::json::Json;
use super::{Encoding, Format, Said, Side, SinkFormat};
use crate::connect::kind::{Carrier, SinkScope};
use crate::connect::outside::{Answers, Ask};
use crate::text::Problem;
use crate::yaml::Reader;

pub(crate) static FORMAT: Format = Format {
    name: "table",
    source: None,
    sink: Some(Side { mapped: None, beside: &[], within: &[], read: |reader, said| Some(Arc::new(read(reader, said)?)) }),
};

/// A table for a terminal.
#[derive(Clone, Copy, Debug)]
struct Table {
    /// Whether to write JSON if standard output is not a terminal. Set if the job file names no format.
    or_json: bool,
}

fn read(reader: &mut Reader, said: &Said<'_, '_>) -> Option<Table> {
    let at = said.fields.key("format");
    if let Some(at) = at.filter(|_| said.carrier != Carrier::Terminal) {
        return reader.fail(at, "`format: table` is for people at standard output: nothing reads it back");
    }
    Some(Table { or_json: at.is_none() })
}

impl Table {
    fn is_json(self, answers: &Answers) -> bool {
        self.or_json && !answers.is_terminal()
    }
}

impl SinkFormat for Table {
    fn asks(&self) -> Vec<Ask> {
        if self.or_json { vec![Ask::Terminal] } else { Vec::new() }
    }

    fn timestamps(&self, answers: &Answers) -> Timestamps {
        if self.is_json(answers) { Timestamps::Millis } else { Timestamps::Iso }
    }

    fn encoding(&self, scope: &SinkScope<'_>) -> Result<Encoding, Vec<Problem>> {
        if self.is_json(scope.answers) {
            return Json.encoding(scope);
        }
        Ok(Encoding::Lines(AnyEncoder::new(TableEncoder::new(scope.schema, scope.timestamps))))
    }
}

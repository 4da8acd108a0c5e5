//! `format: json`: one object per line or message.

use std::sync::Arc;

use tidegate_rows::format::{AnyEncoder, AnyFormat, JsonEncoder, JsonFormat, Layout};

use super::{Decoding, Encoding, Format, FormatScope, Side, SinkFormat, SourceFormat};
use crate::connect::kind::SinkScope;
use crate::connect::outside::Answers;
use crate::text::{Problem, Spanned};

pub(crate) static FORMAT: Format = Format {
    name: "json",
    source: Some(Side { mapped: None, beside: &[], within: &[], read: |_, _| Some(Arc::new(Json)) }),
    sink: Some(Side { mapped: None, beside: &[], within: &[], read: |_, _| Some(Arc::new(Json)) }),
};

/// JSON, which has no options.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Json;

impl SourceFormat for Json {
    fn leaves_room(&self) -> bool {
        true
    }

    fn is_of_tables(&self) -> bool {
        true
    }

    /// Each record brings its own fields. Those that the job asks for get slots of their own.
    fn layout(&self, scope: &FormatScope<'_>) -> Result<Layout, Vec<Problem>> {
        Ok(scope.open())
    }

    fn decoding(&self, layout: Layout, _: &Spanned<String>, _: &Answers) -> Result<Decoding, Vec<Problem>> {
        Ok(Decoding::Lines(AnyFormat::new(JsonFormat::new(layout))))
    }
}

impl SinkFormat for Json {
    fn encoding(&self, scope: &SinkScope<'_>) -> Result<Encoding, Vec<Problem>> {
        Ok(Encoding::Lines(AnyEncoder::new(JsonEncoder::new(scope.schema, scope.timestamps))))
    }
}

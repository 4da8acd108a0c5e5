//! `format: { regex: pattern }`: the named groups of a pattern are the fields; a line that does not match is a bad record.

use std::sync::Arc;

use tidegate_rows::format::{AnyFormat, Conversion, Layout, RegexFormat};

use super::{Decoding, Format, FormatScope, Mapped, Said, Side, SourceFormat};
use crate::connect::outside::Answers;
use crate::text::{Problem, Spanned};
use crate::yaml::{Reader, Table, key};

pub(crate) static FORMAT: Format = Format {
    name: "regex",
    source: Some(Side {
        mapped: Some(Mapped { table: &KEY, bare: "regex takes a pattern: `format: { regex: '(?P<user>[^ ]+) .*' }`" }),
        beside: &[],
        within: &[],
        read: |reader, said| Some(Arc::new(read(reader, said)?)),
    }),
    sink: None,
};

static KEY: Table = Table {
    name: "format",
    title: "format of a source (one of)",
    keys: &[key("regex", "pattern", "none", "named groups become fields: (?P<user>[^ ]+)")],
};

/// The pattern, already checked to compile.
#[derive(Clone, Debug)]
struct Pattern(Spanned<String>);

fn read(reader: &mut Reader, said: &Said<'_, '_>) -> Option<Pattern> {
    let (node, _) = said.value?;
    let pattern = reader.text(node, "a pattern")?;
    match regex::Regex::new(&pattern.value) {
        Ok(regex) if regex.capture_names().flatten().next().is_none() => {
            reader.fail(&pattern.span, "the pattern has no named group such as `(?P<user>[^ ]+)`: the record would have no fields")
        }
        Ok(_) => Some(Pattern(pattern)),
        Err(error) => {
            let text = error.to_string();
            let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            reader.fail(&pattern.span, format!("not a regular expression: {reason}"))
        }
    }
}

impl SourceFormat for Pattern {
    fn picks_lines(&self) -> bool {
        true
    }

    fn layout(&self, _: &FormatScope<'_>) -> Result<Layout, Vec<Problem>> {
        let names = RegexFormat::group_names(&self.0.value).map_err(|e| vec![self.0.problem(e)])?;
        Ok(Layout::new(names.into_iter().map(|name| (name, Conversion::String))))
    }

    fn decoding(&self, layout: Layout, _: &Spanned<String>, _: &Answers) -> Result<Decoding, Vec<Problem>> {
        let format = RegexFormat::new(&self.0.value, layout).map_err(|e| vec![self.0.problem(e)])?;
        Ok(Decoding::Lines(AnyFormat::new(format)))
    }
}

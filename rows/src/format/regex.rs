//! Lines that match a pattern, whose named groups are the fields.

use ::regex::{CaptureLocations, Regex};

use super::{Decoded, Decoder, Format, Layout, is_blank};
use crate::Row;

/// A pattern with a named group for every field of the layout. A line without a match is a bad record; a group that
/// did not participate in the match is null.
#[derive(Clone, Debug)]
pub struct RegexFormat {
    layout: Layout,
    pattern: Regex,
    /// The group index of each slot.
    groups: Vec<usize>,
}

impl RegexFormat {
    /// A format with this pattern. Groups that are not fields of the layout are skipped.
    ///
    /// # Errors
    /// The pattern is not a valid regular expression, or lacks a group for a field of the layout.
    pub fn new(pattern: &str, layout: Layout) -> Result<Self, String> {
        let pattern = Regex::new(pattern).map_err(|e| format!("the pattern is not a regular expression: {e}"))?;
        let group = |name: &str| {
            let position = pattern.capture_names().position(|group| group == Some(name));
            position.ok_or_else(|| format!("the pattern has no group `(?P<{name}>...)` for the field `{name}`"))
        };
        let groups = layout.schema().names().map(group).collect::<Result<_, _>>()?;
        Ok(Self { layout, pattern, groups })
    }

    /// The group names of `pattern`, in order: the fields of a layout without a schema.
    ///
    /// # Errors
    /// The pattern is not a valid regular expression.
    pub fn group_names(pattern: &str) -> Result<Vec<String>, String> {
        let pattern = Regex::new(pattern).map_err(|e| format!("the pattern is not a regular expression: {e}"))?;
        Ok(pattern.capture_names().flatten().map(Into::into).collect())
    }
}

impl Format for RegexFormat {
    type Item = Row;
    type Decoder = RegexDecoder;

    fn decoder(&self) -> RegexDecoder {
        let watermark = self.layout.watermark_field().and_then(|name| self.layout.schema().slot(name));
        RegexDecoder { found: self.pattern.capture_locations(), watermark, format: self.clone() }
    }

    fn timed(&self) -> bool {
        self.layout.event_time().is_some()
    }
}

/// Decodes lines that match a pattern into rows.
#[derive(Debug)]
pub struct RegexDecoder {
    format: RegexFormat,
    found: CaptureLocations,
    watermark: Option<usize>,
}

impl Decoder for RegexDecoder {
    type Item = Row;

    fn decode(&mut self, line: &[u8]) -> Result<Decoded<Row>, String> {
        let line = std::str::from_utf8(line).map_err(|_| "the line is not UTF-8 text".to_owned())?;
        if self.format.pattern.captures_read(&mut self.found, line).is_none() {
            return if is_blank(line.as_bytes()) { Ok(Decoded::Nothing) } else { Err("the line does not match the pattern".into()) };
        }
        let mut row = Row::nulls(self.format.groups.len());
        for (slot, &group) in self.format.groups.iter().enumerate() {
            if let Some((start, end)) = self.found.get(group) {
                row.0[slot] = self.format.layout.convert(slot, &line.as_bytes()[start..end])?;
            }
        }
        if let Some(slot) = self.watermark
            && !row.0[slot].is_null()
            && row.0.iter().enumerate().all(|(i, value)| i == slot || value.is_null())
        {
            return self.format.layout.watermark(row.get(slot).clone());
        }
        self.format.layout.record(row)
    }
}

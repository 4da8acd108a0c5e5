//! Decodes a line of cells into a row.

use std::collections::{HashMap, HashSet};

use csv_core::{ReadRecordResult, Reader, ReaderBuilder, Terminator};
use memchr::{memchr, memchr_iter, memchr2_iter};

use crate::format::{Decoded, Decoder, Format, Layout, is_blank};
use crate::{Row, Value};

/// CSV lines of a layout.
#[derive(Clone, Debug)]
pub struct CsvFormat {
    layout: Layout,
    header: bool,
    delimiter: u8,
}

impl CsvFormat {
    /// CSV with a header line and commas.
    #[must_use]
    pub fn new(layout: Layout) -> Self {
        Self { layout, header: true, delimiter: b',' }
    }

    /// Whether the first line of each file names the columns. If so, columns may come in any order, and those the
    /// layout does not name are skipped. Without a header, the columns are the fields of the layout, in order.
    #[must_use]
    pub fn with_header(self, header: bool) -> Self {
        Self { header, ..self }
    }

    /// Sets the cell separator.
    #[must_use]
    pub fn with_delimiter(self, delimiter: u8) -> Self {
        Self { delimiter, ..self }
    }
}

impl CsvFormat {
    /// The column names of a header line, in order: the fields of a layout without a schema.
    ///
    /// # Errors
    /// The line can't be parsed as CSV, or has no names.
    pub fn header_names(line: &[u8], delimiter: u8) -> Result<Vec<String>, String> {
        let names = Cells::new(delimiter).names(line)?;
        match repeated(&names, |name| !name.is_empty()) {
            Some(name) => Err(repetition(name)),
            None if names.iter().all(String::is_empty) => Err("the file has no header line".into()),
            None => Ok(names),
        }
    }
}

impl Format for CsvFormat {
    type Item = Row;
    type Decoder = CsvDecoder;

    fn decoder(&self) -> CsvDecoder {
        let columns: Vec<_> = (0..self.layout.schema().width()).map(Some).collect();
        let watermark = self.layout.watermark_field().and_then(|name| self.layout.schema().slot(name));
        CsvDecoder { header: self.header, watermark, columns, layout: self.layout.clone(), cells: Cells::new(self.delimiter) }
    }

    fn timed(&self) -> bool {
        self.layout.event_time().is_some()
    }
}

/// Decodes CSV into rows.
#[derive(Debug)]
pub struct CsvDecoder {
    layout: Layout,
    header: bool,
    /// The slot of each column.
    columns: Vec<Option<usize>>,
    /// The column of the watermark field.
    watermark: Option<usize>,
    cells: Cells,
}

impl Decoder for CsvDecoder {
    type Item = Row;

    fn header(&mut self, line: &[u8]) -> Result<bool, String> {
        if !self.header {
            return Ok(false);
        }
        let names = self.cells.names(line)?;
        // Use a hash map: there may be tens of thousands of columns.
        let slots: HashMap<&str, usize> = self.layout.schema().names().zip(0..).collect();
        if let Some(name) = repeated(&names, |name| slots.contains_key(name)) {
            return Err(repetition(name));
        }
        let there: HashSet<&str> = names.iter().map(String::as_str).collect();
        if let Some(name) = self.layout.schema().names().find(|name| !there.contains(name)) {
            return Err(format!("the header has no column `{name}`; it has {}", listed(&names)));
        }
        self.columns = names.iter().map(|name| slots.get(name.as_str()).copied()).collect();
        self.watermark = self.layout.watermark_field().and_then(|name| names.iter().position(|n| n == name));
        Ok(true)
    }

    fn decode(&mut self, line: &[u8]) -> Result<Decoded<Row>, String> {
        if is_blank(line) {
            return Ok(Decoded::Nothing);
        }
        match self.usual(line) {
            Some(row) => self.layout.record(row),
            None => self.any(line),
        }
    }
}

impl CsvDecoder {
    /// The row of a usual line: UTF-8 without quotes, whose cells convert. `None` if it is not one, or if there are watermarks.
    fn usual(&mut self, line: &[u8]) -> Option<Row> {
        let text = std::str::from_utf8(line).ok().filter(|_| self.watermark.is_none())?;
        let mut row = Row::nulls(self.layout.schema().width());
        let (mut columns, mut start) = (self.columns.iter(), 0);
        let mut read = |column: Option<&Option<usize>>, cell: Option<&str>| match (column?, cell?) {
            (Some(slot), cell) => self.layout.conversions()[*slot].read(cell, &mut row.0[*slot]),
            (None, _) => Some(()),
        };
        for at in memchr2_iter(self.cells.delimiter, b'"', line) {
            if line[at] == b'"' {
                return None;
            }
            read(columns.next(), text.get(start..at))?;
            start = at + 1;
        }
        read(columns.next(), text.get(start..))?;
        columns.next().is_none().then_some(row)
    }

    /// Decodes any line that is not blank.
    fn any(&mut self, line: &[u8]) -> Result<Decoded<Row>, String> {
        let mut row = Row::nulls(self.layout.schema().width());
        let (columns, layout, watermark) = (&self.columns, &mut self.layout, self.watermark);
        // Whether any cell besides the watermark's is not empty.
        let mut others = watermark.is_none();
        let mut mark = None;
        let count = self.cells.split(line, |column, cell| {
            if Some(column) == watermark {
                mark = (!is_blank(cell)).then(|| String::from_utf8_lossy(cell).trim().to_owned());
            } else {
                others |= !cell.is_empty();
            }
            if let Some(Some(slot)) = columns.get(column) {
                row.0[*slot] = layout.convert(*slot, cell)?;
            }
            Ok(())
        });
        let count = match count {
            Ok(count) => count,
            // A wrong number of cells shifts values into the wrong columns, so report that as the cause.
            Err(error) => match self.cells.split(line, |_, _| Ok(())) {
                Ok(count) if count != self.columns.len() => count,
                _ => return Err(error),
            },
        };
        if count != self.columns.len() {
            let what = if self.header { "the header" } else { "the schema" };
            return Err(format!("the line has {count} columns, {what} has {}", self.columns.len()));
        }
        match mark {
            Some(text) if !others => self.layout.watermark(Value::string(text)),
            _ => self.layout.record(row),
        }
    }
}

/// The first name that occurs twice, among the names for which `matters` is true.
fn repeated(names: &[String], matters: impl Fn(&str) -> bool) -> Option<&str> {
    let mut before = HashSet::new();
    names.iter().map(String::as_str).find(|name| matters(name) && !before.insert(*name))
}

/// The first few names, for an error message.
fn listed(names: &[String]) -> String {
    const NAMED: usize = 20;
    let (named, more) = names.split_at(names.len().min(NAMED));
    if more.is_empty() { named.join(", ") } else { format!("{} and {} more", named.join(", "), more.len()) }
}

fn repetition(name: &str) -> String {
    format!("two columns of the header are called `{name}`: give each a name of its own, or set `header: false`")
}

/// Splits lines into cells.
#[derive(Debug)]
struct Cells {
    delimiter: u8,
    reader: Reader,
    /// The unquoted cells of a line, concatenated; `ends` says where each ends.
    text: Vec<u8>,
    ends: Vec<usize>,
}

impl Cells {
    fn new(delimiter: u8) -> Self {
        let reader = ReaderBuilder::new().delimiter(delimiter).terminator(Terminator::Any(b'\n')).build();
        Self { delimiter, reader, text: vec![0; 1024], ends: vec![0; 64] }
    }

    /// The cells of a header line.
    fn names(&mut self, line: &[u8]) -> Result<Vec<String>, String> {
        let mut names = Vec::new();
        self.split(line, |_, cell| {
            names.push(String::from_utf8_lossy(cell).trim().to_owned());
            Ok(())
        })?;
        Ok(names)
    }

    /// Passes each cell of `line` to `take` and returns the number of cells.
    fn split(&mut self, line: &[u8], mut take: impl FnMut(usize, &[u8]) -> Result<(), String>) -> Result<usize, String> {
        if memchr(b'"', line).is_some() {
            let count = self.unquote(line)?;
            let mut start = 0;
            for (i, &end) in self.ends[..count].iter().enumerate() {
                take(i, &self.text[start..end])?;
                start = end;
            }
            return Ok(count);
        }
        // Nearly all lines have no quotes; their cells can be borrowed as they are.
        let (mut start, mut count) = (0, 0);
        for end in memchr_iter(self.delimiter, line) {
            take(count, &line[start..end])?;
            (start, count) = (end + 1, count + 1);
        }
        take(count, &line[start..])?;
        Ok(count + 1)
    }

    /// Splits a line with quotes into `text` and `ends`. Returns the number of cells.
    fn unquote(&mut self, line: &[u8]) -> Result<usize, String> {
        self.reader.reset();
        // The cells are no longer than the line, and there is at most one more of them than there are delimiters.
        if self.text.len() < line.len() + 1 {
            self.text.resize(line.len() + 1, 0);
        }
        let most = memchr_iter(self.delimiter, line).count() + 2;
        if self.ends.len() < most {
            self.ends.resize(most, 0);
        }
        let (_, _, text, ends) = self.reader.read_record(line, &mut self.text, &mut self.ends);
        // The end of the line ends the record, unless a quote is open.
        let (result, _, _, more) = self.reader.read_record(b"\n", &mut self.text[text..], &mut self.ends[ends..]);
        match result {
            ReadRecordResult::Record => Ok(ends + more),
            _ => Err("a quote is not closed on this line (a record is one line)".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Conversion;
    use proptest::prelude::*;

    /// A cell of any type, or of none.
    fn cell() -> impl Strategy<Value = String> {
        prop_oneof![
            "-?[0-9]{0,20}",
            "-?[0-9]{1,8}\\.[0-9]{0,10}([eE][0-9])?",
            "[a-zé ,\"]{0,6}",
            "\"([a-c,]|\"\"){0,4}\"",
            proptest::sample::select(vec!["", " ", "true", "0", "inf", "NaN", "1h", "2024-02-29T12:00:00Z", "[1]", " 7 ", "+7"])
                .prop_map(str::to_owned),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]
        /// What is read in one pass is what is read with care.
        #[test]
        fn usual_lines_are_read_as_all_lines_are(
            names in proptest::collection::vec(proptest::sample::select(&Conversion::NAMES), 1..5),
            cells in proptest::collection::vec(cell(), 1..6),
            bad in proptest::option::of(any::<(usize, u8)>()),
        ) {
            let fields = names.iter().enumerate().map(|(i, name)| (i.to_string(), Conversion::named(name).unwrap()));
            let mut decoder = CsvFormat::new(Layout::new(fields)).with_header(false).decoder();
            let mut line = cells.join(",").into_bytes();
            if let Some((at, byte)) = bad.filter(|_| !line.is_empty()) {
                let at = at % line.len();
                line[at] = byte;
            }
            if let Some(row) = decoder.usual(&line) {
                prop_assert_eq!(decoder.layout.record(row), decoder.any(&line), "{}", String::from_utf8_lossy(&line));
            }
        }
    }

    #[test]
    fn a_line_without_quotes_whose_cells_convert_is_usual() {
        let fields =
            [("n", Conversion::Int), ("amount", Conversion::Double), ("word", Conversion::String), ("when", Conversion::Timestamp)];
        let mut decoder = CsvFormat::new(Layout::new(fields)).with_header(false).decoder();
        assert!(decoder.usual(b"7,12.50,word,2024-02-29T12:00:00Z").is_some());
        for line in [b"x,1.5,word,".as_slice(), b"7,1.5,word", b"7,1.5,word,,", b"7,1.5,\"word\",", b"7,1.5,\xff,"] {
            assert!(decoder.usual(line).is_none(), "{}", String::from_utf8_lossy(line));
        }
    }
}

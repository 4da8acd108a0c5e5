//! `lists`: entries by key, in the job file or in a file of their own.

use std::fs::File;
use std::io::{BufRead, BufReader};

use tidegate_rows::format::{Conversion, CsvFormat, Decoded, Decoder, Format, JsonFormat, Layout, instant};
use tidegate_rows::{Row, Value as Cell};
use tidegate_rules::{Entry, List, Match};
use tidegate_runtime::Error;

use crate::text::{Problem, Spanned};
use crate::yaml::{Literal, Node, Reader, Table, Value, key};

pub(crate) static LIST: Table = Table {
    name: "list",
    title: "A list",
    keys: &[
        key("match", "exact | prefix | cidr", "exact", "how a value meets a key: it is the key, begins with it, or is an address in that range"),
        key("entries", "[entry, ...]", "none", "the entries: keys, or mappings of an entry"),
        key("file", "path", "none", "a file of entries, CSV with a header if it ends in .csv, else JSON Lines; its fields are those of an entry"),
    ],
};

pub(crate) static ENTRY: Table = Table {
    name: "entry",
    title: "An entry of a list",
    keys: &[
        key("key", "text", "", "what is on the list"),
        key("from", "timestamp", "always", "from when on it counts, by event time"),
        key("to", "timestamp", "for ever", "until when it counts; at that moment it no longer does"),
        key("uses", "count", "any number", "how many decisions may use it"),
        key("reason", "text", "none", "why it is there; the decision tells it"),
    ],
};

/// A list of a job file.
#[derive(Clone, Debug, PartialEq)]
pub struct ListSpec {
    /// Its name.
    pub name: Spanned<String>,
    /// How values meet its entries.
    pub by: Match,
    /// The entries in the job file, with their keys.
    pub entries: Vec<(Spanned<String>, Entry)>,
    /// A file of more entries.
    pub file: Option<Spanned<String>>,
}

pub(crate) fn read(reader: &mut Reader, name: Spanned<String>, node: &Node) -> Option<ListSpec> {
    let place = format!("list `{}`", name.value);
    if node.is_null() {
        return Some(ListSpec { name, by: Match::Exact, entries: Vec::new(), file: None });
    }
    let fields = reader.fields(node, &name.span, &[&LIST], &place)?;
    let kinds = [("exact", Match::Exact), ("prefix", Match::Prefix), ("cidr", Match::Cidr)];
    let by = fields.get("match").and_then(|node| reader.word(node, "list.match", &kinds)).map(|by| by.value).unwrap_or_default();
    let file = fields.get("file").and_then(|node| reader.text(node, "a path"));
    let mut entries = Vec::new();
    match fields.get("entries").map(|node| (&node.value, node)) {
        None => {}
        Some((Value::List(items), _)) => {
            for item in items {
                let Some((key, entry)) = read_entry(reader, item) else { continue };
                match by.stored(&key.value) {
                    Ok(_) => entries.push((key, entry)),
                    Err(error) => reader.push(key.problem(error.to_string())),
                }
            }
        }
        Some((_, node)) => _ = reader.wrong::<()>(node, "a list of entries"),
    }
    Some(ListSpec { name, by, entries, file })
}

/// Reads an entry: a key, or a mapping with it.
pub(super) fn read_entry(reader: &mut Reader, node: &Node) -> Option<(Spanned<String>, Entry)> {
    if let Value::Scalar { .. } = &node.value {
        return Some((reader.text(node, "a key")?, Entry::default()));
    }
    let fields = reader.fields(node, &node.span, &[&ENTRY], "an entry of a list")?;
    let key = reader.required(&fields, "key").and_then(|node| reader.text(node, "a key"));
    let from = fields.get("from").and_then(|node| read_time(reader, node));
    let to = fields.get("to").and_then(|node| read_time(reader, node));
    let uses = fields.get("uses").and_then(|node| reader.count(node, 0, u64::MAX)).map(|uses| uses.value);
    let reason = fields.get("reason").and_then(|node| reader.text(node, "a text")).map(|reason| reason.value);
    Some((key?, Entry { from, to, uses, reason }))
}

/// Reads a moment: RFC 3339, or milliseconds since 1970.
pub(super) fn read_time(reader: &mut Reader, node: &Node) -> Option<i64> {
    match reader.literal(node)? {
        Literal::Int(ms) => Some(ms),
        Literal::String(text) if instant(&text).is_some() => instant(&text).map(|instant| instant.as_millisecond()),
        _ => reader.wrong(node, "a timestamp such as `2026-01-01T00:00:00Z`, or milliseconds since 1970"),
    }
}

impl ListSpec {
    /// The list, with the entries of its file.
    ///
    /// # Errors
    /// The file can't be read, or a line of it is no entry.
    pub(crate) fn load(&self) -> Result<List, Error> {
        let mut list = List::new(&self.name.value, self.by);
        if let Some(path) = &self.file {
            let layout = Layout::new([
                ("key", Conversion::String),
                ("from", Conversion::Timestamp),
                ("to", Conversion::Timestamp),
                ("uses", Conversion::Int),
                ("reason", Conversion::String),
            ]);
            match path.value.ends_with(".csv") {
                true => self.load_lines(&path.value, CsvFormat::new(layout).decoder(), &mut list)?,
                false => self.load_lines(&path.value, JsonFormat::new(layout).decoder(), &mut list)?,
            }
        }
        for (key, entry) in &self.entries {
            // The reader has checked the keys.
            list.insert(&key.value, entry.clone()).map_err(|error| Error::user(error.to_string()))?;
        }
        Ok(list)
    }

    fn load_lines(&self, path: &str, mut decoder: impl Decoder<Item = Row>, list: &mut List) -> Result<(), Error> {
        let name = &self.name.value;
        let open = |error| Error::external(format!("the file `{path}` of the list `{name}` can't be read"), error);
        let mut lines = BufReader::new(File::open(path).map_err(open)?);
        let (mut line, mut number) = (Vec::new(), 0_u64);
        loop {
            line.clear();
            if lines.read_until(b'\n', &mut line).map_err(open)? == 0 {
                return Ok(());
            }
            number += 1;
            let text = line.strip_suffix(b"\n").unwrap_or(&line);
            let text = text.strip_suffix(b"\r").unwrap_or(text);
            let wrong = |error: String| Error::user(format!("`{path}`, line {number}, of the list `{name}`: {error}"));
            if number == 1 && decoder.header(text).map_err(wrong)? {
                continue;
            }
            if let Decoded::Record { value: row, .. } = decoder.decode(text).map_err(wrong)? {
                let Some((key, entry)) = entry_of(&row) else { return Err(wrong("there is no key".to_owned())) };
                list.insert(key, entry).map_err(|error| wrong(error.to_string()))?;
            }
        }
    }

    /// Whether the file of the list exists.
    pub(crate) fn look(&self) -> Vec<Problem> {
        let missing = |path: &&Spanned<String>| !std::path::Path::new(&path.value).exists();
        self.file.iter().filter(missing).map(|path| path.problem(format!("`{}` does not exist", path.value))).collect()
    }
}

/// The entry in a row of a file.
fn entry_of(row: &Row) -> Option<(&str, Entry)> {
    let key = row.get(0).as_str().filter(|key| !key.is_empty())?;
    let time = |slot| if let Cell::Timestamp(at) = row.get(slot) { Some(at.as_millisecond()) } else { None };
    let uses = if let Cell::Int(uses) = row.get(3) { u64::try_from(*uses).ok() } else { None };
    let reason = row.get(4).as_str().filter(|reason| !reason.is_empty()).map(str::to_owned);
    Some((key, Entry { from: time(1), to: time(2), uses, reason }))
}

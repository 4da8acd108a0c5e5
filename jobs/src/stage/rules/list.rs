//! `lists`: entries by key, in the job file or in a file of their own.

use std::fs::File;
use std::io::{BufRead, BufReader};

use tidegate_rows::format::{Conversion, CsvFormat, Decoded, Decoder, Format, JsonFormat, Layout, instant};
use tidegate_rows::{Row, Schema, Value as Cell};
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
            self.load_file(&path.value, &mut list)?;
        }
        for (key, entry) in &self.entries {
            // The reader has checked the keys.
            list.insert(&key.value, entry.clone()).map_err(|error| Error::user(error.to_string()))?;
        }
        Ok(list)
    }

    fn load_file(&self, path: &str, list: &mut List) -> Result<(), Error> {
        let name = &self.name.value;
        let open = |error| Error::external(format!("the file `{path}` of the list `{name}` can't be read"), error);
        let mut lines = BufReader::new(File::open(path).map_err(open)?);
        let (mut line, mut number) = (Vec::new(), 0_u64);
        let mut reading: Option<(Box<dyn Decoder<Item = Row>>, Schema)> = None;
        loop {
            line.clear();
            if lines.read_until(b'\n', &mut line).map_err(open)? == 0 {
                return Ok(());
            }
            number += 1;
            let text = line.strip_suffix(b"\n").unwrap_or(&line);
            let text = text.strip_suffix(b"\r").unwrap_or(text);
            let wrong = |error: String| Error::user(format!("`{path}`, line {number}, of the list `{name}`: {error}"));
            let Some((decoder, schema)) = &mut reading else {
                let (mut decoder, schema) = decoder(path, text).map_err(wrong)?;
                let header = decoder.header(text).map_err(wrong)?;
                let (decoder, schema) = reading.insert((decoder, schema));
                if !header {
                    add(decoder.as_mut(), schema, text, list).map_err(wrong)?;
                }
                continue;
            };
            add(decoder.as_mut(), schema, text, list).map_err(wrong)?;
        }
    }

    /// Whether the file of the list exists.
    pub(crate) fn look(&self) -> Vec<Problem> {
        let missing = |path: &&Spanned<String>| !std::path::Path::new(&path.value).exists();
        self.file.iter().filter(missing).map(|path| path.problem(format!("`{}` does not exist", path.value))).collect()
    }
}

/// A decoder for a file that begins with this line, and the fields that it decodes.
fn decoder(path: &str, first: &[u8]) -> Result<(Box<dyn Decoder<Item = Row>>, Schema), String> {
    let csv = path.ends_with(".csv");
    let there = if csv { CsvFormat::header_names(first, b',')? } else { Vec::new() };
    let fields = [
        ("key", Conversion::String),
        ("from", Conversion::Timestamp),
        ("to", Conversion::Timestamp),
        ("uses", Conversion::Int),
        ("reason", Conversion::String),
    ];
    // A file need not have all columns, but a key.
    let layout = Layout::new(fields.into_iter().filter(|(name, _)| !csv || *name == "key" || there.iter().any(|column| column == name)));
    let schema = layout.schema().clone();
    Ok((if csv { Box::new(CsvFormat::new(layout).decoder()) } else { Box::new(JsonFormat::new(layout).decoder()) }, schema))
}

/// Adds the entry on a line.
fn add(decoder: &mut dyn Decoder<Item = Row>, schema: &Schema, line: &[u8], list: &mut List) -> Result<(), String> {
    let Decoded::Record { value: row, .. } = decoder.decode(line)? else { return Ok(()) };
    let of = |name: &str| schema.slot(name).map_or(&Cell::Null, |slot| row.get(slot));
    let text = |name: &str| of(name).as_str().filter(|text| !text.is_empty());
    let time = |name: &str| if let Cell::Timestamp(at) = of(name) { Some(at.as_millisecond()) } else { None };
    let uses = match of("uses") {
        Cell::Int(uses) => Some(u64::try_from(*uses).map_err(|_| format!("{uses} uses are less than none"))?),
        _ => None,
    };
    let key = text("key").ok_or("there is no key")?;
    let entry = Entry { from: time("from"), to: time("to"), uses, reason: text("reason").map(str::to_owned) };
    list.insert(key, entry).map_err(|error| error.to_string())
}

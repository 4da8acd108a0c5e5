//! Tables: what records are looked up in.

use jiff::SignedDuration;

use super::keys;
use super::schema::{self, SchemaField};
use super::sinks::{TextPart, read_template};
use super::sources::{Origin, SourceFormat, read_format};
use crate::text::Spanned;
use crate::yaml::Node;
use crate::yaml::{Fields, Reader, scalar};

/// A table.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// Its name.
    pub name: Spanned<String>,
    /// The fields of its rows.
    pub schema: Vec<SchemaField>,
    /// Where they are.
    pub connector: TableConnector,
}

/// Where the rows of a table are.
#[derive(Clone, Debug, PartialEq)]
pub enum TableConnector {
    /// In a file.
    File {
        /// The file.
        path: Spanned<String>,
        /// How a line becomes a row: json or csv.
        format: SourceFormat,
        /// How often it is looked whether it has changed.
        reload: SignedDuration,
    },
    /// Behind a server.
    Http {
        /// What is asked for.
        url: Vec<TextPart>,
        /// The headers of a request.
        headers: Vec<(String, String)>,
        /// How long an answer may take.
        timeout: SignedDuration,
        /// How often a request is made again.
        retries: u64,
        /// What is kept of the answers.
        cache: Option<Cache>,
    },
}

/// `cache`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cache {
    /// Of how many keys; above zero.
    pub entries: u64,
    /// For how long.
    pub ttl: SignedDuration,
}

#[derive(Clone, Copy)]
enum Kind {
    File,
    Http,
}

pub(crate) fn read(reader: &mut Reader, name: Spanned<String>, node: &Node) -> Option<Table> {
    let place = format!("table `{}`", name.value);
    let entries = reader.entries(node, &format!("a mapping for {place}"))?;
    let connector = entries.iter().find(|entry| entry.key.value == "connector" && !entry.value.is_null());
    let Some(connector) = connector else {
        let fields = reader.fields(node, &name.span, &[&keys::TABLE, &keys::TABLE_FILE, &keys::TABLE_HTTP], &place)?;
        reader.required(&fields, "connector");
        return None;
    };
    let kind = reader.word(&connector.value, "table.connector", &[("file", Kind::File), ("http", Kind::Http)])?;
    let of_kind: &'static crate::yaml::Table = match kind.value {
        Kind::File => &keys::TABLE_FILE,
        Kind::Http => &keys::TABLE_HTTP,
    };
    let fields = reader.fields(node, &name.span, &[&keys::TABLE, of_kind], &place)?;
    let schema = reader.required(&fields, "schema").map(|node| schema::read(reader, node, &fields));
    let connector = match kind.value {
        Kind::File => read_file(reader, &fields),
        Kind::Http => read_http(reader, &fields),
    };
    Some(Table { name, schema: schema?, connector: connector? })
}

fn read_file(reader: &mut Reader, fields: &Fields<'_>) -> Option<TableConnector> {
    let path = reader.required(fields, "path").and_then(|node| reader.text(node, "a path"));
    let format = read_format(reader, fields, Origin::File(path.as_ref()))?;
    if let Some(node) = fields.get("format")
        && !matches!(format, SourceFormat::Json | SourceFormat::Csv { .. })
    {
        return reader.wrong(node, "`json` or `csv`");
    }
    let reload = fields.get("reload").and_then(|node| reader.positive(node));
    Some(TableConnector::File { path: path?, format, reload: reload.map_or(SignedDuration::from_secs(10), |reload| reload.value) })
}

fn read_http(reader: &mut Reader, fields: &Fields<'_>) -> Option<TableConnector> {
    let url = reader.required(fields, "url").and_then(|node| {
        let is_url = scalar(node).is_some_and(|text| text.starts_with("http://") || text.starts_with("https://"));
        if is_url { read_template(reader, node) } else { reader.wrong(node, "a URL that begins with http:// or https://") }
    });
    let mut headers = Vec::new();
    if let Some(node) = fields.get("headers") {
        for entry in reader.entries(node, "a mapping from the names of headers to texts").unwrap_or_default() {
            headers.extend(reader.text(&entry.value, "a text").map(|text| (entry.key.value.clone(), text.value)));
        }
    }
    let timeout = fields.get("timeout").and_then(|node| reader.positive(node));
    let retries = fields.get("retries").and_then(|node| reader.count(node, 0, 1_000));
    let cache = fields.get("cache").zip(fields.key("cache")).and_then(|(node, at)| {
        let cache = reader.fields(node, at, &[&keys::CACHE], &format!("`cache` of {}", fields.place))?;
        let entries = cache.get("entries").and_then(|node| reader.count(node, 1, 1 << 32));
        let ttl = cache.get("ttl").and_then(|node| reader.positive(node));
        let ttl = ttl.map_or(SignedDuration::from_mins(1), |ttl| ttl.value);
        Some(Cache { entries: entries.map_or(10_000, |entries| entries.value), ttl })
    });
    let timeout = timeout.map_or(SignedDuration::from_secs(10), |timeout| timeout.value);
    Some(TableConnector::Http { url: url?, headers, timeout, retries: retries.map_or(3, |retries| retries.value), cache })
}

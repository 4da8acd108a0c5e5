//! `connector: http`: looks records up from an HTTP server.

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use tidegate_connectors::table::HttpTable;
use tidegate_operators::Retries;
use tidegate_operators::lookup::{CacheConfig, Cached, LookupTable};
use tidegate_rows::Row;
use tidegate_rows::format::{JsonFormat, TextPart};

use super::kind::{AsTable, Connector, MadeTable, TableConnector, TableScope};
use super::template::{self, Template};
use crate::text::{Problem, Spanned};
use crate::yaml::{Fields, Reader, Table, key, scalar, unsigned};

pub(crate) static CONNECTOR: Connector =
    Connector { name: "http", source: None, table: Some(AsTable { keys: &[&TABLE], within: &[&CACHE], read }), sink: None };

static TABLE: Table = Table {
    name: "table.http",
    title: "A table with `connector: http`",
    keys: &[
        key("url", "template", "", "the URL of the GET request, such as 'http://host/users/{user}'; values are percent-encoded"),
        key("headers", "mapping", "none", "headers of the request: name: text"),
        key("timeout", "duration", "10s", "how long an answer may take, including retries; after that the job fails"),
        key("retries", "count", "3", "how many times a request is retried when there is no answer, or the status is 429 or 5xx"),
        key("cache", "mapping", "none", "a cache of answers, shared by all workers"),
    ],
};

static CACHE: Table = Table {
    name: "cache",
    title: "cache",
    keys: &[
        key("entries", "count", "10,000", "the number of keys it holds"),
        key("ttl", "duration", "1m", "how long an answer stays valid"),
    ],
};

/// A lookup table served over HTTP.
#[derive(Clone, Debug)]
struct Server {
    /// The URL to request, with parameters.
    url: Template,
    /// The headers of each request.
    headers: Vec<(String, String)>,
    /// How long to wait for an answer.
    timeout: SignedDuration,
    /// How often a failed request is repeated.
    retries: u64,
    /// How answers are cached, if they are.
    cache: Option<CacheConfig>,
}

fn read(reader: &mut Reader, fields: &Fields<'_>) -> Option<Arc<dyn TableConnector>> {
    let url = reader.required(fields, "url").and_then(|node| {
        let is_url = scalar(node).is_some_and(|text| text.starts_with("http://") || text.starts_with("https://"));
        if is_url { template::read(reader, node) } else { reader.wrong(node, "a URL that begins with http:// or https://") }
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
        let cache = reader.fields(node, at, &[&CACHE], &format!("`cache` of {}", fields.place))?;
        let entries = cache.get("entries").and_then(|node| reader.count(node, 1, 1 << 32));
        let ttl = cache.get("ttl").and_then(|node| reader.positive(node));
        let entries = entries.map_or(10_000, |entries| usize::try_from(entries.value).unwrap_or(usize::MAX));
        Some(CacheConfig { entries, ttl: unsigned(ttl.map_or(SignedDuration::from_mins(1), |ttl| ttl.value)) })
    });
    let timeout = timeout.map_or(SignedDuration::from_secs(10), |timeout| timeout.value);
    Some(Arc::new(Server { url: url?, headers, timeout, retries: retries.map_or(3, |retries| retries.value), cache }))
}

impl TableConnector for Server {
    fn plan(&self, scope: &TableScope<'_>) -> Result<MadeTable, Vec<Problem>> {
        let table = HttpTable::new(parameters(&self.url, scope)?, self.headers.clone(), JsonFormat::new(scope.layout.clone()));
        let table: Box<dyn LookupTable<Row, Row = Row>> = match self.cache {
            Some(cache) => Box::new(Cached::new(table, cache)),
            None => Box::new(table),
        };
        Ok(MadeTable { table, forms: Vec::new(), requests: Some((unsigned(self.timeout), retries(self.retries))) })
    }
}

/// The waits between attempts: 100 ms, doubled each time, up to 5 s.
fn retries(most: u64) -> Retries {
    let most = u32::try_from(most).unwrap_or(u32::MAX);
    Retries { most, delay: Duration::from_millis(100), longest: Duration::from_secs(5) }
}

/// The parts of a URL, whose parameters become positions in the key.
fn parameters(url: &Template, scope: &TableScope<'_>) -> Result<Vec<TextPart>, Vec<Problem>> {
    let table = &scope.name.value;
    let mut used = Vec::new();
    let parts = template::resolved(url, |wanted| {
        let place = scope.on.iter().position(|(name, _)| name.value == wanted.value);
        used.extend(place);
        let missing = || scope.at.problem(format!("the url of `{table}` has a parameter `{}`, which `on` must give", wanted.value));
        place.ok_or_else(missing)
    });
    let unused = scope.on.iter().enumerate().filter(|(place, _)| !used.contains(place));
    let no_parameter = |name: &Spanned<String>| name.problem(format!("the url of `{table}` has no parameter `{}`", name.value));
    let unused: Vec<_> = unused.map(|(_, (name, _))| no_parameter(name)).collect();
    match parts {
        Ok(parts) if unused.is_empty() => Ok(parts),
        Ok(_) => Err(unused),
        Err(problems) => Err(problems.into_iter().chain(unused).collect()),
    }
}

//! Lookups: rows joined with what a table says of them at that moment.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use tidegate_connectors::table::{FileTable, HttpTable};
use tidegate_operators::join::Unmatched;
use tidegate_operators::lookup::{CacheConfig, Cached, Finding, LookupTable, Rows};
use tidegate_operators::{AsyncOptions, Order, Retries, Stream};
use tidegate_rows::format::{CsvFormat, JsonFormat, Layout, TextPart};
use tidegate_rows::{Row, Schema, Type, Value};
use tidegate_runtime::Error;

use super::arrange::{Arranged, Sides};
use super::pipeline::{self, Pipeline};
use super::{Known, sources, windows};
use crate::file::{self, Lookup, Problem, SourceFormat, Spanned, Table, TableConnector};
use tidegate_expr::comparable;
use tidegate_expr::{canonical, has_forms, is_matchless};

/// A lookup, compiled.
#[derive(Clone)]
pub(super) struct PlannedLookup {
    /// Computes the keys that are expressions.
    pub(super) keys: Pipeline,
    /// The slots of the key; of which can equal values have more than one form?
    key: Arc<[(usize, bool)]>,
    /// The fields of a row, without those.
    width: usize,
    table: Arc<NamedTable>,
    /// The fields of a row of the table.
    table_width: usize,
    unmatched: Unmatched,
    options: AsyncOptions,
}

/// The waits between the tries of a request: 100 ms, doubled, up to 5 s.
fn retries(most: u64) -> Retries {
    let most = u32::try_from(most).unwrap_or(u32::MAX);
    Retries { most, delay: Duration::from_millis(100), longest: Duration::from_secs(5) }
}

/// Plans a lookup; the schema is that of its rows. Also tells how they are made of the fields of the input and those of the table.
pub(super) fn plan(
    lookup: &Lookup,
    table: &Table,
    input: &Known,
    stated: &dyn Fn(&str) -> bool,
) -> Result<(PlannedLookup, Arranged), Vec<Problem>> {
    let mut problems = Vec::new();
    let mut fields = Vec::new();
    for field in &table.schema {
        match sources::conversion(&field.ty) {
            Ok(conversion) => fields.push((field.name.value.clone(), conversion)),
            Err(error) => problems.push(field.name.problem(error)),
        }
    }
    let layout = Layout::new(fields);
    let (mut key, mut computed, mut types) = (Vec::new(), Vec::new(), Vec::new());
    for (_, text) in &lookup.on {
        let Some(expr) = pipeline::expression(text, &input.schema, &mut problems) else { continue };
        types.push(expr.ty().clone());
        key.push((expr.as_slot().unwrap_or(input.schema.width() + computed.len()), false));
        if expr.as_slot().is_none() {
            computed.push(expr);
        }
    }
    let options = AsyncOptions {
        order: if lookup.unordered { Order::Unordered } else { Order::Ordered },
        capacity: usize::try_from(lookup.capacity).ok().and_then(NonZeroUsize::new).unwrap_or(NonZeroUsize::MIN),
        ..AsyncOptions::default()
    };
    let (schema, table_width) = (layout.schema().clone(), layout.schema().width());
    let (made, options) = match &table.connector {
        TableConnector::File { path, format, reload } => {
            let slots = file_key(lookup, &schema, &types, &mut problems);
            slots.iter().zip(&mut key).for_each(|((_, of_table), (_, of_row))| *of_row = *of_table);
            let slots = move |row: &Row| Some(key_of(row, &slots)).filter(|key| !key.0.iter().any(is_matchless));
            let reload = windows::unsigned(*reload);
            let made: Box<dyn LookupTable<Row, Row = Row>> = match format {
                SourceFormat::Csv { header, delimiter } => {
                    let format = CsvFormat::new(layout).with_header(*header).with_delimiter(*delimiter);
                    Box::new(FileTable::new(&path.value, format, slots, reload))
                }
                _ => Box::new(FileTable::new(&path.value, JsonFormat::new(layout), slots, reload)),
            };
            (made, options)
        }
        TableConnector::Http { url, headers, timeout, retries: most, cache } => {
            let url = parameters(lookup, url, &mut problems);
            let made = HttpTable::new(url, headers.clone(), JsonFormat::new(layout));
            let made: Box<dyn LookupTable<Row, Row = Row>> = match cache {
                Some(cache) => {
                    let entries = usize::try_from(cache.entries).unwrap_or(usize::MAX);
                    Box::new(Cached::new(made, CacheConfig { entries, ttl: windows::unsigned(cache.ttl) }))
                }
                None => Box::new(made),
            };
            (made, AsyncOptions { timeout: windows::unsigned(*timeout), retries: retries(*most), ..options })
        }
    };
    if !problems.is_empty() {
        return Err(problems);
    }
    let sides = Sides { left: &input.schema, right: &schema, with: &table.name.value, stated, either: &[], behind: &[] };
    let joined = sides.joined();
    let planned = PlannedLookup {
        keys: pipeline::append(computed),
        key: key.into(),
        width: input.schema.width(),
        table: Arc::new(NamedTable { name: table.name.value.clone(), table: made }),
        table_width,
        unmatched: if lookup.left { Unmatched::Keep } else { Unmatched::Drop },
        options,
    };
    Ok((planned, joined))
}

/// The slots of a table that must be equal to the key, and of which equal values can have more than one form.
fn file_key(lookup: &Lookup, schema: &Schema, types: &[Type], problems: &mut Vec<Problem>) -> Vec<(usize, bool)> {
    let mut slots = Vec::new();
    for (i, (field, text)) in lookup.on.iter().enumerate() {
        let Some(slot) = schema.slot(&field.value) else {
            let problem = field.problem(format!("no field `{}` in the table `{}`", field.value, lookup.table.value));
            problems.push(problem.near(&field.value, schema.names()));
            continue;
        };
        let own = schema.field(slot).map(|field| &field.ty);
        let (Some(own), Some(ty)) = (own, types.get(i).filter(|_| types.len() == lookup.on.len())) else { continue };
        slots.push((slot, own != ty || has_forms(own)));
        if !comparable(own, ty) {
            problems.push(text.problem(format!("these are never equal: `{}` is of type {own}, this of type {ty}", field.value)));
        }
    }
    slots
}

/// What a row is looked up by.
fn key_of(row: &Row, slots: &[(usize, bool)]) -> Row {
    slots.iter().map(|(slot, forms)| if *forms { canonical(row.get(*slot)) } else { row.get(*slot).clone() }).collect()
}

/// The parts of a URL, with parameters as places in the key.
fn parameters(lookup: &Lookup, url: &[file::TextPart], problems: &mut Vec<Problem>) -> Vec<TextPart> {
    let names = || lookup.on.iter().map(|(name, _)| name.value.as_str());
    let mut parts = Vec::new();
    let mut used: Vec<&Spanned<String>> = Vec::new();
    for part in url {
        match part {
            file::TextPart::Literal(text) => parts.push(TextPart::Literal(text.as_str().into())),
            file::TextPart::Field(name) => match names().position(|other| other == name.value) {
                Some(place) => {
                    used.push(name);
                    parts.push(TextPart::Field(place));
                }
                None => problems.push(
                    lookup
                        .place
                        .problem(format!("the url of `{}` has a parameter `{}`, which `on` must give", lookup.table.value, name.value)),
                ),
            },
        }
    }
    for (name, _) in lookup.on.iter().filter(|(name, _)| !used.iter().any(|other| other.value == name.value)) {
        problems.push(name.problem(format!("the url of `{}` has no parameter `{}`", lookup.table.value, name.value)));
    }
    parts
}

impl PlannedLookup {
    pub(super) fn build<'s>(&self, name: &str, rows: Stream<'s, Row>) -> Stream<'s, Row> {
        let (slots, width, table_width) = (Arc::clone(&self.key), self.width, self.table_width);
        let key = move |row: &Row| key_of(row, &slots);
        let pair = move |row: &Row, found: Option<&Row>| {
            let found = (0..table_width).map(|slot| found.map_or(Value::Null, |row| row.get(slot).clone()));
            (0..width).map(|slot| row.copy(slot)).chain(found).collect::<Row>()
        };
        rows.lookup(name, Arc::clone(&self.table), self.unmatched, self.options, key, pair)
    }
}

/// A table of whatever kind, under the name it has in the job.
struct NamedTable {
    name: String,
    table: Box<dyn LookupTable<Row, Row = Row>>,
}

impl LookupTable<Row> for NamedTable {
    type Row = Row;

    fn describe(&self) -> String {
        format!("{} ({})", self.name, self.table.describe())
    }

    fn open(&self) -> Result<(), Error> {
        self.table.open()
    }

    fn known(&self, key: &Row) -> Result<Option<Rows<Row>>, Error> {
        self.table.known(key)
    }

    fn find(&self, key: Row) -> Finding<'_, Row> {
        self.table.find(key)
    }
}

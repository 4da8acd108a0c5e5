//! Lookups: rows joined with what a table says of them at that moment.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use tidegate_connectors::table::{FileTable, HttpTable};
use tidegate_operators::join::Unmatched;
use tidegate_operators::lookup::{CacheConfig, Cached, Finding, LookupTable, Rows as Found};
use tidegate_operators::{AsyncOptions, Order as Answers, Retries, Stream};
use tidegate_rows::format::{CsvFormat, JsonFormat, Layout, TextPart};
use tidegate_rows::{Row, Schema, Type, Value};
use tidegate_runtime::Error;

use tidegate_expr::{canonical, comparable, has_forms, identifiers, is_matchless};

use super::Lookup;
use crate::connect::{self, SourceFormat, Table, TableConnector, conversion};
use crate::relation::arrange::{Arranged, Sides};
use crate::relation::expression::expression;
use crate::relation::known::{Known, Order};
use crate::relation::open::Origin;
use crate::relation::pipeline::{self, Base, Pipeline};
use crate::stage::build::{Built, Rows, Site, Work};
use crate::stage::kind::{Planned, Refused, Scope};
use crate::text::{Problem, Spanned};
use crate::yaml::unsigned;

/// A lookup, compiled.
#[derive(Clone)]
struct PlannedLookup {
    /// Computes the keys that are expressions.
    keys: Pipeline,
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

/// Plans a lookup: its rows are those of the input with the fields of the table.
pub(super) fn plan(lookup: &Lookup, scope: &mut Scope<'_>) -> Result<Option<Planned>, Refused> {
    let input = scope.input;
    let Some(table) = scope.tables.iter().find(|table| table.name.value == lookup.table.value) else { return Ok(None) };
    let name = table.name.value.as_str();
    let origin = input.origin.clone().joined_with(name);
    scope.asked.name(&origin, scope.names);
    let fields = Schema::new(table.schema.iter().map(|field| (field.name.value.clone(), Type::Any)));
    scope.asked.meet_in_join([(&input.schema, &input.origin), (&fields, &Origin::default())], name);
    let named = lookup.on.iter().flat_map(|(_, text)| identifiers(&text.value)).collect();
    let stated = scope.stated(named, name, &origin);
    let (planned, joined) = compile(lookup, table, input, &stated)?;
    let mut out = input.clone();
    if !lookup.left {
        out.updates = out.updates.map(|updates| updates.unless_dropped(&scope.head.name.value, &lookup.on, &input.schema));
    }
    if lookup.unordered {
        out.order = Order::Arrival;
    }
    let base = Base::arranged(joined);
    drop(stated);
    Ok(Some(Planned { base, out, origin, work: Arc::new(planned), basis: None, late: None, timeouts: None }))
}

fn compile(
    lookup: &Lookup,
    table: &Table,
    input: &Known,
    stated: &dyn Fn(&str) -> bool,
) -> Result<(PlannedLookup, Arranged), Vec<Problem>> {
    let mut problems = Vec::new();
    let mut fields = Vec::new();
    for field in &table.schema {
        match conversion(&field.ty) {
            Ok(conversion) => fields.push((field.name.value.clone(), conversion)),
            Err(error) => problems.push(field.name.problem(error)),
        }
    }
    let layout = Layout::new(fields);
    let (mut key, mut computed, mut types) = (Vec::new(), Vec::new(), Vec::new());
    for (_, text) in &lookup.on {
        let Some(expr) = expression(text, &input.schema, &mut problems) else { continue };
        types.push(expr.ty().clone());
        key.push((expr.as_slot().unwrap_or(input.schema.width() + computed.len()), false));
        if expr.as_slot().is_none() {
            computed.push(expr);
        }
    }
    let options = AsyncOptions {
        order: if lookup.unordered { Answers::Unordered } else { Answers::Ordered },
        capacity: usize::try_from(lookup.capacity).ok().and_then(NonZeroUsize::new).unwrap_or(NonZeroUsize::MIN),
        ..AsyncOptions::default()
    };
    let (schema, table_width) = (layout.schema().clone(), layout.schema().width());
    let (made, options) = match &table.connector {
        TableConnector::File { path, format, reload } => {
            let slots = file_key(lookup, &schema, &types, &mut problems);
            slots.iter().zip(&mut key).for_each(|((_, of_table), (_, of_row))| *of_row = *of_table);
            let slots = move |row: &Row| Some(key_of(row, &slots)).filter(|key| !key.0.iter().any(is_matchless));
            let reload = unsigned(*reload);
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
                    Box::new(Cached::new(made, CacheConfig { entries, ttl: unsigned(cache.ttl) }))
                }
                None => Box::new(made),
            };
            (made, AsyncOptions { timeout: unsigned(*timeout), retries: retries(*most), ..options })
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
fn parameters(lookup: &Lookup, url: &[connect::TextPart], problems: &mut Vec<Problem>) -> Vec<TextPart> {
    let names = || lookup.on.iter().map(|(name, _)| name.value.as_str());
    let mut parts = Vec::new();
    let mut used: Vec<&Spanned<String>> = Vec::new();
    for part in url {
        match part {
            connect::TextPart::Literal(text) => parts.push(TextPart::Literal(text.as_str().into())),
            connect::TextPart::Field(name) => match names().position(|other| other == name.value) {
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

impl Work for PlannedLookup {
    fn build<'s>(&self, site: &Site<'_, 's>, input: Rows<'s>) -> Built<'s> {
        let keyed = site.with_keys(input, &self.keys);
        let (slots, width, table_width) = (Arc::clone(&self.key), self.width, self.table_width);
        let key = move |row: &Row| key_of(row, &slots);
        let pair = move |row: &Row, found: Option<&Row>| {
            let found = (0..table_width).map(|slot| found.map_or(Value::Null, |row| row.get(slot).clone()));
            (0..width).map(|slot| row.copy(slot)).chain(found).collect::<Row>()
        };
        let joined: Stream<'s, Row> = keyed.lookup(site.name, Arc::clone(&self.table), self.unmatched, self.options, key, pair);
        Built::only(site.emitted(joined, Some))
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

    fn known(&self, key: &Row) -> Result<Option<Found<Row>>, Error> {
        self.table.known(key)
    }

    fn find(&self, key: Row) -> Finding<'_, Row> {
        self.table.find(key)
    }
}

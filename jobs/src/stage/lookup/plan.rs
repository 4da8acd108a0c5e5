//! Plans lookups: rows joined with the rows of a table.

use std::num::NonZeroUsize;
use std::sync::Arc;

use tidegate_expr::identifiers;
use tidegate_operators::join::Unmatched;
use tidegate_operators::lookup::{Finding, LookupTable, Rows as Found};
use tidegate_operators::{AsyncOptions, Order as Answers, Stream};
use tidegate_rows::format::Layout;
use tidegate_rows::{Row, Schema, Type, Value};
use tidegate_runtime::Error;

use super::Lookup;
use crate::connect::{self, MadeTable, Table, TableScope, conversions, lookup_key};
use crate::relation::appended::Appended;
use crate::relation::arrange::{Arranged, Sides};
use crate::relation::expression::expression;
use crate::relation::known::{Known, Order};
use crate::relation::open::Origin;
use crate::relation::pipeline::{Base, Pipeline};
use crate::stage::build::{Built, Rows, Site, Work};
use crate::stage::kind::{Planned, Refused, Scope};
use crate::text::Problem;

/// A planned lookup.
#[derive(Clone)]
struct PlannedLookup {
    /// Computes the parts of the key that are expressions.
    keys: Pipeline,
    /// The slots of the key, and for each whether equal values can have more than one form.
    key: Arc<[(usize, bool)]>,
    /// The number of fields in a row, without the computed keys.
    width: usize,
    table: Arc<NamedTable>,
    /// The number of fields in a row of the table.
    table_width: usize,
    unmatched: Unmatched,
    options: AsyncOptions,
}

/// Plans a lookup. Its output has the fields of the input and those of the table.
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
    let (planned, joined) = compile(lookup, table, input, scope.answers, &stated)?;
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
    answers: &connect::Answers,
    stated: &dyn Fn(&str) -> bool,
) -> Result<(PlannedLookup, Arranged), Vec<Problem>> {
    let layout = Layout::new(conversions(&table.schema)?);
    let mut problems = Vec::new();
    let (mut key, mut computed, mut types) = (Vec::new(), Appended::to(&input.schema), Vec::new());
    for (_, text) in &lookup.on {
        let Some(expr) = expression(text, &input.schema, &mut problems) else { continue };
        types.push(expr.ty().clone());
        key.push((computed.slot(expr), false));
    }
    let options = AsyncOptions {
        order: if lookup.unordered { Answers::Unordered } else { Answers::Ordered },
        capacity: usize::try_from(lookup.capacity).ok().and_then(NonZeroUsize::new).unwrap_or(NonZeroUsize::MIN),
        ..AsyncOptions::default()
    };
    let schema = layout.schema().clone();
    let types = (types.len() == lookup.on.len()).then_some(types);
    let of = TableScope { name: &table.name, layout, at: &lookup.place, on: &lookup.on, types: types.as_deref(), answers };
    let made = table.connector.plan(&of).map_err(|more| problems.extend(more)).ok().filter(|_| problems.is_empty());
    let Some(MadeTable { table: made, forms, requests }) = made else { return Err(problems) };
    forms.into_iter().zip(&mut key).for_each(|(of_table, (_, of_row))| *of_row = of_table);
    let options = requests.map_or(options, |(timeout, retries)| AsyncOptions { timeout, retries, ..options });
    let sides = Sides { left: &input.schema, right: &schema, with: &table.name.value, stated, either: &[], behind: &[] };
    let joined = sides.joined();
    let planned = PlannedLookup {
        keys: computed.into(),
        key: key.into(),
        width: input.schema.width(),
        table: Arc::new(NamedTable { name: table.name.value.clone(), table: made }),
        table_width: schema.width(),
        unmatched: if lookup.left { Unmatched::Keep } else { Unmatched::Drop },
        options,
    };
    Ok((planned, joined))
}

impl Work for PlannedLookup {
    fn build<'s>(&self, site: &Site<'_, 's>, input: Rows<'s>) -> Built<'s> {
        let keyed = site.with_keys(input, &self.keys);
        let (slots, width, table_width) = (Arc::clone(&self.key), self.width, self.table_width);
        let key = move |row: &Row| lookup_key(row, &slots);
        let pair = move |row: &Row, found: Option<&Row>| {
            let found = (0..table_width).map(|slot| found.map_or(Value::Null, |row| row.get(slot).clone()));
            (0..width).map(|slot| row.copy(slot)).chain(found).collect::<Row>()
        };
        let joined: Stream<'s, Row> = keyed.lookup(site.name, Arc::clone(&self.table), self.unmatched, self.options, key, pair);
        Built::only(site.emitted(joined, Some))
    }
}

/// A table under its name in the job.
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

//! `aggregate`: aggregates over the records of each key, per window or running.

use std::sync::Arc;

use tidegate_expr::{identifiers, parse_call};
use tidegate_operators::WindowResult;
use tidegate_rows::{Row, Schema, Type, Value};
use tidegate_runtime::Field;

use super::build::{Built, Rows, Site, Work, bound};
use super::keyed::{self, PlannedKey};
use super::kind::{Around, BOUNDS, Head, Kind, Planned, Read, Refused, Scope, Stage};
use super::window::{PlannedWindow, Window, Windows, windowed};
use crate::aggregate::{self, Compiled, RowAggregate};
use crate::relation::key::RowKey;
use crate::relation::known::{Known, Order, Timing};
use crate::relation::pipeline::Base;
use crate::relation::updates::Updates;
use crate::text::{Span, Spanned};
use crate::yaml::{Node, Reader, Table, Value as Yaml, key};

pub(crate) static KIND: Kind = Kind {
    key: key("aggregate", "mapping", "none", "the new fields: `name: count()`, or `name: { value: sum(x), where: y > 3 }`"),
    tables: &[&AGGREGATE],
    keyed: true,
    windowed: true,
    ordered: false,
    stateful: true,
    late: false,
    timeouts: false,
    beside: None,
    table: None,
};

static AGGREGATE: Table = Table {
    name: "aggregate",
    title: "An aggregate in long form",
    keys: &[
        key("value", "aggregate", "", "the aggregate, such as count() or sum(amount)"),
        key("where", "expression", "none", "which records it includes"),
    ],
};

/// `aggregate`, with the windows it applies to.
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregation {
    /// The aggregates, in order. Empty only after a problem.
    pub aggregates: Vec<Aggregate>,
    /// The windows. Without them, each record emits an updated result.
    pub window: Option<Window>,
    /// Whether the stream asks for windows, even if they can't be read.
    pub windowed: bool,
}

/// A named aggregate.
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregate {
    /// The field that holds the result.
    pub name: Spanned<String>,
    /// The call: `sum(amount)`.
    pub call: Spanned<String>,
    /// A condition on the records to aggregate.
    pub filter: Option<Spanned<String>>,
}

pub(crate) fn read(reader: &mut Reader, node: &Node, _: &Span, around: &Around<'_>) -> Option<Read<Aggregation>> {
    let entries = reader.entries(node, "a mapping from new fields to aggregates")?;
    if entries.is_empty() {
        return reader.fail(&node.span, "`aggregate` needs at least one field, such as `n: count()`");
    }
    let aggregates: Vec<_> = entries.iter().filter_map(|entry| read_one(reader, &entry.key, &entry.value)).collect();
    let whole = aggregates.len() == entries.len();
    Some(Read { stage: Aggregation { aggregates, window: around.window.cloned(), windowed: around.windowed }, whole })
}

fn read_one(reader: &mut Reader, name: &Spanned<String>, node: &Node) -> Option<Aggregate> {
    const CALL: &str = "an aggregate such as `count()`";
    let name = reader.field_name(name)?;
    if !matches!(node.value, Yaml::Map(_)) {
        return Some(Aggregate { name, call: reader.text(node, CALL)?, filter: None });
    }
    let place = format!("the aggregate `{}`", name.value);
    let fields = reader.fields(node, &name.span, &[&AGGREGATE], &place)?;
    let call = reader.required(&fields, "value").and_then(|node| reader.text(node, CALL));
    let filter = fields.written("where").and_then(|node| reader.text(node, "an expression"));
    Some(Aggregate { name, call: call?, filter })
}

impl Stage for Aggregation {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn names(&self, _: &Head) -> Vec<String> {
        let mut names = Vec::new();
        for aggregate in &self.aggregates {
            let args = parse_call(&aggregate.call.value).map(|call| call.args).unwrap_or_default();
            names.extend(args.iter().flat_map(|arg| identifiers(&arg.source)));
            names.extend(aggregate.filter.iter().flat_map(|text| identifiers(&text.value)));
        }
        names.extend(self.window.iter().flat_map(Window::names));
        names
    }

    fn plan(&self, scope: &mut Scope<'_>) -> Result<Option<Planned>, Refused> {
        let (head, input) = (scope.head, scope.input);
        let (mut problems, mut schema) = (Vec::new(), Schema::default());
        let key = PlannedKey::plan(head, input, &mut schema, &mut problems);
        let windows = Windows::plan(head, self.window.as_ref(), input, &mut problems);
        if let (false, Some(first)) = (self.windowed, self.aggregates.first()) {
            Updates::refuse(input.updates.as_ref(), &first.name, "a running aggregate", &mut problems);
        }
        let has_bounds = windows.planned.as_ref().map_or(self.windowed, PlannedWindow::has_bounds);
        BOUNDS.iter().filter(|_| has_bounds).for_each(|(name, ty)| _ = schema.add(*name, ty.clone()));
        let compiled = self.compile(input, &mut schema, &mut problems);
        if !problems.is_empty() {
            let timing = if self.windowed { Timing::Timed } else { input.timing.clone() };
            return Err(scope.refused(problems, Base::new(schema), timing));
        }
        let keys = head.key.len();
        let updates = windows.planned.as_ref().and_then(|window| {
            let bounds = if has_bounds { keys..keys + BOUNDS.len() } else { keys..keys };
            let identity = window.identity(&head.name.value, (0..keys).collect());
            Some(Updates::new(&head.name.value, window.fires_again()?, identity, bounds))
        });
        // The problems of a window that can't be read have already been reported.
        let unread = self.windowed && self.window.is_none();
        let timing = if unread { Timing::Timed } else { windows.timing(head, &input.timing) };
        let order = if key.settled || windows.is_by_event_time() { head.keyed() } else { Order::Arrival };
        let out = Known { updates, ..Known::new(schema.clone(), timing, order) };
        let identity = windows.latest.iter().flat_map(|slots| slots.iter()).filter_map(|slot| input.schema.field(*slot));
        let records = match (windows.evicts(), &windows.latest) {
            (true, _) => Some(keyed::rows(head, &input.schema)),
            (false, latest) => latest.as_ref().map(|_| identity.map(keyed::field).collect()),
        };
        let what: Vec<_> = self.aggregates.iter().map(|a| format!("{} = {}", a.name.value, a.call.value)).collect();
        let work = PlannedAggregation {
            key,
            kept: self.aggregates.iter().zip(&compiled).map(|(a, compiled)| Field::new(&a.name.value, compiled.kept())).collect(),
            aggregates: compiled.into(),
            windows,
            words: format!("{}{}", what.join(", "), head.by()),
        };
        let basis = keyed::basis(head, &input.schema, records, None);
        let (base, origin) = (Base::new(schema), input.origin.clone());
        Ok(Some(Planned { base, out, origin, work: Arc::new(work), basis: Some(basis), late: None, timeouts: None }))
    }
}

impl Aggregation {
    /// Compiles the aggregates and adds their fields to `schema`.
    fn compile(&self, input: &Known, schema: &mut Schema, problems: &mut Vec<crate::text::Problem>) -> Vec<Compiled> {
        let mut compiled = Vec::new();
        for aggregate in &self.aggregates {
            let name = &aggregate.name;
            if schema.slot(&name.value).is_some() {
                let message =
                    format!("the output has a field `{}` already: the key, `window_start` and `window_end` stand in it too", name.value);
                problems.push(name.problem(message));
            }
            match aggregate::compile(&aggregate.call, aggregate.filter.as_ref(), &input.schema) {
                Ok((one, ty)) => {
                    schema.add(name.value.clone(), ty);
                    compiled.push(one);
                }
                Err(found) => {
                    // Add the field anyway, so that expressions over the output don't report it again.
                    schema.add(name.value.clone(), Type::Any);
                    problems.extend(found);
                }
            }
        }
        compiled
    }
}

/// A planned `aggregate`.
struct PlannedAggregation {
    key: PlannedKey,
    windows: Windows,
    aggregates: Arc<[Compiled]>,
    /// For each aggregate, its name and what its accumulator holds.
    kept: Vec<Field>,
    /// A description for explaining the plan.
    words: String,
}

impl Work for PlannedAggregation {
    fn build<'s>(&self, site: &Site<'_, 's>, input: Rows<'s>) -> Built<'s> {
        let name = site.name;
        let failures = || site.failures();
        let PlannedKey { keys, key, settled, .. } = self.key.clone();
        let aggregate = RowAggregate::new(Arc::clone(&self.aggregates), self.kept.clone(), &self.words, failures());
        let aggregate = if settled { aggregate } else { aggregate.in_any_order() };
        let aggregate = aggregate.after(self.lead());
        let keyed = site.with_keys(input, &keys).key_by(move |row: &Row| key.of(row));
        let row = |(key, values): (RowKey, Vec<Value>)| Some(led(key, [], values));
        match &self.windows.planned {
            None => Built::only(site.emitted(keyed.state_ttl(site.ttl).aggregate(name, aggregate), row)),
            Some(PlannedWindow::Count(window)) => {
                let (results, none) = keyed.count_window(*window).aggregate_with_late(name, aggregate);
                Built::with_late(site.emitted(results, row), site.without_keys(none, &keys))
            }
            Some(PlannedWindow::Time(window)) => {
                let has_bounds = window.has_bounds();
                let row = move |r: WindowResult<RowKey, Vec<Value>>| {
                    Some(if has_bounds { led(r.key, [bound(r.start), bound(r.end)], r.value) } else { led(r.key, [], r.value) })
                };
                let latest = self.windows.latest.as_ref();
                let (results, behind) = windowed(keyed, name, window, latest, settled, aggregate, &failures);
                Built::with_late(site.emitted(results, row), site.without_keys(behind, &keys))
            }
        }
    }
}

impl PlannedAggregation {
    /// The number of values before those of the aggregates.
    fn lead(&self) -> usize {
        let has_bounds = matches!(&self.windows.planned, Some(PlannedWindow::Time(window)) if window.has_bounds());
        self.key.len() + if has_bounds { BOUNDS.len() } else { 0 }
    }
}

/// The row of a result, in which the key and the bounds replace the nulls that the values begin with.
fn led<const N: usize>(key: RowKey, bounds: [Value; N], mut values: Vec<Value>) -> Row {
    let mut slots = values.iter_mut();
    let mut put = |value| slots.next().map_or((), |slot| *slot = value);
    match key {
        RowKey::Whole => {}
        RowKey::One(value) => put(value),
        RowKey::Two(values) => values.into_iter().for_each(&mut put),
        RowKey::Many(values) => values.into_iter().for_each(&mut put),
    }
    bounds.into_iter().for_each(put);
    Row(values.into_boxed_slice())
}

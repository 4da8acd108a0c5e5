//! Builds the operators of indicators.

use std::cmp::Ordering;
use std::sync::Arc;

use tidegate_expr::Expr;
use tidegate_operators::Stream;
use tidegate_operators::indicator::{Flow, Plan};
use tidegate_operators::kinds::INDICATORS;
use tidegate_rows::{Row, Schema, Value};
use tidegate_runtime::metrics::OperatorMetrics;
use tidegate_runtime::{Basis, Field, OperatorSpec, Record, operator};

use super::column::RowColumn;
use super::gather::{self, Places};
use super::rows::{Emits, Fed, Fills, Reads, RowIndicators, Scratch};
use super::sweep::Sweep;
use crate::relation::failures::Failures;
use crate::relation::key::{KeySlots, RowKey};
use crate::relation::union::PlannedInput;
use crate::stage::build::{Built, Rows, Site, Work, gather as rows_of, kinds};
use crate::stage::keyed::by_value;

/// The planned indicators of one key.
pub(crate) struct PlannedGroup {
    pub(super) suffix: String,
    pub(crate) words: String,
    /// The slots of the key in the rows of the stream.
    pub(super) fields: Vec<usize>,
    /// What the key is.
    pub(super) basis: Vec<Field>,
    /// The key in the rows of each stream, if it takes part.
    pub(crate) keys: Vec<Option<KeySlots>>,
    pub(crate) slots: Vec<Vec<usize>>,
    /// What is appended to the rows of each stream for the key.
    pub(crate) computed: Vec<Vec<Expr>>,
    pub(crate) plan: Arc<Plan<RowColumn>>,
    pub(super) fills: Arc<[Fills]>,
    pub(super) reads: Arc<[Reads]>,
    pub(crate) sweeps: Vec<Sweep>,
    pub(crate) places: Vec<usize>,
}

/// Planned indicators.
pub(super) struct PlannedIndicators {
    pub(super) groups: Vec<PlannedGroup>,
    /// The other streams that feed histories.
    pub(super) others: Vec<(PlannedInput, Schema)>,
    pub(super) in_time: bool,
    /// Whether the rows of each key come in the same order in every run.
    pub(super) settled: bool,
    /// Milliseconds.
    pub(super) lateness: i64,
    /// The number of fields in a row.
    pub(super) width: usize,
}

impl Work for PlannedIndicators {
    fn build<'s>(&self, site: &Site<'_, 's>, input: Rows<'s>) -> Built<'s> {
        let name = site.name;
        let others: Vec<Rows<'s>> =
            self.others.iter().map(|(from, schema)| rows_of(std::slice::from_ref(from), name, schema, site.streams)).collect();
        let several = self.groups.len() > 1;
        let input = if several { gather::scattered(input, &format!("{name}/scatter")) } else { input };
        let mut used: Vec<&str> = Vec::new();
        let (mut parts, mut late): (Vec<Rows<'s>>, Option<Rows<'s>>) = (Vec::new(), None);
        for (number, group) in self.groups.iter().enumerate() {
            let alike = used.iter().filter(|used| **used == group.suffix).count();
            used.push(&group.suffix);
            let suffix = if alike == 0 { group.suffix.clone() } else { format!("{}.{}", group.suffix, alike + 1) };
            let (out, behind) = self.group(site, number, &suffix, input.clone(), &others);
            parts.push(out);
            late = late.or(behind);
        }
        let joined = parts.into_iter().reduce(Stream::union);
        let out = match joined {
            Some(parts) if several => {
                let places = Places { width: self.width, of_parts: self.groups.iter().map(|group| group.places.clone()).collect() };
                gather::gathered(parts, &format!("{name}/gather"), places)
            }
            Some(one) => one,
            None => input,
        };
        let out = site.emitted(out, Some);
        match late {
            Some(late) => Built::with_late(out, late),
            None => Built::only(out),
        }
    }
}

impl PlannedIndicators {
    /// The operators of the group with this number. Returns its rows, or parts of rows, and with the first group the late rows, if there may be any.
    fn group<'s>(
        &self,
        site: &Site<'_, 's>,
        number: usize,
        suffix: &str,
        input: Rows<'s>,
        others: &[Rows<'s>],
    ) -> (Rows<'s>, Option<Rows<'s>>) {
        let (group, operator) = (&self.groups[number], format!("{}/{suffix}", site.name));
        let edge = input.into_edge();
        edge.dataflow().describe(&operator, site.about_of(&operator, |basis| Basis { key: Some(group.basis.clone()), ..basis }));
        let mut fed = group.feed(0, Stream::from_edge(edge), &format!("{operator}/rows"), site.input, site);
        for (source, (rows, (from, schema))) in (1..).zip(others.iter().zip(&self.others)) {
            if group.takes_from(source) {
                fed = fed.union(group.feed(source, rows.clone(), &format!("{operator}/from/{}", from.name), schema, site));
            }
        }
        let keys = group.keys.clone();
        let key = move |(source, row): &Fed| keys.get(usize::from(*source)).and_then(Option::as_ref).map_or(RowKey::Whole, |key| key.of(row));
        let emits = if self.groups.len() > 1 {
            Emits::Part { group: number, number: self.width + group.computed.first().map_or(0, Vec::len) }
        } else {
            Emits::Row
        };
        let schemas = std::iter::once(site.input).chain(self.others.iter().map(|(_, schema)| schema));
        let indicators = RowIndicators {
            plan: Arc::clone(&group.plan),
            fills: Arc::clone(&group.fills),
            reads: Arc::clone(&group.reads),
            sweeps: group.sweeps.clone(),
            keys: group.slots.clone().into(),
            values: group.places.len(),
            width: self.width,
            emits,
            failures: schemas.map(|schema| site.failures_over(schema).passing()).collect(),
            scratch: Scratch::default(),
            metrics: Arc::default(),
        };
        let flow: Flow<Fed> = if self.in_time {
            let by_value = by_value();
            let settled = self.settled;
            Flow::Time(Box::new(move |a: &Fed, b: &Fed| if settled { Ordering::Equal } else { a.0.cmp(&b.0).then_with(|| by_value(&a.1, &b.1)) }))
        } else {
            Flow::Arrival { lateness: self.lateness }
        };
        let form = if self.in_time { "in order of event time" } else { "as records come" };
        let spec = OperatorSpec::new(INDICATORS).of_form(form).labelled(format!("{} indicators {}", group.places.len(), group.words));
        let (out, late) = fed.key_by(key).indicators_by(&operator, spec, indicators, flow);
        let width = self.width;
        let fields = move |(_, row): Fed| row.0.into_iter().take(width).collect::<Row>();
        let late = (self.in_time && number == 0).then(|| late.map(&format!("{operator}/late"), fields));
        (out, late)
    }
}

impl PlannedGroup {
    /// What computes its indicators over whole rows of the stream itself.
    pub(crate) fn over_rows(&self, failures: Failures, metrics: Arc<OperatorMetrics>) -> RowIndicators {
        RowIndicators {
            plan: Arc::clone(&self.plan),
            fills: Arc::clone(&self.fills),
            reads: Arc::clone(&self.reads),
            sweeps: self.sweeps.clone(),
            keys: self.slots.clone().into(),
            values: self.places.len(),
            width: 0,
            emits: Emits::Row,
            failures: vec![failures],
            scratch: Scratch::default(),
            metrics,
        }
    }

    /// Whether the stream with this number feeds it.
    fn takes_from(&self, source: usize) -> bool {
        matches!(self.keys.get(source), Some(Some(_)))
    }

    /// The rows of the stream with this number, as they come to the group.
    fn feed<'s>(&self, source: usize, rows: Rows<'s>, name: &str, schema: &Schema, site: &Site<'_, 's>) -> Stream<'s, Fed> {
        let computed = self.computed.get(source).cloned().unwrap_or_default();
        feed(rows, name, u8::try_from(source).unwrap_or(u8::MAX), computed, schema.width(), site.failures_over(schema).passing())
    }
}

/// Marks rows with the stream that they are from, and inserts the parts of their key that are computed after their fields. A part that fails is null: then
/// the key is not known.
fn feed<'s>(rows: Rows<'s>, name: &str, source: u8, computed: Vec<Expr>, width: usize, mut failures: Failures) -> Stream<'s, Fed> {
    Stream::from_edge(operator::stateless(rows.into_edge(), name, OperatorSpec::new(kinds::ROWS), |metrics| {
        move |records: &mut Vec<Record<Row>>, out: &mut Vec<Record<Fed>>| {
            if computed.is_empty() {
                out.extend(records.drain(..).map(|record| Record::new(record.time, (source, record.value))));
                return Ok(());
            }
            for Record { time, value: row } in records.drain(..) {
                let mut keys = Vec::with_capacity(computed.len());
                for key in &computed {
                    keys.push(match key.eval(&row) {
                        Ok(value) => value,
                        Err(error) => {
                            metrics.uncounted.add(1);
                            failures.report(key, &error.to_string(), &row)?;
                            Value::Null
                        }
                    });
                }
                let mut all = row.0.into_vec();
                let behind = all.split_off(width.min(all.len()));
                out.push(Record::new(time, (source, all.into_iter().chain(keys).chain(behind).collect())));
            }
            Ok(())
        }
    }))
}

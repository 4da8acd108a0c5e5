//! Streams: which operators each becomes.

use std::sync::Arc;

use tidegate_connectors::row::{Schema, Type};

use super::joins::{self, PlannedJoin};
use super::key::KeySlots;
use super::known::{Known, Order, Timing};
use super::lookups::{self, PlannedLookup};
use super::patterns::{self, Patterned};
use super::pipeline::{self, Pipeline};
use super::single::{self, PlannedDedupe, PlannedTop};
use super::updates::Updates;
use super::windows::{self, PlannedWindow};
use super::{PlannedInput, Streams};
use crate::aggregate::{self, Compiled};
use crate::expr::Expr;
use crate::file::{OnError, Problem, Stream, Table};

/// A stream, compiled.
#[derive(Clone)]
pub(super) struct PlannedStream {
    pub(super) name: String,
    pub(super) inputs: Vec<PlannedInput>,
    /// What is known of the inputs together.
    pub(super) input: Known,
    pub(super) work: Work,
    /// Over what that gives, or over the input if it is nothing.
    pub(super) pipeline: Pipeline,
    /// What the pipeline is over.
    pub(super) pipeline_schema: Schema,
    /// What its readers see.
    pub(super) out: Known,
    pub(super) on_error: OnError,
}

impl PlannedStream {
    /// The stream of its late records, if it has one.
    pub(super) fn late_to(&self) -> Option<&str> {
        match &self.work {
            Work::Nothing | Work::Lookup(_) => None,
            Work::Aggregation(aggregation) => aggregation.late_to.as_deref(),
            Work::Pattern(pattern) => pattern.late_to.as_deref(),
            Work::Join(join) => join.late_to.as_deref(),
            Work::Dedupe(dedupe) => dedupe.late_to.as_deref(),
            Work::Top(top) => top.late_to.as_deref(),
        }
    }

    /// The schema of the late records: as they came, but for those of joins.
    pub(super) fn late_schema(&self) -> &Schema {
        if let Work::Join(join) = &self.work { &join.schema } else { &self.input.schema }
    }

    /// The stream of the partial matches that ran out of time, if it has one, and its schema.
    pub(super) fn timeouts_to(&self) -> Option<(&str, &Schema)> {
        let Work::Pattern(pattern) = &self.work else { return None };
        Some((pattern.timeouts_to.as_deref()?, &pattern.schema))
    }
}

/// What a stream does before its `where`.
#[derive(Clone)]
pub(super) enum Work {
    Nothing,
    Aggregation(Aggregation),
    Pattern(Patterned),
    Join(Box<PlannedJoin>),
    Lookup(Box<PlannedLookup>),
    Dedupe(PlannedDedupe),
    Top(Box<PlannedTop>),
}

/// An aggregation by key, in windows or running.
#[derive(Clone)]
pub(super) struct Aggregation {
    /// Computes the keys that are expressions.
    pub(super) keys: Pipeline,
    pub(super) key: KeySlots,
    pub(super) window: Option<PlannedWindow>,
    /// The slots that tell results apart of which the latest is kept.
    pub(super) latest: Option<Arc<[usize]>>,
    /// Do the records of a key come in an order of their own?
    pub(super) settled: bool,
    pub(super) aggregates: Arc<[Compiled]>,
    pub(super) late_to: Option<String>,
    /// What it does, in words.
    pub(super) words: String,
}

/// Plans a stream. `None` if an input could not be planned.
pub(super) fn plan(stream: &Stream, known: &Streams, tables: &[&Table]) -> Result<Option<PlannedStream>, Vec<Problem>> {
    let Some((input, inputs)) = super::union(&stream.from, known) else { return Ok(None) };
    let mut out = input.clone();
    let mut work = Work::Nothing;
    // All fields are handed on, but for the steps of a pattern.
    let mut handed_on = None;
    if let Some(pattern) = &stream.pattern {
        let (planned, schema) = patterns::plan(stream, pattern, &input).map_err(|(mut problems, schema)| {
            problems.extend(pipeline::compile(stream, schema, None).err().into_iter().flatten());
            problems
        })?;
        handed_on = Some(planned.schema.width());
        let timing = if planned.processing_time {
            Timing::Untimed(format!(
                "the pattern of `{}` goes by the wall clock: let it, or not what reads it, go by event time",
                stream.name.value
            ))
        } else {
            Timing::Timed
        };
        out = Known { schema, timing, order: keyed(stream), updates: None };
        work = Work::Pattern(planned);
    } else if let Some(join) = &stream.join {
        let Some(planned) = joins::plan(stream, join, &input, known) else { return Ok(None) };
        let (planned, joined) = planned?;
        out = joined;
        work = Work::Join(Box::new(planned));
    } else if let Some(lookup) = &stream.lookup {
        let Some(table) = tables.iter().find(|table| table.name.value == lookup.table.value) else { return Ok(None) };
        let (planned, schema) = lookups::plan(lookup, table, &input)?;
        out.updates =
            out.updates.map(|updates| if lookup.left { updates } else { updates.unless_dropped(stream, &lookup.on, &input.schema) });
        out.order = if lookup.unordered { Order::Arrival } else { out.order };
        out.schema = schema;
        work = Work::Lookup(Box::new(planned));
    } else if let Some(dedupe) = &stream.dedupe {
        let planned = single::plan_dedupe(stream, dedupe, &input)?;
        (out.order, out.updates) = (planned.order(), planned.updates.clone());
        work = Work::Dedupe(planned);
    } else if let Some(top) = &stream.top {
        let (planned, schema) = single::plan_top(stream, top, &input)?;
        out = Known { schema, timing: planned.timing.clone(), order: planned.order(), updates: planned.updates.clone() };
        work = Work::Top(Box::new(planned));
    } else if !stream.aggregate.is_empty() {
        let (planned, aggregated) = plan_aggregation(stream, &input)?;
        out = aggregated;
        work = Work::Aggregation(planned);
    }
    let pipeline_schema = out.schema.clone();
    let (pipeline, schema) = pipeline::compile(stream, pipeline_schema.clone(), handed_on)?;
    out.updates = out.updates.map(|updates| updates.through(stream, &pipeline_schema, &pipeline));
    out.order = out.order.through(&pipeline);
    out.schema = schema;
    let name = stream.name.value.clone();
    Ok(Some(PlannedStream { name, inputs, input, work, pipeline, pipeline_schema, out, on_error: stream.on_error }))
}

/// The order of results that begin with the values of the key.
fn keyed(stream: &Stream) -> Order {
    Order::behind(Some((0..stream.key.len()).collect()))
}

fn plan_aggregation(stream: &Stream, input: &Known) -> Result<(Aggregation, Known), Vec<Problem>> {
    let mut problems = Vec::new();
    let mut schema = Schema::default();
    let (slots, computed) = plan_key(stream, input, &mut schema, &mut problems);
    let (window, latest) = plan_windows(stream, input, &mut problems);
    if let (None, Some(first)) = (&stream.window, stream.aggregate.first()) {
        Updates::refuse(input.updates.as_ref(), &first.name, "a running aggregate", &mut problems);
    }
    let has_bounds = window.as_ref().map_or(stream.window.is_some(), PlannedWindow::has_bounds);
    if has_bounds {
        schema.add("window_start", Type::Timestamp);
        schema.add("window_end", Type::Timestamp);
    }
    let mut aggregates = Vec::new();
    for aggregate in &stream.aggregate {
        if schema.slot(&aggregate.name.value).is_some() {
            let message = format!(
                "the output has a field `{}` already: the key, `window_start` and `window_end` stand in it too",
                aggregate.name.value
            );
            problems.push(aggregate.name.problem(message));
        }
        match aggregate::compile(&aggregate.call, aggregate.filter.as_ref(), &input.schema) {
            Ok((compiled, ty)) => {
                schema.add(aggregate.name.value.clone(), ty);
                aggregates.push(compiled);
            }
            Err(found) => {
                // So that what is over the output doesn't complain once more.
                schema.add(aggregate.name.value.clone(), Type::Any);
                problems.extend(found);
            }
        }
    }
    if !problems.is_empty() {
        // The rest of the stream is looked at too, that all problems are told at once.
        problems.extend(pipeline::compile(stream, schema, None).err().into_iter().flatten());
        return Err(problems);
    }
    let by = stream.key.iter().map(|k| k.value.as_str()).collect::<Vec<_>>().join(", ");
    let what = stream.aggregate.iter().map(|a| format!("{} = {}", a.name.value, a.call.value)).collect::<Vec<_>>().join(", ");
    let by = if by.is_empty() { String::new() } else { format!(" by {by}") };
    let keys = stream.key.len();
    let updates = window.as_ref().and_then(|window| {
        let bounds = if has_bounds { keys..keys + 2 } else { keys..keys };
        Some(Updates::new(stream, window.fires_again()?, window.identity(stream, (0..keys).collect()), bounds))
    });
    let timing = window.as_ref().map_or_else(|| input.timing.clone(), |window| window.timing(stream, &input.timing));
    let settled = input.order.is_settled(&slots);
    let in_order = settled || window.as_ref().is_some_and(PlannedWindow::is_by_event_time);
    let order = if in_order { keyed(stream) } else { Order::Arrival };
    let aggregation = Aggregation {
        key: KeySlots::over(&slots, &input.schema, &computed),
        keys: pipeline::append(computed),
        window,
        latest,
        settled,
        aggregates: aggregates.into(),
        late_to: stream.late_to.as_ref().map(|name| name.value.clone()),
        words: format!("{what}{by}"),
    };
    Ok((aggregation, Known { schema, timing, order, updates }))
}

/// The windows of a stream, and the slots that tell results apart of which they are to keep the latest, if any come again.
pub(super) fn plan_windows(stream: &Stream, input: &Known, problems: &mut Vec<Problem>) -> (Option<PlannedWindow>, Option<Arc<[usize]>>) {
    let Some(window) = &stream.window else { return (None, None) };
    let Some(planned) = windows::plan(window, &input.schema, problems) else { return (None, None) };
    if let (true, Timing::Untimed(remedy)) = (planned.needs_event_time(), &input.timing) {
        problems.push(window.place.problem(format!("these windows are of event time, and {}", untimed(stream, remedy))));
    }
    let Some(updates) = &input.updates else { return (Some(planned), None) };
    let refused = planned.counts_anew().map(|reader| updates.refused(reader));
    let refused = refused.or_else(|| updates.irreplaceable(&stream.key, &input.schema));
    problems.extend(refused.map(|message| window.place.problem(message)));
    (Some(planned), updates.identity().map(Into::into))
}

/// The slots of the key, and the expressions whose values are put behind the row for it; adds its fields to what the stream gives.
pub(super) fn plan_key(stream: &Stream, input: &Known, schema: &mut Schema, problems: &mut Vec<Problem>) -> (Vec<usize>, Vec<Expr>) {
    let (mut slots, mut computed) = (Vec::new(), Vec::new());
    for (i, key) in stream.key.iter().enumerate() {
        if let Some(slot) = input.schema.slot(&key.value) {
            slots.push(slot);
            schema.add(key.value.clone(), input.schema.fields()[slot].ty.clone());
        } else if let Some(expr) = pipeline::expression(key, &input.schema, problems) {
            slots.push(input.schema.width() + computed.len());
            let name = if stream.key.len() == 1 { "key".to_owned() } else { format!("key_{}", i + 1) };
            schema.add(name, expr.ty().clone());
            computed.push(expr);
        }
    }
    (slots, computed)
}

/// What is missing where the input of a stream has no event time.
pub(super) fn untimed(stream: &Stream, remedy: &str) -> String {
    let sources: Vec<_> = stream.from.iter().map(|f| format!("`{}`", f.value)).collect();
    format!("records of {} have none: {remedy}", sources.join(", "))
}

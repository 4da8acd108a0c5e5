//! Streams: which operators each becomes.

use std::sync::Arc;

use tidegate_rows::{Schema, Type};
use tidegate_runtime::{About, Field};

use super::joins::{self, PlannedJoin};
use super::key::KeySlots;
use super::known::{Known, Order, Timing};
use super::lookups::{self, PlannedLookup};
use super::open::{self, Asked, Origin};
use super::patterns::{self, Patterned};
use super::pipeline::{self, Base, Pipeline};
use super::single::{self, PlannedDedupe, PlannedTop};
use super::updates::Updates;
use super::windows::{self, PlannedWindow};
use super::{PlannedInput, Streams};
use crate::aggregate::{self, Compiled};
use crate::file::{OnError, Pattern, Problem, Spanned, Stream, Table};
use tidegate_expr::{Expr, field_name, identifiers};

/// A stream, compiled.
#[derive(Clone)]
pub(super) struct PlannedStream {
    pub(super) name: String,
    /// What its state rests on.
    pub(super) about: About,
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
    /// What each keeps, by the names of the aggregates.
    pub(super) kept: Vec<Field>,
    pub(super) late_to: Option<String>,
    /// What it does, in words.
    pub(super) words: String,
}

/// Why a stream can't be planned, and what is known of what it would give: so what reads it can be judged at once.
pub(super) struct Refused {
    pub(super) problems: Vec<Problem>,
    pub(super) gives: Vec<(String, Known)>,
}

impl From<Vec<Problem>> for Refused {
    fn from(problems: Vec<Problem>) -> Self {
        Self { problems, gives: Vec::new() }
    }
}

impl Refused {
    /// A stream whose work can't be planned, but gives the fields of `base` to `where` and `select`.
    fn looked_through(stream: &Stream, input: &Known, mut problems: Vec<Problem>, base: Base, timing: Timing) -> Self {
        let aside = |name: &Option<Spanned<String>>, known: Known| name.as_ref().map(|name| (name.value.clone(), known));
        // Late records of a join are of another form.
        let late = aside(&stream.late_to, input.clone()).filter(|_| stream.join.is_none());
        let mut gives: Vec<(String, Known)> = late.into_iter().collect();
        if stream.timeouts_to.is_some() {
            let schema = pipeline::first(&base.schema, base.handed_on);
            gives.extend(aside(&stream.timeouts_to, Known::new(schema, timing.clone(), Order::Arrival)));
        }
        let schema = match pipeline::compile(stream, base) {
            Ok((_, schema)) => schema,
            Err((more, schema)) => {
                problems.extend(more);
                schema
            }
        };
        gives.push((stream.name.value.clone(), Known::new(schema, timing, Order::Arrival).of(&input.origin)));
        Self { problems, gives }
    }
}

/// Plans a stream, and tells where its fields come from if they are open. `None` if an input could not be planned.
pub(super) fn plan(
    stream: &Stream,
    known: &Streams,
    tables: &[&Table],
    asked: &mut Asked,
) -> Result<Option<(PlannedStream, Origin)>, Refused> {
    let said = open::named_in(stream);
    let Some((input, inputs)) = super::union(&stream.from, known, &said, asked) else { return Ok(None) };
    let mut base = Base::new(input.schema.clone());
    // Of the rows as the work gives them, before they are arranged.
    let mut out = input.clone();
    let mut origin = input.origin.clone();
    let mut work = Work::Nothing;
    if let Some(pattern) = &stream.pattern {
        let (planned, schema) = patterns::plan(stream, pattern, &input).map_err(|(problems, schema, handed_on)| {
            let base = Base { handed_on, ..Base::new(schema) };
            Refused::looked_through(stream, &input, problems, base, timing_of_matches(stream, pattern))
        })?;
        // The steps are there to be selected.
        base = Base { handed_on: planned.schema.width(), ..Base::new(schema.clone()) };
        out = Known::new(schema, timing_of_matches(stream, pattern), keyed(stream));
        work = Work::Pattern(planned);
    } else if let Some(join) = &stream.join {
        let Some(right) = known.get(join.with.as_str()) else { return Ok(None) };
        origin = input.origin.clone().and(&right.origin).joined_with(join.with.as_str());
        asked.name(&origin, &said);
        asked.meet_in_join([(&input.schema, &input.origin), (&right.schema, &right.origin)], join.with.as_str());
        let stated = stated(open::of_left(stream, join), &join.with.value, &origin, asked);
        let (planned, joined) = joins::plan(stream, join, &input, right, &stated)?;
        base = Base::arranged((planned.schema.clone(), planned.arranged.clone()));
        out = joined;
        work = Work::Join(Box::new(planned));
    } else if let Some(lookup) = &stream.lookup {
        let Some(table) = tables.iter().find(|table| table.name.value == lookup.table.value) else { return Ok(None) };
        origin = input.origin.clone().joined_with(&table.name.value);
        asked.name(&origin, &said);
        let fields = Schema::new(table.schema.iter().map(|field| (field.name.value.clone(), Type::Any)));
        asked.meet_in_join([(&input.schema, &input.origin), (&fields, &Origin::default())], &table.name.value);
        let named = lookup.on.iter().flat_map(|(_, text)| identifiers(&text.value)).collect();
        let stated = stated(named, &table.name.value, &origin, asked);
        let (planned, joined) = lookups::plan(lookup, table, &input, &stated)?;
        base = Base::arranged(joined);
        out.updates =
            out.updates.map(|updates| if lookup.left { updates } else { updates.unless_dropped(stream, &lookup.on, &input.schema) });
        out.order = if lookup.unordered { Order::Arrival } else { out.order };
        work = Work::Lookup(Box::new(planned));
    } else if let Some(dedupe) = &stream.dedupe {
        let planned = single::plan_dedupe(stream, dedupe, &input)
            .map_err(|problems| Refused::looked_through(stream, &input, problems, base.clone(), input.timing.clone()))?;
        (out.order, out.updates) = (planned.order(), planned.updates.clone());
        work = Work::Dedupe(planned);
    } else if let Some(top) = &stream.top {
        let (planned, ranked) = single::plan_top(stream, top, &input)?;
        base = Base::arranged(ranked);
        (out.timing, out.order, out.updates) = (planned.timing.clone(), planned.order(), planned.updates.clone());
        work = Work::Top(Box::new(planned));
    } else if !stream.aggregate.is_empty() {
        let (planned, aggregated) = plan_aggregation(stream, &input).map_err(|(problems, schema)| {
            let timing = if stream.windowed { Timing::Timed } else { input.timing.clone() };
            Refused::looked_through(stream, &input, problems, Base::new(schema), timing)
        })?;
        base = Base::new(aggregated.schema.clone());
        out = aggregated;
        work = Work::Aggregation(planned);
    }
    if stream.windowed && stream.window.is_none() {
        // What is wrong with the window has been told.
        out.timing = Timing::Timed;
    }
    let (pipeline, schema) = pipeline::compile(stream, base.clone())
        .map_err(|_| Refused::looked_through(stream, &input, Vec::new(), base.clone(), out.timing.clone()))?;
    let updates = out.updates.map(|updates| updates.through(stream, &base, &pipeline));
    let out = Known { updates, ..Known::new(schema, out.timing, out.order.through(&pipeline)) }.of(&origin);
    let (name, about, pipeline_schema) = (stream.name.value.clone(), About::default(), base.schema);
    let planned = PlannedStream { name, about, inputs, input, work, pipeline, pipeline_schema, out, on_error: stream.on_error };
    Ok(Some((planned, origin)))
}

/// Whether matches have an event time.
fn timing_of_matches(stream: &Stream, pattern: &Pattern) -> Timing {
    if !pattern.processing_time {
        return Timing::Timed;
    }
    let name = &stream.name.value;
    Timing::Untimed(format!("the pattern of `{name}` goes by the wall clock: let it, or not what reads it, go by event time"))
}

/// The order of results that begin with the values of the key.
fn keyed(stream: &Stream) -> Order {
    Order::behind(Some((0..stream.key.len()).collect()))
}

/// Whether the job says that the left side of a join with `with` has a field: in the key, `of_left`, or as it calls the field of the right by the name that it
/// has if the left has it, too.
fn stated<'a>(of_left: Vec<String>, with: &'a str, origin: &'a Origin, asked: &'a Asked) -> impl Fn(&str) -> bool + use<'a> {
    move |name| of_left.iter().any(|of_left| of_left == name) || asked.is_named(origin, &format!("{with}_{name}"))
}

/// Plans an aggregation, and tells what is known of its results.
///
/// # Errors
/// What is wrong with it, and the fields it would give.
fn plan_aggregation(stream: &Stream, input: &Known) -> Result<(Aggregation, Known), (Vec<Problem>, Schema)> {
    let mut problems = Vec::new();
    let mut schema = Schema::default();
    let (slots, computed) = plan_key(stream, input, &mut schema, &mut problems);
    let (window, latest) = plan_windows(stream, input, &mut problems);
    if let (false, Some(first)) = (stream.windowed, stream.aggregate.first()) {
        Updates::refuse(input.updates.as_ref(), &first.name, "a running aggregate", &mut problems);
    }
    let has_bounds = window.as_ref().map_or(stream.windowed, PlannedWindow::has_bounds);
    if has_bounds {
        schema.add("window_start", Type::Timestamp);
        schema.add("window_end", Type::Timestamp);
    }
    let (mut aggregates, mut kept) = (Vec::new(), Vec::new());
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
                kept.push(Field::new(aggregate.name.value.clone(), compiled.kept()));
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
        return Err((problems, schema));
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
        kept,
        late_to: stream.late_to.as_ref().map(|name| name.value.clone()),
        words: format!("{what}{by}"),
    };
    Ok((aggregation, Known { updates, ..Known::new(schema, timing, order) }))
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
        let name = field_name(&key.value);
        if let Some(slot) = input.schema.slot(name) {
            slots.push(slot);
            schema.add(name, input.schema.named(name).map_or(Type::Any, |field| field.ty.clone()));
            continue;
        }
        let known = problems.len();
        if let Some(expr) = pipeline::expression(key, &input.schema, problems) {
            slots.push(input.schema.width() + computed.len());
            let name = if stream.key.len() == 1 { "key".to_owned() } else { format!("key_{}", i + 1) };
            schema.add(name, expr.ty().clone());
            computed.push(expr);
        } else {
            // What was meant is there for `where` and `select`, as is what was written: so that one mistake is told once.
            let meant = problems[known..].iter().filter_map(|problem| problem.nearest.clone());
            meant.chain([name.to_owned()]).for_each(|name| _ = schema.add(name, Type::Any));
        }
    }
    (slots, computed)
}

/// What is missing where the input of a stream has no event time.
pub(super) fn untimed(stream: &Stream, remedy: &str) -> String {
    let sources: Vec<_> = stream.from.iter().map(|f| format!("`{}`", f.value)).collect();
    format!("records of {} have none: {remedy}", sources.join(", "))
}

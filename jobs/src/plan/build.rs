//! A plan's operators, as every worker builds them.

use std::collections::HashMap;
use std::sync::Arc;

use tidegate_cep::operator::PATTERN;
use tidegate_cep::{CepLogic, Found};
use tidegate_connectors::entry::Entry;
use tidegate_connectors::row::{Row, Schema, Value};
use tidegate_operators::{Aggregate, KeyedStream, Latest, Stream, Top, WindowResult};
use tidegate_runtime::metrics::OperatorMetrics;
use tidegate_runtime::state::Ttl;
use tidegate_runtime::{Dataflow, Error, OperatorSpec, Record, operator};

use super::joins::{JoinSide, PlannedJoin};
use super::key::RowKey;
use super::lookups::PlannedLookup;
use super::patterns::Patterned;
use super::pipeline::Pipeline;
use super::single::{Identity, PlannedDedupe, PlannedKey, PlannedTop, by_value};
use super::streams::{Aggregation, PlannedStream, Work};
use super::windows::{PlannedTrigger, PlannedWindow, RowAssigner, RowEvictor, RowTrigger, TimeWindows};
use super::{Plan, PlannedInput, about, sources};
use crate::aggregate::RowAggregate;
use crate::failures::Failures;
use crate::file::Clock;

type Rows<'s> = Stream<'s, Row>;

/// The kinds of the operators between those that keep state.
mod kinds {
    use tidegate_runtime::Kind;

    pub(super) const BAD_RECORDS: Kind = Kind::new("bad_records");
    pub(super) const GOOD_RECORDS: Kind = Kind::new("good_records");
    pub(super) const ROWS: Kind = Kind::new("rows");
    pub(super) const TIMEOUTS: Kind = Kind::new("timeouts");
}

impl Plan {
    pub(super) fn build(&self, flow: &Dataflow<'_>) {
        let mut streams: HashMap<&str, Rows<'_>> = HashMap::new();
        for source in &self.sources {
            flow.describe(&source.name, source.about.clone());
            let Some(dead_letter) = &source.dead_letter else {
                let rows = sources::Good(Arc::clone(&source.source));
                streams.insert(&source.name, Stream::from_edge(operator::source(flow, &source.name, &source.label, rows, source.strategy)));
                continue;
            };
            let entries = operator::source(flow, &source.name, &source.label, Arc::clone(&source.source), source.strategy);
            let good = operator::stateless(entries.clone(), &format!("{}/good", source.name), kinds::GOOD_RECORDS, |metrics| {
                each(Entry::good, metrics)
            });
            let bad = operator::stateless(entries, dead_letter, kinds::BAD_RECORDS, |metrics| each(sources::dead_letter, metrics));
            streams.insert(&source.name, Stream::from_edge(good));
            streams.insert(dead_letter, Stream::from_edge(bad));
        }
        for stream in &self.streams {
            flow.describe(&stream.name, stream.about.clone());
            let input = gather(&stream.inputs, &stream.name, &stream.input.schema, &streams);
            let (out, late) = match &stream.work {
                Work::Nothing => (piped(input, &stream.name, &stream.name, stream), None),
                Work::Join(join) => {
                    let with = gather(std::slice::from_ref(&join.with), &stream.name, &join.with_schema, &streams);
                    joined(input, with, stream, join)
                }
                Work::Lookup(lookup) => (looked_up(input, stream, lookup), None),
                Work::Dedupe(dedupe) => deduped(input, stream, dedupe),
                Work::Top(top) => topped(input, stream, top),
                Work::Aggregation(aggregation) => aggregated(input, stream, aggregation, self.ttl),
                Work::Pattern(pattern) => {
                    let (out, timeouts, late) = matched(input, stream, pattern);
                    if let Some((name, timeouts)) = stream.timeouts_to().zip(timeouts) {
                        streams.insert(name.0, timeouts);
                    }
                    (out, Some(late))
                }
            };
            streams.insert(&stream.name, out);
            if let Some((name, late)) = stream.late_to().zip(late) {
                streams.insert(name, late);
            }
        }
        for sink in &self.sinks {
            let name = about::sink_name(&sink.name);
            flow.describe(&name, sink.about.clone());
            let input = gather(&sink.inputs, &name, &sink.schema, &streams);
            operator::sink(input.into_edge(), &name, &sink.label, Arc::clone(&sink.sink));
        }
    }
}

/// Turns records one by one; those that `f` has nothing for are filtered.
fn each<A, B>(
    f: impl Fn(A) -> Option<B>,
    metrics: Arc<OperatorMetrics>,
) -> impl FnMut(&mut Vec<Record<A>>, &mut Vec<Record<B>>) -> Result<(), Error> {
    move |records, out| {
        let before = records.len();
        out.extend(records.drain(..).filter_map(|r| Some(Record::new(r.time, f(r.value)?))));
        metrics.filtered.add((before - out.len()) as u64);
        Ok(())
    }
}

/// The union of a node's inputs, each laid out as the node expects it.
fn gather<'s>(inputs: &[PlannedInput], name: &str, schema: &Schema, streams: &HashMap<&str, Rows<'s>>) -> Rows<'s> {
    let gathered = inputs.iter().filter_map(|input| {
        let rows = streams.get(input.name.as_str())?.clone();
        Some(match &input.rearrange {
            None => rows,
            Some(pipeline) => {
                let failures = Failures::new(name, schema, crate::file::OnError::Skip);
                through(rows, &format!("{name}/from/{}", input.name), pipeline, failures)
            }
        })
    });
    // The planner has looked every name up, and a node has at least one input.
    gathered.reduce(Stream::union).expect("a planned node has inputs")
}

/// Rows through a pipeline, as one operator.
fn through<'s>(rows: Rows<'s>, name: &str, pipeline: &Pipeline, mut failures: Failures) -> Rows<'s> {
    let pipeline = pipeline.clone();
    let spec = OperatorSpec::new(kinds::ROWS).labelled(pipeline.to_string());
    Stream::from_edge(operator::stateless(rows.into_edge(), name, spec, |metrics| {
        move |records: &mut Vec<Record<Row>>, out: &mut Vec<Record<Row>>| {
            records.drain(..).try_for_each(|record| pipeline.run(record, out, &metrics, &mut failures))
        }
    }))
}

fn piped<'s>(rows: Rows<'s>, node: &str, name: &str, stream: &PlannedStream) -> Rows<'s> {
    through(rows, node, &stream.pipeline, Failures::new(name, &stream.pipeline_schema, stream.on_error))
}

/// The aggregation of a stream and what follows it; also its late records.
fn aggregated<'s>(input: Rows<'s>, stream: &PlannedStream, aggregation: &Aggregation, ttl: Option<Ttl>) -> (Rows<'s>, Option<Rows<'s>>) {
    let name = stream.name.as_str();
    let failures = || Failures::new(name, &stream.input.schema, stream.on_error);
    let keyed = if aggregation.keys.is_empty() { input } else { through(input, &format!("{name}/key"), &aggregation.keys, failures()) };
    let key = aggregation.key.clone();
    let aggregate = RowAggregate::new(Arc::clone(&aggregation.aggregates), aggregation.kept.clone(), &aggregation.words, failures());
    let aggregate = if aggregation.settled { aggregate } else { aggregate.in_any_order() };
    let keyed = keyed.key_by(move |row: &Row| key.of(row));
    let emit = format!("{name}/emit");
    let row = |(key, values): (RowKey, Vec<Value>)| key.values().iter().cloned().chain(values).collect();
    let late = |late: Rows<'s>| if aggregation.keys.is_empty() { late } else { without_keys(late, stream) };
    match &aggregation.window {
        None => (emitted(keyed.state_ttl(ttl).aggregate(name, aggregate), &emit, row, stream), None),
        Some(PlannedWindow::Count(window)) => {
            let (results, none) = keyed.count_window(*window).aggregate_with_late(name, aggregate);
            (emitted(results, &emit, row, stream), Some(late(none)))
        }
        Some(PlannedWindow::Time(window)) => {
            let has_bounds = window.has_bounds();
            let row = move |r: WindowResult<RowKey, Vec<Value>>| {
                let bounds = [bound(r.start), bound(r.end)].into_iter().filter(|_| has_bounds);
                r.key.values().iter().cloned().chain(bounds).chain(r.value).collect()
            };
            let (results, behind) = match &aggregation.latest {
                None => windowed(keyed, name, window, aggregation.settled, aggregate, failures),
                Some(identity) => {
                    windowed(keyed, name, window, aggregation.settled, Latest::new(aggregate, Identity::of(identity)), failures)
                }
            };
            (emitted(results, &emit, row, stream), Some(late(behind)))
        }
    }
}

/// The aggregates of windows of time; also the late rows. `settled`: do the rows of a key come in an order of their own?
fn windowed<'s, A: Aggregate<Row>>(
    keyed: KeyedStream<'s, Row, impl Fn(&Row) -> RowKey + Clone + 'static>,
    name: &str,
    window: &TimeWindows,
    settled: bool,
    aggregate: A,
    failures: impl Fn() -> Failures,
) -> (Stream<'s, WindowResult<RowKey, A::Out>>, Rows<'s>) {
    let windows = keyed.window(RowAssigner { shape: window.shape.clone(), failures: failures() }).allowed_lateness(window.lateness);
    let windows = if window.clock == Clock::Processing { windows.processing_time() } else { windows };
    let trigger = |trigger: &PlannedTrigger| RowTrigger { trigger: trigger.clone(), failures: failures() };
    match (&window.trigger, &window.evictor) {
        (None, None) => windows.aggregate_with_late(name, aggregate),
        (Some(given), None) => windows.trigger(trigger(given)).aggregate_with_late(name, aggregate),
        (_, Some(evictor)) => {
            let evictor = RowEvictor { evictor: evictor.clone(), settled, failures: failures() };
            windows.trigger(trigger(&window.trigger_or_default())).evictor(evictor).aggregate_with_late(name, aggregate)
        }
    }
}

/// One row of each key within a span, and what follows; also the late rows.
fn deduped<'s>(input: Rows<'s>, stream: &PlannedStream, dedupe: &PlannedDedupe) -> (Rows<'s>, Option<Rows<'s>>) {
    let name = stream.name.as_str();
    let PlannedKey { keys, key, width, .. } = dedupe.key.clone();
    let failures = Failures::new(name, &stream.input.schema, stream.on_error);
    let keyed = if keys.is_empty() { input } else { through(input, &format!("{name}/key"), &keys, failures) };
    let (kept, late) = keyed.key_by(move |row: &Row| key.of(row)).dedupe(name, dedupe.keep, dedupe.ttl, dedupe.ties());
    let row = move |row: Row| row.0.into_iter().take(width).collect();
    let late = if keys.is_empty() { late } else { without_keys(late, stream) };
    (emitted(kept, &format!("{name}/emit"), row, stream), Some(late))
}

/// The greatest rows of each key or window with their ranks, and what follows; also the late rows.
fn topped<'s>(input: Rows<'s>, stream: &PlannedStream, top: &PlannedTop) -> (Rows<'s>, Option<Rows<'s>>) {
    let name = stream.name.as_str();
    let PlannedKey { keys, key, width, settled, .. } = top.key.clone();
    let failures = || Failures::new(name, &stream.input.schema, stream.on_error);
    let keyed = if keys.is_empty() { input } else { through(input, &format!("{name}/key"), &keys, failures()) };
    let keyed = keyed.key_by(move |row: &Row| key.of(row));
    let (emit, rows) = (format!("{name}/emit"), format!("{name}/rows"));
    let ranked = move |rank: u64, row: Row| row.0.into_iter().take(width).chain([Value::Int(i64::try_from(rank).unwrap_or(i64::MAX))]);
    let all = move |values: Vec<Row>| values.into_iter().zip(1..).map(move |(row, rank)| ranked(rank, row));
    let late = |late: Rows<'s>| if keys.is_empty() { late } else { without_keys(late, stream) };
    let greatest = || Top::new(top.n, top.measure(failures()), by_value());
    match &top.window {
        None => {
            let row = move |(rank, row): (u64, Row)| ranked(rank, row).collect();
            (emitted(keyed.top(name, top.n, top.measure(failures()), by_value()), &emit, row, stream), None)
        }
        Some(PlannedWindow::Count(window)) => {
            let (results, none) = keyed.count_window(*window).aggregate_with_late(name, greatest());
            let results = results.flat_map(&rows, move |(_, values)| all(values).map(Iterator::collect::<Row>));
            (emitted(results, &emit, |row| row, stream), Some(late(none)))
        }
        Some(PlannedWindow::Time(window)) => {
            let has_bounds = window.has_bounds();
            let (results, behind) = match &top.latest {
                None => windowed(keyed, name, window, settled, greatest(), failures),
                Some(identity) => windowed(keyed, name, window, settled, Latest::new(greatest(), Identity::of(identity)), failures),
            };
            let results = results.flat_map(&rows, move |r| {
                let bounds = [bound(r.start), bound(r.end)];
                all(r.value).map(move |row| row.chain(bounds.clone().into_iter().filter(|_| has_bounds)).collect::<Row>())
            });
            (emitted(results, &emit, |row| row, stream), Some(late(behind)))
        }
    }
}

/// A join and what follows it; also the late rows of both sides.
fn joined<'s>(left: Rows<'s>, right: Rows<'s>, stream: &PlannedStream, join: &PlannedJoin) -> (Rows<'s>, Option<Rows<'s>>) {
    let name = stream.name.as_str();
    let with_key = |rows: Rows<'s>, side: &JoinSide, schema: &Schema, node: &str| {
        let failures = Failures::new(name, schema, stream.on_error);
        if side.keys.is_empty() { rows } else { through(rows, &format!("{name}/{node}"), &side.keys, failures) }
    };
    let left = with_key(left, &join.left, &stream.input.schema, "left_key");
    let right = with_key(right, &join.right, &join.with_schema, "right_key");
    let (rows, late) = join.build(name, left, right);
    let emit = format!("{name}/emit");
    (emitted(rows, &emit, |row| row, stream), Some(late))
}

/// Rows with what a table says of them, and what follows.
fn looked_up<'s>(input: Rows<'s>, stream: &PlannedStream, lookup: &PlannedLookup) -> Rows<'s> {
    let name = stream.name.as_str();
    let failures = Failures::new(name, &stream.input.schema, stream.on_error);
    let keyed = if lookup.keys.is_empty() { input } else { through(input, &format!("{name}/key"), &lookup.keys, failures) };
    emitted(lookup.build(name, keyed), &format!("{name}/emit"), |row| row, stream)
}

/// Late rows without the keys that were put behind them.
fn without_keys<'s>(late: Rows<'s>, stream: &PlannedStream) -> Rows<'s> {
    let width = stream.input.schema.width();
    late.map(&format!("{}/late", stream.name), move |row: Row| row.0.into_iter().take(width).collect())
}

/// What a pattern has found, as a row.
#[derive(Clone)]
enum Told {
    Match(Row),
    Timeout(Row),
}

/// The matches of a pattern and what follows them; the partial matches that ran out of time, if they are asked for; its late records.
fn matched<'s>(input: Rows<'s>, stream: &PlannedStream, pattern: &Patterned) -> (Rows<'s>, Option<Rows<'s>>, Rows<'s>) {
    let name = stream.name.as_str();
    let failures = || Failures::new(name, &stream.input.schema, stream.on_error);
    let keyed = if pattern.keys.is_empty() { input } else { through(input, &format!("{name}/key"), &pattern.keys, failures()) };
    let (of_record, of_row, rows) = (pattern.key.clone(), pattern.key.clone(), pattern.clone());
    let (main, late) = operator::keyed(
        keyed.into_edge(),
        name,
        OperatorSpec::new(PATTERN).labelled(&pattern.label),
        Some("late"),
        move |row: &Row| of_record.of(row),
        |context| {
            let search = pattern.search(failures(), Arc::clone(&context.metrics)).expect("a planned pattern is one");
            let tell = move |key: &RowKey, found: &Found<'_, Row>| match found {
                Found::Match(sequence) => Told::Match(rows.row(key, sequence)),
                Found::Timeout(sequence) => Told::Timeout(rows.timeout(key, sequence)),
            };
            CepLogic::new(move |row: &Row| of_row.of(row), search, tell, context)
        },
    );
    let late = if pattern.keys.is_empty() { Stream::from_edge(late) } else { without_keys(Stream::from_edge(late), stream) };
    let timeouts = stream.timeouts_to().map(|(timeouts_to, _)| {
        Stream::from_edge(operator::stateless(
            main.clone(),
            timeouts_to,
            OperatorSpec::new(kinds::TIMEOUTS).labelled("partial matches out of time"),
            |metrics| each(|told| if let Told::Timeout(row) = told { Some(row) } else { None }, metrics),
        ))
    });
    let pipeline = stream.pipeline.clone();
    let mut failures = Failures::new(name, &stream.pipeline_schema, stream.on_error);
    let out = operator::stateless(main, &format!("{name}/emit"), emits(&pipeline), |metrics: Arc<OperatorMetrics>| {
        move |records: &mut Vec<Record<Told>>, out: &mut Vec<Record<Row>>| {
            records.drain(..).try_for_each(|record| match record.value {
                Told::Match(row) => pipeline.run(Record::new(record.time, row), out, &metrics, &mut failures),
                // Of the stream that is made for them.
                Told::Timeout(_) => Ok(()),
            })
        }
    });
    (Stream::from_edge(out), timeouts, late)
}

/// The bound of a window or a match: an instant, or beyond the year 9999 the bare number.
pub(super) fn bound(ms: i64) -> Value {
    match Value::timestamp_ms(ms) {
        Value::Null => Value::Int(ms),
        instant => instant,
    }
}

/// What makes rows of results, and takes them through a pipeline.
fn emits(pipeline: &Pipeline) -> OperatorSpec {
    let spec = OperatorSpec::new(kinds::ROWS);
    if pipeline.is_empty() { spec } else { spec.labelled(pipeline.to_string()) }
}

/// Turns results into rows and takes them through the stream's pipeline.
fn emitted<'s, R: Clone + 'static>(
    results: Stream<'s, R>,
    node: &str,
    row: impl Fn(R) -> Row + 'static,
    stream: &PlannedStream,
) -> Rows<'s> {
    let pipeline = stream.pipeline.clone();
    let mut failures = Failures::new(&stream.name, &stream.pipeline_schema, stream.on_error);
    Stream::from_edge(operator::stateless(results.into_edge(), node, emits(&stream.pipeline), |metrics: Arc<OperatorMetrics>| {
        move |records: &mut Vec<Record<R>>, out: &mut Vec<Record<Row>>| {
            records.drain(..).try_for_each(|r| pipeline.run(Record::new(r.time, row(r.value)), out, &metrics, &mut failures))
        }
    }))
}

//! Adds the operators of a stage to a dataflow. Every worker does this.

use std::collections::HashMap;
use std::sync::Arc;

use tidegate_operators::Stream;
use tidegate_rows::{Row, Schema, Value};
use tidegate_runtime::metrics::OperatorMetrics;
use tidegate_runtime::state::Ttl;
use tidegate_runtime::{About, Basis, Error, OperatorSpec, Record, operator};

use crate::relation::failures::{Failures, OnError};
use crate::relation::pipeline::Pipeline;
use crate::relation::union::PlannedInput;

/// The kinds of the stateless operators.
pub(crate) mod kinds {
    use tidegate_runtime::Kind;

    pub(crate) const BAD_RECORDS: Kind = Kind::new("bad_records");
    pub(crate) const GOOD_RECORDS: Kind = Kind::new("good_records");
    pub(crate) const ROWS: Kind = Kind::new("rows");
    pub(crate) const TIMEOUTS: Kind = Kind::new("timeouts");
}

/// A stream of rows under construction.
pub(crate) type Rows<'s> = Stream<'s, Row>;

/// A planned stage that can be built.
pub(crate) trait Work: Send + Sync {
    /// Builds its operators after `input`. They are named after the stream.
    fn build<'s>(&self, site: &Site<'_, 's>, input: Rows<'s>) -> Built<'s>;
}

/// The outputs of a stage's operators.
pub(crate) struct Built<'s> {
    /// The stream itself, after `where`, `select` and `flat_map`.
    pub(crate) out: Rows<'s>,
    /// Its late records.
    pub(crate) late: Option<Rows<'s>>,
    /// The partial results that timed out.
    pub(crate) timeouts: Option<Rows<'s>>,
    /// What became of control records.
    pub(crate) ledger: Option<Rows<'s>>,
}

impl<'s> Built<'s> {
    /// Only these rows.
    pub(crate) fn only(out: Rows<'s>) -> Self {
        Self { out, late: None, timeouts: None, ledger: None }
    }

    /// These rows and late ones.
    pub(crate) fn with_late(out: Rows<'s>, late: Rows<'s>) -> Self {
        Self { out, late: Some(late), timeouts: None, ledger: None }
    }
}

/// The context in which a stage is built.
pub(crate) struct Site<'b, 's> {
    /// The stream's name.
    pub(crate) name: &'b str,
    /// The schema of the input rows.
    pub(crate) input: &'b Schema,
    /// The steps after the stage.
    pub(crate) pipeline: &'b Pipeline,
    /// The schema of the rows that they are applied to.
    pub(crate) pipeline_schema: &'b Schema,
    /// What a failing expression does.
    pub(crate) on_error: OnError,
    /// The name of the stream of timed-out partial results, if there is one.
    pub(crate) timeouts_to: Option<&'b str>,
    /// How long running aggregates keep a key that is not updated.
    pub(crate) ttl: Option<Ttl>,
    /// The identity and basis of its state.
    pub(crate) about: &'b About,
    /// The streams built so far.
    pub(crate) streams: &'b HashMap<&'b str, Rows<'s>>,
}

impl<'s> Site<'_, 's> {
    /// The identity and basis of the state of one of several operators, called `stream/..`.
    pub(crate) fn about_of(&self, operator: &str, basis: impl FnOnce(Basis) -> Basis) -> About {
        let stream = self.about.id.as_deref().unwrap_or(self.name);
        let suffix = operator.strip_prefix(self.name).unwrap_or_default();
        About { id: Some(format!("{stream}{suffix}")), basis: basis(self.about.basis.clone()), parallelism: self.about.parallelism }
    }

    /// The failure policy for rows of the input.
    pub(crate) fn failures(&self) -> Failures {
        self.failures_over(self.input)
    }

    /// The failure policy for rows of this schema.
    pub(crate) fn failures_over(&self, schema: &Schema) -> Failures {
        Failures::new(self.name, schema, self.on_error)
    }

    /// The input rows with the values of computed keys appended.
    pub(crate) fn with_keys(&self, input: Rows<'s>, keys: &Pipeline) -> Rows<'s> {
        if keys.is_empty() { input } else { through(input, &format!("{}/key", self.name), keys, self.failures()) }
    }

    /// Late rows without those values.
    pub(crate) fn without_keys(&self, late: Rows<'s>, keys: &Pipeline) -> Rows<'s> {
        if keys.is_empty() {
            return late;
        }
        let width = self.input.width();
        late.map(&format!("{}/late", self.name), move |row: Row| row.0.into_iter().take(width).collect())
    }

    /// Turns results into rows and runs them through the steps after the stage. Results for which `row` returns `None` are dropped.
    pub(crate) fn emitted<R: Clone + 'static>(&self, results: Stream<'s, R>, row: impl Fn(R) -> Option<Row> + 'static) -> Rows<'s> {
        let pipeline = self.pipeline.clone();
        let spec = OperatorSpec::new(kinds::ROWS);
        let spec = if pipeline.is_empty() { spec } else { spec.labelled(pipeline.to_string()) };
        let mut failures = self.failures_over(self.pipeline_schema);
        let node = format!("{}/emit", self.name);
        Stream::from_edge(operator::stateless(results.into_edge(), &node, spec, |metrics: Arc<OperatorMetrics>| {
            move |records: &mut Vec<Record<R>>, out: &mut Vec<Record<Row>>| {
                records.drain(..).try_for_each(|record| match row(record.value) {
                    Some(row) => pipeline.run(Record::new(record.time, row), out, &metrics, &mut failures),
                    None => Ok(()),
                })
            }
        }))
    }
}

/// Maps records with `f`. Those for which it returns `None` are counted as filtered.
pub(crate) fn filtered<A, B>(
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

/// Runs rows through a pipeline, as one operator.
pub(crate) fn through<'s>(rows: Rows<'s>, name: &str, pipeline: &Pipeline, mut failures: Failures) -> Rows<'s> {
    let pipeline = pipeline.clone();
    let spec = OperatorSpec::new(kinds::ROWS).labelled(pipeline.to_string());
    Stream::from_edge(operator::stateless(rows.into_edge(), name, spec, |metrics| {
        move |records: &mut Vec<Record<Row>>, out: &mut Vec<Record<Row>>| {
            records.drain(..).try_for_each(|record| pipeline.run(record, out, &metrics, &mut failures))
        }
    }))
}

/// The union of a node's inputs, each in the layout that the node expects.
pub(crate) fn gather<'s>(inputs: &[PlannedInput], name: &str, schema: &Schema, streams: &HashMap<&str, Rows<'s>>) -> Rows<'s> {
    let gathered = inputs.iter().filter_map(|input| {
        let rows = streams.get(input.name.as_str())?.clone();
        Some(match &input.rearrange {
            None => rows,
            Some(pipeline) => {
                let failures = Failures::new(name, schema, OnError::Skip);
                through(rows, &format!("{name}/from/{}", input.name), pipeline, failures)
            }
        })
    });
    // The planner has resolved every name, and a node has at least one input.
    gathered.reduce(Stream::union).expect("a planned node has inputs")
}

/// The bound of a window or a match: a timestamp, or the bare number if it is beyond the year 9999.
pub(crate) fn bound(ms: i64) -> Value {
    match Value::timestamp_ms(ms) {
        Value::Null => Value::Int(ms),
        instant => instant,
    }
}

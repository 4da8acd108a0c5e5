//! The generator: random records from distributions. The same seed gives the same records.
//!
//! ```yaml
//! orders:
//!   connector: generator
//!   rate: 1000                                  # records per second; without it as fast as possible
//!   count: 10000                                # without it there is no end
//!   seed: 7
//!   fields:
//!     user:   { uniform: [1, 100] }             # whole ends: whole numbers, both ends included
//!     amount: { normal: [100, 15] }
//!     kind:   { weighted: { login: 9, order: 1 } }
//!     item:   { zipf: [1000, 1.1] }
//!     nr:     { sequence: [1, 1] }
//!     at:     { time: { start: 2026-01-01T00:00:00Z, step: 10ms, jitter: 1s } }
//! ```

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tidegate_connectors::generator::{Distribution, GeneratorSource};
use tidegate_rows::{Type, Value};
use tidegate_runtime::watermarks::WatermarkStrategy;

use super::kind::{AsSource, Connector, MadeSource, SourceConnector, SourceScope};
use super::outside::Answers;
use crate::relation::known::Order;
use crate::text::{Problem, Spanned};
use crate::yaml::{self, Entry, Fields, Literal, Node, Reader, Table, key, scalar, unsigned};

pub(crate) static CONNECTOR: Connector = Connector {
    name: "generator",
    source: Some(AsSource { keys: &[&KEYS], within: &[&DISTRIBUTION, &TIME], lines: false, aside: &[], read }),
    table: None,
    sink: None,
};

static KEYS: Table = Table {
    name: "source.generator",
    title: "A source with `connector: generator`",
    keys: &[
        key("rate", "number", "as fast as possible", "records per second"),
        key("count", "count", "without end", "how many records"),
        key("seed", "whole number", "1", "the same seed gives the same records"),
        key("fields", "mapping", "", "the fields, in order, each with its distribution"),
    ],
};

static DISTRIBUTION: Table = Table {
    name: "distribution",
    title: "A field of a generator (one of)",
    keys: &[
        key("uniform", "[low, high]", "none", "whole numbers including both ends, or any number below high"),
        key("normal", "[mean, deviation]", "none", "numbers around a mean"),
        key("choice", "list", "none", "one of the values, all equally likely"),
        key("weighted", "mapping", "none", "one of the keys, with a probability in proportion to its weight"),
        key("zipf", "[n, exponent]", "none", "1 to n; the smaller a number, the more often it is drawn"),
        key("cycle", "list", "none", "the values in turn"),
        key("sequence", "[start, step]", "none", "numbers in even steps"),
        key("constant", "value", "none", "always the same value"),
        key("time", "mapping", "none", "timestamps in even steps"),
    ],
};

static TIME: Table = Table {
    name: "time",
    title: "A `time` of a generator",
    keys: &[
        key("start", "timestamp | now", "now", "the time of the first record"),
        key("step", "duration", "", "from one record to the next"),
        key("jitter", "duration", "0s", "each time is moved back by up to this much, so that records come out of order"),
    ],
};

/// Generates records.
#[derive(Clone, Debug)]
struct Generator {
    /// Records per second, or `None` for as fast as possible.
    rate: Option<f64>,
    /// The number of records, or `None` for no end.
    count: Option<u64>,
    /// The seed; 1 unless given.
    seed: u64,
    /// The fields, in order.
    fields: Vec<(Spanned<String>, Distribution)>,
}

impl Generator {
    /// The greatest disorder of the generated times, if there are any. It bounds their watermarks, so that the job need not repeat it.
    fn jitter(&self) -> Option<SignedDuration> {
        let jitter = |distribution: &Distribution| {
            if let Distribution::Time { disorder, .. } = distribution { Some(*disorder) } else { None }
        };
        self.fields.iter().filter_map(|(_, distribution)| jitter(distribution)).max()
    }
}

impl SourceConnector for Generator {
    fn words(&self) -> String {
        "generator".to_owned()
    }

    fn field_types(&self) -> Option<Vec<(&str, Type)>> {
        Some(self.fields.iter().map(|(name, distribution)| (name.as_str(), distribution.ty())).collect())
    }

    /// A single worker generates all rows.
    fn order(&self, _: &Answers) -> Order {
        Order::Total
    }

    fn plan(&self, scope: &SourceScope<'_>) -> Result<MadeSource, Vec<Problem>> {
        let fields = self.fields.iter().map(|(name, distribution)| (name.value.clone(), distribution.clone()));
        let mut made = GeneratorSource::new(fields, self.seed).map_err(|e| vec![scope.name.problem(e)])?;
        if let Some(time) = scope.event_time {
            made = made.with_event_time(&time.field.value, time.unit).map_err(|e| vec![time.field.problem(e)])?;
        }
        if let Some(count) = self.count {
            made = made.with_count(count);
        }
        if let Some(rate) = self.rate {
            made = made.with_rate(rate);
        }
        let schema = made.schema().clone();
        let own_times = self.jitter().map(|jitter| WatermarkStrategy::bounded(unsigned(jitter)));
        Ok(MadeSource { source: Arc::new(made), schema, own_times, look: None })
    }
}

fn read(reader: &mut Reader, fields: &Fields<'_>) -> Option<Arc<dyn SourceConnector>> {
    let rate = fields.get("rate").and_then(|node| {
        let rate = reader.number(node)?;
        if rate.value > 0.0 { Some(rate.value) } else { reader.fail(&rate.span, "the rate must be above zero") }
    });
    let count = fields.get("count").and_then(|node| reader.count(node, 0, u64::MAX)).map(|count| count.value);
    let seed = fields.get("seed").and_then(|node| reader.count(node, 0, u64::MAX)).map_or(1, |seed| seed.value);
    let node = reader.required(fields, "fields")?;
    let entries = reader.entries(node, "a mapping from fields to distributions")?;
    if entries.is_empty() {
        return reader.fail(&node.span, "a generator needs at least one field");
    }
    // A field that can't be read is kept, so that uses of its name are not reported too.
    let field = |reader: &mut Reader, Entry { key, value, .. }: &Entry| {
        (key.clone(), read_distribution(reader, key, value).unwrap_or(Distribution::Constant(Value::Null)))
    };
    let fields = entries.iter().map(|entry| field(reader, entry)).collect();
    Some(Arc::new(Generator { rate, count, seed, fields }))
}

fn read_distribution(reader: &mut Reader, name: &Spanned<String>, node: &Node) -> Option<Distribution> {
    let fields = reader.fields(node, &name.span, &[&DISTRIBUTION], &format!("the generated field `{}`", name.value))?;
    let kinds: Vec<&'static str> = DISTRIBUTION.keys.iter().map(|key| key.name).collect();
    let given = fields.given(&kinds);
    let [kind] = given.as_slice() else {
        if given.is_empty() && matches!(&node.value, yaml::Value::Map(entries) if !entries.is_empty()) {
            // `constant: null` is a value. Other keys have been reported, or have no value.
            return matches!(&node.value, yaml::Value::Map(entries) if entries.iter().any(|e| e.key.value == "constant"))
                .then_some(Distribution::Constant(Value::Null));
        }
        return reader.fail(&name.span, format!("the field `{}` needs exactly one of {}", name.value, kinds.join(", ")));
    };
    let value = fields.get(kind)?;
    match *kind {
        "uniform" => read_uniform(reader, value),
        "normal" => {
            let (mean, deviation) = reader.pair(value, "[mean, deviation]")?;
            let (mean, deviation) = (reader.number(mean), reader.number(deviation)?);
            if deviation.value < 0.0 {
                return reader.fail(&deviation.span, "the deviation must not be negative");
            }
            Some(Distribution::Normal { mean: mean?.value, deviation: deviation.value })
        }
        "choice" => Some(Distribution::Choice(read_values(reader, value)?.into_iter().map(|value| (value, 1.0)).collect())),
        "cycle" => Some(Distribution::Cycle(read_values(reader, value)?)),
        "weighted" => read_weighted(reader, value),
        "zipf" => {
            let (n, exponent) = reader.pair(value, "[n, exponent]")?;
            let (n, exponent) = (reader.count(n, 1, 1 << 53), reader.number(exponent)?);
            if exponent.value <= 0.0 {
                return reader.fail(&exponent.span, "the exponent must be above zero");
            }
            Some(Distribution::Zipf { n: n?.value, exponent: exponent.value })
        }
        "sequence" => {
            let (start, step) = reader.pair(value, "[start, step]")?;
            match (reader.literal(start)?, reader.literal(step)?) {
                (Literal::Int(start), Literal::Int(step)) => Some(Distribution::Sequence { start, step }),
                _ => Some(Distribution::DoubleSequence { start: reader.number(start)?.value, step: reader.number(step)?.value }),
            }
        }
        "constant" => reader.literal(value).map(|value| Distribution::Constant(of(value))),
        _ => read_time(reader, value, name),
    }
}

fn read_uniform(reader: &mut Reader, node: &Node) -> Option<Distribution> {
    let (low, high) = reader.pair(node, "[low, high]")?;
    if let (Literal::Int(from), Literal::Int(to)) = (reader.literal(low)?, reader.literal(high)?) {
        return if from <= to {
            Some(Distribution::Int { min: from, max: to })
        } else {
            reader.fail(&node.span, "the low end is above the high end")
        };
    }
    let (from, to) = (reader.number(low)?, reader.number(high)?);
    if from.value < to.value {
        Some(Distribution::Double { min: from.value, max: to.value, decimals: None })
    } else {
        reader.fail(&node.span, "the low end must be below the high end")
    }
}

fn read_values(reader: &mut Reader, node: &Node) -> Option<Vec<Value>> {
    match &node.value {
        yaml::Value::List(items) if !items.is_empty() => items.iter().map(|item| reader.literal(item).map(of)).collect(),
        _ => reader.wrong(node, "a list of values"),
    }
}

fn read_weighted(reader: &mut Reader, node: &Node) -> Option<Distribution> {
    let mut values = Vec::new();
    for Entry { key, plain, value } in reader.entries(node, "a mapping from values to weights")? {
        let weight = reader.number(value)?;
        if weight.value < 0.0 {
            return reader.fail(&weight.span, "a weight must not be negative");
        }
        values.push((of(Literal::read(&key.value, *plain)), weight.value));
    }
    if values.iter().all(|(_, weight)| *weight == 0.0) {
        return reader.fail(&node.span, "at least one weight must be above zero");
    }
    Some(Distribution::Choice(values))
}

fn read_time(reader: &mut Reader, node: &Node, name: &Spanned<String>) -> Option<Distribution> {
    let fields = reader.fields(node, &name.span, &[&TIME], &format!("`time` of the generated field `{}`", name.value))?;
    let start =
        fields.get("start").filter(|node| scalar(node) != Some("now")).and_then(|node| match scalar(node).map(str::parse::<Timestamp>) {
            Some(Ok(start)) => Some(start.as_millisecond()),
            _ => reader.wrong(node, "`now` or a timestamp such as `2026-01-01T00:00:00Z`"),
        });
    let step = reader.required(&fields, "step").and_then(|node| reader.span(node));
    let jitter = fields.get("jitter").and_then(|node| reader.span(node)).map_or(SignedDuration::ZERO, |jitter| jitter.value);
    Some(Distribution::Time { start, step: step?.value, disorder: jitter })
}

/// The value that a literal in a job file stands for.
fn of(literal: Literal) -> Value {
    match literal {
        Literal::Null => Value::Null,
        Literal::Bool(v) => Value::Bool(v),
        Literal::Int(v) => Value::Int(v),
        Literal::Double(v) => Value::Double(v),
        Literal::String(v) => Value::string(v),
    }
}

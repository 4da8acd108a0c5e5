//! The generator: records made up from distributions, the same ones for the same seed.
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

use jiff::{SignedDuration, Timestamp};
use tidegate_rows::Type;

use super::keys;
use crate::text::Spanned;
use crate::yaml::Literal;
use crate::yaml::{Entry, Node, Value};
use crate::yaml::{Fields, Reader, scalar};

/// The options of the generator.
#[derive(Clone, Debug, PartialEq)]
pub struct Generator {
    /// Records per second; as fast as possible if absent.
    pub rate: Option<f64>,
    /// How many records; without end if absent.
    pub count: Option<u64>,
    /// The seed; 1 unless given.
    pub seed: u64,
    /// The fields in order.
    pub fields: Vec<(Spanned<String>, Distribution)>,
}

/// How the values of a generated field are chosen.
#[derive(Clone, Debug, PartialEq)]
pub enum Distribution {
    /// `uniform: [1, 100]`: whole numbers, both ends included.
    UniformInt(i64, i64),
    /// `uniform: [0.0, 1.0]`: any number from the first up to, without, the second.
    UniformDouble(f64, f64),
    /// `normal: [mean, deviation]`.
    Normal(f64, f64),
    /// `choice: [a, b]` and `weighted: { a: 9, b: 1 }`: the values with their weights.
    Weighted(Vec<(Literal, f64)>),
    /// `zipf: [n, exponent]`: k of 1 to n with a probability in proportion to k to the power of minus the exponent.
    Zipf(u64, f64),
    /// `cycle: [a, b]`: the values in turn.
    Cycle(Vec<Literal>),
    /// `sequence: [start, step]` of whole numbers.
    SequenceInt(i64, i64),
    /// `sequence: [start, step]` of other numbers.
    SequenceDouble(f64, f64),
    /// `constant: value`.
    Constant(Literal),
    /// `time: { start, step, jitter }`.
    Time {
        /// The first; the time the job starts if absent.
        start: Option<Timestamp>,
        /// From one record to the next.
        step: SignedDuration,
        /// Each is moved back by up to this much.
        jitter: SignedDuration,
    },
}

impl Distribution {
    /// The type of the values.
    #[must_use]
    pub fn ty(&self) -> Type {
        match self {
            Self::UniformInt(..) | Self::Zipf(..) | Self::SequenceInt(..) => Type::Int,
            Self::UniformDouble(..) | Self::Normal(..) | Self::SequenceDouble(..) => Type::Double,
            Self::Weighted(values) => common(values.iter().map(|(value, _)| value)),
            Self::Cycle(values) => common(values),
            Self::Constant(value) => common([value]),
            Self::Time { .. } => Type::Timestamp,
        }
    }
}

/// The type all values have; nulls have every type, and whole numbers go with others.
fn common<'a>(values: impl IntoIterator<Item = &'a Literal>) -> Type {
    let of = |value: &Literal| match value {
        Literal::Null => Type::Null,
        Literal::Bool(_) => Type::Bool,
        Literal::Int(_) => Type::Int,
        Literal::Double(_) => Type::Double,
        Literal::String(_) => Type::String,
    };
    let joined = values.into_iter().map(of).reduce(|left, right| match (left, right) {
        (left, right) if left == right => left,
        (Type::Null, other) | (other, Type::Null) => other,
        (Type::Int, Type::Double) | (Type::Double, Type::Int) => Type::Double,
        _ => Type::Any,
    });
    joined.filter(|ty| *ty != Type::Null).unwrap_or(Type::Any)
}

pub(crate) fn read(reader: &mut Reader, fields: &Fields<'_>) -> Option<Generator> {
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
    // A field that cannot be read stays, so that what names it is not reported as well.
    let field = |reader: &mut Reader, Entry { key, value, .. }: &Entry| {
        (key.clone(), read_distribution(reader, key, value).unwrap_or(Distribution::Constant(Literal::Null)))
    };
    let fields = entries.iter().map(|entry| field(reader, entry)).collect();
    Some(Generator { rate, count, seed, fields })
}

fn read_distribution(reader: &mut Reader, name: &Spanned<String>, node: &Node) -> Option<Distribution> {
    let fields = reader.fields(node, &name.span, &[&keys::DISTRIBUTION], &format!("the generated field `{}`", name.value))?;
    let kinds: Vec<&'static str> = keys::DISTRIBUTION.keys.iter().map(|key| key.name).collect();
    let given = fields.given(&kinds);
    let [kind] = given.as_slice() else {
        if given.is_empty() && matches!(&node.value, Value::Map(entries) if !entries.is_empty()) {
            // `constant: null` is a value; any other key has been reported or has none.
            return matches!(&node.value, Value::Map(entries) if entries.iter().any(|e| e.key.value == "constant"))
                .then_some(Distribution::Constant(Literal::Null));
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
            Some(Distribution::Normal(mean?.value, deviation.value))
        }
        "choice" => Some(Distribution::Weighted(read_values(reader, value)?.into_iter().map(|value| (value, 1.0)).collect())),
        "cycle" => Some(Distribution::Cycle(read_values(reader, value)?)),
        "weighted" => read_weighted(reader, value),
        "zipf" => {
            let (n, exponent) = reader.pair(value, "[n, exponent]")?;
            let (n, exponent) = (reader.count(n, 1, 1 << 53), reader.number(exponent)?);
            if exponent.value <= 0.0 {
                return reader.fail(&exponent.span, "the exponent must be above zero");
            }
            Some(Distribution::Zipf(n?.value, exponent.value))
        }
        "sequence" => {
            let (start, step) = reader.pair(value, "[start, step]")?;
            match (reader.literal(start)?, reader.literal(step)?) {
                (Literal::Int(start), Literal::Int(step)) => Some(Distribution::SequenceInt(start, step)),
                _ => Some(Distribution::SequenceDouble(reader.number(start)?.value, reader.number(step)?.value)),
            }
        }
        "constant" => reader.literal(value).map(Distribution::Constant),
        _ => read_time(reader, value, name),
    }
}

fn read_uniform(reader: &mut Reader, node: &Node) -> Option<Distribution> {
    let (low, high) = reader.pair(node, "[low, high]")?;
    if let (Literal::Int(from), Literal::Int(to)) = (reader.literal(low)?, reader.literal(high)?) {
        return if from <= to {
            Some(Distribution::UniformInt(from, to))
        } else {
            reader.fail(&node.span, "the low end is above the high end")
        };
    }
    let (from, to) = (reader.number(low)?, reader.number(high)?);
    if from.value < to.value {
        Some(Distribution::UniformDouble(from.value, to.value))
    } else {
        reader.fail(&node.span, "the low end must be below the high end")
    }
}

fn read_values(reader: &mut Reader, node: &Node) -> Option<Vec<Literal>> {
    match &node.value {
        Value::List(items) if !items.is_empty() => items.iter().map(|item| reader.literal(item)).collect(),
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
        values.push((Literal::read(&key.value, *plain), weight.value));
    }
    if values.iter().all(|(_, weight)| *weight == 0.0) {
        return reader.fail(&node.span, "at least one weight must be above zero");
    }
    Some(Distribution::Weighted(values))
}

fn read_time(reader: &mut Reader, node: &Node, name: &Spanned<String>) -> Option<Distribution> {
    let fields = reader.fields(node, &name.span, &[&keys::TIME], &format!("`time` of the generated field `{}`", name.value))?;
    let start = fields.get("start").filter(|node| scalar(node) != Some("now")).and_then(|node| match scalar(node).map(str::parse) {
        Some(Ok(start)) => Some(start),
        _ => reader.wrong(node, "`now` or a timestamp such as `2026-01-01T00:00:00Z`"),
    });
    let step = reader.required(&fields, "step").and_then(|node| reader.span(node));
    let jitter = fields.get("jitter").and_then(|node| reader.span(node)).map_or(SignedDuration::ZERO, |jitter| jitter.value);
    Some(Distribution::Time { start, step: step?.value, jitter })
}

//! The distributions of generated field values.

use compact_str::CompactString;
use jiff::{SignedDuration, Timestamp};

use super::draw::Draw;
use super::zipf::Zipf;
use tidegate_rows::{Type, Value};

/// The distribution of a field's values. The value in row `i` is a function of the seed and `i`.
#[derive(Clone, Debug)]
pub enum Distribution {
    /// Always this value.
    Constant(Value),
    /// `start + i * step`, wrapping around on overflow.
    Sequence {
        /// The value in row 0.
        start: i64,
        /// The increment per row.
        step: i64,
    },
    /// `start + i * step`.
    DoubleSequence {
        /// The value in row 0.
        start: f64,
        /// The increment per row.
        step: f64,
    },
    /// These values in turn.
    Cycle(Vec<Value>),
    /// Uniformly distributed integers.
    Int {
        /// The minimum.
        min: i64,
        /// The maximum, inclusive.
        max: i64,
    },
    /// Uniformly distributed doubles.
    Double {
        /// The minimum.
        min: f64,
        /// The maximum, exclusive.
        max: f64,
        /// The number of digits after the decimal point to round to, as for money. `None` rounds nothing.
        decimals: Option<u8>,
    },
    /// Normally distributed doubles.
    Normal {
        /// The mean.
        mean: f64,
        /// The standard deviation.
        deviation: f64,
    },
    /// One of these values, chosen by weight.
    Choice(Vec<(Value, f64)>),
    /// Integers from 1 to `n`, where `k` has a probability proportional to `1 / k^exponent`: a few users cause most
    /// of the activity.
    Zipf {
        /// The maximum.
        n: u64,
        /// The skew; 1 is typical.
        exponent: f64,
    },
    /// Timestamps: `start + i * step`, minus a random delay of up to `disorder`.
    Time {
        /// Of row 0, in milliseconds since 1970; `None`: the time when the source is made.
        start: Option<i64>,
        /// From row to row.
        step: SignedDuration,
        /// The maximum delay of out-of-order times.
        disorder: SignedDuration,
    },
    /// Text in which each `{}` is replaced by a value of the next distribution: `user-{}`, `10.0.{}.{}`.
    Text(String, Vec<Distribution>),
}

impl Distribution {
    /// The type of the values.
    #[must_use]
    pub fn ty(&self) -> Type {
        match self {
            Self::Constant(value) => value.type_of(),
            Self::Sequence { .. } | Self::Int { .. } | Self::Zipf { .. } => Type::Int,
            Self::Double { .. } | Self::Normal { .. } | Self::DoubleSequence { .. } => Type::Double,
            Self::Choice(choices) => common(choices.iter().map(|(value, _)| value)),
            Self::Cycle(values) => common(values),
            Self::Time { .. } => Type::Timestamp,
            Self::Text(..) => Type::String,
        }
    }

    /// Checks the parameters and precomputes what it can.
    pub(super) fn sampler(&self) -> Result<Sampler, String> {
        Ok(match self {
            Self::Constant(value) => Sampler::Constant(value.clone()),
            Self::Sequence { start, step } => Sampler::Sequence { start: *start, step: *step },
            Self::DoubleSequence { start, step } => Sampler::DoubleSequence { start: *start, step: *step },
            Self::Cycle(values) if values.is_empty() => return Err("there is nothing to cycle through".into()),
            Self::Cycle(values) => Sampler::Cycle(values.clone()),
            Self::Int { min, max } if min > max => return Err(format!("the least ({min}) is above the greatest ({max})")),
            // The count of all 64-bit integers wraps to 0, which `below` takes as the full range.
            Self::Int { min, max } => Sampler::Int { min: *min, count: max.wrapping_sub(*min).wrapping_add(1) as u64 },
            Self::Double { min, max, .. } if !(min.is_finite() && max.is_finite() && min <= max) => {
                return Err(format!("there is no number from {min} to {max}"));
            }
            Self::Double { min, max, decimals } => {
                let scale = decimals.map(|d| 10f64.powi(i32::from(d)));
                Sampler::Double { min: *min, width: max - min, scale }
            }
            Self::Normal { mean, deviation } if !(mean.is_finite() && deviation.is_finite() && *deviation >= 0.0) => {
                return Err(format!("there is no normal distribution of mean {mean} and deviation {deviation}"));
            }
            Self::Normal { mean, deviation } => Sampler::Normal { mean: *mean, deviation: *deviation },
            Self::Choice(choices) => {
                let mut sum = 0.0;
                let mut ends = Vec::with_capacity(choices.len());
                for (value, weight) in choices {
                    if !(weight.is_finite() && *weight >= 0.0) {
                        return Err(format!("{weight} is not a weight"));
                    }
                    sum += weight;
                    ends.push((sum, value.clone()));
                }
                if !(sum.is_finite() && sum > 0.0) {
                    return Err("there is nothing to choose from".into());
                }
                Sampler::Choice { ends, sum }
            }
            Self::Zipf { n, exponent } if *n == 0 || !(exponent.is_finite() && *exponent > 0.0) => {
                return Err(format!("there is no zipf distribution of {n} numbers and exponent {exponent}"));
            }
            Self::Zipf { n, exponent } => Sampler::Zipf(Zipf::new(*n, *exponent)),
            Self::Time { disorder, .. } if disorder.is_negative() => return Err("the disorder is negative".into()),
            Self::Time { start, step, disorder } => Sampler::Time {
                start: i128::from(start.unwrap_or_else(|| Timestamp::now().as_millisecond())) * 1_000_000,
                step: step.as_nanos(),
                disorder: u64::try_from(disorder.as_nanos()).map_err(|_| "the disorder is too long")?,
            },
            Self::Text(text, parts) => {
                let texts: Vec<CompactString> = text.split("{}").map(Into::into).collect();
                if texts.len() != parts.len() + 1 {
                    return Err(format!("`{text}` has {} places `{{}}` for {} distributions", texts.len() - 1, parts.len()));
                }
                Sampler::Text { texts, parts: parts.iter().map(Self::sampler).collect::<Result<_, _>>()? }
            }
        })
    }
}

/// The common type of all non-null values, if they have one.
fn common<'a>(values: impl IntoIterator<Item = &'a Value>) -> Type {
    let mut types = values.into_iter().map(Value::type_of).filter(|ty| *ty != Type::Null);
    let first = types.next().unwrap_or(Type::Null);
    if types.all(|ty| ty == first) { first } else { Type::Any }
}

/// A checked distribution, ready to draw from.
#[derive(Clone, Debug)]
pub(super) enum Sampler {
    Constant(Value),
    Sequence { start: i64, step: i64 },
    DoubleSequence { start: f64, step: f64 },
    Cycle(Vec<Value>),
    Int { min: i64, count: u64 },
    Double { min: f64, width: f64, scale: Option<f64> },
    Normal { mean: f64, deviation: f64 },
    Choice { ends: Vec<(f64, Value)>, sum: f64 },
    Zipf(Zipf),
    Time { start: i128, step: i128, disorder: u64 },
    Text { texts: Vec<CompactString>, parts: Vec<Sampler> },
}

impl Sampler {
    pub(super) fn value(&self, row: u64, draw: &mut Draw) -> Value {
        match self {
            Self::Constant(value) => value.clone(),
            Self::Sequence { start, step } => Value::Int(start.wrapping_add(step.wrapping_mul(row as i64))),
            Self::DoubleSequence { start, step } => Value::Double(start + step * row as f64),
            Self::Cycle(values) => values[(row % values.len() as u64) as usize].clone(),
            Self::Int { min, count } => Value::Int(min.wrapping_add(draw.below(*count) as i64)),
            Self::Double { min, width, scale } => {
                let v = min + draw.unit() * width;
                Value::Double(scale.map_or(v, |scale| (v * scale).round() / scale))
            }
            Self::Normal { mean, deviation } => {
                // The Box-Muller transform; `1 - unit` is never 0.
                let radius = (-2.0 * (1.0 - draw.unit()).ln()).sqrt();
                Value::Double(mean + deviation * radius * (std::f64::consts::TAU * draw.unit()).cos())
            }
            Self::Choice { ends, sum } => {
                let at = draw.unit() * sum;
                let index = ends.partition_point(|(end, _)| *end <= at);
                // Rounding may lead past the last entry.
                ends.get(index).or(ends.last()).map_or(Value::Null, |(_, value)| value.clone())
            }
            Self::Zipf(zipf) => Value::Int(zipf.sample(draw) as i64),
            Self::Time { start, step, disorder } => {
                let delay = if *disorder > 0 { draw.below(disorder.saturating_add(1)) } else { 0 };
                let nanos = start.saturating_add(step.saturating_mul(i128::from(row))) - i128::from(delay);
                Timestamp::from_nanosecond(nanos).map_or(Value::Null, Value::Timestamp)
            }
            Self::Text { texts, parts } => {
                let mut text = texts[0].clone();
                for (part, after) in parts.iter().zip(&texts[1..]) {
                    append(&part.value(row, draw), &mut text);
                    text.push_str(after);
                }
                Value::String(text)
            }
        }
    }
}

fn append(value: &Value, text: &mut CompactString) {
    match value {
        Value::Int(v) => text.push_str(itoa::Buffer::new().format(*v)),
        Value::String(v) => text.push_str(v),
        other => {
            let mut out = Vec::new();
            tidegate_rows::format::plain(other, &mut out);
            text.push_str(&String::from_utf8_lossy(&out));
        }
    }
}

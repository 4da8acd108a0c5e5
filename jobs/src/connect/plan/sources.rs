//! Sources: connectors, formats and layouts as a file's source describes them.

use std::sync::Arc;

use serde_json::Value as Json;
use tidegate_connectors::entry::{BadRecord, Entry, OnBad};
use tidegate_connectors::file::{FileSource, Meaning, first_line};
use tidegate_connectors::generator::{Distribution, GeneratorSource};
use tidegate_connectors::kafka::{Fields, Metadata};
use tidegate_connectors::message::AvroFormat;
use tidegate_connectors::stdin::StdinSource;
use tidegate_rows::format::{Conversion, CsvFormat, Digits, Format, JsonFormat, Layout, RegexFormat, TextFormat, TextTime, TimeUnit};
use tidegate_rows::{Row, Schema, Type, Value};
use tidegate_runtime::source::{Batch, Poll, Reader, Resumed, Source, SourceContext};
use tidegate_runtime::watermarks::WatermarkStrategy;
use tidegate_runtime::{About, Error, Kind, Record};

use super::avro;
use super::first_time::Watched;
use super::kafka;
use super::look::{self, Bad, Look, Sampler};
use crate::connect::{self as file, AvroSource, EventTime, FieldType, SourceConnector, SourceFormat};
use crate::relation::failures::OnError;
use crate::relation::known::Order;
use crate::relation::open::Asked;
use crate::text::{Problem, Spanned};
use crate::yaml::Literal;
use crate::yaml::unsigned;

/// A source of rows, opened on every worker.
pub(crate) type RowSource = Arc<dyn Source<Entry<Row>>>;

/// A source, compiled.
#[derive(Clone)]
pub(crate) struct PlannedSource {
    pub(crate) name: String,
    pub(crate) about: About,
    pub(crate) source: RowSource,
    pub(crate) schema: Schema,
    pub(crate) strategy: WatermarkStrategy,
    pub(crate) timed: bool,
    pub(crate) order: Order,
    pub(crate) dead_letter: Option<String>,
    /// What it reads, in words.
    pub(crate) label: String,
    /// What can be seen of it beforehand.
    pub(crate) look: Option<Look>,
}

/// Plans a source. `asked` is what the job asks of sources that give no schema.
pub(crate) fn plan(source: &file::Source, asked: &Asked) -> Result<PlannedSource, Vec<Problem>> {
    let strategy = match &source.event_time {
        None => WatermarkStrategy::from_data(),
        Some(EventTime::Ingestion) => WatermarkStrategy::ingestion(),
        Some(EventTime::Field(time)) => WatermarkStrategy {
            max_delay: time.watermark_field.is_none().then(|| unsigned(time.max_delay)),
            idle_after: time.idle_after.as_ref().map(|d| unsigned(d.value)),
            max_drift: time.max_drift.as_ref().map(|d| unsigned(d.value)),
            every_record: time.every_record,
            ingestion: false,
        },
    };
    let name = source.name.value.clone();
    let mut sampler = None;
    let (made, schema, timed, dead_letter, label) = match &source.connector {
        SourceConnector::Generator(generator) => {
            let made = generator_source(source, generator).map_err(|p| vec![p])?;
            let schema = made.schema().clone();
            // A field of times is the event time unless the job names another.
            let timed = source.event_time.is_some() || generator.fields.iter().any(|(_, d)| matches!(d, file::Distribution::Time { .. }));
            (Arc::new(made) as RowSource, schema, timed, None, "generator".to_owned())
        }
        SourceConnector::File { path, lines } => {
            let (made, schema) = lines_source(source, lines, Origin::File(&path.value), asked)?;
            let Made { source: made, sampler: of_files } = made;
            let bad = match (&lines.format, &lines.dead_letter) {
                (SourceFormat::Regex(_), _) => Bad::PassedOver,
                (_, Some(_)) => Bad::Kept,
                (_, None) => Bad::Unwanted,
            };
            sampler = of_files.map(|sampler| (path.clone(), bad, sampler));
            (made, schema, source.event_time.is_some(), lines.dead_letter.clone(), format!("file {}", path.value))
        }
        SourceConnector::Stdin { lines } => {
            let (made, schema) = lines_source(source, lines, Origin::Stdin, asked)?;
            (made.source, schema, source.event_time.is_some(), lines.dead_letter.clone(), "standard input".to_owned())
        }
        SourceConnector::Kafka(kafka) => {
            let (made, schema) = lines_source(source, &kafka.lines, Origin::Kafka(kafka), asked)?;
            (
                made.source,
                schema,
                source.event_time.is_some(),
                kafka.lines.dead_letter.clone(),
                format!("kafka topic {}", kafka.topic.words()),
            )
        }
    };
    // Times a generator makes are in order but for their jitter, which nobody has to state twice.
    let strategy = match (&source.connector, &source.event_time) {
        (SourceConnector::Generator(generator), None) if timed => WatermarkStrategy::bounded(unsigned(jitter(generator))),
        _ => strategy,
    };
    let order = match &source.connector {
        // Several files are dealt to several workers.
        SourceConnector::File { path, .. } if !matches!(Meaning::of(&path.value), Meaning::File(_)) => Order::Arrival,
        // One worker makes all rows of a generator.
        SourceConnector::File { .. } | SourceConnector::Stdin { .. } | SourceConnector::Generator(_) => Order::Total,
        SourceConnector::Kafka(_) => Order::Partitioned,
    };
    // What a generator makes is what the job file says.
    let read = source.time_field().is_some() && !matches!(source.connector, SourceConnector::Generator(_));
    let made = if read { Arc::new(Watched { name: name.clone(), source: made }) as RowSource } else { made };
    let time = source.time_field().map(|time| time.field.clone());
    let look = sampler.map(|(path, bad, sampler)| Look::Source { path, time, bad, sampler });
    Ok(PlannedSource {
        name,
        about: About::default(),
        source: made,
        schema,
        strategy,
        timed,
        order,
        dead_letter: dead_letter.map(|d| d.value),
        label,
        look,
    })
}

fn jitter(generator: &file::Generator) -> jiff::SignedDuration {
    let jitters =
        generator.fields.iter().filter_map(|(_, d)| if let file::Distribution::Time { jitter, .. } = d { Some(*jitter) } else { None });
    jitters.max().unwrap_or_default()
}

/// Where lines come from.
#[derive(Clone, Copy)]
enum Origin<'a> {
    File(&'a str),
    Stdin,
    Kafka(&'a file::KafkaSource),
}

impl<'a> Origin<'a> {
    /// The fields that hold what messages carry beside their values.
    fn metadata(self) -> &'a [(Spanned<String>, Metadata)] {
        if let Self::Kafka(kafka) = self { &kafka.metadata } else { &[] }
    }
}

/// A source of lines, or of the values of messages.
fn lines_source(source: &file::Source, lines: &file::Lines, origin: Origin<'_>, asked: &Asked) -> Result<(Made, Schema), Vec<Problem>> {
    let at = |message: String| vec![source.name.problem(message)];
    let mut layout = layout_of(source, lines, origin, asked)?;
    let (mut schema, mut fields) = kafka::with_metadata(layout.schema(), origin.metadata());
    if let Some(time) = source.time_field()
        && let Some((_, part)) = origin.metadata().iter().find(|(name, _)| name.value == time.field.value)
    {
        if *part != Metadata::Timestamp {
            return Err(vec![time.field.problem(format!("the field `{}` is no time: of a message only `timestamp` is", time.field.value))]);
        }
        fields.timed = true;
    } else if let Some(time) = source.time_field() {
        if layout.schema().slot(&time.field.value).is_none() {
            let problem = time.field.problem(format!("no field `{}` in source `{}`", time.field.value, source.name.value));
            return Err(vec![problem.near(&time.field.value, layout.schema().names())]);
        }
        layout = layout.with_event_time(&time.field.value, unit(time.unit)).map_err(|e| vec![time.field.problem(e)])?;
        // Every record has it, or is a bad one.
        if let Some(field) = layout.schema().named(&time.field.value) {
            schema.require(&field.name, field.ty.clone());
        }
    }
    if let Some(field) = source.time_field().and_then(|time| time.watermark_field.as_ref()) {
        layout = layout.with_watermark_field(field.value.clone());
    }
    let on_bad = match (&lines.dead_letter, lines.on_bad_record) {
        (Some(_), _) => OnBad::Keep,
        (None, OnError::Skip) => OnBad::Skip,
        (None, OnError::Fail) => OnBad::Fail,
    };
    let made = match &lines.format {
        SourceFormat::Avro(schemas) => {
            let format = match schemas {
                AvroSource::Registry(registry) => AvroFormat::registered(layout, avro::registry(registry)?),
                AvroSource::File(path) => AvroFormat::plain(layout, avro::schema(path)?),
            };
            let Origin::Kafka(kafka) = origin else { return Err(at("avro is read from Kafka only".to_owned())) };
            Made::of(kafka::source(kafka, fields, format, on_bad))
        }
        SourceFormat::Json => source_of(origin, fields, JsonFormat::new(layout), on_bad),
        SourceFormat::Csv { header, delimiter } => {
            source_of(origin, fields, CsvFormat::new(layout).with_header(*header).with_delimiter(*delimiter), on_bad)
        }
        SourceFormat::Text if layout.event_time().is_some() => {
            return Err(at("a line of text has no event time: read it with a pattern, as `format: { regex: ... }`".to_owned()));
        }
        SourceFormat::Text => source_of(origin, fields, TextFormat, on_bad),
        SourceFormat::Regex(pattern) => {
            let format = RegexFormat::new(&pattern.value, layout).map_err(|e| vec![pattern.problem(e)])?;
            source_of(origin, fields, format, on_bad)
        }
    };
    Ok((made, schema))
}

/// A source, and what looks at it beforehand, where that can be.
struct Made {
    source: RowSource,
    sampler: Option<Sampler>,
}

impl Made {
    fn of(source: RowSource) -> Self {
        Self { source, sampler: None }
    }
}

fn source_of<F: Format<Item = Row>>(origin: Origin<'_>, fields: Fields, format: F, on_bad: OnBad) -> Made {
    match origin {
        Origin::File(path) => {
            let source = Arc::new(FileSource::new(path, format).on_bad(on_bad));
            let looked_at = Arc::clone(&source);
            Made { source, sampler: Some(Arc::new(move || looked_at.sample(look::RECORDS))) }
        }
        Origin::Stdin => Made::of(Arc::new(StdinSource::new(format).on_bad(on_bad))),
        Origin::Kafka(source) => Made::of(kafka::source(source, fields, format, on_bad)),
    }
}

fn layout_of(source: &file::Source, lines: &file::Lines, origin: Origin<'_>, asked: &Asked) -> Result<Layout, Vec<Problem>> {
    // A decoder of JSON or Avro leaves room for them in its rows.
    let leaves_room = matches!(lines.format, SourceFormat::Json | SourceFormat::Avro(_));
    let room = origin.metadata().iter().filter(|_| leaves_room).map(|(name, _)| name.value.clone());
    if let Some(schema) = &lines.schema {
        let mut problems = Vec::new();
        let mut fields = Vec::new();
        for field in schema {
            match conversion(&field.ty) {
                Ok(conversion) => fields.push((field.name.value.clone(), conversion)),
                Err(e) => problems.push(field.name.problem(e)),
            }
        }
        fields.extend(room.map(|name| (name, Conversion::Any)));
        return if problems.is_empty() { Ok(Layout::new(fields)) } else { Err(problems) };
    }
    match &lines.format {
        SourceFormat::Avro(AvroSource::File(path)) => {
            Ok(Layout::new(avro::schema(path)?.fields().chain(room.map(|name| (name, Conversion::Any)))))
        }
        SourceFormat::Json | SourceFormat::Avro(AvroSource::Registry(_)) => {
            let time = source.time_field().into_iter().map(|time| time.field.value.clone());
            Ok(Layout::open(asked.of(&source.name.value).map(str::to_owned).chain(time).chain(room)))
        }
        SourceFormat::Text => Ok(Layout::new(TextFormat::schema().names().map(|name| (name.to_owned(), Conversion::String)))),
        SourceFormat::Regex(pattern) => {
            let names = RegexFormat::group_names(&pattern.value).map_err(|e| vec![pattern.problem(e)])?;
            if names.is_empty() {
                let message = "the pattern has no named group: `(?P<user>...)` makes a field `user`";
                return Err(vec![pattern.problem(message)]);
            }
            Ok(Layout::new(names.into_iter().map(|name| (name, Conversion::String))))
        }
        SourceFormat::Csv { delimiter, .. } => {
            let Origin::File(path) = origin else {
                let message = "csv from standard input needs a `schema`: its header can't be read before the job starts";
                return Err(vec![source.name.problem(message)]);
            };
            let header = first_line(path).map_err(|e| vec![source.name.problem(e.to_string())])?;
            let names = CsvFormat::header_names(&header, *delimiter).map_err(|e| vec![source.name.problem(format!("`{path}`: {e}"))])?;
            Ok(Layout::new(names.into_iter().map(|name| (name, Conversion::String))))
        }
    }
}

pub(crate) fn conversion(ty: &FieldType) -> Result<Conversion, String> {
    Ok(match ty {
        FieldType::Plain(ty) => match ty {
            Type::Bool => Conversion::Bool,
            Type::Int | Type::Uint => Conversion::Int,
            Type::Double => Conversion::Double,
            Type::Decimal => Conversion::Decimal(Digits::default()),
            Type::String => Conversion::String,
            Type::Bytes => Conversion::Bytes,
            Type::Timestamp => Conversion::Timestamp,
            Type::Duration => Conversion::Duration,
            Type::List(_) => Conversion::List,
            Type::Map(..) => Conversion::Map,
            Type::Null | Type::Any => Conversion::Any,
        },
        FieldType::Decimal(digits) => Conversion::Decimal(*digits),
        FieldType::Epoch(of) => Conversion::TimestampIn(unit(*of)),
        FieldType::Text(text) => Conversion::TextTime(Box::new(TextTime::new(&text.format.value, text.year, Some(&text.zone))?)),
    })
}

fn unit(unit: file::TimeUnit) -> TimeUnit {
    match unit {
        file::TimeUnit::Seconds => TimeUnit::Seconds,
        file::TimeUnit::Millis => TimeUnit::Millis,
        file::TimeUnit::Micros => TimeUnit::Micros,
        file::TimeUnit::Nanos => TimeUnit::Nanos,
    }
}

fn generator_source(source: &file::Source, generator: &file::Generator) -> Result<GeneratorSource, Problem> {
    let fields = generator.fields.iter().map(|(name, d)| (name.value.clone(), distribution(d)));
    let mut made = GeneratorSource::new(fields, generator.seed).map_err(|e| source.name.problem(e))?;
    if let Some(time) = source.time_field() {
        made = made.with_event_time(&time.field.value, unit(time.unit)).map_err(|e| time.field.problem(e))?;
    }
    if let Some(count) = generator.count {
        made = made.with_count(count);
    }
    Ok(generator.rate.map_or(made.clone(), |rate| made.with_rate(rate)))
}

fn distribution(distribution: &file::Distribution) -> Distribution {
    match distribution {
        file::Distribution::UniformInt(min, max) => Distribution::Int { min: *min, max: *max },
        file::Distribution::UniformDouble(min, max) => Distribution::Double { min: *min, max: *max, decimals: None },
        file::Distribution::Normal(mean, deviation) => Distribution::Normal { mean: *mean, deviation: *deviation },
        file::Distribution::Weighted(values) => Distribution::Choice(values.iter().map(|(v, weight)| (literal(v), *weight)).collect()),
        file::Distribution::Zipf(n, exponent) => Distribution::Zipf { n: *n, exponent: *exponent },
        file::Distribution::Cycle(values) => Distribution::Cycle(values.iter().map(literal).collect()),
        file::Distribution::SequenceInt(start, step) => Distribution::Sequence { start: *start, step: *step },
        file::Distribution::SequenceDouble(start, step) => Distribution::DoubleSequence { start: *start, step: *step },
        file::Distribution::Constant(value) => Distribution::Constant(literal(value)),
        file::Distribution::Time { start, step, jitter } => {
            let start = start.unwrap_or_else(jiff::Timestamp::now).as_millisecond();
            Distribution::Time { start, step: *step, disorder: *jitter }
        }
    }
}

fn literal(literal: &Literal) -> Value {
    match literal {
        Literal::Null => Value::Null,
        Literal::Bool(v) => Value::Bool(*v),
        Literal::Int(v) => Value::Int(*v),
        Literal::Double(v) => Value::Double(*v),
        Literal::String(v) => Value::string(v),
    }
}

/// The good records of a source, where nobody asks for the bad ones.
pub(crate) struct Good(pub(crate) RowSource);

struct GoodReader(Box<dyn Reader<Entry<Row>>>);

impl Source<Row> for Good {
    fn kind(&self) -> Kind {
        self.0.kind()
    }

    fn version(&self) -> u32 {
        self.0.version()
    }

    fn open(&self, context: SourceContext) -> Result<Box<dyn Reader<Row>>, Error> {
        Ok(Box::new(GoodReader(self.0.open(context)?)))
    }

    fn accepts(&self, positions: &[Json]) -> Result<(), Error> {
        Source::<Entry<Row>>::accepts(&*self.0, positions)
    }
}

impl Reader<Row> for GoodReader {
    fn poll(&mut self) -> Result<Poll<Row>, Error> {
        Ok(match self.0.poll()? {
            Poll::Batch(Batch { split, records, watermark, last, idle, position }) => {
                let good = |r: Record<Entry<Row>>| Some(Record::new(r.time, r.value.good()?));
                Poll::Batch(Batch { split, records: records.into_iter().filter_map(good).collect(), watermark, last, idle, position })
            }
            Poll::Pending => Poll::Pending,
            Poll::After(wait) => Poll::After(wait),
            Poll::Finished => Poll::Finished,
        })
    }

    fn is_vacant(&self) -> bool {
        self.0.is_vacant()
    }

    fn resumed(&mut self) -> Option<Vec<Resumed>> {
        self.0.resumed()
    }

    fn completed(&mut self, positions: &[Json]) {
        self.0.completed(positions);
    }
}

/// The schema of the stream of a source's bad records.
pub(crate) fn dead_letter_schema() -> Schema {
    Schema::new([("source", Type::String), ("line", Type::Int), ("text", Type::String), ("error", Type::String)])
}

/// A bad record as a row of that schema.
pub(crate) fn dead_letter(entry: Entry<Row>) -> Option<Row> {
    let Entry::Bad(bad) = entry else { return None };
    let BadRecord { source, line, text, error } = *bad;
    let line = Value::Int(i64::try_from(line).unwrap_or(i64::MAX));
    Some([Value::string(source), line, Value::string(text), Value::string(error)].into_iter().collect())
}

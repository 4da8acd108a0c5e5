//! Sources: connectors, formats and layouts as a file's source describes them.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;

use serde_json::Value as Json;
use tidegate_connectors::entry::{BadRecord, Entry, OnBad};
use tidegate_connectors::file::{FileSource, Meaning, first_line};
use tidegate_connectors::format::{
    AvroFormat, Conversion, CsvFormat, Format, JsonFormat, Layout, RegexFormat, TextFormat, TextTime, TimeUnit,
};
use tidegate_connectors::generator::{Distribution, GeneratorSource};
use tidegate_connectors::kafka::{Fields, Metadata};
use tidegate_connectors::row::{Row, Schema, Type, Value};
use tidegate_connectors::stdin::StdinSource;
use tidegate_runtime::source::{Batch, Poll, Reader, Resumed, Source, SourceContext};
use tidegate_runtime::watermarks::WatermarkStrategy;
use tidegate_runtime::{Error, Record};

use super::avro;
use super::kafka;
use super::known::Order;
use super::patterns;
use super::windows::unsigned;
use crate::expr::{identifiers, parse_call};
use crate::file::{
    self, AvroSource, Equality, FieldType, JobFile, Literal, OnError, Problem, SinkConnector, SourceConnector, SourceFormat, Spanned,
    TextPart,
};

/// A source of rows, opened on every worker.
pub(super) type RowSource = Arc<dyn Source<Entry<Row>>>;

/// A source, compiled.
#[derive(Clone)]
pub(super) struct PlannedSource {
    pub(super) name: String,
    pub(super) source: RowSource,
    pub(super) schema: Schema,
    pub(super) strategy: WatermarkStrategy,
    pub(super) timed: bool,
    pub(super) order: Order,
    pub(super) dead_letter: Option<String>,
    /// What it reads, in words.
    pub(super) words: String,
}

/// Plans a source. `open` is what the job asks of a source that gives no schema.
pub(super) fn plan(source: &file::Source, open: Option<&BTreeSet<String>>) -> Result<PlannedSource, Vec<Problem>> {
    let strategy = source.event_time.as_ref().map_or_else(WatermarkStrategy::from_data, |time| WatermarkStrategy {
        max_delay: time.watermark_field.is_none().then(|| unsigned(time.max_delay)),
        idle_after: time.idle_after.as_ref().map(|d| unsigned(d.value)),
        max_drift: time.max_drift.as_ref().map(|d| unsigned(d.value)),
    });
    let name = source.name.value.clone();
    let (made, schema, timed, dead_letter, words) = match &source.connector {
        SourceConnector::Generator(generator) => {
            let made = generator_source(source, generator).map_err(|p| vec![p])?;
            let schema = made.schema().clone();
            // A field of times is the event time unless the job names another.
            let timed = source.event_time.is_some() || generator.fields.iter().any(|(_, d)| matches!(d, file::Distribution::Time { .. }));
            (Arc::new(made) as RowSource, schema, timed, None, "generator".to_owned())
        }
        SourceConnector::File { path, lines } => {
            let (made, schema) = lines_source(source, lines, Origin::File(&path.value), open)?;
            (made, schema, source.event_time.is_some(), lines.dead_letter.clone(), format!("file {}", path.value))
        }
        SourceConnector::Stdin { lines } => {
            let (made, schema) = lines_source(source, lines, Origin::Stdin, open)?;
            (made, schema, source.event_time.is_some(), lines.dead_letter.clone(), "standard input".to_owned())
        }
        SourceConnector::Kafka(kafka) => {
            let (made, schema) = lines_source(source, &kafka.lines, Origin::Kafka(kafka), open)?;
            (made, schema, source.event_time.is_some(), kafka.lines.dead_letter.clone(), format!("kafka topic {}", kafka.topic.words()))
        }
    };
    // Times a generator makes are in order but for their jitter, which nobody has to state twice.
    let strategy = match (&source.connector, &source.event_time) {
        (SourceConnector::Generator(generator), None) if timed => WatermarkStrategy::bounded(unsigned(jitter(generator))),
        _ => strategy,
    };
    let order = match &source.connector {
        // Several files are merged, and dealt to several workers; so is what is generated.
        SourceConnector::File { path, .. } if !matches!(Meaning::of(&path.value), Meaning::File(_)) => Order::Arrival,
        SourceConnector::Generator(_) => Order::Arrival,
        SourceConnector::File { .. } | SourceConnector::Stdin { .. } => Order::Total,
        SourceConnector::Kafka(_) => Order::Partitioned,
    };
    Ok(PlannedSource { name, source: made, schema, strategy, timed, order, dead_letter: dead_letter.map(|d| d.value), words })
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
fn lines_source(
    source: &file::Source,
    lines: &file::Lines,
    origin: Origin<'_>,
    open: Option<&BTreeSet<String>>,
) -> Result<(RowSource, Schema), Vec<Problem>> {
    let at = |message: String| vec![source.name.problem(message)];
    let mut layout = layout_of(source, lines, origin, open)?;
    let (schema, mut fields) = kafka::with_metadata(layout.schema(), origin.metadata());
    if let Some(time) = &source.event_time
        && let Some((_, part)) = origin.metadata().iter().find(|(name, _)| name.value == time.field.value)
    {
        if *part != Metadata::Timestamp {
            return Err(vec![time.field.problem(format!("the field `{}` is no time: of a message only `timestamp` is", time.field.value))]);
        }
        fields.timed = true;
    } else if let Some(time) = &source.event_time {
        if layout.schema().slot(&time.field.value).is_none() {
            let problem = time.field.problem(format!("no field `{}` in source `{}`", time.field.value, source.name.value));
            return Err(vec![problem.near(&time.field.value, layout.schema().names())]);
        }
        layout = layout.with_event_time(&time.field.value, unit(time.unit)).map_err(|e| vec![time.field.problem(e)])?;
    }
    if let Some(field) = source.event_time.as_ref().and_then(|time| time.watermark_field.as_ref()) {
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
            kafka::source(kafka, fields, format, on_bad)
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

fn source_of<F: Format<Item = Row>>(origin: Origin<'_>, fields: Fields, format: F, on_bad: OnBad) -> RowSource {
    match origin {
        Origin::File(path) => Arc::new(FileSource::new(path, format).on_bad(on_bad)),
        Origin::Stdin => Arc::new(StdinSource::new(format).on_bad(on_bad)),
        Origin::Kafka(source) => kafka::source(source, fields, format, on_bad),
    }
}

fn layout_of(
    source: &file::Source,
    lines: &file::Lines,
    origin: Origin<'_>,
    open: Option<&BTreeSet<String>>,
) -> Result<Layout, Vec<Problem>> {
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
            Ok(Layout::untyped(open.into_iter().flatten().cloned().chain(room)).with_rest())
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

pub(super) fn conversion(ty: &FieldType) -> Result<Conversion, String> {
    Ok(match ty {
        FieldType::Plain(ty) => match ty {
            Type::Bool => Conversion::Bool,
            Type::Int | Type::Uint => Conversion::Int,
            Type::Double => Conversion::Double,
            Type::String => Conversion::String,
            Type::Bytes => Conversion::Bytes,
            Type::Timestamp => Conversion::Timestamp,
            Type::Duration => Conversion::Duration,
            Type::List(_) => Conversion::List,
            Type::Map(..) => Conversion::Map,
            Type::Null | Type::Any => Conversion::Any,
        },
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
    if let Some(time) = &source.event_time {
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
pub(super) struct Good(pub(super) RowSource);

struct GoodReader(Box<dyn Reader<Entry<Row>>>);

impl Source<Row> for Good {
    fn open(&self, context: SourceContext) -> Result<Box<dyn Reader<Row>>, Error> {
        Ok(Box::new(GoodReader(self.0.open(context)?)))
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
            Poll::Finished => Poll::Finished,
        })
    }

    fn resumed(&mut self) -> Option<Vec<Resumed>> {
        self.0.resumed()
    }

    fn completed(&mut self, positions: &[Json]) {
        self.0.completed(positions);
    }
}

/// The schema of the stream of a source's bad records.
pub(super) fn dead_letter_schema() -> Schema {
    Schema::new([("source", Type::String), ("line", Type::Int), ("text", Type::String), ("error", Type::String)])
}

/// A bad record as a row of that schema.
pub(super) fn dead_letter(entry: Entry<Row>) -> Option<Row> {
    let Entry::Bad(bad) = entry else { return None };
    let BadRecord { source, line, text, error } = *bad;
    let line = Value::Int(i64::try_from(line).unwrap_or(i64::MAX));
    Some([Value::string(source), line, Value::string(text), Value::string(error)].into_iter().collect())
}

/// The fields the job asks of each source of JSON without a schema: those that are named where its rows are read. What nobody names stays
/// with the row.
pub(super) fn fields_asked_for(file: &JobFile) -> HashMap<String, BTreeSet<String>> {
    let mut asked: HashMap<String, BTreeSet<String>> = HashMap::new();
    // For each stream, the sources whose rows it hands on as they came.
    let mut open: HashMap<&str, BTreeSet<&str>> = HashMap::new();
    for source in &file.sources {
        if let Some(lines) = source.lines()
            && lines.schema.is_none()
            && lines.format.is_open()
        {
            let fields = asked.entry(source.name.value.clone()).or_default();
            fields.extend(source.event_time.iter().map(|time| time.field.value.clone()));
            open.insert(&source.name.value, BTreeSet::from([source.name.as_str()]));
        }
    }
    let mut ask = |sources: &BTreeSet<&str>, names: Vec<String>| {
        for source in sources {
            asked.entry((*source).to_owned()).or_default().extend(names.iter().cloned());
        }
    };
    for stream in file.streams_in_order() {
        let from: BTreeSet<&str> = stream.from.iter().filter_map(|f| open.get(f.as_str())).flatten().copied().collect();
        let mut names: Vec<String> = stream.key.iter().flat_map(|k| identifiers(&k.value)).collect();
        for aggregate in &stream.aggregate {
            let args = parse_call(&aggregate.call.value).map(|call| call.args).unwrap_or_default();
            names.extend(args.iter().flat_map(|arg| identifiers(&arg.source)));
            names.extend(aggregate.filter.iter().flat_map(|f| identifiers(&f.value)));
        }
        names.extend(stream.window.iter().flat_map(|window| window.texts()).flat_map(|text| identifiers(&text.value)));
        names.extend(stream.top.iter().flat_map(|top| identifiers(&top.by.value)));
        if let Some(join) = &stream.join {
            let over = |text: &Spanned<String>| identifiers(&text.value);
            let texts = stream.filter.iter().chain(stream.select.iter().flat_map(|s| &s.fields).map(|(_, e)| e));
            let mut of_result: Vec<String> = texts.flat_map(over).collect();
            of_result.extend(stream.flat_map.iter().flat_map(|f| identifiers(&f.list.value)));
            // What has no prefix is of the left, unless the left says what it has.
            let prefix = format!("{}_", join.with.value);
            let of_right = of_result.iter().filter_map(|name| name.strip_prefix(&prefix).or(from.is_empty().then_some(name.as_str())));
            let of_right: Vec<String> = of_right.map(str::to_owned).collect();
            names.extend(of_result);
            let with: BTreeSet<&str> = open.get(join.with.as_str()).into_iter().flatten().copied().collect();
            let side = |range: fn(&Equality) -> &Range<usize>| -> Vec<String> {
                join.on.iter().flat_map(|on| identifiers(on.text.value.get(range(on).clone()).unwrap_or_default())).collect()
            };
            names.extend(side(|on| &on.left));
            ask(&with, stream.key.iter().flat_map(over).chain(side(|on| &on.right)).chain(of_right).collect());
        } else if let Some(lookup) = &stream.lookup {
            let of_table = file.tables.iter().filter(|table| table.name.value == lookup.table.value).flat_map(|table| &table.schema);
            let of_table: Vec<&str> = of_table.map(|field| field.name.as_str()).collect();
            let texts = stream.filter.iter().chain(stream.select.iter().flat_map(|s| &s.fields).map(|(_, e)| e));
            let texts = texts.chain(stream.flat_map.iter().map(|f| &f.list));
            names.extend(texts.flat_map(|text| identifiers(&text.value)).filter(|name| !of_table.contains(&name.as_str())));
            names.extend(lookup.on.iter().flat_map(|(_, text)| identifiers(&text.value)));
        } else if let Some(pattern) = &stream.pattern {
            let steps = patterns::taking(&pattern.shape.steps);
            let asked = patterns::texts(pattern).into_iter().flat_map(|text| identifiers(&text));
            names.extend(asked.filter(|name| !steps.iter().any(|step| **step == **name)));
            names.extend(pattern.tie_break.iter().map(|field| field.value.clone()));
        } else if stream.aggregate.is_empty() {
            names.extend(stream.filter.iter().flat_map(|f| identifiers(&f.value)));
            names.extend(stream.select.iter().flat_map(|s| &s.fields).flat_map(|(_, e)| identifiers(&e.value)));
            names.extend(stream.flat_map.iter().flat_map(|f| identifiers(&f.list.value)));
            if stream.select.as_ref().is_none_or(|s| s.all.as_ref().is_some_and(|all| all.value)) {
                open.insert(&stream.name.value, from.clone());
            }
        }
        ask(&from, names);
        if let Some(late) = &stream.late_to {
            open.insert(&late.value, from);
        }
    }
    for sink in &file.sinks {
        let from: BTreeSet<&str> = sink.from.iter().filter_map(|f| open.get(f.as_str())).flatten().copied().collect();
        let mut parts: Vec<&TextPart> = Vec::new();
        if let file::SinkFormat::Text(Some(text)) = &sink.format {
            parts.extend(text);
        }
        let mut names = Vec::new();
        if let SinkConnector::Kafka(kafka) = &sink.connector {
            parts.extend(kafka.key.iter().chain(kafka.headers.iter().map(|(_, text)| text)).flatten());
            names.extend(kafka.timestamp.iter().map(|field| field.value.clone()));
        }
        names.extend(parts.into_iter().filter_map(|p| if let TextPart::Field(f) = p { Some(f.value.clone()) } else { None }));
        ask(&from, names);
    }
    asked
}

//! Parts of a job that would take each other's data.

use std::path::{Path, PathBuf};

use tidegate_connectors::file::{Meaning, is_read};
use tidegate_connectors::path::{resolved, same_file};
use tidegate_connectors::sink::is_directory;

use crate::connect::plan::kafka::default_id;
use crate::file::{Delivery, JobFile, Mode, Problem, Sink, SinkConnector, SinkFormat, SourceConnector, Spanned, TableConnector};

/// What a sink writes.
struct Written<'a> {
    name: &'a Spanned<String>,
    path: PathBuf,
    /// The ending of the files in it, if it is a directory.
    parts: Option<&'static str>,
}

impl<'a> Written<'a> {
    fn new(name: &'a Spanned<String>, path: &str, format: &SinkFormat) -> Self {
        let ending = match format {
            SinkFormat::Csv { .. } => "csv",
            SinkFormat::Text(_) => "txt",
            // The last two are never those of files.
            SinkFormat::Json | SinkFormat::Avro(_) | SinkFormat::Table | SinkFormat::TableOrJson => "jsonl",
        };
        Self { name, path: resolved(Path::new(path)), parts: is_directory(path).then_some(ending) }
    }

    /// Would what is read at `path` be written?
    fn is_read(&self, path: &str) -> bool {
        let read = Meaning::of(path);
        match (self.parts, &read) {
            (None, _) => read.has(&self.path) || is_read(path, &self.path),
            // Whatever its number.
            (Some(_), Meaning::File(file)) => self.has_part(file),
            (Some(ending), _) => read.has(&self.path.join(format!("part-0.{ending}"))),
        }
    }

    fn has_part(&self, file: &Path) -> bool {
        let is_part = file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"part-"));
        is_part && file.parent() == Some(&self.path)
    }

    fn meets(&self, other: &Self) -> bool {
        let within = |a: &Self, b: &Self| a.parts.is_some() && b.parts.is_none() && a.has_part(&b.path);
        self.path == other.path || same_file(&self.path, &other.path) || within(self, other) || within(other, self)
    }
}

/// Two sources of standard input, two sinks of one path, a sink that writes what a source or a table reads.
pub(crate) fn conflicts(file: &JobFile) -> Vec<Problem> {
    let mut problems = Vec::new();
    let stdins = file.sources.iter().filter(|s| matches!(s.connector, SourceConnector::Stdin { .. }));
    for second in stdins.skip(1) {
        problems
            .push(second.name.problem("standard input can be read by one source only: read it once, and let several streams read that"));
    }
    let mut read = Vec::new();
    for source in &file.sources {
        if let SourceConnector::File { path, .. } = &source.connector {
            read.push(("source", &source.name, &path.value));
        }
    }
    for table in &file.tables {
        if let TableConnector::File { path, .. } = &table.connector {
            read.push(("table", &table.name, &path.value));
        }
    }
    let mut written: Vec<Written<'_>> = Vec::new();
    for sink in &file.sinks {
        let SinkConnector::File { path } = &sink.connector else { continue };
        // Devices keep nothing that another could take.
        if path.value.starts_with("/dev/") {
            continue;
        }
        let new = Written::new(&sink.name, &path.value, &sink.format);
        if let Some((kind, name, _)) = read.iter().find(|(_, _, path)| new.is_read(path)) {
            problems.push(path.problem(format!("the {kind} `{}` reads this path: it would be emptied before it is read", name.value)));
        }
        if let Some(other) = written.iter().find(|other| other.meets(&new)) {
            let other = &other.name.value;
            problems.push(path.problem(format!("the sink `{other}` writes this path too: give one sink both streams, as `from: [a, b]`")));
        }
        written.push(new);
    }
    problems
}

/// Streams that ask for more workers than the job has.
pub(super) fn parallelism(file: &JobFile) -> Vec<Problem> {
    let Some(all) = &file.parallelism else { return Vec::new() };
    let asked = file.streams.iter().filter_map(|stream| stream.head.parallelism.as_ref());
    let message = || format!("the job has {} workers, by its own `parallelism`: ask for as many at most", all.value);
    asked.filter(|asked| asked.value > all.value).map(|asked| asked.problem(message())).collect()
}

/// What stands in the way of writing exactly once: no checkpoints, or writers that would take each other's place.
pub(super) fn writers(file: &JobFile) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut taken: Vec<(&Sink, String, Option<&Spanned<String>>)> = Vec::new();
    for sink in &file.sinks {
        let SinkConnector::Kafka(kafka) = &sink.connector else { continue };
        let Delivery::ExactlyOnce { at, transactional_id, .. } = &kafka.delivery else { continue };
        match file.checkpoints.as_ref().map(|checkpoints| checkpoints.mode) {
            Some(Mode::ExactlyOnce) => {}
            Some(Mode::AtLeastOnce) => problems.push(at.problem("`delivery: exactly_once` needs `checkpoints` with `mode: exactly_once`")),
            None => problems
                .push(at.problem("`delivery: exactly_once` needs `checkpoints`: a record is written when one is complete that has it")),
        }
        let id = transactional_id.as_ref().map_or_else(|| default_id(&file.name.value, sink), |id| id.value.clone());
        let given = transactional_id.as_ref();
        if let Some((other, _, other_given)) = taken.iter().find(|(_, taken, _)| *taken == id)
            && let Some((place, has)) = given.map(|given| (given, other)).or(other_given.map(|given| (given, &sink)))
        {
            let name = &has.name.value;
            problems.push(
                place.problem(format!("the transactional ids of the sink `{name}` begin so too: they would write in each other's place")),
            );
        }
        taken.push((sink, id, given));
    }
    problems
}

//! What users see of a job file: whole files in, and the model or the exact messages out.

mod accepted;
#[cfg(feature = "kafka")]
mod avro;
mod hostile;
#[cfg(feature = "kafka")]
mod kafka;
mod mistakes;
mod remedies;

use std::any::Any;

use super::{Aggregation, JobFile, Override, Problems, Stage, Stream, Window, parse};

/// The problems of a text, as printed.
fn problems(text: &str) -> String {
    parse("job.yaml", text, &[]).1.to_string()
}

/// The first line of each problem.
fn messages(text: &str) -> Vec<String> {
    first_lines(&parse("job.yaml", text, &[]).1)
}

fn first_lines(problems: &Problems) -> Vec<String> {
    problems.iter().map(|problem| problem.to_string().lines().next().unwrap_or_default().to_owned()).collect()
}

/// The job of a valid text.
fn job(text: &str) -> JobFile {
    job_with(text, &[])
}

fn job_with(text: &str, sets: &[&str]) -> JobFile {
    let sets: Vec<Override> = sets.iter().map(|set| set.parse().unwrap()).collect();
    let (job, problems) = parse("job.yaml", text, &sets);
    job.unwrap_or_else(|| panic!("{problems}"))
}

/// A job with one stream, with these keys, from a source `in` to a sink.
fn with_stream(keys: &str) -> String {
    format!(
        "name: t\nsources: {{ in: {{ connector: stdin }} }}\nstreams:\n  s: {{ from: in, {keys} }}\nsinks: {{ out: {{ from: s, connector: stdout }} }}\n"
    )
}

/// Downcasts a connector or format.
#[track_caller]
fn as_kind<T: 'static>(any: &dyn Any) -> &T {
    any.downcast_ref().expect("it is of this kind")
}

/// The aggregation of a stream.
fn aggregation(stream: &Stream) -> &Aggregation {
    let Some(Stage::Aggregation(aggregation)) = &stream.stage else { panic!("`{}` aggregates nothing", stream.head.name.value) };
    aggregation
}

/// The windows of an aggregation stream.
fn window(stream: &Stream) -> &Window {
    aggregation(stream).window.as_ref().unwrap()
}

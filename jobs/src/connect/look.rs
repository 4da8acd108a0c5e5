//! Checks what a job would find if it ran now: whether its files exist, and whether their first records are what the job file says.

use std::path::Path;
use std::sync::Arc;

use tidegate_connectors::file::Sample;
use tidegate_runtime::Error;

use super::first_time;
use super::lines::Bad;
use crate::text::{Problem, Spanned};

/// How many records are checked.
pub(crate) const RECORDS: u64 = 100;

/// Checks what a part of a job would find, and returns the problems.
pub(crate) type Look = Arc<dyn Fn() -> Vec<Problem> + Send + Sync>;

/// Checks that a file exists.
pub(crate) fn at_file(path: Spanned<String>) -> Look {
    Arc::new(
        move || {
            if Path::new(&path.value).exists() { Vec::new() } else { vec![path.problem(format!("`{}` does not exist", path.value))] }
        },
    )
}

/// Checks the first records of the files at `path`. `time` is the field of their event time.
pub(crate) fn at_records(
    path: Spanned<String>,
    time: Option<Spanned<String>>,
    bad: Bad,
    sample: impl Fn() -> Result<Sample, Error> + Send + Sync + 'static,
) -> Look {
    Arc::new(move || match sample() {
        Err(error) => vec![path.problem(error.to_string())],
        Ok(sample) => of_sample(&sample, &path, time.as_ref(), bad),
    })
}

fn of_sample(sample: &Sample, path: &Spanned<String>, time: Option<&Spanned<String>>, is: Bad) -> Vec<Problem> {
    let mut problems = Vec::new();
    let Sample { good, bad, first_bad, first_time } = sample;
    if let Some(first) = first_bad.as_ref().filter(|_| is != Bad::PassedOver) {
        let what = match (good, bad) {
            (0, 1) => "the only record looked at is bad".to_owned(),
            (0, bad) => format!("all of the first {bad} records are bad"),
            (good, bad) => format!("{bad} of the first {} records are bad", good + bad),
        };
        let message = format!("{what}: {first}");
        problems.push(if *good == 0 && is == Bad::Unwanted { path.problem(message) } else { path.warning(message) });
    }
    if let Some((field, strange)) = time.zip(first_time.and_then(first_time::strange)) {
        problems.push(field.warning(strange));
    }
    problems
}

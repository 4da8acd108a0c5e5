//! What a job would find if it were run now: whether its files are there, and whether what they begin with is what the job file says.

use std::path::Path;
use std::sync::Arc;

use tidegate_connectors::file::Sample;
use tidegate_runtime::Error;

use super::first_time;
use crate::connect::{Table, TableConnector};
use crate::text::{Problem, Spanned};

/// How many records are looked at.
pub(crate) const RECORDS: u64 = 100;

/// Looks at the first records of a source of files.
pub(crate) type Sampler = Arc<dyn Fn() -> Result<Sample, Error> + Send + Sync>;

/// Something that can be looked at before the job is run.
#[derive(Clone)]
pub(crate) enum Look {
    /// The file of a table.
    Table(Spanned<String>),
    /// The files of a source.
    Source {
        path: Spanned<String>,
        /// The field of the event time.
        time: Option<Spanned<String>>,
        /// What bad records are to the source.
        bad: Bad,
        sampler: Sampler,
    },
}

/// What bad records are to a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bad {
    /// A sign that the file is not what the job takes it for.
    Unwanted,
    /// A stream of their own.
    Kept,
    /// Nothing: a pattern picks the lines it is for.
    PassedOver,
}

impl Look {
    /// The file of a table, if it is in one.
    pub(crate) fn table(table: &Table) -> Option<Self> {
        if let TableConnector::File { path, .. } = &table.connector { Some(Self::Table(path.clone())) } else { None }
    }

    pub(crate) fn problems(&self) -> Vec<Problem> {
        match self {
            Self::Table(path) if Path::new(&path.value).exists() => Vec::new(),
            Self::Table(path) => vec![path.problem(format!("`{}` does not exist", path.value))],
            Self::Source { path, time, bad, sampler } => match sampler() {
                Err(error) => vec![path.problem(error.to_string())],
                Ok(sample) => of_sample(&sample, path, time.as_ref(), *bad),
            },
        }
    }
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

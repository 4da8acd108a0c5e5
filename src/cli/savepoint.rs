//! `tidegate savepoint`: takes a savepoint of a running job, or inspects one.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use serde_json::json;
use tidegate::checkpoints::{Field, Kind, Manifest, OperatorState, Part, RowReader, Snapshot, StateInfo};
use tidegate::jobs::plan::records;
use tidegate::runtime::state::{decode_namespace, read_rows as read_rows_of};

use super::control::{absolute, connect};
use super::report::{bytes, grouped, instant};

/// Take a savepoint of a running job, or look into one
///
/// A running job is found by its job file or its state directory. It takes the savepoint between two records and continues. What a
/// savepoint holds does not depend on its location, on the backend or on the number of workers: `tidegate run JOB.yaml --from DIR` starts
/// from it.
#[derive(Args)]
pub struct Savepoint {
    #[command(subcommand)]
    command: Option<Inspect>,
    /// The job file of a running job, or its state directory
    #[arg(value_name = "JOB.yaml|DIR", required = true)]
    job: Option<PathBuf>,
    /// Where the savepoint goes: a new directory, or a URL
    #[arg(long, value_name = "DIR", required = true)]
    to: Option<String>,
}

#[derive(Subcommand)]
enum Inspect {
    /// Show what a savepoint or checkpoint holds: operators, states, sizes, positions
    Inspect {
        /// Its directory or URL
        #[arg(value_name = "DIR")]
        place: String,
        /// Print what an operator has stored as JSON Lines: a record for each key, or key and window, with what is aggregated
        #[arg(long, value_name = "OPERATOR")]
        rows: Option<String>,
    },
}

impl Savepoint {
    pub fn run(&self) -> ExitCode {
        let result = match (&self.command, &self.job, &self.to) {
            (Some(Inspect::Inspect { place, rows }), ..) => inspect(place, rows.as_deref()),
            (None, Some(job), Some(to)) => take(job, to),
            _ => Err(anyhow::anyhow!("say which job, and by `--to` where the savepoint goes")),
        };
        super::finish(result)
    }
}

fn take(job: &Path, to: &str) -> Result<String> {
    let place = connect(job)?.savepoint(absolute(to)?)?;
    Ok(format!("{place}\n"))
}

/// What an operator keeps in a snapshot, as JSON Lines.
pub(super) fn rows_in(place: &str, operator: &str) -> Result<String> {
    rows_of(&Snapshot::open(place)?, operator)
}

fn inspect(place: &str, rows: Option<&str>) -> Result<String> {
    let snapshot = Snapshot::open(place)?;
    match rows {
        Some(operator) => rows_of(&snapshot, operator),
        None => Ok(summary(snapshot.manifest(), snapshot.place())),
    }
}

fn summary(manifest: &Manifest, place: &str) -> String {
    let mut out = String::new();
    let kind = if manifest.kind == Kind::Savepoint { "savepoint" } else { "checkpoint" };
    let _ = writeln!(out, "{kind} of `{}` in {place}", manifest.job);
    let size: u64 = manifest.files().map(|file| file.bytes).sum();
    let watermark = manifest.watermark.map_or_else(|| "none".to_owned(), instant);
    let _ = writeln!(
        out,
        "taken {} at the end of epoch {}, on {} workers; watermark {watermark}; {} in {} files",
        instant(manifest.created_ms),
        manifest.epoch,
        manifest.workers,
        bytes(size),
        manifest.files().count()
    );
    for operator in &manifest.operators {
        let _ = writeln!(out, "\n{}  ({})", operator.id, operator.kind);
        if let Some(key) = &operator.basis.key {
            let _ = writeln!(out, "  by {}", if key.is_empty() { "nothing: the whole stream is one key".to_owned() } else { list(key) });
        }
        for state in &operator.states {
            let what = if state.fields.is_empty() { state.schema.clone() } else { list(&state.fields) };
            let _ = writeln!(out, "  state `{}`: {what}", state.name);
        }
        let entries: u64 = operator.parts.iter().map(|part| part.entries).sum();
        let size: u64 = operator.parts.iter().flat_map(Part::files).map(|file| file.bytes).sum();
        if size > 0 {
            let counted = if entries > 0 { format!("{} rows, ", grouped(entries)) } else { String::new() };
            let _ = writeln!(out, "  {counted}{}", bytes(size));
        }
        // The entries of keyed operators are internal.
        for part in operator.parts.iter().filter(|_| operator.role != "operator") {
            for item in part.list.iter().filter(|item| !item.as_object().is_some_and(serde_json::Map::is_empty)) {
                let _ = writeln!(out, "  worker {}: {item}", part.worker);
            }
        }
    }
    out
}

fn list(fields: &[Field]) -> String {
    fields.iter().map(Field::to_string).collect::<Vec<_>>().join(", ")
}

fn rows_of(snapshot: &Snapshot, name: &str) -> Result<String> {
    let operators = &snapshot.manifest().operators;
    let Some(operator) = operators.iter().find(|operator| operator.id.as_str() == name) else {
        let known: Vec<&str> = operators.iter().map(|operator| operator.id.as_str()).collect();
        bail!("there is no operator `{name}` in it, only {}", known.join(", "));
    };
    let scratch = std::env::temp_dir().join(format!("tidegate-inspect-{}", std::process::id()));
    let read = read_rows(snapshot, operator, &scratch);
    // The directory only holds copies.
    let _ = std::fs::remove_dir_all(&scratch);
    read
}

fn read_rows(snapshot: &Snapshot, operator: &OperatorState, scratch: &Path) -> Result<String> {
    std::fs::create_dir_all(scratch)?;
    let states: BTreeMap<u8, &StateInfo> = operator.states.iter().map(|state| (state.id, state)).collect();
    let (mut out, mut failure) = (Vec::new(), None);
    let mut line = |floors: &BTreeMap<u8, i64>, state: u8, key: &[u8], value: &[u8]| {
        // A file may still contain windows that are over, and states that the job has dropped.
        let over = floors.get(&state).is_some_and(|floor| decode_namespace(key).is_ok_and(|(namespace, _)| namespace < *floor));
        let Some(state) = states.get(&state).filter(|_| failure.is_none() && !over) else { return };
        match records(operator, state, key, value, &mut out) {
            Ok(Some(())) => {}
            // Only the job knows the types of a job written in Rust.
            Ok(None) => out.extend(format!("{}\n", json!({ "@state": state.name, "key": hex(key), "value": hex(value) })).into_bytes()),
            Err(error) => failure = Some(error),
        }
    };
    for (i, part) in operator.parts.iter().enumerate() {
        let floor = |state: &StateInfo| part.list.iter().find_map(|meta| meta.get(&state.name)?.get("floor")?.as_i64());
        let floors: BTreeMap<u8, i64> = operator.states.iter().filter_map(|state| Some((state.id, floor(state)?))).collect();
        for (j, file) in part.rows.iter().enumerate() {
            let local = scratch.join(format!("{i}-{j}.rows"));
            snapshot.download(file, &local)?;
            for row in RowReader::open(&local)?.groups(0..u16::MAX) {
                let row = row?;
                line(&floors, row.state, &row.key, &row.value);
            }
        }
        if !part.db.is_empty() {
            let dir = scratch.join(format!("{i}-db"));
            std::fs::create_dir_all(&dir)?;
            snapshot.download_all(&part.db, &dir)?;
            read_rows_of(&dir, &mut |_: u16, state: u8, key: &[u8], value: &[u8]| line(&floors, state, key, value))?;
        }
    }
    match failure {
        Some(error) => Err(error.into()),
        None => Ok(String::from_utf8(out)?),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

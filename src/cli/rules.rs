//! `tidegate rules`: try rules on files of events, and compare two versions of a job file by meaning.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};
use tidegate::jobs::file::{Difference, JobFile, KeptVersions, Trial, differences_of_rules, exported_rules, streams_with_rules};
use tidegate::runtime::RunConfig;

use super::job::{Loaded, read};
use super::log::note;
use super::versions::{Base, kept_in};

/// Try rules on files of events, and compare two versions of them
#[derive(Args)]
pub struct Rules {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Test(Test),
    Diff(Diff),
    Export(Export),
}

/// Show what the rules of a job decide about a file of events, and why
///
/// The file stands in for the job's source: JSON Lines with the same fields. Indicators are computed as in the job. Nothing else is read or written:
/// no Kafka, no checkpoints, no sinks. Control records, and `where` and `select` after the rules, are left out.
///
/// `tidegate rules test job.yaml --events yesterday.jsonl`
#[derive(Args)]
struct Test {
    /// The job file
    #[arg(value_name = "JOB.yaml")]
    path: PathBuf,
    /// The events: JSON Lines. If the rules need several sources, one `SOURCE=FILE` for each
    #[arg(long, value_name = "FILE | SOURCE=FILE", required = true)]
    events: Vec<String>,
    /// The stream with the rules, if there are several
    #[arg(long)]
    stream: Option<String>,
    /// Override any key of the job file
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Show only decisions other than this action
    #[arg(long, value_name = "ACTION")]
    but: Option<String>,
    /// How to show them
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Format {
    /// Each decision with its hits and their values, and a summary
    Text,
    /// The decisions as JSON Lines
    Json,
}

/// Show what differs between the rules of two job files, by meaning
///
/// The order of keys and the layout of expressions don't matter. `--control` prints a control record that turns the rules of the first into those of
/// the second while the job runs.
#[derive(Args)]
struct Diff {
    /// The job file as it was
    #[arg(value_name = "OLD.yaml")]
    old: PathBuf,
    /// The job file as it is to be
    #[arg(value_name = "NEW.yaml")]
    new: PathBuf,
    /// The stream with the rules, if there are several
    #[arg(long)]
    stream: Option<String>,
    /// Print a control record with this version
    #[arg(long, value_name = "VERSION")]
    control: Option<u64>,
}

/// Print the job file with what versions have made of its rules
///
/// The versions, and the entries of lists that they have added, are read from a checkpoint or a savepoint. The result is a job file in JSON, which is
/// YAML: `tidegate rules diff` compares it with the one that it came from.
///
/// `tidegate rules export job.yaml --from checkpoints/job > now.json`
#[derive(Args)]
struct Export {
    /// The job file
    #[arg(value_name = "JOB.yaml")]
    path: PathBuf,
    /// The savepoint, or the directory of the job's checkpoints
    #[arg(long, value_name = "PLACE")]
    from: String,
    /// The stream with the rules, if there are several
    #[arg(long)]
    stream: Option<String>,
    /// Only versions that are active at this time, such as 2026-01-01T08:00:00Z; otherwise also those that are planned
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// Override any key of the job file
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
}

impl Rules {
    pub fn run(&self) -> ExitCode {
        match &self.command {
            Command::Test(test) => test.run(),
            Command::Diff(diff) => diff.run(),
            Command::Export(export) => export.run(),
        }
    }
}

impl Test {
    fn run(&self) -> ExitCode {
        match self.decisions() {
            Ok(Ok(text)) => super::finish(Ok(text)),
            Ok(Err(code)) => code,
            Err(error) => super::fail(&error, super::FAILED),
        }
    }

    fn decisions(&self) -> anyhow::Result<Result<String, ExitCode>> {
        let dir = std::env::temp_dir().join(format!("tidegate-rules-{}", std::process::id()));
        std::fs::create_dir_all(&dir).with_context(|| format!("`{}` can't be made", dir.display()))?;
        let result = self.decisions_in(&dir);
        let _ = std::fs::remove_dir_all(&dir);
        result
    }

    /// Runs the trial, whose output goes through a file in `dir`.
    fn decisions_in(&self, dir: &Path) -> anyhow::Result<Result<String, ExitCode>> {
        let out = dir.join("decisions.jsonl");
        let named = |text: &String| match text.split_once('=') {
            Some((name, path)) if !Path::new(text).exists() => (Some(name.to_owned()), path.to_owned()),
            _ => (None, text.clone()),
        };
        let events: Vec<(Option<String>, String)> = self.events.iter().map(named).collect();
        for (_, path) in &events {
            anyhow::ensure!(Path::new(path).exists(), "the events `{path}` do not exist");
        }
        let trial = Trial { stream: self.stream.clone(), events, out: out.display().to_string() };
        let name = self.path.display().to_string();
        let text = read(&self.path)?;
        let loaded = match Loaded::of(&name, &self.set, |overrides| trial.parse(&name, &text, overrides)) {
            Ok(loaded) => loaded,
            Err(code) => return Ok(Err(code)),
        };
        loaded.job.run(RunConfig::workers(1))?;
        let text = std::fs::read_to_string(&out).unwrap_or_default();
        let shown = |decision: &Value| self.but.is_none() || decision["action"].as_str() != self.but.as_deref();
        let rows = text.lines().map(serde_json::from_str::<Value>).collect::<Result<Vec<Value>, _>>()?;
        let mut told = String::new();
        for row in rows.iter().filter(|row| shown(row)) {
            match self.format {
                Format::Json => _ = writeln!(told, "{row}"),
                Format::Text => explain(row, &mut told),
            }
        }
        if self.format == Format::Text {
            summary(&rows, &mut told);
        }
        Ok(Ok(told))
    }
}

/// The fields that a decision adds to a record.
const ADDED: [&str; 9] = ["scenario", "action", "score", "list", "hits", "shadow", "errors", "degraded", "version"];

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| if value.is_null() { "-".to_owned() } else { value.to_string() }, str::to_owned)
}

/// A decision, with what led to it.
fn explain(row: &Value, out: &mut String) {
    let empty = serde_json::Map::new();
    let own = row.as_object().unwrap_or(&empty).iter().filter(|(name, _)| !ADDED.contains(&name.as_str()));
    let own: Vec<String> = own.map(|(name, value)| format!("{name}={}", text(value))).collect();
    let degraded = if row["degraded"] == true { " (degraded)" } else { "" };
    let _ =
        writeln!(out, "{:<10} {:>6}  {}{degraded}  {}", text(&row["action"]), text(&row["score"]), text(&row["scenario"]), own.join(" "));
    if let Value::Object(list) = &row["list"] {
        let of = |name: &str| list.get(name).map_or_else(String::new, text);
        let reason = if list.get("reason").is_some_and(|reason| !reason.is_null()) { format!(": {}", of("reason")) } else { String::new() };
        let _ = writeln!(out, "    list {}  {}{reason}", of("list"), of("key"));
    }
    hits(&row["hits"], "", out);
    for error in row["errors"].as_array().into_iter().flatten() {
        let (what, name) =
            ["rule", "list", "scenario"].into_iter().find_map(|what| Some((what, error[what].as_str()?))).unwrap_or_default();
        let _ = writeln!(out, "    {what} {name} failed: {}", text(&error["error"]));
    }
    if row["shadow"]["hits"].as_array().is_some_and(|hits| !hits.is_empty()) {
        let _ = writeln!(out, "    with the shadow rules: {} {}", text(&row["shadow"]["action"]), text(&row["shadow"]["score"]));
        hits(&row["shadow"]["hits"], "shadow ", out);
    }
}

fn hits(hits: &Value, kind: &str, out: &mut String) {
    for hit in hits.as_array().into_iter().flatten() {
        let action = if hit["action"].is_null() { String::new() } else { format!(" {}", text(&hit["action"])) };
        let score = if hit["score"] == 0 { String::new() } else { format!(" {:+}", hit["score"].as_f64().unwrap_or(0.0)) };
        let reason = if hit["reason"].is_null() { String::new() } else { format!("  {}", text(&hit["reason"])) };
        let values = hit["values"].as_object().into_iter().flatten().map(|(name, value)| format!("{name}={}", text(value)));
        let values: Vec<String> = values.collect();
        let _ = writeln!(out, "    {kind}{}{action}{score}{reason}  [{}]", text(&hit["rule"]), values.join(" "));
    }
}

/// How often there was each action, and how often each rule hit.
fn summary(rows: &[Value], out: &mut String) {
    let mut actions: BTreeMap<String, usize> = BTreeMap::new();
    let mut rules: BTreeMap<String, [usize; 3]> = BTreeMap::new();
    for row in rows.iter().filter(|row| !row["scenario"].is_null()) {
        *actions.entry(format!("{} {}", text(&row["scenario"]), text(&row["action"]))).or_default() += 1;
        let named = |of: &Value| of.as_array().into_iter().flatten().map(|hit| text(&hit["rule"])).collect::<Vec<_>>();
        for (place, names) in [named(&row["hits"]), named(&row["shadow"]["hits"]), named(&row["errors"])].into_iter().enumerate() {
            for name in names.into_iter().filter(|name| name != "-") {
                rules.entry(format!("{} {name}", text(&row["scenario"]))).or_default()[place] += 1;
            }
        }
    }
    let decisions: usize = actions.values().sum();
    let others = rows.len() - decisions;
    let others = if others == 0 { String::new() } else { format!(", {others} events of no scenario") };
    let _ = writeln!(out, "\n{decisions} decisions{others}");
    for (action, count) in actions {
        let _ = writeln!(out, "{count:>8}  {action}");
    }
    for (rule, [hits, shadow, failed]) in rules {
        let told = [(hits, "hits"), (shadow, "shadow hits"), (failed, "errors")];
        let told: Vec<String> = told.into_iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
        let _ = writeln!(out, "          {rule}: {}", told.join(", "));
    }
}

/// The stream with the rules of a job file: the one that is named, or the only one.
fn stream_of<'f>(file: &'f JobFile, path: &Path, named: Option<&'f String>) -> anyhow::Result<&'f str> {
    match (named, streams_with_rules(file).as_slice()) {
        (Some(stream), _) => Ok(stream.as_str()),
        (None, [one]) => Ok(one),
        (None, []) => anyhow::bail!("no stream of `{}` has `rules`", path.display()),
        (None, several) => anyhow::bail!("several streams have `rules`: choose one by `--stream`: {}", several.join(", ")),
    }
}

impl Export {
    fn run(&self) -> ExitCode {
        let name = self.path.display().to_string();
        let text = match read(&self.path) {
            Ok(text) => text,
            Err(error) => return super::fail(&error, super::USAGE),
        };
        let (stream, kept) = match Loaded::new(&name, &text, &self.set).map(|loaded| self.kept(&loaded.file)) {
            Ok(Ok(kept)) => kept,
            Ok(Err(error)) => return super::fail(&error, super::USAGE),
            Err(code) => return code,
        };
        let (over, left_out) = Base { name: &name, text: &text, set: &self.set }.fitting(&stream, &kept);
        for (version, why) in left_out {
            note(&format!("version {version} does not fit the job file and is left out: {why}"));
        }
        let kept = kept.only(|version| over.contains(&version));
        let mut whole = Value::Null;
        let loaded = Loaded::of(&name, &self.set, |overrides| {
            let (changed, file, problems) = exported_rules(&name, &text, overrides, &stream, &kept);
            whole = changed.unwrap_or_default();
            (file, problems)
        });
        match loaded {
            Ok(_) => super::finish(serde_json::to_string_pretty(&whole).map(|text| text + "\n").map_err(Into::into)),
            Err(code) => code,
        }
    }

    /// The stream with the rules, and what a snapshot has of their versions.
    fn kept(&self, file: &JobFile) -> anyhow::Result<(String, KeptVersions)> {
        let stream = stream_of(file, &self.path, self.stream.as_ref())?;
        Ok((stream.to_owned(), kept_in(&self.from, file, stream, self.at.as_deref())?))
    }
}

impl Diff {
    fn run(&self) -> ExitCode {
        let files = self.file(&self.old).and_then(|old| Ok((old, self.file(&self.new)?)));
        match files {
            Ok((old, new)) => match self.differences(&old, &new) {
                Ok(text) => super::finish(Ok(text)),
                Err(error) => super::fail(&error, super::USAGE),
            },
            Err(code) => code,
        }
    }

    /// A job file without errors.
    fn file(&self, path: &Path) -> Result<JobFile, ExitCode> {
        let text = read(path).map_err(|error| super::fail(&error, super::USAGE))?;
        Loaded::new(&path.display().to_string(), &text, &[]).map(|loaded| loaded.file)
    }

    fn differences(&self, old: &JobFile, new: &JobFile) -> anyhow::Result<String> {
        let stream = stream_of(new, &self.new, self.stream.as_ref())?;
        let found =
            differences_of_rules(old, new, stream).ok_or_else(|| anyhow!("the stream `{stream}` has `rules` in only one of the files"))?;
        if let Some(version) = self.control {
            let changes: Vec<&Value> = found.iter().map(|difference| &difference.change).collect();
            return Ok(format!("{}\n", json!({ "version": version, "changes": changes })));
        }
        Ok(found.iter().fold(String::new(), |mut text, difference| {
            tell_difference(difference, &mut text);
            text
        }))
    }
}

fn tell_difference(Difference { change, before }: &Difference, out: &mut String) {
    let (what, after) = match (change["set"].as_str(), change["remove"].as_str(), change["list"].as_str()) {
        (Some(path), ..) => (path.to_owned(), change["value"].clone()),
        (_, removed, Some(list)) => (format!("list {list}"), if removed.is_some() { Value::Null } else { change["add"].clone() }),
        (_, Some(path), None) => (path.to_owned(), Value::Null),
        _ => return,
    };
    let sign = match (before.is_null(), after.is_null()) {
        (true, _) => '+',
        (_, true) => '-',
        _ => '~',
    };
    let _ = writeln!(out, "{sign} {what}");
    for (sign, value) in [('-', before), ('+', &after)] {
        if !value.is_null() {
            let _ = writeln!(out, "    {sign} {value}");
        }
    }
}

//! Commands for a job that runs: `status`, `metrics`, `stop`, `drain`, `cancel`.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;

use serde_json::Value;

use crate::harness::{Dir, Running, values};

/// Records one after the other for ever, and a window that never ends by itself.
const JOB: &str = "name: t
parallelism: 1
state: { dir: state }
sources: { in: { connector: generator, rate: 2000, fields: { n: { sequence: [0, 1] }, at: { time: { start: 2026-01-01T00:00:00Z, step: 1ms } } }, event_time: { field: at } } }
streams: { all: { from: in, window: { tumbling: 10000h }, aggregate: { c: count() } } }
sinks:
  seen: { from: in, connector: stdout }
  all: { from: all, connector: file, path: all.jsonl }
";

/// The windows that the job has written.
fn windows(dir: &Dir) -> Vec<Value> {
    if dir.path("all.jsonl").exists() { dir.values("all.jsonl") } else { Vec::new() }
}

/// The job, once it has written records.
fn running(dir: &Dir) -> Running {
    let mut job = dir.job(JOB).start();
    job.until("100 records", |stdout| stdout.lines().count() > 100);
    job
}

#[test]
fn status_and_metrics_show_a_running_job_by_its_file_or_its_directory() {
    let dir = Dir::new();
    let mut job = running(&dir);
    let status = dir.tidegate(["status", "job.yaml"]).run().exits(0).stderr_is("").stdout;
    let pid = job.pid();
    assert!(status.starts_with(&format!("t: running, process {pid}, up ")), "{status}");
    assert!(
        status.contains("1 worker") && status.contains("a fresh start") && status.contains("records read, watermark 2026-01-01T"),
        "{status}"
    );
    let status = &dir.tidegate(["status", "state/t", "--json"]).run().exits(0).values()[0];
    assert_eq!((&status["job"], &status["state"], &status["pid"]), (&"t".into(), &"running".into(), &pid.into()));
    assert!(status["run"]["records_read"].as_u64() > Some(100), "{status}");

    let metrics = dir.tidegate(["metrics", "job.yaml"]).run().exits(0).stdout;
    let explained = values(&dir.tidegate(["explain", "job.yaml", "--format", "json"]).run().exits(0).stdout.lines().collect::<String>());
    let names: Vec<&str> = explained[0]["operators"].as_array().expect("operators").iter().filter_map(|o| o["name"].as_str()).collect();
    assert_eq!(metrics.lines().filter_map(|line| line.split_whitespace().next()).collect::<Vec<_>>(), names);
    let source = dir.tidegate(["metrics", "job.yaml", "in", "--json"]).run().exits(0).values();
    assert_eq!((source.len(), &source[0]["operator"], &source[0]["role"]), (1, &"in".into(), &"source".into()));
    assert!(source[0]["counters"]["records"].as_u64() > Some(100), "{source:?}");
    dir.tidegate(["metrics", "job.yaml", "inn"]).run().exits(1).stderr_has("there is no operator `inn`, only in, ");
    job.signal("TERM");
    job.wait().exits(0);
}

#[test]
fn stop_leaves_windows_open_and_drain_closes_them() {
    for (command, closed) in [("stop", false), ("drain", true)] {
        let dir = Dir::new();
        let job = running(&dir);
        let word = if closed { "drained" } else { "stopped" };
        dir.tidegate([command, "job.yaml"]).run().exits(0).stdout_is(&format!("t: {word}\n"));
        // The directory is free when the command ends.
        dir.tidegate(["status", "job.yaml"]).run().exits(1).stderr_has("no running job holds `state/t`");
        let outcome = job.wait().exits(0).stderr_has(word);
        let written = outcome.values().len();
        assert_eq!(outcome.account()["in"].part("on"), written as u64, "{command}: not all that was read is written");
        let windows: Vec<Value> = dir.values("all.jsonl");
        assert_eq!(
            windows.iter().map(|window| window["c"].as_u64()).collect::<Vec<_>>(),
            Vec::from_iter(closed.then_some(Some(written as u64)))
        );
    }
}

#[test]
fn stop_with_a_savepoint_is_gone_on_from() {
    let dir = Dir::new();
    let job = running(&dir);
    let place = dir.path("save").display().to_string();
    dir.tidegate(["stop", "job.yaml", "--savepoint", "save"]).run().exits(0).stdout_is(&format!("t: stopped, savepoint in {place}\n"));
    let first = job.wait().exits(0).values().len() as u64;
    let mut job = dir.tidegate(["run", "job.yaml", "--from", "save"]).start();
    job.until("a record", |stdout| !stdout.is_empty());
    // Where there is a savepoint already the job goes on.
    dir.tidegate(["stop", "job.yaml", "--savepoint", "save"]).run().exits(1).stderr_has("already holds a savepoint");
    dir.tidegate(["drain", "job.yaml"]).run().exits(0);
    let second = job.wait().exits(0).values();
    assert_eq!(second[0]["n"], first);
    assert_eq!(dir.values("all.jsonl")[0]["c"], first + second.len() as u64);
}

#[test]
fn cancel_ends_a_job_at_once() {
    let dir = Dir::new();
    let job = running(&dir);
    dir.tidegate(["cancel", "state/t"]).run().exits(0).stdout_is("t: cancelled\n");
    job.wait().exits(0).stderr_has("t: cancelled after");
    assert!(windows(&dir).is_empty());
}

#[test]
fn a_command_for_a_job_that_does_not_run_says_so() {
    let dir = Dir::new();
    dir.file("job.yaml", JOB);
    for command in ["status", "metrics", "stop", "drain", "cancel"] {
        dir.tidegate([command, "job.yaml"]).run().exits(1).stdout_is("").stderr_has("no running job holds `state/t`");
        dir.tidegate([command]).run().exits(2).stdout_is("");
    }
}

/// As docs/control.md has it for programs: a line of JSON each way.
#[test]
fn any_program_can_speak_the_protocol() {
    let dir = Dir::new();
    let job = running(&dir);
    let mut stream = BufReader::new(UnixStream::connect(dir.path("state/t/control")).expect("the job listens"));
    writeln!(stream.get_mut(), r#"{{"protocol":1,"request":"status"}}"#).expect("it can be written");
    writeln!(stream.get_mut(), r#"{{"protocol":1,"request":"cancel"}}"#).expect("it can be written");
    let answers: Vec<Value> = stream.lines().map(|line| serde_json::from_str(&line.expect("a line")).expect("JSON")).collect();
    assert_eq!(answers[0]["protocol"], 1);
    assert_eq!((&answers[1]["reply"], &answers[1]["state"]), (&"status".into(), &"running".into()));
    assert_eq!((answers.len(), &answers[2]["how"]), (3, &"cancelled".into()));
    job.wait().exits(0);
}

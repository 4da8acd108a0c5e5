//! Stopping a job in order.

use serde_json::json;

use crate::harness::Dir;

const SEQUENCE: &str = "name: t\nsources: { in: { connector: generator, rate: 5000, fields: { n: { sequence: [0, 1] } } } }\nsinks: { out: { from: in, connector: stdout } }\n";

#[test]
fn a_signal_stops_an_endless_job_after_everything_read_is_written() {
    for signal in ["TERM", "INT"] {
        let dir = Dir::new();
        let mut job = dir.job(SEQUENCE).args(["-p", "1"]).start();
        job.until("300 records", |stdout| stdout.lines().count() > 300).signal(signal);
        let outcome = job.wait().exits(0);
        let written = outcome.values();
        let expected: Vec<_> = (0..written.len()).map(|n| json!({ "n": n })).collect();
        assert!(written == expected, "SIG{signal}: a gap, or out of order");
        let account = outcome.account();
        assert_eq!(account["in"].part("on"), written.len() as u64, "SIG{signal}: not all that was read is written");
        assert_eq!(account["sinks.out"].part("written"), written.len() as u64);
        outcome.stderr_has("stopped");
    }
}

#[test]
fn what_several_workers_have_read_is_written_too() {
    let dir = Dir::new();
    let full_speed = "name: t\nsources: { in: { connector: generator, fields: { n: { sequence: [0, 1] } } } }\nstreams: { s: { from: in, key: 'n % 7', aggregate: { c: count() } } }\nsinks: { out: { from: s, connector: stdout } }\n";
    for workers in ["1", "2", "3"] {
        for _ in 0..4 {
            let mut job = dir.job(full_speed).args(["-p", workers]).start();
            job.until("a record", |stdout| !stdout.is_empty()).signal("TERM");
            let account = job.wait().exits(0).account();
            let read = account["in"].part("on");
            assert_eq!((account["s"].total, account["sinks.out"].part("written")), (read, read), "-p {workers}");
        }
    }
}

#[test]
fn open_windows_are_not_written_when_a_job_is_stopped() {
    let dir = Dir::new();
    let job = |count: &str| {
        format!(
            "name: t\nsources: {{ in: {{ connector: generator, rate: 2000, {count}fields: {{ at: {{ time: {{ start: 2026-01-01T00:00:00Z, step: 10ms }} }} }}, event_time: {{ field: at }} }} }}\nstreams: {{ s: {{ from: in, window: {{ tumbling: 1s }}, aggregate: {{ c: count() }} }} }}\nsinks: {{ out: {{ from: s, connector: stdout }} }}\n"
        )
    };
    let mut running = dir.job(&job("")).args(["-p", "2"]).start();
    running.until("three windows", |stdout| stdout.lines().count() >= 3).signal("TERM");
    let outcome = running.wait().exits(0);
    assert!(outcome.values().iter().all(|w| w["c"] == 100), "a window was written before it was over\n{}", outcome.stdout);
    // At the end of input it is written.
    let ended = dir.job(&job("count: 250, ")).args(["-p", "2"]).run().exits(0);
    assert_eq!(ended.values().iter().map(|w| w["c"].as_u64()).collect::<Vec<_>>(), [Some(100), Some(100), Some(50)]);
}

#[test]
fn a_signal_stops_a_job_that_waits_for_input() {
    let dir = Dir::new();
    let job =
        "name: t\nsources: { in: { connector: stdin, format: text } }\nsinks: { out: { from: in, connector: stdout, format: text } }\n";
    dir.file("job.yaml", job);
    let mut child = dir.tidegate(["run", "job.yaml"]).spawn();
    let mut stdin = child.stdin.take().expect("a pipe");
    std::io::Write::write_all(&mut stdin, b"a\n").expect("the job reads");
    let mut stdout = std::io::BufReader::new(child.stdout.take().expect("a pipe"));
    let mut line = String::new();
    // A line is handed on as it comes, without the end of input.
    std::io::BufRead::read_line(&mut stdout, &mut line).expect("the job writes");
    assert_eq!(line, "a\n");
    assert!(std::process::Command::new("kill").arg(child.id().to_string()).status().expect("kill runs").success());
    assert_eq!(crate::harness::wait(&mut child).expect("the job stops").code(), Some(0));
    drop(stdin);
}

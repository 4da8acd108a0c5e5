//! Sources: what is read, what is looked at beforehand, and which records are late.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Dir, sorted, wait};

const COUNT: &str = "name: t
sources: { e: { connector: file, path: PATH, format: json, schema: { id: int } } }
sinks: { out: { from: e, connector: stdout } }
";

#[test]
fn a_file_and_links_to_it_are_read_once_and_the_summary_says_so() {
    let dir = Dir::new();
    dir.file("logs/app-1.jsonl", "{\"id\":1}\n{\"id\":2}\n").file("logs/sub/app-2.jsonl", "{\"id\":3}\n");
    symlink("app-1.jsonl", dir.path("logs/latest.jsonl")).expect("a link");
    symlink(".", dir.path("logs/self")).expect("a link");
    std::fs::hard_link(dir.path("logs/app-1.jsonl"), dir.path("logs/sub/copy.jsonl")).expect("a link");
    for workers in ["1", "3"] {
        for (path, expected, over) in [
            ("logs/*.jsonl", 2, "passed over `logs/latest.jsonl` (the same as `logs/app-1.jsonl`)"),
            ("logs", 2, "passed over `logs/latest.jsonl` (the same as `logs/app-1.jsonl`)"),
            ("logs/**/*.jsonl", 3, "`logs/self` (the same as `logs`)"),
        ] {
            let outcome = dir.job(&COUNT.replace("PATH", path)).args(["-p", workers]).run().exits(0);
            assert_eq!(outcome.values().len(), expected, "{path}");
            assert_eq!(outcome.account()["e"].total, expected as u64, "{path}");
            outcome.stderr_has(over);
        }
    }
}

/// A log with a record every so many milliseconds, in which every seventh record lies 12 s back, and every thirteenth 3 s.
fn log(records: i64, every: i64) -> Vec<Value> {
    let late = |i: i64| {
        if i % 7 == 0 {
            12_000
        } else if i % 13 == 0 {
            3_000
        } else {
            0
        }
    };
    let user = |i: i64| ["a", "b", "c"][(i % 3) as usize];
    (0..records).map(|i| json!({ "k": user(i), "ts": 100_000 + i * every - late(i) })).collect()
}

const LATE: &str = "name: t
sources: { in: { connector: file, path: PATH, format: json, schema: { k: string, ts: timestamp_ms }, event_time: { field: ts, max_delay: 4s, MORE } } }
streams: { s: { from: in, key: k, window: { tumbling: 10s }, aggregate: { n: count() }, late_to: late } }
sinks: { out: { from: s, connector: stdout }, behind: { from: late, connector: file, path: late.jsonl } }
";

#[test]
fn with_a_watermark_at_every_record_lateness_shows_in_a_small_file_at_any_parallelism() {
    let dir = Dir::new();
    let records = log(500, 1_000);
    dir.json_lines("in.jsonl", &records);
    let time = |record: &Value| record["ts"].as_i64().expect("a time");
    let (mut newest, mut expected) = (i64::MIN / 2, Vec::new());
    for record in &records {
        if time(record).div_euclid(10_000) * 10_000 + 9_999 <= newest - 4_001 {
            expected.push(record.clone());
        }
        newest = newest.max(time(record));
    }
    assert!(expected.len() > 30);
    let mut windows = None;
    for workers in ["1", "2", "4", "2", "4"] {
        let job = LATE.replace("PATH", "in.jsonl").replace("MORE", "watermark: every_record");
        let outcome = dir.job(&job).args(["-p", workers]).run().exits(0);
        assert_eq!(sorted(dir.values("late.jsonl")), sorted(expected.clone()), "{workers} workers");
        let found = sorted(outcome.values());
        assert_eq!(*windows.get_or_insert(found.clone()), found, "{workers} workers");
    }
    // By default the watermark moves once per batch, and this file is one.
    dir.job(&LATE.replace("PATH", "in.jsonl").replace(", MORE", "")).run().exits(0);
    assert_eq!(dir.values("late.jsonl"), Vec::<Value>::new());
}

#[test]
fn what_is_late_is_the_same_in_every_run_at_any_parallelism() {
    let dir = Dir::new();
    dir.json_lines("in.jsonl", &log(8_000, 10)).json_lines("logs/a.jsonl", &log(5_000, 10)).json_lines("logs/b.jsonl", &log(3_000, 10));
    for (path, parallelisms) in [("in.jsonl", &["1", "2", "4"][..]), ("logs", &["2"])] {
        let job = LATE.replace("PATH", path).replace(", MORE", "");
        let mut runs = Vec::new();
        for workers in parallelisms.iter().cycle().take(6) {
            let windows = sorted(dir.job(&job).args(["--quiet", "-p", workers]).run().exits(0).values());
            runs.push((windows, sorted(dir.values("late.jsonl"))));
        }
        assert!(runs[0].1.len() > 100, "{path}");
        assert!(runs.windows(2).all(|pair| pair[0] == pair[1]), "{path}: {:?}", runs.iter().map(|run| run.1.len()).collect::<Vec<_>>());
    }
}

/// The file has ended and standard input says nothing: nobody is to be waited for. But it may wake, and what it brings then is not late.
#[test]
fn windows_fire_when_only_an_idle_source_is_left() {
    let dir = Dir::new();
    let record = |k: &str, ts: i64| json!({ "k": k, "ts": ts });
    dir.json_lines("f.jsonl", &[0, 500, 1_000, 1_500, 2_000, 2_500].map(|ts| record("f", ts)));
    let schema = "format: json, schema: { k: string, ts: timestamp_ms }";
    let job = format!(
        "name: t
sources:
  i: {{ connector: stdin, {schema}, event_time: {{ field: ts, idle_after: 100ms }} }}
  f: {{ connector: file, path: f.jsonl, {schema}, event_time: {{ field: ts }} }}
streams:
  w: {{ from: [i, f], window: {{ tumbling: 1s }}, aggregate: {{ n: count() }}, select: {{ s: window_start, n: n }} }}
sinks: {{ out: {{ from: w, connector: stdout }} }}
"
    );
    dir.file("job.yaml", job);
    for workers in ["1", "2"] {
        let mut child = dir.tidegate(["run", "job.yaml", "--quiet", "-p", workers]).spawn();
        let mut stdin = child.stdin.take().expect("a pipe");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let mut line = || serde_json::from_str::<Value>(&lines.next().expect("a line").expect("it can be read")).expect("JSON");
        for start in [0, 1_000, 2_000] {
            assert_eq!(line(), json!({ "s": start, "n": 2 }), "{workers} workers");
        }
        stdin.write_all(format!("{}\n", record("i", 3_100)).as_bytes()).expect("it listens");
        drop(stdin);
        assert_eq!(line(), json!({ "s": 3_000, "n": 1 }));
        assert!(wait(&mut child).expect("it ends").success());
    }
}

/// A job over a file, with these keys of its source.
fn reading(keys: &str) -> String {
    format!("name: t\nsources:\n  y: {{ connector: file, {keys} }}\nsinks: {{ out: {{ from: y, connector: stdout }} }}\n")
}

#[test]
fn check_looks_at_what_is_there() {
    let dir = Dir::new();
    dir.file("four.csv", "1,a,2,1522540831000\n".repeat(50))
        .file("named.csv", "id,name\n1,a\n")
        .file("half.jsonl", "{\"id\":1}\nno\n{\"id\":2}\n");
    let csv = "path: four.csv, header: false, schema: { id: int, name: string, n: int, m: int, ts: timestamp_ms }";
    let timed = ", event_time: { field: ts }";
    for (keys, at, what) in [
        ("path: none.jsonl", "none.jsonl", "`none.jsonl` does not exist"),
        ("path: '*.none'", "*.none", "no file matches `*.none`"),
        ("path: named.csv, schema: { id: int, nam: string }", "named.csv", "`named.csv`: the header has no column `nam`; it has id, name"),
        (&format!("{csv}{timed}"), "four.csv", "all of the first 50 records are bad: four.csv:1: the line has 4 columns, the schema has 5"),
    ] {
        let outcome = dir.check(&reading(keys)).exits(2).stdout_is("").stderr_has("error: job.yaml:3:").stderr_has(&format!(": {what}\n"));
        assert!(outcome.stderr.contains(at) && outcome.stderr.contains("^^^"), "{}", outcome.stderr);
    }
    let table = "name: t\nsources: { y: { connector: file, path: half.jsonl, schema: { id: int } } }\ntables: { t: { connector: file, path: gone.csv, schema: { id: int } } }\nstreams: { s: { from: y, lookup: { table: t, on: id } } }\nsinks: { out: { from: s, connector: stdout } }\n";
    dir.check(table).exits(2).stderr_has("error: job.yaml:3:").stderr_has(": `gone.csv` does not exist");
    dir.check(&reading("path: half.jsonl, schema: { id: int }"))
        .exits(0)
        .stderr_has("warning: job.yaml:3:")
        .stderr_has(": 1 of the first 3 records are bad: half.jsonl:2: the line is not a JSON object\n");
    // Who asks for the bad ones may have nothing else.
    dir.check(&reading(&format!("{csv}, dead_letter: bad")))
        .exits(0)
        .stderr_has("warning: job.yaml:3:")
        .stderr_has("all of the first 50 records are bad");
    dir.tidegate(["check", "/dev/zero"]).run().exits(2).stderr_has("`/dev/zero` can't be read: it is longer than 16 MiB");
}

#[test]
fn a_run_that_reads_nothing_but_bad_records_has_failed() {
    let dir = Dir::new();
    dir.file("four.csv", "1,a,2,1522540831000\n".repeat(3)).file("empty.csv", "").file("in.csv", "1,a,2,3,1522540831000\n1,a\n");
    let csv = |path: &str| {
        reading(&format!("path: {path}, header: false, schema: {{ id: int, name: string, n: int, m: int, ts: timestamp_ms }}"))
    };
    let failed = "error: the source `y` could not be understood: all of its 3 records are bad";
    dir.job(&csv("four.csv"))
        .args(["--quiet"])
        .run()
        .exits(1)
        .stdout_is("")
        .stderr_has(failed)
        .stderr_has("the line has 4 columns, the schema has 5");
    let restarts = format!("{}checkpoints: {{ every: 1s, dir: ckpt }}\nrestart: {{ attempts: 3, delay: 1ms }}\n", csv("four.csv"));
    dir.job(&restarts).run().exits(1).stderr_has(failed).stderr_lacks("restarting");
    dir.job(&csv("empty.csv")).run().exits(0);
    dir.job(&csv("in.csv")).run().exits(0);
    let kept = csv("four.csv").replace(", header", ", dead_letter: bad, header").replace("from: y", "from: bad");
    assert_eq!(dir.job(&kept).run().exits(0).values().len(), 3);
}

#[test]
fn first_event_times_that_can_not_be_meant_are_warned_of() {
    let dir = Dir::new();
    dir.file("seconds.jsonl", "{\"ts\":1522540831}\n").file("fine.jsonl", "{\"ts\":1522540831000}\n{\"ts\":5}\n");
    let warning =
        "the first event time is 1970-01-18T14:55:40.831Z: are seconds read as milliseconds? Then it would be 2018-04-01T00:00:31Z";
    let job = |path: &str| reading(&format!("path: {path}, schema: {{ ts: int }}, event_time: {{ field: ts }}"));
    dir.check(&job("seconds.jsonl")).exits(0).stderr_has("warning: job.yaml:3:").stderr_has(warning);
    dir.job(&job("seconds.jsonl")).args(["--quiet"]).run().exits(0).stderr_has(&format!("source `y`: {warning}"));
    dir.check(&job("fine.jsonl")).exits(0).stderr_is("");
    dir.job(&job("fine.jsonl")).args(["--quiet"]).run().exits(0).stderr_is("");
}

#[test]
fn times_at_the_edges_of_rfc_3339_are_read_right_or_not_at_all() {
    let dir = Dir::new();
    let texts = [
        ("2016-12-31T23:59:59.9Z", Some("2016-12-31T23:59:59.9Z")),
        ("2016-12-31T23:59:60.5Z", Some("2016-12-31T23:59:59.999999999Z")),
        ("2018-06-15T12:30:60Z", None),
        ("2024-01-01T00:00:00+25:00", None),
        ("2024-01-01T00:00:00.1234567891Z", Some("2024-01-01T00:00:00.123456789Z")),
        ("9999-12-31T23:59:59Z", Some("9999-12-31T23:59:59Z")),
    ];
    dir.json_lines("in.jsonl", &texts.map(|(text, _)| json!({ "t": text, "ts": text })));
    let job = reading("path: in.jsonl, schema: { t: string, ts: timestamp }").replace("stdout", "stdout, timestamps: iso");
    let found = dir.job(&job).args(["--quiet", "-p", "1"]).run().exits(0).values();
    let expected: Vec<Value> = texts.into_iter().filter_map(|(t, ts)| Some(json!({ "t": t, "ts": ts? }))).collect();
    assert_eq!(found, expected);
    dir.file("in.csv", "v\n1e400\n-inf\n1e300\n");
    let found = dir.job(&reading("path: in.csv, schema: { v: double }")).run().exits(0).stderr_has("1e400 does not fit a double");
    assert_eq!(found.account()["y"].part("bad"), 1);
}

const SOCKET: &str = "name: t
sources: { in: { connector: socket, host: 127.0.0.1, port: PORT, format: json, schema: { n: int } MORE } }
sinks: { out: { from: in, connector: stdout, format: json } }
";

/// The next connection. Fails if nobody connects.
fn accept(listener: &TcpListener) -> TcpStream {
    listener.set_nonblocking(true).expect("a listener can be told not to block");
    let start = Instant::now();
    loop {
        match listener.accept() {
            Ok((connection, _)) => return connection,
            Err(error) => assert!(start.elapsed() < Duration::from_secs(60), "nobody connects: {error}"),
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_socket_is_connected_to_again_when_the_other_side_ends_or_is_not_there_yet() {
    let dir = Dir::new();
    // A port that nobody listens at, and that nobody else will be given soon.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let job = SOCKET.replace("PORT", &address.port().to_string()).replace("MORE", "");
    let mut running = dir.job(&job).start();
    running.until_said("can't be connected to");
    let listener = TcpListener::bind(address).expect("the same port");
    for n in 0..3 {
        let mut connection = accept(&listener);
        writeln!(connection, "no record\n{{\"n\":{n}}}").expect("lines are sent");
        let line = format!("{{\"n\":{n}}}");
        running.until(&line, |printed| printed.contains(&line));
    }
    // The third connection has ended with its turn of the loop, too.
    let fourth = accept(&listener);
    running.signal("INT");
    let outcome = running.wait().stderr_has("has ended the connection");
    assert_eq!(outcome.values(), [json!({ "n": 0 }), json!({ "n": 1 }), json!({ "n": 2 })]);
    assert_eq!(outcome.account()["in"].total, 6);
    drop(fourth);
}

#[test]
fn a_socket_that_is_read_once_ends_the_job_with_its_connection() {
    let dir = Dir::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port().to_string();
    let job = SOCKET.replace("PORT", &port).replace("MORE", ", reconnect: false");
    let running = dir.job(&job).args(["-p", "2"]).start();
    let mut connection = accept(&listener);
    connection.write_all(b"{\"n\":1}\nno record\n{\"n\":2}\n{\"n\":3}").expect("lines are sent");
    drop(connection);
    let outcome = running.wait().exits(0);
    assert_eq!(outcome.values(), [json!({ "n": 1 }), json!({ "n": 2 }), json!({ "n": 3 })]);
    drop(listener);
    dir.job(&job).run().exits(1).stderr_has("can't be connected to");
}

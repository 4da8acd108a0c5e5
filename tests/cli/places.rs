//! Where a job reads and writes: what would take each other's data, and what can't be written is known before anything runs.

use serde_json::Value;

use crate::harness::{Dir, project};

const JOB: &str = "name: t
sources: { in: { connector: file, path: in.jsonl, format: json, schema: { n: int } } }
sinks: { out: { from: in, connector: file, path: out.jsonl } }
";

fn dir() -> Dir {
    let dir = Dir::new();
    dir.file("in.jsonl", "{\"n\":1}\n").file("job.yaml", JOB);
    dir
}

#[test]
fn what_would_be_emptied_before_it_is_read_is_found_however_it_is_spelt() {
    let dir = dir();
    dir.file("dd/a.jsonl", "{\"n\":1}\n").file("dd/part-1.jsonl", "").file("dd/b.csv", "n\n1\n").file("t.csv", "n\n1\n");
    let check = |source: &str, sink: &str| {
        let read = format!("in: {{ connector: file, path: '{source}', format: json, schema: {{ n: int }} }}");
        let tables = "tables: { t: { connector: file, path: t.csv, format: csv, schema: { n: int } } }";
        let sinks = format!("{{ out: {{ from: in, connector: file, path: {sink} }} }}");
        dir.check(&format!("name: t\nsources: {{ {read} }}\n{tables}\nsinks: {sinks}\n"))
    };
    let absolute = dir.path("in.jsonl").display().to_string();
    std::fs::hard_link(dir.path("in.jsonl"), dir.path("other.jsonl")).expect("a link");
    let reads = "the source `in` reads this path";
    for (source, sink) in [
        ("in.jsonl", "./in.jsonl"),
        ("in.jsonl", "other.jsonl"),
        ("i*.jsonl", "other.jsonl"),
        (&absolute, "dd/../in.jsonl"),
        ("dd", "dd/a.jsonl"),
        ("./dd/", "dd/new.jsonl"),
        ("dd/*.jsonl", "./dd/new.jsonl"),
        ("d?/part-*", "dd/"),
        ("dd", "./dd/"),
        ("dd/part-1.jsonl", "dd"),
    ] {
        check(source, sink).exits(2).stderr_has(reads);
    }
    check("in.jsonl", "./t.csv").exits(2).stderr_has("the table `t` reads this path");
    for (source, sink) in [("dd", "in.jsonl"), ("*.jsonl", "dd/new.jsonl"), ("dd/a.jsonl", "dd/"), ("in.jsonl", "out/")] {
        check(source, sink).exits(0);
    }
}

#[test]
fn sinks_of_one_file_are_found_however_it_is_spelt() {
    let dir = dir();
    for (one, other, conflict) in
        [("two.jsonl", "./two.jsonl", true), ("out/", "out", true), ("out/", "out/part-3.jsonl", true), ("out/", "out/other.jsonl", false)]
    {
        std::fs::create_dir_all(dir.path("out")).expect("a directory");
        let sinks = format!("  two: {{ from: in, connector: file, path: {one} }}\n  three: {{ from: in, connector: file, path: {other} }}");
        let sinks = JOB.replace("sinks: { out: { from: in, connector: file, path: out.jsonl } }", &format!("sinks:\n{sinks}"));
        let outcome = dir.check(&sinks);
        if conflict {
            outcome.exits(2).stderr_has("the sink `two` writes this path too");
        } else {
            outcome.exits(0);
        }
    }
}

#[test]
fn where_a_savepoint_can_not_go_is_known_before_the_job_runs() {
    let dir = dir();
    let run = |to: &str| dir.tidegate(["run", "job.yaml", "--quiet", "--savepoint-at-end", to]).run();
    run("save").exits(0);
    std::fs::remove_file(dir.path("out.jsonl")).expect("it was written");
    run("save").exits(2).stderr_has("--savepoint-at-end").stderr_has("save");
    run("/proc/tidegate").exits(2).stderr_has("/proc/tidegate");
    run("in.jsonl/below").exits(2).stderr_has("in.jsonl/below");
    run("ftp://host/x").exits(2).stderr_has("`ftp` is no storage");
    assert!(!dir.path("out.jsonl").exists(), "it has run");
    let checkpoints = format!("{JOB}checkpoints:\n  dir: ftp://host/x\n");
    dir.check(&checkpoints).exits(2).stderr_has("job.yaml:5:8").stderr_has("`ftp` is no storage");
}

#[test]
fn a_damaged_savepoint_is_refused_before_anything_runs() {
    let dir = Dir::new();
    let job = "name: t
sources: { in: { connector: generator, count: 100, fields: { n: { sequence: [0, 1] } } } }
streams: { s: { from: in, key: n, aggregate: { c: count() } } }
sinks: { out: { from: s, connector: file, path: out.jsonl } }
";
    dir.job(job).args(["--quiet", "--savepoint-at-end", "save"]).run().exits(0);
    dir.tidegate(["check", "job.yaml", "--against", "save"]).run().exits(0);
    std::fs::remove_file(dir.path("out.jsonl")).expect("it was written");
    let files = std::fs::read_dir(dir.path("save")).expect("a savepoint").map(|entry| entry.expect("an entry").path());
    let rows = files.into_iter().find(|path| path.extension().is_some_and(|ending| ending == "rows")).expect("rows");
    let mut bytes = std::fs::read(&rows).expect("it can be read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&rows, bytes).expect("it can be written");
    dir.tidegate(["check", "job.yaml", "--against", "save"]).run().exits(3).stderr_has("damaged");
    dir.tidegate(["run", "job.yaml", "--from", "save"]).run().exits(3).stderr_has("damaged");
    assert!(!dir.path("out.jsonl").exists());
}

#[test]
fn a_directory_for_state_that_was_there_before_stays() {
    let dir = dir();
    std::fs::create_dir(dir.path("mine")).expect("a directory");
    for (state, stays) in [("mine", true), ("made", false)] {
        dir.tidegate(["run", "job.yaml", "--quiet", "--set", &format!("state.dir={state}")]).run().exits(0);
        assert_eq!(dir.path(state).exists(), stays, "{state}");
    }
}

#[test]
fn log_lines_in_json_are_json_all_of_them() {
    let dir = dir();
    let lines = |outcome: &str| -> Vec<Value> {
        outcome.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("not JSON: {line}: {e}"))).collect()
    };
    let said = |lines: &[Value], what: &str| lines.iter().any(|line| line["fields"]["message"].as_str().is_some_and(|m| m.contains(what)));
    let count = JOB
        .replace("sinks:", "streams: { s: { from: in, key: n, aggregate: { c: count() } } }\nsinks:")
        .replace("from: in, connector: file, path: out", "from: s, connector: file, path: out");
    let done = lines(&dir.job(&count).args(["--log", "json", "--verbose"]).run().exits(0).stderr);
    assert!(said(&done, "state.memory") && said(&done, "1 records read"), "{done:?}");
    dir.file("in.jsonl", "nonsense\n");
    let failed = lines(&dir.job(&JOB.replace("n: int }", "n: int }, on_bad_record: fail")).args(["--log", "json"]).run().exits(1).stderr);
    assert!(failed.iter().any(|line| line["level"] == "ERROR") && said(&failed, "in.jsonl"), "{failed:?}");
    let refused = lines(&dir.job(&JOB.replace("from: in", "from: on")).args(["--log", "json"]).run().exits(2).stderr);
    assert!(said(&refused, "`on`"), "{refused:?}");
}

#[test]
fn a_path_that_is_no_text_is_an_error() {
    use std::os::unix::ffi::OsStrExt;
    let args = ["topic", "load", "--brokers", "localhost:1", "--topic", "t"].map(std::ffi::OsStr::new);
    let outcome = Dir::new().tidegate(args).args([std::ffi::OsStr::from_bytes(b"\xff")]).run().exits(2);
    outcome.stderr_has("not UTF-8").stderr_lacks("panicked");
}

#[test]
fn options_are_set_by_their_names_and_passwords_never_shown() {
    let dir = Dir::new();
    let job = "name: t
sources: { in: { connector: kafka, brokers: localhost, topic: t, format: text } }
sinks: { out: { from: in, connector: stdout } }
";
    dir.file("job.yaml", job);
    let check = |set: &str| dir.tidegate(["check", "job.yaml", "--set", set]).run();
    check("sources.in.options.sasl.password=hunter2").exits(0);
    check("sources.in.options.\"sasl.password\"=hunter2").exits(0);
    check("sources.in.topic.password=hunter2").exits(2).stderr_has("--set sources.in.topic.password: ").stderr_lacks("hunter2");
    // It gets there, under this name.
    check("sources.in.options.group.id=hunter2").exits(2).stderr_has("group.id").stderr_lacks("hunter2");
}

#[test]
fn csv_of_one_column_keeps_nulls_and_no_two_columns_have_one_name() {
    let dir = Dir::new();
    let job = "name: t
sources: { in: { connector: file, path: in.csv, format: csv SCHEMA } }
streams: { s: { from: in, select: { a: 'a == \"\" ? null : a' } } }
sinks: { out: { from: s, connector: file, path: out.csv, format: csv } }
";
    dir.file("in.csv", "a,b\nx,1\n,2\ny,3\n");
    dir.job(&job.replace("SCHEMA", "")).args(["-p", "1", "--quiet"]).run().exits(0);
    assert_eq!(dir.read("out.csv"), "a\nx\n\"\"\ny\n");
    // And three records are read back.
    let back = job.replace("in.csv", "out.csv").replace("path: out.csv, format: csv }\n", "path: back.csv, format: csv }\n");
    let back = back.replace("path: out.csv, format: csv SCHEMA", "path: out.csv, format: csv, schema: { a: string }");
    dir.job(&back).args(["-p", "1", "--quiet", "--set", "sinks.out.path=back.csv"]).run().exits(0);
    assert_eq!(dir.read("back.csv"), dir.read("out.csv"));
    dir.file("in.csv", "a,b,a\nx,1,y\n");
    dir.job(&job.replace("SCHEMA", "")).run().exits(2).stderr_has("two columns of the header are called `a`");
    dir.job(&job.replace("SCHEMA", ", schema: { a: string }")).run().exits(1).stderr_has("two columns of the header are called `a`");
    dir.job(&job.replace("SCHEMA", ", schema: { b: string }").replace("'a ==", "'b ==").replace(": a'", ": b'")).run().exits(0);
}

/// The first job of the README, with its input.
#[test]
fn a_newcomers_first_job_prints_what_the_readme_says() {
    let readme = std::fs::read_to_string(project().join("README.md")).expect("the README");
    let block = |start: &str, end: &str| {
        let (_, rest) = readme.split_once(start).expect("a block begins");
        rest.split_once(end).expect("it ends").0.to_owned()
    };
    let dir = Dir::new();
    dir.job(&block("```yaml\n", "```"))
        .args(["--quiet"])
        .stdin(block("```json\n", "```"))
        .run()
        .exits(0)
        .stdout_is(&format!("{}\n", block("The last command prints a table if it writes to a terminal, and otherwise\n\n    ", "\n")));
}

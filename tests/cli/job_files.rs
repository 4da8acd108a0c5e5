//! Mistakes in job files: all are told at once, each with its place and the nearest name.

use crate::harness::Dir;

/// The line and column (from 1) of `what` in `text`.
fn place(text: &str, what: &str) -> String {
    let at = text.find(what).unwrap_or_else(|| panic!("`{what}` is not in the text"));
    let before = &text[..at];
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    format!("job.yaml:{line}:{column}: ")
}

#[track_caller]
fn assert_told(job: &str, mistakes: &[(&str, &str, Option<&str>)]) {
    let stderr = Dir::new().check(job).exits(2).stdout_is("").stderr;
    for (at, what, nearest) in mistakes {
        let place = format!("error: {}", place(job, at));
        let line = stderr.lines().find(|l| l.starts_with(&place)).unwrap_or_else(|| panic!("nothing at {place}\n{stderr}"));
        assert!(line.contains(what), "{line}");
        assert!(nearest.is_none_or(|n| line.contains(n)), "{line} does not name {nearest:?}");
    }
    assert_eq!(stderr.matches("error: ").count(), mistakes.len(), "more is told than is wrong\n{stderr}");
}

#[test]
fn all_mistakes_of_a_file_are_told_with_their_places() {
    let job = r#"
name: many
sources:
  in: { connector: file, path: in.jsonl, schema: { user: string, amount: int, ts: tiemstamp } }
streams:
  big: { from: inn, where: 'amount > 10' }
  small: { from: in, were: 'amount > 10' }
  slow: { from: in, key: user, window: { tumbling: 5 parsecs }, aggregate: { n: count() } }
sinks:
  a: { from: [big, small, slow], connector: stout }
"#;
    let mistakes = [
        ("tiemstamp", "`tiemstamp`", Some("`timestamp`")),
        ("inn,", "`inn`", Some("`in`")),
        ("were", "`were`", Some("`where`")),
        ("5 parsecs", "`5 parsecs`", None),
        ("stout", "`stout`", Some("`stdout`")),
    ];
    assert_told(job, &mistakes);
}

#[test]
fn all_mistakes_in_expressions_are_told_with_their_places() {
    let job = r#"
name: many
sources:
  in: { connector: file, path: in.jsonl, schema: { user: string, amount: int } }
streams:
  named: { from: in, select: { name: 'user + suffix' } }
  typed: { from: in, where: '1 < amount && user > 3' }
  odd: { from: in, where: 'amount % 2 == ?' }
  summed: { from: in, key: user, aggregate: { total: summ(amount) } }
sinks:
  a: { from: [named, odd, typed, summed], connector: stdout }
"#;
    let mistakes = [("suffix", "`suffix`", None), ("user > 3", "string", None), ("?", "", None), ("summ(", "`summ`", Some("`sum`"))];
    assert_told(job, &mistakes);
}

#[test]
fn an_unknown_field_is_pointed_at_within_the_expression() {
    let job = r#"
name: t
sources:
  in: { connector: stdin, schema: { user: string, amount: int } }
streams:
  s: { from: in, where: 'user == "a" && amuont > 10' }
sinks:
  o: { from: s, connector: stdout }
"#;
    let stderr = Dir::new().check(job).exits(2).stderr;
    let lines: Vec<&str> = stderr.lines().collect();
    assert!(lines[0].starts_with(&format!("error: {}", place(job, "amuont"))) && lines[0].contains("`amount`"), "{stderr}");
    let (text, marks) = (lines[1], lines[2]);
    let at = text.find("amuont").expect("the line is shown");
    assert_eq!(marks.find('^'), Some(at), "{stderr}");
    assert_eq!(marks.matches('^').count(), "amuont".len(), "{stderr}");
}

#[test]
fn cycles_double_names_and_missing_keys_are_mistakes() {
    let job = |streams: &str| {
        format!(
            "name: t\nsources:\n  in: {{ connector: stdin, format: text }}\nstreams:\n{streams}sinks:\n  o: {{ from: a, connector: stdout }}\n"
        )
    };
    let dir = Dir::new();
    dir.check(&job("  a: { from: b, where: 'true' }\n  b: { from: a, where: 'true' }\n")).exits(2).stderr_has("cycle");
    dir.check(&job("  a: { where: 'true' }\n")).exits(2).stderr_has("`from`");
    dir.check(&job("  in: { from: in, where: 'true' }\n  a: { from: in, where: 'true' }\n")).exits(2).stderr_has("`in`");
    dir.check(&job("  a: { from: in, where: 'true' }\n  a: { from: in, where: 'false' }\n")).exits(2).stderr_has("`a`");
    dir.check(&job("  a: { from: in, where: [ }\n")).exits(2).stderr_has("job.yaml:5:");
    dir.check("").exits(2).stderr_has("job.yaml");
    dir.check("name: t\nsources: {}\nsinks: {}\n").exits(2);
}

#[test]
fn run_tells_what_check_tells_and_does_not_begin() {
    let dir = Dir::new();
    let job = "name: t\nsources: { in: { connector: stdin, format: text } }\nsinks: { o: { from: in, connector: file, path: out.txt, fromat: text } }\n";
    let told = dir.check(job).exits(2).stderr;
    dir.tidegate(["run", "job.yaml"]).stdin("a\n").run().exits(2).stdout_is("").stderr_is(&told);
    assert!(!dir.path("out.txt").exists());
}

#[test]
fn a_job_file_that_is_not_there_is_named() {
    let dir = Dir::new();
    for command in ["run", "check", "explain"] {
        dir.tidegate([command, "nowhere.yaml"]).run().exits(2).stdout_is("").stderr_has("`nowhere.yaml`");
        dir.tidegate([command, "."]).run().exits(2).stdout_is("");
    }
    dir.file("binary.yaml", [0xff, 0xfe, 0x00]).tidegate(["run", "binary.yaml"]).run().exits(2).stderr_has("`binary.yaml`");
}

#[test]
fn set_overrides_any_key() {
    let dir = Dir::new();
    dir.file("a.txt", "a\n").file("b.txt", "b\n");
    let job = "name: t\nsources: { in: { connector: file, path: a.txt, format: text } }\nsinks: { o: { from: in, connector: stdout, format: text } }\n";
    dir.job(job).args(["--quiet"]).run().exits(0).stdout_is("a\n");
    dir.job(job)
        .args(["--quiet", "--set", "sources.in.path=b.txt", "--set", "sinks.o.format=json"])
        .run()
        .exits(0)
        .stdout_is("{\"line\":\"b\"}\n");
    dir.job(job).args(["--set", "sources.in.pth=b.txt"]).run().exits(2).stderr_has("--set sources.in.pth: ").stderr_has("`path`");
    dir.job(job).args(["--set", "nonsense"]).run().exits(2).stderr_has("--set nonsense");
    // JSON is YAML.
    let json = r#"{"name": "t", "sources": {"in": {"connector": "file", "path": "a.txt", "format": "text"}}, "sinks": {"o": {"from": "in", "connector": "stdout", "format": "text"}}}"#;
    dir.job(json).args(["--quiet"]).run().exits(0).stdout_is("a\n").stderr_is("");
}

#[test]
fn mistakes_in_expressions_are_told_along_with_those_around_them() {
    let dir = Dir::new();
    dir.file(
        "job.yaml",
        "name: t\nsources: { in: { connector: stdin, format: json, schema: { n: int } } }\nstreams:\n  a: { from: in, where: 'm > 3' }\n  b: { from: im }\nsinks: { out: { from: [a, b], connector: stdot } }\n",
    );
    let outcome = dir.tidegate(["check", "job.yaml"]).run().exits(2);
    outcome.stderr_has("job.yaml:4:26: unknown field `m`").stderr_has("job.yaml:5:14").stderr_has("job.yaml:6:42");
}

#[test]
fn parts_that_would_take_each_others_data_are_refused() {
    let dir = Dir::new();
    dir.file("in.jsonl", "{\"n\":1}\n").file(
        "job.yaml",
        "name: t
sources:
  one: { connector: stdin, format: json, schema: { n: int } }
  two: { connector: stdin, format: json, schema: { n: int } }
  file: { connector: file, path: in.jsonl, format: json, schema: { n: int } }
sinks:
  a: { from: [one, two], connector: file, path: out.jsonl }
  b: { from: file, connector: file, path: out.jsonl }
  c: { from: file, connector: file, path: in.jsonl }
",
    );
    let outcome = dir.tidegate(["run", "job.yaml"]).run().exits(2);
    outcome
        .stderr_has("job.yaml:4:3: standard input")
        .stderr_has("the sink `a` writes this path too")
        .stderr_has("the source `file` reads this path");
    assert_eq!(dir.read("in.jsonl"), "{\"n\":1}\n");
}

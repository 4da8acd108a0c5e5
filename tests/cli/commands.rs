//! `check`, `explain`, `eval` and what is common to all commands.

use serde_json::{Value, json};

use crate::harness::{Dir, values};

const JOB: &str = r#"
name: shown
sources:
  logins: { connector: file, path: logins.jsonl, schema: { user: string, ok: bool, ts: int }, event_time: { field: ts } }
streams:
  fails: { from: logins, where: '!ok' }
  often: { from: fails, key: user, window: { tumbling: 1m }, aggregate: { n: count() }, late_to: late }
sinks:
  out: { from: often, connector: stdout }
  late: { from: late, connector: file, path: "late \"quoted\".jsonl" }
"#;

fn dir() -> Dir {
    let dir = Dir::new();
    dir.file("job.yaml", JOB.replace("  late: { from: late,", "  behind: { from: late,")).file("logins.jsonl", "");
    dir
}

#[test]
fn check_says_that_a_job_is_valid_and_runs_nothing() {
    let dir = dir();
    let outcome = dir.tidegate(["check", "job.yaml"]).run().exits(0).stderr_is("");
    assert!(outcome.stdout.starts_with("shown: valid"), "{}", outcome.stdout);
    assert!(!dir.path("late \"quoted\".jsonl").exists());
}

#[test]
fn explain_shows_every_operator_in_each_format() {
    let dir = dir();
    let explain = |format: &str| dir.tidegate(["explain", "job.yaml", "--format", format]).run().exits(0).stderr_is("").stdout;
    let graph = &values(&explain("json").lines().collect::<String>())[0];
    assert_eq!(graph["job"], "shown");
    let operators = graph["operators"].as_array().expect("a list of operators");
    let named = |name: &str| operators.iter().find(|o| o["name"] == name).unwrap_or_else(|| panic!("{name} is not in {graph}"));
    assert_eq!(named("logins")["role"], "source");
    assert_eq!(named("often")["role"], "keyed");
    assert_eq!(named("often")["inputs"], json!([{ "from": "fails", "port": null, "route": "by key" }]));
    let states = json!([
        { "name": "slices", "parts": "n = count()" },
        { "name": "due", "parts": null },
        { "name": "reached", "parts": null },
        { "name": "late", "parts": "n = count()" },
        { "name": "late due", "parts": null },
    ]);
    let parts = |name: &str| {
        let states = named(name)["states"].as_array().expect("a list of states").iter();
        states.map(|state| json!({ "name": state["name"], "parts": state["parts"] })).collect::<Value>()
    };
    assert_eq!((parts("often"), parts("fails")), (states, json!([])));
    assert_eq!(named("often")["states"][0]["schema"], "aggregates/1 by row.key/1 and time");
    assert_eq!((&named("often")["kind"], &named("logins")["kind"]), (&json!("tumbling_window"), &json!("file")));
    let late = &named("sinks.behind")["inputs"][0];
    assert_eq!((&late["port"], &late["route"]), (&json!("late"), &json!("to one worker")));

    let default = dir.tidegate(["explain", "job.yaml"]).run().exits(0).stdout;
    assert_eq!(default, explain("text"));
    let (described, tasks) = default.split_once("\n\n").expect("operators, and then tasks");
    assert!(tasks.lines().all(|line| line.starts_with("task of ")), "{tasks}");
    let (kept, shown): (Vec<&str>, Vec<&str>) = described.lines().partition(|line| line.trim_start().starts_with("keeps "));
    assert_eq!((kept.len(), shown.len()), (1, operators.len()));
    let keeps = "n = count()";
    assert_eq!(kept[0].split_once("keeps").expect("what is kept").1.trim(), keeps);
    let edges: usize = operators.iter().map(|o| o["inputs"].as_array().map_or(0, Vec::len)).sum();
    let (mermaid, dot) = (explain("mermaid"), explain("dot"));
    for drawn in [&mermaid, &dot] {
        assert_eq!(drawn.matches(&format!("keeps {keeps}")).count(), 1, "{drawn}");
    }
    assert!(mermaid.starts_with("flowchart LR\n"));
    assert_eq!(mermaid.matches("-->").count(), edges);
    assert!(dot.starts_with("digraph job {\n") && dot.ends_with("}\n"));
    assert_eq!(dot.matches(" -> ").count(), edges);
    for operator in operators {
        let name = operator["name"].as_str().expect("a name");
        for shown in [&default, &mermaid, &dot] {
            assert!(shown.contains(name), "{name} is not in\n{shown}");
        }
    }
    // A quote in a label must not end it.
    assert!(mermaid.contains("#quot;quoted#quot;") && dot.contains("\\\"quoted\\\""), "{mermaid}\n{dot}");
}

#[test]
fn explain_refuses_what_check_refuses() {
    let dir = Dir::new();
    dir.file("job.yaml", JOB.replace("!ok", "!okay"));
    let refused = dir.tidegate(["explain", "job.yaml"]).run().exits(2).stdout_is("").stderr;
    dir.tidegate(["check", "job.yaml"]).run().exits(2).stdout_is("").stderr_is(&refused);
}

#[test]
fn eval_prints_the_value_and_its_type_apart() {
    let dir = Dir::new();
    dir.tidegate(["eval", "1 + 2"]).run().exits(0).stdout_is("3\n").stderr_is("type: int\n");
    let with = r#"{"amount": 250, "user": "ann"}"#;
    dir.tidegate(["eval", "amount > 100 && user.startsWith('a')", "--with", with]).run().exits(0).stdout_is("true\n");
    dir.tidegate(["eval", "{'a': [1, 2]}.a"]).run().exits(0).stdout_is("[1,2]\n");
}

#[test]
fn eval_points_at_a_mistake() {
    let dir = Dir::new();
    let stderr = dir.tidegate(["eval", "1 + amuont", "--with", r#"{"amount": 1}"#]).run().exits(2).stdout_is("").stderr;
    let lines: Vec<&str> = stderr.lines().collect();
    assert!(lines[0].starts_with("error: ") && lines[0].contains("`amuont`") && lines[0].contains("`amount`"), "{stderr}");
    assert_eq!(lines[1..3], ["  1 + amuont", "      ^^^^^^"]);
    // Counted in characters, not in bytes.
    let stderr = dir.tidegate(["eval", "'ä' + ümlaut"]).run().exits(2).stderr;
    assert!(stderr.contains("  'ä' + ümlaut\n        ^"), "{stderr}");
    dir.tidegate(["eval", "1 +"]).run().exits(2).stderr_has("^");
    dir.tidegate(["eval", "1 / 0"]).run().exits(1).stdout_is("").stderr_has("division by zero");
    dir.tidegate(["eval", "1", "--with", "{"]).run().exits(2).stderr_has("--with {");
}

#[test]
fn eval_answers_a_batch_line_by_line() {
    let dir = Dir::new();
    let input = "{\"expr\": \"1 + 1\"}\n{\"expr\": \"1 / 0\"}\n{\"expr\": \"'a' + 'b'\"}\n";
    let outcome = dir.tidegate(["eval", "--batch"]).stdin(input).run().exits(0);
    let answers = outcome.values();
    assert_eq!(answers.len(), 3);
    assert_eq!(answers[0], json!({ "value": { "int": "2" } }));
    assert!(answers[1].get("error").is_some(), "{}", answers[1]);
    assert_eq!(answers[2], json!({ "value": { "string": "ab" } }));
}

#[test]
fn wrong_usage_is_exit_code_2() {
    let dir = Dir::new();
    for args in [&["rnu"][..], &["run"], &["run", "a.yaml", "-p", "0"], &["run", "a.yaml", "--paralellism", "1"], &["eval"], &[]] {
        dir.tidegate(args).run().exits(2).stdout_is("");
    }
    for args in [&["--help"][..], &["--version"], &["run", "--help"]] {
        let outcome = dir.tidegate(args).run().exits(0).stderr_is("");
        assert!(!outcome.stdout.is_empty());
    }
}

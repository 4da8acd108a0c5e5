//! Every example runs as it stands, and says something.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::symlink;
use std::path::Path;

use tidegate::runtime::stable_hash;

use crate::harness::golden::{compare, sorted};
use crate::harness::http::Server;
use crate::harness::{Dir, project};

/// A directory that looks like the root of the repository.
fn root() -> Dir {
    let dir = Dir::new();
    for name in ["jobs", "LICENSE"] {
        symlink(project().join(name), dir.path(name)).expect("a link");
    }
    dir
}

/// The answer of a server of the files in a folder.
fn file(folder: &str, path: &str) -> (u16, String) {
    std::fs::read_to_string(project().join(folder).join(path.trim_start_matches('/'))).map_or((404, String::new()), |text| (200, text))
}

/// How much of a longer output is kept, from its beginning and from its end.
const KEPT: usize = 10;

/// The output of a job, sorted: all of it, or its first and last lines and a checksum of the rest.
fn summary(name: &str, text: &str) -> String {
    let text = sorted(text);
    let lines: Vec<&str> = text.lines().collect();
    if lines.len() <= 4 * KEPT {
        return format!("== {name}: {} lines\n{text}", lines.len());
    }
    let (first, last) = (lines[..KEPT].join("\n"), lines[lines.len() - KEPT..].join("\n"));
    format!("== {name}: {} lines, checksum {:016x}\n{first}\n...\n{last}\n", lines.len(), stable_hash(&text))
}

/// What a job has written to files.
fn files(dir: &Dir) -> Vec<(String, String)> {
    let entries = std::fs::read_dir(dir.path("out")).into_iter().flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name")).collect();
    names.sort();
    names.into_iter().map(|name| format!("out/{name}")).map(|name| (name.clone(), dir.read(&name))).collect()
}

/// Each example that needs no broker runs, and writes what is kept in `tests/cli/examples`.
#[test]
fn every_example_runs() {
    let mut names: Vec<String> = std::fs::read_dir(project().join("jobs/examples"))
        .expect("the examples")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
        .filter(|name| name.ends_with(".yaml"))
        .collect();
    names.sort();
    assert!(names.len() > 12, "{names:?}");
    let index = std::fs::read_to_string(project().join("jobs/examples/README.md")).expect("the list of examples");
    let server = Server::start(|path| file("jobs/examples/data", path));
    let url = format!("tables.reputation.url={}/reputation/{{ip}}.json", server.address());
    for name in names {
        assert!(index.contains(&format!("[{name}]({name})")), "{name} is not in the list");
        let dir = root();
        let job = format!("jobs/examples/{name}");
        dir.tidegate(["check", &job]).run().exits(0).stderr_is("");
        if name.contains("kafka") {
            // It runs against a broker, in a test of its own.
            continue;
        }
        let set: &[&str] = if name == "reputation.yaml" { &["--set", &url] } else { &[] };
        let outcome = dir.tidegate(["run", &job, "--quiet", "-p", "2"]).args(set).run().exits(0);
        let outputs = std::iter::once(("standard output".to_owned(), outcome.stdout)).chain(files(&dir));
        let outputs: Vec<String> = outputs.filter(|(_, text)| !text.is_empty()).map(|(name, text)| summary(&name, &text)).collect();
        assert!(!outputs.is_empty(), "{name} writes nothing");
        let kept = project().join("tests/cli/examples").join(name.replace(".yaml", ".txt"));
        compare(&outputs.join("\n"), &kept, &name);
    }
    assert!(!server.asked().is_empty());
}

#[test]
fn orders_are_in_dollars_of_their_day() {
    let outcome = root().tidegate(["run", "jobs/examples/exchange-rates.yaml", "--quiet"]).run().exits(0);
    let mut dollars: Vec<(i64, Option<f64>)> =
        outcome.values().iter().map(|row| (row["id"].as_i64().expect("an id"), row["dollars"].as_f64())).collect();
    dollars.sort_by_key(|order| order.0);
    let expected = [129.6, 80.5, 10.89, 7.68, 35.0].map(Some).into_iter().chain([None, Some(16.05)]);
    assert_eq!(dollars, (1..).zip(expected).collect::<Vec<_>>());
}

/// What the documents show of a shell is what comes out: blocks of lines that begin with `$ `, each followed by what it prints.
#[test]
fn what_is_shown_is_what_comes_out() {
    let binary = Path::new(env!("CARGO_BIN_EXE_tidegate")).parent().expect("a directory");
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").expect("a path"));
    let documents = [
        ("jobs/examples/README.md", 3),
        ("docs/job-file.md", 2),
        ("docs/operations.md", 12),
        ("docs/changing-jobs.md", 7),
        ("docs/rules.md", 1),
    ];
    for (document, least) in documents {
        let text = std::fs::read_to_string(project().join(document)).expect("a document");
        let blocks = text.split("```console\n").skip(1).filter_map(|rest| rest.split_once("```")).map(|(block, _)| block);
        let mut commands = 0;
        for block in blocks {
            let dir = root();
            for shown in block.split("$ ").skip(1) {
                let (command, output) = shown.split_once('\n').expect("a line");
                dir.command("sh", ["-c", command]).env("PATH", &path).run().exits(0).stdout_is(output);
                commands += 1;
            }
        }
        assert!(commands >= least, "{document} shows {commands} commands");
    }
}

/// The lines of a file of the examples' data, without the first.
fn lines(name: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(project().join("jobs/examples/data").join(name)).expect("data");
    text.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

/// Seconds of the day of `2026-03-02T08:01:32Z`.
fn seconds(ts: &str) -> i64 {
    ts[11..19].split(':').fold(0, |sum, part| sum * 60 + part.parse::<i64>().expect("a number"))
}

#[test]
fn orders_are_paid_in_a_quarter_of_an_hour_or_told_of() {
    let (mut created, mut paid) = (BTreeMap::new(), BTreeMap::new());
    for event in lines("order-events.csv") {
        match event[1].as_str() {
            "created" => drop(created.insert(event[0].clone(), seconds(&event[3]))),
            "paid" => drop(paid.insert(event[0].clone(), seconds(&event[3]))),
            _ => {}
        }
    }
    let is_paid = |order: &String| paid.get(order).is_some_and(|at| at - created[order] < 900);
    let (in_time, late): (BTreeSet<String>, BTreeSet<String>) = created.keys().cloned().partition(is_paid);
    assert!(in_time.len() > 50 && late.len() > 5);
    for workers in ["1", "3"] {
        let dir = root();
        let outcome = dir.tidegate(["run", "jobs/examples/unpaid-orders.yaml", "--quiet", "-p", workers]).run().exits(0);
        let alerts: BTreeSet<String> = outcome
            .stdout
            .lines()
            .filter_map(|line| line.split(' ').skip_while(|word| *word != "order").nth(1))
            .map(str::to_owned)
            .collect();
        assert_eq!(alerts, late);
        let written: BTreeSet<String> =
            dir.read("out/paid.csv").lines().skip(1).filter_map(|line| Some(line.split_once(',')?.0.to_owned())).collect();
        assert_eq!(written, in_time);
    }
}

#[test]
fn visitors_are_counted_where_they_stop() {
    // Of each visitor and item, the times of each kind of click.
    let mut clicks: BTreeMap<(String, String), Vec<(i64, String)>> = BTreeMap::new();
    for click in lines("shop.csv") {
        clicks.entry((click[1].clone(), click[0].clone())).or_default().push((seconds(&click[3]), click[2].clone()));
    }
    let mut counts: BTreeMap<String, [u64; 3]> = BTreeMap::new();
    for ((item, _), clicks) in clicks {
        let mut views = clicks.iter().filter(|(_, what)| what == "view").map(|(at, _)| *at);
        while let Some(first) = views.next() {
            let next =
                |what: &str, from: i64| clicks.iter().find(|(at, w)| w == what && *at > from && *at - first < 3_600).map(|(at, _)| *at);
            let cart = next("cart", first);
            let stop = cart.map_or(0, |at| if next("buy", at).is_some() { 2 } else { 1 });
            counts.entry(item.clone()).or_default()[stop] += 1;
            while views.clone().next().is_some_and(|again| again - first < 3_600) {
                views.next();
            }
        }
    }
    let expected: BTreeSet<String> =
        counts.iter().map(|(item, n)| format!("{item},{},{},{},{}", n.iter().sum::<u64>(), n[0], n[1], n[2])).collect();
    let outcome = root().tidegate(["run", "jobs/examples/funnel.yaml", "--quiet", "-p", "2"]).run().exits(0);
    assert_eq!(outcome.stdout.lines().skip(1).map(str::to_owned).collect::<BTreeSet<_>>(), expected);
}

#[test]
fn a_lookup_names_its_table() {
    let explained = |job: &str| root().tidegate(["explain", &format!("jobs/examples/{job}.yaml")]).run().exits(0).stdout;
    let (file, http) = (explained("accounts"), explained("reputation"));
    assert!(file.contains("left lookup join with accounts (file jobs/examples/data/accounts.csv), 100 at a time"), "{file}");
    assert!(http.contains("left lookup join with reputation (http://localhost:8000/reputation/{}.json, cached), 50 at a time"), "{http}");
}

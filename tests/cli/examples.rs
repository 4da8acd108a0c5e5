//! Every example runs as it stands, and says something.

use std::os::unix::fs::symlink;

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
        let outcome = dir.tidegate(["run", &job, "--quiet"]).args(set).run().exits(0);
        let files = std::fs::read_dir(dir.path("out")).into_iter().flatten().flatten();
        let written = files.map(|file| file.metadata().map_or(0, |metadata| metadata.len())).sum::<u64>();
        assert!(!outcome.stdout.is_empty() || written > 0, "{name} says nothing");
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

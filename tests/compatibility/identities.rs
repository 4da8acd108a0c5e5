//! The names by which savepoints identify operators and states.

use std::collections::BTreeSet;
use std::fs;

use tidegate::cep::operator::PATTERN;
use tidegate::connectors::kinds::{SINKS, SOURCES};
use tidegate::jobs::file::{Problems, parse};
use tidegate::jobs::plan::plan;
use tidegate::operators::kinds::KEYED;
use tidegate::runtime::{Graph, Kind, Role};

use crate::harness::golden::update;
use crate::kept::{cases, kept};
use crate::typed;

/// The operators that keep state.
fn keeping(graph: &Graph) -> impl Iterator<Item = &tidegate::runtime::Node> {
    graph.nodes().iter().filter(|node| node.role != Role::Stateless)
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Source => "source",
        Role::Sink => "sink",
        Role::Keyed => "operator",
        Role::Stateless => "stateless",
    }
}

/// Everything that is stored of a job's operators and compared on restore, one item per line.
fn lines(graph: &Graph) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    for node in keeping(graph) {
        let operator = format!("{} {}", role(node.role), node.kind);
        lines.insert(operator.clone());
        lines.extend(node.list.iter().map(|list| format!("{operator}, list: {list}")));
        lines.extend(node.basis.form.iter().map(|form| format!("{operator}, form: {form}")));
        for state in &node.states {
            lines.insert(format!("{operator}, state {}: {}", state.name, state.schema));
            lines.extend(state.fields.iter().map(|field| format!("{operator}, state {}, part {field}", state.name)));
        }
    }
    lines
}

/// The graphs of all jobs with kept savepoints.
fn graphs() -> Vec<Graph> {
    let of_file = |name: String| {
        let path = kept("data").join(&name).join("job.yaml");
        let text = fs::read_to_string(&path).ok()?;
        let mut problems = Problems::new(&name);
        let (file, found) = parse(&name, &text, &[]);
        problems.extend(found.iter().cloned());
        let planned = file.as_ref().and_then(|file| plan(file, &mut problems));
        let planned = planned.unwrap_or_else(|| panic!("{name}: {}", problems.iter().map(ToString::to_string).collect::<String>()));
        Some(planned.job().expect("a job").graph().clone())
    };
    cases()
        .into_iter()
        .filter_map(of_file)
        .chain([typed::job(), typed::broadcast_job(), typed::indicators_job()].map(|job| job.graph().clone()))
        .collect()
}

#[test]
fn what_savepoints_call_operators_and_states_does_not_change() {
    let found: BTreeSet<String> = graphs().iter().flat_map(lines).collect();
    let path = kept("identities.txt");
    let known: BTreeSet<String> = fs::read_to_string(&path).unwrap_or_default().lines().map(str::to_owned).collect();
    let gone: Vec<&String> = known.difference(&found).collect();
    assert!(
        gone.is_empty(),
        "released savepoints have these names, and nothing has them any more:\n\n  {}\n\nSuch savepoints would be refused, which breaks the promise in the README. \
         Give the operator or the state its name back. If its bytes are others now, keep reading the former ones under the former version. \
         If a form or the text of an aggregate was reworded, take that back: labels are there to be reworded, and are not stored.",
        gone.iter().map(|line| line.as_str()).collect::<Vec<_>>().join("\n  ")
    );
    let new: Vec<&String> = found.difference(&known).collect();
    if !new.is_empty() && update() {
        fs::write(&path, found.iter().map(|line| format!("{line}\n")).collect::<String>()).expect("a file can be written");
        return;
    }
    assert!(
        new.is_empty(),
        "these names are new:\n\n  {}\n\nFrom the next release on they stay. If that is what you want, run\n\n  UPDATE_GOLDEN=1 cargo test --test compatibility\n\n\
         and commit `tests/compatibility` with what it added.",
        new.iter().map(|line| line.as_str()).collect::<Vec<_>>().join("\n  ")
    );
}

#[test]
fn every_kind_that_keeps_something_is_among_the_jobs_whose_savepoints_are_kept() {
    let graphs = graphs();
    let has = |of: Role, kind: &Kind| graphs.iter().flat_map(keeping).any(|node| node.role == of && node.kind == *kind);
    let all = [(Role::Source, SOURCES), (Role::Sink, SINKS), (Role::Keyed, KEYED), (Role::Keyed, &[PATTERN])];
    let missing: Vec<String> = all
        .into_iter()
        .flat_map(|(of, kinds)| kinds.iter().filter(|kind| !has(of, kind)).map(|kind| format!("{} {kind}", role(of))).collect::<Vec<_>>())
        .collect();
    assert!(missing.is_empty(), "no job in `tests/compatibility` has {}: add one, as its README says", missing.join(", "));
}

//! `tidegate explain`: the graph of a job.

use std::fmt::Write;
use std::num::NonZero;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde_json::json;
use tidegate::jobs::file::drawn_rules;
use tidegate::runtime::state::Schema;
use tidegate::runtime::{Graph, Input, Node, NodeId, Role, Route};

use super::job::{JobArgs, tell};
use super::tasks::{Task, tasks};

/// Show the operators a job file becomes, without running it
///
/// Of each operator: what it is, what it reads, and which states it keeps through checkpoints. And the tasks: which operators hand records on within
/// their worker, and on how many workers each task has a share of the keys. Then what its rules do with a record, step by step.
#[derive(Args)]
pub struct Explain {
    #[command(flatten)]
    job: JobArgs,
    /// On how many workers; as in `run` if not given
    #[arg(short, long, value_name = "WORKERS", value_parser = clap::value_parser!(u16).range(1..=1024))]
    parallelism: Option<u16>,
    /// How to show them
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// A line per operator, and one for what it keeps
    Text,
    /// A Mermaid flowchart, as Markdown viewers draw it
    Mermaid,
    /// Graphviz
    Dot,
    /// For programs
    Json,
}

impl Explain {
    pub fn run(&self) -> ExitCode {
        let loaded = match self.job.load() {
            Ok(loaded) => loaded,
            Err(code) => return code,
        };
        tell(&loaded.problems);
        let graph = loaded.job.graph();
        let cores = || std::thread::available_parallelism().map_or(1, NonZero::get);
        let workers = self.parallelism.map(usize::from).or(loaded.plan.parallelism).unwrap_or_else(cores);
        let tasks = tasks(graph, workers);
        let text = match self.format {
            Format::Text => match drawn_rules(&loaded.file) {
                rules if rules.is_empty() => text(graph, &tasks),
                rules => format!("{}\n{rules}", text(graph, &tasks)),
            },
            Format::Mermaid => mermaid(graph),
            Format::Dot => dot(graph),
            Format::Json => json(&loaded.plan.name, graph, &tasks),
        };
        super::finish(Ok(text))
    }
}

fn route(input: &Input) -> &'static str {
    match input.route {
        Route::Local => "local",
        Route::ByKey => "by key",
        Route::ToOne => "to one worker",
        Route::Broadcast => "to every worker",
    }
}

fn origin(graph: &Graph, input: &Input) -> String {
    let name = graph.node(input.from).map_or("", |n| n.name.as_str());
    input.port.map_or_else(|| name.to_owned(), |port| format!("{name} ({port})"))
}

/// The description of a state: the parts of its values if they have names, otherwise the state's name. `None` for a state that only holds
/// times to wake an operator at.
fn called(state: &Schema) -> Option<String> {
    (!state.reminds()).then(|| state.parts().unwrap_or_else(|| state.name.replace('_', " ")))
}

/// What an operator keeps. States with the same description are listed once.
fn kept(node: &Node) -> Option<String> {
    let mut said: Vec<String> = Vec::new();
    for what in node.states.iter().filter_map(called) {
        if !said.contains(&what) {
            said.push(what);
        }
    }
    (!said.is_empty()).then(|| said.join(", "))
}

fn text(graph: &Graph, tasks: &[Task]) -> String {
    let width = |f: fn(&Node) -> &str| graph.nodes().iter().map(|n| f(n).chars().count()).max().unwrap_or(0);
    let (names, roles) = (width(|n| &n.name), width(|n| n.role.name()));
    let mut out = String::new();
    for node in graph.nodes() {
        let from: Vec<_> = node
            .inputs
            .iter()
            .map(|i| if i.route == Route::Local { origin(graph, i) } else { format!("{} {}", origin(graph, i), route(i)) })
            .collect();
        let from = if from.is_empty() { String::new() } else { format!("  <- {}", from.join(", ")) };
        let _ = writeln!(out, "{:<names$}  {:<roles$}  {}{from}", node.name, node.role.name(), node.label);
        if let Some(kept) = kept(node) {
            let _ = writeln!(out, "{:<names$}  {:<roles$}  {kept}", "", "keeps");
        }
    }
    out.push('\n');
    for task in tasks {
        let names: Vec<&str> = task.operators.iter().filter_map(|id| graph.node(*id)).map(|node| node.name.as_str()).collect();
        let _ = writeln!(out, "task of {} subtask{}: {}", task.subtasks, if task.subtasks == 1 { "" } else { "s" }, names.join(" -> "));
    }
    out
}

fn mermaid(graph: &Graph) -> String {
    // Mermaid's escapes for characters that would end a label or count as HTML in it.
    let label = |text: &str| text.replace('#', "#35;").replace('"', "#quot;").replace('<', "#lt;").replace('>', "#gt;");
    let mut out = String::from("flowchart LR\n");
    for (id, node) in graph.nodes().iter().enumerate() {
        let (open, close) = match node.role {
            Role::Source => ("([", "])"),
            Role::Stateless => ("[", "]"),
            Role::Keyed => ("[[", "]]"),
            Role::Sink => ("[/", "/]"),
        };
        let kept = kept(node).map_or_else(String::new, |kept| format!("<br/>keeps {}", label(&kept)));
        let _ = writeln!(out, "  n{id}{open}\"{}<br/>{}{kept}\"{close}", label(&node.name), label(&node.label));
    }
    for (id, node) in graph.nodes().iter().enumerate() {
        for input in &node.inputs {
            let label = edge_label(input);
            let arrow = if label.is_empty() { "-->".to_owned() } else { format!("-- {label} -->") };
            let _ = writeln!(out, "  n{} {arrow} n{id}", input.from.0);
        }
    }
    out
}

fn edge_label(input: &Input) -> String {
    let route = if input.route == Route::Local { None } else { Some(route(input)) };
    input.port.into_iter().chain(route).collect::<Vec<_>>().join(", ")
}

fn dot(graph: &Graph) -> String {
    let quote = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"));
    let mut out = String::from("digraph job {\n  rankdir=LR\n  node [shape=box]\n");
    for (id, node) in graph.nodes().iter().enumerate() {
        let shape = match node.role {
            Role::Source | Role::Sink => "ellipse",
            Role::Stateless => "box",
            Role::Keyed => "box3d",
        };
        let kept = kept(node).map_or_else(String::new, |kept| format!("\nkeeps {kept}"));
        let _ = writeln!(out, "  n{id} [shape={shape} label={}]", quote(&format!("{}\n{}{kept}", node.name, node.label)));
    }
    for (id, node) in graph.nodes().iter().enumerate() {
        for input in &node.inputs {
            let _ = writeln!(out, "  n{} -> n{id} [label={}]", input.from.0, quote(&edge_label(input)));
        }
    }
    out.push_str("}\n");
    out
}

fn json(name: &str, graph: &Graph, tasks: &[Task]) -> String {
    let called = |id: &NodeId| graph.node(*id).map_or("", |node| node.name.as_str());
    let task = |task: &Task| json!({ "operators": task.operators.iter().map(called).collect::<Vec<_>>(), "subtasks": task.subtasks });
    let input = |i: &Input| json!({ "from": graph.node(i.from).map(|n| &n.name), "port": i.port, "route": route(i) });
    let node = |n: &Node| {
        let states = n.states.iter().map(|state| json!({ "name": state.name, "schema": state.schema, "parts": state.parts() }));
        json!({
            "name": n.name,
            "role": n.role.name(),
            "kind": n.kind.name(),
            "label": n.label,
            "inputs": n.inputs.iter().map(input).collect::<Vec<_>>(),
            "states": states.collect::<Vec<_>>(),
        })
    };
    let graph = json!({ "job": name, "operators": graph.nodes().iter().map(node).collect::<Vec<_>>(), "tasks": tasks.iter().map(task).collect::<Vec<_>>() });
    format!("{graph:#}\n")
}

//! A job cut down to what decides about records, to try its rules on files: `tidegate rules test`.

use std::collections::HashSet;
use std::sync::Arc;

use super::Override;
use super::graph::{entry, makers_of, part};
use super::model::JobFile;
use crate::text::{Problem, Problems, Source, Span, Spanned};
use crate::yaml::{Entry, Node, Value};

/// What to try a job's rules on.
#[derive(Clone, Debug, Default)]
pub struct Trial {
    /// The stream with the rules. `None`: the only one.
    pub stream: Option<String>,
    /// Files of JSON Lines, each with the name of the source that it stands in for. `None`: the only source.
    pub events: Vec<(Option<String>, String)>,
    /// The file that the decisions are written to, as JSON Lines.
    pub out: String,
}

/// What the stream with the rules does beside judging.
const ASIDE: [&str; 7] = ["control", "ledger", "late_to", "timeouts_to", "where", "select", "flat_map"];

impl Trial {
    /// Parses a job file and cuts it down: files stand in for its sources, and only the decisions are written. Control records,
    /// what the stream does with its decisions, checkpoints, and all other streams and sinks are left out.
    #[must_use]
    pub fn parse(&self, file_name: &str, text: &str, overrides: &[Override]) -> (Option<JobFile>, Problems) {
        super::parse_as(file_name, text, overrides, |root, source| self.cut(&root, source))
    }

    fn cut(&self, root: &Node, source: &Arc<Source>) -> Result<Node, Problem> {
        let top = source.span(0..0);
        let streams = part(root, "streams");
        let stream = self.stream(streams, &top)?;
        let mut kept: HashSet<&str> = HashSet::from([stream.key.as_str()]);
        let mut open = vec![stream.key.as_str()];
        while let Some(name) = open.pop() {
            let makers = makers_of(root, name, name != stream.key.value);
            open.extend(makers.into_iter().filter(|maker| kept.insert(maker)));
        }
        let sources: Vec<&Entry> = part(root, "sources").iter().filter(|entry| kept.contains(entry.key.as_str())).collect();
        let made = sources.iter().map(|source| Ok(with((*source).clone(), self.stand_in(source, &sources)?)));
        let made = made.collect::<Result<Vec<Entry>, Problem>>()?;
        let streams = streams
            .iter()
            .filter(|entry| kept.contains(entry.key.as_str()))
            .map(|entry| if entry.key == stream.key { with(entry.clone(), without(&entry.value, &ASIDE)) } else { entry.clone() });
        let text = |text: &str| Node { span: top.clone(), value: Value::Scalar { text: text.to_owned(), plain: false } };
        let map = |entries: Vec<(&str, Node)>| Node {
            span: top.clone(),
            value: Value::Map(entries.into_iter().map(|(key, value)| new_entry(key, &top, value)).collect()),
        };
        let sink = map(vec![
            ("from", text(stream.key.as_str())),
            ("connector", text("file")),
            ("path", text(&self.out)),
            ("format", text("json")),
        ]);
        let Value::Map(entries) = &root.value else { return Err(top.problem("the job is no mapping")) };
        let mut entries: Vec<Entry> =
            entries.iter().filter(|entry| matches!(entry.key.as_str(), "name" | "tables" | "factors" | "lists")).cloned().collect();
        let section = |of: Vec<Entry>| Node { span: top.clone(), value: Value::Map(of) };
        entries.push(new_entry("state", &top, map(vec![("backend", text("memory"))])));
        entries.push(new_entry("sources", &top, section(made)));
        entries.push(new_entry("streams", &top, section(streams.collect())));
        entries.push(new_entry("sinks", &top, map(vec![("decisions", sink)])));
        Ok(Node { span: root.span.clone(), value: Value::Map(entries) })
    }

    /// The stream with the rules.
    fn stream<'n>(&self, streams: &'n [Entry], top: &Span) -> Result<&'n Entry, Problem> {
        let with_rules: Vec<&Entry> = streams.iter().filter(|stream| entry(&stream.value, "rules").is_some()).collect();
        let listed = || with_rules.iter().map(|stream| format!("`{}`", stream.key.value)).collect::<Vec<_>>().join(", ");
        match (&self.stream, with_rules.as_slice()) {
            (_, []) => Err(top.problem("no stream of this job has `rules`")),
            (None, [one]) => Ok(one),
            (None, _) => Err(top.problem(format!("several streams have `rules`: choose one by `--stream`: {}", listed()))),
            (Some(name), _) => with_rules
                .iter()
                .find(|stream| stream.key.value == *name)
                .copied()
                .ok_or_else(|| top.problem(format!("no stream with `rules` is called `{name}`; there are {}", listed()))),
        }
    }

    /// A file in the place of a source.
    fn stand_in(&self, source: &Entry, all: &[&Entry]) -> Result<Node, Problem> {
        let name = source.key.as_str();
        let named = self.events.iter().find(|(of, _)| of.as_deref() == Some(name));
        let only = if all.len() == 1 { self.events.iter().find(|(of, _)| of.is_none()) } else { None };
        let Some((_, path)) = named.or(only) else {
            return Err(source.key.problem(format!("the rules need records of the source `{name}`: give them by `--events {name}=FILE`")));
        };
        let Value::Map(entries) = &source.value.value else { return Err(source.key.problem("a source is a mapping")) };
        let mut kept: Vec<Entry> = entries.iter().filter(|entry| matches!(entry.key.as_str(), "schema" | "event_time")).cloned().collect();
        // A bad line is told, not passed over: who tries rules wants to know what they were tried on.
        for (key, text) in [("connector", "file"), ("path", path.as_str()), ("format", "json"), ("on_bad_record", "fail")] {
            let node = Node { span: source.key.span.clone(), value: Value::Scalar { text: text.to_owned(), plain: false } };
            kept.push(new_entry(key, &source.key.span, node));
        }
        Ok(Node { span: source.value.span.clone(), value: Value::Map(kept) })
    }
}

fn new_entry(key: &str, at: &Span, value: Node) -> Entry {
    Entry { key: Spanned::new(key.to_owned(), at.clone()), plain: false, value }
}

fn with(entry: Entry, value: Node) -> Entry {
    Entry { value, ..entry }
}

/// A mapping without these keys.
fn without(node: &Node, keys: &[&str]) -> Node {
    let Value::Map(entries) = &node.value else { return node.clone() };
    let entries = entries.iter().filter(|entry| !keys.contains(&entry.key.as_str())).cloned().collect();
    Node { span: node.span.clone(), value: Value::Map(entries) }
}

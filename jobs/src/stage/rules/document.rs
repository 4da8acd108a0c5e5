//! The document that operators read, diff and change: factors and scenarios, as the job file or versions have them.

use std::sync::Arc;

use serde_json::Value as Json;
use tidegate_rules::{Change, factor_name};

use super::features::FeatureTexts;
use super::json_of;
use super::named::{Missing, Named, all, put};
use super::read::{self, Head, ReadRule};
use crate::file::{path_steps, remove_at, set_at};
use crate::text::{Problem, Source, Span, Spanned};
use crate::yaml::{self, Entry, Node, Reader, Value};

/// A factor: its signature and its expression.
pub(crate) type FactorText = (Spanned<String>, Spanned<String>);

/// Factors and scenarios.
#[derive(Clone, Debug)]
pub(super) struct Document {
    pub(super) factors: Arc<Vec<FactorText>>,
    pub(super) features: Arc<FeatureTexts>,
    pub(super) scenarios: Vec<Arc<ScenarioText>>,
}

/// A scenario, with what was read of it.
#[derive(Clone, Debug)]
pub(super) struct ScenarioText {
    pub(super) name: Spanned<String>,
    /// Everything but its rules.
    rest: Node,
    pub(super) head: Head,
    pub(super) rules: Vec<Arc<RuleText>>,
}

/// A rule, with what was read of it.
pub(super) type RuleText = Named<ReadRule>;

/// What is wrong with a change.
pub(super) type Wrong = Vec<Problem>;

impl Document {
    /// Reads the scenarios under `scenarios` of `rules`.
    pub(super) fn read(reader: &mut Reader, node: &Node, factors: Arc<Vec<FactorText>>, features: FeatureTexts) -> Option<Self> {
        let entries = reader.entries(node, "a mapping from names to scenarios")?;
        if entries.is_empty() {
            return reader.fail(&node.span, "`scenarios` needs at least one");
        }
        let scenarios: Vec<_> = entries.iter().filter_map(|entry| ScenarioText::read(reader, &entry.key, &entry.value)).map(Arc::new).collect();
        (scenarios.len() == entries.len()).then_some(Self { factors, features: Arc::new(features), scenarios })
    }

    /// All texts that may name fields.
    pub(super) fn texts(&self) -> impl Iterator<Item = &Spanned<String>> {
        let own = self.scenarios.iter().flat_map(|scenario| scenario.head.texts().chain(scenario.rules.iter().flat_map(|rule| rule.read.texts())));
        self.factors.iter().map(|(_, body)| body).chain(own)
    }

    /// Applies a change that is not of a list. With `again`, it has been applied before, and what it removes may be gone.
    pub(super) fn apply(&mut self, change: &Change, again: bool) -> Result<(), Wrong> {
        let (path, value) = match change {
            Change::Set { path, value } => (path, Some(value)),
            Change::Remove { path } => (path, None),
            Change::Add { .. } | Change::Drop { .. } | Change::Clear { .. } => return Ok(()),
        };
        if FeatureTexts::has_path(path) {
            return Arc::make_mut(&mut self.features).apply(change, again);
        }
        let at = Source::new(Some(path), path);
        let steps = path_steps(&at).map_err(|problem| vec![problem])?;
        let value = value.map(|value| parse(path, value)).transpose()?;
        let missing = || vec![at.span(0..path.len()).problem("there is nothing here to remove")];
        let words: Vec<&str> = steps.iter().map(|step| step.value.as_str()).collect();
        match (words.as_slice(), value) {
            (["factors", signature], value) => match self.set_factor(signature, value, &steps[1]) {
                false if !again => Err(missing()),
                _ => Ok(()),
            },
            (["scenarios", name], None) => {
                let before = self.scenarios.len();
                self.scenarios.retain(|scenario| scenario.name.value != *name);
                if self.scenarios.len() == before && !again { Err(missing()) } else { Ok(()) }
            }
            (["scenarios", _], Some(value)) => {
                let new = reading(|reader| ScenarioText::read(reader, &steps[1], &value))?;
                self.put(Arc::new(new));
                Ok(())
            }
            (["scenarios", _, ..], value) => {
                let removes = value.is_none();
                match self.change_scenario(&steps, value) {
                    Ok(true) => Ok(()),
                    Ok(false) if removes && !again => Err(missing()),
                    Ok(false) => Ok(()),
                    Err(wrong) => Err(wrong),
                }
            }
            ([first, ..], _) if *first != "scenarios" && *first != "factors" => {
                Err(vec![steps[0].problem(format!("`{first}` can't be changed while the job runs: only `scenarios`, `factors`, `indicators` and `patterns` can, and lists by `list`"))])
            }
            _ => Err(vec![at.span(0..path.len()).problem("expected a path such as `scenarios.login.params.limit`, or `factors.over(x)`")]),
        }
    }

    /// Sets or removes a factor. Returns whether there was something to remove.
    fn set_factor(&mut self, signature: &str, value: Option<Node>, step: &Spanned<String>) -> bool {
        let factors = Arc::make_mut(&mut self.factors);
        let at = factors.iter().position(|(known, _)| factor_name(&known.value) == factor_name(signature));
        let Some(value) = value else {
            return at.map(|at| factors.remove(at)).is_some();
        };
        let text = match &value.value {
            Value::Scalar { text, .. } => Spanned::new(text.clone(), value.span.clone()),
            Value::List(_) | Value::Map(_) => Spanned::new(String::new(), value.span.clone()),
        };
        match at.and_then(|at| factors.get_mut(at)) {
            Some(factor) => *factor = (step.clone(), text),
            None => factors.push((step.clone(), text)),
        }
        true
    }

    fn put(&mut self, new: Arc<ScenarioText>) {
        match self.scenarios.iter_mut().find(|scenario| scenario.name.value == new.name.value) {
            Some(scenario) => *scenario = new,
            None => self.scenarios.push(new),
        }
    }

    /// Changes something in a scenario. Returns whether there was something to remove.
    fn change_scenario(&mut self, steps: &[Spanned<String>], value: Option<Node>) -> Result<bool, Wrong> {
        let name = &steps[1];
        let place = self.scenarios.iter().position(|scenario| scenario.name.value == name.value);
        let Some(scenario) = place.and_then(|place| self.scenarios.get(place)) else {
            if value.is_none() {
                return Ok(false);
            }
            // A new scenario is set as a whole: a misspelt name must not make one.
            let names = self.scenarios.iter().map(|scenario| scenario.name.as_str());
            return Err(vec![name.problem(format!("no scenario is called `{}`", name.value)).near(&name.value, names)]);
        };
        let mut new = ScenarioText::clone(scenario);
        let found = match (steps[2].value.as_str(), steps.get(3), value) {
            ("rules", None, Some(value)) => {
                new.rules = reading(|reader| rules(reader, &value))?;
                true
            }
            ("rules", None, None) => !std::mem::take(&mut new.rules).is_empty(),
            ("rules", Some(rule), value) => put(&mut new.rules, rule, &steps[4..], value, (read::rule, Missing::Begun))?,
            (_, _, value) => new.change_rest(&steps[2..], value)?,
        };
        if found {
            self.put(Arc::new(new));
        }
        Ok(found)
    }
}

impl ScenarioText {
    /// The scenario as JSON.
    pub(super) fn json(&self) -> Json {
        let mut whole = json_of(&self.rest);
        let rules = self.rules.iter().map(|rule| (rule.read.name.value.clone(), rule.json())).collect();
        if let Json::Object(keys) = &mut whole {
            keys.insert("rules".to_owned(), Json::Object(rules));
        }
        whole
    }

    /// What is at a path below it, but for its rules.
    pub(super) fn below(&self, path: &[&str]) -> Option<&Node> {
        path.iter().try_fold(&self.rest, |node, step| match &node.value {
            Value::Map(entries) => entries.iter().find(|entry| entry.key.value == *step).map(|entry| &entry.value),
            Value::List(_) | Value::Scalar { .. } => None,
        })
    }

    fn read(reader: &mut Reader, name: &Spanned<String>, node: &Node) -> Option<Self> {
        let name = reader.checked_name(name.clone())?;
        let Value::Map(entries) = &node.value else { return reader.wrong(node, &format!("a mapping for scenario `{}`", name.value)) };
        let (own, rest): (Vec<&Entry>, Vec<&Entry>) = entries.iter().partition(|entry| entry.key.value == "rules");
        let rest = Node { span: node.span.clone(), value: Value::Map(rest.into_iter().cloned().collect()) };
        let head = read::head(reader, &name, &rest);
        let rules = match own.first().filter(|entry| !entry.value.is_null()) {
            Some(entry) => rules(reader, &entry.value),
            None => Some(Vec::new()),
        };
        Some(Self { name, rest, head: head?, rules: rules? })
    }

    fn change_rest(&mut self, below: &[Spanned<String>], value: Option<Node>) -> Result<bool, Wrong> {
        match value {
            Some(value) => set_at(&mut self.rest, below, value).map_err(|problem| vec![problem])?,
            None if !remove_at(&mut self.rest, below) => return Ok(false),
            None => {}
        }
        self.head = reading(|reader| read::head(reader, &self.name, &self.rest))?;
        Ok(true)
    }
}

fn rules(reader: &mut Reader, node: &Node) -> Option<Vec<Arc<RuleText>>> {
    all(reader, node, "a mapping from names to rules", read::rule)
}

/// Reads something, or says what is wrong with it.
pub(super) fn reading<T>(read: impl FnOnce(&mut Reader) -> Option<T>) -> Result<T, Wrong> {
    let mut reader = Reader::default();
    match read(&mut reader) {
        Some(read) if reader.problems.is_empty() => Ok(read),
        _ => Err(reader.problems),
    }
}

/// Parses the value of a change. Problems in it are reported under its path.
pub(crate) fn parse(path: &str, value: &str) -> Result<Node, Wrong> {
    let source = Source::new(Some(path), value);
    let mut problems = Vec::new();
    let node = yaml::parse(&source, 0, &mut problems);
    match node {
        Some(node) if problems.is_empty() => Ok(node),
        _ if problems.is_empty() => Err(vec![source.span(0..0).problem("there is no value")]),
        _ => Err(problems),
    }
}

/// A place in a path, for what has no other.
pub(super) fn place(text: &str) -> Span {
    Source::new(Some(text), text).span(0..text.len())
}

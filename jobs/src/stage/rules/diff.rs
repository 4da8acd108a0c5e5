//! What differs between the rules of two job files, by meaning: the order of keys and the layout of expressions don't matter.

use serde_json::{Map, Value as Json, json};
use tidegate_expr::Tree;
use tidegate_rules::{Check, Entry, Rule, Scenario, Score, factor_name};

use super::document::{Document, FactorText, RuleText, ScenarioText};
use super::features::FeatureTexts;
use super::list::ListSpec;
use super::{Rules, json_of};
use crate::file::JobFile;
use crate::stage::Stage;

/// One difference: what a control record would do, and what was there before.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The change, as control records have it.
    pub change: Json,
    /// What was there before. Null: nothing.
    pub before: Json,
}

/// What turns the rules of a stream in one job file into those of the stream of the same name in another. `None` if one of them has no rules.
#[must_use]
pub fn differences(old: &JobFile, new: &JobFile, stream: &str) -> Option<Vec<Difference>> {
    let (a, b) = (rules_of(old, stream)?, rules_of(new, stream)?);
    let mut all = Vec::new();
    factors(&a.document.factors, &b.document.factors, &mut all);
    features(&a.document.features, &b.document.features, &mut all);
    scenarios(&a.document, &b.document, &mut all);
    for list in b.lists.iter() {
        if let Some(before) = a.lists.iter().find(|before| before.name.value == list.name.value) {
            entries(before, list, &mut all);
        }
    }
    Some(all)
}

/// The names of the streams with rules.
#[must_use]
pub fn streams_with_rules(file: &JobFile) -> Vec<&str> {
    file.streams.iter().filter(|stream| matches!(stream.stage, Some(Stage::Rules(_)))).map(|stream| stream.head.name.as_str()).collect()
}

fn rules_of<'f>(file: &'f JobFile, stream: &str) -> Option<&'f Rules> {
    match &file.stream(stream)?.stage {
        Some(Stage::Rules(rules)) => Some(rules),
        _ => None,
    }
}

fn set(path: String, value: Json, before: Json, all: &mut Vec<Difference>) {
    all.push(Difference { change: json!({ "set": path, "value": value }), before });
}

fn remove(path: String, before: Json, all: &mut Vec<Difference>) {
    all.push(Difference { change: json!({ "remove": path }), before });
}

/// An expression without regard to its layout.
fn meant(text: &str) -> String {
    Tree::parse(text).map_or_else(|_| text.to_owned(), |tree| tree.to_string())
}

fn factors(old: &[FactorText], new: &[FactorText], all: &mut Vec<Difference>) {
    let name = |(signature, _): &FactorText| factor_name(&signature.value).to_owned();
    let form = |(signature, _): &FactorText| signature.value.replace(' ', "");
    for factor in new {
        let before = old.iter().find(|before| name(before) == name(factor));
        if before.is_none_or(|before| form(before) != form(factor) || meant(&before.1.value) != meant(&factor.1.value)) {
            let before = before.map_or(Json::Null, |before| before.1.value.as_str().into());
            set(format!("factors.{}", factor.0.value), factor.1.value.as_str().into(), before, all);
        }
    }
    for gone in old.iter().filter(|gone| new.iter().all(|factor| name(factor) != name(gone))) {
        remove(format!("factors.{}", gone.0.value), gone.1.value.as_str().into(), all);
    }
}

fn features(old: &FeatureTexts, new: &FeatureTexts, all: &mut Vec<Difference>) {
    let (old, new) = (old.json(), new.json());
    let find = |all: &[(String, Json)], path: &str| all.iter().find(|(known, _)| known == path).map(|(_, value)| value.clone());
    for (path, value) in &new {
        let before = find(&old, path);
        if before.as_ref() != Some(value) {
            set(path.clone(), value.clone(), before.unwrap_or_default(), all);
        }
    }
    for (path, before) in old.iter().filter(|(path, _)| find(&new, path).is_none()) {
        remove(path.clone(), before.clone(), all);
    }
}

fn scenarios(old: &Document, new: &Document, all: &mut Vec<Difference>) {
    for scenario in &new.scenarios {
        let path = format!("scenarios.{}", scenario.name.value);
        match old.scenarios.iter().find(|before| before.name.value == scenario.name.value) {
            None => set(path, scenario.json(), Json::Null, all),
            Some(before) => scenario_differs(&path, before, scenario, all),
        }
    }
    for gone in old.scenarios.iter().filter(|gone| new.scenarios.iter().all(|scenario| scenario.name.value != gone.name.value)) {
        remove(format!("scenarios.{}", gone.name.value), gone.json(), all);
    }
}

/// A scenario without its rules, and without regard to the layout of its expressions.
fn head_meant(scenario: &Scenario) -> Scenario {
    let check = |check: &Check| Check { on: meant(&check.on), ..check.clone() };
    let checks = scenario.checks.iter().map(check).collect();
    Scenario { when: scenario.when.as_deref().map(meant), checks, params: Vec::new(), rules: Vec::new(), ..scenario.clone() }
}

fn rule_meant(rule: &Rule) -> Rule {
    let mut rule = rule.clone();
    rule.condition = meant(&rule.condition);
    rule.subject = rule.subject.as_deref().map(meant);
    if let Score::Computed(text) = &mut rule.score {
        *text = meant(text);
    }
    if let Some(rollout) = &mut rule.rollout {
        rollout.by = meant(&rollout.by);
    }
    rule
}

fn scenario_differs(path: &str, old: &ScenarioText, new: &ScenarioText, all: &mut Vec<Difference>) {
    let (a, b) = (&old.head.scenario, &new.head.scenario);
    for (name, value) in &b.params {
        let before = a.params.iter().find(|(known, _)| known == name);
        if before.is_none_or(|(_, before)| before != value) {
            let at = |scenario: &ScenarioText| scenario.below(&["params", name]).map_or(Json::Null, json_of);
            set(format!("{path}.params.{name}"), at(new), at(old), all);
        }
    }
    for (name, _) in a.params.iter().filter(|(name, _)| b.params.iter().all(|(known, _)| known != name)) {
        remove(format!("{path}.params.{name}"), old.below(&["params", name]).map_or(Json::Null, json_of), all);
    }
    let (a, b) = (head_meant(a), head_meant(b));
    for (key, differs) in [("when", a.when != b.when), ("lists", a.checks != b.checks), ("strategy", a.strategy != b.strategy)] {
        let (before, after) = (old.below(&[key]).map_or(Json::Null, json_of), new.below(&[key]).map(json_of));
        match after {
            Some(after) if differs => set(format!("{path}.{key}"), after, before, all),
            None if differs => remove(format!("{path}.{key}"), before, all),
            _ => {}
        }
    }
    let find = |rules: &[std::sync::Arc<RuleText>], name: &str| rules.iter().find(|rule| rule.read.name.value == name).cloned();
    for rule in &new.rules {
        let name = &rule.read.name.value;
        let before = find(&old.rules, name);
        if before.as_ref().is_none_or(|before| rule_meant(&before.read.rule) != rule_meant(&rule.read.rule)) {
            set(format!("{path}.rules.{name}"), rule.json(), before.map_or(Json::Null, |before| before.json()), all);
        }
    }
    for gone in old.rules.iter().filter(|gone| find(&new.rules, &gone.read.name.value).is_none()) {
        remove(format!("{path}.rules.{}", gone.read.name.value), gone.json(), all);
    }
}

fn entries(old: &ListSpec, new: &ListSpec, all: &mut Vec<Difference>) {
    let list = &new.name.value;
    let entry = |key: &str, entry: &Entry| {
        let mut map = Map::new();
        map.insert("key".to_owned(), key.into());
        let times = [("from", entry.from), ("to", entry.to)];
        map.extend(times.into_iter().filter_map(|(name, at)| Some((name.to_owned(), at?.into()))));
        map.extend(entry.uses.map(|uses| ("uses".to_owned(), uses.into())));
        map.extend(entry.reason.as_ref().map(|reason| ("reason".to_owned(), reason.as_str().into())));
        Json::Object(map)
    };
    for (key, own) in &new.entries {
        let before = old.entries.iter().find(|(known, _)| known.value == key.value);
        if before.is_none_or(|(_, before)| before != own) {
            let before = before.map_or(Json::Null, |(_, before)| entry(&key.value, before));
            all.push(Difference { change: json!({ "list": list, "add": entry(&key.value, own) }), before });
        }
    }
    for (key, own) in old.entries.iter().filter(|(key, _)| new.entries.iter().all(|(known, _)| known.value != key.value)) {
        all.push(Difference { change: json!({ "list": list, "remove": key.value }), before: entry(&key.value, own) });
    }
}

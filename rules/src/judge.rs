//! Judges records.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_rows::{Row, Value};

use crate::compile::{CompiledRule, CompiledScore};
use crate::condition::{Memo, Truth};
use crate::decision::{Decision, WIDTH, map, plus};
use crate::index::Places;
use crate::lists::{Found, Lists, NoOps, Ops};
use crate::rollout::{bucket, known_by};
use crate::scenario::{CompiledCheck, CompiledPolicy, CompiledScenario, CompiledStrategy, CompiledThen, Rules};

/// What a check has found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Looked {
    /// Entries, the best first. Only the last can be without a limit of uses.
    Found(Vec<Found>),
    /// It failed.
    Failed(String),
}

/// What the checks of a record have found, by scenario and check.
pub type Looks = Vec<Vec<Looked>>;

/// An entry that a record would use.
#[derive(Clone, Copy, Debug)]
pub struct Use<'f> {
    /// The place of the list.
    pub list: usize,
    /// The entry.
    pub found: &'f Found,
    /// How many decisions may use it.
    pub most: u64,
}

/// Where the answers of checks come from.
enum Answers<'a, O> {
    /// From the lists. An entry with limited uses can't be answered.
    Lists { lists: &'a Lists, ops: &'a O },
    /// From what has been found before, and from what is left of uses.
    Looks { looks: &'a [Vec<Looked>], uses: &'a mut dyn FnMut(Use<'_>) -> bool },
}

/// The answer of a check.
enum Answer {
    Miss,
    Hit { key: String, reason: Option<String> },
    Failed(String),
}

/// The record meets an entry with limited uses, which are counted elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limited;

/// Judges records. It has room for what is computed for one record, and keeps it for the next.
#[derive(Debug, Default)]
pub struct Judge {
    memo: Memo,
    found: Places,
    hits: Vec<Hit>,
    decided: Vec<Decision>,
    /// An empty list, which most decisions have several of.
    nothing: Arc<Vec<Value>>,
}

/// A hit of a rule.
#[derive(Clone, Debug)]
struct Hit {
    place: usize,
    action: Option<usize>,
    score: Value,
    shown: Value,
}

impl Judge {
    /// Decides about a record. `row` has the fields and features that the rules were compiled for; it comes back without the features, with its
    /// decision, once for each scenario it is of.
    ///
    /// # Errors
    /// The record meets an entry with limited uses: [`Judge::look`] finds what [`Judge::decide_with`] needs.
    pub fn decide(
        &mut self,
        rules: &Rules,
        row: Row,
        time: i64,
        lists: &Lists,
        ops: &impl Ops,
        out: &mut Vec<Row>,
    ) -> Result<(), (Row, Limited)> {
        self.judge(rules, row, time, &mut Answers::Lists { lists, ops }, out)
    }

    /// Decides about a record by what its checks have found. `uses` takes one use of an entry, and says whether one was left.
    pub fn decide_with(
        &mut self,
        rules: &Rules,
        row: Row,
        time: i64,
        looks: &Looks,
        uses: &mut dyn FnMut(Use<'_>) -> bool,
        out: &mut Vec<Row>,
    ) {
        let mut answers: Answers<'_, NoOps> = Answers::Looks { looks, uses };
        // With answers from what was found, nothing is limited.
        let _ = self.judge(rules, row, time, &mut answers, out);
    }

    /// What the checks of all scenarios of a record find.
    #[must_use]
    pub fn look(rules: &Rules, row: &Row, time: i64, lists: &Lists, ops: &impl Ops) -> Looks {
        let of_scenario =
            |scenario: &Arc<CompiledScenario>| scenario.checks.iter().map(|check| look(check, row, time, lists, ops)).collect();
        rules.scenarios.iter().map(of_scenario).collect()
    }

    fn judge<O: Ops>(
        &mut self,
        rules: &Rules,
        row: Row,
        time: i64,
        answers: &mut Answers<'_, O>,
        out: &mut Vec<Row>,
    ) -> Result<(), (Row, Limited)> {
        self.memo.next();
        let given = row.0.len();
        let width = given.saturating_sub(rules.features);
        let mut values = row.0.into_vec();
        values.reserve_exact(rules.room());
        values.resize_with(given + rules.room(), Value::default);
        let mut row = Row(values.into_boxed_slice());
        self.decided.clear();
        for (place, scenario) in rules.scenarios.iter().enumerate() {
            match scenario.when.as_ref().map_or(Truth::True, |when| when.test(&row, &mut self.memo)) {
                Truth::False => continue,
                Truth::Error => {
                    let undecided = self.undecided(scenario, rules.version);
                    self.decided.push(undecided);
                }
                Truth::True => match self.scenario(rules, place, &mut row, time, answers) {
                    Ok(decision) => self.decided.push(decision),
                    Err(limited) => return Err((shortened(row, given), limited)),
                },
            }
        }
        if self.decided.is_empty() {
            self.decided.push(Decision::none(rules.version));
        }
        let last = self.decided.len() - 1;
        let mut row = Some(decided(row, width..given));
        for (i, decision) in self.decided.drain(..).enumerate() {
            let own = if i == last { row.take() } else { row.clone() };
            let Some(mut own) = own else { break };
            own.0[width..].iter_mut().zip(decision.into_values(&self.nothing)).for_each(|(slot, value)| *slot = value);
            out.push(own);
        }
        Ok(())
    }

    /// The decision of a scenario whose `when` has failed.
    fn undecided(&self, scenario: &CompiledScenario, version: u64) -> Decision {
        let error = scenario.when.as_ref().and_then(|when| when.error(&self.memo)).map(ToString::to_string).unwrap_or_default();
        let strategy = &scenario.strategy;
        let action = strategy.default.max(strategy.degraded);
        Decision {
            scenario: scenario.name.clone(),
            action: strategy.action(action),
            errors: vec![map([("scenario", scenario.name.clone()), ("error", Value::string(error))])],
            degraded: true,
            ..Decision::none(version)
        }
    }

    /// The decision of the scenario in this place.
    fn scenario<O: Ops>(
        &mut self,
        rules: &Rules,
        place: usize,
        row: &mut Row,
        time: i64,
        answers: &mut Answers<'_, O>,
    ) -> Result<Decision, Limited> {
        let (scenario, version) = (&*rules.scenarios[place], rules.version);
        let strategy = &scenario.strategy;
        let mut errors = Vec::new();
        for (number, check) in scenario.checks.iter().enumerate() {
            let answer = answers.ask(place, number, check, row, time)?;
            if let CompiledThen::Fact(slot) = check.then
                && let Some(fact) = row.0.get_mut(slot)
            {
                *fact = Value::Bool(matches!(answer, Answer::Hit { .. }));
            }
            match (answer, &check.then) {
                (Answer::Failed(error), _) => errors.push(map([("list", check.name.clone()), ("error", Value::string(error))])),
                (Answer::Hit { key, reason }, CompiledThen::Decide(action)) => {
                    let floor = if errors.is_empty() { 0 } else { strategy.degraded };
                    let reason = reason.map_or(Value::Null, Value::string);
                    let own = strategy.action(*action);
                    return Ok(Decision {
                        scenario: scenario.name.clone(),
                        action: strategy.action((*action).max(floor)),
                        list: map([("list", check.name.clone()), ("key", Value::string(key)), ("action", own), ("reason", reason)]),
                        degraded: !errors.is_empty(),
                        errors,
                        ..Decision::none(version)
                    });
                }
                (Answer::Hit { .. } | Answer::Miss, _) => {}
            }
        }
        scenario.index.find(row, &mut self.found);
        self.hits.clear();
        for at in self.found.both(&scenario.live) {
            let hit = evaluate(&mut self.memo, scenario, at, row, time, &mut errors);
            let ends = hit.as_ref().is_some_and(|hit| hit.action.is_some()) && matches!(strategy.policy, CompiledPolicy::First);
            self.hits.extend(hit);
            if ends {
                break;
            }
        }
        let shadow = self.shadow(scenario, row, time, !errors.is_empty());
        let action = strategy.decide(self.hits.iter(), !errors.is_empty());
        let score = sum(self.hits.iter());
        Ok(Decision {
            scenario: scenario.name.clone(),
            action: strategy.action(action),
            score,
            list: Value::Null,
            hits: self.hits.drain(..).map(|hit| hit.shown).collect(),
            shadow,
            degraded: !errors.is_empty(),
            errors,
            version,
        })
    }

    /// What shadow rules say, if any is in effect.
    fn shadow(&mut self, scenario: &CompiledScenario, row: &Row, time: i64, degraded: bool) -> Value {
        if scenario.shadows.is_empty() {
            return Value::Null;
        }
        let in_effect = |place: &usize| {
            let rule = &scenario.rules[*place].rule;
            exists_at(rule, time) && rolled_out(rule, row) != Ok(false)
        };
        if !scenario.shadows.iter().any(in_effect) {
            return Value::Null;
        }
        let (mut errors, mut hits) = (Vec::new(), Vec::new());
        for at in self.found.both(&scenario.shadow) {
            hits.extend(evaluate(&mut self.memo, scenario, at, row, time, &mut errors));
        }
        let strategy = &scenario.strategy;
        let mut all: Vec<&Hit> = self.hits.iter().chain(&hits).collect();
        all.sort_by_key(|hit| hit.place);
        if matches!(strategy.policy, CompiledPolicy::First)
            && let Some(first) = all.iter().position(|hit| hit.action.is_some())
        {
            all.truncate(first + 1);
        }
        let action = strategy.decide(all.iter().copied(), degraded || !errors.is_empty());
        let score = sum(all.iter().copied());
        let hits: Vec<Value> = hits.iter().map(|hit| hit.shown.clone()).collect();
        map([("action", strategy.action(action)), ("score", score), ("hits", Value::list(hits)), ("errors", Value::list(errors))])
    }
}

impl<O: Ops> Answers<'_, O> {
    fn ask(&mut self, scenario: usize, number: usize, check: &CompiledCheck, row: &Row, time: i64) -> Result<Answer, Limited> {
        match self {
            Self::Lists { lists, ops } => match look(check, row, time, lists, *ops) {
                Looked::Failed(error) => Ok(Answer::Failed(error)),
                Looked::Found(found) => match found.into_iter().next() {
                    None => Ok(Answer::Miss),
                    Some(Found { uses: Some(_), .. }) => Err(Limited),
                    Some(Found { key, reason, .. }) => Ok(Answer::Hit { key, reason }),
                },
            },
            Self::Looks { looks, uses } => Ok(match looks.get(scenario).and_then(|looks| looks.get(number)) {
                None => Answer::Miss,
                Some(Looked::Failed(error)) => Answer::Failed(error.clone()),
                Some(Looked::Found(found)) => {
                    let list = check.list;
                    let used = found.iter().find(|found| found.uses.is_none_or(|most| uses(Use { list, found, most })));
                    used.map_or(Answer::Miss, |found| Answer::Hit { key: found.key.clone(), reason: found.reason.clone() })
                }
            }),
        }
    }
}

/// What a check finds.
fn look(check: &CompiledCheck, row: &Row, time: i64, lists: &Lists, ops: &impl Ops) -> Looked {
    let value = match check.on.eval(row) {
        Ok(value) => value,
        Err(error) => return Looked::Failed(error.to_string()),
    };
    match known_by(&value).zip(lists.get(check.list)) {
        None => Looked::Found(Vec::new()),
        Some((value, list)) => list.find(&value, time, ops).map_or_else(|error| Looked::Failed(error.to_string()), Looked::Found),
    }
}

/// A row without its features, with room for a decision.
fn decided(row: Row, features: std::ops::Range<usize>) -> Row {
    let mut values = row.0.into_vec();
    values.truncate(features.end + WIDTH);
    values.drain(features);
    Row(values.into_boxed_slice())
}

fn shortened(row: Row, width: usize) -> Row {
    let mut values = row.0.into_vec();
    values.truncate(width);
    Row(values.into_boxed_slice())
}

fn exists_at(rule: &CompiledRule, time: i64) -> bool {
    rule.rule.from.is_none_or(|from| from <= time) && rule.rule.to.is_none_or(|to| time < to)
}

/// Whether a rule exists for a row, by its roll-out.
fn rolled_out(rule: &CompiledRule, row: &Row) -> Result<bool, String> {
    let Some(rollout) = &rule.rollout else { return Ok(true) };
    let value = rollout.by.eval(row).map_err(|error| error.to_string())?;
    Ok(known_by(&value).is_some_and(|value| bucket(&rollout.salt, &value) < rollout.share))
}

/// The hit of a rule, if it is one. Errors are told in `errors`.
fn evaluate(memo: &mut Memo, scenario: &CompiledScenario, place: usize, row: &Row, time: i64, errors: &mut Vec<Value>) -> Option<Hit> {
    let placed = &scenario.rules[place];
    let rule = &*placed.rule;
    let truth = rule.condition.test(row, memo);
    if truth == Truth::False || !exists_at(rule, time) {
        return None;
    }
    let mut failed = |error: String| errors.push(map([("rule", rule.name.clone()), ("error", Value::string(error))]));
    match rolled_out(rule, row) {
        Ok(true) => {}
        Ok(false) => return None,
        Err(error) => {
            failed(error);
            return None;
        }
    }
    let mut error = (truth == Truth::Error).then(|| rule.condition.error(memo).map(ToString::to_string).unwrap_or_default());
    let mut score = Value::Int(0);
    if error.is_none() || rule.rule.hit_on_error {
        match score_of(rule, row) {
            Ok(value) => score = value,
            Err(of_score) => error = error.or(Some(of_score)),
        }
    }
    let subject = match rule.subject.as_ref().map_or(Ok(Value::Null), |subject| subject.eval(row)) {
        Ok(subject) => subject,
        Err(of_subject) => {
            error = error.or_else(|| Some(of_subject.to_string()));
            Value::Null
        }
    };
    if let Some(error) = error {
        failed(error);
        if !rule.rule.hit_on_error {
            return None;
        }
    }
    let reason = rule.reason.as_ref().map_or(Value::Null, |reason| Value::string(reason.fill(row)));
    let values: Vec<(Value, Value)> = rule.names.iter().map(|named| (named.name.clone(), named.source.value(row).clone())).collect();
    let action = placed.action.map_or(Value::Null, |action| scenario.strategy.action(action));
    let shown = map([
        ("rule", rule.name.clone()),
        ("action", action),
        ("score", score.clone()),
        ("subject", subject),
        ("reason", reason),
        ("values", Value::map(values)),
    ]);
    Some(Hit { place, action: placed.action, score, shown })
}

fn score_of(rule: &CompiledRule, row: &Row) -> Result<Value, String> {
    match &rule.score {
        CompiledScore::Fixed(value) => Ok(value.clone()),
        CompiledScore::Computed(formula) => match formula.eval(row) {
            Ok(value) if value.as_f64().is_some() => Ok(value),
            Ok(value) => Err(format!("a score is a number, and this is {}", value.type_of())),
            Err(error) => Err(error.to_string()),
        },
    }
}

fn sum<'h>(hits: impl Iterator<Item = &'h Hit>) -> Value {
    hits.fold(Value::Int(0), |sum, hit| plus(&sum, &hit.score))
}

impl CompiledStrategy {
    fn action(&self, place: usize) -> Value {
        self.actions.get(place).cloned().unwrap_or_default()
    }

    /// The action that follows from hits, in the order of evaluation.
    fn decide<'h>(&self, hits: impl Iterator<Item = &'h Hit> + Clone, degraded: bool) -> usize {
        let gravest = || hits.clone().filter_map(|hit| hit.action).max();
        let decided = match &self.policy {
            CompiledPolicy::Worst => gravest(),
            CompiledPolicy::First => hits.clone().find_map(|hit| hit.action),
            CompiledPolicy::Score(bands) => {
                let score = sum(hits.clone()).as_f64().unwrap_or(0.0);
                let band = bands.iter().rev().find(|(from, _)| *from <= score).map(|(_, action)| *action);
                band.into_iter().chain(gravest()).max()
            }
        };
        decided.unwrap_or(self.default).max(if degraded { self.degraded } else { 0 })
    }
}

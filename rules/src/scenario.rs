//! Compiled scenarios, and all of them together.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::FixedState;
use tidegate_expr::{Problem, nearest};
use tidegate_rows::{Schema, Type, Value};

use crate::compile::{CompiledRule, Formula, RulePart, Scope, Uses};
use crate::condition::{Condition, Pool};
use crate::decision::{self, WIDTH};
use crate::factor::Factors;
use crate::index::{Index, Places};
use crate::lists::Lists;
use crate::model::{Mode, Policy, Rule, Scenario, Then};

/// The part of a scenario that a problem is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// `when`.
    When,
    /// The parameter with this name.
    Param(String),
    /// The list of the check in this place.
    CheckList(usize),
    /// What the check in this place looks up.
    CheckOn(usize),
    /// The action or the fact of the check in this place.
    CheckThen(usize),
    /// A part of the rule with this name.
    Rule(String, RulePart),
    /// The actions of the strategy.
    Actions,
    /// The default of the strategy.
    Default,
    /// What is the least for decisions with errors.
    Degraded,
    /// The action of the band in this place.
    Band(usize),
}

/// What is wrong with a scenario.
pub type Problems = Vec<(Part, Problem)>;

pub(crate) struct CompiledCheck {
    /// The place of the list.
    pub list: usize,
    /// Its name.
    pub name: Value,
    pub on: Formula,
    pub then: CompiledThen,
}

pub(crate) enum CompiledThen {
    Decide(usize),
    Fact(usize),
}

/// How hits become a decision, with actions by their places.
pub(crate) struct CompiledStrategy {
    pub policy: CompiledPolicy,
    pub actions: Vec<Value>,
    pub default: usize,
    pub degraded: usize,
}

pub(crate) enum CompiledPolicy {
    Worst,
    First,
    Score(Vec<(f64, usize)>),
}

/// A rule in its place.
pub(crate) struct Placed {
    pub rule: Arc<CompiledRule>,
    pub action: Option<usize>,
}

/// A compiled scenario.
pub struct CompiledScenario {
    pub(crate) scenario: Arc<Scenario>,
    pub(crate) name: Value,
    pub(crate) when: Option<Condition>,
    pub(crate) checks: Vec<CompiledCheck>,
    /// The rules in the order of the scenario.
    compiled: Vec<Arc<CompiledRule>>,
    /// The rules in the order of evaluation.
    pub(crate) rules: Vec<Placed>,
    pub(crate) live: Places,
    pub(crate) shadow: Places,
    /// The shadow rules.
    pub(crate) shadows: Vec<usize>,
    pub(crate) index: Index,
    pub(crate) strategy: CompiledStrategy,
    /// The number of facts.
    pub(crate) facts: usize,
}

/// Compiles scenarios over the rows of one stream.
#[derive(Clone, Debug)]
pub struct Compiler {
    /// The fields of the records, and behind them those of a decision, without names.
    schema: Schema,
    names: Vec<String>,
    lists: Lists,
    pool: Pool,
}

/// Warnings: parts that are valid and mean little.
pub type Warnings = Vec<(Part, String)>;

impl Compiler {
    /// Compiles over records of this schema.
    #[must_use]
    pub fn new(records: &Schema, lists: Lists) -> Self {
        Self::with_features(records, &[], lists)
    }

    /// Compiles over records of this schema that come with features: values behind their fields, which decisions don't carry.
    #[must_use]
    pub fn with_features(records: &Schema, features: &[(String, Type)], lists: Lists) -> Self {
        let mut schema = records.clone();
        for (name, ty) in features {
            schema.add(name.as_str(), ty.clone());
        }
        let names = schema.names().map(str::to_owned).collect();
        for (place, _) in decision::fields().iter().enumerate() {
            // A name that nothing can be called.
            let hidden = format!("\0{place}");
            schema.add(hidden.as_str(), Type::Any);
            schema.hide(&hidden);
        }
        Self { schema, names, lists, pool: Pool::default() }
    }

    /// The lists.
    #[must_use]
    pub fn lists(&self) -> &Lists {
        &self.lists
    }

    /// Compiles a scenario. What is as in `before` is taken over, unless `factors` have changed: `changed` tells which.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn scenario(
        &self,
        scenario: &Arc<Scenario>,
        factors: &Factors,
        before: Option<&CompiledScenario>,
        changed: &dyn Fn(&str) -> bool,
    ) -> Result<CompiledScenario, Problems> {
        let mut problems = Problems::new();
        let facts: Vec<String> =
            scenario.checks.iter().filter_map(|check| if let Then::Fact(name) = &check.then { Some(name.clone()) } else { None }).collect();
        self.check_names(scenario, &mut problems);
        let mut schema = self.schema.clone();
        for fact in &facts {
            schema.add(fact.as_str(), Type::Bool);
        }
        let scope = Scope { schema: &schema, facts: &facts, params: &scenario.params, factors, pool: &self.pool, scenario: &scenario.name };
        let bare = Scope { schema: &self.schema, facts: &[], ..scope };
        let when = scenario.when.as_ref().and_then(|text| match bare.condition(text) {
            Ok(condition) => Some(condition),
            Err(more) => {
                problems.extend(more.into_iter().map(|problem| (Part::When, problem)));
                None
            }
        });
        let strategy = compile_strategy(scenario, &mut problems);
        let checks = self.checks(scenario, &bare, &schema, &mut problems);
        let rules = rules(scenario, &scope, before, changed, &mut problems);
        if !problems.is_empty() {
            return Err(problems);
        }
        let compiled = rules.iter().map(|placed| Arc::clone(&placed.rule)).collect();
        let mut order = rules;
        order.sort_by_key(|placed| std::cmp::Reverse(placed.rule.rule.priority));
        let (mut live, mut shadow) = (Places::empty(order.len()), Places::empty(order.len()));
        let mut shadows = Vec::new();
        for (place, placed) in order.iter().enumerate() {
            match placed.rule.rule.mode {
                Mode::Live => live.add(place),
                Mode::Shadow => {
                    shadow.add(place);
                    shadows.push(place);
                }
                Mode::Off => {}
            }
        }
        let index = Index::new(order.iter().map(|placed| placed.rule.trigger.as_slice()));
        let name = Value::string(&scenario.name);
        Ok(CompiledScenario {
            scenario: Arc::clone(scenario),
            name,
            when,
            checks,
            compiled,
            rules: order,
            live,
            shadow,
            shadows,
            index,
            strategy,
            facts: facts.len(),
        })
    }

    fn check_names(&self, scenario: &Scenario, problems: &mut Problems) {
        let taken = |name: &str| self.names.iter().any(|field| field == name);
        for (name, _) in scenario.params.iter().filter(|(name, _)| taken(name)) {
            problems
                .push((Part::Param(name.clone()), whole(name, format!("there is a field `{name}`: a parameter needs a name of its own"))));
        }
        let mut seen: Vec<&str> = Vec::new();
        for (place, check) in scenario.checks.iter().enumerate() {
            if let Then::Fact(name) = &check.then {
                let message = if taken(name) {
                    format!("there is a field `{name}`: a fact needs a name of its own")
                } else if scenario.params.iter().any(|(param, _)| param == name) {
                    format!("there is a parameter `{name}`: a fact needs a name of its own")
                } else if seen.contains(&name.as_str()) {
                    format!("there is another fact `{name}`")
                } else {
                    seen.push(name);
                    continue;
                };
                problems.push((Part::CheckThen(place), whole(name, message)));
            }
        }
    }

    fn checks(&self, scenario: &Scenario, scope: &Scope<'_>, schema: &Schema, problems: &mut Problems) -> Vec<CompiledCheck> {
        let mut checks = Vec::new();
        for (place, check) in scenario.checks.iter().enumerate() {
            let list = self.lists.place(&check.list);
            if list.is_none() {
                let problem = unknown(&check.list, &format!("no list is called `{}`", check.list), self.lists.names());
                problems.push((Part::CheckList(place), problem));
            }
            let on = match scope.formula(&check.on, &mut Uses::default()) {
                Ok(on) => on,
                Err(more) => {
                    problems.extend(more.into_iter().map(|problem| (Part::CheckOn(place), problem)));
                    continue;
                }
            };
            if matches!(on.ty(), Type::List(_) | Type::Map(..) | Type::Bytes) {
                let message = format!("lists have text and numbers as keys, and this is of type {}", on.ty());
                problems.push((Part::CheckOn(place), whole(&check.on, message)));
            }
            let then = match &check.then {
                Then::Decide(action) => action_of(scenario, action, || Part::CheckThen(place), problems).map(CompiledThen::Decide),
                Then::Fact(name) => schema.slot(name).map(CompiledThen::Fact),
            };
            if let (Some(list), Some(then)) = (list, then) {
                checks.push(CompiledCheck { list, name: Value::string(&check.list), on, then });
            }
        }
        checks
    }
}

/// The compiled rules in the order of the scenario, and their actions.
fn rules(
    scenario: &Scenario,
    scope: &Scope<'_>,
    before: Option<&CompiledScenario>,
    changed: &dyn Fn(&str) -> bool,
    problems: &mut Problems,
) -> Vec<Placed> {
    // Facts and new parameters give names another meaning, or take it away.
    let names = |of: &Scenario| of.params.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    let before = before.filter(|before| before.scenario.checks == scenario.checks && names(&before.scenario) == names(scenario));
    let params: Vec<&str> = before
        .iter()
        .flat_map(|before| before.scenario.params.iter().zip(&scenario.params))
        .filter(|(old, new)| old.1 != new.1)
        .map(|(_, (name, _))| name.as_str())
        .collect();
    let mut taken = Taken::of(before);
    let mut rules = Vec::with_capacity(scenario.rules.len());
    for (place, rule) in scenario.rules.iter().enumerate() {
        let action = match &rule.action {
            None => None,
            Some(action) => action_of(scenario, action, || Part::Rule(rule.name.clone(), RulePart::Action), problems),
        };
        let kept = taken.find(place, rule).filter(|kept| {
            let of = &kept.uses;
            !of.factors.iter().any(|name| changed(name)) && !of.params.iter().any(|name| params.contains(&name.as_str()))
        });
        match kept {
            Some(kept) => rules.push(Placed { rule: Arc::clone(kept), action }),
            None => match scope.rule(rule) {
                Ok(compiled) => rules.push(Placed { rule: Arc::new(compiled), action }),
                Err(more) => problems.extend(more.into_iter().map(|(part, problem)| (Part::Rule(rule.name.clone(), part), problem))),
            },
        }
    }
    rules
}

/// The rules of the version before.
struct Taken<'b> {
    before: Option<&'b CompiledScenario>,
    /// By what they were compiled from, once one is not where it was.
    moved: Option<HashMap<*const Rule, &'b Arc<CompiledRule>, FixedState>>,
}

impl<'b> Taken<'b> {
    fn of(before: Option<&'b CompiledScenario>) -> Self {
        Self { before, moved: None }
    }

    fn find(&mut self, place: usize, rule: &Arc<Rule>) -> Option<&'b Arc<CompiledRule>> {
        let all = &self.before?.compiled;
        if let Some(same) = all.get(place).filter(|same| Arc::ptr_eq(&same.rule, rule)) {
            return Some(same);
        }
        let moved = self.moved.get_or_insert_with(|| all.iter().map(|compiled| (Arc::as_ptr(&compiled.rule), compiled)).collect());
        moved.get(&Arc::as_ptr(rule)).copied()
    }
}

fn compile_strategy(scenario: &Scenario, problems: &mut Problems) -> CompiledStrategy {
    let strategy = &scenario.strategy;
    if strategy.actions.is_empty() {
        problems.push((Part::Actions, whole("", "there are no actions".to_owned())));
    }
    let default = strategy.default.as_ref().and_then(|action| action_of(scenario, action, || Part::Default, problems)).unwrap_or(0);
    let degraded = strategy.degraded.as_ref().and_then(|action| action_of(scenario, action, || Part::Degraded, problems)).unwrap_or(0);
    let policy = match &strategy.policy {
        Policy::Worst => CompiledPolicy::Worst,
        Policy::First => CompiledPolicy::First,
        Policy::Score(bands) => CompiledPolicy::Score(
            bands
                .iter()
                .enumerate()
                .filter_map(|(place, band)| Some((band.from, action_of(scenario, &band.action, || Part::Band(place), problems)?)))
                .collect(),
        ),
    };
    CompiledStrategy { policy, actions: strategy.actions.iter().map(Value::string).collect(), default, degraded }
}

fn action_of(scenario: &Scenario, action: &str, part: impl FnOnce() -> Part, problems: &mut Problems) -> Option<usize> {
    let actions = &scenario.strategy.actions;
    let place = actions.iter().position(|known| known == action);
    if place.is_none() {
        problems.push((part(), unknown(action, &format!("no action is called `{action}`"), actions.iter().map(String::as_str))));
    }
    place
}

/// A problem of an unknown name, with the nearest one, or else with all.
fn unknown<'n>(name: &str, message: &str, names: impl Iterator<Item = &'n str>) -> Problem {
    let names: Vec<&str> = names.collect();
    let nearest = nearest(name, names.iter().copied());
    let listed: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    let message = match (&nearest, listed.is_empty()) {
        (Some(_), _) | (None, true) => message.to_owned(),
        (None, false) => format!("{message}; there are {}", listed.join(", ")),
    };
    Problem { nearest, ..whole(name, message) }
}

fn whole(text: &str, message: String) -> Problem {
    Problem { span: 0..text.len(), message, nearest: None, constant: false }
}

impl CompiledScenario {
    /// What is valid and probably not meant: conditions that can never hold.
    #[must_use]
    pub fn warnings(&self) -> Warnings {
        let never = |condition: &Condition| matches!(condition, Condition::Const(false));
        let when = self
            .when
            .iter()
            .filter(|when| never(when))
            .map(|_| (Part::When, "this never holds, so the scenario has no records".to_owned()));
        let rules = self.rules.iter().filter(|placed| never(&placed.rule.condition));
        let rules = rules.map(|placed| (Part::Rule(placed.rule.rule.name.clone(), RulePart::If), "this never holds".to_owned()));
        when.chain(rules).collect()
    }
}

/// All scenarios of one version.
#[derive(Default)]
pub struct Rules {
    pub(crate) scenarios: Vec<Arc<CompiledScenario>>,
    /// The number of slots that facts take.
    pub(crate) facts: usize,
    /// The number of values behind the fields of a record that decisions don't carry.
    pub(crate) features: usize,
    /// The version.
    pub(crate) version: u64,
}

impl Rules {
    /// These scenarios, as a version.
    #[must_use]
    pub fn new(scenarios: Vec<Arc<CompiledScenario>>, version: u64) -> Self {
        let facts = scenarios.iter().map(|scenario| scenario.facts).max().unwrap_or(0);
        Self { scenarios, facts, features: 0, version }
    }

    /// Over records that come with so many features.
    #[must_use]
    pub fn with_features(self, features: usize) -> Self {
        Self { features, ..self }
    }

    /// The scenarios.
    #[must_use]
    pub fn scenarios(&self) -> &[Arc<CompiledScenario>] {
        &self.scenarios
    }

    /// The version.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The number of values that a record has while it is judged.
    pub(crate) fn room(&self) -> usize {
        WIDTH + self.facts
    }
}

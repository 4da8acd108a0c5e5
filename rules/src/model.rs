//! What people write: scenarios, checks, rules, strategies. Expressions are text.

use std::sync::Arc;

use tidegate_rows::Value;

/// A kind of event that needs a decision, and how to come to it.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// The condition on a record to be of this scenario. `None`: every record is.
    pub when: Option<String>,
    /// The parameters: names that stand for values in the expressions of the rules.
    pub params: Vec<(String, Value)>,
    /// The list checks, in the order in which they are made.
    pub checks: Vec<Check>,
    /// The rules, in order. Each has a name of its own.
    pub rules: Vec<Arc<Rule>>,
    /// How hits become a decision.
    pub strategy: Strategy,
}

/// A look into a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// The name of the list.
    pub list: String,
    /// The expression whose value is looked up.
    pub on: String,
    /// What a hit means.
    pub then: Then,
}

/// What it means that a value is on a list.
#[derive(Clone, Debug, PartialEq)]
pub enum Then {
    /// It decides: this action, and nothing else is asked.
    Decide(String),
    /// It is a fact, which rules can use by this name.
    Fact(String),
}

/// A condition and what follows from it.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// The condition.
    pub condition: String,
    /// What to do. `None`: the rule only scores.
    pub action: Option<String>,
    /// What a hit adds to the score.
    pub score: Score,
    /// Why, in words; `{name}` stands for a value.
    pub reason: Option<String>,
    /// The expression for who or what a hit is about.
    pub subject: Option<String>,
    /// Rules with a higher one come first.
    pub priority: i64,
    /// Whether it takes part.
    pub mode: Mode,
    /// From when on it exists: event time in milliseconds.
    pub from: Option<i64>,
    /// Until when it exists, exclusively: event time in milliseconds.
    pub to: Option<i64>,
    /// For whom it exists.
    pub rollout: Option<Rollout>,
    /// Whether an error counts as a hit.
    pub hit_on_error: bool,
}

/// What a hit adds to the score.
#[derive(Clone, Debug, PartialEq)]
pub enum Score {
    /// This number.
    Fixed(Value),
    /// The value of an expression.
    Computed(String),
}

impl Default for Score {
    fn default() -> Self {
        Self::Fixed(Value::Int(0))
    }
}

/// Whether a rule takes part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// It does.
    #[default]
    Live,
    /// It is evaluated and reported, and changes nothing.
    Shadow,
    /// It does not.
    Off,
}

/// A share of all values for which a rule exists.
#[derive(Clone, Debug, PartialEq)]
pub struct Rollout {
    /// The share, in hundredths of a percent, from 0 to 10,000.
    pub share: u32,
    /// The expression for the value that decides.
    pub by: String,
    /// What mixes the values. `None`: the name of the rule.
    pub salt: Option<String>,
}

/// How hits become a decision.
#[derive(Clone, Debug, PartialEq)]
pub struct Strategy {
    /// Which hits count.
    pub policy: Policy,
    /// All actions, from mild to grave.
    pub actions: Vec<String>,
    /// The action when nothing decides. `None`: the mildest.
    pub default: Option<String>,
    /// The least action of a decision with errors.
    pub degraded: Option<String>,
}

impl Default for Strategy {
    fn default() -> Self {
        let actions = ["accept", "review", "reject"].map(str::to_owned).to_vec();
        Self { policy: Policy::Worst, actions, default: None, degraded: None }
    }
}

/// Which hits count.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Policy {
    /// The gravest action of all hits.
    #[default]
    Worst,
    /// The first hit that has an action, by priority. Rules after it are not evaluated.
    First,
    /// The band of the score. Actions of hits are the least.
    Score(Vec<Band>),
}

/// The scores from which on an action follows.
#[derive(Clone, Debug, PartialEq)]
pub struct Band {
    /// The lowest score of the band.
    pub from: f64,
    /// The action.
    pub action: String,
}

impl Scenario {
    /// A scenario of every record, without rules.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Of the records for which this holds.
    #[must_use]
    pub fn when(self, condition: impl Into<String>) -> Self {
        Self { when: Some(condition.into()), ..self }
    }

    /// With a parameter.
    #[must_use]
    pub fn param(mut self, name: impl Into<String>, value: Value) -> Self {
        self.params.push((name.into(), value));
        self
    }

    /// With a look into a list, after those before.
    #[must_use]
    pub fn check(mut self, list: impl Into<String>, on: impl Into<String>, then: Then) -> Self {
        self.checks.push(Check { list: list.into(), on: on.into(), then });
        self
    }

    /// With a rule, after those before.
    #[must_use]
    pub fn rule(mut self, rule: Rule) -> Self {
        self.rules.push(Arc::new(rule));
        self
    }

    /// With a strategy.
    #[must_use]
    pub fn strategy(self, strategy: Strategy) -> Self {
        Self { strategy, ..self }
    }
}

impl Rule {
    /// A rule that only notes its hits.
    #[must_use]
    pub fn new(name: impl Into<String>, condition: impl Into<String>) -> Self {
        Self { name: name.into(), condition: condition.into(), ..Self::default() }
    }

    /// With an action.
    #[must_use]
    pub fn action(self, action: impl Into<String>) -> Self {
        Self { action: Some(action.into()), ..self }
    }

    /// With a score.
    #[must_use]
    pub fn score(self, score: Value) -> Self {
        Self { score: Score::Fixed(score), ..self }
    }

    /// With a reason.
    #[must_use]
    pub fn reason(self, reason: impl Into<String>) -> Self {
        Self { reason: Some(reason.into()), ..self }
    }
}

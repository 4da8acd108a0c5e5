//! Compiles scenarios. What has not changed since the last version is taken over.

use std::sync::Arc;

use tidegate_expr::{Called, Operator, Shape};
use tidegate_expr::{EvalError, Expr, Problem, Rewrite, Tree, nearest};
use tidegate_rows::{Row, Schema, Type, Value};

use crate::condition::{Condition, Pool};
use crate::factor::{Factors, suggest};
use crate::model::{Rollout, Rule, Score};
use crate::template::Template;

/// Where an expression takes a value from.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    Slot(usize),
    Param(Value),
}

impl Source {
    pub fn value<'v>(&'v self, row: &'v Row) -> &'v Value {
        match self {
            Self::Slot(slot) => row.get(*slot),
            Self::Param(value) => value,
        }
    }
}

/// A name with its value.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    pub name: Value,
    pub source: Source,
}

/// What the expressions of a scenario can use.
pub(crate) struct Scope<'a> {
    /// The fields of the rows, and the facts.
    pub schema: &'a Schema,
    /// The names of the facts.
    pub facts: &'a [String],
    pub params: &'a [(String, Value)],
    pub factors: &'a Factors,
    pub pool: &'a Pool,
    pub scenario: &'a str,
}

/// An expression that is not a condition.
#[derive(Clone, Debug)]
pub(crate) struct Formula(Expr);

impl Formula {
    pub fn eval(&self, row: &Row) -> Result<Value, EvalError> {
        self.0.eval(row)
    }

    pub fn ty(&self) -> &Type {
        self.0.ty()
    }
}

/// What an expression uses that can change.
#[derive(Clone, Debug, Default)]
pub(crate) struct Uses {
    pub factors: Vec<String>,
    pub params: Vec<String>,
}

impl Uses {
    fn param(&mut self, name: &str) {
        if !self.params.iter().any(|known| known == name) {
            self.params.push(name.to_owned());
        }
    }
}

/// An expression with its factors and parameters put in.
struct Expanded {
    tree: Tree,
    /// The names it is about, factors looked through.
    names: Vec<Named>,
}

impl Scope<'_> {
    /// The value of a parameter.
    fn param(&self, name: &str) -> Option<&Value> {
        self.params.iter().find(|(param, _)| param == name).map(|(_, value)| value)
    }

    /// What a name stands for.
    fn find(&self, name: &str) -> Option<Named> {
        let source = match self.param(name) {
            Some(value) => Source::Param(value.clone()),
            None => Source::Slot(self.schema.slot(name)?),
        };
        Some(Named { name: Value::string(name), source })
    }

    fn expand(&self, text: &str, uses: &mut Uses) -> Result<Expanded, Vec<Problem>> {
        let parsed = Tree::parse(text).map_err(|problem| vec![problem])?;
        let tree = self.factors.expand(&parsed, &mut uses.factors).map_err(|problem| vec![problem])?;
        let found = tree.names();
        let names = found.iter().filter_map(|name| self.find(name)).collect();
        found.iter().filter(|name| self.param(name).is_some()).for_each(|name| uses.param(name));
        let tree = tree.rewrite(&Params(self.params)).map_err(|problem| vec![problem])?;
        Ok(Expanded { tree, names })
    }

    /// Problems with what may have been meant, without those that come from factors which have been reported.
    fn told(&self, problems: Vec<Problem>) -> Vec<Problem> {
        let broken = |problem: &Problem| {
            let called = problem.message.strip_prefix("unknown function `").and_then(|rest| rest.split('`').next());
            called.is_some_and(|name| self.factors.is_broken(name))
        };
        let of_param = |mut problem: Problem| {
            let unknown = problem.message.strip_prefix("unknown field `").and_then(|rest| rest.split('`').next());
            if problem.nearest.is_none()
                && let Some(name) = unknown
            {
                problem.nearest = nearest(name, self.params.iter().map(|(param, _)| param.as_str()));
            }
            suggest(self.factors, problem)
        };
        problems.into_iter().filter(|problem| !broken(problem)).map(of_param).collect()
    }

    /// Whether a tree is about facts, which have another meaning in each scenario.
    fn of(&self, names: &[Named]) -> String {
        let own = names.iter().any(|named| named.name.as_str().is_some_and(|name| self.facts.iter().any(|fact| fact == name)));
        if own { format!("{}\n", self.scenario) } else { String::new() }
    }

    fn condition_of(&self, text: &str, uses: &mut Uses) -> Result<(Condition, Expanded), Vec<Problem>> {
        let compiled = self.expand(text, uses).and_then(|expanded| {
            let of = self.of(&expanded.names);
            Ok((Condition::compile(&expanded.tree, self.schema, self.pool, &of)?, expanded))
        });
        compiled.map_err(|problems| self.told(problems))
    }

    /// Compiles a condition.
    pub fn condition(&self, text: &str) -> Result<Condition, Vec<Problem>> {
        self.condition_of(text, &mut Uses::default()).map(|(condition, _)| condition)
    }

    /// Compiles an expression.
    pub fn formula(&self, text: &str, uses: &mut Uses) -> Result<Formula, Vec<Problem>> {
        let compiled = self.expand(text, uses).and_then(|expanded| expanded.tree.compile(self.schema));
        compiled.map(Formula).map_err(|problems| self.told(problems))
    }

    /// Compiles a rule.
    pub fn rule(&self, rule: &Arc<Rule>) -> Result<CompiledRule, Vec<(RulePart, Problem)>> {
        let mut problems = Vec::new();
        let mut uses = Uses::default();
        let mut report = |part, more: Vec<Problem>| problems.extend(more.into_iter().map(|problem| (part, problem)));
        let condition = self.condition_of(&rule.condition, &mut uses).map_err(|more| report(RulePart::If, more)).ok();
        let score = match &rule.score {
            Score::Fixed(value) => Some(CompiledScore::Fixed(value.clone())),
            Score::Computed(text) => match self.formula(text, &mut uses) {
                Ok(formula) if !matches!(formula.ty(), Type::Int | Type::Uint | Type::Double | Type::Decimal | Type::Any) => {
                    let message = format!("a score is a number, and this is of type {}", formula.ty());
                    report(RulePart::Score, vec![Problem { span: 0..text.len(), message, nearest: None, constant: false }]);
                    None
                }
                Ok(formula) => Some(CompiledScore::Computed(formula)),
                Err(more) => {
                    report(RulePart::Score, more);
                    None
                }
            },
        };
        let mut optional = |part, text: Option<&String>, uses: &mut Uses| match text.map(|text| self.formula(text, uses)) {
            None => None,
            Some(Ok(formula)) => Some(formula),
            Some(Err(more)) => {
                report(part, more);
                None
            }
        };
        let subject = optional(RulePart::Subject, rule.subject.as_ref(), &mut uses);
        let by = optional(RulePart::By, rule.rollout.as_ref().map(|rollout| &rollout.by), &mut uses);
        let reason = rule.reason.as_ref().and_then(|text| {
            let names: Vec<&str> = self.schema.names().chain(self.params.iter().map(|(name, _)| name.as_str())).collect();
            let find = |name: &str| {
                if self.param(name).is_some() {
                    uses.param(name);
                }
                self.find(name)
            };
            Template::compile(text, find, &names).map_err(|problem| report(RulePart::Reason, vec![problem])).ok()
        });
        let (Some((condition, expanded)), Some(score), true) = (condition, score, problems.is_empty()) else { return Err(problems) };
        let rollout = rule.rollout.as_ref().zip(by).map(|(Rollout { share, salt, .. }, by)| CompiledRollout {
            share: *share,
            by,
            salt: salt.clone().unwrap_or_else(|| rule.name.clone()),
        });
        let trigger = trigger(&expanded.tree, self.schema);
        Ok(CompiledRule {
            rule: Arc::clone(rule),
            name: Value::string(&rule.name),
            condition,
            trigger,
            names: expanded.names,
            score,
            subject,
            reason,
            rollout,
            uses,
        })
    }
}

struct Params<'p>(&'p [(String, Value)]);

impl Rewrite for Params<'_> {
    fn field(&self, name: &str) -> Option<Tree> {
        self.0.iter().find(|(param, _)| param == name).map(|(_, value)| Tree::value(value.clone()))
    }

    fn call(&self, _: &Called<'_>) -> Result<Option<Tree>, Problem> {
        Ok(None)
    }
}

/// The part of a rule that a problem is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RulePart {
    /// Its condition.
    If,
    /// Its action.
    Action,
    /// Its score.
    Score,
    /// Its reason.
    Reason,
    /// Its subject.
    Subject,
    /// The value that its roll-out goes by.
    By,
}

#[derive(Clone, Debug)]
pub(crate) enum CompiledScore {
    Fixed(Value),
    Computed(Formula),
}

#[derive(Clone, Debug)]
pub(crate) struct CompiledRollout {
    pub share: u32,
    pub by: Formula,
    pub salt: String,
}

/// A compiled rule.
#[derive(Clone, Debug)]
pub(crate) struct CompiledRule {
    pub rule: Arc<Rule>,
    pub name: Value,
    pub condition: Condition,
    /// Values of fields without one of which it can't hold.
    pub trigger: Vec<Trigger>,
    /// The names that its condition is about.
    pub names: Vec<Named>,
    pub score: CompiledScore,
    pub subject: Option<Formula>,
    pub reason: Option<Template>,
    pub rollout: Option<CompiledRollout>,
    pub uses: Uses,
}

/// A rule can only hold if the field in this slot has one of these values.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Trigger {
    pub slot: usize,
    pub values: Vec<Value>,
}

impl Trigger {
    /// For tests that fail on null: an error has to be told.
    fn or_null(mut self) -> Self {
        self.values.push(Value::Null);
        self
    }
}

/// The tests for equality without which a condition is false: those among its `&&`.
fn trigger(tree: &Tree, schema: &Schema) -> Vec<Trigger> {
    let mut found = Vec::new();
    collect(tree, schema, &mut found);
    found
}

fn collect(tree: &Tree, schema: &Schema, found: &mut Vec<Trigger>) {
    // Only where equal values have one form: `1` and `1.0` are equal, too.
    let one = |name: &str, values: Vec<&Value>| {
        let field = schema.named(name)?;
        let fits = |value: &&Value| {
            matches!(
                (value, &field.ty),
                (Value::String(_), Type::String | Type::Any) | (Value::Int(_), Type::Int) | (Value::Bool(_), Type::Bool)
            )
        };
        let slot = schema.slot(name)?;
        values.iter().all(fits).then(|| Trigger { slot, values: values.into_iter().cloned().collect() })
    };
    match tree.shape() {
        Shape::Op(Operator::And, terms) => terms.iter().for_each(|term| collect(term, schema, found)),
        Shape::Op(Operator::Eq, [a, b]) => {
            if let (Shape::Field(name), Shape::Value(value)) | (Shape::Value(value), Shape::Field(name)) = (a.shape(), b.shape()) {
                found.extend(one(name, vec![value]));
            }
        }
        Shape::Op(Operator::In, [a, b]) => {
            if let (Shape::Field(name), Shape::List(items)) = (a.shape(), b.shape()) {
                let values = items.iter().map(|(item, _)| if let Shape::Value(value) = item.shape() { Some(value) } else { None });
                found.extend(values.collect::<Option<Vec<_>>>().and_then(|values| one(name, values)).map(Trigger::or_null));
            }
        }
        // A field alone is a condition, too.
        Shape::Field(name) => found.extend(one(name, vec![&Value::Bool(true)]).map(Trigger::or_null)),
        _ => {}
    }
}

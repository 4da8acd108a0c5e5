//! What a pattern looks for: its shape with compiled conditions, and how they are judged over rows.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use tidegate_cep::{Candidate, Condition, Engine, Invalid, Judge, Limit, Matched, Pattern as Shape, Search};
use tidegate_expr::{Expr, identifiers};
use tidegate_rows::{Row, Schema, Type, Value};
use tidegate_runtime::Error;
use tidegate_runtime::metrics::OperatorMetrics;

use super::Pattern;
use super::form::{taking, with};
use crate::relation::expression::located;
use crate::relation::failures::Failures;
use crate::text::{Problem, Spanned};

/// A pattern with compiled conditions.
#[derive(Clone)]
pub(crate) struct Sought {
    shape: Shape<Asked>,
    pub(super) events: Events,
    limit: Limit,
}

impl Sought {
    /// Compiles the conditions of a pattern over rows of this schema.
    pub(crate) fn compile(pattern: &Pattern, events: &Schema, problems: &mut Vec<Problem>) -> Self {
        let steps = taking(&pattern.shape.steps);
        let fields = fields_beside(&steps, events);
        let conditions = Conditions { fields: &fields, steps: &steps };
        let shape = with(&pattern.shape, &mut |text: &Spanned<String>| conditions.compile(text, problems));
        Self { shape, events: Events::new(events), limit: pattern.limit }
    }

    /// The engine that it runs on.
    pub(crate) fn engine(&self, pattern: &Pattern, problems: &mut Vec<Problem>) -> Option<Engine> {
        match Search::<Row, _>::new(self.shape.clone()) {
            Ok(search) => Some(search.engine()),
            Err(Invalid(found)) => {
                problems.extend(found.iter().map(|misuse| pattern.place.problem(misuse.to_string())));
                None
            }
        }
    }

    /// Makes the search for one worker.
    ///
    /// # Errors
    /// If the pattern is invalid, which the planner has already ruled out.
    pub(crate) fn search(&self, failures: Failures, metrics: Arc<OperatorMetrics>) -> Result<Search<Row, Judged>, Invalid> {
        let bench = Rc::new(Bench { events: self.events.clone(), failures: RefCell::new(failures), metrics, failed: RefCell::new(None) });
        let mut judged = |asked: &Asked| Some(Judged { asked: asked.clone(), bench: Rc::clone(&bench) });
        Ok(Search::new(with(&self.shape, &mut judged))?.limit(self.limit))
    }
}

/// A compiled condition. It is evaluated on the fields of the event, followed by a list of events for each of these steps.
#[derive(Clone)]
struct Asked {
    expr: Expr,
    steps: Arc<[String]>,
}

impl Condition for Asked {
    fn is_iterative(&self) -> bool {
        !self.steps.is_empty()
    }
}

/// Converts events to maps.
#[derive(Clone)]
pub(super) struct Events {
    /// The fields with their slots.
    names: Arc<[(usize, Value)]>,
    /// The slot of the rest, whose entries become fields of the map.
    rest: Option<usize>,
    width: usize,
}

impl Events {
    fn new(schema: &Schema) -> Self {
        let names = schema.fields().map(|(slot, field)| (slot, Value::string(&field.name)));
        Self { names: names.collect(), rest: schema.rest(), width: schema.width() }
    }

    pub(super) fn map(&self, row: &Row) -> Value {
        let mut entries = Vec::with_capacity(self.names.len());
        for (slot, name) in self.names.iter().filter(|(slot, _)| row.has(*slot)) {
            entries.push((name.clone(), row.get(*slot).clone()));
        }
        if let Some(Value::Map(more)) = self.rest.map(|slot| row.get(slot)) {
            entries.extend(more.iter().cloned());
        }
        Value::map(entries)
    }

    /// The fields of the event, followed by the events of each of these steps.
    fn with_steps(&self, row: &Row, matched: &Matched<'_, Row>, steps: &[String]) -> Row {
        let fields = row.0.iter().take(self.width).cloned();
        fields.chain(steps.iter().map(|step| Value::list(matched.of(step).into_iter().map(|event| self.map(event))))).collect()
    }
}

/// The fields of an event in conditions, next to the steps. If records may or may not have a field with the name of a
/// step, the name means the step.
fn fields_beside(steps: &[Arc<str>], input: &Schema) -> Schema {
    let mut fields = input.clone();
    for step in steps {
        if !fields.declares(step) {
            fields.hide(step);
        }
    }
    fields
}

/// The type of a step in an expression.
pub(super) fn lists() -> Type {
    Type::List(Box::new(Type::map()))
}

/// Compiles the conditions of a pattern.
struct Conditions<'a> {
    fields: &'a Schema,
    steps: &'a [Arc<str>],
}

impl Conditions<'_> {
    fn compile(&self, text: &Spanned<String>, problems: &mut Vec<Problem>) -> Option<Asked> {
        let names = identifiers(&text.value);
        let named: Vec<String> = self.steps.iter().filter(|s| names.iter().any(|n| **n == ***s)).map(ToString::to_string).collect();
        // First try without steps: what looks like a step may be the variable of a macro.
        let alone = Expr::condition(&text.value, self.fields);
        if let Some(both) = named.iter().find(|name| self.fields.slot(name).is_some()) {
            let message = format!("`{both}` is both a field and a step of the pattern: give the step another name");
            problems.push(text.problem(message));
            return None;
        }
        if let Ok(expr) = alone {
            return Some(Asked { expr, steps: Arc::from([]) });
        }
        let compiled = Expr::condition(&text.value, &self.fields_and(&named));
        // If it doesn't compile, try with all steps, so that the problems can suggest any of them.
        let all: Vec<String> = self.steps.iter().map(ToString::to_string).collect();
        match compiled.or_else(|_| Expr::condition(&text.value, &self.fields_and(&all))) {
            Ok(expr) => Some(Asked { expr, steps: named.into() }),
            Err(found) => {
                problems.extend(found.into_iter().map(|problem| located(text, 0, problem)));
                None
            }
        }
    }

    fn fields_and(&self, steps: &[String]) -> Schema {
        let mut schema = self.fields.clone();
        for step in steps {
            schema.add(step.clone(), lists());
        }
        schema
    }
}

/// A condition that is evaluated on one worker.
pub(crate) struct Judged {
    asked: Asked,
    bench: Rc<Bench>,
}

/// What the conditions of a pattern share on one worker.
struct Bench {
    events: Events,
    failures: RefCell<Failures>,
    metrics: Arc<OperatorMetrics>,
    /// The last event that a condition failed on. It is counted once, even if several conditions or partial matches fail on it.
    failed: RefCell<Option<(i64, Row)>>,
}

impl Condition for Judged {
    fn is_iterative(&self) -> bool {
        self.asked.is_iterative()
    }
}

impl Judge<Row> for Judged {
    fn holds(&self, candidate: &Candidate<'_, Row>) -> Result<bool, Error> {
        let Asked { expr, steps } = &self.asked;
        let result = if steps.is_empty() {
            expr.test(candidate.event)
        } else {
            expr.test(&self.bench.events.with_steps(candidate.event, &candidate.matched, steps))
        };
        result.or_else(|error| self.bench.failed(expr, &error.to_string(), candidate))
    }
}

impl Bench {
    /// Reports a failure. An event on which a condition fails does not match it.
    fn failed(&self, expr: &Expr, error: &str, candidate: &Candidate<'_, Row>) -> Result<bool, Error> {
        self.failures.borrow_mut().report(expr, error, candidate.event)?;
        let mut last = self.failed.borrow_mut();
        if !last.as_ref().is_some_and(|(time, row)| *time == candidate.time && row == candidate.event) {
            self.metrics.failed.add(1);
            *last = Some((candidate.time, candidate.event.clone()));
        }
        Ok(false)
    }
}


//! Plans patterns: compiles their conditions over rows, and turns matches into rows.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use tidegate_cep::operator::PATTERN;
use tidegate_cep::{Candidate, CepLogic, Condition, Found, Invalid, Judge, Limit, Matched, Pattern as Shape, Search, Sequence};
use tidegate_rows::{Row, Schema, Type, Value};
use tidegate_runtime::Error;
use tidegate_runtime::metrics::OperatorMetrics;

use tidegate_expr::{Expr, identifiers, identifiers_and_sizes, size_field};
use tidegate_operators::Stream;
use tidegate_runtime::{OperatorSpec, operator};

use super::form::{form, taking, with};
use super::Pattern;
use crate::relation::each::Each;
use crate::relation::expression::located;
use crate::relation::failures::Failures;
use crate::relation::key::RowKey;
use crate::relation::known::{Known, Timing};
use crate::relation::pipeline::Base;
use crate::relation::updates::Updates;
use crate::stage::build::{Built, Rows, Site, Work, bound, filtered, kinds};
use crate::stage::keyed::{self, PlannedKey};
use crate::stage::kind::{Head, Planned, Refused, Scope};
use crate::text::{Problem, Spanned};

/// A planned pattern.
#[derive(Clone)]
struct Patterned {
    key: PlannedKey,
    pattern: Shape<Asked>,
    /// The slot that orders events of the same time.
    tie_break: Option<usize>,
    processing_time: bool,
    limit: Limit,
    events: Events,
    /// The columns after the fields of a match.
    columns: Arc<[Column]>,
    /// Whether the field `match` is used.
    by_step: bool,
    /// A description for explaining the plan.
    label: String,
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

/// A column about the events of a step.
#[derive(Clone)]
enum Column {
    /// The events, as a list.
    Events(Arc<str>),
    /// The number of events.
    Count(Arc<str>),
    /// Null, since nothing uses the events.
    Nothing,
}

/// Converts events to maps.
#[derive(Clone)]
struct Events {
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

    fn map(&self, row: &Row) -> Value {
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

/// Plans a pattern. Its output rows are matches; `where` and `select` also see the events of each step.
pub(super) fn plan(pattern: &Pattern, scope: &Scope<'_>) -> Result<Planned, Refused> {
    let (head, input) = (scope.head, scope.input);
    let timing = match pattern.processing_time {
        false => Timing::Timed,
        true => Timing::Untimed(format!(
            "the pattern of `{}` goes by the wall clock: let it, or not what reads it, go by event time",
            head.name.value
        )),
    };
    match compile(pattern, head, scope.each, input) {
        Ok((work, seen, handed)) => {
            let out = Known::new(seen.clone(), timing, head.keyed());
            let base = Base { handed_on: handed.width(), ..Base::new(seen) };
            let records = Some(keyed::rows(head, &input.schema));
            let basis = Some(keyed::basis(head, &input.schema, records, Some(form(&pattern.shape))));
            let origin = input.origin.clone();
            Ok(Planned { base, out, origin, work: Arc::new(work), basis, late: None, timeouts: Some(handed) })
        }
        Err((problems, seen, handed_on)) => Err(scope.refused(problems, Base { handed_on, ..Base::new(seen) }, timing)),
    }
}

/// A planned pattern, the fields that `where` and `select` see, and the first of those, which are handed on by default.
type Compiled = (Patterned, Schema, Schema);

/// Compiles a pattern.
///
/// # Errors
/// The problems, the fields that `where` and `select` would see, and how many of them are handed on by default.
fn compile(pattern: &Pattern, head: &Head, each: &Each, input: &Known) -> Result<Compiled, (Vec<Problem>, Schema, usize)> {
    let mut problems = Vec::new();
    let mut schema = Schema::default();
    let key = PlannedKey::plan(head, input, &mut schema, &mut problems);
    if let (false, Timing::Untimed(remedy)) = (pattern.processing_time, &input.timing) {
        let untimed = head.untimed(remedy);
        problems.push(pattern.place.problem(format!("a pattern is over event time unless it says `time: processing`, and {untimed}")));
    }
    Updates::refuse(input.updates.as_ref(), &pattern.place, "a pattern", &mut problems);
    add_fields_of_match(head, &mut schema, &mut problems);
    let tie_break = pattern.tie_break.as_ref().and_then(|field| {
        let slot = input.schema.slot(&field.value);
        if slot.is_none() {
            problems.push(field.problem(format!("unknown field `{}`", field.value)).near(&field.value, input.schema.names()));
        }
        slot
    });
    let steps = taking(&pattern.shape.steps);
    let fields = fields_beside(&steps, &input.schema);
    let conditions = Conditions { fields: &fields, steps: &steps };
    let asked = with(&pattern.shape, &mut |text: &Spanned<String>| conditions.compile(text, &mut problems));
    let asks = Asks::of(each);
    let (seen, columns) = columns(&steps, &schema, &asks);
    let mut engine = None;
    if problems.is_empty() && pattern.sound {
        match Search::<Row, _>::new(asked.clone()) {
            Ok(search) => engine = Some(run_as(search, head.timeouts_to.is_some(), pattern.limit).engine()),
            Err(Invalid(found)) => problems.extend(found.iter().map(|misuse| pattern.place.problem(misuse.to_string()))),
        }
    }
    let Some(engine) = engine.filter(|_| problems.is_empty()) else { return Err((problems, seen, schema.width())) };
    let clock = if pattern.processing_time { " in processing time" } else { "" };
    let label = format!("pattern: {}{}{clock}; {engine}", steps.iter().map(|s| &**s).collect::<Vec<_>>().join(", "), head.by());
    let patterned = Patterned {
        key,
        pattern: asked,
        tie_break,
        processing_time: pattern.processing_time,
        limit: pattern.limit,
        events: Events::new(&input.schema),
        columns: columns.into(),
        by_step: asks.names("match") || asks.sizes("match"),
        label,
    };
    Ok((patterned, seen, schema))
}

/// Adds the fields that every match has behind its key.
fn add_fields_of_match(head: &Head, schema: &mut Schema, problems: &mut Vec<Problem>) {
    for (name, ty) in [("match", Type::map()), ("start", Type::Timestamp), ("end", Type::Timestamp)] {
        if schema.slot(name).is_some() {
            let key = head.key.iter().find(|key| key.value == name).map_or(&head.name.span, |key| &key.span);
            problems.push(key.problem(format!("a match has a field `{name}` itself: rename that of the key in a stream before this one")));
        }
        schema.add(name, ty);
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

/// The fields that `where` and `select` see of a match with the fields `schema`, and the columns for those behind it.
/// A step with the name of a field of the match is only in `match`.
fn columns(steps: &[Arc<str>], schema: &Schema, asks: &Asks) -> (Schema, Vec<Column>) {
    let (mut seen, mut columns) = (schema.clone(), Vec::new());
    let listed: Vec<&Arc<str>> = steps.iter().filter(|step| schema.slot(step).is_none()).collect();
    for step in &listed {
        seen.add(&***step, lists());
        columns.push(if asks.names(step) { Column::Events(Arc::clone(step)) } else { Column::Nothing });
    }
    for step in listed.iter().filter(|step| asks.sizes(step)) {
        seen.add(size_field(step), Type::Int);
        columns.push(Column::Count(Arc::clone(step)));
    }
    (seen, columns)
}

/// What the `where`, `select` and `flat_map` of a stream use of its matches.
struct Asks {
    names: Vec<String>,
    sizes: Vec<String>,
    /// Whether all fields are handed on.
    all: bool,
}

impl Asks {
    fn of(each: &Each) -> Self {
        let (mut names, mut sizes) = (Vec::new(), Vec::new());
        for text in each.texts() {
            let (named, sized) = identifiers_and_sizes(&text.value);
            names.extend(named);
            sizes.extend(sized);
        }
        let all = each.select.as_ref().is_none_or(|select| select.all.as_ref().is_some_and(|all| all.value));
        Self { names, sizes, all }
    }

    fn names(&self, name: &str) -> bool {
        self.names.iter().any(|named| named == name) || (self.all && name == "match")
    }

    fn sizes(&self, name: &str) -> bool {
        self.sizes.iter().any(|sized| sized == name)
    }
}

/// Applies the limit to a search, and turns timeouts off unless they are wanted.
fn run_as<C: Condition>(search: Search<Row, C>, timeouts: bool, limit: Limit) -> Search<Row, C> {
    let search = if timeouts { search } else { search.without_timeouts() };
    search.limit(limit)
}

/// The type of a step in an expression.
fn lists() -> Type {
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
struct Judged {
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

impl Patterned {
    /// Makes the search for one worker.
    ///
    /// # Errors
    /// If the pattern is invalid, which the planner has already ruled out.
    fn search(&self, timeouts: bool, failures: Failures, metrics: Arc<OperatorMetrics>) -> Result<Search<Row, Judged>, Invalid> {
        let bench = Rc::new(Bench { events: self.events.clone(), failures: RefCell::new(failures), metrics, failed: RefCell::new(None) });
        let mut judged = |asked: &Asked| Some(Judged { asked: asked.clone(), bench: Rc::clone(&bench) });
        let search = Search::new(with(&self.pattern, &mut judged))?;
        let search = run_as(search, timeouts, self.limit);
        let search = if self.processing_time { search.processing_time() } else { search };
        let by_field = |slot: usize| move |a: &Row, b: &Row| a.get(slot).total_cmp(b.get(slot));
        Ok(match (self.tie_break.map(by_field), self.key.settled || self.processing_time) {
            (None, true) => search,
            (Some(order), true) => search.tie_break(order),
            (None, false) => search.tie_break(Row::strict_cmp),
            (Some(order), false) => search.tie_break(move |a, b| order(a, b).then_with(|| a.strict_cmp(b))),
        })
    }

    /// A match as a row: the key, `match`, `start` and `end`, and what is used of the events of each step.
    fn row(&self, key: &RowKey, found: &Sequence<'_, Row>) -> Row {
        let lists = |step: &Arc<str>| Value::list(found.of(step).map(|event| self.events.map(event)));
        let columns = self.columns.iter().map(|column| match column {
            Column::Events(step) => lists(step),
            Column::Count(step) => Value::Int(i64::try_from(found.count(step)).unwrap_or(i64::MAX)),
            Column::Nothing => Value::Null,
        });
        self.start(key, found, self.by_step).chain(columns).collect()
    }

    /// A timed-out partial match as a row: the key, `match`, `start` and `end`.
    fn timeout(&self, key: &RowKey, found: &Sequence<'_, Row>) -> Row {
        self.start(key, found, true).collect()
    }

    fn start(&self, key: &RowKey, found: &Sequence<'_, Row>, by_step: bool) -> impl Iterator<Item = Value> {
        let mut steps: Vec<(&Arc<str>, Vec<Value>)> = Vec::new();
        for (name, event) in by_step.then(|| found.events()).into_iter().flatten() {
            let event = self.events.map(event);
            // The step is most likely near the end.
            match steps.iter_mut().rev().find(|(known, _)| *known == name) {
                Some((_, events)) => events.push(event),
                None => steps.push((name, vec![event])),
            }
        }
        let by_step = Value::map(steps.into_iter().map(|(name, events)| (Value::string(name), Value::list(events))));
        let times = [found.start(), found.end()].map(bound);
        key.values().to_vec().into_iter().chain([by_step]).chain(times)
    }
}

/// An outcome of the search, as a row.
#[derive(Clone)]
enum Told {
    Match(Row),
    Timeout(Row),
}

impl Work for Patterned {
    fn build<'s>(&self, site: &Site<'_, 's>, input: Rows<'s>) -> Built<'s> {
        let (of_record, of_row, rows) = (self.key.key.clone(), self.key.key.clone(), self.clone());
        let (main, late) = operator::keyed(
            site.with_keys(input, &self.key.keys).into_edge(),
            site.name,
            OperatorSpec::new(PATTERN).labelled(&self.label),
            Some("late"),
            move |row: &Row| of_record.of(row),
            |context| {
                let search = self.search(site.timeouts_to.is_some(), site.failures(), Arc::clone(&context.metrics)).expect("a planned pattern is one");
                let tell = move |key: &RowKey, found: &Found<'_, Row>| match found {
                    Found::Match(sequence) => Told::Match(rows.row(key, sequence)),
                    Found::Timeout(sequence) => Told::Timeout(rows.timeout(key, sequence)),
                };
                CepLogic::new(move |row: &Row| of_row.of(row), search, tell, context)
            },
        );
        let timeouts = site.timeouts_to.map(|timeouts_to| {
            Stream::from_edge(operator::stateless(main.clone(), timeouts_to, OperatorSpec::new(kinds::TIMEOUTS).labelled("partial matches out of time"), |metrics| {
                filtered(|told| if let Told::Timeout(row) = told { Some(row) } else { None }, metrics)
            }))
        });
        // Timeouts go to their own stream.
        let out = site.emitted(Stream::from_edge(main), |told| if let Told::Match(row) = told { Some(row) } else { None });
        Built { out, late: Some(site.without_keys(Stream::from_edge(late), &self.key.keys)), timeouts, ledger: None }
    }
}

//! Plans patterns: compiles their conditions over rows, and turns matches into rows.

use std::sync::Arc;

use tidegate_cep::operator::PATTERN;
use tidegate_cep::{CepLogic, Found, Invalid, Search, Sequence};
use tidegate_rows::{Row, Schema, Type, Value};
use tidegate_runtime::metrics::OperatorMetrics;

use tidegate_expr::{identifiers_and_sizes, size_field};
use tidegate_operators::Stream;
use tidegate_runtime::{OperatorSpec, operator};

use super::Pattern;
use super::form::{form, taking};
use super::sought::{Judged, Sought, lists};
use crate::relation::each::Each;
use crate::relation::failures::Failures;
use crate::relation::key::RowKey;
use crate::relation::known::{Known, Timing};
use crate::relation::pipeline::Base;
use crate::relation::updates::Updates;
use crate::stage::build::{Built, Rows, Site, Work, bound, filtered, kinds};
use crate::stage::keyed::{self, PlannedKey};
use crate::stage::kind::{Head, Planned, Refused, Scope};
use crate::text::Problem;

/// A planned pattern.
#[derive(Clone)]
struct Patterned {
    key: PlannedKey,
    sought: Sought,
    /// The slot that orders events of the same time.
    tie_break: Option<usize>,
    processing_time: bool,
    /// The columns after the fields of a match.
    columns: Arc<[Column]>,
    /// Whether the field `match` is used.
    by_step: bool,
    /// A description for explaining the plan.
    label: String,
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
    let sought = Sought::compile(pattern, &input.schema, &mut problems);
    let asks = Asks::of(each);
    let (seen, columns) = columns(&steps, &schema, &asks);
    let mut engine = None;
    if problems.is_empty() && pattern.sound {
        engine = sought.engine(pattern, &mut problems);
    }
    let Some(engine) = engine.filter(|_| problems.is_empty()) else { return Err((problems, seen, schema.width())) };
    let clock = if pattern.processing_time { " in processing time" } else { "" };
    let label = format!("pattern: {}{}{clock}; {engine}", steps.iter().map(|s| &**s).collect::<Vec<_>>().join(", "), head.by());
    let patterned = Patterned {
        key,
        sought,
        tie_break,
        processing_time: pattern.processing_time,
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

impl Patterned {
    /// Makes the search for one worker.
    ///
    /// # Errors
    /// If the pattern is invalid, which the planner has already ruled out.
    fn search(&self, timeouts: bool, failures: Failures, metrics: Arc<OperatorMetrics>) -> Result<Search<Row, Judged>, Invalid> {
        let search = self.sought.search(failures, metrics)?;
        let search = if timeouts { search } else { search.without_timeouts() };
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
        let lists = |step: &Arc<str>| Value::list(found.of(step).map(|event| self.sought.events.map(event)));
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
            let event = self.sought.events.map(event);
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

//! Plans indicators: groups them by key, and finds what they can share.

use std::sync::Arc;

use tidegate_expr::{Expr, comparable, has_forms};
use tidegate_operators::Stream;
use tidegate_operators::indicator::{Ever, Flow, Kept, Span};
use tidegate_operators::kinds::INDICATORS;
use tidegate_rows::{Row, Schema, Type, Value};
use tidegate_runtime::{About, Basis, Field, OperatorSpec, Record, operator};

use super::column::RowColumn;
use super::functions::{self, Compiled, Leaves, What};
use super::gather::{self, Places};
use super::rows::{Answer, Emits, Fed, Fills, Query, Reads, RowIndicators, Sweep};
use super::{Indicator, Indicators};
use crate::relation::arrange;
use crate::relation::expression::{condition, expression};
use crate::relation::failures::Failures;
use crate::relation::key::{KeySlots, RowKey};
use crate::relation::known::{Known, Order, Timing};
use crate::relation::pipeline::Base;
use crate::relation::union::PlannedInput;
use crate::relation::updates::Updates;
use crate::stage::build::{Built, Rows, Site, Work, gather as rows_of, kinds};
use crate::stage::join::plan_equality;
use crate::stage::keyed::by_value;
use crate::stage::kind::{InOrder, Planned, Refused, Scope};
use crate::text::{Problem, Spanned};
use crate::yaml::{Literal, millis};

/// Plans the indicators of a stream.
pub(super) fn plan(stage: &Indicators, scope: &mut Scope<'_>) -> Result<Option<Planned>, Refused> {
    let (head, input) = (scope.head, scope.input);
    let mut problems = Vec::new();
    let mut others: Vec<(&Spanned<String>, &Known)> = Vec::new();
    for indicator in &stage.indicators {
        let Some(from) = &indicator.from else { continue };
        let Some(known) = scope.streams.get(from.as_str()) else { return Ok(None) };
        scope.asked.name(&known.origin, &indicator.names_from(head));
        if !others.iter().any(|(other, _)| other.value == from.value) {
            others.push((from, known));
        }
    }
    let in_time = head.order.as_ref().is_some_and(|order| order.value == InOrder::Time);
    if let (Some(late_to), false) = (&head.late_to, in_time) {
        problems.push(late_to.problem("`late_to` needs `order: time`: in order of arrival, late records go on, too"));
    }
    if let (Some(lateness), true) = (&head.lateness, in_time) {
        problems.push(lateness.problem("`allowed_lateness` is for `order: arrival`; in order of time, give the source a later watermark"));
    }
    if let Timing::Untimed(remedy) = &input.timing {
        problems.push(stage.place.problem(format!("`indicators` are over event time, and {}", head.untimed(remedy))));
    }
    Updates::refuse(input.updates.as_ref(), &stage.place, "an indicator", &mut problems);
    for (from, known) in &others {
        if let Timing::Untimed(remedy) = &known.timing {
            problems.push(from.problem(format!("`indicators` are over event time, and records of `{}` have none: {remedy}", from.value)));
        }
        Updates::refuse(known.updates.as_ref(), from, "an indicator", &mut problems);
    }
    let mut groups = Groups::default();
    let mut added: Vec<(&str, Type)> = Vec::new();
    for (place, indicator) in stage.indicators.iter().enumerate() {
        let name = &indicator.name;
        if input.schema.declares(&name.value) {
            problems.push(name.problem(format!("there is a field `{}` already: name the indicator otherwise", name.value)));
        }
        let at = indicator.from.as_ref().and_then(|from| others.iter().position(|(other, _)| other.value == from.value));
        let over = at.and_then(|at| others.get(at)).map_or(&input.schema, |(_, known)| &known.schema);
        let source = at.map_or(0, |at| at + 1);
        let known = problems.len();
        let call = functions::compile(&indicator.value, over).map_err(|found| problems.extend(found)).ok();
        let filter = indicator.filter.as_ref().and_then(|text| condition(text, over, &mut problems));
        let keys = keys(indicator, head, &input.schema, over, source, &mut problems);
        let ty = call.as_ref().map_or(Type::Any, |call| call.ty.clone());
        let default = default(indicator.default.as_ref(), &ty, &mut problems);
        added.push((&name.value, ty));
        let (Some(call), true) = (call, problems.len() == known) else { continue };
        let zone = head.zone.as_ref().map_or("UTC", |zone| zone.as_str());
        groups.add(indicator, place, source, call, filter, keys, default, indicator.over.value.span(zone));
    }
    let base = Base::arranged(arrange::extended(&input.schema, added.iter().map(|(name, ty)| (*name, ty.clone()))));
    if !problems.is_empty() {
        return Err(scope.refused(problems, base, input.timing.clone()));
    }
    let sources: Vec<&Schema> = std::iter::once(&input.schema).chain(others.iter().map(|(_, known)| &known.schema)).collect();
    let planned: Vec<PlannedGroup> = groups.0.into_iter().map(|group| group.planned(&sources)).collect();
    // Rows of one key go on in the order in which they come, or of time.
    let settled = planned.iter().all(|group| input.order.is_settled(&group.fields)) && others.is_empty();
    let order = match planned.as_slice() {
        [group] if group.fields.iter().all(|slot| *slot < input.schema.width()) => Order::behind(Some(group.fields.iter().copied().collect())),
        _ => Order::Arrival,
    };
    let order = if settled || in_time { order } else { Order::Arrival };
    let work = PlannedIndicators {
        groups: planned,
        others: others.iter().map(|(from, known)| (PlannedInput { name: from.value.clone(), rearrange: None }, known.schema.clone())).collect(),
        in_time,
        settled,
        lateness: head.lateness.as_ref().map_or(0, |lateness| millis(lateness.value)),
        width: input.schema.width(),
    };
    let out = Known { order, updates: None, ..input.clone() };
    let origin = input.origin.clone();
    // Each group of indicators has a basis of its own.
    let basis = Basis { key: None, records: None, form: None, reads: None };
    Ok(Some(Planned { base, out, origin, work: Arc::new(work), basis: Some(basis), late: None, timeouts: None }))
}

/// The parts of a key: what they are of the stream itself, and of the stream that the indicator is over.
struct Keys {
    texts: Vec<String>,
    asked: Vec<Expr>,
    fed: Vec<Expr>,
}

fn keys(
    indicator: &Indicator,
    head: &crate::stage::Head,
    input: &Schema,
    over: &Schema,
    source: usize,
    problems: &mut Vec<Problem>,
) -> Keys {
    if let Some(on) = &indicator.on {
        let (asked, fed) = plan_equality(on, input, over, problems).into_iter().unzip();
        return Keys { texts: vec![on.left_text().trim().to_owned()], asked, fed };
    }
    let texts = indicator.key.as_ref().unwrap_or(&head.key);
    let before = problems.len();
    let asked: Vec<Expr> = texts.iter().filter_map(|text| expression(text, input, problems)).collect();
    if problems.len() > before && indicator.key.is_none() {
        // The key of the stream is wrong once, not once for each indicator.
        let own = problems.split_off(before);
        for problem in own {
            let known = problems.iter().any(|known| known.span().range() == problem.span().range() && known.message == problem.message);
            if !known {
                problems.push(problem);
            }
        }
    }
    let fed = if source == 0 { asked.clone() } else { texts.iter().filter_map(|text| expression(text, over, problems)).collect() };
    for ((asked, fed), text) in asked.iter().zip(&fed).zip(texts) {
        if !comparable(asked.ty(), fed.ty()) {
            let message = format!("`{}` is of type {} in one stream and of type {} in the other: these are never equal", text.value, asked.ty(), fed.ty());
            problems.push(text.problem(message));
        }
    }
    Keys { texts: texts.iter().map(|text| text.value.trim().to_owned()).collect(), asked, fed }
}

/// The default value, which must be of the type of the indicator.
fn default(default: Option<&Spanned<Literal>>, ty: &Type, problems: &mut Vec<Problem>) -> Value {
    let Some(default) = default else { return Value::Null };
    let value = match (&default.value, ty) {
        (Literal::Null, _) => Some(Value::Null),
        (Literal::Bool(value), Type::Bool | Type::Any) => Some(Value::Bool(*value)),
        (Literal::Int(value), Type::Int | Type::Any) => Some(Value::Int(*value)),
        #[expect(clippy::cast_precision_loss, reason = "a number in a job file is meant roughly where it is this large")]
        (Literal::Int(value), Type::Double) => Some(Value::Double(*value as f64)),
        (Literal::Int(value), Type::Uint) => u64::try_from(*value).ok().map(Value::Uint),
        (Literal::Int(value), Type::Decimal) => value.to_string().parse().ok().map(Value::Decimal),
        (Literal::Double(value), Type::Double | Type::Any) => Some(Value::Double(*value)),
        (Literal::Double(value), Type::Decimal) => value.to_string().parse().ok().map(Value::Decimal),
        (Literal::String(value), Type::String | Type::Any) => Some(Value::string(value)),
        (Literal::String(value), Type::Duration) => crate::yaml::parse_duration(value).map(Value::Duration),
        (Literal::String(value), Type::Timestamp) => value.parse().ok().map(Value::Timestamp),
        _ => None,
    };
    value.unwrap_or_else(|| {
        problems.push(default.problem(format!("`default` must be of the type of the value, which is {ty}")));
        Value::Null
    })
}

/// The indicators by key.
#[derive(Default)]
struct Groups(Vec<Group>);

/// The indicators of one key.
struct Group {
    texts: Vec<String>,
    /// The parts of the key in the rows of each stream that takes part, by its number.
    keys: Vec<Option<Vec<Expr>>>,
    reads: Vec<Reads>,
    histories: Vec<History>,
    sweeps: Vec<Sweep>,
    /// The places of its values among all.
    places: Vec<usize>,
}

struct History {
    name: Field,
    fills: Fills,
    column: RowColumn,
    spans: Vec<(Span, i64)>,
    ever: Ever,
}

impl Groups {
    #[allow(clippy::too_many_arguments, reason = "the parts of one indicator, once")]
    fn add(&mut self, indicator: &Indicator, place: usize, source: usize, call: Compiled, filter: Option<Expr>, keys: Keys, default: Value, span: Span) {
        let fits = |group: &Group| {
            let sources = |exprs: &[Expr]| exprs.iter().map(|expr| expr.source().trim().to_owned()).collect::<Vec<_>>();
            let same = group.keys.get(source).and_then(Option::as_ref).is_none_or(|fed| sources(fed) == sources(&keys.fed));
            group.texts == keys.texts && same
        };
        let at = self.0.iter().position(fits);
        let at = at.unwrap_or_else(|| {
            let group = Group {
                texts: keys.texts.clone(),
                keys: vec![Some(keys.asked)],
                reads: Vec::new(),
                histories: Vec::new(),
                sweeps: Vec::new(),
                places: Vec::new(),
            };
            self.0.push(group);
            self.0.len() - 1
        });
        let Some(group) = self.0.get_mut(at) else { return };
        group.keys.resize(group.keys.len().max(source + 1), None);
        group.reads.resize_with(group.keys.len(), Reads::default);
        if let Some(fed @ None) = group.keys.get_mut(source) {
            *fed = Some(keys.fed);
        }
        let history = group.history(indicator, source, &call, filter, &span);
        group.ask(indicator, history, call.what, default, span, place);
    }
}

impl Group {
    /// The history that serves an indicator.
    fn history(&mut self, indicator: &Indicator, source: usize, call: &Compiled, filter: Option<Expr>, span: &Span) -> usize {
        let (mut name, is) = call.leaves.kept();
        if let Some(filter) = &filter {
            name.push_str(&format!(" where {}", filter.source().trim()));
        }
        if let Some(from) = &indicator.from {
            name.push_str(&format!(" from {}", from.value));
        }
        let silence = if let Span::Ever { ttl: Some(ttl) } = span { Some(*ttl) } else { None };
        if let Some(ttl) = silence {
            name.push_str(&format!(" ttl {ttl}ms"));
        }
        // Where records take places or end a silence, those without a value do, too.
        let keeps_nulls = silence.is_some() || matches!(span, Span::Last { .. });
        if keeps_nulls && silence.is_none() && matches!(call.leaves, Leaves::Distinct(_)) {
            name.push_str(" with nulls");
        }
        let name = Field::new(name, is);
        if let Some(at) = self.histories.iter().position(|history| history.name == name) {
            return at;
        }
        let reads = &mut self.reads[source];
        let condition = filter.map(|filter| {
            let known = reads.conditions.iter().position(|known| known.source().trim() == filter.source().trim());
            known.unwrap_or_else(|| {
                reads.conditions.push(filter);
                reads.conditions.len() - 1
            })
        });
        let kept = call.leaves.kept();
        let leaves = reads.leaves.iter().position(|known| known.kept() == kept).unwrap_or_else(|| {
            reads.leaves.push(call.leaves.clone());
            reads.leaves.len() - 1
        });
        let column = match &call.leaves {
            Leaves::Time => RowColumn::Times(0),
            Leaves::Value { value, checked } => RowColumn::values(value.ty(), *checked || is_number(value.ty())),
            Leaves::Form(_) | Leaves::Place(..) => RowColumn::values(&Type::Any, false),
            Leaves::Distinct(_) => RowColumn::Distinct(tidegate_operators::indicator::Distinct::default()),
            Leaves::Flag(_) => RowColumn::Flags(Vec::new()),
        };
        let fills = Fills { source: u8::try_from(source).unwrap_or(u8::MAX), condition, leaves, keeps_nulls };
        self.histories.push(History { name, fills, column, spans: Vec::new(), ever: Ever::Nothing });
        self.histories.len() - 1
    }

    /// Adds the answer for an indicator.
    fn ask(&mut self, indicator: &Indicator, at: usize, what: What, default: Value, span: Span, place: usize) {
        let delay = millis(indicator.delay);
        let history = &mut self.histories[at];
        if matches!(span, Span::Ever { .. }) {
            let items = what.needs_items() || matches!((&history.column, &span), (RowColumn::Distinct(_), Span::Ever { ttl: Some(_) }));
            history.ever = match (history.ever, items) {
                (Ever::Items, _) | (_, true) => Ever::Items,
                _ => Ever::Summary,
            };
        }
        if !history.spans.iter().any(|known| *known == (span.clone(), delay)) {
            history.spans.push((span.clone(), delay));
        }
        let own = indicator.own && history.fills.source == 0 && delay == 0 && span.ends_now() && !what.looks_back();
        let (folds, needs_ends) = (what.folds(), what.needs_ends());
        let answer = Answer { place: self.places.len(), what, default };
        self.places.push(place);
        // Spans that end elsewhere have no sweep in common with others.
        let together = |sweep: &Sweep| {
            let alike = sweep.history == at && sweep.delay == delay && sweep.own == own;
            alike && sweep.queries.iter().all(|query| query.span == span || query.span.ends_now() && span.ends_now())
        };
        let sweep = match self.sweeps.iter().position(together) {
            Some(known) => known,
            None => {
                let nothing = history.column.no_values();
                self.sweeps.push(Sweep { history: at, delay, own, queries: Vec::new(), folds: Vec::new(), ends: false, nothing });
                self.sweeps.len() - 1
            }
        };
        let sweep = &mut self.sweeps[sweep];
        sweep.ends |= needs_ends;
        sweep.folds.extend(folds);
        sweep.folds.sort_unstable();
        sweep.folds.dedup();
        match sweep.queries.iter_mut().find(|query| query.span == span) {
            Some(query) => query.answers.push(answer),
            None => sweep.queries.push(Query { span, answers: vec![answer] }),
        }
    }

    /// The group as it is built, over rows of these schemas.
    fn planned(self, sources: &[&Schema]) -> PlannedGroup {
        let mut computed: Vec<Vec<Expr>> = Vec::new();
        let mut slots: Vec<Option<Vec<usize>>> = Vec::new();
        let parts = self.texts.len();
        let ty = |part: usize| self.keys.iter().flatten().filter_map(move |keys| keys.get(part)).map(Expr::ty);
        let forms: Vec<bool> = (0..parts).map(|part| ty(part).any(has_forms) || ty(part).any(|one| ty(part).any(|other| one != other))).collect();
        for (keys, schema) in self.keys.iter().zip(sources) {
            let (mut own, mut places) = (Vec::new(), Vec::new());
            for key in keys.iter().flatten() {
                places.push(key.as_slot().unwrap_or_else(|| {
                    own.push(key.clone());
                    schema.width() + own.len() - 1
                }));
            }
            computed.push(own);
            slots.push(keys.is_some().then_some(places));
        }
        let key = |slots: &Option<Vec<usize>>| slots.as_ref().map(|slots| KeySlots::new(slots, &forms));
        let of_key = self.texts.iter().zip(self.keys.first().into_iter().flatten().flatten());
        let kept = self.histories.iter().map(|history| Kept {
            name: history.name.clone(),
            column: history.column.clone(),
            spans: history.spans.clone(),
            ever: history.ever,
        });
        PlannedGroup {
            suffix: suffix(&self.texts),
            words: if self.texts.is_empty() { "of the whole stream".to_owned() } else { format!("by {}", self.texts.join(", ")) },
            fields: slots.first().cloned().flatten().unwrap_or_default(),
            basis: of_key.map(|(text, expr)| Field::new(text.clone(), expr.ty().to_string())).collect(),
            keys: slots.iter().map(key).collect(),
            slots: slots.into_iter().map(Option::unwrap_or_default).collect(),
            computed,
            kept: kept.collect(),
            fills: self.histories.iter().map(|history| history.fills.clone()).collect(),
            reads: self.reads.into(),
            sweeps: self.sweeps,
            places: self.places,
        }
    }
}

fn is_number(ty: &Type) -> bool {
    matches!(ty, Type::Int | Type::Uint | Type::Double | Type::Decimal)
}

/// What the operator of a group is called after the name of its stream.
fn suffix(texts: &[String]) -> String {
    if texts.is_empty() {
        return "all".to_owned();
    }
    let clean = |text: &String| text.chars().map(|c| if c.is_alphanumeric() || c == '_' { c } else { '_' }).collect::<String>();
    texts.iter().map(clean).collect::<Vec<_>>().join(".")
}

/// The planned indicators of one key.
#[derive(Clone)]
struct PlannedGroup {
    suffix: String,
    words: String,
    /// The slots of the key in the rows of the stream.
    fields: Vec<usize>,
    /// What the key is.
    basis: Vec<Field>,
    /// The key in the rows of each stream, if it takes part.
    keys: Vec<Option<KeySlots>>,
    slots: Vec<Vec<usize>>,
    /// What is appended to the rows of each stream for the key.
    computed: Vec<Vec<Expr>>,
    kept: Arc<[Kept<RowColumn>]>,
    fills: Arc<[Fills]>,
    reads: Arc<[Reads]>,
    sweeps: Vec<Sweep>,
    places: Vec<usize>,
}

/// Planned indicators.
struct PlannedIndicators {
    groups: Vec<PlannedGroup>,
    /// The other streams that feed histories.
    others: Vec<(PlannedInput, Schema)>,
    in_time: bool,
    /// Whether the rows of each key come in the same order in every run.
    settled: bool,
    /// Milliseconds.
    lateness: i64,
    /// The number of fields in a row.
    width: usize,
}

impl Work for PlannedIndicators {
    fn build<'s>(&self, site: &Site<'_, 's>, input: Rows<'s>) -> Built<'s> {
        let name = site.name;
        let others: Vec<Rows<'s>> =
            self.others.iter().map(|(from, schema)| rows_of(std::slice::from_ref(from), name, schema, site.streams)).collect();
        let several = self.groups.len() > 1;
        let input = if several { gather::scattered(input, &format!("{name}/scatter")) } else { input };
        let mut used: Vec<&String> = Vec::new();
        let (mut parts, mut late): (Vec<Rows<'s>>, Option<Rows<'s>>) = (Vec::new(), None);
        for (number, group) in self.groups.iter().enumerate() {
            let alike = used.iter().filter(|used| ***used == group.suffix).count();
            used.push(&group.suffix);
            let operator = if alike == 0 { format!("{name}/{}", group.suffix) } else { format!("{name}/{}.{}", group.suffix, alike + 1) };
            let (out, behind) = self.group(site, number, group, &operator, input.clone(), &others);
            parts.push(out);
            late = late.or(Some(behind));
        }
        let joined = parts.into_iter().reduce(Stream::union);
        let out = match joined {
            Some(parts) if several => {
                let places = Places { width: self.width, of_parts: self.groups.iter().map(|group| group.places.clone()).collect() };
                gather::gathered(parts, &format!("{name}/gather"), places)
            }
            Some(one) => one,
            None => input,
        };
        let out = site.emitted(out, Some);
        match late {
            Some(late) if self.in_time => Built::with_late(out, late),
            _ => Built::only(out),
        }
    }
}

impl PlannedIndicators {
    /// The operators of one group. Returns its rows, or parts of rows, and the late rows.
    fn group<'s>(
        &self,
        site: &Site<'_, 's>,
        number: usize,
        group: &PlannedGroup,
        operator: &str,
        input: Rows<'s>,
        others: &[Rows<'s>],
    ) -> (Rows<'s>, Rows<'s>) {
        let several = self.groups.len() > 1;
        let id = site.about.id.clone().unwrap_or_else(|| site.name.to_owned());
        let basis = Basis { key: Some(group.basis.clone()), ..site.about.basis.clone() };
        let described = About { id: Some(format!("{id}/{}", operator.trim_start_matches(site.name).trim_start_matches('/'))), basis, parallelism: site.about.parallelism };
        let edge = input.into_edge();
        edge.dataflow().describe(operator, described);
        let input = Stream::from_edge(edge);
        let schemas: Vec<&Schema> = std::iter::once(site.input).chain(self.others.iter().map(|(_, schema)| schema)).collect();
        let mut fed: Option<Stream<'s, Fed>> = None;
        for (source, rows) in std::iter::once(&input).chain(others).enumerate() {
            let (Some(Some(_)), Some(computed), Some(schema)) = (group.keys.get(source), group.computed.get(source), schemas.get(source)) else { continue };
            let node = if source == 0 { format!("{operator}/rows") } else { format!("{operator}/from/{}", self.others[source - 1].0.name) };
            let width = schema.width();
            let rows = feed(rows.clone(), &node, u8::try_from(source).unwrap_or(u8::MAX), computed, width, site.failures_over(schema));
            fed = Some(match fed {
                None => rows,
                Some(others) => others.union(rows),
            });
        }
        let keys = group.keys.clone();
        let key = move |(source, row): &Fed| keys.get(usize::from(*source)).and_then(Option::as_ref).map_or(RowKey::Whole, |key| key.of(row));
        let emits = if several {
            Emits::Part { group: number, number: self.width + group.computed.first().map_or(0, Vec::len) }
        } else {
            Emits::Row
        };
        let indicators = RowIndicators {
            kept: Arc::clone(&group.kept),
            fills: Arc::clone(&group.fills),
            reads: Arc::clone(&group.reads),
            sweeps: group.sweeps.clone(),
            keys: group.slots.clone().into(),
            values: group.places.len(),
            width: self.width,
            emits,
            failures: schemas.iter().map(|schema| Failures::new(site.name, schema, site.on_error)).collect(),
            scratch: super::rows::Scratch::default(),
            metrics: Arc::default(),
        };
        let flow: Flow<Fed> = if self.in_time {
            let by_value = by_value();
            let settled = self.settled;
            Flow::Time(Box::new(move |a: &Fed, b: &Fed| if settled { std::cmp::Ordering::Equal } else { a.0.cmp(&b.0).then_with(|| by_value(&a.1, &b.1)) }))
        } else {
            Flow::Arrival { lateness: self.lateness }
        };
        let form = if self.in_time { "in order of event time" } else { "as records come" };
        let spec = OperatorSpec::new(INDICATORS).of_form(form).labelled(format!("{} indicators {}", group.places.len(), group.words));
        // At least the rows of the stream itself feed a group.
        let fed = fed.unwrap_or_else(|| feed(input, &format!("{operator}/rows"), 0, &[], self.width, site.failures()));
        let (out, late) = fed.key_by(key).indicators_by(operator, spec, indicators, flow);
        let width = self.width;
        let late = late.map(&format!("{operator}/late"), move |(_, row): Fed| row.0.into_iter().take(width).collect::<Row>());
        (out, late)
    }
}

/// Marks rows with the stream that they are from, and inserts the parts of their key that are computed after their fields. A part that fails is null: then
/// the key is not known.
fn feed<'s>(rows: Rows<'s>, name: &str, source: u8, computed: &[Expr], width: usize, mut failures: Failures) -> Stream<'s, Fed> {
    let computed = computed.to_vec();
    Stream::from_edge(operator::stateless(rows.into_edge(), name, OperatorSpec::new(kinds::ROWS), |metrics| {
        move |records: &mut Vec<Record<Row>>, out: &mut Vec<Record<Fed>>| {
            if computed.is_empty() {
                out.extend(records.drain(..).map(|record| Record::new(record.time, (source, record.value))));
                return Ok(());
            }
            for Record { time, value: row } in records.drain(..) {
                let mut keys = Vec::with_capacity(computed.len());
                for key in &computed {
                    keys.push(match key.eval(&row) {
                        Ok(value) => value,
                        Err(error) => {
                            metrics.failed.add(1);
                            failures.report(key, &error.to_string(), &row)?;
                            Value::Null
                        }
                    });
                }
                let mut all = row.0.into_vec();
                let behind = all.split_off(width.min(all.len()));
                out.push(Record::new(time, (source, all.into_iter().chain(keys).chain(behind).collect())));
            }
            Ok(())
        }
    }))
}

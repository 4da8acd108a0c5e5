//! Plans indicators: compiles each, and checks what they ask of the streams.

use std::sync::Arc;

use tidegate_expr::{Expr, comparable};
use tidegate_operators::indicator::Span;
use tidegate_rows::{Schema, Type, Value};
use tidegate_runtime::Basis;

use super::build::{PlannedGroup, PlannedIndicators};
use super::functions::{self, Compiled};
use super::groups::Groups;
use super::{Indicator, Indicators};
use crate::relation::arrange;
use crate::relation::expression::{condition, expression};
use crate::relation::known::{Known, Order, Timing};
use crate::relation::pipeline::Base;
use crate::relation::union::PlannedInput;
use crate::relation::updates::Updates;
use crate::stage::join::plan_equality;
use crate::stage::kind::{Head, Planned, Refused, Scope};
use crate::text::{Problem, Spanned};
use crate::yaml::{Literal, parse_duration};

/// Plans the indicators of a stream.
pub(super) fn plan(stage: &Indicators, scope: &mut Scope<'_>) -> Result<Option<Planned>, Refused> {
    let (head, input) = (scope.head, scope.input);
    let mut others: Vec<(&Spanned<String>, &Known)> = Vec::new();
    for indicator in &stage.indicators {
        let Some(from) = &indicator.from else { continue };
        let Some(known) = scope.streams.get(from.as_str()) else { return Ok(None) };
        scope.asked.name(&known.origin, &indicator.names_from(head));
        if !others.iter().any(|(other, _)| other.value == from.value) {
            others.push((from, known));
        }
    }
    let mut problems = Vec::new();
    check_streams(stage, head, input, &others, &mut problems);
    let schemas: Vec<(&str, &Schema)> = others.iter().map(|(from, known)| (from.as_str(), &known.schema)).collect();
    let mut groups = Groups::default();
    let mut added: Vec<(&str, Type)> = Vec::new();
    for (place, indicator) in stage.indicators.iter().enumerate() {
        let (ty, one) = One::plan(indicator, head, &input.schema, &schemas, &mut problems);
        added.push((&indicator.name.value, ty));
        if let Some(one) = one {
            groups.add(indicator, place, one);
        }
    }
    let base = Base::arranged(arrange::extended(&input.schema, added.iter().map(|(name, ty)| (*name, ty.clone()))));
    if !problems.is_empty() {
        return Err(scope.refused(problems, base, input.timing.clone()));
    }
    let sources: Vec<&Schema> = std::iter::once(&input.schema).chain(others.iter().map(|(_, known)| &known.schema)).collect();
    let planned: Vec<PlannedGroup> = groups.planned(&sources);
    let in_time = head.in_time();
    // Rows of one key go on in the order in which they come, or of time.
    let settled = planned.iter().all(|group| input.order.is_settled(&group.fields)) && others.is_empty();
    let order = match planned.as_slice() {
        [group] if (settled || in_time) && group.fields.iter().all(|slot| *slot < input.schema.width()) => {
            Order::behind(Some(group.fields.iter().copied().collect()))
        }
        _ => Order::Arrival,
    };
    let input_of =
        |(from, known): &(&Spanned<String>, &Known)| (PlannedInput { name: from.value.clone(), rearrange: None }, known.schema.clone());
    let work = PlannedIndicators {
        groups: planned,
        others: others.iter().map(input_of).collect(),
        in_time,
        settled,
        lateness: head.lateness_ms(),
        width: input.schema.width(),
    };
    let out = Known { order, updates: None, ..input.clone() };
    let origin = input.origin.clone();
    // Each group of indicators has a basis of its own.
    let basis = Basis { key: None, records: None, form: None, reads: None };
    Ok(Some(Planned { base, out, origin, work: Arc::new(work), basis: Some(basis), late: None, timeouts: None }))
}

/// Reports what is wrong with the stream as a whole, and with those that it reads.
fn check_streams(stage: &Indicators, head: &Head, input: &Known, others: &[(&Spanned<String>, &Known)], problems: &mut Vec<Problem>) {
    head.check_order("go on", problems);
    if let Timing::Untimed(remedy) = &input.timing {
        problems.push(stage.place.problem(format!("`indicators` are over event time, and {}", head.untimed(remedy))));
    }
    Updates::refuse(input.updates.as_ref(), &stage.place, "an indicator", problems);
    for (from, known) in others {
        if let Timing::Untimed(remedy) = &known.timing {
            problems.push(from.problem(format!("`indicators` are over event time, and records of `{}` have none: {remedy}", from.value)));
        }
        Updates::refuse(known.updates.as_ref(), from, "an indicator", problems);
    }
}

/// A compiled indicator.
pub(crate) struct One {
    /// The number of the stream that it is over: 0 is the stream itself.
    pub(super) source: usize,
    pub(super) call: Compiled,
    pub(super) filter: Option<Expr>,
    pub(super) keys: Keys,
    pub(super) default: Value,
    pub(super) span: Span,
}

impl One {
    /// Compiles an indicator. Also returns the type of its values, which is `any` after a problem.
    pub(crate) fn plan(
        indicator: &Indicator,
        head: &Head,
        input: &Schema,
        others: &[(&str, &Schema)],
        problems: &mut Vec<Problem>,
    ) -> (Type, Option<Self>) {
        let before = problems.len();
        let name = &indicator.name;
        if input.declares(&name.value) {
            problems.push(name.problem(format!("there is a field `{}` already: name the indicator otherwise", name.value)));
        }
        let at = indicator.from.as_ref().and_then(|from| others.iter().position(|(other, _)| *other == from.value));
        let over = at.and_then(|at| others.get(at)).map_or(input, |(_, schema)| *schema);
        let source = at.map_or(0, |at| at + 1);
        let call = functions::compile(&indicator.value, over).map_err(|found| problems.extend(found)).ok();
        let filter = indicator.filter.as_ref().and_then(|text| condition(text, over, problems));
        let keys = Keys::plan(indicator, head, input, over, source, problems);
        let ty = call.as_ref().map_or(Type::Any, |call| call.ty.clone());
        let default = default(indicator.default.as_ref(), &ty, problems);
        let zone = head.zone.as_ref().map_or("UTC", |zone| zone.as_str());
        let span = indicator.over.value.span(zone);
        let one = call.filter(|_| problems.len() == before).map(|call| Self { source, call, filter, keys, default, span });
        (ty, one)
    }
}

/// The parts of a key: what they are of the stream itself, and of the stream that the indicator is over.
pub(super) struct Keys {
    pub(super) texts: Vec<String>,
    pub(super) asked: Vec<Expr>,
    pub(super) fed: Vec<Expr>,
}

impl Keys {
    fn plan(indicator: &Indicator, head: &Head, input: &Schema, over: &Schema, source: usize, problems: &mut Vec<Problem>) -> Self {
        if let Some(on) = &indicator.on {
            let (asked, fed) = plan_equality(on, input, over, problems).into_iter().unzip();
            return Self { texts: vec![on.left_text().trim().to_owned()], asked, fed };
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
                let message = format!(
                    "`{}` is of type {} in one stream and of type {} in the other: these are never equal",
                    text.value,
                    asked.ty(),
                    fed.ty()
                );
                problems.push(text.problem(message));
            }
        }
        Self { texts: texts.iter().map(|text| text.value.trim().to_owned()).collect(), asked, fed }
    }
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
        (Literal::String(value), Type::Duration) => parse_duration(value).map(Value::Duration),
        (Literal::String(value), Type::Timestamp) => value.parse().ok().map(Value::Timestamp),
        _ => None,
    };
    value.unwrap_or_else(|| {
        problems.push(default.problem(format!("`default` must be of the type of the value, which is {ty}")));
        Value::Null
    })
}

//! Joins: rows of two streams made one.

use std::ops::Range;
use std::time::Duration;

use tidegate_connectors::row::{Row, Schema, Type, Value};
use tidegate_operators::join::{Either, Interval, JoinType, Pairs, Unmatched};
use tidegate_operators::window::Bounds;
use tidegate_operators::{KeyedStream, Stream};

use super::key::{KeySlots, RowKey};
use super::known::{Known, Order, Timing};
use super::pipeline::{self, Pipeline};
use super::single::by_value;
use super::updates::Updates;
use super::windows::{self, PlannedShape, PlannedWindow};
use super::{PlannedInput, Streams};
use crate::aggregate::located;
use crate::canonical::has_forms;
use crate::expr::Expr;
use crate::file::{Clock, Join, JoinKind, Near, Problem, Spanned, Stream as FileStream};

/// A join, compiled.
#[derive(Clone)]
pub(super) struct PlannedJoin {
    pub(super) left: JoinSide,
    pub(super) right: JoinSide,
    /// The rows of the other stream.
    pub(super) with: PlannedInput,
    pub(super) with_schema: Schema,
    near: PlannedNear,
    kind: JoinType,
    /// What comes out, late rows included.
    pub(super) schema: Schema,
    pub(super) late_to: Option<String>,
}

/// The key of one side.
#[derive(Clone)]
pub(super) struct JoinSide {
    /// Computes the keys that are expressions.
    pub(super) keys: Pipeline,
    pub(super) key: KeySlots,
    /// The fields of a row, without those.
    width: usize,
}

#[derive(Clone)]
enum PlannedNear {
    Interval(Interval),
    Window {
        window: tidegate_operators::Window,
        clock: Clock,
        lateness: Duration,
    },
    /// `deleted`: the slot behind the rows of the right that says which end a version; `settled`: do versions of a key come in an order of their own?
    Temporal {
        deleted: Option<usize>,
        settled: bool,
    },
}

/// Plans a join, and tells what is known of its rows. `None` if the other stream could not be planned.
pub(super) fn plan(stream: &FileStream, join: &Join, left: &Known, known: &Streams) -> Option<Result<(PlannedJoin, Known), Vec<Problem>>> {
    let right = known.get(join.with.as_str())?;
    let mut problems = Vec::new();
    let near = plan_near(join, &mut problems);
    let by_clock = matches!(near, Some(PlannedNear::Window { clock: Clock::Processing, .. }) | None);
    let timing = left.timing.clone().and(&right.timing);
    if let (false, Timing::Untimed(remedy)) = (by_clock, &timing) {
        let untimed = if left.timing.is_timed() { join.with.as_str() } else { stream.from.first().map_or("", |from| from.as_str()) };
        problems.push(join.place.problem(format!("a join is by event time, and records of `{untimed}` have none: {remedy}")));
    }
    let updates = left.updates.as_ref().or(right.updates.as_ref());
    Updates::refuse(updates, &join.place, "a join", &mut problems);
    let (mut of_left, mut of_right) = (Vec::new(), Vec::new());
    for equality in &join.on {
        let text = |range: &Range<usize>| equality.text.value.get(range.clone()).unwrap_or_default();
        let mut side = |range: &Range<usize>, schema: &Schema| match Expr::compile(text(range), schema) {
            Ok(expr) => Some(expr),
            Err(found) => {
                problems.extend(found.into_iter().map(|problem| located(&equality.text, range.start, problem)));
                None
            }
        };
        let (l, r) = (side(&equality.left, &left.schema), side(&equality.right, &right.schema));
        if let Some((l, r)) = l.zip(r) {
            if l.ty() != r.ty() && *l.ty() != Type::Any && *r.ty() != Type::Any {
                let message = format!("these are never equal: one is of type {}, the other of type {}", l.ty(), r.ty());
                problems.push(equality.text.problem(message));
            }
            of_left.push(l);
            of_right.push(r);
        }
    }
    for key in stream.key.iter().filter(|_| join.on.is_empty()) {
        of_left.extend(pipeline::expression(key, &left.schema, &mut problems));
        of_right.extend(pipeline::expression(key, &right.schema, &mut problems));
    }
    if join.on.is_empty() && stream.key.is_empty() {
        problems.push(join.place.problem("a join needs `on`, such as `a.id == b.id`, or the stream a `key` that both have"));
    }
    let has_bounds = matches!(near, Some(PlannedNear::Window { .. }));
    let schema = joined(&left.schema, &right.schema, join.with.as_str(), has_bounds);
    let deleted = if let Near::Temporal(Some(text)) = &join.near { condition(text, &right.schema, &mut problems) } else { None };
    let Some(mut near) = near.filter(|_| problems.is_empty()) else { return Some(Err(problems)) };
    let kind = match join.kind {
        JoinKind::Inner => JoinType::Inner,
        JoinKind::Left => JoinType::Left,
        JoinKind::Right => JoinType::Right,
        JoinKind::Full => JoinType::Full,
    };
    let fields: Vec<usize> = of_right.iter().filter_map(Expr::as_slot).collect();
    let forms: Vec<bool> = of_left.iter().zip(&of_right).map(|(l, r)| has_forms(l.ty()) || has_forms(r.ty())).collect();
    let (right_side, slot) = JoinSide::new(of_right, &forms, deleted, &right.schema);
    if let PlannedNear::Temporal { deleted, settled } = &mut near {
        (*deleted, *settled) = (slot, right.order.is_settled(&fields));
    }
    let again = matches!(&near, PlannedNear::Window { lateness, .. } if !lateness.is_zero());
    let no_identity = || Err(format!("nothing tells the pairs of `{}` apart", stream.name.value));
    let updates = again.then(|| Updates::new(stream, "`allowed_lateness`", no_identity(), []));
    let planned = PlannedJoin {
        left: JoinSide::new(of_left, &forms, None, &left.schema).0,
        right: right_side,
        with: PlannedInput { name: join.with.value.clone(), rearrange: None },
        with_schema: right.schema.clone(),
        near,
        kind,
        schema: schema.clone(),
        late_to: stream.late_to.as_ref().map(|name| name.value.clone()),
    };
    Some(Ok((planned, Known { schema, timing, order: Order::Arrival, updates })))
}

fn condition(text: &Spanned<String>, schema: &Schema, problems: &mut Vec<Problem>) -> Option<Expr> {
    let compiled = Expr::condition(&text.value, schema);
    compiled.map_err(|found| problems.extend(found.into_iter().map(|problem| located(text, 0, problem)))).ok()
}

fn plan_near(join: &Join, problems: &mut Vec<Problem>) -> Option<PlannedNear> {
    match &join.near {
        Near::Within(low, high) => {
            let interval = Interval::new(windows::millis(*low), windows::millis(*high));
            if interval.is_none() {
                problems.push(join.place.problem("there is no time within these bounds"));
            }
            interval.map(PlannedNear::Interval)
        }
        Near::Window(window) => match windows::plan(window, &Schema::default(), problems)? {
            PlannedWindow::Time(planned) => match planned.shape {
                PlannedShape::Plain(window) => Some(PlannedNear::Window { window, clock: planned.clock, lateness: planned.lateness }),
                PlannedShape::Session(_) => None,
            },
            PlannedWindow::Count(_) => None,
        },
        Near::Temporal(_) => Some(PlannedNear::Temporal { deleted: None, settled: false }),
    }
}

/// The fields of both; those of the right that the left has, too, begin with the name of the right.
pub(super) fn joined(left: &Schema, right: &Schema, with: &str, has_bounds: bool) -> Schema {
    let mut schema = left.clone();
    for field in right.fields() {
        let taken = schema.slot(&field.name).is_some();
        schema.add(if taken { format!("{with}_{}", field.name) } else { field.name.clone() }, field.ty.clone());
    }
    if has_bounds {
        schema.add("window_start", Type::Timestamp);
        schema.add("window_end", Type::Timestamp);
    }
    schema
}

impl JoinSide {
    /// The side with these keys, `forms` of which tells where equal values have more than one form; and the slot of what else is put behind its rows.
    fn new(keys: Vec<Expr>, forms: &[bool], more: Option<Expr>, schema: &Schema) -> (Self, Option<usize>) {
        let (mut slots, mut computed) = (Vec::new(), Vec::new());
        for key in keys {
            slots.push(key.as_slot().unwrap_or(schema.width() + computed.len()));
            if key.as_slot().is_none() {
                computed.push(key);
            }
        }
        let behind = more.is_some().then_some(schema.width() + computed.len());
        computed.extend(more);
        (Self { keys: pipeline::append(computed), key: KeySlots::new(&slots, forms), width: schema.width() }, behind)
    }

    /// The fields of a row; nulls if there is none.
    fn fields<'a>(&self, row: Option<&'a Row>) -> impl Iterator<Item = Value> + use<'a> {
        (0..self.width).map(move |slot| row.map_or(Value::Null, |row| row.get(slot).clone()))
    }

    fn keyed<'s>(&self, rows: Stream<'s, Row>) -> KeyedStream<'s, Row, impl Fn(&Row) -> RowKey + Clone + 'static> {
        let key = self.key.clone();
        rows.key_by(move |row: &Row| key.of(row))
    }
}

impl PlannedJoin {
    /// The joined rows, and the late rows of both sides, each with nulls for the other.
    pub(super) fn build<'s>(&self, name: &str, left: Stream<'s, Row>, right: Stream<'s, Row>) -> (Stream<'s, Row>, Stream<'s, Row>) {
        let both = self.left.keyed(left).join(name, self.right.keyed(right));
        let sides = (self.left.clone(), self.right.clone());
        let row = move |left: Option<&Row>, right: Option<&Row>| sides.0.fields(left).chain(sides.1.fields(right)).collect::<Vec<_>>();
        let late_row = row.clone();
        let has_bounds = matches!(self.near, PlannedNear::Window { .. });
        let (rows, late) = match &self.near {
            PlannedNear::Interval(interval) => {
                both.interval(name, *interval, self.kind, move |_: &RowKey, left, right| Row(row(left, right).into()))
            }
            PlannedNear::Temporal { deleted, settled } => {
                let ties = (!settled).then(by_value);
                let unmatched = if self.kind.keeps_left() { Unmatched::Keep } else { Unmatched::Drop };
                let deleted = *deleted;
                let deletes = move |row: &Row| deleted.is_some_and(|slot| *row.get(slot) == Value::Bool(true));
                both.temporal(name, unmatched, deletes, move |_: &RowKey, left, right| Row(row(Some(left), right).into()), ties)
            }
            PlannedNear::Window { window, clock, lateness } => {
                let pair = move |_: &RowKey, window: Bounds, left: Option<&Row>, right: Option<&Row>| {
                    let bounds = [super::build::bound(window.start), super::build::bound(window.end)];
                    row(left, right).into_iter().chain(bounds).collect::<Row>()
                };
                let windows = both.window(*window).allowed_lateness(*lateness);
                let windows = if *clock == Clock::Processing { windows.processing_time() } else { windows };
                windows.process(name, Pairs::new(self.kind, pair))
            }
        };
        let late = late.map(&format!("{name}/late"), move |row: Either<Row, Row>| {
            let fields = match &row {
                Either::Left(row) => late_row(Some(row), None),
                Either::Right(row) => late_row(None, Some(row)),
            };
            fields.into_iter().chain([Value::Null, Value::Null].into_iter().filter(|_| has_bounds)).collect()
        });
        (rows, late)
    }
}

//! Joins: rows of two streams made one.

use std::ops::Range;
use std::time::Duration;

use tidegate_operators::join::{Either, Interval, JoinType, Pairs, Unmatched};
use tidegate_operators::window::Bounds;
use tidegate_operators::{KeyedStream, Stream};
use tidegate_rows::{Row, Schema, Type, Value};

use super::PlannedInput;
use super::arrange::{Arrangement, Sides};
use super::key::{KeySlots, RowKey};
use super::known::{Known, Order, Timing};
use super::pipeline::{self, Pipeline};
use super::single::by_value;
use super::updates::Updates;
use super::windows::{self, PlannedShape, PlannedWindow};
use crate::aggregate::located;
use crate::file::{Clock, Join, JoinKind, Near, Problem, Spanned, Stream as FileStream};
use tidegate_expr::{Expr, comparable};
use tidegate_expr::{has_forms, is_matchless};

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
    /// Makes it of the fields of both sides, if it is not those as they are.
    pub(super) arranged: Option<Arrangement>,
    pub(super) late_to: Option<String>,
}

/// The key of one side.
#[derive(Clone)]
pub(super) struct JoinSide {
    /// Computes the keys that are expressions.
    pub(super) keys: Pipeline,
    pub(super) key: KeySlots,
    /// Stands for a row if there is none.
    blank: Row,
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

/// Plans a join of two streams, and tells what is known of its rows as they are handed on; `stated` are fields that the left is said to have.
pub(super) fn plan(
    stream: &FileStream,
    join: &Join,
    left: &Known,
    right: &Known,
    stated: &dyn Fn(&str) -> bool,
) -> Result<(PlannedJoin, Known), Vec<Problem>> {
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
            if !comparable(l.ty(), r.ty()) {
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
    let deleted = if let Near::Temporal(Some(text)) = &join.near { condition(text, &right.schema, &mut problems) } else { None };
    let Some(mut near) = near.filter(|_| problems.is_empty()) else { return Err(problems) };
    let kind = match join.kind {
        JoinKind::Inner => JoinType::Inner,
        JoinKind::Left => JoinType::Left,
        JoinKind::Right => JoinType::Right,
        JoinKind::Full => JoinType::Full,
    };
    // In a full join neither side always has the key.
    let either: Vec<(usize, usize)> = match kind {
        JoinType::Full => of_left.iter().zip(&of_right).filter_map(|(l, r)| l.as_slot().zip(r.as_slot())).collect(),
        JoinType::Inner | JoinType::Left | JoinType::Right => Vec::new(),
    };
    let bounds = [("window_start", Type::Timestamp), ("window_end", Type::Timestamp)];
    let behind = if has_bounds { bounds.as_slice() } else { &[] };
    let with = join.with.as_str();
    let (schema, arranged) = Sides { left: &left.schema, right: &right.schema, with, stated, either: &either, behind }.joined();
    let fields: Vec<usize> = of_right.iter().filter_map(Expr::as_slot).collect();
    let forms: Vec<bool> = of_left.iter().zip(&of_right).map(|(l, r)| l.ty() != r.ty() || has_forms(l.ty())).collect();
    let (right_side, slot) = JoinSide::new(of_right, &forms, deleted, &right.schema);
    if let PlannedNear::Temporal { deleted, settled } = &mut near {
        (*deleted, *settled) = (slot, right.order.is_settled(&fields));
    }
    let again = matches!(&near, PlannedNear::Window { lateness, .. } if !lateness.is_zero());
    let no_identity = || Err(format!("nothing tells the pairs of `{}` apart", stream.name.value));
    let updates = again.then(|| Updates::new(stream, "`allowed_lateness`", no_identity(), []));
    let joined = Known { updates, ..Known::new(schema.clone(), timing, Order::Arrival) };
    let planned = PlannedJoin {
        left: JoinSide::new(of_left, &forms, None, &left.schema).0,
        right: right_side,
        with: PlannedInput { name: join.with.value.clone(), rearrange: None },
        with_schema: right.schema.clone(),
        near,
        kind,
        schema,
        arranged,
        late_to: stream.late_to.as_ref().map(|name| name.value.clone()),
    };
    Ok((planned, joined))
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

/// The sides of a join.
#[derive(Clone, Copy)]
enum Side {
    Left,
    Right,
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
        (Self { keys: pipeline::append(computed), key: KeySlots::new(&slots, forms), blank: schema.blank() }, behind)
    }

    /// The fields of a row, or those that stand for it.
    fn fields<'a>(&'a self, row: Option<&'a Row>) -> impl Iterator<Item = Value> + use<'a> {
        let row = row.unwrap_or(&self.blank);
        (0..self.blank.0.len()).map(|slot| row.copy(slot))
    }

    /// The rows by their keys. One with a null in it is equal to no other: `side` keeps it apart from those of the other side.
    fn keyed<'s>(&self, rows: Stream<'s, Row>, side: Side) -> KeyedStream<'s, Row, impl Fn(&Row) -> RowKey + Clone + 'static> {
        let key = self.key.clone();
        rows.key_by(move |row: &Row| {
            let key = key.of(row);
            if key.values().iter().any(is_matchless) {
                let side = Value::Bool(matches!(side, Side::Right));
                return RowKey::Many(key.values().iter().cloned().chain([side]).collect());
            }
            key
        })
    }
}

impl PlannedJoin {
    /// The rows of both sides, which are still to be arranged, and the late rows of each, with nulls for the other.
    pub(super) fn build<'s>(&self, name: &str, left: Stream<'s, Row>, right: Stream<'s, Row>) -> (Stream<'s, Row>, Stream<'s, Row>) {
        let both = self.left.keyed(left, Side::Left).join(name, self.right.keyed(right, Side::Right));
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
        let arranged = self.arranged.clone();
        let late = late.map(&format!("{name}/late"), move |row: Either<Row, Row>| {
            let fields = match &row {
                Either::Left(row) => late_row(Some(row), None),
                Either::Right(row) => late_row(None, Some(row)),
            };
            let row: Row = fields.into_iter().chain([Value::Null, Value::Null].into_iter().filter(|_| has_bounds)).collect();
            match &arranged {
                Some(arranged) => arranged.of(&row),
                None => row,
            }
        });
        (rows, late)
    }
}

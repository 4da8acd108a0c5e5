//! Plans joins of the rows of two streams.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tidegate_operators::join::{Either, Interval, JoinType, Pairs, Unmatched};
use tidegate_operators::window::Bounds;
use tidegate_operators::{KeyedStream, Stream};
use tidegate_rows::{Row, Schema, Value};

use tidegate_expr::{Expr, comparable, has_forms, is_matchless};
use tidegate_runtime::{Basis, Field};

use super::{Equality, Join, JoinKind, Near};
use crate::relation::appended::Appended;
use crate::relation::arrange::{Arrangement, Sides};
use crate::relation::expression::{condition, expression, located};
use crate::relation::key::{KeySlots, RowKey};
use crate::relation::known::{Known, Order, Timing};
use crate::relation::pipeline::{Base, Pipeline};
use crate::relation::union::PlannedInput;
use crate::relation::updates::Updates;
use crate::stage::build::{Built, Rows, Site, Work, bound, gather, through};
use crate::stage::keyed::{by_value, fields, type_of};
use crate::stage::kind::{BOUNDS, Head, Planned, Refused, Scope};
use crate::stage::window::{self, Clock, PlannedShape, PlannedWindow};
use crate::text::Problem;
use crate::yaml::millis;

/// A planned join.
#[derive(Clone)]
struct PlannedJoin {
    left: JoinSide,
    right: JoinSide,
    /// The other stream.
    with: PlannedInput,
    with_schema: Schema,
    near: PlannedNear,
    kind: JoinType,
    /// The schema of the output, including late rows.
    schema: Schema,
    /// Arranges the output from the fields of both sides, if they don't already have its layout.
    arranged: Option<Arrangement>,
}

/// One side of a join.
#[derive(Clone)]
struct JoinSide {
    /// Computes the parts of the key that are expressions.
    keys: Pipeline,
    key: KeySlots,
    /// Stands in for a missing row.
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
    /// `deleted` is the slot of the condition by which a right row ends the versions before it. `settled` says whether the versions
    /// of a key come in the same order in every run.
    Temporal {
        deleted: Option<usize>,
        settled: bool,
    },
}

/// Plans a join of two streams.
pub(super) fn plan(join: &Join, scope: &mut Scope<'_>) -> Result<Option<Planned>, Refused> {
    let (head, left) = (scope.head, scope.input);
    let with = join.with.as_str();
    let Some(right) = scope.streams.get(with) else { return Ok(None) };
    let origin = left.origin.clone().and(&right.origin).joined_with(with);
    scope.asked.name(&origin, scope.names);
    scope.asked.meet_in_join([(&left.schema, &left.origin), (&right.schema, &right.origin)], with);
    let stated = scope.stated(join.of_left(head), with, &origin);
    let (planned, out) = compile(head, join, left, right, &stated)?;
    drop(stated);
    let base = Base::arranged((planned.schema.clone(), planned.arranged.clone()));
    let (basis, late) = (basis(head, join, &left.schema, &right.schema), planned.schema.clone());
    Ok(Some(Planned { base, out, origin, work: Arc::new(planned), basis: Some(basis), late: Some(late), timeouts: None }))
}

/// The basis of a join's state.
fn basis(head: &Head, join: &Join, left: &Schema, right: &Schema) -> Basis {
    let pair = |equality: &Equality| {
        let (l, r) = (equality.left_text(), equality.right_text());
        let (of_left, of_right) = (type_of(l, left), type_of(r, right));
        Field::new(format!("{l} == {r}"), if of_left == of_right { of_left } else { format!("{of_left} and {of_right}") })
    };
    let key = match join.on.as_slice() {
        [] => head.key.iter().map(|key| Field::new(key.value.trim(), type_of(&key.value, left))).collect(),
        on => on.iter().map(pair).collect(),
    };
    let of_right = fields(right).map(|field| Field::new(format!("{}.{}", join.with.value, field.name), field.is));
    let form = match &join.near {
        Near::Temporal(Some(deleted)) => Some(format!("a table whose versions end where {}", deleted.value.trim())),
        _ => None,
    };
    Basis { key: Some(key), records: Some(fields(left).chain(of_right).collect()), form, reads: None }
}

/// Compiles a join. Also returns what is known of its output. `stated` tells which fields the job says the left has.
fn compile(
    head: &Head,
    join: &Join,
    left: &Known,
    right: &Known,
    stated: &dyn Fn(&str) -> bool,
) -> Result<(PlannedJoin, Known), Vec<Problem>> {
    let mut problems = Vec::new();
    let near = plan_near(join, &mut problems);
    let timing = timing(head, join, near.as_ref(), [left, right], &mut problems);
    Updates::refuse(left.updates.as_ref().or(right.updates.as_ref()), &join.place, "a join", &mut problems);
    let keys = plan_keys(head, join, &left.schema, &right.schema, &mut problems);
    let deleted = if let Near::Temporal(Some(text)) = &join.near { condition(text, &right.schema, &mut problems) } else { None };
    let Some(mut near) = near.filter(|_| problems.is_empty()) else { return Err(problems) };
    let kind = join_type(join.kind);
    // In a full join, the row of either side may be missing and with it the key.
    let either: Vec<(usize, usize)> = match kind {
        JoinType::Full => keys.iter().filter_map(|(l, r)| l.as_slot().zip(r.as_slot())).collect(),
        JoinType::Inner | JoinType::Left | JoinType::Right => Vec::new(),
    };
    let behind = if matches!(near, PlannedNear::Window { .. }) { BOUNDS.as_slice() } else { &[] };
    let with = join.with.as_str();
    let (schema, arranged) = Sides { left: &left.schema, right: &right.schema, with, stated, either: &either, behind }.joined();
    let forms: Vec<bool> = keys.iter().map(|(l, r)| l.ty() != r.ty() || has_forms(l.ty())).collect();
    let (of_left, of_right): (Vec<_>, Vec<_>) = keys.into_iter().unzip();
    let fields: Vec<usize> = of_right.iter().filter_map(Expr::as_slot).collect();
    let (right_side, slot) = JoinSide::new(of_right, &forms, deleted, &right.schema);
    if let PlannedNear::Temporal { deleted, settled } = &mut near {
        (*deleted, *settled) = (slot, right.order.is_settled(&fields));
    }
    let again = matches!(&near, PlannedNear::Window { lateness, .. } if !lateness.is_zero());
    let no_identity = || Err(format!("nothing tells the pairs of `{}` apart", head.name.value));
    let updates = again.then(|| Updates::new(&head.name.value, "`allowed_lateness`", no_identity(), []));
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
    };
    Ok((planned, joined))
}

/// What is known of the times of the joined rows. A join that is not by the clock needs those of both sides.
fn timing(head: &Head, join: &Join, near: Option<&PlannedNear>, [left, right]: [&Known; 2], problems: &mut Vec<Problem>) -> Timing {
    let by_clock = matches!(near, Some(PlannedNear::Window { clock: Clock::Processing, .. }) | None);
    let timing = left.timing.clone().and(&right.timing);
    if let (false, Timing::Untimed(remedy)) = (by_clock, &timing) {
        let untimed = if left.timing.is_timed() { join.with.as_str() } else { head.from.first().map_or("", |from| from.as_str()) };
        problems.push(join.place.problem(format!("a join is by event time, and records of `{untimed}` have none: {remedy}")));
    }
    timing
}

/// The parts of the key on either side: from `on`, or else from the key of the stream.
fn plan_keys(head: &Head, join: &Join, left: &Schema, right: &Schema, problems: &mut Vec<Problem>) -> Vec<(Expr, Expr)> {
    match (join.on.as_slice(), head.key.as_slice()) {
        ([], []) => {
            problems.push(join.place.problem("a join needs `on`, such as `a.id == b.id`, or the stream a `key` that both have"));
            Vec::new()
        }
        ([], keys) => {
            keys.iter().filter_map(|key| expression(key, left, problems).zip(expression(key, right, problems))).collect()
        }
        (on, _) => on.iter().filter_map(|equality| plan_equality(equality, left, right, problems)).collect(),
    }
}

/// The sides of an equality in `on`.
pub(crate) fn plan_equality(equality: &Equality, left: &Schema, right: &Schema, problems: &mut Vec<Problem>) -> Option<(Expr, Expr)> {
    let text = |range: &Range<usize>| equality.text.value.get(range.clone()).unwrap_or_default();
    let mut side = |range: &Range<usize>, schema: &Schema| match Expr::compile(text(range), schema) {
        Ok(expr) => Some(expr),
        Err(found) => {
            problems.extend(found.into_iter().map(|problem| located(&equality.text, range.start, problem)));
            None
        }
    };
    let (l, r) = (side(&equality.left, left), side(&equality.right, right));
    let (l, r) = l.zip(r)?;
    if !comparable(l.ty(), r.ty()) {
        let message = format!("these are never equal: one is of type {}, the other of type {}", l.ty(), r.ty());
        problems.push(equality.text.problem(message));
    }
    Some((l, r))
}

fn join_type(kind: JoinKind) -> JoinType {
    match kind {
        JoinKind::Inner => JoinType::Inner,
        JoinKind::Left => JoinType::Left,
        JoinKind::Right => JoinType::Right,
        JoinKind::Full => JoinType::Full,
    }
}

fn plan_near(join: &Join, problems: &mut Vec<Problem>) -> Option<PlannedNear> {
    match &join.near {
        Near::Within(low, high) => {
            let interval = Interval::new(millis(*low), millis(*high));
            if interval.is_none() {
                problems.push(join.place.problem("there is no time within these bounds"));
            }
            interval.map(PlannedNear::Interval)
        }
        Near::Window(window) => match window::plan(window, &Schema::default(), problems)? {
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
    /// A side with these keys. `forms` says for each whether equal values can have more than one form. `more` is appended to the
    /// rows after the computed keys; its slot is returned too.
    fn new(keys: Vec<Expr>, forms: &[bool], more: Option<Expr>, schema: &Schema) -> (Self, Option<usize>) {
        let mut computed = Appended::to(schema);
        let slots: Vec<usize> = keys.into_iter().map(|key| computed.slot(key)).collect();
        let behind = more.map(|more| computed.add(more));
        (Self { keys: computed.into(), key: KeySlots::new(&slots, forms), blank: schema.blank() }, behind)
    }

    /// The values of a row, or of its stand-in.
    fn fields<'a>(&'a self, row: Option<&'a Row>) -> impl Iterator<Item = Value> + use<'a> {
        let row = row.unwrap_or(&self.blank);
        (0..self.blank.0.len()).map(|slot| row.copy(slot))
    }

    /// The rows by key. A key with a null in it equals no other key, so `side` is added to keep the two sides apart.
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

impl Work for PlannedJoin {
    fn build<'s>(&self, site: &Site<'_, 's>, input: Rows<'s>) -> Built<'s> {
        let name = site.name;
        let with_key = |rows: Rows<'s>, side: &JoinSide, schema: &Schema, node: &str| {
            if side.keys.is_empty() { rows } else { through(rows, &format!("{name}/{node}"), &side.keys, site.failures_over(schema)) }
        };
        let right = gather(std::slice::from_ref(&self.with), name, &self.with_schema, site.streams);
        let left = with_key(input, &self.left, site.input, "left_key");
        let right = with_key(right, &self.right, &self.with_schema, "right_key");
        let (rows, late) = self.join(name, left, right);
        Built::with_late(site.emitted(rows, Some), late)
    }
}

impl PlannedJoin {
    /// The joined rows, not yet arranged, and the late rows of each side, with nulls in place of the other.
    fn join<'s>(&self, name: &str, left: Stream<'s, Row>, right: Stream<'s, Row>) -> (Stream<'s, Row>, Stream<'s, Row>) {
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
                    let bounds = [bound(window.start), bound(window.end)];
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

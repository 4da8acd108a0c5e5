//! `top`: the greatest records of each key, overall or per window.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};
use tidegate_expr::{Expr, identifiers};
use tidegate_operators::{Top as Greatest, WindowResult};
use tidegate_rows::{Row, Schema, Type, Value};
use tidegate_runtime::Error;
use tidegate_runtime::state::Stored;

use std::sync::Arc;

use super::build::{Built, Rows, Site, Work, bound};
use super::keyed::{self, PlannedKey, by_value};
use super::kind::{Around, BOUNDS, Head, Kind, Planned, Read, Refused, Scope, Stage};
use super::window::{PlannedWindow, Window, Windows, windowed};
use crate::relation::arrange;
use crate::relation::expression::expression;
use crate::relation::failures::Failures;
use crate::relation::known::{Known, Order, Timing};
use crate::relation::pipeline::Base;
use crate::relation::updates::Updates;
use crate::text::{Span, Spanned};
use crate::yaml::{Node, Reader, Table, key};

pub(crate) static KIND: Kind = Kind {
    key: key("top", "mapping", "none", "the greatest records of each key, overall or per `window`; instead of `aggregate`"),
    tables: &[&TOP],
    keyed: true,
    windowed: true,
    ordered: false,
    stateful: true,
    late: false,
    timeouts: false,
    beside: None,
    table: None,
};

static TOP: Table = Table {
    name: "top",
    title: "top",
    keys: &[
        key("n", "count", "", "how many"),
        key("by", "expression", "", "what is compared; records with equal values are ordered by their other fields, the least first"),
    ],
};

/// `top`.
#[derive(Clone, Debug, PartialEq)]
pub struct Top {
    /// How many to keep; above zero.
    pub n: Spanned<u64>,
    /// The expression to rank them by.
    pub by: Spanned<String>,
    /// The windows. Without them, each record that changes the ranking is emitted.
    pub window: Option<Window>,
}

pub(crate) fn read(reader: &mut Reader, node: &Node, at: &Span, around: &Around<'_>) -> Option<Read<Top>> {
    let fields = reader.fields(node, at, &[&TOP], &format!("`top` of {}", around.place))?;
    let n = reader.required(&fields, "n").and_then(|node| reader.count(node, 1, 1_000_000));
    let by = reader.required(&fields, "by").and_then(|node| reader.text(node, "an expression"));
    let whole = !around.windowed || around.window.is_some();
    Some(Read { stage: Top { n: n?, by: by?, window: around.window.cloned() }, whole })
}

impl Stage for Top {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn names(&self, _: &Head) -> Vec<String> {
        let mut names = identifiers(&self.by.value);
        names.push("rank".to_owned());
        names.extend(self.window.iter().flat_map(Window::names));
        names
    }

    /// Emits rows of the input with the rank and the bounds of the window added.
    fn plan(&self, scope: &mut Scope<'_>) -> Result<Option<Planned>, Refused> {
        let (head, input) = (scope.head, scope.input);
        let mut problems = Vec::new();
        let key = PlannedKey::plan(head, input, &mut Schema::default(), &mut problems);
        let windows = Windows::plan(head, self.window.as_ref(), input, &mut problems);
        if self.window.is_none() {
            Updates::refuse(input.updates.as_ref(), &self.n, "a running `top`", &mut problems);
        }
        let bounds = if windows.planned.as_ref().is_some_and(PlannedWindow::has_bounds) { BOUNDS.as_slice() } else { &[] };
        let added = std::iter::once(("rank", Type::Int)).chain(bounds.iter().cloned());
        for (name, _) in added.clone().filter(|(name, _)| input.schema.declares(name)) {
            problems
                .push(self.n.problem(format!("`top` adds a field `{name}`, and there is one already: rename it with a `select` before")));
        }
        let by = expression(&self.by, &input.schema, &mut problems);
        let Some(by) = by.filter(|_| problems.is_empty()) else { return Err(problems.into()) };
        let updates = windows.planned.as_ref().and_then(|window| {
            let again = window.fires_again()?;
            let missing = || "its key is an expression and stands in no field".to_owned();
            // A row may lose its rank to another row, but no rank becomes vacant.
            let rank = input.schema.width();
            let identity = key.fields().ok_or_else(missing).and_then(|slots| window.identity(&head.name.value, slots));
            let identity = identity.and_then(|slots| match windows.evicts() {
                true => Err("an evictor may leave fewer ranks".to_owned()),
                false => Ok(slots.into_iter().chain([rank]).collect()),
            });
            Some(Updates::new(&head.name.value, again, identity, rank..=rank + bounds.len()))
        });
        let settled = key.settled || windows.is_by_event_time();
        let order = if settled { key.order() } else { Order::Arrival };
        let timing: Timing = windows.timing(head, &input.timing);
        let base = Base::arranged(arrange::extended(&input.schema, added));
        let out = Known { updates, order, timing, ..input.clone() };
        let form = format!("by {}", self.by.value.trim());
        let basis = keyed::basis(head, &input.schema, Some(keyed::rows(head, &input.schema)), Some(form));
        let work = Arc::new(PlannedTop { key, windows, n: usize::try_from(self.n.value).unwrap_or(usize::MAX), by });
        let origin = input.origin.clone();
        Ok(Some(Planned { base, out, origin, work, basis: Some(basis), late: None, timeouts: None }))
    }
}

/// A planned `top`.
struct PlannedTop {
    key: PlannedKey,
    windows: Windows,
    n: usize,
    by: Expr,
}

impl PlannedTop {
    /// The value that a row is ranked by. If the expression fails or is null, the row has none.
    fn measure(&self, mut failures: Failures) -> impl FnMut(&Row) -> Result<Option<Measure>, Error> + use<> {
        let by = self.by.clone();
        move |row| {
            let error = match by.eval(row) {
                Ok(Value::Null) => "expected a value, found null".to_owned(),
                Ok(value) => return Ok(Some(Measure(value))),
                Err(error) => error.to_string(),
            };
            failures.report(&by, &error, row).map(|()| None)
        }
    }
}

impl Work for PlannedTop {
    fn build<'s>(&self, site: &Site<'_, 's>, input: Rows<'s>) -> Built<'s> {
        let name = site.name;
        let PlannedKey { keys, key, width, settled, .. } = self.key.clone();
        let failures = || site.failures();
        let keyed = site.with_keys(input, &keys).key_by(move |row: &Row| key.of(row));
        let ranked = move |rank: u64, row: Row| row.0.into_iter().take(width).chain([Value::Int(i64::try_from(rank).unwrap_or(i64::MAX))]);
        let all = move |values: Vec<Row>| values.into_iter().zip(1..).map(move |(row, rank)| ranked(rank, row));
        let rows = format!("{name}/rows");
        let greatest = || Greatest::new(self.n, self.measure(failures()), by_value());
        match &self.windows.planned {
            None => {
                let results = keyed.top(name, self.n, self.measure(failures()), by_value());
                Built::only(site.emitted(results, move |(rank, row): (u64, Row)| Some(ranked(rank, row).collect())))
            }
            Some(PlannedWindow::Count(window)) => {
                let (results, none) = keyed.count_window(*window).aggregate_with_late(name, greatest());
                let results = results.flat_map(&rows, move |(_, values)| all(values).map(Iterator::collect::<Row>));
                Built::with_late(site.emitted(results, Some), site.without_keys(none, &keys))
            }
            Some(PlannedWindow::Time(window)) => {
                let has_bounds = window.has_bounds();
                let (results, behind) = windowed(keyed, name, window, self.windows.latest.as_ref(), settled, greatest(), &failures);
                let results = results.flat_map(&rows, move |r: WindowResult<_, Vec<Row>>| {
                    let bounds = [bound(r.start), bound(r.end)];
                    all(r.value).map(move |row| row.chain(bounds.clone().into_iter().filter(|_| has_bounds)).collect::<Row>())
                });
                Built::with_late(site.emitted(results, Some), site.without_keys(behind, &keys))
            }
        }
    }
}

/// A value with an order across all types.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Measure(Value);

impl Stored for Measure {
    const SCHEMA: &'static str = "row.measure/1";
}

impl PartialEq for Measure {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Measure {}

impl PartialOrd for Measure {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Measure {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

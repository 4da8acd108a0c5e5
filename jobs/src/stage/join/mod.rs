//! `join`: pairs the records of two streams.

mod plan;

pub(crate) use plan::plan_equality;

use std::ops::Range;

use jiff::SignedDuration;
use tidegate_expr::identifiers;

use super::kind::{Around, Beside, Head, Kind, Planned, Read, Refused, Scope, Stage};
use super::window::{self, Gap, Shape, Window};
use crate::text::{Span, Spanned};
use crate::yaml::{Fields, Node, Reader, Table, Value, key};

pub(crate) static KIND: Kind = Kind {
    key: key("join", "mapping", "none", "pairs records with those of another stream; instead of `aggregate`"),
    tables: &[&JOIN],
    keyed: true,
    windowed: false,
    ordered: false,
    stateful: true,
    late: true,
    timeouts: false,
    beside: Some(Beside::Under("with")),
    table: None,
};

static JOIN: Table = Table {
    name: "join",
    title: "join",
    keys: &[
        key("with", "name", "", "the other stream, the right side"),
        key(
            "on",
            "equality | [equality, ...]",
            "the stream's `key`",
            "what must be equal, such as `a.id == b.id`, where a and b are this stream and the other, or their names",
        ),
        key(
            "within",
            "[duration, duration] | duration",
            "none",
            "the time from a left record to a right one: from, to; a single duration: at most this long before or after",
        ),
        key("window", "mapping", "none", "pairs records of the same window; instead of `within`"),
        key("temporal", "true", "none", "the right side is a versioned table: each left record is joined with the version valid at its time; instead of `within`"),
        key("deleted", "expression", "none", "for `temporal`: a right record for which this is true deletes the row"),
        key("type", "inner | left | right | full", "inner", "the sides whose records are kept without a partner, with nulls for the other side"),
    ],
};

/// `join`.
#[derive(Clone, Debug, PartialEq)]
pub struct Join {
    /// The span of the key `join`.
    pub place: Spanned<()>,
    /// The right stream. The left one is the input.
    pub with: Spanned<String>,
    /// What must be equal. If empty, the stream's `key` must be.
    pub on: Vec<Equality>,
    /// How close in time partners must be, or in which windows.
    pub near: Near,
    /// What happens to records without a partner.
    pub kind: JoinKind,
}

/// Two expressions whose values must be equal.
#[derive(Clone, Debug, PartialEq)]
pub struct Equality {
    /// The whole text: `a.id == b.id`.
    pub text: Spanned<String>,
    /// Where the left side's expression is in it: `id`.
    pub left: Range<usize>,
    /// Where the right side's expression is in it.
    pub right: Range<usize>,
}

/// Which records can be partners.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "one for each join of a file")]
pub enum Near {
    /// Right records from the first to the second duration after the left one, inclusive. Negative durations are before it.
    Within(SignedDuration, SignedDuration),
    /// Records in the same window.
    Window(Window),
    /// The right version that was valid at the time of the left record. A right record for which the expression is true ends the versions before it.
    Temporal(Option<Spanned<String>>),
}

/// What happens to records without a partner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum JoinKind {
    /// They are dropped.
    #[default]
    Inner,
    /// Those of the left are kept.
    Left,
    /// Those of the right are kept.
    Right,
    /// Those of both sides are kept.
    Full,
}

pub(crate) fn read(reader: &mut Reader, node: &Node, at: &Span, around: &Around<'_>) -> Option<Read<Join>> {
    let place = format!("`join` of {}", around.place);
    let fields = reader.fields(node, at, &[&JOIN], &place)?;
    let kinds = [("inner", JoinKind::Inner), ("left", JoinKind::Left), ("right", JoinKind::Right), ("full", JoinKind::Full)];
    let kind = fields.get("type").and_then(|node| reader.word(node, "join.type", &kinds));
    let with = reader.required(&fields, "with").and_then(|node| reader.name(node));
    let near = read_near(reader, &fields, at, &place);
    if let (Some(kind), Some(Near::Temporal(_))) = (&kind, &near)
        && matches!(kind.value, JoinKind::Right | JoinKind::Full)
    {
        reader.push(kind.problem("a temporal join is `inner` or `left`: the right side is a table, not a stream"));
    }
    let on = fields.get("on").map(|node| reader.one_or_more(node, "an equality such as `a.id == b.id`"));
    let with = with?;
    let left: Vec<&str> = around.from.iter().map(Spanned::as_str).collect();
    let on = on.unwrap_or_default().into_iter().map(|text| read_equality(reader, text, &left, with.as_str())).collect::<Option<Vec<_>>>();
    let kind = kind.map(|kind| kind.value).unwrap_or_default();
    Some(Read { stage: Join { place: Spanned::new((), at.clone()), with, on: on?, near: near?, kind }, whole: true })
}

impl Stage for Join {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn names(&self, head: &Head) -> Vec<String> {
        let mut names = self.of_left(head);
        names.extend(self.on.iter().flat_map(|on| identifiers(on.right_text())));
        match &self.near {
            Near::Window(window) => names.extend(window.names()),
            Near::Temporal(Some(deleted)) => names.extend(identifiers(&deleted.value)),
            Near::Within(..) | Near::Temporal(None) => {}
        }
        names
    }

    fn with(&self) -> Vec<&Spanned<String>> {
        vec![&self.with]
    }

    fn plan(&self, scope: &mut Scope<'_>) -> Result<Option<Planned>, Refused> {
        plan::plan(self, scope)
    }
}

impl Join {
    /// The names that its key uses of the left side.
    fn of_left(&self, head: &Head) -> Vec<String> {
        let on = self.on.iter().flat_map(|on| identifiers(on.left_text()));
        let key = head.key.iter().filter(|_| self.on.is_empty()).flat_map(|key| identifiers(&key.value));
        on.chain(key).collect()
    }
}

impl Equality {
    /// The left side's expression.
    pub(crate) fn left_text(&self) -> &str {
        self.text.value.get(self.left.clone()).unwrap_or_default()
    }

    /// The right side's expression.
    pub(crate) fn right_text(&self) -> &str {
        self.text.value.get(self.right.clone()).unwrap_or_default()
    }
}

fn read_near(reader: &mut Reader, fields: &Fields<'_>, at: &Span, place: &str) -> Option<Near> {
    if let Some(at) = fields.key("deleted").filter(|_| fields.get("temporal").is_none()) {
        reader.push(at.problem(format!("`deleted` in {place} needs `temporal`")));
    }
    match *fields.given(&["within", "window", "temporal"]).as_slice() {
        ["within"] => read_within(reader, fields.get("within")?),
        ["window"] => {
            let node = fields.get("window")?;
            let window = window::read(reader, node, fields.key("window").unwrap_or(at), place)?;
            let whole = matches!(window.shape, Shape::Count { .. } | Shape::Global | Shape::Session(Gap::Dynamic(_)));
            if whole || window.trigger.is_some() || window.evictor.is_some() {
                return reader
                    .fail(&window.place.span, "a join is by tumbling, sliding, cumulative or session windows, which fire at their end");
            }
            Some(Near::Window(window))
        }
        ["temporal"] => {
            reader.asked(fields.get("temporal")?, "temporal")?;
            let deleted = fields.get("deleted").and_then(|node| reader.text(node, "an expression"));
            Some(Near::Temporal(deleted))
        }
        _ => reader.fail(&fields.at, format!("{place} needs one of `within`, `window` and `temporal`")),
    }
}

/// Reads `[-5m, 10m]`, or `5m` for both directions.
fn read_within(reader: &mut Reader, node: &Node) -> Option<Near> {
    if !matches!(node.value, Value::List(_)) {
        let distance = reader.span(node)?.value;
        return Some(Near::Within(-distance, distance));
    }
    let (low, high) = reader.pair(node, "two durations such as `[-5m, 10m]`")?;
    let low = reader.duration(low, .., "");
    let high = reader.duration(high, .., "");
    let (low, high) = (low?.value, high?.value);
    if low > high {
        return reader.fail(&node.span, "the first of the two is the earlier one");
    }
    Some(Near::Within(low, high))
}

/// Reads an equality. One side refers to the left stream and the other to the right one, by name or as `a` and `b`.
pub(crate) fn read_equality(reader: &mut Reader, text: Spanned<String>, left: &[&str], right: &str) -> Option<Equality> {
    let wrong = |reader: &mut Reader, text: &Spanned<String>| {
        let of_left = left.first().copied().unwrap_or("a");
        let message = format!("`on` is an equality of the two streams, such as `{of_left}.id == {right}.id` or `a.id == b.id`");
        reader.push(text.problem(message));
        None
    };
    let Some((first, second)) = text.value.split_once("==") else { return wrong(reader, &text) };
    let side = |part: &str, offset: usize| {
        let start = offset + part.len() - part.trim_start().len();
        let (name, rest) = part.trim().split_once('.')?;
        let is_left = if left.contains(&name) {
            true
        } else if name == right {
            false
        } else {
            ["a", "b"].iter().position(|n| *n == name)? == 0
        };
        let from = start + name.len() + 1;
        Some((is_left, from..from + rest.len()))
    };
    match (side(first, 0), side(second, first.len() + 2)) {
        (Some((true, left)), Some((false, right))) | (Some((false, right)), Some((true, left))) => Some(Equality { text, left, right }),
        _ => wrong(reader, &text),
    }
}

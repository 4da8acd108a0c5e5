//! `indicators`: features of each record over spans of time, exact at its moment.

mod build;
mod column;
mod functions;
mod gather;
mod groups;
mod over;
mod plan;
mod rows;
mod sweep;

use jiff::SignedDuration;
use tidegate_expr::{identifiers, parse_call};

use super::join::{Equality, read_equality};
use super::kind::{Around, Beside, Head, Kind, Planned, Read, Refused, Scope, Stage};
use crate::text::{Span, Spanned};
use crate::yaml::{Literal, Node, Reader, Table, key};
pub(crate) use build::PlannedGroup;
pub(crate) use column::RowColumn;
pub use functions::reference;
pub(crate) use groups::Groups;
pub use over::Over;
pub(crate) use plan::One;
pub(crate) use rows::RowIndicators;

pub(crate) static KIND: Kind = Kind {
    key: key("indicators", "mapping", "none", "features over spans of time, such as `fails_10m: { value: count(), over: 10m }`, added to each record"),
    tables: &[&INDICATOR, &over::OVER],
    keyed: true,
    windowed: false,
    ordered: true,
    stateful: true,
    late: true,
    timeouts: false,
    beside: Some(Beside::EachUnder("from")),
    table: None,
};

static INDICATOR: Table = Table {
    name: "indicator",
    title: "An indicator",
    keys: &[
        key("value", "indicator", "", "what it is, such as count() or avg(amount)"),
        key(
            "over",
            "duration | ever | today | yesterday | this_hour | this_week | this_month | this_year | mapping",
            "",
            "the span of time up to the record",
        ),
        key("where", "expression", "none", "which records it counts"),
        key("key", "expression | [expression, ...]", "the stream's `key`", "what it groups by; `[]` for the whole stream"),
        key("self", "true | false", "true", "whether the record counts itself"),
        key("delay", "duration", "0s", "how long before the record the span ends"),
        key("default", "value", "null", "the value where there is none"),
        key("every", "duration", "none", "the far edge of a trailing span moves in such steps"),
        key("ttl", "duration", "none", "with `over: ever`, a silence that long forgets what came before"),
        key("from", "name", "the stream itself", "another stream, whose records it is over"),
        key("on", "equality", "none", "with `from`, what must be equal, such as `orders.ip == logins.client_ip`; instead of `key`"),
        key("approx", "true | false", "false", "permits `count_distinct`, `quantile` and `top` to be off by 1 %; in this version they are exact all the same"),
    ],
};

/// `indicators`.
#[derive(Clone, Debug, PartialEq)]
pub struct Indicators {
    /// The span of the key `indicators`.
    pub place: Spanned<()>,
    /// The indicators, in order. Empty only after a problem.
    pub indicators: Vec<Indicator>,
}

/// One indicator.
#[derive(Clone, Debug, PartialEq)]
pub struct Indicator {
    /// The field that holds the value.
    pub name: Spanned<String>,
    /// The call: `avg(amount)`.
    pub value: Spanned<String>,
    /// The span of time.
    pub over: Spanned<Over>,
    /// A condition on the records it counts.
    pub filter: Option<Spanned<String>>,
    /// What it groups by, if that is not the stream's key.
    pub key: Option<Vec<Spanned<String>>>,
    /// Whether a record counts itself.
    pub own: bool,
    /// How long before a record the span ends; not negative.
    pub delay: SignedDuration,
    /// The value where there is none.
    pub default: Option<Spanned<Literal>>,
    /// The other stream whose records it is over.
    pub from: Option<Spanned<String>>,
    /// What must be equal between the streams.
    pub on: Option<Equality>,
    /// Whether it may be off by 1 %.
    pub approx: bool,
}

pub(crate) fn read(reader: &mut Reader, node: &Node, at: &Span, around: &Around<'_>) -> Option<Read<Indicators>> {
    let entries = reader.entries(node, "a mapping from new fields to indicators")?;
    if entries.is_empty() {
        return reader.fail(&node.span, "`indicators` needs at least one, such as `n_1h: { value: count(), over: 1h }`");
    }
    let indicators: Vec<_> = entries.iter().filter_map(|entry| read_one(reader, &entry.key, &entry.value, around.from)).collect();
    let whole = indicators.len() == entries.len();
    Some(Read { stage: Indicators { place: Spanned::new((), at.clone()), indicators }, whole })
}

/// Reads an indicator of a stream that reads these.
pub(crate) fn read_one(reader: &mut Reader, name: &Spanned<String>, node: &Node, streams: &[Spanned<String>]) -> Option<Indicator> {
    let name = reader.field_name(name)?;
    let place = format!("the indicator `{}`", name.value);
    let fields = reader.fields(node, &name.span, &[&INDICATOR], &place)?;
    let value = reader.required(&fields, "value").and_then(|node| reader.text(node, "an indicator such as `count()`"));
    let over = over::read(reader, &fields);
    let filter = fields.written("where").and_then(|node| reader.text(node, "an expression"));
    let key = fields.get("key").map(|node| match &node.value {
        crate::yaml::Value::List(items) if items.is_empty() => Vec::new(),
        _ => reader.one_or_more(node, "a field, an expression"),
    });
    let own = fields.get("self").and_then(|node| reader.bool(node)).is_none_or(|own| own.value);
    let delay = fields.get("delay").and_then(|node| reader.span(node)).map_or(SignedDuration::ZERO, |delay| delay.value);
    let default = fields.get("default").and_then(|node| Some(Spanned::new(reader.literal(node)?, node.span.clone())));
    let from = fields.get("from").and_then(|node| reader.name(node));
    let approx = fields.get("approx").and_then(|node| reader.bool(node)).is_some_and(|approx| approx.value);
    let mut on = None;
    if let Some(node) = fields.get("on") {
        let at = fields.key("on").unwrap_or(&node.span);
        match &from {
            None => reader.push(at.problem(format!("`on` in {place} needs `from`, the other stream"))),
            Some(_) if fields.get("key").is_some() => {
                reader.push(at.problem(format!("`on` in {place} does not go with `key`: it says what is the key in both streams")));
            }
            Some(from) => {
                let left: Vec<&str> = streams.iter().map(Spanned::as_str).collect();
                on = reader.text(node, "an equality").and_then(|text| read_equality(reader, text, &left, from.as_str()));
            }
        }
    }
    Some(Indicator { name, value: value?, over: over?, filter, key, own, delay, default, from, on, approx })
}

impl Indicator {
    /// The names it uses of what it is over.
    fn names_over(&self) -> Vec<String> {
        let args = parse_call(&self.value.value).map(|call| call.args).unwrap_or_default();
        let mut names: Vec<String> = args.iter().flat_map(|arg| identifiers(&arg.source)).collect();
        names.extend(self.filter.iter().flat_map(|text| identifiers(&text.value)));
        names
    }

    /// The names it uses of the stream itself.
    pub(crate) fn names_asked(&self) -> Vec<String> {
        let key = self.key.iter().flatten().flat_map(|key| identifiers(&key.value));
        let on = self.on.iter().flat_map(|on| identifiers(on.left_text()));
        let over = if self.from.is_none() { self.names_over() } else { Vec::new() };
        key.chain(on).chain(over).collect()
    }

    /// The names it uses of the other stream.
    fn names_from(&self, head: &Head) -> Vec<String> {
        let mut names = self.names_over();
        match (&self.on, &self.key) {
            (Some(on), _) => names.extend(identifiers(on.right_text())),
            (None, Some(key)) => names.extend(key.iter().flat_map(|key| identifiers(&key.value))),
            (None, None) => names.extend(head.key.iter().flat_map(|key| identifiers(&key.value))),
        }
        names
    }
}

impl Stage for Indicators {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn names(&self, _: &Head) -> Vec<String> {
        self.indicators.iter().flat_map(Indicator::names_asked).collect()
    }

    fn with(&self) -> Vec<&Spanned<String>> {
        self.indicators.iter().filter_map(|indicator| indicator.from.as_ref()).collect()
    }

    fn plan(&self, scope: &mut Scope<'_>) -> Result<Option<Planned>, Refused> {
        plan::plan(self, scope)
    }
}

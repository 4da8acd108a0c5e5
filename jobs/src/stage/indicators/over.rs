//! `over`: the span of an indicator.

use jiff::SignedDuration;
use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use tidegate_operators::indicator::{Calendar, Span, Unit};

use crate::text::Spanned;
use crate::yaml::{Fields, Node, Reader, Table, Value, key, millis, parse_duration, scalar};

pub(super) static OVER: Table = Table {
    name: "over",
    title: "A span of an indicator",
    keys: &[
        key("calendar", "hour | day | week | month | year", "none", "the period of the calendar that the record lies in"),
        key("back", "count", "0", "the whole period so many before that one"),
        key("zone", "time zone", "the stream's `zone`", "whose calendar it is, such as America/New_York"),
        key("starts", "monday | sunday", "monday", "the first day of a `week`"),
        key("last", "count", "none", "the newest so many records, instead of `calendar`"),
        key("within", "duration", "none", "with `last`, at most so long ago"),
    ],
};

/// The span of an indicator.
#[derive(Clone, Debug, PartialEq)]
pub enum Over {
    /// So long, up to the record.
    Trailing {
        /// Above zero.
        over: SignedDuration,
        /// The steps of the far edge.
        every: Option<SignedDuration>,
    },
    /// A period of the calendar.
    Calendar {
        /// The unit.
        unit: Unit,
        /// How many periods before the current one.
        back: u32,
        /// The zone, if it is not the stream's.
        zone: Option<String>,
    },
    /// Everything.
    Ever {
        /// The silence that forgets.
        ttl: Option<SignedDuration>,
    },
    /// The newest records.
    Last {
        /// How many; above zero.
        n: u64,
        /// At most so long ago.
        within: Option<SignedDuration>,
    },
}

impl Over {
    /// The span, in the calendar of this zone if it names none.
    pub(super) fn span(&self, zone: &str) -> Span {
        match self {
            Self::Trailing { over, every } => Span::Trailing { over: millis(*over).max(1), every: every.map(|every| millis(every).max(1)) },
            Self::Calendar { unit, back, zone: own } => {
                let zone = TimeZone::get(own.as_deref().unwrap_or(zone)).unwrap_or(TimeZone::UTC);
                Span::Calendar(Calendar::new(*unit, *back, zone))
            }
            Self::Ever { ttl } => Span::Ever { ttl: ttl.map(|ttl| millis(ttl).max(1)) },
            Self::Last { n, within } => Span::Last { n: *n, within: within.map(|within| millis(within).max(1)) },
        }
    }
}

const WORDS: [(&str, Unit, u32); 6] = [
    ("today", Unit::Day, 0),
    ("yesterday", Unit::Day, 1),
    ("this_hour", Unit::Hour, 0),
    ("this_week", Unit::Week(Weekday::Monday), 0),
    ("this_month", Unit::Month, 0),
    ("this_year", Unit::Year, 0),
];

/// Reads `over` of an indicator, with the keys beside it that belong to it.
pub(super) fn read(reader: &mut Reader, fields: &Fields<'_>) -> Option<Spanned<Over>> {
    let node = reader.required(fields, "over")?;
    let every = fields.get("every").and_then(|node| reader.positive(node));
    let ttl = fields.get("ttl").and_then(|node| reader.positive(node));
    let mut over = match &node.value {
        Value::Map(_) => read_mapping(reader, node, fields)?,
        Value::Scalar { .. } | Value::List(_) => read_word(reader, node)?,
    };
    let place = &fields.place;
    let mut misplaced = |key: &str, needs: &str| {
        let at = fields.key(key).unwrap_or(&node.span);
        reader.push(at.problem(format!("`{key}` in {place} needs {needs}")));
    };
    match &mut over {
        Over::Trailing { over, every: steps } => {
            if let Some(every) = &every {
                if every.value > *over {
                    misplaced("every", "an `over` at least as long: the far edge moves in such steps");
                }
                *steps = Some(every.value);
            }
        }
        _ if every.is_some() => misplaced("every", "`over` to be a duration"),
        _ => {}
    }
    match &mut over {
        Over::Ever { ttl: silence } => *silence = ttl.map(|ttl| ttl.value),
        _ if ttl.is_some() => misplaced("ttl", "`over: ever`: other spans end by themselves"),
        _ => {}
    }
    Some(Spanned::new(over, node.span.clone()))
}

fn read_word(reader: &mut Reader, node: &Node) -> Option<Over> {
    let text = scalar(node).unwrap_or_default();
    if let Some((_, unit, back)) = WORDS.iter().find(|(word, ..)| *word == text) {
        return Some(Over::Calendar { unit: *unit, back: *back, zone: None });
    }
    if text == "ever" {
        return Some(Over::Ever { ttl: None });
    }
    if parse_duration(text).is_some() || text.starts_with(|c: char| c.is_ascii_digit()) {
        return reader.positive(node).map(|over| Over::Trailing { over: over.value, every: None });
    }
    let words = || WORDS.iter().map(|(word, ..)| *word).chain(["ever"]);
    let listed: Vec<String> = words().map(|word| format!("`{word}`")).collect();
    let expected = format!("expected a duration such as `10m`, {} or a mapping with `calendar` or `last`", listed.join(", "));
    let problem = node.span.problem(expected).near(text, words());
    reader.push(problem);
    None
}

fn read_mapping(reader: &mut Reader, node: &Node, indicator: &Fields<'_>) -> Option<Over> {
    let at = indicator.key("over").unwrap_or(&node.span);
    let place = format!("`over` of {}", indicator.place);
    let fields = reader.fields(node, at, &[&OVER], &place)?;
    let mut misplaced = false;
    let mut stray = |reader: &mut Reader, keys: &[&'static str], needs: &str| {
        for key in fields.given(keys) {
            misplaced = true;
            if let Some(at) = fields.key(key) {
                reader.push(at.problem(format!("`{key}` in {place} needs `{needs}`")));
            }
        }
    };
    match *fields.given(&["calendar", "last"]).as_slice() {
        ["calendar"] => {
            stray(reader, &["within"], "last");
            let units = [
                ("hour", Unit::Hour),
                ("day", Unit::Day),
                ("week", Unit::Week(Weekday::Monday)),
                ("month", Unit::Month),
                ("year", Unit::Year),
            ];
            let unit = reader.word(fields.get("calendar")?, "over.calendar", &units);
            let back = fields.get("back").and_then(|node| reader.count(node, 0, 10_000));
            let zone = fields.get("zone").and_then(|node| reader.zone(node));
            let days = [("monday", Weekday::Monday), ("sunday", Weekday::Sunday)];
            let starts = fields.get("starts").and_then(|node| reader.word(node, "over.starts", &days));
            let mut unit = unit?.value;
            match (&mut unit, starts) {
                (Unit::Week(day), Some(starts)) => *day = starts.value,
                (_, Some(starts)) => reader.push(starts.problem("`starts` is the first day of a `calendar: week`")),
                (_, None) => {}
            }
            let back = back.map_or(0, |back| u32::try_from(back.value).unwrap_or(u32::MAX));
            (!misplaced).then_some(Over::Calendar { unit, back, zone: zone.map(|zone| zone.value) })
        }
        ["last"] => {
            stray(reader, &["back", "zone", "starts"], "calendar");
            let n = reader.count(fields.get("last")?, 1, 1_000_000);
            let within = fields.get("within").and_then(|node| reader.positive(node));
            (!misplaced).then_some(Over::Last { n: n?.value, within: within.map(|within| within.value) })
        }
        _ => reader.fail(&fields.at, format!("{place} needs one of `calendar` and `last`")),
    }
}

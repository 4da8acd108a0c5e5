//! Windows: the parts of a stream that stages work on.

mod keys;
mod over;
mod plan;

use jiff::SignedDuration;
use tidegate_expr::identifiers;

use crate::text::{Span, Spanned};
use crate::yaml::foreign;
use crate::yaml::{Fields, Reader};

use crate::yaml::{Node, Table, Value, duration_text, parse_duration};

pub(crate) use over::{Windows, windowed};
pub(crate) use plan::{PlannedShape, PlannedWindow, RowTriggerState, plan};

/// The keys of windows.
pub(crate) static TABLES: [&Table; 3] = [&keys::WINDOW, &keys::TRIGGER, &keys::EVICTOR];

/// `window`.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// The span of the key `window`.
    pub place: Spanned<()>,
    /// The shape of the windows.
    pub shape: Shape,
    /// The clock.
    pub clock: Clock,
    /// How long after its end a window still accepts late records; 0 unless given.
    pub allowed_lateness: SignedDuration,
    /// When a window fires, or `None` for when its clock passes its end.
    pub trigger: Option<Trigger>,
    /// Which records the window drops.
    pub evictor: Option<Evictor>,
}

/// The shape of windows.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// Of one size, one after the other.
    Tumbling {
        /// The size, above zero.
        size: SignedDuration,
        /// The shift of their starts; smaller than the size, possibly negative.
        offset: SignedDuration,
    },
    /// Of one size, one starting at every step.
    Sliding {
        /// The size, above zero.
        size: SignedDuration,
        /// The step, above zero.
        every: SignedDuration,
        /// The shift of their starts; smaller than the step, possibly negative.
        offset: SignedDuration,
    },
    /// Of consecutive records, until a gap without any.
    Session(Gap),
    /// Of growing sizes up to `size`, all with the same start.
    Cumulative {
        /// The size of the longest; above zero.
        size: SignedDuration,
        /// How much longer each is than the one before; above zero.
        every: SignedDuration,
        /// The shift of their starts; smaller than the step, possibly negative.
        offset: SignedDuration,
    },
    /// Of a number of records.
    Count {
        /// The number of records; above zero.
        size: u64,
        /// The number of records after which the next one starts; above zero.
        every: u64,
    },
    /// A single window over everything.
    Global,
}

/// The gap that ends a session.
#[derive(Clone, Debug, PartialEq)]
pub enum Gap {
    /// A fixed gap; above zero.
    Fixed(SignedDuration),
    /// An expression over the record: a duration, or a number of milliseconds.
    Dynamic(Spanned<String>),
}

/// The clock that windows follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Clock {
    /// Event time: the times of the records.
    #[default]
    Event,
    /// The wall clock.
    Processing,
}

/// When a window fires.
#[derive(Clone, Debug, PartialEq)]
pub enum Trigger {
    /// When the watermark passes its end.
    EventTime,
    /// When the wall clock passes its end.
    ProcessingTime,
    /// After every so many records.
    Count(u64),
    /// At this interval, by the windows' clock.
    Every(SignedDuration),
    /// When the value of this expression differs by more than this from its value at the last firing, or else at the first record.
    Delta(Spanned<String>, f64),
    /// Like the inner trigger, but the window is emptied when it fires.
    Purging(Box<Self>),
}

/// Which records a window drops, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct Evictor {
    /// Which records to drop.
    pub drops: Drops,
    /// Whether to drop them after the window fires instead of before.
    pub after: bool,
}

/// What an evictor drops.
#[derive(Clone, Debug, PartialEq)]
pub enum Drops {
    /// All but the last so many records.
    Count(u64),
    /// Records older than the newest by this much or more.
    Time(SignedDuration),
    /// Records for which the value of this expression differs from that of the last record by this much or more.
    Delta(Spanned<String>, f64),
}

impl Window {
    /// The names its expressions use, and those of the fields it adds to results.
    pub(crate) fn names(&self) -> Vec<String> {
        let names = self.texts().flat_map(|text| identifiers(&text.value));
        names.chain(["window_start", "window_end"].map(str::to_owned)).collect()
    }

    /// The expressions it contains.
    fn texts(&self) -> impl Iterator<Item = &Spanned<String>> {
        let gap = if let Shape::Session(Gap::Dynamic(gap)) = &self.shape { Some(gap) } else { None };
        let evictor =
            self.evictor.as_ref().and_then(|evictor| if let Drops::Delta(delta, _) = &evictor.drops { Some(delta) } else { None });
        gap.into_iter().chain(self.trigger.as_ref().and_then(Trigger::text)).chain(evictor)
    }
}

impl Trigger {
    fn text(&self) -> Option<&Spanned<String>> {
        match self {
            Self::Delta(delta, _) => Some(delta),
            Self::Purging(inner) => inner.text(),
            _ => None,
        }
    }
}

pub(crate) fn read(reader: &mut Reader, node: &Node, at: &Span, stream: &str) -> Option<Window> {
    let place = format!("`window` of {stream}");
    let fields = reader.fields(node, at, &[&keys::WINDOW], &place)?;
    let clocks = [("event", Clock::Event), ("processing", Clock::Processing)];
    let shape = read_shape(reader, &fields);
    let clock = fields.get("time").and_then(|node| reader.word(node, "window.time", &clocks));
    let lateness = fields.get("allowed_lateness").and_then(|node| reader.span(node));
    let trigger = fields.get("trigger").and_then(|node| read_trigger(reader, node, at, &place));
    let evictor = fields.get("evictor").and_then(|node| read_evictor(reader, node, at, &place));
    if let Some(Shape::Count { .. }) = shape {
        for key in ["time", "trigger", "evictor"] {
            if let Some(at) = fields.key(key) {
                reader.push(at.problem(format!("`{key}` does not go with `count`: a window that counts fires when it is full")));
            }
        }
    }
    if let (Some(Shape::Session(_)), Some(delta)) = (&shape, trigger.as_ref().and_then(Trigger::text)) {
        reader.push(delta.problem("`delta` does not go with `session`: windows that become one have no record that they last fired at"));
    }
    let clock = clock.map(|clock| clock.value).unwrap_or_default();
    let never_late = clock == Clock::Processing || matches!(shape, Some(Shape::Global | Shape::Count { .. }));
    if let Some(at) = lateness.as_ref().filter(|lateness| never_late && !lateness.value.is_zero()) {
        reader.push(at.problem("`allowed_lateness` is of windows that end in event time: in others no record is late"));
    }
    if let Some(at) = fields.key("global").filter(|_| shape == Some(Shape::Global) && fields.key("trigger").is_none()) {
        reader.push(at.problem("a `global` window has no end and never fires without a `trigger`"));
    }
    Some(Window {
        place: Spanned::new((), at.clone()),
        shape: shape?,
        clock,
        allowed_lateness: lateness.map_or(SignedDuration::ZERO, |lateness| lateness.value),
        trigger,
        evictor,
    })
}

fn read_shape(reader: &mut Reader, fields: &Fields<'_>) -> Option<Shape> {
    const KINDS: [&str; 6] = ["tumbling", "sliding", "cumulative", "session", "count", "global"];
    let given = fields.given(&KINDS);
    let [kind] = given.as_slice() else {
        // A misspelt kind of window has already been reported.
        if given.is_empty() && fields.is_meant(&KINDS) {
            return None;
        }
        let found = if given.is_empty() { "none".to_owned() } else { given.join(" and ") };
        let message =
            format!("{} needs exactly one of tumbling, sliding, cumulative, session, count, global; it has {found}", fields.place);
        return reader.fail(&fields.at, message);
    };
    let of = |reader: &mut Reader, key: &'static str, kinds: &[&str]| {
        if let Some(at) = fields.key(key).filter(|_| !kinds.contains(kind)) {
            reader.push(at.problem(format!("`{key}` does not go with `{kind}`")));
        }
    };
    of(reader, "every", &["sliding", "cumulative", "count"]);
    of(reader, "offset", &["tumbling", "sliding", "cumulative"]);
    let node = fields.get(kind)?;
    match *kind {
        "tumbling" => {
            let size = reader.positive(node);
            let offset = read_offset(reader, fields, size.as_ref(), "size");
            Some(Shape::Tumbling { size: size?.value, offset })
        }
        "sliding" | "cumulative" => {
            let size = reader.positive(node);
            let every = reader.required(fields, "every").and_then(|node| reader.positive(node));
            let offset = read_offset(reader, fields, every.as_ref(), "step");
            let (size, every) = (size?.value, every?.value);
            let sliding = *kind == "sliding";
            Some(if sliding { Shape::Sliding { size, every, offset } } else { Shape::Cumulative { size, every, offset } })
        }
        "session" => read_gap(reader, node).map(Shape::Session),
        "count" => {
            let size = reader.count(node, 1, u64::MAX);
            let every = fields.get("every").map(|node| reader.count(node, 1, u64::MAX));
            let size = size?.value;
            Some(Shape::Count { size, every: every.map_or(Some(size), |every| Some(every?.value))? })
        }
        _ => {
            reader.asked(node, "global")?;
            Some(Shape::Global)
        }
    }
}

/// Reads the shift of window starts. It must be smaller than `step`, the distance between two starts, which messages call `what`.
fn read_offset(reader: &mut Reader, fields: &Fields<'_>, step: Option<&Spanned<SignedDuration>>, what: &str) -> SignedDuration {
    let offset = fields.get("offset").and_then(|node| reader.duration(node, .., ""));
    let Some(offset) = offset else { return SignedDuration::ZERO };
    if let Some(step) = step.filter(|step| offset.value.abs() >= step.value) {
        let message = format!("the offset must be smaller than the {what} of the windows, {}", duration_text(step.value));
        reader.push(offset.problem(message));
    }
    offset.value
}

/// Reads a duration or an expression. Text that looks like a duration is read as one.
fn read_gap(reader: &mut Reader, node: &Node) -> Option<Gap> {
    let text = reader.text(node, "a duration such as `30s`")?;
    let digits = text.value.trim_start_matches('-').bytes().take_while(u8::is_ascii_digit).count();
    let is_word = text.value.trim_start_matches('-').bytes().all(|b| b.is_ascii_alphanumeric());
    let in_words = foreign::duration(&text.value).is_some();
    if parse_duration(&text.value).is_some() || in_words || digits > 0 && is_word {
        return reader.positive(node).map(|gap| Gap::Fixed(gap.value));
    }
    Some(Gap::Dynamic(text))
}

fn read_trigger(reader: &mut Reader, node: &Node, at: &Span, place: &str) -> Option<Trigger> {
    if let Value::Scalar { .. } = node.value {
        let words = [("event_time", false), ("processing_time", true)];
        let processing = reader.word(node, "trigger", &words)?.value;
        return Some(if processing { Trigger::ProcessingTime } else { Trigger::EventTime });
    }
    let fields = reader.fields(node, at, &[&keys::TRIGGER], &format!("`trigger` of {place}"))?;
    match *fields.given(&["count", "every", "delta", "threshold", "purging"]).as_slice() {
        ["count"] => Some(Trigger::Count(reader.count(fields.get("count")?, 1, u64::MAX)?.value)),
        ["every"] => Some(Trigger::Every(reader.positive(fields.get("every")?)?.value)),
        ["delta", "threshold"] => read_delta(reader, &fields).map(|(delta, threshold)| Trigger::Delta(delta, threshold)),
        ["purging"] => Some(Trigger::Purging(Box::new(read_trigger(reader, fields.get("purging")?, at, place)?))),
        _ => reader.fail(
            &node.span,
            "a trigger is `event_time`, `processing_time` or one of `count`, `every`, `delta` with `threshold`, `purging`",
        ),
    }
}

fn read_evictor(reader: &mut Reader, node: &Node, at: &Span, place: &str) -> Option<Evictor> {
    let fields = reader.fields(node, at, &[&keys::EVICTOR], &format!("`evictor` of {place}"))?;
    let drops = match *fields.given(&["count", "time", "delta", "threshold"]).as_slice() {
        ["count"] => Drops::Count(reader.count(fields.get("count")?, 1, u64::MAX)?.value),
        ["time"] => Drops::Time(reader.span(fields.get("time")?)?.value),
        ["delta", "threshold"] => read_delta(reader, &fields).map(|(delta, threshold)| Drops::Delta(delta, threshold))?,
        _ => return reader.fail(&node.span, "an evictor is one of `count`, `time`, and `delta` with `threshold`"),
    };
    let after = fields.get("after").and_then(|node| reader.bool(node));
    Some(Evictor { drops, after: after.is_some_and(|after| after.value) })
}

fn read_delta(reader: &mut Reader, fields: &Fields<'_>) -> Option<(Spanned<String>, f64)> {
    let delta = reader.text(fields.get("delta")?, "an expression");
    let threshold = reader.number(fields.get("threshold")?);
    Some((delta?, threshold?.value))
}

//! `pattern`: what a stream looks for in the events of a key.
//!
//! The shape is that of `tidegate-cep`, with texts for conditions. Patterns that can't mean anything are reported here, at the offending key.

mod form;
mod keys;
mod plan;
mod sought;

use std::sync::Arc;
use std::time::Duration;

use tidegate_cep::pattern::{Alternative, Body};
use tidegate_cep::{AfterMatch, Contiguity, Inner, Invalid, Limit, Misuse, Overflow, Pattern as PatternShape, SkipTo, Step, Times};
use tidegate_expr::identifiers;

use super::kind::{Around, Head, Kind, Planned, Read, Refused, Scope, Stage};
use crate::text::{Span, Spanned};
use crate::yaml::{Fields, Node, Reader, Table, Value, key};
pub(crate) use form::{form, texts};
pub(crate) use sought::{Judged, Sought};

pub(crate) static KIND: Kind = Kind {
    key: key("pattern", "mapping", "none", "the pattern to find in the events of each key; instead of `aggregate`"),
    tables: &[&keys::PATTERN, &keys::LIMIT, &keys::STEP, &keys::ANY_OF, &keys::TIMES, &keys::AFTER_MATCH],
    keyed: true,
    windowed: false,
    ordered: false,
    stateful: true,
    late: true,
    timeouts: true,
    beside: None,
    table: None,
};

/// `pattern`.
#[derive(Clone, Debug, PartialEq)]
pub struct Pattern {
    /// The span of the key `pattern`.
    pub place: Spanned<()>,
    /// The pattern to look for. It is valid if `sound`.
    pub shape: PatternShape<Spanned<String>>,
    /// Whether nothing is wrong with it, apart from its expressions.
    pub sound: bool,
    /// The field that orders events of the same time.
    pub tie_break: Option<Spanned<String>>,
    /// Whether events are taken as they arrive, at wall-clock time.
    pub processing_time: bool,
    /// How much memory the partial matches of a key may take, and what happens beyond that.
    pub limit: Limit,
}

const CONTIGUITIES: [(&str, Contiguity); 5] = [
    ("next", Contiguity::Next),
    ("followed_by", Contiguity::FollowedBy),
    ("followed_by_any", Contiguity::FollowedByAny),
    ("not_next", Contiguity::NotNext),
    ("not_followed_by", Contiguity::NotFollowedBy),
];
const INNERS: [(&str, Inner); 3] =
    [("relaxed", Inner::Relaxed), ("consecutive", Inner::Consecutive), ("allow_combinations", Inner::AllowCombinations)];
const AFTER_MATCHES: [(&str, Word); 3] = [("no_skip", Word::No), ("skip_to_next", Word::Next), ("skip_past_last_event", Word::Past)];

const TIMES_OF: [(&str, bool); 2] = [("event", false), ("processing", true)];
const OVERFLOWS: [(&str, Overflow); 3] =
    [("drop_oldest", Overflow::DropOldest), ("drop_newest", Overflow::DropNewest), ("fail", Overflow::Fail)];

/// The forms of `after_match` that are a single word.
#[derive(Clone, Copy)]
enum Word {
    No,
    Next,
    Past,
}

/// The highest number of repetitions that is read. The pattern itself reports a number that is too high for it.
const MOST: u64 = u32::MAX as u64;

/// Where the parts of a pattern are, for reporting problems.
struct Places {
    pattern: Span,
    within: Option<Span>,
    /// The step that `after_match` skips to.
    target: Option<Span>,
    /// In the order of the file.
    steps: Vec<StepPlaces>,
    /// Whether a step could not be read.
    lost: bool,
}

struct StepPlaces {
    name: Spanned<Arc<str>>,
    group: bool,
    keys: Vec<(&'static str, Span)>,
}

pub(crate) fn read(reader: &mut Reader, node: &Node, at: &Span, around: &Around<'_>) -> Option<Read<Pattern>> {
    read_shape(reader, node, at, &format!("`pattern` of {}", around.place), &[&keys::PATTERN])
}

/// The keys of a pattern.
pub(crate) static KEYS: &Table = &keys::PATTERN;

/// Reads a pattern, whose mapping may have the keys of these tables.
pub(crate) fn read_shape(reader: &mut Reader, node: &Node, at: &Span, place: &str, tables: &[&'static Table]) -> Option<Read<Pattern>> {
    let fields = reader.fields(node, at, tables, place)?;
    let before = reader.problems.len();
    let within = fields.get("within").and_then(|node| read_window(reader, node));
    let mut places =
        Places { pattern: at.clone(), within: fields.get("within").map(|n| n.span.clone()), target: None, steps: Vec::new(), lost: false };
    let after_match = fields.get("after_match").and_then(|node| read_after_match(reader, node, at, place, &mut places));
    let tie_break = fields.get("tie_break").and_then(|node| reader.text(node, "a field"));
    let processing_time = fields.get("time").and_then(|node| reader.word(node, "pattern.time", &TIMES_OF)).is_some_and(|t| t.value);
    if let (true, Some(at)) = (processing_time, fields.key("tie_break")) {
        reader.push(at.problem("`tie_break` does not go with `time: processing`: events are taken as they come"));
    }
    let limit = fields.get("limit").and_then(|node| read_limit(reader, node, fields.key("limit")?, place)).unwrap_or_default();
    let steps = reader.required(&fields, "steps").map_or_else(Vec::new, |node| read_steps(reader, node, place, &mut places));
    let mut shape = PatternShape::new(steps);
    shape.within = within;
    shape.after_match = after_match.unwrap_or_default();
    // Don't validate a pattern that was only partly read: what is missing would be reported as wrong.
    if reader.problems.len() == before
        && let Err(Invalid(found)) = shape.validate()
    {
        places.report(reader, &found);
    }
    // All names are known if every step was read.
    let (sound, whole) = (reader.problems.len() == before, !places.lost && !shape.steps.is_empty());
    let stage = Pattern { place: Spanned::new((), at.clone()), shape, sound, tie_break, processing_time, limit };
    Some(Read { stage, whole })
}

impl Stage for Pattern {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn names(&self, _: &Head) -> Vec<String> {
        let conditions = texts(self).into_iter().flat_map(|text| identifiers(&text));
        conditions.chain(self.tie_break.iter().map(|field| field.value.clone())).collect()
    }

    fn said(&self) -> Vec<String> {
        texts(self).iter().map(|text| format!("where {}", text.trim())).collect()
    }

    fn plan(&self, scope: &mut Scope<'_>) -> Result<Option<Planned>, Refused> {
        plan::plan(self, scope).map(Some)
    }
}

fn read_limit(reader: &mut Reader, node: &Node, at: &Span, place: &str) -> Option<Limit> {
    let fields = reader.fields(node, at, &[&keys::LIMIT], &format!("`limit` of {place}"))?;
    let memory = fields.get("memory").and_then(|node| reader.size(node)).map(|size| usize::try_from(size.value).unwrap_or(usize::MAX));
    let overflow = fields.get("overflow").and_then(|node| reader.word(node, "limit.overflow", &OVERFLOWS));
    let default = Limit::default();
    Some(Limit { memory: memory.unwrap_or(default.memory), overflow: overflow.map_or(default.overflow, |overflow| overflow.value) })
}

fn read_window(reader: &mut Reader, node: &Node) -> Option<Duration> {
    reader.positive(node).map(|window| Duration::try_from(window.value).unwrap_or_default())
}

fn read_after_match(reader: &mut Reader, node: &Node, at: &Span, place: &str, places: &mut Places) -> Option<AfterMatch> {
    if matches!(node.value, Value::Scalar { .. }) {
        return Some(match reader.word(node, "after_match", &AFTER_MATCHES)?.value {
            Word::No => AfterMatch::NoSkip,
            Word::Next => AfterMatch::SkipToNext,
            Word::Past => AfterMatch::SkipPastLastEvent,
        });
    }
    let fields = reader.fields(node, at, &[&keys::AFTER_MATCH], &format!("`after_match` of {place}"))?;
    let or_fail = fields.get("throw").and_then(|node| reader.bool(node)).is_some_and(|throw| throw.value);
    let (key, wrap): (_, fn(SkipTo) -> AfterMatch) = match *fields.given(&["skip_to_first", "skip_to_last"]).as_slice() {
        ["skip_to_first"] => ("skip_to_first", AfterMatch::SkipToFirst),
        ["skip_to_last"] => ("skip_to_last", AfterMatch::SkipToLast),
        _ => return reader.fail(&node.span, "`after_match` as a mapping is one of `skip_to_first` and `skip_to_last`, with a step"),
    };
    let step = reader.text(fields.get(key)?, "the name of a step")?;
    places.target = Some(step.span);
    Some(wrap(SkipTo { step: step.value.into(), or_fail }))
}

fn read_steps(reader: &mut Reader, node: &Node, place: &str, places: &mut Places) -> Vec<Step<Spanned<String>>> {
    let Value::List(items) = &node.value else {
        reader.wrong::<()>(node, "a list of steps");
        return Vec::new();
    };
    let steps: Vec<_> = items.iter().filter_map(|item| read_step(reader, item, place, places)).collect();
    places.lost |= steps.len() < items.len();
    steps
}

fn read_step(reader: &mut Reader, node: &Node, place: &str, places: &mut Places) -> Option<Step<Spanned<String>>> {
    let fields = reader.fields(node, &node.span, &[&keys::STEP], &format!("a step of {place}"))?;
    let groups = fields.given(&["group", "steps"]);
    let any_of = fields.get("any_of");
    let group = !groups.is_empty() || any_of.is_some();
    let name = match fields.get("name") {
        Some(node) => reader.text(node, "a name")?,
        // Events are not listed under the name of a group, so it needs none.
        None if group => {
            let key = groups.first().copied().unwrap_or("any_of");
            Spanned::new(format!("{key} {}", places.steps.len() + 1), fields.key(key)?.clone())
        }
        None => reader.required(&fields, "name").and_then(|node| reader.text(node, "a name"))?,
    };
    let name = name.map(Arc::<str>::from);
    places.steps.push(StepPlaces { name: name.clone(), group, keys: places_of(&fields) });
    if let [_, second, ..] = *groups.as_slice() {
        return reader.fail(fields.key(second)?, "`group` and `steps` are two names of one key: give one of them");
    }
    let condition = fields.get("where").and_then(|node| reader.text(node, "an expression"));
    if let Some(at) = fields.key("any_of").filter(|_| !fields.given(&["where", "group", "steps"]).is_empty()) {
        return reader.fail(at, "a step with `any_of` has neither `where` nor steps: each of its kinds has a `where` of its own");
    }
    let body = match groups.first().and_then(|key| fields.get(key)) {
        None if any_of.is_some() => Body::AnyOf(any_of.map(|node| read_kinds(reader, node, place, places)).unwrap_or_default()),
        None => Body::Event(condition),
        Some(inside) => {
            if let Some(at) = fields.key("where") {
                reader.push(at.problem(format!("{}", Misuse::ConditionOnGroup(Arc::clone(&name.value)))));
            }
            Body::Group(read_steps(reader, inside, place, places))
        }
    };
    let contiguity = fields.get("contiguity").and_then(|node| reader.word(node, "step.contiguity", &CONTIGUITIES));
    let mut step = Step::new(Arc::clone(&name.value), contiguity.map(|c| c.value).unwrap_or_default());
    step.body = body;
    step.times = fields.get("times").and_then(|node| read_times(reader, node, &fields));
    step.inner = fields.get("inner").and_then(|node| reader.word(node, "step.inner", &INNERS)).map(|i| i.value).unwrap_or_default();
    step.optional = fields.get("optional").and_then(|node| reader.bool(node)).is_some_and(|o| o.value);
    step.greedy = fields.get("greedy").and_then(|node| reader.bool(node)).is_some_and(|g| g.value);
    step.until = fields.get("until").and_then(|node| reader.text(node, "an expression"));
    step.within = fields.get("within").and_then(|node| read_window(reader, node));
    Some(step)
}

fn read_kinds(reader: &mut Reader, node: &Node, place: &str, places: &mut Places) -> Vec<Alternative<Spanned<String>>> {
    let Value::List(items) = &node.value else {
        reader.wrong::<()>(node, "a list of kinds of event");
        return Vec::new();
    };
    let mut kind = |item: &Node| {
        let fields = reader.fields(item, &item.span, &[&keys::ANY_OF], &format!("a kind of event of {place}"))?;
        let name = reader.required(&fields, "name").and_then(|node| reader.text(node, "a name"))?.map(Arc::<str>::from);
        places.steps.push(StepPlaces { name: name.clone(), group: false, keys: Vec::new() });
        let condition = fields.get("where").and_then(|node| reader.text(node, "an expression"));
        Some(Alternative { name: name.value, condition })
    };
    let kinds: Vec<_> = items.iter().filter_map(&mut kind).collect();
    places.lost |= kinds.len() < items.len();
    kinds
}

fn places_of(fields: &Fields<'_>) -> Vec<(&'static str, Span)> {
    let about = |key: &'static str| Some((key, fields.get(key)?.span.clone()));
    let keyed = |key: &'static str| Some((key, fields.key(key)?.clone()));
    let values = ["contiguity", "inner", "optional", "greedy", "until", "within"].into_iter().filter_map(about);
    values.chain(["times", "group", "steps", "any_of"].into_iter().filter_map(keyed)).collect()
}

fn read_times(reader: &mut Reader, node: &Node, step: &Fields<'_>) -> Option<Times> {
    let small = |count: Spanned<u64>| u32::try_from(count.value).unwrap_or(u32::MAX);
    if matches!(node.value, Value::Scalar { .. }) {
        let n = small(reader.count(node, 0, MOST)?);
        return Some(Times { min: n, max: Some(n), within: None });
    }
    let fields = reader.fields(node, step.key("times")?, &[&keys::TIMES], &format!("`times` of {}", step.place))?;
    let min = reader.required(&fields, "min").and_then(|node| reader.count(node, 0, MOST));
    let max = fields.get("max").map(|node| reader.count(node, 0, MOST));
    let within = fields.get("within").and_then(|node| read_window(reader, node));
    // An invalid maximum does not mean "no maximum".
    let max = max.map_or(Some(None), |max| Some(Some(small(max?))))?;
    Some(Times { min: small(min?), max, within })
}

impl Places {
    fn report(&self, reader: &mut Reader, found: &[Misuse]) {
        let mut twins: Vec<&Arc<str>> = Vec::new();
        for misuse in found {
            let keys: &[&str] = match misuse {
                Misuse::DuplicateName(name) => {
                    twins.push(name);
                    let nth = twins.iter().filter(|twin| **twin == name).count();
                    let same = self.steps.iter().filter(|step| !step.group && step.name.value == *name);
                    let at = same.map(|step| &step.name.span).nth(nth).unwrap_or(&self.pattern);
                    reader.push(at.problem(misuse.to_string()));
                    continue;
                }
                Misuse::EmptyWindow => {
                    reader.push(self.within.as_ref().unwrap_or(&self.pattern).problem(misuse.to_string()));
                    continue;
                }
                Misuse::SkipTarget(name) => {
                    let known = self.steps.iter().filter(|step| !step.group).map(|step| &*step.name.value);
                    let at = self.target.as_ref().unwrap_or(&self.pattern);
                    reader.push(at.problem(misuse.to_string()).near(name, known));
                    continue;
                }
                Misuse::EmptyGroup(_) => &["group", "steps"],
                Misuse::NoAlternatives(_) => &["any_of"],
                Misuse::ZeroTimes(_)
                | Misuse::EmptyRange(..)
                | Misuse::TooManyTimes(..)
                | Misuse::QuantifiedNot(_)
                | Misuse::EmptyRounds(_) => &["times"],
                Misuse::UntilWithoutLoop(_) => &["until"],
                Misuse::OptionalNot(_) | Misuse::OptionalAfterGreedy(_) => &["optional", "times"],
                Misuse::NotAfterOptional(_)
                | Misuse::NotGroup(_)
                | Misuse::NotFirst(_)
                | Misuse::NotLastInGroup(_)
                | Misuse::NotLastWithoutWindow(_) => &["contiguity"],
                Misuse::GreedySingle(_) | Misuse::GreedyGroup(_) | Misuse::GreedyCombinations(_) => &["greedy"],
                Misuse::EmptyStepWindow(_) | Misuse::StepWindowTooLong(_) => &["within", "times"],
                _ => &[],
            };
            reader.push(self.of_step(misuse, keys).problem(misuse.to_string()));
        }
    }

    /// The span of the first of these keys in the step that a misuse names, or else of the step's name, or else of the whole pattern.
    fn of_step(&self, misuse: &Misuse, keys: &[&str]) -> &Span {
        let has = |step: &StepPlaces| keys.iter().find_map(|key| step.keys.iter().position(|(known, _)| known == key));
        // A misuse names its step. If several steps have that name, the one with the key is meant.
        let named = || self.steps.iter().filter(|step| misuse.step().is_some_and(|name| *name == *step.name.value));
        let at_key = named().find_map(|step| step.keys.get(has(step)?)).map(|(_, span)| span);
        at_key.or_else(|| named().next().map(|step| &step.name.span)).unwrap_or(&self.pattern)
    }
}

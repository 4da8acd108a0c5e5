//! `dedupe`: one record per key within a span of time.

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use tidegate_operators::{Keep, Ties};
use tidegate_rows::{Row, Schema};

use super::build::{Built, Rows, Site, Work};
use super::keyed::{self, PlannedKey, by_value};
use super::kind::{Around, Head, Kind, Planned, Read, Refused, Scope, Stage};
use crate::relation::known::{Known, Timing};
use crate::relation::pipeline::Base;
use crate::text::{Span, Spanned};
use crate::yaml::{Node, Reader, Table, key, unsigned};

pub(crate) static KIND: Kind = Kind {
    key: key("dedupe", "mapping", "none", "passes one record per key within a span of time; instead of `aggregate`"),
    tables: &[&DEDUPE],
    keyed: true,
    windowed: false,
    ordered: false,
    stateful: true,
    late: true,
    timeouts: false,
    beside: None,
    table: None,
};

static DEDUPE: Table = Table {
    name: "dedupe",
    title: "dedupe",
    keys: &[
        key("keep", "first | last", "first", "which record passes: the first at once, or the last when the time is over"),
        key("ttl", "duration", "", "the span of event time, from a key's first record, within which only one passes"),
    ],
};

/// `dedupe`.
#[derive(Clone, Debug, PartialEq)]
pub struct Dedupe {
    /// The span of the key `dedupe`.
    pub place: Spanned<()>,
    /// Whether the last record is kept instead of the first.
    pub last: bool,
    /// How long a key stays known after its first record; above zero.
    pub ttl: SignedDuration,
}

pub(crate) fn read(reader: &mut Reader, node: &Node, at: &Span, around: &Around<'_>) -> Option<Read<Dedupe>> {
    let fields = reader.fields(node, at, &[&DEDUPE], &format!("`dedupe` of {}", around.place))?;
    let keep = fields.get("keep").and_then(|node| reader.word(node, "dedupe.keep", &[("first", false), ("last", true)]));
    let ttl = reader.required(&fields, "ttl").and_then(|node| reader.positive(node));
    let stage = Dedupe { place: Spanned::new((), at.clone()), last: keep.is_some_and(|keep| keep.value), ttl: ttl?.value };
    Some(Read { stage, whole: true })
}

impl Stage for Dedupe {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn names(&self, _: &Head) -> Vec<String> {
        Vec::new()
    }

    /// Emits rows of the input unchanged.
    fn plan(&self, scope: &mut Scope<'_>) -> Result<Option<Planned>, Refused> {
        let (head, input) = (scope.head, scope.input);
        let mut problems = Vec::new();
        let key = PlannedKey::plan(head, input, &mut Schema::default(), &mut problems);
        if let Timing::Untimed(remedy) = &input.timing {
            problems.push(self.place.problem(format!("`dedupe` is by event time, and {}", head.untimed(remedy))));
        }
        let base = Base::new(input.schema.clone());
        if !problems.is_empty() {
            return Err(scope.refused(problems, base, input.timing.clone()));
        }
        let keep = if self.last { Keep::Last } else { Keep::First };
        let fixed = input.updates.as_ref().map(|updates| updates.fixed().collect());
        // An updated result falls into the span of the former one, unless its key has changed.
        let again = input.updates.as_ref().filter(|updates| !head.key.iter().all(|key| updates.settle(&key.value, &input.schema)));
        // If the order of arrival means nothing, even the first record has to wait.
        let waits = keep == Keep::Last || !key.settled;
        let basis = keyed::basis(head, &input.schema, waits.then(|| keyed::rows(head, &input.schema)), None);
        let out = Known { updates: again.cloned(), order: key.order(), ..input.clone() };
        let work = Arc::new(PlannedDedupe { key, keep, ttl: unsigned(self.ttl), fixed });
        let origin = input.origin.clone();
        Ok(Some(Planned { base, out, origin, work, basis: Some(basis), late: None, timeouts: None }))
    }
}

/// A planned `dedupe`.
struct PlannedDedupe {
    key: PlannedKey,
    keep: Keep,
    ttl: Duration,
    /// Set if the input has updated results: the slots that are the same in every update. Only these order rows of the same time.
    fixed: Option<Arc<[usize]>>,
}

impl PlannedDedupe {
    /// How to order rows of the same time, if they don't come in the same order in every run.
    fn ties(&self) -> Option<Ties<Row>> {
        match &self.fixed {
            _ if self.key.settled => None,
            None => Some(by_value()),
            Some(fixed) => {
                let fixed = Arc::clone(fixed);
                let unequal = move |a: &Row, b: &Row| fixed.iter().map(|slot| a.get(*slot).strict_cmp(b.get(*slot))).find(|o| o.is_ne());
                Some(Box::new(move |a: &Row, b: &Row| unequal(a, b).unwrap_or(Ordering::Equal)))
            }
        }
    }
}

impl Work for PlannedDedupe {
    fn build<'s>(&self, site: &Site<'_, 's>, input: Rows<'s>) -> Built<'s> {
        let PlannedKey { keys, key, width, .. } = self.key.clone();
        let keyed = site.with_keys(input, &keys).key_by(move |row: &Row| key.of(row));
        let (kept, late) = keyed.dedupe(site.name, self.keep, self.ttl, self.ties());
        let out = site.emitted(kept, move |row: Row| Some(row.0.into_iter().take(width).collect()));
        Built::with_late(out, site.without_keys(late, &keys))
    }
}

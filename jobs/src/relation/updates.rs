//! Updated results: windows with `allowed_lateness`, or with a trigger that fires before the end, emit several
//! results for a key and window, each replacing the one before.
//!
//! Each reader handles them in its own way:
//!
//! | reader | what it does |
//! | --- | --- |
//! | `where`, `select`, `flat_map`, `lookup`, unions, sinks | pass them on |
//! | windows of event time (aggregates, `top`) | replace the former result with the latest |
//! | `dedupe` | keeps the first or the last of them, as configured |
//! | running aggregates and `top`, windows that count, purge or use the wall clock, joins, patterns | are refused by the planner |
//!
//! A result is identified by its key and its event time, which is that of its window. To be replaced, it must come
//! again whenever it changes, under the same key. So a reader that replaces results is also refused if the key has
//! been dropped, a condition on other values has been applied, or streams have been united.

use std::collections::BTreeSet;

use tidegate_rows::Schema;

use super::each::Each;
use super::pipeline::{Base, Pipeline};
use crate::text::{Problem, Spanned};
use tidegate_expr::identifiers;

/// Describes the results in a stream that may be updated.
#[derive(Clone, Debug)]
pub(crate) struct Updates {
    /// The stream whose windows fire again, and why they do.
    of: String,
    /// The slots that distinguish a result from others of the same time, or why nothing distinguishes them.
    identity: Result<Vec<usize>, String>,
    /// The slots whose values are the same in every update of a result.
    fixed: BTreeSet<usize>,
}

impl Updates {
    /// The updates of the windows of the stream `name`, which fire again because of `why`. The slots of `identity`
    /// distinguish their results, or it says why nothing does. Those slots and `fixed` hold the same values in every
    /// update of a result.
    pub(crate) fn new(name: &str, why: &str, identity: Result<Vec<usize>, String>, fixed: impl IntoIterator<Item = usize>) -> Self {
        let fixed = fixed.into_iter().chain(identity.iter().flatten().copied()).collect();
        Self { of: format!("the windows of `{name}` fire again ({why})"), identity, fixed }
    }

    /// The updates of a union in which at least one stream has updates.
    pub(crate) fn united(first: &Self) -> Self {
        Self { of: first.of.clone(), identity: Err("it is united with another stream".to_owned()), fixed: BTreeSet::new() }
    }

    /// The slots that distinguish a result from others of the same time, if there are such.
    pub(crate) fn identity(&self) -> Option<&[usize]> {
        self.identity.as_deref().ok()
    }

    /// The slots whose values are the same in every update of a result.
    pub(crate) fn fixed(&self) -> impl Iterator<Item = usize> {
        self.fixed.iter().copied()
    }

    /// Whether the value of this expression is the same in every update of a result.
    pub(crate) fn settle(&self, text: &str, schema: &Schema) -> bool {
        is_settled_by(&self.fixed, text, schema)
    }

    /// The updates after a lookup that drops records without a match.
    pub(crate) fn unless_dropped(mut self, name: &str, on: &[(Spanned<String>, Spanned<String>)], schema: &Schema) -> Self {
        if !on.iter().all(|(_, text)| self.settle(&text.value, schema)) {
            self.lose(format!("the `lookup` of `{name}` may drop a result that came before"));
        }
        self
    }

    /// The updates after the `where`, `select` and `flat_map` of the stream `name`, over `base`.
    pub(crate) fn through(mut self, name: &str, each: &Each, base: &Base, pipeline: &Pipeline) -> Self {
        let fixed: BTreeSet<usize> = self.fixed.iter().filter_map(|slot| base.place_of(*slot)).collect();
        let places = |slots: &[usize]| slots.iter().map(|slot| pipeline.place_of(*slot)).collect::<Option<Vec<usize>>>();
        if each.filter.as_ref().is_some_and(|filter| !is_settled_by(&fixed, &filter.value, &base.schema)) {
            self.lose(format!("the `where` of `{name}` may drop a result that came before"));
        }
        if each.flat_map.is_some() {
            self.lose(format!("the `flat_map` of `{name}` makes several results of one"));
        }
        self.identity =
            self.identity.and_then(|slots| places(&slots).ok_or_else(|| format!("the `select` of `{name}` leaves the key out")));
        self.fixed = self.fixed.iter().filter_map(|slot| pipeline.place_of(*slot)).collect();
        self
    }

    fn lose(&mut self, why: String) {
        if self.identity.is_ok() {
            self.identity = Err(why);
        }
    }

    /// The problem of a reader that would count every update as a new result.
    pub(crate) fn refused(&self, reader: &str) -> String {
        format!(
            "{}, and {reader} would count a result anew each time: read them in a window of event time, which keeps the latest, or through `dedupe: {{ keep: last, ttl: ... }}` by their key and `window_end`",
            self.of
        )
    }

    /// The problem of an event-time window keyed by `key` that must keep the latest results, or `None` if it can.
    pub(crate) fn irreplaceable(&self, key: &[Spanned<String>], schema: &Schema) -> Option<String> {
        let why = match &self.identity {
            Err(why) => why.clone(),
            Ok(_) => {
                let key = key.iter().find(|key| !self.settle(&key.value, schema))?;
                format!("`{}` may be another then", key.value)
            }
        };
        Some(format!(
            "{}, and which result takes the place of which can't be told here: {why}. Read them before that, or through `dedupe: {{ keep: last, ttl: ... }}` by their key and `window_end`",
            self.of
        ))
    }

    /// Adds a problem at `place` if the reader would count every update as a new result.
    pub(crate) fn refuse<T>(updates: Option<&Self>, place: &Spanned<T>, reader: &str, problems: &mut Vec<Problem>) {
        problems.extend(updates.map(|updates| place.problem(updates.refused(reader))));
    }
}

/// Whether an expression uses only these slots.
fn is_settled_by(slots: &BTreeSet<usize>, text: &str, schema: &Schema) -> bool {
    identifiers(text).iter().filter_map(|name| schema.slot(name)).all(|slot| slots.contains(&slot))
}

//! Results that come again: windows with `allowed_lateness`, or with a trigger that fires before the end, give more than one result of a key and window,
//! each in place of the one before.
//!
//! Decided per reader:
//!
//! | reader | what it does |
//! | --- | --- |
//! | `where`, `select`, `flat_map`, `lookup`, unions, sinks | hand them on |
//! | windows of event time (aggregates, `top`) | the latest result takes the place of the former one |
//! | `dedupe` | keeps the first or the last of them, as it says |
//! | running aggregates and `top`, windows that count or purge or go by the wall clock, joins, patterns | are refused by the planner |
//!
//! A result is told by its key and its event time, which is that of its window. To replace one it must come again whenever it changes, under the same key:
//! so the readers that do are refused too where the key has been left out, a condition on other values stands between, or streams have been united.

use std::collections::BTreeSet;

use tidegate_rows::Schema;

use super::each::Each;
use super::pipeline::{Base, Pipeline};
use crate::text::{Problem, Spanned};
use tidegate_expr::identifiers;

/// The results in a stream that may come again.
#[derive(Clone, Debug)]
pub(crate) struct Updates {
    /// The stream whose windows fire again, and why they do.
    of: String,
    /// The slots of the values that tell one result from others of its time; or why they can't be told.
    identity: Result<Vec<usize>, String>,
    /// The slots whose values are the same whenever a result comes.
    fixed: BTreeSet<usize>,
}

impl Updates {
    /// Of the windows of the stream `name`, which fire again because of `why`. The values in the slots of `identity` tell their results apart, or it says why none
    /// do; these and those in `fixed` are the same in each.
    pub(crate) fn new(name: &str, why: &str, identity: Result<Vec<usize>, String>, fixed: impl IntoIterator<Item = usize>) -> Self {
        let fixed = fixed.into_iter().chain(identity.iter().flatten().copied()).collect();
        Self { of: format!("the windows of `{name}` fire again ({why})"), identity, fixed }
    }

    /// Of streams united, of which at least one has updates.
    pub(crate) fn united(first: &Self) -> Self {
        Self { of: first.of.clone(), identity: Err("it is united with another stream".to_owned()), fixed: BTreeSet::new() }
    }

    /// The slots that tell one result from others of its time, and what is the same in all.
    pub(crate) fn identity(&self) -> Option<&[usize]> {
        self.identity.as_deref().ok()
    }

    /// The slots whose values are the same whenever a result comes.
    pub(crate) fn fixed(&self) -> impl Iterator<Item = usize> {
        self.fixed.iter().copied()
    }

    /// Is the value of this expression the same whenever a result comes?
    pub(crate) fn settle(&self, text: &str, schema: &Schema) -> bool {
        is_settled_by(&self.fixed, text, schema)
    }

    /// Behind a lookup that drops what it finds nothing for.
    pub(crate) fn unless_dropped(mut self, name: &str, on: &[(Spanned<String>, Spanned<String>)], schema: &Schema) -> Self {
        if !on.iter().all(|(_, text)| self.settle(&text.value, schema)) {
            self.lose(format!("the `lookup` of `{name}` may drop a result that came before"));
        }
        self
    }

    /// Behind the `where`, `select` and `flat_map` of the stream `name`, over `base`.
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

    /// What is wrong with a reader that takes each result for one of its own.
    pub(crate) fn refused(&self, reader: &str) -> String {
        format!(
            "{}, and {reader} would count a result anew each time: read them in a window of event time, which keeps the latest, or through `dedupe: {{ keep: last, ttl: ... }}` by their key and `window_end`",
            self.of
        )
    }

    /// What is wrong with a window of event time, by keys of these texts, that is to keep the latest; `None`: nothing.
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

    /// Puts a problem at `place` if a reader that takes each result for one of its own reads them.
    pub(crate) fn refuse<T>(updates: Option<&Self>, place: &Spanned<T>, reader: &str, problems: &mut Vec<Problem>) {
        problems.extend(updates.map(|updates| place.problem(updates.refused(reader))));
    }
}

/// Is an expression over these slots alone?
fn is_settled_by(slots: &BTreeSet<usize>, text: &str, schema: &Schema) -> bool {
    identifiers(text).iter().filter_map(|name| schema.slot(name)).all(|slot| slots.contains(&slot))
}

//! What becomes of complete matches: the order in which they are emitted, what they wait for, and what they drop.

use std::ops::Range;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::longest::Longest;
use super::{Shared, SharedEngine};
use crate::matcher::listing::Listing;
use crate::matcher::past::Past;
use crate::matcher::{Found, MatchError, Sequence, check_target};
use crate::pattern::AfterMatch;

impl<C> SharedEngine<C> {
    /// Emits the complete matches that need not wait for a partial one that began earlier.
    ///
    /// They go in the order in which they began: of one first event, the one completed first; of those completed at one moment, the longest.
    pub(super) fn settle<E, X>(
        &mut self,
        sets: &mut Shared<E>,
        time: i64,
        found: &mut impl FnMut(Found<'_, E>),
    ) -> Result<(), MatchError<X>> {
        let mut searches: HashMap<u32, Longest, FixedState> = HashMap::default();
        while let Some(first) = sets.held.oldest() {
            if sets.starts.oldest().is_some_and(|open| open < first) {
                break;
            }
            let Some(mut batch) = sets.held.take_next() else { break };
            batch.firsts.remove(&first);
            let search = searches.entry(batch.root).or_insert_with(|| Longest::new(batch.root));
            let longest = search.of(first, &sets.past);
            let mut bound = 0;
            if let Some(longest) = longest {
                bound = self.emit(&sets.past, search.listing(), longest.entry, time, found)?.unwrap_or(0);
            }
            if bound <= first && longest.is_some_and(|longest| longest.matches > 1) {
                bound = self.emit_others(&sets.past, batch.root, first, time, found)?.unwrap_or(bound);
            }
            sets.held.put_back(batch);
            if bound > 0 {
                sets.drop_before(bound);
            }
        }
        Ok(())
    }

    /// Emits a match. Returns the event before which it drops everything; `None` if it drops nothing.
    fn emit<E, X>(
        &self,
        past: &Past<E>,
        listing: &Listing,
        entry: u32,
        time: i64,
        found: &mut impl FnMut(Found<'_, E>),
    ) -> Result<Option<u32>, MatchError<X>> {
        let bound = self.drops(listing, entry)?;
        found(Found::Match(Sequence::new(&self.nfa.names, past, listing, entry, time)));
        Ok(bound)
    }

    /// Emits the matches of a first event except the longest, until one of them drops the rest.
    fn emit_others<E, X>(
        &mut self,
        past: &Past<E>,
        root: u32,
        first: u32,
        time: i64,
        found: &mut impl FnMut(Found<'_, E>),
    ) -> Result<Option<u32>, MatchError<X>> {
        let range: Range<u32> = first..first + 1;
        self.listing.clear();
        self.list(past, root, range)?;
        self.listing.sort();
        let mut bound = None;
        for entry in self.listing.firsts.iter().skip(1) {
            bound = self.emit(past, &self.listing, *entry, time, found)?.max(bound);
            if bound.is_some_and(|bound| bound > first) {
                break;
            }
        }
        Ok(bound)
    }

    fn drops<X>(&self, listing: &Listing, entry: u32) -> Result<Option<u32>, MatchError<X>> {
        let first = listing.entries[entry as usize].event;
        Ok(match &self.nfa.after_match {
            AfterMatch::NoSkip => None,
            AfterMatch::SkipToNext => Some(first + 1),
            AfterMatch::SkipPastLastEvent => listing.last(entry).map(|last| last + 1),
            AfterMatch::SkipToFirst(to) | AfterMatch::SkipToLast(to) => {
                let step = self.nfa.target.and_then(|target| listing.of_step(entry, target));
                let is_last = matches!(self.nfa.after_match, AfterMatch::SkipToLast(_));
                let target = step.map(|(earliest, latest)| if is_last { latest } else { earliest });
                check_target(to, target, first)?;
                target
            }
        })
    }
}

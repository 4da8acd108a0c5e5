//! What becomes of complete matches: in which order they are emitted, and what they drop.

use std::cmp::Reverse;
use std::sync::Arc;

use super::SeparateEngine;
use super::runs::{Link, Origin, Separate};
use crate::matcher::{Found, MatchError, Sequence, listed};
use crate::pattern::{AfterMatch, SkipTo};

/// What a match drops: all that began before this, or also with it.
enum Drop {
    Before(Origin),
    UpTo(Origin),
}

impl Drop {
    fn holds(&self, start: Origin) -> bool {
        match *self {
            Self::Before(bound) => start < bound,
            Self::UpTo(bound) => start <= bound,
        }
    }
}

impl<C> SeparateEngine<C> {
    /// Emits the complete matches that need not wait for a partial one that began earlier.
    ///
    /// They go in the order they began; of one start, the one completed first, and of one event, the longest.
    pub(super) fn settle<E: Clone, X>(&self, runs: &mut Separate<E>, time: i64, found: &mut Vec<Found<E>>) -> Result<(), MatchError<X>> {
        if runs.held.is_empty() {
            return Ok(());
        }
        runs.held.make_contiguous().sort_by_key(|c| (c.start, c.arrival, Reverse(c.depth)));
        let skips = self.nfa.after_match != AfterMatch::NoSkip;
        while let Some(complete) = runs.held.front().copied() {
            if skips && runs.open.first().is_some_and(|run| run.start < complete.start) {
                break;
            }
            runs.held.pop_front();
            if let Some(drop) = self.drops(runs, complete.link)? {
                forget(runs, &drop);
            }
            found.push(Found::Match(self.sequence(runs, complete.link, time)));
            runs.release(complete.link);
        }
        Ok(())
    }

    fn drops<E, X>(&self, runs: &Separate<E>, link: u32) -> Result<Option<Drop>, MatchError<X>> {
        let origin = |link: &Link| runs.stored(link.event).map(|stored| stored.origin);
        let origins = || runs.chain(link).filter_map(origin);
        Ok(match &self.nfa.after_match {
            AfterMatch::NoSkip => None,
            AfterMatch::SkipToNext => origins().min().map(Drop::UpTo),
            AfterMatch::SkipPastLastEvent => origins().max().map(Drop::UpTo),
            AfterMatch::SkipToFirst(to) | AfterMatch::SkipToLast(to) => {
                let of_step = |link: &&Link| Some(link.step) == self.nfa.target;
                let mut targets = runs.chain(link).filter(of_step).filter_map(origin);
                let is_last = matches!(self.nfa.after_match, AfterMatch::SkipToLast(_));
                let target = if is_last { targets.next() } else { targets.last() };
                check_target(to, target, origins().min())?;
                target.map(Drop::Before)
            }
        })
    }

    /// The events up to this link.
    pub(super) fn sequence<E: Clone>(&self, runs: &Separate<E>, link: u32, time: i64) -> Sequence<E> {
        let mut chain: Vec<&Link> = runs.chain(link).collect();
        chain.reverse();
        let events =
            chain.into_iter().filter_map(|link| runs.stored(link.event).map(|stored| (link.step, &stored.event, stored.origin.time)));
        listed(&self.nfa.names, events, time)
    }
}

fn check_target<X>(to: &SkipTo, target: Option<Origin>, first: Option<Origin>) -> Result<(), MatchError<X>> {
    if to.or_fail && target.is_none() {
        return Err(MatchError::SkipTargetMissing(Arc::clone(&to.step)));
    }
    if to.or_fail && target == first {
        return Err(MatchError::SkipToStart(Arc::clone(&to.step)));
    }
    Ok(())
}

fn forget<E>(runs: &mut Separate<E>, drop: &Drop) {
    // Both are in order of their starts.
    let open = runs.open.partition_point(|run| drop.holds(run.start));
    let held = runs.held.partition_point(|complete| drop.holds(complete.start));
    let links: Vec<u32> = runs.open.drain(..open).map(|run| run.link).collect();
    links.into_iter().for_each(|link| runs.release(link));
    let links: Vec<u32> = runs.held.drain(..held).map(|complete| complete.link).collect();
    links.into_iter().for_each(|link| runs.release(link));
}

//! What becomes of complete matches: the order in which they are emitted, and what they drop.

use std::cmp::{Ordering, Reverse};

use super::SeparateEngine;
use super::runs::{Chain, Complete, Separate};
use crate::matcher::past::Past;
use crate::matcher::{Found, MatchError, Sequence, check_target};
use crate::pattern::AfterMatch;

impl<C> SeparateEngine<C> {
    /// Emits the complete matches that need not wait for a partial one that began earlier.
    ///
    /// They go in the order in which they began: of one first event, the one completed first; of those completed by one event, the longest; of one length,
    /// the one whose events came first.
    pub(super) fn settle<E, X>(
        &mut self,
        runs: &mut Separate<E>,
        time: i64,
        found: &mut impl FnMut(Found<'_, E>),
    ) -> Result<(), MatchError<X>> {
        if runs.held.is_empty() {
            return Ok(());
        }
        let Separate { past, held, .. } = runs;
        held.make_contiguous().sort_by(|a, b| order(past, a, b));
        let skips = self.nfa.after_match != AfterMatch::NoSkip;
        while let Some(complete) = runs.held.front().copied() {
            if skips && runs.open.first().is_some_and(|run| run.chain.first < complete.chain.first) {
                break;
            }
            runs.held.pop_front();
            if let Some(bound) = self.drops(&runs.past, complete.chain)? {
                // Both are in the order of their first events.
                let open = runs.open.partition_point(|run| run.chain.first < bound);
                let held = runs.held.partition_point(|complete| complete.chain.first < bound);
                runs.open.drain(..open);
                runs.held.drain(..held);
            }
            let first = self.list(&runs.past, complete.chain);
            found(Found::Match(Sequence::new(&self.nfa.names, &runs.past, &self.listing, first, time)));
        }
        Ok(())
    }

    /// The event before which a match drops everything; `None` if it drops nothing.
    fn drops<E, X>(&self, past: &Past<E>, chain: Chain) -> Result<Option<u32>, MatchError<X>> {
        Ok(match &self.nfa.after_match {
            AfterMatch::NoSkip => None,
            AfterMatch::SkipToNext => Some(chain.first + 1),
            AfterMatch::SkipPastLastEvent => Some(past.node(chain.node).event + 1),
            AfterMatch::SkipToFirst(to) | AfterMatch::SkipToLast(to) => {
                let mut targets = chain.nodes(past).filter(|node| Some(node.step) == self.nfa.target).map(|node| node.event);
                let is_last = matches!(self.nfa.after_match, AfterMatch::SkipToLast(_));
                let target = if is_last { targets.next() } else { targets.last() };
                check_target(to, target, chain.first)?;
                target
            }
        })
    }

    /// Lists the events of a chain, and returns its first entry.
    pub(super) fn list<E>(&mut self, past: &Past<E>, chain: Chain) -> u32 {
        self.listing.clear();
        self.listing.add_match(chain.nodes(past).map(|node| (node.event, node.step)))
    }
}

fn order<E>(past: &Past<E>, a: &Complete, b: &Complete) -> Ordering {
    let key = |complete: &Complete| (complete.chain.first, complete.arrival, Reverse(complete.chain.length));
    let by_key = key(a).cmp(&key(b));
    if by_key.is_ne() || a.chain == b.chain {
        return by_key;
    }
    // The earliest event in which they differ decides. On the way back, that is the last difference.
    let nodes = |complete: &Complete| complete.chain.nodes(past).map(|node| (node.event, node.step));
    nodes(a).zip(nodes(b)).filter(|(a, b)| a != b).last().map_or(Ordering::Equal, |(a, b)| a.cmp(&b))
}

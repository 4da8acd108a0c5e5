//! What the passing of time does: partial matches run out of time, or are completed by it.

use std::sync::Arc;

use super::waits::Waits;
use super::{Shared, SharedEngine, open};
use crate::matcher::listing::walk;
use crate::matcher::past::{NONE, Past};
use crate::matcher::runs::State;
use crate::matcher::{Found, MatchError, Sequence};
use crate::nfa::{Kind, StateId};

impl<C> SharedEngine<C> {
    /// Advances the time of a key. Returns whether its state has changed.
    pub fn advance<E, X>(&mut self, state: &mut State<E>, time: i64, found: &mut impl FnMut(Found<'_, E>)) -> Result<bool, MatchError<X>> {
        self.take_over(state);
        match state {
            State::One(one) if time < one.deadline => return Ok(false),
            State::One(_) if !self.eager => {
                *state = State::Nothing;
                return Ok(true);
            }
            State::One(_) => *state = State::Shared(open(std::mem::take(state), self.may_wait, &self.fate)),
            _ => {}
        }
        let State::Shared(sets) = state else { return Ok(false) };
        if self.eager && time < sets.deadline {
            return Ok(false);
        }
        let result = self.expire(sets, time, found);
        state.tidy();
        result
    }

    fn expire<E, X>(&mut self, sets: &mut Shared<E>, time: i64, found: &mut impl FnMut(Found<'_, E>)) -> Result<bool, MatchError<X>> {
        let (before, events) = (sets.floor, sets.past.next_event());
        let mut floor = before;
        if let Some(within) = self.nfa.within {
            while floor < events && sets.past.time(floor).saturating_add(within) <= time {
                floor += 1;
            }
        }
        // For a state with a window: matches whose latest event came before this one have waited too long.
        let bound = |state: StateId, past: &Past<E>| {
            let within = self.nfa.state(state).within?;
            let bound = past.events.partition_point(|(_, at)| at.saturating_add(within) <= time) as u32;
            Some(bound).filter(|bound| *bound > 0)
        };
        let is_over = |waits: &Waits| bound(waits.state, &sets.past).is_some_and(|bound| waits.oldest_latest(&sets.past) < Some(bound));
        let steps_over: Vec<(StateId, u32)> = if !self.windowed_states {
            Vec::new()
        } else {
            sets.waits
                .iter()
                .filter(|waits| is_over(waits))
                .filter_map(|waits| Some((waits.state, bound(waits.state, &sets.past)?)))
                .collect()
        };
        if floor == before && steps_over.is_empty() {
            if time >= sets.deadline {
                self.set_deadline(sets);
            }
            return Ok(false);
        }
        let ended = self.take_ended(sets, before..floor, &steps_over);
        self.tell(sets, &ended, found)?;
        for (state, bound) in steps_over {
            sets.starts.leave(state, bound);
        }
        sets.close_before(floor);
        for Ended { roots, range, .. } in
            ended.into_iter().filter(|ended| self.nfa.state(ended.state).kind == Kind::Pending).collect::<Vec<_>>()
        {
            let complete = roots.into_iter().fold(NONE, |all, root| sets.past.either(all, root));
            if complete != NONE {
                self.complete(sets, complete, range, None, time, found)?;
            }
        }
        self.go_on(sets, NONE, None, time, found)?;
        Ok(true)
    }

    /// Takes out of the states what has waited too long since its latest event, and lists the sets that hold what began too long ago.
    fn take_ended<E>(&self, sets: &mut Shared<E>, range: std::ops::Range<u32>, steps_over: &[(StateId, u32)]) -> Vec<Ended> {
        let mut ended = Vec::new();
        let Shared { waits, past, .. } = sets;
        for waits in waits.iter_mut() {
            let state = waits.state;
            if let Some((_, bound)) = steps_over.iter().find(|(over, _)| *over == state) {
                let mut roots = Vec::new();
                waits.take_before(*bound, past, &mut roots);
                ended.push(Ended { state, roots, range: range.start..NONE });
            }
            if !range.is_empty() && (self.timeouts || self.nfa.state(state).kind == Kind::Pending) {
                ended.push(Ended { state, roots: waits.roots().collect(), range: range.clone() });
            }
        }
        waits.retain(|waits| !waits.is_empty());
        ended
    }

    /// Reports the partial matches that have run out of time.
    fn tell<E, X>(&mut self, sets: &Shared<E>, ended: &[Ended], found: &mut impl FnMut(Found<'_, E>)) -> Result<(), MatchError<X>> {
        if !self.timeouts {
            return Ok(());
        }
        self.listing.clear();
        let mut states: Vec<(usize, StateId)> = Vec::new();
        let nfa = Arc::clone(&self.nfa);
        for Ended { state, roots, range } in ended.iter().filter(|ended| nfa.state(ended.state).kind != Kind::Pending) {
            for root in roots {
                self.list(&sets.past, *root, range.clone())?;
            }
            states.push((self.listing.firsts.len(), *state));
        }
        // The time at which a partial match was over, given its entry.
        let over = |listed: usize, entry: u32| {
            let state = states.iter().find(|(end, _)| listed < *end).map(|(_, state)| *state);
            let (mut first, mut last) = (None, 0);
            for entry in walk(&self.listing.entries, entry) {
                first = first.or(Some(sets.past.time(entry.event)));
                last = entry.event;
            }
            let by_step = state.and_then(|state| self.nfa.state(state).within).map(|within| sets.past.time(last).saturating_add(within));
            let by_pattern = self.nfa.within.zip(first).map(|(within, first)| first.saturating_add(within));
            by_step.into_iter().chain(by_pattern).min().unwrap_or(i64::MAX)
        };
        let times = self.listing.firsts.iter().enumerate().map(|(at, entry)| (*entry, over(at, *entry)));
        let time_of: hashbrown::HashMap<u32, i64, foldhash::fast::FixedState> = times.collect();
        self.listing.sort();
        for entry in &self.listing.firsts {
            let time = time_of.get(entry).copied().unwrap_or(i64::MAX);
            found(Found::Timeout(Sequence::new(&self.nfa.names, &sets.past, &self.listing, *entry, time)));
        }
        Ok(())
    }

    /// Sets when to process the key if no event comes.
    ///
    /// That is when the first partial match is over if this must be known at once, and else when the last one is.
    pub(super) fn set_deadline<E>(&self, sets: &mut Shared<E>) {
        let Shared { past, waits, starts, floor, .. } = &*sets;
        let over = |event: u32, within: i64| past.time(event).saturating_add(within);
        let by_step = waits.iter().filter_map(|waits| {
            let within = self.nfa.state(waits.state).within?;
            let event = if self.eager { waits.oldest_latest(past) } else { waits.newest_latest(past) };
            Some(over(event?, within))
        });
        let oldest = starts.oldest().unwrap_or(*floor);
        let deadline = if waits.is_empty() {
            i64::MAX
        } else if self.eager {
            by_step.chain(self.nfa.within.map(|within| over(oldest, within))).min().unwrap_or(i64::MAX)
        } else {
            let newest = waits.iter().filter_map(|waits| waits.newest(past)).max();
            let by_pattern = self.nfa.within.zip(newest).map(|(within, newest)| over(newest, within));
            let all_by_step = waits.iter().all(|waits| self.nfa.state(waits.state).within.is_some());
            let by_step = by_step.max().filter(|_| all_by_step);
            by_pattern.into_iter().chain(by_step).min().unwrap_or(i64::MAX)
        };
        sets.deadline = deadline;
    }
}

/// What time has ended in a state: those chains of these sets that begin in this range.
struct Ended {
    state: StateId,
    roots: Vec<u32>,
    range: std::ops::Range<u32>,
}

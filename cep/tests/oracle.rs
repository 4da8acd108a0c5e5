//! Sequences of single steps against the definition: every way to choose one event per step is looked at, and kept if each gap is as its contiguity says.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use tidegate_cep::{Candidate, Condition, Contiguity, Found, Limit, Matcher, Nfa, Pattern, Runs, Step};

/// Which kinds of event fit, as bits.
#[derive(Clone, Copy, Debug)]
struct Kinds(u8);

impl Condition for Kinds {}

impl Kinds {
    fn fit(self, kind: u8) -> bool {
        self.0 & (1 << kind) != 0
    }
}

#[derive(Clone, Copy, Debug)]
struct Event {
    time: i64,
    kind: u8,
}

/// All choices of events that are matches, by the definition.
fn by_definition(steps: &[(Contiguity, Kinds)], within: Option<i64>, events: &[Event]) -> Vec<Vec<usize>> {
    let mut partial: Vec<Vec<usize>> = vec![Vec::new()];
    for (i, (contiguity, kinds)) in steps.iter().enumerate() {
        let mut longer = Vec::new();
        for chosen in partial {
            let from = chosen.last().map_or(0, |last| last + 1);
            for at in from..events.len() {
                let gap = &events[from..at];
                let gap_fits = i == 0
                    || match contiguity {
                        Contiguity::Next => gap.is_empty(),
                        Contiguity::FollowedBy => !gap.iter().any(|e| kinds.fit(e.kind)),
                        _ => true,
                    };
                let start = events[*chosen.first().unwrap_or(&at)].time;
                if kinds.fit(events[at].kind) && gap_fits && within.is_none_or(|w| events[at].time - start < w) {
                    longer.push(chosen.iter().copied().chain([at]).collect());
                }
            }
        }
        partial = longer;
    }
    partial.sort();
    partial
}

fn by_matcher(steps: &[(Contiguity, Kinds)], within: Option<i64>, events: &[Event]) -> (Vec<Vec<usize>>, Runs<usize>) {
    let step = |(i, (contiguity, kinds)): (usize, &(Contiguity, Kinds))| {
        let mut step = Step::new(format!("s{i}"), *contiguity);
        step.body = tidegate_cep::pattern::Body::Event(Some(*kinds));
        step
    };
    let mut pattern = Pattern::new(steps.iter().enumerate().map(step).collect());
    pattern.within = within.map(|w| Duration::from_millis(w as u64));
    let mut matcher = Matcher::new(Arc::new(Nfa::compile(pattern).unwrap()), Limit::default());
    let (mut runs, mut found) = (Runs::default(), Vec::new());
    let mut eval = |kinds: &Kinds, c: &Candidate<'_, usize>| Ok::<_, Infallible>(kinds.fit(events[*c.event].kind));
    for (i, event) in events.iter().enumerate() {
        matcher.advance::<_, Infallible>(&mut runs, event.time, &mut found).unwrap();
        matcher.event(&mut runs, i, event.time, &mut eval, &mut found).unwrap();
    }
    let mut matches: Vec<Vec<usize>> = Vec::new();
    for found in &found {
        if let Found::Match(sequence) = found {
            matches.push(sequence.steps.iter().flat_map(|(_, events)| events.iter().copied()).collect());
        }
    }
    matches.sort();
    matcher.advance::<_, Infallible>(&mut runs, i64::MAX, &mut found).unwrap();
    (matches, runs)
}

fn contiguity() -> impl Strategy<Value = Contiguity> {
    prop_oneof![Just(Contiguity::Next), Just(Contiguity::FollowedBy), Just(Contiguity::FollowedByAny)]
}

proptest! {
    #[test]
    fn sequences_equal_the_definition(
        steps in proptest::collection::vec((contiguity(), (1u8..16).prop_map(Kinds)), 1..5),
        within in proptest::option::of(1i64..12),
        events in proptest::collection::vec((0i64..3, 0u8..4), 0..14),
    ) {
        let mut time = 0;
        let events: Vec<Event> = events.into_iter().map(|(gap, kind)| { time += gap; Event { time, kind } }).collect();
        let (have, left) = by_matcher(&steps, within, &events);
        prop_assert_eq!(have, by_definition(&steps, within, &events));
        if within.is_some() {
            prop_assert!(left.is_empty());
            prop_assert_eq!(left.events(), 0);
        }
    }
}

//! Compares sequences of single steps, each of one kind of event or of several, with the definition: it tries every way to choose one event per step, and
//! keeps those in which each gap is as the contiguity says.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use tidegate_cep::pattern::{Alternative, Body};
use tidegate_cep::{Candidate, Condition, Contiguity, Found, Limit, Matcher, Nfa, Pattern, Runs, Step};

/// The kinds of event that fit, as bits.
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

/// A step takes one of several kinds of event.
type Asked = (Contiguity, Vec<Kinds>);

/// The kind of an event: the first that it fits.
fn kind(kinds: &[Kinds], event: Event) -> Option<usize> {
    kinds.iter().position(|kinds| kinds.fit(event.kind))
}

fn name(step: usize, kind: usize) -> String {
    format!("s{step}k{kind}")
}

/// All choices of events that are matches by the definition, each event with the name under which it is listed.
fn by_definition(steps: &[Asked], within: Option<i64>, events: &[Event]) -> Vec<Vec<(String, usize)>> {
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
                        Contiguity::FollowedBy => !gap.iter().any(|e| kind(kinds, *e).is_some()),
                        _ => true,
                    };
                let start = events[*chosen.first().unwrap_or(&at)].time;
                if kind(kinds, events[at]).is_some() && gap_fits && within.is_none_or(|w| events[at].time - start < w) {
                    longer.push(chosen.iter().copied().chain([at]).collect());
                }
            }
        }
        partial = longer;
    }
    let named = |(i, at): (usize, &usize)| (name(i, kind(&steps[i].1, events[*at]).unwrap()), *at);
    let mut matches: Vec<Vec<(String, usize)>> = partial.iter().map(|chosen| chosen.iter().enumerate().map(named).collect()).collect();
    matches.sort();
    matches
}

fn by_matcher(steps: &[Asked], within: Option<i64>, events: &[Event], shared: bool) -> (Vec<Vec<(String, usize)>>, Runs<usize>) {
    let step = |(i, (contiguity, kinds)): (usize, &Asked)| {
        let mut step = Step::new(name(i, 0), *contiguity);
        step.body = match kinds.as_slice() {
            [kinds] => Body::Event(Some(*kinds)),
            _ => {
                let alternative = |(k, kinds): (usize, &Kinds)| Alternative { name: name(i, k).into(), condition: Some(*kinds) };
                Body::AnyOf(kinds.iter().enumerate().map(alternative).collect())
            }
        };
        step
    };
    let mut pattern = Pattern::new(steps.iter().enumerate().map(step).collect());
    pattern.within = within.map(|w| Duration::from_millis(w as u64));
    let nfa = Arc::new(Nfa::compile(pattern).unwrap());
    let mut matcher = if shared { Matcher::new(nfa, Limit::default(), true) } else { Matcher::one_by_one(nfa, Limit::default()) };
    let (mut runs, mut matches) = (Runs::default(), Vec::new());
    let mut found = |found: Found<'_, usize>| {
        if let Found::Match(sequence) = found {
            matches.push(sequence.events().map(|(name, at)| (name.to_string(), *at)).collect::<Vec<_>>());
        }
    };
    let mut eval = |kinds: &Kinds, c: &Candidate<'_, usize>| Ok::<_, Infallible>(kinds.fit(events[*c.event].kind));
    for (i, event) in events.iter().enumerate() {
        matcher.advance::<_, Infallible>(&mut runs, event.time, &mut found).unwrap();
        matcher.event(&mut runs, i, event.time, &mut eval, &mut found).unwrap();
    }
    matcher.advance::<_, Infallible>(&mut runs, i64::MAX, &mut found).unwrap();
    matches.sort();
    (matches, runs)
}

fn contiguity() -> impl Strategy<Value = Contiguity> {
    prop_oneof![Just(Contiguity::Next), Just(Contiguity::FollowedBy), Just(Contiguity::FollowedByAny)]
}

proptest! {
    #[test]
    fn sequences_equal_the_definition(
        steps in proptest::collection::vec((contiguity(), proptest::collection::vec((1u8..16).prop_map(Kinds), 1..4)), 1..5),
        within in proptest::option::of(1i64..12),
        events in proptest::collection::vec((0i64..3, 0u8..4), 0..14),
    ) {
        let mut time = 0;
        let events: Vec<Event> = events.into_iter().map(|(gap, kind)| { time += gap; Event { time, kind } }).collect();
        for shared in [false, true] {
            let (have, left) = by_matcher(&steps, within, &events, shared);
            prop_assert_eq!(have, by_definition(&steps, within, &events));
            if within.is_some() {
                prop_assert!(left.is_empty());
                prop_assert_eq!(left.events(), 0);
            }
        }
    }
}

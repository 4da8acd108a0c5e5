//! Random patterns of every construct over random events: what must hold whatever the pattern says.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use tidegate_cep::pattern::Body;
use tidegate_cep::{
    AfterMatch, Candidate, CepLogic, Condition, Contiguity, Emitted, Found, Inner, Judge, Limit, Matcher, Nfa, Overflow, Pattern, Runs,
    Search, SkipTo, Step, Times,
};
use tidegate_runtime::operator::{Context, Logic, Outbox};
use tidegate_runtime::{Error, Record, Watermark};

/// Which kinds of event fit, as bits; an iterative one wants an even number of events before it, too.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Kinds {
    kinds: u8,
    iterative: bool,
}

impl Condition for Kinds {
    fn is_iterative(&self) -> bool {
        self.iterative
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Event {
    index: usize,
    time: i64,
    kind: u8,
}

impl Judge<Event> for Kinds {
    fn holds(&self, candidate: &Candidate<'_, Event>) -> Result<bool, Error> {
        Ok(self.kinds & (1 << candidate.event.kind) != 0 && (!self.iterative || candidate.matched.backwards().count().is_multiple_of(2)))
    }
}

fn condition() -> impl Strategy<Value = Kinds> {
    (1u8..8, prop::bool::weighted(0.1)).prop_map(|(kinds, iterative)| Kinds { kinds, iterative })
}

fn times() -> impl Strategy<Value = Option<Times>> {
    let range = (0u32..3, prop::option::of(0u32..2));
    let range = range.prop_map(|(min, more)| Times { min, max: more.map(|more| (min + more).max(1)), within: None });
    prop::option::weighted(0.4, range)
}

fn leaf() -> impl Strategy<Value = Step<Kinds>> {
    let contiguity = prop_oneof![
        2 => Just(Contiguity::Next), 4 => Just(Contiguity::FollowedBy), 2 => Just(Contiguity::FollowedByAny),
        1 => Just(Contiguity::NotNext), 1 => Just(Contiguity::NotFollowedBy),
    ];
    let inner = prop_oneof![3 => Just(Inner::Relaxed), 1 => Just(Inner::Consecutive), 1 => Just(Inner::AllowCombinations)];
    let within = prop::option::weighted(0.1, (1u64..4).prop_map(Duration::from_millis));
    (contiguity, prop::option::weighted(0.9, condition()), times(), inner, prop::bool::weighted(0.2), prop::bool::weighted(0.1), within)
        .prop_map(|(contiguity, condition, times, inner, optional, greedy, within)| {
            let mut step = Step::new("", contiguity);
            step.body = Body::Event(condition);
            (step.times, step.inner, step.optional, step.greedy, step.within) = (times, inner, optional, greedy, within);
            step
        })
}

fn step() -> impl Strategy<Value = Step<Kinds>> {
    let until = prop::option::weighted(0.2, condition());
    let nested = leaf().prop_recursive(2, 6, 3, |inside| {
        (leaf(), prop::collection::vec(inside, 1..3)).prop_map(|(mut group, steps)| {
            group.body = Body::Group(steps);
            group
        })
    });
    (nested, until).prop_map(|(mut step, until)| {
        step.until = until;
        step
    })
}

fn rename(steps: &mut [Step<Kinds>], next: &mut u32) {
    for step in steps {
        step.name = format!("s{next}").into();
        *next += 1;
        if let Body::Group(inside) = &mut step.body {
            rename(inside, next);
        }
    }
}

fn after_match() -> impl Strategy<Value = AfterMatch> {
    let to = |step: &str| SkipTo { step: step.into(), or_fail: false };
    prop_oneof![
        4 => Just(AfterMatch::NoSkip), 1 => Just(AfterMatch::SkipToNext), 1 => Just(AfterMatch::SkipPastLastEvent),
        1 => Just(AfterMatch::SkipToFirst(to("s1"))), 1 => Just(AfterMatch::SkipToLast(to("s0"))),
    ]
}

fn pattern() -> impl Strategy<Value = Pattern<Kinds>> {
    let within = prop::option::weighted(0.7, (4u64..12).prop_map(Duration::from_millis));
    let made = (prop::collection::vec(step(), 1..4), within, after_match()).prop_map(|(mut steps, within, after_match)| {
        rename(&mut steps, &mut 0);
        let mut pattern = Pattern::new(steps);
        (pattern.within, pattern.after_match) = (within, after_match);
        pattern
    });
    made.prop_filter("a pattern that means something", |pattern| pattern.validate().is_ok())
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    prop::collection::vec((0i64..3, 0u8..3), 0..9).prop_map(|events| {
        let mut time = 0;
        let event = |(index, (gap, kind)): (usize, (i64, u8))| {
            time += gap;
            Event { index, time, kind }
        };
        events.into_iter().enumerate().map(event).collect()
    })
}

const LIMIT: Limit = Limit { runs: 2_000, overflow: Overflow::DropNewest };

fn run(pattern: &Pattern<Kinds>, events: &[Event], restore: bool) -> (Vec<Found<Event>>, Runs<Event>, u64) {
    let mut matcher = Matcher::new(Arc::new(Nfa::compile(pattern.clone()).unwrap()), LIMIT);
    let (mut runs, mut found) = (Runs::default(), Vec::new());
    let mut eval = |kinds: &Kinds, c: &Candidate<'_, Event>| kinds.holds(c);
    for event in events {
        if restore {
            runs = serde_json::from_str(&serde_json::to_string(&runs).unwrap()).unwrap();
        }
        matcher.advance::<_, Error>(&mut runs, event.time, &mut found).unwrap();
        matcher.event(&mut runs, *event, event.time, &mut eval, &mut found).unwrap();
    }
    (found, runs, matcher.dropped())
}

fn matches(found: &[Found<Event>]) -> Vec<String> {
    let text = |found: &Found<Event>| match found {
        Found::Match(sequence) => Some(format!(
            "{:?}",
            sequence.steps.iter().map(|(s, e)| (s, e.iter().map(|e| e.index).collect::<Vec<_>>())).collect::<Vec<_>>()
        )),
        Found::Timeout(_) => None,
    };
    found.iter().filter_map(text).collect()
}

fn indices(found: &Found<Event>) -> Option<Vec<usize>> {
    let Found::Match(sequence) = found else { return None };
    let mut all: Vec<usize> = sequence.steps.iter().flat_map(|(_, events)| events.iter().map(|e| e.index)).collect();
    all.sort_unstable();
    Some(all)
}

/// Can the events of a match be cut into rounds in several ways? A match doesn't tell where a round ends.
fn ambiguous(steps: &[Step<Kinds>]) -> bool {
    steps.iter().any(|step| {
        let varies = |inside: &Step<Kinds>| inside.times.is_some() || inside.optional || inside.inside().is_some();
        step.inside().is_some_and(|inside| (step.times.is_some() && inside.iter().any(varies)) || ambiguous(inside))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { max_global_rejects: 1_000_000, cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_match_comes_twice(pattern in pattern(), events in events()) {
        let (found, _, dropped) = run(&pattern, &events, false);
        prop_assume!(dropped == 0 && !ambiguous(&pattern.steps));
        let all = matches(&found);
        let distinct: BTreeSet<&String> = all.iter().collect();
        prop_assert_eq!(distinct.len(), all.len(), "{:?}", all);
    }

    #[test]
    fn writing_the_state_down_changes_nothing(pattern in pattern(), events in events()) {
        let (plain, restored) = (run(&pattern, &events, false), run(&pattern, &events, true));
        prop_assert_eq!(plain.0, restored.0);
        prop_assert_eq!(plain.1.open(), restored.1.open());
    }

    #[test]
    fn nothing_is_left_when_the_window_is_over(pattern in pattern(), events in events()) {
        let (mut found, mut runs, _) = run(&pattern, &events, false);
        if runs.is_empty() {
            prop_assert_eq!(runs.events(), 0);
        }
        if pattern.within.is_some() {
            let nfa = Arc::new(Nfa::compile(pattern).unwrap());
            Matcher::new(nfa, LIMIT).advance::<_, Infallible>(&mut runs, i64::MAX, &mut found).unwrap();
            prop_assert_eq!((runs.open(), runs.held(), runs.events()), (0, 0, 0));
        }
    }

    #[test]
    fn matches_overlap_only_as_they_may(pattern in pattern(), events in events()) {
        let (found, _, _) = run(&pattern, &events, false);
        let mut before: Option<Vec<usize>> = None;
        for this in found.iter().filter_map(indices) {
            if let Some(before) = before {
                match pattern.after_match {
                    AfterMatch::SkipPastLastEvent => prop_assert!(this[0] > before[before.len() - 1], "{:?} {:?}", before, this),
                    AfterMatch::SkipToNext => prop_assert!(this[0] > before[0], "{:?} {:?}", before, this),
                    _ => {}
                }
            }
            before = Some(this);
        }
    }

    #[test]
    fn the_operator_finds_the_same_in_any_order_of_arrival_and_forgets_keys(
        pattern in pattern(), events in events(), order in Just((0..9).collect::<Vec<usize>>()).prop_shuffle(), cut in 0usize..9,
    ) {
        // Distinct times: events of one time keep their order of arrival.
        let events: Vec<Event> = events.iter().enumerate().map(|(i, e)| Event { time: e.time * 10 + i as i64, ..*e }).collect();
        let (expected, _, dropped) = run(&pattern, &events, false);
        prop_assume!(dropped == 0);
        let windowed = pattern.within.is_some();
        let mut logic = CepLogic::<(), _, _, _>::new(|_: &Event| (), Search::new(pattern).unwrap(), &mut Context::default()).unwrap();
        let mut out = Outbox::default();
        let cut = cut.min(events.len());
        for part in [0..cut, cut..events.len()] {
            for i in order.iter().filter(|i| part.contains(i)) {
                logic.record(Record::new(events[*i].time, events[*i]), &mut out).unwrap();
            }
            if let Some(last) = part.last() {
                let watermark = Watermark(events[last].time);
                logic.watermark(watermark, &mut out).unwrap();
                out.set_watermark(watermark);
            }
        }
        let mut have: Vec<String> = Vec::new();
        for record in out.take().0 {
            if let Emitted::Match(found) = record.value {
                let steps = found.steps.iter().map(|(s, e)| (s, e.iter().map(|e| e.index).collect::<Vec<_>>())).collect::<Vec<_>>();
                have.push(format!("{steps:?}"));
            }
        }
        prop_assert_eq!(have, matches(&expected));
        logic.watermark(Watermark(i64::MAX), &mut out).unwrap();
        if windowed {
            prop_assert_eq!((logic.keys().unwrap().len(), logic.timers()), (0, 0));
        }
    }
}

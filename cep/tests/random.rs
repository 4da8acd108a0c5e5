//! Random patterns with every construct, over random events: checks what must hold for any pattern.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod patterns;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;

use patterns::{Event, Kinds, events, pattern};
use proptest::prelude::*;
use tidegate_cep::{AfterMatch, Candidate, CepLogic, Emitted, Found, Judge, Limit, Matcher, Nfa, Overflow, Pattern, Runs, Search, Step};
use tidegate_runtime::operator::{Context, Logic, Outbox};
use tidegate_runtime::{Error, Record, Watermark};

const LIMIT: Limit = Limit { memory: 256 << 10, overflow: Overflow::DropNewest };

/// The events of a match or a timeout by step, and its times.
#[derive(Clone, Debug, PartialEq)]
struct Told {
    is_match: bool,
    steps: Vec<(String, Vec<usize>)>,
    times: (i64, i64, i64),
}

fn tell(found: Found<'_, Event>) -> Told {
    let (Found::Match(sequence) | Found::Timeout(sequence)) = &found;
    let steps = sequence.by_step().into_iter().map(|(name, events)| (name.to_string(), events.iter().map(|e| e.index).collect()));
    Told { is_match: matches!(found, Found::Match(_)), steps: steps.collect(), times: (sequence.start(), sequence.end(), sequence.time) }
}

fn run(pattern: &Pattern<Kinds>, events: &[Event], restore: bool) -> (Vec<Told>, Runs<Event>, u64) {
    let mut matcher = Matcher::new(Arc::new(Nfa::compile(pattern.clone()).unwrap()), LIMIT, true);
    let (mut runs, mut told) = (Runs::default(), Vec::new());
    let mut found = |found: Found<'_, Event>| told.push(tell(found));
    let mut eval = |kinds: &Kinds, c: &Candidate<'_, Event>| kinds.holds(c);
    for event in events {
        if restore {
            runs = serde_json::from_str(&serde_json::to_string(&runs).unwrap()).unwrap();
        }
        matcher.advance::<_, Error>(&mut runs, event.time, &mut found).unwrap();
        matcher.event(&mut runs, *event, event.time, &mut eval, &mut found).unwrap();
    }
    (told, runs, matcher.dropped())
}

fn matches(found: &[Told]) -> Vec<String> {
    found.iter().filter(|told| told.is_match).map(|told| format!("{:?}", told.steps)).collect()
}

fn indices(told: &Told) -> Option<Vec<usize>> {
    let mut all: Vec<usize> = told.steps.iter().flat_map(|(_, events)| events.iter().copied()).collect();
    all.sort_unstable();
    Some(all).filter(|_| told.is_match)
}

/// Whether the events of a match can be cut into rounds in several ways. A match does not tell where a round ends.
fn ambiguous(steps: &[Step<Kinds>]) -> bool {
    steps.iter().any(|step| {
        let varies = |inside: &Step<Kinds>| inside.times.is_some() || inside.optional || inside.inside().is_some();
        step.inside().is_some_and(|inside| (step.times.is_some() && inside.iter().any(varies)) || ambiguous(inside))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { max_global_rejects: 1_000_000, cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_match_comes_twice(pattern in pattern(), events in events(9)) {
        let (found, _, dropped) = run(&pattern, &events, false);
        prop_assume!(dropped == 0 && !ambiguous(&pattern.steps));
        let all = matches(&found);
        let distinct: BTreeSet<&String> = all.iter().collect();
        prop_assert_eq!(distinct.len(), all.len(), "{:?}", all);
    }

    #[test]
    fn writing_the_state_down_changes_nothing(pattern in pattern(), events in events(9)) {
        let (plain, restored) = (run(&pattern, &events, false), run(&pattern, &events, true));
        prop_assert_eq!(plain.0, restored.0);
        prop_assert_eq!(plain.1.open(), restored.1.open());
    }

    #[test]
    fn nothing_is_left_when_the_window_is_over(pattern in pattern(), events in events(9)) {
        let (_, mut runs, _) = run(&pattern, &events, false);
        if runs.is_empty() {
            prop_assert_eq!(runs.events(), 0);
        }
        if pattern.within.is_some() {
            let nfa = Arc::new(Nfa::compile(pattern).unwrap());
            Matcher::new(nfa, LIMIT, true).advance::<_, Infallible>(&mut runs, i64::MAX, &mut |_| {}).unwrap();
            prop_assert_eq!((runs.open(), runs.holds_matches(), runs.events()), (0, false, 0));
        }
    }

    #[test]
    fn matches_overlap_only_as_they_may(pattern in pattern(), events in events(9)) {
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
        pattern in pattern(), events in events(9), order in Just((0..9).collect::<Vec<usize>>()).prop_shuffle(), cut in 0usize..9,
    ) {
        // Distinct times: events of one time keep their order of arrival.
        let events: Vec<Event> = events.iter().enumerate().map(|(i, e)| Event { time: e.time * 10 + i as i64, ..*e }).collect();
        let (expected, _, dropped) = run(&pattern, &events, false);
        prop_assume!(dropped == 0);
        let windowed = pattern.within.is_some();
        let mut logic = CepLogic::<(), _, _, _, _>::new(|_: &Event| (), Search::new(pattern).unwrap(), Emitted::of, &mut Context::default()).unwrap();
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
                let steps = found.steps.iter().map(|(s, e)| (s.to_string(), e.iter().map(|e| e.index).collect::<Vec<_>>())).collect::<Vec<_>>();
                have.push(format!("{steps:?}"));
            }
        }
        // Each engine emits the matches that one event completes in an order of its own.
        let mut expected = matches(&expected);
        have.sort();
        expected.sort();
        prop_assert_eq!(have, expected);
        logic.watermark(Watermark(i64::MAX), &mut out).unwrap();
        if windowed {
            prop_assert_eq!((logic.keys().unwrap().len(), logic.timers()), (0, 0));
        }
    }
}

//! The two engines find the same, event by event; and what one wrote down, a new one of either kind reads right.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod patterns;

use std::cmp::Reverse;
use std::sync::Arc;

use patterns::{Event, Kinds, events, pattern};
use proptest::prelude::*;
use tidegate_cep::{AfterMatch, Candidate, Found, Judge, Limit, Matcher, Nfa, Pattern, Runs};
use tidegate_runtime::Error;

/// A match: its first event, its length, and its steps with the places of their events.
type Match = (usize, Reverse<usize>, Vec<(String, Vec<usize>)>, (i64, i64, i64));

struct Engine {
    matcher: Matcher<Kinds>,
    runs: Runs<Event>,
}

impl Engine {
    fn separate(nfa: &Arc<Nfa<Kinds>>) -> Self {
        let limit = Limit { runs: 20_000, ..Limit::default() };
        Self { matcher: Matcher::new(Arc::clone(nfa), limit), runs: Runs::default() }
    }

    fn shared(nfa: &Arc<Nfa<Kinds>>) -> Option<Self> {
        Some(Self { matcher: Matcher::shared(Arc::clone(nfa)).ok()?, runs: Runs::default() })
    }

    fn written_and_read(self, matcher: Matcher<Kinds>) -> Self {
        Self { matcher, runs: serde_json::from_str(&serde_json::to_string(&self.runs).unwrap()).unwrap() }
    }

    /// The matches that an event completes, in their order; `None` beyond the limit.
    fn event(&mut self, event: Event) -> Option<Vec<Match>> {
        let mut found = Vec::new();
        let before = serde_json::to_string(&self.runs).unwrap();
        let advanced = self.matcher.advance::<_, Error>(&mut self.runs, event.time, &mut found).ok()?;
        let mut eval = |kinds: &Kinds, candidate: &Candidate<'_, Event>| kinds.holds(candidate);
        let changed = self.matcher.event(&mut self.runs, event, event.time, &mut eval, &mut found).ok()?;
        if !advanced && !changed {
            // What says that nothing has changed need not be written down again.
            let held: Runs<Event> = serde_json::from_str(&before).unwrap();
            assert_eq!((held.open(), held.held()), (self.runs.open(), self.runs.held()));
        }
        Some(found.iter().filter_map(read).collect())
    }
}

fn read(found: &Found<Event>) -> Option<Match> {
    let Found::Match(sequence) = found else { return None };
    let steps: Vec<(String, Vec<usize>)> =
        sequence.steps.iter().map(|(name, events)| (name.to_string(), events.iter().map(|e| e.index).collect())).collect();
    let all = || steps.iter().flat_map(|(_, events)| events);
    let (first, length) = (*all().min()?, all().count());
    Some((first, Reverse(length), steps.clone(), (sequence.start, sequence.end, sequence.time)))
}

/// Matches of one first event and one length may come in any order.
fn sorted(mut matches: Vec<Match>) -> Vec<Match> {
    assert!(matches.is_sorted_by_key(|m| (m.0, m.1)), "{matches:?}");
    matches.sort();
    matches
}

fn without_iterative() -> impl Strategy<Value = Pattern<Kinds>> {
    let simple = pattern().prop_map(|pattern| {
        let mut pattern = pattern;
        patterns::simplify(&mut pattern.steps);
        pattern
    });
    simple.prop_filter("a pattern for the shared engine", |pattern| {
        Nfa::compile(pattern.clone()).is_ok_and(|nfa| Matcher::shared(Arc::new(nfa)).is_ok())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { max_global_rejects: 1_000_000, cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn they_find_the_same(pattern in without_iterative(), events in events(16)) {
        let nfa = Arc::new(Nfa::compile(pattern).unwrap());
        let (mut one, mut other) = (Engine::separate(&nfa), Engine::shared(&nfa).unwrap());
        for event in events {
            let Some(expected) = one.event(event) else { return Ok(()) };
            prop_assert_eq!(sorted(other.event(event).unwrap()), sorted(expected), "at {:?}", event);
            prop_assert_eq!(other.runs.open(), one.runs.open(), "open after {:?}", event);
        }
    }

    #[test]
    fn chains_that_skip_find_the_same(
        pattern in patterns::chain(), events in events(24),
    ) {
        let nfa = Arc::new(Nfa::compile(pattern.skip_past_last_event()).unwrap());
        let (mut one, mut other) = (Engine::separate(&nfa), Engine::shared(&nfa).unwrap());
        for event in events {
            prop_assert_eq!(other.event(event), one.event(event), "at {:?}", event);
        }
    }

    #[test]
    fn state_means_the_same_to_a_new_matcher_of_either_kind(
        pattern in without_iterative(), events in events(10), cut in 0usize..10, swap in any::<bool>(),
    ) {
        let nfa = Arc::new(Nfa::compile(pattern).unwrap());
        let (mut one, mut other) = (Engine::separate(&nfa), Engine::shared(&nfa).unwrap());
        for (at, event) in events.into_iter().enumerate() {
            if at == cut && swap {
                // The engine may be another when the job is started again.
                let (of_one, of_other) = (one, other);
                one = of_other.written_and_read(Engine::separate(&nfa).matcher);
                other = of_one.written_and_read(Engine::shared(&nfa).unwrap().matcher);
            } else {
                other = other.written_and_read(Engine::shared(&nfa).unwrap().matcher);
            }
            let Some(expected) = one.event(event) else { return Ok(()) };
            prop_assert_eq!(sorted(other.event(event).unwrap()), sorted(expected), "at {:?}", event);
        }
    }
}

#[test]
fn nothing_is_kept_of_what_is_over() {
    let pattern = Pattern::begin("a").when(Kinds::of(1)).followed_by_any("b").when(Kinds::of(2)).followed_by_any("c").when(Kinds::of(4));
    let nfa = Arc::new(Nfa::compile(pattern.within(std::time::Duration::from_millis(100))).unwrap());
    let mut engine = Engine::shared(&nfa).unwrap();
    for index in 0..20_000 {
        engine.event(Event { index, time: index as i64, kind: (index % 2) as u8 }).unwrap();
        assert!(engine.runs.events() < 1_000, "{} events", engine.runs.events());
    }
    engine.matcher.advance::<_, Error>(&mut engine.runs, 30_000, &mut Vec::new()).unwrap();
    assert!(engine.runs.is_empty());
}

#[test]
fn what_nobody_could_list_is_an_error() {
    let pattern = Pattern::begin("a").when(Kinds::of(1)).one_or_more().allow_combinations().followed_by("b").when(Kinds::of(2));
    let nfa = Arc::new(Nfa::compile(pattern).unwrap());
    let mut engine = Engine::shared(&nfa).unwrap();
    let mut event = |index: usize, kind: u8| {
        let event = Event { index, time: index as i64, kind };
        let mut eval = |kinds: &Kinds, candidate: &Candidate<'_, Event>| kinds.holds(candidate);
        engine.matcher.event(&mut engine.runs, event, event.time, &mut eval, &mut Vec::new()).map_err(|e| e.to_string())
    };
    // Two to the power of a hundred partial matches weigh little; to list them is another thing.
    (0..100).for_each(|index| assert_eq!(event(index, 0), Ok(true)));
    event(100, 2).unwrap();
    let error = event(101, 1).unwrap_err();
    assert_eq!(error, "an event completes more than 1000000 matches: ask for fewer combinations, or let matches skip");
    assert_eq!(engine.runs.open(), usize::MAX);
    let written = serde_json::to_string(&engine.runs).unwrap();
    let mut runs: Runs<Event> = serde_json::from_str(&written).unwrap();
    let separate = Engine::separate(&nfa).matcher;
    let error = separate.advance::<_, Error>(&mut runs, 200, &mut Vec::new()).unwrap_err().to_string();
    assert!(error.contains("more than 20000 open partial matches"), "{error}");
}

#[test]
fn an_engine_is_chosen_and_says_why() {
    let shared = |pattern: Pattern<Kinds>| {
        let nfa = Arc::new(Nfa::compile(pattern).unwrap());
        Matcher::shared(nfa).map(|_| ()).map_err(|why| why.to_string())
    };
    let ab = || Pattern::begin("a").when(Kinds::of(1)).followed_by("b").when(Kinds::of(2));
    let ms = std::time::Duration::from_millis;
    assert_eq!(shared(ab()), Ok(()));
    assert_eq!(shared(ab().skip_past_last_event()), Ok(()));
    assert_eq!(shared(ab().one_or_more().followed_by_any("c")), Ok(()));
    assert_eq!(shared(ab().one_or_more().skip_past_last_event()), Err("a match may wait for an earlier one".to_owned()));
    assert_eq!(shared(ab().skip_to_next()), Err("matches skip to a step or the next".to_owned()));
    assert_eq!(shared(ab().step_within(ms(5))), Err("steps have windows".to_owned()));
    assert_eq!(shared(ab().not_followed_by("c").within(ms(5))), Err("it ends with an absence".to_owned()));
    let iterative = Kinds { kinds: 1, iterative: true };
    assert_eq!(shared(ab().followed_by("c").when(iterative)), Err("conditions look at events matched before".to_owned()));
    assert_eq!(shared(ab().after_match(AfterMatch::NoSkip)), Ok(()));
}

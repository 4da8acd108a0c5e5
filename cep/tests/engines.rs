//! The two engines find the same, event by event: the one that follows all partial matches at once, and the one that follows each by itself. And either
//! goes on from the state that the other has written.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod patterns;

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use patterns::{Event, Kinds, events, pattern};
use proptest::prelude::*;
use tidegate_cep::{AfterMatch, Candidate, Engine, Found, Judge, Limit, Matcher, Nfa, Overflow, Pattern, Runs, Sequence};
use tidegate_runtime::Error;

/// A match or a timeout: its first event, its length, its steps with the numbers of their events, and its times.
type Told = (bool, usize, Reverse<usize>, Vec<(String, Vec<usize>)>, (i64, i64, i64));

struct Follower {
    matcher: Matcher<Kinds>,
    runs: Runs<Event>,
}

impl Follower {
    fn one_by_one(nfa: &Arc<Nfa<Kinds>>) -> Self {
        // Cases that take more are skipped.
        let limit = Limit { memory: 2 << 20, overflow: Overflow::Fail };
        Self { matcher: Matcher::one_by_one(Arc::clone(nfa), limit), runs: Runs::default() }
    }

    fn shared(nfa: &Arc<Nfa<Kinds>>) -> Self {
        assert_eq!(Engine::of(nfa), Engine::Shared);
        Self { matcher: Matcher::new(Arc::clone(nfa), Limit::default(), true), runs: Runs::default() }
    }

    fn written_and_read(self, matcher: Matcher<Kinds>) -> Self {
        Self { matcher, runs: serde_json::from_str(&serde_json::to_string(&self.runs).unwrap()).unwrap() }
    }

    fn advance(&mut self, time: i64) -> Option<Vec<Told>> {
        let mut told = Vec::new();
        self.matcher.advance::<_, Error>(&mut self.runs, time, &mut |found: Found<'_, Event>| told.push(tell(found))).ok()?;
        Some(told)
    }

    /// What an event brings, in order; `None` if it exceeds the limit.
    fn event(&mut self, event: Event) -> Option<Vec<Told>> {
        let before = serde_json::to_string(&self.runs).unwrap();
        let mut told = Vec::new();
        let mut found = |found: Found<'_, Event>| told.push(tell(found));
        let advanced = self.matcher.advance::<_, Error>(&mut self.runs, event.time, &mut found).ok()?;
        let mut eval = |kinds: &Kinds, candidate: &Candidate<'_, Event>| kinds.holds(candidate);
        let changed = self.matcher.event(&mut self.runs, event, event.time, &mut eval, &mut found).ok()?;
        if !advanced && !changed {
            // If the engine says that nothing has changed, the state is not written again.
            let held: Runs<Event> = serde_json::from_str(&before).unwrap();
            assert_eq!((held.open(), held.holds_matches()), (self.runs.open(), self.runs.holds_matches()));
        }
        Some(told)
    }
}

fn tell(found: Found<'_, Event>) -> Told {
    let (is_match, sequence) = match found {
        Found::Match(sequence) => (true, sequence),
        Found::Timeout(sequence) => (false, sequence),
    };
    let steps: Vec<(String, Vec<usize>)> =
        sequence.by_step().into_iter().map(|(name, events)| (name.to_string(), events.iter().map(|e| e.index).collect())).collect();
    agrees(&sequence, &steps);
    let all = || steps.iter().flat_map(|(_, events)| events);
    let (first, length) = (*all().min().unwrap(), all().count());
    (is_match, first, Reverse(length), steps.clone(), (sequence.start(), sequence.end(), sequence.time))
}

/// All methods of a match agree about its events.
fn agrees(sequence: &Sequence<'_, Event>, steps: &[(String, Vec<usize>)]) {
    for (name, events) in steps {
        assert_eq!(sequence.count(name), events.len());
        assert_eq!(sequence.of(name).map(|e| e.index).collect::<Vec<_>>(), *events);
        assert_eq!(sequence.ends(name).map(|(a, b)| (a.index, b.index)), events.first().copied().zip(events.last().copied()));
    }
    assert_eq!((sequence.count("none"), sequence.ends("none").is_none()), (0, true));
}

/// At one moment, timeouts come before matches. Matches come in their order, timeouts in any order: Flink's come as its queue has them.
fn timeouts_sorted(mut told: Vec<Told>) -> Vec<Told> {
    let matches = told.iter().position(|t| t.0).unwrap_or(told.len());
    told[..matches].sort();
    told
}

/// Where no match drops another, matches of one first event and one length may come in any order.
fn comparable(after: &AfterMatch, told: Vec<Told>) -> Vec<Told> {
    let mut told = timeouts_sorted(told);
    if *after == AfterMatch::NoSkip {
        told.sort();
    }
    told
}

fn without_iterative() -> impl Strategy<Value = Pattern<Kinds>> {
    pattern().prop_map(|mut pattern| {
        patterns::simplify(&mut pattern.steps);
        pattern
    })
}

proptest! {
    #![proptest_config(ProptestConfig { max_global_rejects: 1_000_000, cases: 6_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn they_find_the_same(pattern in without_iterative(), events in events(16), ahead in 1i64..20) {
        let after = pattern.after_match.clone();
        let nfa = Arc::new(Nfa::compile(pattern).unwrap());
        let (mut one, mut other) = (Follower::one_by_one(&nfa), Follower::shared(&nfa));
        let last = events.last().map_or(0, |event| event.time);
        for event in events {
            let Some(expected) = one.event(event) else { return Ok(()) };
            prop_assert_eq!(comparable(&after, other.event(event).unwrap()), comparable(&after, expected), "at {:?}", event);
            prop_assert_eq!(other.runs.open(), one.runs.open(), "open after {:?}", event);
            prop_assert_eq!(other.runs.holds_matches(), one.runs.holds_matches(), "held after {:?}", event);
        }
        let Some(expected) = one.advance(last + ahead) else { return Ok(()) };
        prop_assert_eq!(comparable(&after, other.advance(last + ahead).unwrap()), comparable(&after, expected), "at the end");
        prop_assert_eq!(other.runs.open(), one.runs.open(), "open at the end");
    }

    #[test]
    fn it_knows_when_to_be_looked_at_again(pattern in without_iterative(), events in events(12)) {
        let after = pattern.after_match.clone();
        let nfa = Arc::new(Nfa::compile(pattern).unwrap());
        let (mut one, mut other) = (Follower::one_by_one(&nfa), Follower::shared(&nfa));
        // Each engine is advanced at its own deadlines, and at events.
        let next = |follower: &Follower, event: &Event| follower.runs.deadline().filter(|deadline| *deadline < event.time);
        let drive = |follower: &mut Follower| {
            let mut told = Vec::new();
            for event in &events {
                while let Some(deadline) = next(follower, event) {
                    told.extend(follower.advance(deadline)?);
                    assert!(follower.runs.deadline().is_none_or(|next| next > deadline), "a deadline is over: {deadline}");
                }
                told.extend(comparable(&after, follower.event(*event)?));
            }
            for _ in 0..100 {
                let Some(deadline) = follower.runs.deadline() else { break };
                told.extend(comparable(&after, follower.advance(deadline)?));
            }
            Some(told)
        };
        let Some(mut expected) = drive(&mut one) else { return Ok(()) };
        let mut found = drive(&mut other).unwrap();
        expected.sort();
        found.sort();
        prop_assert_eq!(found, expected);
        prop_assert_eq!(other.runs.deadline(), None);
    }

    #[test]
    fn state_means_the_same_to_a_new_matcher_of_either_kind(
        pattern in without_iterative(), events in events(10), cut in 0usize..10, swap in any::<bool>(),
    ) {
        let after = pattern.after_match.clone();
        let nfa = Arc::new(Nfa::compile(pattern).unwrap());
        let (mut one, mut other) = (Follower::one_by_one(&nfa), Follower::shared(&nfa));
        for (at, event) in events.into_iter().enumerate() {
            if at == cut && swap {
                // When a condition begins to look at earlier events, the engine changes.
                let (of_one, of_other) = (one, other);
                one = of_other.written_and_read(Follower::one_by_one(&nfa).matcher);
                other = of_one.written_and_read(Follower::shared(&nfa).matcher);
            } else {
                other = other.written_and_read(Follower::shared(&nfa).matcher);
            }
            let Some(expected) = one.event(event) else { return Ok(()) };
            prop_assert_eq!(comparable(&after, other.event(event).unwrap()), comparable(&after, expected), "at {:?}", event);
        }
    }
}

/// What is reported of failures of one address followed by a success.
fn guessed(after: AfterMatch) -> Pattern<Kinds> {
    let pattern = Pattern::begin("fail").when(Kinds::of(1)).times_or_more(2).consecutive().greedy().next("success").when(Kinds::of(2));
    pattern.within(Duration::from_secs(1_200)).after_match(after)
}

#[test]
fn a_busy_key_costs_each_event_the_same() {
    const FAILURES: usize = 100_000;
    let to = |step: &str| tidegate_cep::SkipTo { step: step.into(), or_fail: false };
    let strategies = [
        (AfterMatch::NoSkip, FAILURES - 1),
        (AfterMatch::SkipToNext, FAILURES - 1),
        (AfterMatch::SkipPastLastEvent, 1),
        (AfterMatch::SkipToFirst(to("fail")), FAILURES - 1),
        (AfterMatch::SkipToLast(to("fail")), 1),
        (AfterMatch::SkipToFirst(to("success")), 1),
    ];
    for (after, expected) in strategies {
        let nfa = Arc::new(Nfa::compile(guessed(after.clone())).unwrap());
        let mut matcher = Matcher::new(nfa, Limit::default(), true);
        let (mut runs, mut counts) = (Runs::default(), Vec::new());
        let mut eval = |kinds: &Kinds, candidate: &Candidate<'_, Event>| kinds.holds(candidate);
        for index in 0..=FAILURES {
            let event = Event { index, time: index as i64 * 5, kind: u8::from(index == FAILURES) };
            let mut found = |found: Found<'_, Event>| match found {
                Found::Match(sequence) => counts.push(sequence.count("fail")),
                Found::Timeout(_) => panic!("nothing runs out of time"),
            };
            matcher.advance::<_, Error>(&mut runs, event.time, &mut found).unwrap();
            matcher.event::<_, Error>(&mut runs, event, event.time, &mut eval, &mut found).unwrap();
        }
        assert_eq!((counts.len(), matcher.dropped()), (expected, 0), "{after:?}");
        assert!(counts.iter().enumerate().all(|(at, count)| *count == FAILURES - at), "{after:?}");
        assert!(runs.is_empty(), "{after:?}");
    }
}

#[test]
fn what_follows_a_window_of_a_busy_key_costs_each_event_the_same() {
    // Each failure runs out of time as another comes, so 20,000 are open all the time.
    let orders = Pattern::begin("order").when(Kinds::of(1)).followed_by("payment").when(Kinds::of(2)).within(Duration::from_secs(20));
    let nfa = Arc::new(Nfa::compile(orders).unwrap());
    let mut matcher = Matcher::new(nfa, Limit::default(), true);
    let (mut runs, mut timeouts) = (Runs::default(), 0);
    let mut eval = |kinds: &Kinds, candidate: &Candidate<'_, Event>| kinds.holds(candidate);
    for index in 0..200_000 {
        let event = Event { index, time: index as i64, kind: 0 };
        let mut found = |found: Found<'_, Event>| match found {
            Found::Match(_) => panic!("nothing is paid"),
            Found::Timeout(sequence) => {
                assert_eq!((sequence.start(), sequence.time), (timeouts, timeouts + 20_000));
                timeouts += 1;
            }
        };
        matcher.advance::<_, Error>(&mut runs, event.time, &mut found).unwrap();
        matcher.event::<_, Error>(&mut runs, event, event.time, &mut eval, &mut found).unwrap();
    }
    assert_eq!((timeouts, runs.open()), (180_000, 20_000));
    assert!(runs.events() <= 3 * 20_000, "{}", runs.events());
}

#[test]
fn nothing_is_kept_of_what_is_over() {
    let pattern = Pattern::begin("a").when(Kinds::of(1)).followed_by_any("b").when(Kinds::of(2)).followed_by_any("c").when(Kinds::of(4));
    let nfa = Arc::new(Nfa::compile(pattern.within(Duration::from_millis(100))).unwrap());
    let mut follower = Follower { matcher: Matcher::new(nfa, Limit::default(), false), runs: Runs::default() };
    for index in 0..20_000 {
        follower.event(Event { index, time: index as i64, kind: (index % 2) as u8 }).unwrap();
        assert!(follower.runs.events() < 1_000, "{} events", follower.runs.events());
    }
    follower.advance(30_000).unwrap();
    assert!(follower.runs.is_empty());
}

#[test]
fn what_nobody_could_list_is_listed_to_the_limit_and_counted() {
    let pattern = || Pattern::begin("a").when(Kinds::of(1)).one_or_more().allow_combinations().followed_by("b").when(Kinds::of(2));
    let nfa = Arc::new(Nfa::compile(pattern()).unwrap());
    let run = |overflow| {
        let mut matcher = Matcher::new(Arc::clone(&nfa), Limit { memory: 1 << 20, overflow }, true);
        let (mut runs, mut matches) = (Runs::default(), 0usize);
        for index in 0..=101 {
            let event = Event { index, time: index as i64, kind: u8::from(index == 101) };
            let mut eval = |kinds: &Kinds, candidate: &Candidate<'_, Event>| kinds.holds(candidate);
            matcher.event(&mut runs, event, event.time, &mut eval, &mut |_| matches += 1).map_err(|e| e.to_string())?;
            // Two to the power of a hundred partial matches take little memory. Listing them would take too much.
            assert!(index < 70 || runs.open() == usize::MAX || index == 101);
        }
        Ok::<_, String>((matches, matcher.dropped()))
    };
    let (matches, dropped) = run(Overflow::DropOldest).unwrap();
    assert!(matches > 1_000 && dropped > u64::MAX / 4, "{matches} {dropped}");
    assert!(run(Overflow::Fail).unwrap_err().contains("ask for fewer combinations"));
}

#[test]
fn a_key_never_takes_more_than_its_limit() {
    // Whether conditions are iterative or not, and whether matches wait or not: what is dropped is counted, and the job goes on.
    let iterative = Kinds { kinds: 1, iterative: true };
    let looping = |kinds| Pattern::begin("a").when(kinds).one_or_more().followed_by("b").when(Kinds::of(2));
    for (name, pattern) in
        [("shared", looping(Kinds::of(1))), ("skipping", looping(Kinds::of(1)).skip_past_last_event()), ("iterative", looping(iterative))]
    {
        let nfa = Arc::new(Nfa::compile(pattern).unwrap());
        for overflow in [Overflow::DropOldest, Overflow::DropNewest] {
            let mut matcher = Matcher::new(Arc::clone(&nfa), Limit { memory: 16 << 10, overflow }, true);
            matcher.weigh_events(100);

            let (mut runs, mut matches) = (Runs::default(), 0);
            for index in 0..1_000 {
                let event = Event { index, time: index as i64, kind: u8::from(index == 999) };
                let mut eval = |kinds: &Kinds, candidate: &Candidate<'_, Event>| kinds.holds(candidate);
                matcher.event::<_, Error>(&mut runs, event, event.time, &mut eval, &mut |_| matches += 1).unwrap();
                assert!(runs.events() * 100 <= 16 << 10, "{name} {overflow:?}: {}", runs.events());
            }
            assert!(matcher.dropped() > 0 && (matches > 0 || overflow == Overflow::DropNewest), "{name} {overflow:?}: {matches}");
        }
    }
}

#[test]
fn an_engine_is_chosen_by_what_conditions_look_at() {
    let engine = |pattern: Pattern<Kinds>| Engine::of(&Nfa::compile(pattern).unwrap());
    let ab = || Pattern::begin("a").when(Kinds::of(1)).followed_by("b").when(Kinds::of(2));
    for pattern in [
        ab(),
        ab().one_or_more().skip_past_last_event(),
        ab().skip_to_next(),
        ab().step_within(Duration::from_millis(5)),
        ab().not_followed_by("c").within(Duration::from_millis(5)),
    ] {
        assert_eq!(engine(pattern), Engine::Shared);
    }
    let iterative = Kinds { kinds: 1, iterative: true };
    assert_eq!(engine(ab().followed_by("c").when(iterative)), Engine::Separate);
}

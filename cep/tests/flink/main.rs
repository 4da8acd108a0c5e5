//! Runs random patterns over random events through FlinkCEP itself: each event must complete the same matches there, and the same partial matches must
//! run out of time. [`apart`] names the forms in which we differ on purpose.
//!
//! Needs a JDK and Maven: `make flink-cep`. `FLINK_CEP_CASES` is the number of cases, `FLINK_CEP_SEED` chooses them.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod apart;
mod flink;
#[path = "../patterns/mod.rs"]
mod patterns;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flink::{Answer, Case, Entry, Flink, Outcome};
use patterns::{Event, Kinds, pattern};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use tidegate_cep::{AfterMatch, Candidate, Found, Judge, Limit, Matcher, Nfa, Overflow, Pattern, Runs, Sequence};
use tidegate_runtime::Error;

/// Makes some of the patterns that skip fail where there is nothing to skip to.
fn patterns_to_ask() -> impl Strategy<Value = Pattern<Kinds>> {
    (pattern(), prop::bool::weighted(0.2)).prop_map(|(mut pattern, fails)| {
        if let AfterMatch::SkipToFirst(to) | AfterMatch::SkipToLast(to) = &mut pattern.after_match {
            to.or_fail = fails;
        }
        pattern
    })
}

/// Events of two keys, mostly of one, and moments at which only time advances, all in order of time. At the end, time is over for both keys.
fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let entry = (0i64..3, prop::option::weighted(0.9, 0u8..3), prop::bool::weighted(0.15));
    prop::collection::vec(entry, 1..11).prop_map(|entries| {
        let mut time = 1;
        let entry = |(gap, kind, other)| {
            time += gap;
            Entry { time, kind, key: u8::from(other) }
        };
        let mut entries: Vec<Entry> = entries.into_iter().map(entry).collect();
        entries.extend([0, 1].map(|key| Entry { time: 1_000, kind: None, key }));
        entries
    })
}

/// Positions of events by step. Flink has no kinds within a step, so all kinds count as one.
fn places(sequence: &Sequence<'_, Event>) -> BTreeMap<String, Vec<usize>> {
    let mut steps: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (name, events) in sequence.by_step() {
        steps.entry(name.trim_end_matches(['x', 'y']).to_owned()).or_default().extend(events.iter().map(|e| e.index));
    }
    steps.values_mut().for_each(|events| events.sort_unstable());
    steps
}

/// What our matcher finds; `None` if it exceeds the limit.
fn ours(case: &Case) -> Option<Answer> {
    let mut matcher =
        Matcher::new(Arc::new(Nfa::compile(case.pattern.clone()).unwrap()), Limit { memory: 256 << 10, overflow: Overflow::Fail }, true);
    let mut eval = |kinds: &Kinds, candidate: &Candidate<'_, Event>| kinds.holds(candidate);
    let mut keys = [Runs::<Event>::default(), Runs::default()];
    let mut answer = Answer::default();
    for (index, entry) in case.entries.iter().enumerate() {
        let (runs, mut outcome) = (&mut keys[usize::from(entry.key)], Outcome::default());
        let mut found = |found: Found<'_, Event>| match found {
            Found::Match(sequence) => outcome.matches.push(places(&sequence)),
            Found::Timeout(sequence) => outcome.timeouts.push((places(&sequence), sequence.time)),
        };
        let result = matcher.advance::<_, Error>(runs, entry.time, &mut found).and_then(|_| {
            let event = entry.kind.map(|kind| Event { index, time: entry.time, kind });
            event.map_or(Ok(false), |event| matcher.event(runs, event, event.time, &mut eval, &mut found))
        });
        if let Err(error) = result {
            let failed = error.to_string();
            return failed.contains("can't skip").then_some(Answer { failed: Some(failed), ..answer });
        }
        answer.entries.push(outcome);
    }
    Some(answer)
}

/// Whether several matches begin with one event, which matters if they skip. Ours come in the order in which they are complete, and of one event the
/// longest first. Flink's come in an order that follows from the shape of its heap, and some may then drop others.
fn ties(case: &Case) -> bool {
    if case.pattern.after_match == AfterMatch::NoSkip {
        return false;
    }
    let all = Case { pattern: Pattern { after_match: AfterMatch::NoSkip, ..case.pattern.clone() }, ..case.clone() };
    ours(&all).is_none_or(|answer| {
        let mut starts = BTreeSet::new();
        let mut matches = answer.entries.iter().flat_map(|outcome| &outcome.matches);
        !matches.all(|found| starts.insert(found.values().flatten().min()))
    })
}

#[derive(Debug, Default)]
struct Tally {
    compared: usize,
    /// Cases with matches.
    matching: usize,
    /// Cases that differ and may: see [`ties`].
    tied: usize,
    /// Cases left out, by form.
    apart: BTreeMap<&'static str, usize>,
}

fn number(name: &str, otherwise: u32) -> u32 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number, not `{text}`")))
}

#[test]
#[ignore = "runs FlinkCEP, which comes from Maven Central: make flink-cep"]
fn flink_finds_the_same() {
    let config = Config {
        cases: number("FLINK_CEP_CASES", 20_000),
        failure_persistence: None,
        max_global_rejects: u32::MAX,
        max_local_rejects: u32::MAX,
        ..Config::default()
    };
    let mut seed = [0; 32];
    seed[..4].copy_from_slice(&number("FLINK_CEP_SEED", 1).to_le_bytes());
    let flink = RefCell::new(Flink::start());
    let tally = RefCell::new(Tally::default());
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
    let case = (patterns_to_ask(), entries()).prop_map(|(pattern, entries)| Case { pattern, entries });
    let result = runner.run(&case, |case| {
        let mut tally = tally.borrow_mut();
        if let Some(form) = apart::form(&case.pattern) {
            *tally.apart.entry(form).or_default() += 1;
            return Err(TestCaseError::reject(form));
        }
        let Some(ours) = ours(&case) else { return Err(TestCaseError::reject("too many partial matches")) };
        let dated = apart::is_dated(&case.pattern);
        let ours = ours.sorted(dated);
        tally.compared += 1;
        tally.matching += usize::from(ours.entries.iter().any(|outcome| !outcome.matches.is_empty()));
        let flinks = flink.borrow_mut().ask(&case).sorted(dated);
        if ours != flinks && ties(&case) {
            tally.tied += 1;
            return Ok(());
        }
        prop_assert_eq!(ours, flinks);
        Ok(())
    });
    flink.into_inner().stop();
    let tally = tally.into_inner();
    println!("{tally:?}");
    if let Err(error) = result {
        panic!("{error}");
    }
    assert!(tally.matching > tally.compared / 2 && tally.tied < tally.compared / 100, "the cases say too little");
}

//! Makes random patterns with every construct, and random events.

#![allow(dead_code, reason = "not every test uses everything")]

use std::time::Duration;

use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use tidegate_cep::pattern::{Alternative, Body};
use tidegate_cep::{AfterMatch, Candidate, Condition, Contiguity, Inner, Judge, Pattern, SkipTo, Step, Times};
use tidegate_runtime::Error;
use tidegate_runtime::state::Stored;

/// The kinds of event that fit, as bits. An iterative condition also wants an even number of events before.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Kinds {
    pub kinds: u8,
    pub iterative: bool,
}

impl Condition for Kinds {
    fn is_iterative(&self) -> bool {
        self.iterative
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    pub index: usize,
    pub time: i64,
    pub kind: u8,
}

impl Stored for Event {
    const SCHEMA: &'static str = "event/1";
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
    let range = (0u32..3, prop::option::of(0u32..2), window());
    let range = range.prop_map(|(min, more, within)| Times { min, max: more.map(|more| (min + more).max(1)), within });
    prop::option::weighted(0.4, range)
}

/// Of a step.
fn window() -> impl Strategy<Value = Option<Duration>> {
    prop::option::weighted(0.1, (1u64..4).prop_map(Duration::from_millis))
}

fn leaf() -> impl Strategy<Value = Step<Kinds>> {
    let contiguity = prop_oneof![
        2 => Just(Contiguity::Next), 4 => Just(Contiguity::FollowedBy), 2 => Just(Contiguity::FollowedByAny),
        1 => Just(Contiguity::NotNext), 1 => Just(Contiguity::NotFollowedBy),
    ];
    let inner = prop_oneof![3 => Just(Inner::Relaxed), 1 => Just(Inner::Consecutive), 1 => Just(Inner::AllowCombinations)];
    (
        contiguity,
        (prop::option::weighted(0.9, condition()), prop::option::weighted(0.15, condition())),
        times(),
        inner,
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.1),
        window(),
    )
        .prop_map(|(contiguity, (condition, other), times, inner, optional, greedy, within)| {
            let mut step = Step::new("", contiguity);
            step.body = match (condition, other) {
                (Some(_), Some(other)) => {
                    let kind = |condition| Alternative { name: "".into(), condition };
                    Body::AnyOf(vec![kind(condition), kind(Some(other))])
                }
                _ => Body::Event(condition),
            };
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
        match &mut step.body {
            Body::Group(inside) => rename(inside, next),
            Body::AnyOf(kinds) => {
                for (i, kind) in kinds.iter_mut().enumerate() {
                    kind.name = format!("{}{}", step.name, ["x", "y"][i]).into();
                }
            }
            Body::Event(_) => {}
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

pub fn pattern() -> impl Strategy<Value = Pattern<Kinds>> {
    let within = prop::option::weighted(0.7, (4u64..12).prop_map(Duration::from_millis));
    let made = (prop::collection::vec(step(), 1..4), within, after_match()).prop_map(|(mut steps, within, after_match)| {
        rename(&mut steps, &mut 0);
        let mut pattern = Pattern::new(steps);
        (pattern.within, pattern.after_match) = (within, after_match);
        pattern
    });
    made.prop_filter("a pattern that means something", |pattern| pattern.validate().is_ok())
}

/// Fewer than `most` events, in order of time.
pub fn events(most: usize) -> impl Strategy<Value = Vec<Event>> {
    prop::collection::vec((0i64..3, 0u8..3), 0..most).prop_map(|events| {
        let mut time = 0;
        let event = |(index, (gap, kind)): (usize, (i64, u8))| {
            time += gap;
            Event { index, time, kind }
        };
        events.into_iter().enumerate().map(event).collect()
    })
}

impl Kinds {
    pub fn of(kinds: u8) -> Self {
        Self { kinds, iterative: false }
    }
}

/// Makes every condition look at the event alone.
pub fn simplify(steps: &mut [Step<Kinds>]) {
    for step in steps {
        if let Some(until) = &mut step.until {
            until.iterative = false;
        }
        match &mut step.body {
            Body::Event(condition) => condition.iter_mut().for_each(|kinds| kinds.iterative = false),
            Body::AnyOf(kinds) => kinds.iter_mut().filter_map(|kind| kind.condition.as_mut()).for_each(|kinds| kinds.iterative = false),
            Body::Group(inside) => simplify(inside),
        }
    }
}

/// Makes patterns of single steps and exact repetitions, one after the other.
pub fn chain() -> impl Strategy<Value = Pattern<Kinds>> {
    let contiguity = prop_oneof![Just(Contiguity::Next), Just(Contiguity::FollowedBy), Just(Contiguity::FollowedByAny)];
    let inner = prop_oneof![Just(Inner::Relaxed), Just(Inner::Consecutive), Just(Inner::AllowCombinations)];
    let times = prop::option::weighted(0.3, 1u32..4);
    let within = prop::option::weighted(0.7, (4u64..16).prop_map(Duration::from_millis));
    let step = (contiguity, prop::option::weighted(0.9, (1u8..8).prop_map(Kinds::of)), times, inner);
    (prop::collection::vec(step, 1..5), within).prop_map(|(steps, within)| {
        let mut made = Vec::new();
        for (contiguity, condition, times, inner) in steps {
            let mut step = Step::new(format!("s{}", made.len()), contiguity);
            step.body = Body::Event(condition);
            (step.times, step.inner) = (times.map(|n| Times { min: n, max: Some(n), within: None }), inner);
            made.push(step);
        }
        let mut pattern = Pattern::new(made);
        pattern.within = within;
        pattern
    })
}

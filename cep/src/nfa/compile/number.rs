//! Steps and conditions by number: what the compiler works on, once names are resolved and windows converted.

use std::sync::Arc;
use std::time::Duration;

use crate::nfa::{Guard, Literal, StepId};
use crate::pattern::{Body, Contiguity, Inner, Step};

/// A step with numbers in place of names and conditions.
pub(super) struct Numbered {
    pub id: StepId,
    /// The kinds of event it takes, each with its condition; empty for a group.
    pub kinds: Vec<(StepId, Option<Literal>)>,
    pub inside: Option<Vec<Numbered>>,
    pub contiguity: Contiguity,
    /// Minimum, at least one, and maximum. A closed range has a maximum.
    pub times: Option<(u32, Option<u32>)>,
    pub optional: bool,
    pub greedy: bool,
    pub inner: Inner,
    pub until: Option<Literal>,
    /// The window of the step, in milliseconds.
    pub within: Option<i64>,
}

impl Numbered {
    /// What an event of this step fulfils.
    pub fn fits(&self) -> Guard {
        // A kind without a condition takes any event.
        let literals: Option<Vec<Literal>> = self.kinds.iter().map(|(_, literal)| *literal).collect();
        literals.filter(|literals| !literals.is_empty()).map_or_else(Guard::always, Guard::any)
    }

    /// The kinds, each with a guard that holds for events of this kind and of none before it.
    pub fn kinds(&self) -> impl Iterator<Item = (StepId, Guard)> {
        let mut others = Guard::always();
        self.kinds.iter().map(move |(kind, literal)| {
            let own = literal.map_or_else(Guard::always, |literal| Guard::all(&[literal]));
            let guard = own.clone().and(&others);
            others = std::mem::take(&mut others).and(&own.not());
            (*kind, guard)
        })
    }

    pub fn is_open_loop(&self) -> bool {
        matches!(self.times, Some((_, None)))
    }
}

pub(super) fn number<C>(steps: Vec<Step<C>>, names: &mut Vec<Arc<str>>, conditions: &mut Vec<C>) -> Vec<Numbered> {
    let literal = |conditions: &mut Vec<C>, condition: C| {
        conditions.push(condition);
        Literal::of((conditions.len() - 1) as u32)
    };
    steps
        .into_iter()
        .map(|step| {
            let optional = step.may_be_left_out();
            let id = names.len() as StepId;
            names.push(step.name);
            let until = step.until.map(|c| literal(conditions, c));
            let (kinds, inside) = match step.body {
                Body::Event(condition) => (vec![(id, condition.map(|c| literal(conditions, c)))], None),
                Body::AnyOf(alternatives) => {
                    let mut kinds = Vec::with_capacity(alternatives.len());
                    for alternative in alternatives {
                        kinds.push((names.len() as StepId, alternative.condition.map(|c| literal(conditions, c))));
                        names.push(alternative.name);
                    }
                    (kinds, None)
                }
                Body::Group(steps) => (Vec::new(), Some(number(steps, names, conditions))),
            };
            Numbered {
                id,
                kinds,
                inside,
                contiguity: step.contiguity,
                times: step.times.map(|t| (t.min.max(1), t.max)),
                optional,
                greedy: step.greedy,
                inner: step.inner,
                until,
                within: if let Some(times) = step.times { times.within } else { step.within }.map(millis),
            }
        })
        .collect()
}

pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// By step: whether it may have events in a match.
pub(super) fn takes(steps: &[Numbered], count: usize) -> Vec<bool> {
    let mut takes = vec![false; count];
    let mut open: Vec<&Numbered> = steps.iter().collect();
    while let Some(step) = open.pop() {
        for (kind, _) in &step.kinds {
            takes[*kind as usize] = !step.contiguity.is_not();
        }
        open.extend(step.inside.iter().flatten());
    }
    takes
}

/// The step of this name that takes events. A group may have the same name, but takes nothing itself.
pub(super) fn position(names: &[Arc<str>], takes: &[bool], name: &str) -> Option<StepId> {
    names.iter().zip(takes).position(|(n, takes)| *takes && **n == *name).map(|i| i as StepId)
}

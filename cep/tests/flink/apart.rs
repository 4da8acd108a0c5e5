//! Forms of patterns for which our results differ from Flink's on purpose.

use tidegate_cep::{Contiguity, Inner, Pattern, Step};

use super::patterns::Kinds;

type Steps = [Step<Kinds>];

/// Whether a pattern has this form.
type Is = fn(&Pattern<Kinds>) -> bool;

/// The forms, each with the reason.
const FORMS: &[(&str, Is)] =
    &[
        // Flink finds the names in groups for conditions but not for skipping, and refuses the pattern.
        ("skips to a step in a group", |pattern| {
            pattern.after_match.target().is_some_and(|to| pattern.steps.iter().all(|step| step.names().all(|name| *name != to.step)))
        }),
        // Flink lets the events of the step be as far apart as the rounds of the group may be.
        ("a group begins with a repeated step of another inner contiguity", |pattern| {
            any_group(&pattern.steps, &|group, inside| {
                let rounds = if group.times.is_some() { group.inner } else { Inner::Relaxed };
                inside.first().is_some_and(|head| head.times.is_some() && head.inner != rounds)
            })
        }),
        // Flink keeps the events of a loop from the step after it, but not once an optional step after it has passed over an event. Without groups, Flink
        // refuses the pattern.
        ("a step is greedy, and an optional one is a group or begins one", |pattern| {
            any_step(&pattern.steps, &|step| step.greedy)
                && any_group(&pattern.steps, &|group, inside| group.may_be_left_out() || inside.first().is_some_and(Step::may_be_left_out))
        }),
        // Flink enters the step by its own contiguity, not by that of the group around it.
        ("a group begins with a group", |pattern| {
            any_group(&pattern.steps, &|_, inside| inside.first().is_some_and(|head| head.inside().is_some()))
        }),
        // In Flink, the condition has no effect there.
        ("a group with an `until` holds a group", |pattern| {
            any_group(&pattern.steps, &|group, inside| group.until.is_some() && inside.iter().any(|step| step.inside().is_some()))
        }),
        // In Flink, the absence ends once an event has been passed over.
        ("an absence stands before a group that is optional or begins so", |pattern| {
            let begins = |group: &Step<Kinds>| group.inside().and_then(|inside| inside.first()).is_some_and(Step::may_be_left_out);
            any_pair(&pattern.steps, &|before, step| {
                before.contiguity == Contiguity::NotFollowedBy && step.inside().is_some() && (step.may_be_left_out() || begins(step))
            })
        }),
        // Flink fails when a match comes to the absence without an event.
        ("an absence follows a group that may be empty", |pattern| {
            let empty = |group: &Step<Kinds>| group.inside().is_some_and(|inside| inside.iter().all(may_be_empty));
            any_pair(&pattern.steps, &|before, step| empty(before) && step.contiguity.is_not())
        }),
        // Flink leaves the path past the group open while events are passed over. So a `next` step may come late, and matches are found twice.
        ("a group may be passed by", |pattern| {
            let last = pattern.steps.len() - 1;
            let inside = |step: &Step<Kinds>| step.inside().is_some_and(|inside| any_group(inside, &|step, _| passable(step)));
            pattern.steps.iter().any(inside)
                || pattern.steps.iter().enumerate().any(|(i, step)| {
                    step.inside().is_some_and(|inside| passable(step) && (i < last || inside.first().is_some_and(has_window)))
                })
        }),
    ];

/// If the window of a step is over, too, Flink dates the timeout by that window.
pub fn is_dated(pattern: &Pattern<Kinds>) -> bool {
    pattern.within.is_none() || !any_step(&pattern.steps, &has_window)
}

/// Whether what comes after the step may come before all of its rounds have.
fn passable(step: &Step<Kinds>) -> bool {
    step.may_be_left_out() || step.times.is_some_and(|times| times.max != Some(times.min))
}

/// The form of a pattern, if it has one of these.
pub fn form(pattern: &Pattern<Kinds>) -> Option<&'static str> {
    FORMS.iter().find(|(_, is)| is(pattern)).map(|(name, _)| *name)
}

fn has_window(step: &Step<Kinds>) -> bool {
    step.within.is_some() || step.times.is_some_and(|times| times.within.is_some())
}

/// Whether the step can be satisfied without an event.
fn may_be_empty(step: &Step<Kinds>) -> bool {
    step.may_be_left_out() || step.contiguity.is_not() || step.inside().is_some_and(|inside| inside.iter().all(may_be_empty))
}

/// Whether there are two such steps in a row.
fn any_pair(steps: &Steps, is: &dyn Fn(&Step<Kinds>, &Step<Kinds>) -> bool) -> bool {
    steps.windows(2).any(|pair| is(&pair[0], &pair[1])) || steps.iter().any(|step| step.inside().is_some_and(|inside| any_pair(inside, is)))
}

/// Whether there is such a step, in a group or not.
fn any_step(steps: &Steps, is: &dyn Fn(&Step<Kinds>) -> bool) -> bool {
    steps.iter().any(|step| is(step) || step.inside().is_some_and(|inside| any_step(inside, is)))
}

/// Whether there is a group that, with its steps, is of this kind.
fn any_group(steps: &Steps, is: &dyn Fn(&Step<Kinds>, &Steps) -> bool) -> bool {
    steps.iter().any(|step| step.inside().is_some_and(|inside| is(step, inside) || any_group(inside, is)))
}

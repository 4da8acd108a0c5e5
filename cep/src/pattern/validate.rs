//! What can be wrong with a pattern, each mistake with a sentence for the user.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Body, Contiguity, Inner, Pattern, Step};

/// One thing that is wrong with a pattern. The message names the step.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum Misuse {
    /// The pattern has no steps.
    #[error("the pattern has no steps")]
    NoSteps,
    /// A group has no steps.
    #[error("the group `{0}` has no steps")]
    EmptyGroup(Arc<str>),
    /// A step is to take one of several kinds of event, but none is given.
    #[error("step `{0}` is any of no events")]
    NoAlternatives(Arc<str>),
    /// A repeated group may have an empty round.
    #[error("group `{0}` is repeated, but a round of it may be empty: a step in it must not be optional")]
    EmptyRounds(Arc<str>),
    /// Two steps have the same name.
    #[error("two steps are called `{0}`: events are listed under the names of their steps")]
    DuplicateName(Arc<str>),
    /// A step is to be taken zero times.
    #[error("step `{0}` is to be taken zero times: say at least once, or leave it out")]
    ZeroTimes(Arc<str>),
    /// A minimum is greater than its maximum.
    #[error("step `{0}` is to be taken at least {1} and at most {2} times")]
    EmptyRange(Arc<str>, u32, u32),
    /// A step has more repetitions than an automaton should have states.
    #[error("step `{0}` is to be taken {1} times; {max} is the most a pattern can count to", max = MOST_TIMES)]
    TooManyTimes(Arc<str>, u32),
    /// A step is told twice how often it is taken.
    #[error("step `{0}` is already told how often it is taken")]
    SecondQuantifier(Arc<str>),
    /// A window for the events of a loop stands on a step that is taken once.
    #[error("step `{0}` has a window between its events, but is taken once")]
    TimesWithinWithoutTimes(Arc<str>),
    /// `until` stands on a step that is not an open-ended loop.
    #[error("step `{0}` has an `until`, which only an open-ended loop can have")]
    UntilWithoutLoop(Arc<str>),
    /// A step has two `until` conditions.
    #[error("step `{0}` has two `until` conditions")]
    UntilTwice(Arc<str>),
    /// The automaton would have too many states.
    #[error("the pattern is too large: repeated groups multiply, and it would take more than {0} states")]
    TooLarge(usize),
    /// An absence is to be taken several times.
    #[error("step `{0}` is the absence of an event: it can't be taken several times")]
    QuantifiedNot(Arc<str>),
    /// An absence is optional.
    #[error("step `{0}` is the absence of an event: it can't be optional")]
    OptionalNot(Arc<str>),
    /// A step is made optional twice.
    #[error("step `{0}` is already optional")]
    OptionalTwice(Arc<str>),
    /// An absence comes after an optional step.
    #[error("step `{0}` is the absence of an event: it can't come after an optional step")]
    NotAfterOptional(Arc<str>),
    /// A group is to be absent.
    #[error("group `{0}` can't be asked to be absent: only a single step can")]
    NotGroup(Arc<str>),
    /// The pattern begins with an absence.
    #[error("step `{0}` is the absence of an event: nothing can begin with it")]
    NotFirst(Arc<str>),
    /// A group ends with an absence, which would end with the group.
    #[error("step `{0}` is the absence of an event at the end of a group: put it after the group")]
    NotLastInGroup(Arc<str>),
    /// The pattern ends with an absence but has no window, so the absence would never be certain.
    #[error(
        "step `{0}` is the absence of an event at the end of the pattern: give it or the pattern a window, so that it can become certain"
    )]
    NotLastWithoutWindow(Arc<str>),
    /// A step that is taken once is greedy.
    #[error("step `{0}` is greedy but taken once: greedy is for loops")]
    GreedySingle(Arc<str>),
    /// A group is greedy.
    #[error("group `{0}` is greedy, which only a single looping step can be")]
    GreedyGroup(Arc<str>),
    /// A step is greedy and allows every combination.
    #[error("step `{0}` is greedy and allows combinations: the longest loop and every combination exclude each other")]
    GreedyCombinations(Arc<str>),
    /// An optional step comes after a greedy one.
    #[error("step `{0}` is optional and comes after a greedy one, which is not supported")]
    OptionalAfterGreedy(Arc<str>),
    /// A step is consecutive and allows combinations.
    #[error("step `{0}` is both consecutive and to allow combinations")]
    CombinationsAndConsecutive(Arc<str>),
    /// A step has two conditions.
    #[error("step `{0}` has two conditions: combine them into one")]
    SecondCondition(Arc<str>),
    /// A group has a condition.
    #[error("group `{0}` has a condition: only the steps in it can")]
    ConditionOnGroup(Arc<str>),
    /// A group says what a match drops, which only the whole pattern can.
    #[error("group `{0}` says what a match does to others: only the whole pattern can")]
    SkipInGroup(Arc<str>),
    /// A match skips to a step that does not exist, or that takes no events.
    #[error("a match is to skip to step `{0}`, but no step that takes events is called so")]
    SkipTarget(Arc<str>),
    /// The window of the pattern is shorter than a millisecond.
    #[error("a window of the pattern is shorter than a millisecond")]
    EmptyWindow,
    /// A window of a step is shorter than a millisecond.
    #[error("a window of step `{0}` is shorter than a millisecond")]
    EmptyStepWindow(Arc<str>),
    /// The window of a step is longer than that of the pattern.
    #[error("the window of step `{0}` is longer than that of the pattern")]
    StepWindowTooLong(Arc<str>),
}

impl Misuse {
    /// The name of the step that is misused; `None` if the mistake is about the whole pattern.
    #[must_use]
    pub fn step(&self) -> Option<&str> {
        match self {
            Self::NoSteps | Self::TooLarge(_) | Self::EmptyWindow => None,
            Self::EmptyGroup(name)
            | Self::NoAlternatives(name)
            | Self::EmptyRounds(name)
            | Self::DuplicateName(name)
            | Self::ZeroTimes(name)
            | Self::EmptyRange(name, ..)
            | Self::TooManyTimes(name, _)
            | Self::SecondQuantifier(name)
            | Self::TimesWithinWithoutTimes(name)
            | Self::UntilWithoutLoop(name)
            | Self::UntilTwice(name)
            | Self::QuantifiedNot(name)
            | Self::OptionalNot(name)
            | Self::OptionalTwice(name)
            | Self::NotAfterOptional(name)
            | Self::NotGroup(name)
            | Self::NotFirst(name)
            | Self::NotLastInGroup(name)
            | Self::NotLastWithoutWindow(name)
            | Self::GreedySingle(name)
            | Self::GreedyGroup(name)
            | Self::GreedyCombinations(name)
            | Self::OptionalAfterGreedy(name)
            | Self::CombinationsAndConsecutive(name)
            | Self::SecondCondition(name)
            | Self::ConditionOnGroup(name)
            | Self::SkipInGroup(name)
            | Self::SkipTarget(name)
            | Self::EmptyStepWindow(name)
            | Self::StepWindowTooLong(name) => Some(name),
        }
    }
}

/// Everything that is wrong with a pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", sentences(.0))]
pub struct Invalid(pub Vec<Misuse>);

fn sentences(misuses: &[Misuse]) -> String {
    misuses.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// The most repetitions a step may have: each is a state of its own.
const MOST_TIMES: u32 = 10_000;

impl<C> Pattern<C> {
    /// Checks that the pattern can be matched.
    ///
    /// # Errors
    /// It can't; the error lists everything that is wrong with it.
    pub fn validate(&self) -> Result<(), Invalid> {
        let mut check = Check { found: self.misuse.clone(), names: HashSet::new(), targets: HashSet::new(), within: self.within };
        if self.steps.is_empty() {
            check.found.push(Misuse::NoSteps);
        }
        if self.within.is_some_and(too_short) {
            check.found.push(Misuse::EmptyWindow);
        }
        check.steps(&self.steps, false);
        if let Some(last) = self.steps.last().filter(|s| s.contiguity == Contiguity::NotFollowedBy)
            && last.within.or(self.within).is_none()
        {
            check.found.push(Misuse::NotLastWithoutWindow(Arc::clone(&last.name)));
        }
        if let Some(to) = self.after_match.target()
            && !check.targets.contains(&*to.step)
        {
            check.found.push(Misuse::SkipTarget(Arc::clone(&to.step)));
        }
        if check.found.is_empty() { Ok(()) } else { Err(Invalid(check.found)) }
    }
}

fn too_short(window: Duration) -> bool {
    window < Duration::from_millis(1)
}

struct Check<'p> {
    found: Vec<Misuse>,
    names: HashSet<&'p str>,
    /// The names of steps that take events.
    targets: HashSet<&'p str>,
    within: Option<Duration>,
}

impl<'p> Check<'p> {
    fn steps<C>(&mut self, steps: &'p [Step<C>], grouped: bool) {
        for (i, step) in steps.iter().enumerate() {
            self.step(step);
            let before = i.checked_sub(1).and_then(|i| steps.get(i));
            if let Some(misuse) = neighbours(before, step, grouped && i + 1 == steps.len()) {
                self.found.push(misuse(Arc::clone(&step.name)));
            }
        }
    }

    fn step<C>(&mut self, step: &'p Step<C>) {
        for name in step.names() {
            if !step.contiguity.is_not() {
                self.targets.insert(name);
            }
            if !self.names.insert(name) {
                self.found.push(Misuse::DuplicateName(Arc::clone(name)));
            }
        }
        if matches!(&step.body, Body::AnyOf(alternatives) if alternatives.is_empty()) {
            self.found.push(Misuse::NoAlternatives(Arc::clone(&step.name)));
        }
        let mut tell = |wrong: bool, misuse: fn(Arc<str>) -> Misuse| {
            if wrong {
                self.found.push(misuse(Arc::clone(&step.name)));
            }
        };
        let (not, group) = (step.contiguity.is_not(), step.inside().is_some());
        tell(not && group, Misuse::NotGroup);
        tell(not && step.times.is_some(), Misuse::QuantifiedNot);
        tell(not && step.optional, Misuse::OptionalNot);
        tell(step.until.is_some() && !step.times.is_some_and(|t| t.is_open()), Misuse::UntilWithoutLoop);
        tell(step.greedy && group, Misuse::GreedyGroup);
        tell(step.greedy && !group && step.times.is_none(), Misuse::GreedySingle);
        tell(step.greedy && step.inner == Inner::AllowCombinations, Misuse::GreedyCombinations);
        let windows = [step.within, step.times.and_then(|t| t.within)];
        tell(windows.into_iter().flatten().any(too_short), Misuse::EmptyStepWindow);
        let whole = self.within;
        tell(windows.into_iter().flatten().any(|w| whole.is_some_and(|whole| w > whole)), Misuse::StepWindowTooLong);
        if let Some(times) = step.times {
            tell(times.max == Some(0), Misuse::ZeroTimes);
            let most = times.max.unwrap_or(times.min).max(times.min);
            if most > MOST_TIMES {
                self.found.push(Misuse::TooManyTimes(Arc::clone(&step.name), most));
            } else if let Some(max) = times.max.filter(|max| *max > 0 && times.min > *max) {
                self.found.push(Misuse::EmptyRange(Arc::clone(&step.name), times.min, max));
            }
        }
        if let Body::Group(inside) = &step.body {
            if inside.is_empty() {
                self.found.push(Misuse::EmptyGroup(Arc::clone(&step.name)));
            }
            if step.times.is_some() && !inside.is_empty() && inside.iter().all(Step::may_be_empty) {
                self.found.push(Misuse::EmptyRounds(Arc::clone(&step.name)));
            }
            self.steps(inside, true);
        }
    }
}

/// What is wrong with a step because of where it stands.
fn neighbours<C>(before: Option<&Step<C>>, step: &Step<C>, last_in_group: bool) -> Option<fn(Arc<str>) -> Misuse> {
    let Some(before) = before else {
        return step.contiguity.is_not().then_some(Misuse::NotFirst);
    };
    if step.contiguity.is_not() && before.may_be_left_out() {
        return Some(Misuse::NotAfterOptional);
    }
    if step.may_be_left_out() && before.greedy {
        return Some(Misuse::OptionalAfterGreedy);
    }
    (last_in_group && step.contiguity == Contiguity::NotFollowedBy).then_some(Misuse::NotLastInGroup)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern() -> Pattern<u8> {
        Pattern::begin("a").when(1)
    }

    fn wrong(pattern: &Pattern<u8>) -> Vec<String> {
        pattern.validate().err().map(|Invalid(found)| found.iter().map(ToString::to_string).collect()).unwrap_or_default()
    }

    #[track_caller]
    fn refused(pattern: &Pattern<u8>, sentence: &str) {
        assert_eq!(wrong(pattern), [sentence]);
    }

    #[test]
    fn good_patterns_are_accepted() {
        let ms = Duration::from_millis(5);
        let group = || Pattern::begin("x").optional().next("y");
        for good in [
            pattern(),
            pattern().one_or_more().greedy().until(2).followed_by("b").skip_to_last("a"),
            pattern().not_followed_by("b").within(ms),
            pattern().not_followed_by("b").step_within(ms),
            pattern().not_next("b"),
            pattern().followed_by_group("g", group()).times_or_more(2).until(3).optional().followed_by("b"),
            Pattern::begin_group("g", group()).times_between(0, 3),
        ] {
            assert_eq!(wrong(&good), [] as [String; 0]);
        }
    }

    #[test]
    fn each_mistake_has_its_sentence() {
        let (ms, group) = (Duration::from_millis(5), || Pattern::begin("x").next("y"));
        refused(&Pattern::new(vec![]), "the pattern has no steps");
        refused(&Pattern::begin_group("g", Pattern::new(vec![])), "the group `g` has no steps");
        refused(
            &Pattern::begin_group("g", Pattern::begin("x").optional().next("y").zero_or_more()).one_or_more(),
            "group `g` is repeated, but a round of it may be empty: a step in it must not be optional",
        );
        refused(&pattern().next("a"), "two steps are called `a`: events are listed under the names of their steps");
        refused(&pattern().times(0), "step `a` is to be taken zero times: say at least once, or leave it out");
        refused(&pattern().times_between(3, 2), "step `a` is to be taken at least 3 and at most 2 times");
        refused(&pattern().times(10_001), "step `a` is to be taken 10001 times; 10000 is the most a pattern can count to");
        refused(&pattern().times(2).one_or_more(), "step `a` is already told how often it is taken");
        refused(&pattern().times_within(ms), "step `a` has a window between its events, but is taken once");
        let until = "step `a` has an `until`, which only an open-ended loop can have";
        refused(&pattern().until(2), until);
        refused(&pattern().times(2).until(2), until);
        refused(&pattern().one_or_more().until(2).until(3), "step `a` has two `until` conditions");
        refused(&pattern().not_next("b").times(2).next("c"), "step `b` is the absence of an event: it can't be taken several times");
        refused(&pattern().not_next("b").optional().next("c"), "step `b` is the absence of an event: it can't be optional");
        refused(&pattern().optional().optional(), "step `a` is already optional");
        refused(&pattern().optional().not_next("b").next("c"), "step `b` is the absence of an event: it can't come after an optional step");
        let mut not_group = pattern().next_group("g", group());
        not_group.steps[1].contiguity = Contiguity::NotNext;
        refused(&not_group, "group `g` can't be asked to be absent: only a single step can");
        let mut not_first = pattern();
        not_first.steps[0].contiguity = Contiguity::NotNext;
        refused(&not_first, "step `a` is the absence of an event: nothing can begin with it");
        refused(
            &pattern().next_group("g", group().not_followed_by("z")).next("c"),
            "step `z` is the absence of an event at the end of a group: put it after the group",
        );
        refused(
            &pattern().not_followed_by("b"),
            "step `b` is the absence of an event at the end of the pattern: give it or the pattern a window, so that it can become certain",
        );
        refused(&pattern().greedy(), "step `a` is greedy but taken once: greedy is for loops");
        refused(&Pattern::begin_group("g", group()).times(2).greedy(), "group `g` is greedy, which only a single looping step can be");
        refused(
            &pattern().times(2).allow_combinations().greedy(),
            "step `a` is greedy and allows combinations: the longest loop and every combination exclude each other",
        );
        refused(
            &pattern().one_or_more().greedy().next("b").optional().next("c"),
            "step `b` is optional and comes after a greedy one, which is not supported",
        );
        refused(&pattern().times(2).allow_combinations().consecutive(), "step `a` is both consecutive and to allow combinations");
        refused(&pattern().when(2), "step `a` has two conditions: combine them into one");
        refused(&Pattern::begin_group("g", group()).when(2), "group `g` has a condition: only the steps in it can");
        refused(
            &Pattern::begin_group("g", group().skip_to_next()),
            "group `g` says what a match does to others: only the whole pattern can",
        );
        refused(&pattern().next("b").skip_to_first("c"), "a match is to skip to step `c`, but no step that takes events is called so");
        refused(&pattern().within(Duration::ZERO), "a window of the pattern is shorter than a millisecond");
        refused(&pattern().next("b").step_within(Duration::ZERO), "a window of step `b` is shorter than a millisecond");
        refused(&pattern().next("b").step_within(ms * 2).within(ms), "the window of step `b` is longer than that of the pattern");
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        let error = pattern().optional().optional().greedy().validate().unwrap_err();
        assert_eq!(error.to_string(), "step `a` is already optional; step `a` is greedy but taken once: greedy is for loops");
    }
}

//! Patterns in Rust, step by step: each method adds a step, or says more about the last one.

use std::sync::Arc;
use std::time::Duration;

use super::{AfterMatch, Alternative, Body, Contiguity, Inner, Misuse, Pattern, SkipTo, Step, Times};

impl<C> Pattern<C> {
    /// Makes a pattern of these steps, without a window, that skips nothing.
    #[must_use]
    pub fn new(steps: Vec<Step<C>>) -> Self {
        Self { steps, within: None, after_match: AfterMatch::NoSkip, misuse: Vec::new() }
    }

    /// Begins a pattern with a step.
    #[must_use]
    pub fn begin(name: &str) -> Self {
        Self::new(vec![Step::new(name, Contiguity::FollowedBy)])
    }

    /// Begins a pattern with a group, whose steps are those of `group`.
    #[must_use]
    pub fn begin_group(name: &str, group: Self) -> Self {
        Self::new(Vec::new()).group(name, Contiguity::FollowedBy, group)
    }

    /// Adds a step that the very next event must fit.
    #[must_use]
    pub fn next(self, name: &str) -> Self {
        self.step(name, Contiguity::Next)
    }

    /// Adds a step that takes the next event that fits, and passes over what doesn't fit.
    #[must_use]
    pub fn followed_by(self, name: &str) -> Self {
        self.step(name, Contiguity::FollowedBy)
    }

    /// Adds a step for which every later event that fits makes a match of its own.
    #[must_use]
    pub fn followed_by_any(self, name: &str) -> Self {
        self.step(name, Contiguity::FollowedByAny)
    }

    /// Adds an absence: the very next event must not fit this step.
    #[must_use]
    pub fn not_next(self, name: &str) -> Self {
        self.step(name, Contiguity::NotNext)
    }

    /// Adds an absence: no event that fits this step may come before the event of the next step or, at the end of the pattern, before time runs out.
    #[must_use]
    pub fn not_followed_by(self, name: &str) -> Self {
        self.step(name, Contiguity::NotFollowedBy)
    }

    /// Adds a group as [`next`](Self::next) adds a step.
    #[must_use]
    pub fn next_group(self, name: &str, group: Self) -> Self {
        self.group(name, Contiguity::Next, group)
    }

    /// Adds a group as [`followed_by`](Self::followed_by) adds a step.
    #[must_use]
    pub fn followed_by_group(self, name: &str, group: Self) -> Self {
        self.group(name, Contiguity::FollowedBy, group)
    }

    /// Adds a group as [`followed_by_any`](Self::followed_by_any) adds a step.
    #[must_use]
    pub fn followed_by_any_group(self, name: &str, group: Self) -> Self {
        self.group(name, Contiguity::FollowedByAny, group)
    }

    /// Sets the condition that the events of the last step must fulfil.
    #[must_use]
    pub fn when(mut self, condition: C) -> Self {
        match self.steps.last_mut().map(|step| &mut step.body) {
            Some(Body::Event(slot @ None)) => *slot = Some(condition),
            Some(Body::Event(Some(_)) | Body::AnyOf(_)) => self.note(Misuse::SecondCondition),
            Some(Body::Group(_)) | None => self.note(Misuse::ConditionOnGroup),
        }
        self
    }

    /// Makes the last step take one of several kinds of event, each listed under a name of its own. An event that fulfils several conditions is of
    /// the first kind.
    #[must_use]
    pub fn any_of<'n>(mut self, kinds: impl IntoIterator<Item = (&'n str, C)>) -> Self {
        let alternative = |(name, condition): (&str, C)| Alternative { name: name.into(), condition: Some(condition) };
        match self.steps.last_mut().map(|step| &mut step.body) {
            Some(body @ Body::Event(None)) => *body = Body::AnyOf(kinds.into_iter().map(alternative).collect()),
            Some(Body::Event(Some(_)) | Body::AnyOf(_)) => self.note(Misuse::SecondCondition),
            Some(Body::Group(_)) | None => self.note(Misuse::ConditionOnGroup),
        }
        self
    }

    /// Takes the last step exactly `n` times.
    #[must_use]
    pub fn times(self, n: u32) -> Self {
        self.quantify(n, Some(n))
    }

    /// Takes the last step from `min` to `max` times.
    #[must_use]
    pub fn times_between(self, min: u32, max: u32) -> Self {
        self.quantify(min, Some(max))
    }

    /// Takes the last step `n` times or more.
    #[must_use]
    pub fn times_or_more(self, n: u32) -> Self {
        self.quantify(n, None)
    }

    /// Takes the last step once or more.
    #[must_use]
    pub fn one_or_more(self) -> Self {
        self.quantify(1, None)
    }

    /// Takes the last step any number of times, or not at all.
    #[must_use]
    pub fn zero_or_more(self) -> Self {
        self.quantify(0, None)
    }

    /// Bounds the wait for each event of a quantified step: see [`Times::within`].
    #[must_use]
    pub fn times_within(mut self, within: Duration) -> Self {
        match self.steps.last_mut().and_then(|step| step.times.as_mut()) {
            Some(times) => times.within = Some(within),
            None => self.note(Misuse::TimesWithinWithoutTimes),
        }
        self
    }

    /// Lets the last step be left out.
    #[must_use]
    pub fn optional(mut self) -> Self {
        match self.steps.last_mut() {
            Some(step) if step.optional => self.note(Misuse::OptionalTwice),
            Some(step) => step.optional = true,
            None => {}
        }
        self
    }

    /// Keeps events that fit this step from the step after it, so that only the longest loop goes on.
    #[must_use]
    pub fn greedy(mut self) -> Self {
        if let Some(step) = self.steps.last_mut() {
            step.greedy = true;
        }
        self
    }

    /// Lets no event lie between the events of the step.
    #[must_use]
    pub fn consecutive(self) -> Self {
        self.inner(Inner::Consecutive)
    }

    /// Tries every combination of the events that fit.
    #[must_use]
    pub fn allow_combinations(self) -> Self {
        self.inner(Inner::AllowCombinations)
    }

    /// Ends an open-ended loop at an event that fulfils this condition. The loop does not take that event.
    #[must_use]
    pub fn until(mut self, condition: C) -> Self {
        match self.steps.last_mut() {
            Some(step) if step.until.is_some() => self.note(Misuse::UntilTwice),
            Some(step) => step.until = Some(condition),
            None => {}
        }
        self
    }

    /// Sets the window of the pattern: a match must be shorter than this. If called several times, the shortest window holds.
    #[must_use]
    pub fn within(mut self, within: Duration) -> Self {
        self.within = Some(self.within.map_or(within, |w| w.min(within)));
        self
    }

    /// Bounds how long after the event before it the event of this step may come.
    #[must_use]
    pub fn step_within(mut self, within: Duration) -> Self {
        if let Some(step) = self.steps.last_mut() {
            step.within = Some(within);
        }
        self
    }

    /// Makes a match drop the others with the same first event.
    #[must_use]
    pub fn skip_to_next(self) -> Self {
        self.after_match(AfterMatch::SkipToNext)
    }

    /// Makes a match drop the others that began within it.
    #[must_use]
    pub fn skip_past_last_event(self) -> Self {
        self.after_match(AfterMatch::SkipPastLastEvent)
    }

    /// Makes a match drop the others that began before the first event of `step`.
    #[must_use]
    pub fn skip_to_first(self, step: &str) -> Self {
        self.after_match(AfterMatch::SkipToFirst(SkipTo { step: step.into(), or_fail: false }))
    }

    /// Makes a match drop the others that began before the last event of `step`.
    #[must_use]
    pub fn skip_to_last(self, step: &str) -> Self {
        self.after_match(AfterMatch::SkipToLast(SkipTo { step: step.into(), or_fail: false }))
    }

    /// Says what a match does to the others that overlap it.
    #[must_use]
    pub fn after_match(mut self, after_match: AfterMatch) -> Self {
        self.after_match = after_match;
        self
    }

    fn step(mut self, name: &str, contiguity: Contiguity) -> Self {
        self.steps.push(Step::new(name, contiguity));
        self
    }

    fn group(mut self, name: &str, contiguity: Contiguity, group: Self) -> Self {
        if group.after_match != AfterMatch::NoSkip {
            self.misuse.push(Misuse::SkipInGroup(name.into()));
        }
        if let Some(within) = group.within {
            self = self.within(within);
        }
        self.misuse.extend(group.misuse);
        self.steps.push(Step::group(name, contiguity, group.steps));
        self
    }

    fn quantify(mut self, min: u32, max: Option<u32>) -> Self {
        match self.steps.last_mut() {
            Some(step) if step.times.is_some() => self.note(Misuse::SecondQuantifier),
            Some(step) => step.times = Some(Times { min, max, within: None }),
            None => {}
        }
        self
    }

    fn inner(mut self, inner: Inner) -> Self {
        match self.steps.last_mut() {
            Some(step) if step.inner != Inner::Relaxed && step.inner != inner => self.note(Misuse::CombinationsAndConsecutive),
            Some(step) => step.inner = inner,
            None => {}
        }
        self
    }

    /// Remembers a misuse of the last step. [`validate`](Pattern::validate) reports it with everything else that is wrong.
    fn note(&mut self, misuse: impl FnOnce(Arc<str>) -> Misuse) {
        let name = self.steps.last().map_or_else(|| Arc::from(""), |step| Arc::clone(&step.name));
        self.misuse.push(misuse(name));
    }
}

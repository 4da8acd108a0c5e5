//! Patterns in Rust, step by step: each method adds a step or says more about the last one.

use std::sync::Arc;
use std::time::Duration;

use super::{AfterMatch, Alternative, Body, Contiguity, Inner, Misuse, Pattern, SkipTo, Step, Times};

impl<C> Pattern<C> {
    /// A pattern of these steps.
    #[must_use]
    pub fn new(steps: Vec<Step<C>>) -> Self {
        Self { steps, within: None, after_match: AfterMatch::NoSkip, misuse: Vec::new() }
    }

    /// A pattern that begins with this step.
    #[must_use]
    pub fn begin(name: &str) -> Self {
        Self::new(vec![Step::new(name, Contiguity::FollowedBy)])
    }

    /// A pattern that begins with a group.
    #[must_use]
    pub fn begin_group(name: &str, group: Self) -> Self {
        Self::new(Vec::new()).group(name, Contiguity::FollowedBy, group)
    }

    /// The next event must fit this step.
    #[must_use]
    pub fn next(self, name: &str) -> Self {
        self.step(name, Contiguity::Next)
    }

    /// The next event that fits is taken; what doesn't fit is passed over.
    #[must_use]
    pub fn followed_by(self, name: &str) -> Self {
        self.step(name, Contiguity::FollowedBy)
    }

    /// Every later event that fits makes a match of its own.
    #[must_use]
    pub fn followed_by_any(self, name: &str) -> Self {
        self.step(name, Contiguity::FollowedByAny)
    }

    /// The next event must not fit this step.
    #[must_use]
    pub fn not_next(self, name: &str) -> Self {
        self.step(name, Contiguity::NotNext)
    }

    /// No event that fits this step may come before the one of the step after it or, at the end, before time runs out.
    #[must_use]
    pub fn not_followed_by(self, name: &str) -> Self {
        self.step(name, Contiguity::NotFollowedBy)
    }

    /// [`next`](Self::next), for a group.
    #[must_use]
    pub fn next_group(self, name: &str, group: Self) -> Self {
        self.group(name, Contiguity::Next, group)
    }

    /// [`followed_by`](Self::followed_by), for a group.
    #[must_use]
    pub fn followed_by_group(self, name: &str, group: Self) -> Self {
        self.group(name, Contiguity::FollowedBy, group)
    }

    /// [`followed_by_any`](Self::followed_by_any), for a group.
    #[must_use]
    pub fn followed_by_any_group(self, name: &str, group: Self) -> Self {
        self.group(name, Contiguity::FollowedByAny, group)
    }

    /// What the step's events must fulfil.
    #[must_use]
    pub fn when(mut self, condition: C) -> Self {
        match self.steps.last_mut().map(|step| &mut step.body) {
            Some(Body::Event(slot @ None)) => *slot = Some(condition),
            Some(Body::Event(Some(_)) | Body::AnyOf(_)) => self.note(Misuse::SecondCondition),
            Some(Body::Group(_)) | None => self.note(Misuse::ConditionOnGroup),
        }
        self
    }

    /// Takes one of several kinds of event, each listed under a name of its own. What fulfils several conditions is of the first kind.
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

    /// Exactly `n` times.
    #[must_use]
    pub fn times(self, n: u32) -> Self {
        self.quantify(n, Some(n))
    }

    /// From `min` to `max` times.
    #[must_use]
    pub fn times_between(self, min: u32, max: u32) -> Self {
        self.quantify(min, Some(max))
    }

    /// `n` times or more.
    #[must_use]
    pub fn times_or_more(self, n: u32) -> Self {
        self.quantify(n, None)
    }

    /// Once or more.
    #[must_use]
    pub fn one_or_more(self) -> Self {
        self.quantify(1, None)
    }

    /// Any number of times, or not at all.
    #[must_use]
    pub fn zero_or_more(self) -> Self {
        self.quantify(0, None)
    }

    /// How long the wait for each event of a quantified step may last: see [`Times::within`].
    #[must_use]
    pub fn times_within(mut self, within: Duration) -> Self {
        match self.steps.last_mut().and_then(|step| step.times.as_mut()) {
            Some(times) => times.within = Some(within),
            None => self.note(Misuse::TimesWithinWithoutTimes),
        }
        self
    }

    /// The step may be left out.
    #[must_use]
    pub fn optional(mut self) -> Self {
        match self.steps.last_mut() {
            Some(step) if step.optional => self.note(Misuse::OptionalTwice),
            Some(step) => step.optional = true,
            None => {}
        }
        self
    }

    /// An event that fits this step is not for the step after it, so that only the longest loop goes on.
    #[must_use]
    pub fn greedy(mut self) -> Self {
        if let Some(step) = self.steps.last_mut() {
            step.greedy = true;
        }
        self
    }

    /// Nothing may lie between the events of the step.
    #[must_use]
    pub fn consecutive(self) -> Self {
        self.inner(Inner::Consecutive)
    }

    /// Every combination of the events that fit is tried.
    #[must_use]
    pub fn allow_combinations(self) -> Self {
        self.inner(Inner::AllowCombinations)
    }

    /// An event that ends an open-ended loop; it is not taken by it.
    #[must_use]
    pub fn until(mut self, condition: C) -> Self {
        match self.steps.last_mut() {
            Some(step) if step.until.is_some() => self.note(Misuse::UntilTwice),
            Some(step) => step.until = Some(condition),
            None => {}
        }
        self
    }

    /// A match must be shorter than this. Said several times, the shortest holds.
    #[must_use]
    pub fn within(mut self, within: Duration) -> Self {
        self.within = Some(self.within.map_or(within, |w| w.min(within)));
        self
    }

    /// How long after the event before it the event of this step may come.
    #[must_use]
    pub fn step_within(mut self, within: Duration) -> Self {
        if let Some(step) = self.steps.last_mut() {
            step.within = Some(within);
        }
        self
    }

    /// A match drops the others with the same first event.
    #[must_use]
    pub fn skip_to_next(self) -> Self {
        self.after_match(AfterMatch::SkipToNext)
    }

    /// A match drops the others that began within it.
    #[must_use]
    pub fn skip_past_last_event(self) -> Self {
        self.after_match(AfterMatch::SkipPastLastEvent)
    }

    /// A match drops the others that began before the first event of `step`.
    #[must_use]
    pub fn skip_to_first(self, step: &str) -> Self {
        self.after_match(AfterMatch::SkipToFirst(SkipTo { step: step.into(), or_fail: false }))
    }

    /// A match drops the others that began before the last event of `step`.
    #[must_use]
    pub fn skip_to_last(self, step: &str) -> Self {
        self.after_match(AfterMatch::SkipToLast(SkipTo { step: step.into(), or_fail: false }))
    }

    /// What a match does to the others that overlap it.
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

    /// Remembers a misuse of the last step, to be told with everything else that is wrong.
    fn note(&mut self, misuse: impl FnOnce(Arc<str>) -> Misuse) {
        let name = self.steps.last().map_or_else(|| Arc::from(""), |step| Arc::clone(&step.name));
        self.misuse.push(misuse(name));
    }
}

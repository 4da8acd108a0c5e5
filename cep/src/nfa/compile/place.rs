//! A step in its place: what its neighbours and the groups around it demand of its events.

use super::number::Numbered;
use crate::nfa::{Guard, Literal, StepId};
use crate::pattern::{Contiguity, Inner};

/// What surrounds a sequence of steps.
pub(super) struct Scope<'p> {
    /// How the first step is entered, if its own contiguity does not say.
    pub head: Option<Head>,
    /// The `until` conditions of the groups around.
    pub untils: Vec<Literal>,
    /// The step that comes after the sequence.
    pub after: Option<&'p Numbered>,
}

/// How a group is entered, and with it its first step.
#[derive(Clone)]
pub(super) struct Head {
    pub gap: Gap,
    /// Whether a path leads past the group from the state that enters it.
    pub passable: bool,
    /// What must be absent until the first event of the group.
    pub absent: Vec<Absent>,
}

/// A `not_followed_by` step, and what the unwanted events fulfil.
#[derive(Clone)]
pub(super) struct Absent {
    pub step: StepId,
    pub unwanted: Guard,
}

/// Which events may be passed over.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Gap {
    Nothing,
    Unfit,
    Anything,
}

impl From<Contiguity> for Gap {
    fn from(contiguity: Contiguity) -> Self {
        match contiguity {
            Contiguity::Next | Contiguity::NotNext => Self::Nothing,
            Contiguity::FollowedBy | Contiguity::NotFollowedBy => Self::Unfit,
            Contiguity::FollowedByAny => Self::Anything,
        }
    }
}

impl From<Inner> for Gap {
    fn from(inner: Inner) -> Self {
        match inner {
            Inner::Consecutive => Self::Nothing,
            Inner::Relaxed => Self::Unfit,
            Inner::AllowCombinations => Self::Anything,
        }
    }
}

/// A step, with the sequence it stands in and what surrounds that.
#[derive(Clone, Copy)]
pub(super) struct Place<'a, 'p> {
    pub steps: &'p [Numbered],
    pub index: usize,
    pub scope: &'a Scope<'p>,
}

impl<'p> Place<'_, 'p> {
    pub fn step(&self) -> &'p Numbered {
        &self.steps[self.index]
    }

    pub fn following(&self) -> Option<&'p Numbered> {
        self.steps.get(self.index + 1).or(self.scope.after)
    }

    pub fn head(&self) -> Option<&Head> {
        if self.index == 0 { self.scope.head.as_ref() } else { None }
    }

    /// True if this step is the first of a group and a path leads past that group.
    pub fn passable(&self) -> bool {
        self.head().is_some_and(|head| head.passable)
    }

    /// Which events may be passed over before the first event of the step.
    pub fn gap(&self) -> Gap {
        match self.head() {
            Some(head) => head.gap,
            // Events before a match do not concern it.
            None if self.index == 0 => Gap::Nothing,
            None => self.step().contiguity.into(),
        }
    }

    /// What an event of `step` must fulfil, including not to end a group by its `until`.
    pub fn take_of(&self, step: &Numbered) -> Guard {
        self.exit().and(&step.fits())
    }

    /// What an event of this step must fulfil, including not to end the step by its own `until`.
    pub fn take(&self) -> Guard {
        let step = self.step();
        not_until(step).and(&self.take_of(step))
    }

    /// What an event must fulfil to be passed over; `None` if none may be.
    pub fn ignore(&self, gap: Gap) -> Option<Guard> {
        let unfit = match gap {
            Gap::Nothing => return None,
            Gap::Unfit => self.step().fits().not(),
            Gap::Anything => Guard::always(),
        };
        Some(self.exit().and(&unfit))
    }

    /// What an event must fulfil for a wait to go on: no `until` of a group around may end it.
    pub fn exit(&self) -> Guard {
        Guard::all(&self.scope.untils.iter().map(|until| until.not()).collect::<Vec<_>>())
    }

    pub fn absent(&self, step: &Numbered) -> Absent {
        Absent { step: step.id, unwanted: self.take_of(step) }
    }

    /// What must be absent while the pattern waits for this step: the absences before it, across optional steps and the beginning of the group.
    pub fn nots(&self) -> Vec<Absent> {
        let mut nots = Vec::new();
        for step in self.steps[..self.index].iter().rev() {
            if step.contiguity == Contiguity::NotFollowedBy {
                nots.push(self.absent(step));
            } else if !step.optional {
                return nots;
            }
        }
        nots.extend(self.scope.head.iter().flat_map(|head| head.absent.iter().cloned()));
        nots
    }
}

pub(super) fn not_until(step: &Numbered) -> Guard {
    step.until.map_or_else(Guard::always, |until| Guard::all(&[until.not()]))
}

pub(super) fn inner_scope<'p>(place: &Place<'_, 'p>, head: Head) -> Scope<'p> {
    let untils = place.scope.untils.iter().copied().chain(place.step().until).collect();
    Scope { head: Some(head), untils, after: place.following() }
}

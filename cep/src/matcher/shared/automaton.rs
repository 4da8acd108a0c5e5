//! The automaton over sets of states, made as it is needed: which conditions to ask for, one after the other, and what to do once they are answered.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::matcher::ways::{Decision, Ways};
use crate::nfa::{ConditionId, Kind, Nfa, StateId, StepId};

/// The most questions remembered; beyond, all are forgotten and found out anew.
const MOST_QUESTIONS: usize = 1 << 18;

/// One for all keys. Nothing of it is ever written down.
#[derive(Clone, Debug)]
pub(super) struct Automaton {
    /// The first question, by the states that are occupied, in ascending order.
    first: HashMap<Box<[StateId]>, u32, FixedState>,
    questions: Vec<Question>,
    programs: Vec<Program>,
    ways: Ways,
    /// The answers of this event.
    facts: Vec<(ConditionId, bool)>,
    decisions: Vec<Decision>,
}

#[derive(Clone, Copy, Debug)]
enum Question {
    /// Not yet found out.
    Open,
    /// Does this condition hold? If not, and if so, where to go on.
    Asks(ConditionId, [u32; 2]),
    /// All is known that is needed.
    Answered(u32),
}

/// What an event does to the matches of a key.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Program {
    /// The matches that take the event.
    pub takes: Vec<Take>,
    /// What is in each state afterwards, by ascending state.
    pub after: Vec<(StateId, Vec<Part>)>,
    /// What is complete.
    pub matches: Vec<Part>,
    /// By position of a state: what becomes of a match in it.
    pub ways: Vec<Way>,
    /// By position of a state: how many parts are what was in it?
    pub uses: Vec<usize>,
    /// What becomes of the match that begins with the event.
    pub begins: Way,
    idle: bool,
}

/// Matches that take the event in one step, and have the same before them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Take {
    pub step: StepId,
    /// The states they come from, by position; none for the match that begins.
    pub slots: Vec<usize>,
    /// Where they wait, if they do, and whether they are complete.
    onward: (Option<StateId>, bool),
}

/// What becomes of a match.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Way {
    /// The states it waits in afterwards. Has it taken the event there?
    pub targets: Vec<(StateId, bool)>,
    /// Is it complete, too?
    pub completes: bool,
}

/// Matches that come together in a state, or are complete.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Part {
    /// Those of a state as they were.
    Slot(usize),
    /// Those that took the event, by position.
    Take(usize),
}

impl Program {
    /// Does everything stay as it is?
    pub fn is_idle(&self) -> bool {
        self.idle
    }

    /// Is nothing left, and nothing complete?
    pub fn ends_all(&self) -> bool {
        self.after.is_empty() && self.matches.is_empty()
    }

    /// The state and the step of what begins, if that is one match and nothing else.
    pub fn begins_one(&self) -> Option<(StateId, StepId)> {
        match (&*self.takes, &*self.after) {
            ([Take { step, slots, .. }], [(state, parts)]) if slots.is_empty() && self.matches.is_empty() && **parts == [Part::Take(0)] => {
                Some((*state, *step))
            }
            _ => None,
        }
    }

    fn put(&mut self, state: StateId, part: Part) {
        match self.after.binary_search_by_key(&state, |(state, _)| *state) {
            Ok(at) => self.after[at].1.push(part),
            Err(at) => self.after.insert(at, (state, vec![part])),
        }
    }

    /// Adds a match that takes the event to those that do alike.
    fn take(&mut self, slot: Option<usize>, step: StepId, onward: (Option<StateId>, bool)) {
        let alike = |take: &&mut Take| take.step == step && take.onward == onward && !take.slots.is_empty();
        if let Some(slot) = slot
            && let Some(take) = self.takes.iter_mut().find(alike)
        {
            take.slots.push(slot);
            return;
        }
        self.takes.push(Take { step, slots: slot.into_iter().collect(), onward });
        let part = Part::Take(self.takes.len() - 1);
        if onward.1 {
            self.matches.push(part);
        }
        if let Some(state) = onward.0 {
            self.put(state, part);
        }
    }

    /// Adds what becomes of the matches of a state, by position, or of the one that begins.
    fn follow<C>(&mut self, nfa: &Nfa<C>, slot: Option<usize>, decisions: &[Decision]) -> Way {
        let stops = decisions.contains(&Decision::Stop);
        let mut way = Way::default();
        for decision in decisions {
            match (*decision, slot) {
                (Decision::Move(state), Some(slot)) if nfa.state(state).kind == Kind::Final => {
                    way.completes = true;
                    self.matches.push(Part::Slot(slot));
                }
                (Decision::Move(state), Some(slot)) if !stops => {
                    way.targets.push((state, false));
                    self.put(state, Part::Slot(slot));
                }
                (Decision::Take { step, target, completes }, _) => {
                    let waits = Some(target).filter(|target| !stops && nfa.state(*target).kind != Kind::Final);
                    way.completes |= completes;
                    way.targets.extend(waits.map(|target| (target, true)));
                    if waits.is_some() || completes {
                        self.take(slot, step, (waits, completes));
                    }
                }
                _ => {}
            }
        }
        way
    }
}

/// This condition must be asked for.
struct Needs(ConditionId);

impl Automaton {
    pub fn new<C>(nfa: &Nfa<C>) -> Self {
        Self {
            first: HashMap::default(),
            questions: Vec::new(),
            programs: Vec::new(),
            ways: Ways::new(nfa),
            facts: Vec::new(),
            decisions: Vec::new(),
        }
    }

    /// What an event does where these states are occupied. `ask` is asked for no condition twice, and for none that doesn't matter.
    pub fn program<C, X>(
        &mut self,
        nfa: &Nfa<C>,
        states: &[StateId],
        ask: &mut impl FnMut(ConditionId) -> Result<bool, X>,
    ) -> Result<&Program, X> {
        let mut at = self.first_question(states);
        self.facts.clear();
        loop {
            match self.questions[at as usize] {
                Question::Asks(condition, answers) => {
                    let fact = ask(condition)?;
                    self.facts.push((condition, fact));
                    at = answers[usize::from(fact)];
                }
                Question::Answered(program) => return Ok(&self.programs[program as usize]),
                Question::Open => self.find_out(nfa, states, at),
            }
        }
    }

    fn first_question(&mut self, states: &[StateId]) -> u32 {
        if self.questions.len() > MOST_QUESTIONS {
            self.first.clear();
            self.questions.clear();
            self.programs.clear();
        }
        if let Some(first) = self.first.get(states) {
            return *first;
        }
        let first = self.open_question();
        self.first.insert(states.into(), first);
        first
    }

    fn open_question(&mut self) -> u32 {
        self.questions.push(Question::Open);
        (self.questions.len() - 1) as u32
    }

    /// Finds out what comes after the answers there are so far.
    fn find_out<C>(&mut self, nfa: &Nfa<C>, states: &[StateId], at: u32) {
        self.questions[at as usize] = match self.compile(nfa, states) {
            Ok(program) => {
                self.programs.push(program);
                Question::Answered((self.programs.len() - 1) as u32)
            }
            Err(Needs(condition)) => Question::Asks(condition, [self.open_question(), self.open_question()]),
        };
    }

    fn compile<C>(&mut self, nfa: &Nfa<C>, states: &[StateId]) -> Result<Program, Needs> {
        let facts = &self.facts;
        let known = |condition: ConditionId| facts.iter().find(|(known, _)| *known == condition).map(|(_, fact)| *fact);
        let mut ask = |condition: ConditionId| known(condition).ok_or(Needs(condition));
        let mut program = Program::default();
        for (slot, state) in states.iter().enumerate() {
            self.decisions.clear();
            self.ways.find(nfa, *state, &mut ask, &mut self.decisions)?;
            let way = program.follow(nfa, Some(slot), &self.decisions);
            program.ways.push(way);
        }
        self.decisions.clear();
        self.ways.find(nfa, nfa.start, &mut ask, &mut self.decisions)?;
        for decision in &self.decisions {
            // What must not come ends no match that is only about to begin.
            let Way { targets, completes } = program.follow(nfa, None, std::slice::from_ref(decision));
            program.begins.targets.extend(targets);
            program.begins.completes |= completes;
        }
        let parts = || program.after.iter().flat_map(|(_, parts)| parts);
        program.uses = (0..states.len()).map(|slot| parts().filter(|part| **part == Part::Slot(slot)).count()).collect();
        let stays = |(slot, state): (usize, &StateId)| program.after.get(slot) == Some(&(*state, vec![Part::Slot(slot)]));
        program.idle = program.takes.is_empty()
            && program.matches.is_empty()
            && program.after.len() == states.len()
            && states.iter().enumerate().all(stays);
        Ok(program)
    }
}

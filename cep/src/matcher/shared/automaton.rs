//! The automaton over sets of states, built as needed: which conditions to evaluate, one after the other, and what to do with the answers.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::matcher::ways::{Decision, Ways};
use crate::nfa::{ConditionId, Kind, Nfa, StateId, StepId};

/// The most questions that are remembered. Beyond that, all are forgotten and built again.
const MOST_QUESTIONS: usize = 1 << 18;

/// The automaton, one for all keys. It is never stored.
#[derive(Clone, Debug)]
pub(super) struct Automaton {
    /// The first question, by the occupied states in ascending order.
    first: HashMap<Box<[StateId]>, u32, FixedState>,
    questions: Vec<Question>,
    programs: Vec<Program>,
    ways: Ways,
    /// The answers for the current event.
    facts: Vec<(ConditionId, bool)>,
    decisions: Vec<Decision>,
}

#[derive(Clone, Copy, Debug)]
enum Question {
    /// Not built yet.
    Open,
    /// Asks whether a condition holds, and says which question comes next if not, and if so.
    Asks(ConditionId, [u32; 2]),
    /// Everything needed is known: the number of the program.
    Answered(u32),
}

/// What an event does to the matches of a key.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Program {
    /// The groups of matches that take the event.
    pub takes: Vec<Take>,
    /// What is in each state afterwards, in ascending order of states.
    pub after: Vec<(StateId, Vec<Part>)>,
    /// What is complete.
    pub matches: Vec<Part>,
    /// By position of a state: what becomes of the matches in it.
    pub ways: Vec<Way>,
    /// By position of a state: how many parts of `after` are what was in it.
    pub uses: Vec<usize>,
    /// What becomes of a match that begins with the event.
    pub begins: Way,
    idle: bool,
}

/// Matches that take the event for the same step and go on to the same state.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Take {
    pub step: StepId,
    /// The states they come from, by position. Empty for the match that begins.
    pub slots: Vec<usize>,
    /// Where they wait next, if they do, and whether they are complete.
    onward: (Option<StateId>, bool),
}

/// What becomes of a match.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Way {
    /// The states it waits in afterwards, each with whether it has taken the event on the way there.
    pub targets: Vec<(StateId, bool)>,
    /// Whether it is also complete.
    pub completes: bool,
}

/// A set of matches that goes to a state, or that is complete.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Part {
    /// The matches of a state, by position, as they were.
    Slot(usize),
    /// The matches that took the event, by position in `takes`.
    Take(usize),
}

impl Program {
    /// True if everything stays as it is.
    pub fn is_idle(&self) -> bool {
        self.idle
    }

    /// True if nothing is left and nothing is complete.
    pub fn ends_all(&self) -> bool {
        self.after.is_empty() && self.matches.is_empty()
    }

    /// If the only thing left is one match that begins, and nothing is complete: its state and step.
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

    /// Adds matches that take the event, to a group that does the same if there is one.
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

    /// Adds what becomes of the matches of a state, by position, or of the match that begins.
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

/// The condition that must be evaluated before the program can be built.
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

    /// The program of an event for a key that occupies these states. `ask` evaluates a condition; it is called at most once for each, and for none that does
    /// not matter.
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

    /// Builds what comes after the answers so far: a program, or the next question.
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
            // An event that must be absent does not end a match that is only about to begin, so each decision is followed by itself.
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

//! From a pattern to its automaton, from the last step to the first: each step is given the state that comes after it (its sink) and returns the one to
//! enter it by.
//!
//! A wait that may also move on to the next step does so for the first event only; for the rest it goes over to a twin that may not, so that no
//! two partial matches ever hold the same events in the same steps.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::{Action, Edge, Guard, Kind, Literal, Nfa, State, StateId, StepId};
use crate::pattern::{Body, Condition, Contiguity, Inner, Invalid, Misuse, Pattern, Step};

/// The most states an automaton may have.
const MOST_STATES: usize = 100_000;

pub(super) fn compile<C: Condition>(pattern: Pattern<C>) -> Result<Nfa<C>, Invalid> {
    let mut names = Vec::new();
    let mut conditions = Vec::new();
    let steps = number(pattern.steps, &mut names, &mut conditions);
    let iterative: Vec<bool> = conditions.iter().map(Condition::is_iterative).collect();
    let target = pattern.after_match.target().and_then(|to| position(&names, &to.step));
    let within = pattern.within.map(millis);
    let mut compiler = Compiler { states: Vec::new(), stops: HashMap::new(), seen: vec![false; names.len()], has_window: within.is_some() };
    let last = compiler.add(Kind::Final, None);
    let outside = Scope { head: None, untils: Vec::new(), after: None };
    let start = compiler.sequence(&steps, last, &outside)?;
    let mut nfa = Nfa { states: compiler.states, start, conditions, iterative, names, within, after_match: pattern.after_match, target };
    mark(&mut nfa);
    Ok(nfa)
}

/// A step with numbers in place of names and conditions.
struct Numbered {
    id: StepId,
    /// The step's own condition; none for groups.
    take: Option<Literal>,
    inside: Option<Vec<Numbered>>,
    contiguity: Contiguity,
    /// At least once. A closed range has a maximum.
    times: Option<(u32, Option<u32>)>,
    optional: bool,
    greedy: bool,
    inner: Inner,
    until: Option<Literal>,
    /// Milliseconds.
    within: Option<i64>,
}

impl Numbered {
    fn is_open_loop(&self) -> bool {
        matches!(self.times, Some((_, None)))
    }
}

fn number<C>(steps: Vec<Step<C>>, names: &mut Vec<Arc<str>>, conditions: &mut Vec<C>) -> Vec<Numbered> {
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
            let (take, inside) = match step.body {
                Body::Event(condition) => (condition.map(|c| literal(conditions, c)), None),
                Body::Group(steps) => (None, Some(number(steps, names, conditions))),
            };
            Numbered {
                id,
                take,
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

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn position(names: &[Arc<str>], name: &str) -> Option<StepId> {
    // A group may be called like a step, and stands before the steps in it.
    names.iter().rposition(|n| **n == *name).map(|i| i as StepId)
}

/// What surrounds a sequence of steps.
struct Scope<'p> {
    /// How the first step is entered, if not by its own contiguity.
    head: Option<Head>,
    /// The `until` conditions of the groups around.
    untils: Vec<Literal>,
    /// The step that comes after the sequence.
    after: Option<&'p Numbered>,
}

/// How a group is entered, which is how the first step in it is.
#[derive(Clone)]
struct Head {
    gap: Gap,
    /// Is there a way past the group from the state it is entered by?
    passable: bool,
    /// What must be absent until the group's first event.
    absent: Vec<Absent>,
}

/// A `not_followed_by` step, and what its events fulfil.
#[derive(Clone)]
struct Absent {
    step: StepId,
    unwanted: Vec<Literal>,
}

/// What may be passed over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Gap {
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

/// A step in its place.
#[derive(Clone, Copy)]
struct Place<'a, 'p> {
    steps: &'p [Numbered],
    index: usize,
    scope: &'a Scope<'p>,
}

impl<'p> Place<'_, 'p> {
    fn step(&self) -> &'p Numbered {
        &self.steps[self.index]
    }

    fn following(&self) -> Option<&'p Numbered> {
        self.steps.get(self.index + 1).or(self.scope.after)
    }

    fn head(&self) -> Option<&Head> {
        if self.index == 0 { self.scope.head.as_ref() } else { None }
    }

    /// Is there a way past the group that this step is the first one of?
    fn passable(&self) -> bool {
        self.head().is_some_and(|head| head.passable)
    }

    /// What may be passed over before the step's first event.
    fn gap(&self) -> Gap {
        match self.head() {
            Some(head) => head.gap,
            // The events before a match are no concern of it.
            None if self.index == 0 => Gap::Nothing,
            None => self.step().contiguity.into(),
        }
    }

    /// What an event of `step` must fulfil, the `until` of groups included.
    fn take_of(&self, step: &Numbered) -> Vec<Literal> {
        self.scope.untils.iter().map(|until| until.not()).chain(step.take).collect()
    }

    /// The same, with the step's own `until`.
    fn take(&self) -> Vec<Literal> {
        let step = self.step();
        step.until.map(Literal::not).into_iter().chain(self.take_of(step)).collect()
    }

    /// What an event that is passed over must fulfil, if any may be.
    fn ignore(&self, gap: Gap) -> Option<Guard> {
        let unfit = match gap {
            Gap::Nothing => return None,
            Gap::Unfit => Guard::not_all(self.step().take.as_slice()),
            Gap::Anything => Guard::always(),
        };
        Some(self.exit().and(&unfit))
    }

    /// What an event that a wait is moved on by must fulfil.
    fn exit(&self) -> Guard {
        Guard::all(&self.scope.untils.iter().map(|until| until.not()).collect::<Vec<_>>())
    }

    fn absent(&self, step: &Numbered) -> Absent {
        Absent { step: step.id, unwanted: self.take_of(step) }
    }

    /// What must be absent while this step is waited for: what stands before it, across optional steps and the beginning of the group.
    fn nots(&self) -> Vec<Absent> {
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

/// One state in which an event of a step may be taken.
struct Single {
    /// After the event.
    sink: StateId,
    /// Where to without it, if that is possible.
    proceed: Option<StateId>,
    take: Vec<Literal>,
    gap: Gap,
    ignore: Option<Guard>,
    /// Is it the step's first event?
    first: bool,
}

struct Compiler {
    states: Vec<State>,
    /// By the step that must not come.
    stops: HashMap<StepId, StateId>,
    /// Whether the step has a state yet.
    seen: Vec<bool>,
    /// Has the pattern a window?
    has_window: bool,
}

impl Compiler {
    fn add(&mut self, kind: Kind, within: Option<i64>) -> StateId {
        self.states.push(State { kind, edges: Vec::new(), within, iterative: false, ending: false });
        (self.states.len() - 1) as StateId
    }

    /// A state that waits for an event of `step`. The first one made of a quantified step, which stands for its last event, has no window: so it is in Flink.
    fn add_waiting(&mut self, step: &Numbered) -> StateId {
        let seen = std::mem::replace(&mut self.seen[step.id as usize], true);
        let within = step.within.filter(|_| seen || step.times.is_none());
        self.add(Kind::Waiting, within)
    }

    fn edge(&mut self, from: StateId, action: Action, target: StateId, guard: Guard) {
        self.states[from as usize].edges.push(Edge { action, target, guard });
    }

    fn kind(&self, state: StateId) -> Kind {
        self.states[state as usize].kind
    }

    /// The steps of a pattern or a group, last to first.
    fn sequence<'p>(&mut self, steps: &'p [Numbered], sink: StateId, scope: &Scope<'p>) -> Result<StateId, Invalid> {
        let mut sink = sink;
        for index in (0..steps.len()).rev() {
            let place = Place { steps, index, scope };
            sink = match steps[index].contiguity {
                Contiguity::NotFollowedBy => self.absent_until(&place, sink),
                Contiguity::NotNext => self.absent_next(&place, sink),
                _ => self.step(&place, sink)?,
            };
            if self.states.len() > MOST_STATES {
                return Err(Invalid(vec![Misuse::TooLarge(MOST_STATES)]));
            }
        }
        Ok(sink)
    }

    /// At the end of a pattern, waits for time to run out. Elsewhere, the states of the step that follows see to it.
    fn absent_until(&mut self, place: &Place<'_, '_>, sink: StateId) -> StateId {
        let step = place.step();
        if self.kind(sink) != Kind::Final || !(step.within.is_some() || self.has_window) {
            return sink;
        }
        let pending = self.add(Kind::Pending, step.within);
        let absent = place.absent(step);
        self.stop(pending, &absent);
        self.edge(pending, Action::Ignore, pending, Guard::not_all(&absent.unwanted));
        pending
    }

    fn absent_next(&mut self, place: &Place<'_, '_>, sink: StateId) -> StateId {
        let step = place.step();
        let wait = self.add_waiting(step);
        let absent = place.absent(step);
        // At the end, an event must come to tell that it is another one.
        let action = if self.kind(sink) == Kind::Final { Action::Ignore } else { Action::Proceed };
        self.edge(wait, action, sink, Guard::not_all(&absent.unwanted));
        self.stop(wait, &absent);
        wait
    }

    /// Has an event that must be absent end what waits in `state`.
    fn stop(&mut self, state: StateId, absent: &Absent) {
        let stop = match self.stops.get(&absent.step) {
            Some(stop) => *stop,
            None => {
                let stop = self.add(Kind::Stop, None);
                self.stops.insert(absent.step, stop);
                stop
            }
        };
        self.edge(state, Action::Proceed, stop, Guard::all(&absent.unwanted));
    }

    fn stop_at_nots_before(&mut self, state: StateId, place: &Place<'_, '_>) {
        for absent in place.nots() {
            self.stop(state, &absent);
        }
    }

    /// An absence that follows a loop holds between the events of the loop already.
    fn stop_at_not_after(&mut self, state: StateId, place: &Place<'_, '_>) {
        if let Some(not) = place.following().filter(|step| step.contiguity == Contiguity::NotFollowedBy) {
            self.stop(state, &place.absent(not));
        }
    }

    fn step(&mut self, place: &Place<'_, '_>, sink: StateId) -> Result<StateId, Invalid> {
        let step = place.step();
        // Once an event of this step is taken, what had to be absent before it may come.
        let free = self.without_nots(place, sink);
        let entry = if step.is_open_loop() {
            let looping = self.looping(place, free)?;
            if step.greedy && free != sink {
                self.keep_from(sink, &place.take_of(step));
            }
            self.counted(place, looping.state, sink, looping.after_until)?
        } else {
            self.counted(place, free, sink, None)?
        };
        // A group's first step has seen to it.
        if step.inside.is_none() {
            self.stop_at_nots_before(entry, place);
        }
        Ok(entry)
    }

    /// The states up to the minimum, and those of a closed range; the first one last. `proceed` is where leaving the step out leads.
    fn counted(
        &mut self,
        place: &Place<'_, '_>,
        sink: StateId,
        proceed: StateId,
        after_until: Option<StateId>,
    ) -> Result<StateId, Invalid> {
        let step = place.step();
        let (min, max) = step.times.map_or((1, 1), |(min, max)| (min, max.unwrap_or(min)));
        let take = place.take();
        let gap = step.inner.into();
        let ignore = place.ignore(gap).map(|guard| not_until(step).and(&guard));
        if step.greedy && min != max {
            self.keep_from(sink, &take);
            if proceed != sink {
                self.keep_from(proceed, &take);
            }
        }
        let after = sink;
        let mut sink = sink;
        for n in (1..max).rev() {
            let exit = (n >= min).then_some(after);
            sink =
                self.single(place, Single { sink, proceed: exit, take: take.clone(), gap, ignore: ignore.clone(), first: false }, None)?;
            self.stop_at_not_after(sink, place);
        }
        let exit = step.optional.then_some(proceed);
        let first = Single { sink, proceed: exit, take, gap: place.gap(), ignore: place.ignore(place.gap()), first: true };
        self.single(place, first, after_until)
    }

    /// A state that takes an event of the step, or enters the group. `after_until` is the sink for an event that fulfils `until`, of a greedy loop.
    fn single(&mut self, place: &Place<'_, '_>, single: Single, after_until: Option<StateId>) -> Result<StateId, Invalid> {
        let step = place.step();
        let passable = single.proceed.is_some() || (single.first && place.passable());
        if let Some(inside) = &step.inside {
            let absent = if single.first { place.nots() } else { Vec::new() };
            let entry = self.sequence(inside, single.sink, &inner_scope(place, Head { gap: single.gap, passable, absent }))?;
            if let Some(proceed) = single.proceed {
                self.edge(entry, Action::Proceed, proceed, place.exit());
            }
            return Ok(entry);
        }
        let state = self.add_waiting(step);
        self.edge(state, Action::Take(step.id), single.sink, Guard::all(&single.take));
        if let Some(proceed) = single.proceed {
            match (after_until, step.until) {
                (Some(after_until), Some(until)) => self.proceed_around(state, proceed, after_until, until, place),
                _ => self.edge(state, Action::Proceed, proceed, place.exit()),
            }
        }
        if let Some(ignore) = single.ignore {
            let waiting = if passable {
                let twin = self.add(Kind::Waiting, None);
                self.edge(twin, Action::Take(step.id), single.sink, Guard::all(&single.take));
                self.edge(twin, Action::Ignore, twin, ignore.clone());
                if single.first {
                    self.stop_at_nots_before(twin, place);
                } else {
                    self.stop_at_not_after(twin, place);
                }
                twin
            } else {
                state
            };
            self.edge(state, Action::Ignore, waiting, ignore);
        }
        Ok(state)
    }

    /// The state in which an open-ended loop takes what comes beyond its minimum.
    fn looping(&mut self, place: &Place<'_, '_>, sink: StateId) -> Result<Looping, Invalid> {
        let step = place.step();
        if let Some(inside) = &step.inside {
            let again = self.add(Kind::Waiting, None);
            let head = Head { gap: step.inner.into(), passable: true, absent: Vec::new() };
            let entry = self.sequence(inside, again, &inner_scope(place, head))?;
            self.edge(entry, Action::Proceed, sink, place.exit());
            self.edge(again, Action::Proceed, entry, place.exit());
            return Ok(Looping { state: entry, after_until: None });
        }
        let take = Guard::all(&place.take());
        let state = self.add_waiting(step);
        let mut after_until = None;
        if step.greedy {
            if let Some(until) = step.until {
                // The event that ends the loop is not the loop's, so it is free for the next step.
                let free = self.twin(sink);
                self.proceed_around(state, sink, free, until, place);
                after_until = Some(free);
            } else {
                self.edge(state, Action::Proceed, sink, place.exit());
            }
            self.keep_from(sink, &place.take_of(step));
        } else {
            self.edge(state, Action::Proceed, sink, place.exit());
        }
        self.edge(state, Action::Take(step.id), state, take.clone());
        self.stop_at_not_after(state, place);
        if let Some(ignore) = place.ignore(step.inner.into()) {
            let ignore = not_until(step).and(&ignore);
            let twin = self.add(Kind::Waiting, None);
            self.edge(twin, Action::Take(step.id), state, take);
            self.edge(twin, Action::Ignore, twin, ignore.clone());
            self.edge(state, Action::Ignore, twin, ignore);
            self.stop_at_not_after(twin, place);
        }
        Ok(Looping { state, after_until })
    }

    /// Moves on to `after_until` with an event that fulfils `until`, else to `sink`.
    fn proceed_around(&mut self, state: StateId, sink: StateId, after_until: StateId, until: Literal, place: &Place<'_, '_>) {
        self.edge(state, Action::Proceed, after_until, place.exit().and(&Guard::all(&[until])));
        self.edge(state, Action::Proceed, sink, place.exit().and(&Guard::all(&[until.not()])));
    }

    /// Keeps the events of a greedy loop from `state`.
    fn keep_from(&mut self, state: StateId, take: &[Literal]) {
        let unfit = Guard::not_all(take);
        for edge in &mut self.states[state as usize].edges {
            edge.guard = std::mem::take(&mut edge.guard).and(&unfit);
        }
    }

    /// A second state like this one.
    fn twin(&mut self, of: StateId) -> StateId {
        let State { kind, within, .. } = self.states[of as usize];
        let twin = self.add(kind, within);
        let mut edges = self.states[of as usize].edges.clone();
        for edge in edges.iter_mut().filter(|edge| edge.target == of) {
            edge.target = twin;
        }
        self.states[twin as usize].edges = edges;
        twin
    }

    /// The sink of an optional step, freed of the absences that stand before the step. They stay in force where the step is left out.
    fn without_nots(&mut self, place: &Place<'_, '_>, sink: StateId) -> StateId {
        let nots = place.nots();
        if nots.is_empty() || !place.step().optional {
            return sink;
        }
        let stops: Vec<StateId> = nots.iter().filter_map(|not| self.stops.get(&not.step).copied()).collect();
        self.freed(sink, &stops, &mut HashMap::new())
    }

    fn freed(&mut self, state: StateId, stops: &[StateId], done: &mut HashMap<StateId, StateId>) -> StateId {
        if self.kind(state) == Kind::Final {
            return state;
        }
        if let Some(free) = done.get(&state) {
            return *free;
        }
        let free = self.twin(state);
        done.insert(state, free);
        let mut edges = std::mem::take(&mut self.states[free as usize].edges);
        edges.retain(|edge| edge.action != Action::Proceed || !stops.contains(&edge.target));
        for edge in &mut edges {
            if edge.action == Action::Proceed && self.kind(edge.target) != Kind::Stop {
                edge.target = self.freed(edge.target, stops, done);
            }
        }
        self.states[free as usize].edges = edges;
        free
    }
}

struct Looping {
    state: StateId,
    /// What comes after the loop, for the event that ended it; of a greedy loop.
    after_until: Option<StateId>,
}

fn not_until(step: &Numbered) -> Guard {
    step.until.map_or_else(Guard::always, |until| Guard::all(&[until.not()]))
}

fn inner_scope<'p>(place: &Place<'_, 'p>, head: Head) -> Scope<'p> {
    let untils = place.scope.untils.iter().copied().chain(place.step().until).collect();
    Scope { head: Some(head), untils, after: place.following() }
}

/// Marks what is told of states by the ways that lead from them.
fn mark<C>(nfa: &mut Nfa<C>) {
    let asks = |edge: &Edge| edge.guard.conditions().any(|c| nfa.iterative[c as usize]);
    // Whether what is taken completes a match is decided with the same event, by the ways on from where it leads.
    let onward = spread(&nfa.states, |edge, onward| edge.action == Action::Proceed && (asks(edge) || onward[edge.target as usize]));
    let marked = spread(&nfa.states, |edge, marked| match edge.action {
        Action::Take(_) => asks(edge) || onward[edge.target as usize],
        Action::Ignore => asks(edge),
        Action::Proceed => asks(edge) || marked[edge.target as usize],
    });
    let finals: Vec<bool> = nfa.states.iter().map(|state| state.kind == Kind::Final).collect();
    let ending = spread(&nfa.states, |edge, ending| {
        edge.action == Action::Proceed && (finals[edge.target as usize] || ending[edge.target as usize])
    });
    for (state, (marked, ending)) in nfa.states.iter_mut().zip(marked.into_iter().zip(ending)) {
        state.iterative = marked;
        state.ending = ending;
    }
}

/// The least set of states that holds those with an edge for which `joins` says so of the set.
fn spread(states: &[State], joins: impl Fn(&Edge, &[bool]) -> bool) -> Vec<bool> {
    let mut set = vec![false; states.len()];
    let mut grown = true;
    // Sinks come first, so that this ends after very few rounds.
    while std::mem::take(&mut grown) {
        for (i, state) in states.iter().enumerate() {
            if !set[i] && state.edges.iter().any(|edge| joins(edge, &set)) {
                set[i] = true;
                grown = true;
            }
        }
    }
    set
}

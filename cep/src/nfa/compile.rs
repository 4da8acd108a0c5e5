//! Compiles a pattern to its automaton, from the last step to the first: each step gets the state that comes after it (its sink) and returns the state
//! to enter it by.
//!
//! A wait that may also move on to the next step does so for its first event only. For the others it goes over to a twin that may not, so that two
//! partial matches never hold the same events in the same steps.

mod mark;
mod number;
mod place;

use std::collections::HashMap;

use super::{Action, Edge, Guard, Kind, Literal, Nfa, State, StateId, StepId};
use crate::pattern::{Condition, Contiguity, Invalid, Misuse, Pattern};
use mark::mark;
use number::{Numbered, millis, number, position, takes};
use place::{Absent, Gap, Head, Place, Scope, inner_scope, not_until};

/// The most states an automaton may have.
const MOST_STATES: usize = 100_000;

pub(super) fn compile<C: Condition>(pattern: Pattern<C>) -> Result<Nfa<C>, Invalid> {
    let mut names = Vec::new();
    let mut conditions = Vec::new();
    let steps = number(pattern.steps, &mut names, &mut conditions);
    let iterative: Vec<bool> = conditions.iter().map(Condition::is_iterative).collect();
    let takes = takes(&steps, names.len());
    let target = pattern.after_match.target().and_then(|to| position(&names, &takes, &to.step));
    let within = pattern.within.map(millis);
    let mut compiler = Compiler { states: Vec::new(), stops: HashMap::new(), seen: vec![false; names.len()], has_window: within.is_some() };
    let last = compiler.add(Kind::Final, None);
    let outside = Scope { head: None, untils: Vec::new(), after: None };
    let start = compiler.sequence(&steps, last, &outside)?;
    let mut nfa =
        Nfa { states: compiler.states, start, conditions, iterative, names, takes, within, after_match: pattern.after_match, target };
    mark(&mut nfa);
    Ok(nfa)
}

/// A state to build, in which an event of a step may be taken.
struct Single {
    /// Where to go with the event.
    sink: StateId,
    /// Where to go without it, if that is possible.
    proceed: Option<StateId>,
    take: Guard,
    gap: Gap,
    ignore: Option<Guard>,
    /// Whether it is the first event of the step.
    first: bool,
}

struct Compiler {
    states: Vec<State>,
    /// The stop state for each step that must be absent.
    stops: HashMap<StepId, StateId>,
    /// By step: whether it has a state yet.
    seen: Vec<bool>,
    /// Whether the pattern has a window.
    has_window: bool,
}

impl Compiler {
    fn add(&mut self, kind: Kind, within: Option<i64>) -> StateId {
        self.states.push(State { kind, edges: Vec::new(), within, iterative: false, ending: false });
        (self.states.len() - 1) as StateId
    }

    /// Adds a state that waits for an event of `step`. The first state made of a quantified step stands for its last event and has no window, as in
    /// Flink.
    fn add_waiting(&mut self, step: &Numbered) -> StateId {
        let seen = std::mem::replace(&mut self.seen[step.id as usize], true);
        let within = step.within.filter(|_| seen || step.times.is_none());
        self.add(Kind::Waiting, within)
    }

    fn edge(&mut self, from: StateId, action: Action, target: StateId, guard: Guard) {
        self.states[from as usize].edges.push(Edge { action, target, guard });
    }

    /// Adds edges that take events of the step if they also fulfil `guard`.
    fn take(&mut self, from: StateId, step: &Numbered, target: StateId, guard: &Guard) {
        for (kind, fits) in step.kinds() {
            self.edge(from, Action::Take(kind), target, guard.clone().and(&fits));
        }
    }

    fn kind(&self, state: StateId) -> Kind {
        self.states[state as usize].kind
    }

    /// Compiles the steps of a pattern or a group, last to first, and returns the state to enter them by.
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

    /// Compiles a `not_followed_by`. At the end of a pattern it is a state that waits for time to run out; elsewhere, the states of the step that follows
    /// see to it.
    fn absent_until(&mut self, place: &Place<'_, '_>, sink: StateId) -> StateId {
        let step = place.step();
        if self.kind(sink) != Kind::Final || !(step.within.is_some() || self.has_window) {
            return sink;
        }
        let pending = self.add(Kind::Pending, step.within);
        let absent = place.absent(step);
        self.stop(pending, &absent);
        self.edge(pending, Action::Ignore, pending, absent.unwanted.not());
        pending
    }

    fn absent_next(&mut self, place: &Place<'_, '_>, sink: StateId) -> StateId {
        let step = place.step();
        let wait = self.add_waiting(step);
        let absent = place.absent(step);
        // At the end of a pattern, the next event must come before it is known not to be the unwanted one.
        let action = if self.kind(sink) == Kind::Final { Action::Ignore } else { Action::Proceed };
        self.edge(wait, action, sink, absent.unwanted.not());
        self.stop(wait, &absent);
        wait
    }

    /// Lets an event that must be absent end what waits in `state`.
    fn stop(&mut self, state: StateId, absent: &Absent) {
        let stop = match self.stops.get(&absent.step) {
            Some(stop) => *stop,
            None => {
                let stop = self.add(Kind::Stop, None);
                self.stops.insert(absent.step, stop);
                stop
            }
        };
        self.edge(state, Action::Proceed, stop, absent.unwanted.clone());
    }

    fn stop_at_nots_before(&mut self, state: StateId, place: &Place<'_, '_>) {
        for absent in place.nots() {
            self.stop(state, &absent);
        }
    }

    /// Lets an absence that follows a loop hold between the events of the loop, too.
    fn stop_at_not_after(&mut self, state: StateId, place: &Place<'_, '_>) {
        if let Some(not) = place.following().filter(|step| step.contiguity == Contiguity::NotFollowedBy) {
            self.stop(state, &place.absent(not));
        }
    }

    fn step(&mut self, place: &Place<'_, '_>, sink: StateId) -> Result<StateId, Invalid> {
        let step = place.step();
        // Once an event of this step is taken, what had to be absent before it is allowed.
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
        // In a group, the first step has seen to it.
        if step.inside.is_none() {
            self.stop_at_nots_before(entry, place);
        }
        Ok(entry)
    }

    /// Adds the states up to the minimum, and those of a closed range, the first one last. `proceed` is where leaving the step out leads.
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

    /// Adds a state that takes an event of the step, or that enters the group. In a greedy loop, `after_until` is the sink for an event that fulfils
    /// `until`.
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
        self.take(state, step, single.sink, &single.take);
        if let Some(proceed) = single.proceed {
            match (after_until, step.until) {
                (Some(after_until), Some(until)) => self.proceed_around(state, proceed, after_until, until, place),
                _ => self.edge(state, Action::Proceed, proceed, place.exit()),
            }
        }
        if let Some(ignore) = single.ignore {
            let waiting = if passable {
                let twin = self.add(Kind::Waiting, None);
                self.take(twin, step, single.sink, &single.take);
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

    /// Adds the state in which an open-ended loop takes what comes beyond its minimum.
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
        let take = place.take();
        let state = self.add_waiting(step);
        let mut after_until = None;
        if step.greedy {
            if let Some(until) = step.until {
                // The loop does not take the event that ends it, so the next step may.
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
        self.take(state, step, state, &take);
        self.stop_at_not_after(state, place);
        if let Some(ignore) = place.ignore(step.inner.into()) {
            let ignore = not_until(step).and(&ignore);
            let twin = self.add(Kind::Waiting, None);
            self.take(twin, step, state, &take);
            self.edge(twin, Action::Ignore, twin, ignore.clone());
            self.edge(state, Action::Ignore, twin, ignore);
            self.stop_at_not_after(twin, place);
        }
        Ok(Looping { state, after_until })
    }

    /// Adds edges that proceed to `after_until` with an event that fulfils `until`, and else to `sink`.
    fn proceed_around(&mut self, state: StateId, sink: StateId, after_until: StateId, until: Literal, place: &Place<'_, '_>) {
        self.edge(state, Action::Proceed, after_until, place.exit().and(&Guard::all(&[until])));
        self.edge(state, Action::Proceed, sink, place.exit().and(&Guard::all(&[until.not()])));
    }

    /// Keeps the events that a greedy loop takes from the edges of `state`.
    fn keep_from(&mut self, state: StateId, take: &Guard) {
        let unfit = take.not();
        // What goes on waiting there is in a twin of the state.
        let twin = self.states[state as usize].edges.iter().find(|edge| edge.action == Action::Ignore).map(|edge| edge.target);
        for state in [Some(state), twin.filter(|twin| *twin != state)].into_iter().flatten() {
            for edge in &mut self.states[state as usize].edges {
                edge.guard = std::mem::take(&mut edge.guard).and(&unfit);
            }
        }
    }

    /// Adds a second state like this one.
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

    /// The sink of an optional step, without the absences that stand before the step. They stay in force where the step is left out.
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
    /// In a greedy loop with `until`, where the event that ends the loop goes.
    after_until: Option<StateId>,
}

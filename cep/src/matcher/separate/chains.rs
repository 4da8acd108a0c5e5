//! Appends an event to the chains of the runs that take it, so that equal chains stay one.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::runs::Chain;
use crate::matcher::past::Past;
use crate::nfa::StepId;

/// The nodes of the current event.
#[derive(Clone, Debug, Default)]
pub(super) struct Appended {
    event: u32,
    /// Nodes by the node before and the step.
    nodes: HashMap<(u32, StepId), u32, FixedState>,
    /// One node for each step. Any node of a step can be where a chain begins.
    by_step: Vec<(StepId, u32)>,
}

impl Appended {
    /// Starts with another event.
    pub fn start(&mut self, event: u32) {
        self.event = event;
        self.nodes.clear();
        self.by_step.clear();
    }

    /// Appends the event to a chain, or begins a chain with it.
    pub fn append<E>(&mut self, past: &mut Past<E>, chain: Option<Chain>, step: StepId) -> Chain {
        let known = self.by_step.iter().find(|(of, _)| *of == step).map(|(_, node)| *node);
        let Some(Chain { node: before, first, length }) = chain else {
            let node = known.unwrap_or_else(|| {
                let node = past.begin(step, self.event);
                self.by_step.push((step, node));
                node
            });
            return Chain { node, first: self.event, length: 1 };
        };
        let event = self.event;
        let node = *self.nodes.entry((before, step)).or_insert_with(|| past.append(step, event, before, super::NONE));
        if known.is_none() {
            self.by_step.push((step, node));
        }
        Chain { node, first, length: length + 1 }
    }
}

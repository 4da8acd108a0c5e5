//! What the instances of one operator in a process share.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::Error;

/// What the instances of one operator share, by the number of the state it belongs to.
#[derive(Clone)]
pub(crate) struct Shares {
    /// The number of instances in the process.
    pub(super) instances: usize,
    by_state: Arc<Mutex<BTreeMap<u8, Arc<dyn Any + Send + Sync>>>>,
}

impl Shares {
    /// Shares for this many instances.
    pub(crate) fn among(instances: usize) -> Self {
        Self { instances: instances.max(1), by_state: Arc::default() }
    }

    /// What the instances share for this state. Created by the first to ask.
    pub(super) fn of<S: Default + Send + Sync + 'static>(&self, state: u8) -> Result<Arc<S>, Error> {
        let mut by_state = self.by_state.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = by_state.entry(state).or_insert_with(|| Arc::new(S::default()));
        Arc::clone(shared).downcast().map_err(|_| Error::internal("the instances of an operator share a state of two types"))
    }
}

//! What the instances of one operator in a process share.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::Error;

/// Things that the instances of one operator share, by the number of the state they belong to.
#[derive(Clone)]
pub(crate) struct Shares {
    /// How many instances there are in the process.
    pub(super) instances: usize,
    by_state: Arc<Mutex<BTreeMap<u8, Arc<dyn Any + Send + Sync>>>>,
}

impl Shares {
    /// Among so many instances.
    pub(crate) fn among(instances: usize) -> Self {
        Self { instances: instances.max(1), by_state: Arc::default() }
    }

    /// What they share for this state, made by whoever asks first.
    pub(super) fn of<S: Default + Send + Sync + 'static>(&self, state: u8) -> Result<Arc<S>, Error> {
        let mut by_state = self.by_state.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = by_state.entry(state).or_insert_with(|| Arc::new(S::default()));
        Arc::clone(shared).downcast().map_err(|_| Error::internal("the instances of an operator share a state of two types"))
    }
}

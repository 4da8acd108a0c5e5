//! Sends a writer's units when their checkpoints are complete. Transactions take time, and the writer goes on
//! meanwhile.

use std::sync::{Arc, Mutex, PoisonError};

use tidegate_runtime::sink::{self, Committable};
use tidegate_runtime::{Epoch, Error};

use super::transaction::Committer;
use super::unit::Unit;

/// The last epoch that is known to be committed. Clones share it; each writer has its own.
#[derive(Clone, Default)]
pub(super) struct Confirmed(Arc<Mutex<Option<Epoch>>>);

impl Confirmed {
    pub(super) fn get(&self) -> Option<Epoch> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, epoch: Epoch) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(epoch);
    }
}

/// Settles units in the order they were sealed.
pub(super) struct Settling {
    pub(super) committer: Committer,
    pub(super) confirmed: Confirmed,
}

impl sink::Committer for Settling {
    fn commit(&mut self, _: Epoch, committables: Vec<Committable>) -> Result<(), Error> {
        for unit in committables.iter().map(Unit::read) {
            let unit = unit?;
            self.committer.settle(&unit)?;
            self.confirmed.set(unit.epoch);
        }
        Ok(())
    }
}

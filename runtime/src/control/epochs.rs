//! The epoch that sources should be in, what is taken at the end of each, and the one that begins with a stop.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use tidegate_checkpoints::Epoch;

use super::Turn;
use crate::checkpoint::Plan;

/// The epochs of a run. The leader turns them, one at a time.
pub(crate) struct Epochs {
    first: Epoch,
    current: AtomicU32,
    /// What is taken at the ends of epochs, until it is complete or has failed.
    plans: Mutex<BTreeMap<Epoch, Plan>>,
    stopping: AtomicBool,
    draining: AtomicBool,
    /// The epoch that begins with the stop. Nothing is read in it.
    stopped_in: OnceLock<Epoch>,
}

impl Epochs {
    /// The epochs of a run that begins in `first`.
    pub(super) fn new(first: Epoch) -> Self {
        Self {
            first,
            current: AtomicU32::new(first.0),
            plans: Mutex::default(),
            stopping: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            stopped_in: OnceLock::new(),
        }
    }

    fn plans(&self) -> MutexGuard<'_, BTreeMap<Epoch, Plan>> {
        self.plans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn turn(&self, turn: Turn) {
        match turn {
            Turn::End { epoch, plan } => {
                // The plan comes first: whoever is in the new epoch must know what to take at the end of the former one.
                if let Some(plan) = plan {
                    self.plans().insert(epoch, plan);
                }
                self.current.fetch_max(epoch.next().0, SeqCst);
            }
            Turn::Done(epoch) => {
                self.plans().remove(&epoch);
            }
            // It comes before the epoch of the stop: whoever is in that epoch then knows that nothing may be read in it.
            Turn::Stopping => self.stopping.store(true, SeqCst),
            Turn::Stopped(epoch) => {
                let _ = self.stopped_in.set(epoch);
            }
            Turn::Draining => self.draining.store(true, SeqCst),
        }
    }

    /// The epoch the run begins in.
    pub(crate) fn first(&self) -> Epoch {
        self.first
    }

    /// The epoch sources should be in.
    pub(crate) fn current(&self) -> Epoch {
        Epoch(self.current.load(SeqCst))
    }

    /// What to take at the end of this epoch, if anything.
    pub(crate) fn plan(&self, epoch: Epoch) -> Option<Plan> {
        self.plans().get(&epoch).cloned()
    }

    /// The epochs at whose ends something is being taken.
    pub(crate) fn planned(&self) -> Vec<Epoch> {
        self.plans().keys().copied().collect()
    }

    /// Whether something is being taken.
    pub(crate) fn taking(&self) -> bool {
        !self.plans().is_empty()
    }

    /// Whether the sources are to end as if they had read everything.
    pub(crate) fn draining(&self) -> bool {
        self.draining.load(SeqCst)
    }

    /// Whether the job was asked to stop.
    pub(crate) fn stopping(&self) -> bool {
        self.stopping.load(SeqCst)
    }

    /// The first epoch after a stop: everything read lies before it. `None` until the job has stopped reading.
    pub(crate) fn stopped_in(&self) -> Option<Epoch> {
        self.stopped_in.get().copied()
    }
}

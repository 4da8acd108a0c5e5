//! The epoch that sources should be in, and the one that begins with a stop.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};

use tidegate_checkpoints::Epoch;

use crate::board::Board;

/// The epochs of a run. Only the checkpoints step them, one at a time.
pub(crate) struct Epochs {
    first: Epoch,
    current: AtomicU32,
    stopping: AtomicBool,
    draining: AtomicBool,
    /// The epoch that begins with the stop. Nothing is read in it.
    stopped_in: OnceLock<Epoch>,
    board: Arc<Board>,
}

impl Epochs {
    /// The epochs of a run that begins in `first`.
    pub(crate) fn new(first: Epoch, board: Arc<Board>) -> Self {
        Self {
            first,
            current: AtomicU32::new(first.0),
            stopping: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            stopped_in: OnceLock::new(),
            board,
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

    /// Begins the next epoch: every source wakes and injects a barrier into its stream.
    pub(crate) fn step(&self) -> Epoch {
        let next = Epoch(self.current.fetch_add(1, SeqCst) + 1);
        self.board.bell.ring();
        next
    }

    /// Stops the job. `step` injects the last barriers and returns the epoch after them. Has no effect the second time.
    pub(crate) fn stop(&self, step: impl FnOnce() -> Epoch) {
        // Set the flag before the epoch: whoever is in the new epoch then knows that nothing may be read in it.
        if !self.stopping.swap(true, SeqCst) {
            let _ = self.stopped_in.set(step());
        }
    }

    /// Makes every source end as if it had read everything.
    pub(crate) fn drain(&self) {
        self.draining.store(true, SeqCst);
        self.board.bell.ring();
    }

    /// Whether the sources are to end as if they had read everything.
    pub(crate) fn draining(&self) -> bool {
        self.draining.load(SeqCst)
    }

    /// Whether the job was asked to stop.
    pub(crate) fn stopping(&self) -> bool {
        self.stopping.load(SeqCst)
    }

    /// The first epoch after a stop: everything read lies before it. `None` until the job is asked to stop.
    pub(crate) fn stopped_in(&self) -> Option<Epoch> {
        self.stopped_in.get().copied()
    }
}

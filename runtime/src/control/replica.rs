//! What every process of a job knows alike.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Mutex, PoisonError};

use tidegate_checkpoints::Epoch;

use super::{Epochs, Everyone, Failure, Listings, ToAll, Workers};
use crate::board::Board;
use crate::source::Waker;

/// The picture of a job that its processes share, as one of them has it. It changes only by messages.
pub(crate) struct Replica {
    pub(crate) failure: Failure,
    pub(crate) epochs: Epochs,
    pub(crate) board: Board,
    pub(crate) completion: Completion,
    pub(crate) listings: Listings,
    /// The threads of the workers of this process.
    pub(crate) workers: Workers,
}

impl Replica {
    /// The picture of a job that begins in epoch `first`, with `sources` sources on a board.
    pub(crate) fn new(first: Epoch, board: Board, sources: usize, workers: usize) -> Self {
        Self {
            failure: Failure::default(),
            epochs: Epochs::new(first),
            board,
            completion: Completion::default(),
            listings: Listings::new(sources),
            workers: Workers::new(workers),
        }
    }
}

/// In a job of one process, everyone is this process.
impl Everyone for Replica {
    fn tell(&self, message: ToAll) {
        match message {
            ToAll::Over(cause) => {
                self.failure.over_with(cause);
                self.workers.rouse();
            }
            ToAll::Epoch(turn) => {
                self.epochs.turn(turn);
                self.board.bell.ring();
                self.workers.rouse();
            }
            ToAll::Posted { source, worker, post } => self.board.put(source, worker, post),
            ToAll::Complete(epoch) => {
                self.completion.advance(epoch);
                self.board.bell.ring();
            }
            ToAll::Shared { source, value } => self.listings.share(source, value),
            ToAll::Begins { source, begins } => self.listings.begin(source, begins),
        }
    }
}

/// How far the job is part of complete checkpoints from which it would resume.
#[derive(Default)]
pub(crate) struct Completion {
    /// The epoch after the last complete one, or 0 if there is none.
    completed: AtomicU64,
    /// Wakers of the sinks.
    waiting: Mutex<Vec<Waker>>,
}

impl Completion {
    fn waiting(&self) -> std::sync::MutexGuard<'_, Vec<Waker>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The epoch before which everything is part of a complete checkpoint.
    pub(crate) fn completed(&self) -> u64 {
        self.completed.load(SeqCst)
    }

    /// Wakes an operator whenever a checkpoint is complete that lets sinks commit.
    pub(crate) fn wake(&self, waker: Waker) {
        self.waiting().push(waker);
    }

    fn advance(&self, epoch: Epoch) {
        self.completed.fetch_max(u64::from(epoch.0) + 1, SeqCst);
        self.waiting().iter().for_each(Waker::wake);
    }
}

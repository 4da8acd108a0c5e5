//! What a sink has sealed but not committed, and the thread that commits it.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};

use tidegate_checkpoints::Epoch;

use super::threads::{Answer, Answers, Threads};
use crate::error::Error;
use crate::sink::{Cancellation, Committable, Committer};

/// How many committable epochs may wait for their commit before the sink stops taking records.
const BEHIND: usize = 2;

type Order = (Epoch, Vec<Committable>);

/// What was sealed but not committed.
#[derive(Default)]
pub(super) struct Commits {
    /// By epoch.
    waiting: VecDeque<(Epoch, Vec<Committable>)>,
    /// The epoch up to which a commit is in progress.
    under_way: Option<Epoch>,
    /// The orders for the committing thread. `None`: nothing is held back.
    orders: Option<Sender<Order>>,
}

impl Commits {
    /// Starts the thread on which `committer` commits.
    pub(super) fn start<T: Send + 'static>(
        &mut self,
        threads: &mut Threads<T>,
        name: &str,
        committer: Box<dyn Committer>,
    ) -> Result<(), Error> {
        let (sender, orders) = channel();
        self.orders = Some(sender);
        let cancellation = threads.cancellation().clone();
        threads.start(format!("{name}-commit"), move |answers| attend(committer, &orders, answers, &cancellation))
    }

    /// Adds what was sealed for an epoch.
    pub(super) fn sealed(&mut self, epoch: Epoch, committables: Vec<Committable>) {
        self.waiting.push_back((epoch, committables));
    }

    /// Everything sealed but not committed.
    pub(super) fn waiting(&self) -> impl Iterator<Item = &Committable> {
        self.waiting.iter().flat_map(|(_, committables)| committables)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The waiting epochs before `end`.
    fn ready(&self, end: u64) -> impl Iterator<Item = Epoch> + '_ {
        self.waiting.iter().map(|(epoch, _)| *epoch).take_while(move |epoch| u64::from(epoch.0) < end)
    }

    /// Whether the committer is too slow and epochs would pile up.
    pub(super) fn behind(&self, end: u64) -> bool {
        self.ready(end).nth(BEHIND).is_some()
    }

    /// The epoch up to which a commit can begin, if only epochs before `end` may be committed.
    pub(super) fn next(&self, end: u64) -> Option<Epoch> {
        if self.under_way.is_some() { None } else { self.ready(end).last() }
    }

    /// Begins to commit up to and including `epoch`. Returns true if that is already done because nothing is held back.
    pub(super) fn begin(&mut self, epoch: Epoch) -> bool {
        let Some(orders) = &self.orders else { return true };
        let up_to = self.waiting.iter().take_while(|(sealed, _)| *sealed <= epoch);
        let committables = up_to.flat_map(|(_, committables)| committables.iter().cloned()).collect();
        self.under_way = Some(epoch);
        // If the thread has failed, its next answer says so.
        let _ = orders.send((epoch, committables));
        false
    }

    /// Everything up to and including `epoch` is committed. Returns the files that are no longer needed.
    pub(super) fn committed(&mut self, epoch: Epoch) -> Vec<PathBuf> {
        self.under_way = None;
        let mut files = Vec::new();
        while let Some((_, committables)) = self.waiting.pop_front_if(|(sealed, _)| *sealed <= epoch) {
            files.extend(committables.into_iter().filter_map(|committable| committable.file));
        }
        files
    }

    /// Nothing more will be committed. The thread ends once it has dropped its committer.
    pub(super) fn close(&mut self) {
        self.orders = None;
    }
}

/// Executes commit orders until the operator hangs up.
fn attend<T>(
    mut committer: Box<dyn Committer>,
    orders: &Receiver<Order>,
    answers: &Answers<T>,
    cancellation: &Cancellation,
) -> Result<(), Error> {
    for (epoch, committables) in orders {
        if cancellation.is_cancelled() {
            break;
        }
        committer.commit(epoch, committables)?;
        answers.send(Answer::Committed(epoch));
    }
    Ok(())
}

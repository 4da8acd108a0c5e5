//! The order in which a stateful operator sees batches, watermarks and seals: the rules of the time model, as a pure state machine.
//!
//! - A batch of an epoch later than the operator's own is stashed until every earlier epoch is sealed, then replayed in arrival order
//!   (barrier alignment). In at-least-once mode nothing is stashed: that is the whole difference.
//! - The operator's watermark is `min(watermark of the input, watermarks of the stashed batches)`: a stashed record no longer holds back
//!   the frontier, but must not become late.
//! - With one sender, the watermark under which a batch was sent has been reached by the time it arrives. The operator's watermark is
//!   advanced to it BEFORE the batch is processed, so the order of the source alone decides what is late. With several senders only the
//!   frontier can tell.
//! - Within an epoch, the watermark does not pass the lowest watermark that any source had at the barrier behind it, and comes to it before
//!   the seal. So whatever had fired in a snapshot, the sources' part of that snapshot had reached, too, and operators below the same
//!   sources have the same watermark in it. The frontier alone can't ensure this: while it still holds the
//!   epoch for one source, it may already include what another source has reached behind its barrier.

use std::collections::VecDeque;

use tidegate_checkpoints::Epoch;

use crate::progress::Progress;
use crate::time::{Time, Watermark};

/// Whether records behind a barrier wait for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// They do. A snapshot holds exactly the effects of the records before the barrier.
    #[default]
    ExactlyOnce,
    /// They don't. A snapshot may include records that will be read again after a restore.
    AtLeastOnce,
}

/// How many senders an input has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Senders {
    /// One instance of one operator. Batches arrive in its order.
    One,
    /// The instances of a source, by its number in building order. They count as one sender if the other instances have nothing to read,
    /// which is known before the first batch.
    Instances(usize),
    /// Several.
    Several,
}

/// What an operator does next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<B> {
    /// Event time has come this far: fire timers.
    Advance(Watermark),
    /// Process these records.
    Process(B),
    /// Everything of this epoch has been processed, and nothing of a later one: take a snapshot.
    Seal {
        /// The epoch.
        epoch: Epoch,
        /// Whether this is the end of input.
        last: bool,
    },
}

/// The alignment of one input.
#[derive(Debug)]
pub struct Align<B> {
    mode: Mode,
    senders: Senders,
    epoch: Epoch,
    watermark: Watermark,
    stash: VecDeque<(Time, B)>,
    ended: bool,
}

impl<B> Align<B> {
    /// An operator that begins in `epoch`.
    #[must_use]
    pub fn new(mode: Mode, senders: Senders, epoch: Epoch) -> Self {
        Self { mode, senders, epoch, watermark: Watermark::NONE, stash: VecDeque::new(), ended: false }
    }

    /// The source for which it is still unknown whether one or several instances send.
    #[must_use]
    pub fn undecided(&self) -> Option<usize> {
        if let Senders::Instances(source) = self.senders { Some(source) } else { None }
    }

    /// Settles whether the instances of the source are a single sender.
    pub fn decide(&mut self, alone: bool) {
        self.senders = if alone { Senders::One } else { Senders::Several };
    }

    /// The epoch the operator is in.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Takes in a batch that arrived and was sent under `time`.
    ///
    /// # Errors
    /// Whatever `act` returns.
    pub fn arrive<E>(&mut self, time: Time, batch: B, act: &mut impl FnMut(Step<B>) -> Result<(), E>) -> Result<(), E> {
        if self.mode == Mode::ExactlyOnce && time.epoch > self.epoch {
            self.stash.push_back((time, batch));
            return Ok(());
        }
        self.process(time, batch, act)
    }

    fn process<E>(&mut self, time: Time, batch: B, act: &mut impl FnMut(Step<B>) -> Result<(), E>) -> Result<(), E> {
        if self.senders == Senders::One {
            self.advance(time.watermark, act)?;
        }
        act(Step::Process(batch))
    }

    /// Takes in the progress of the input. Every batch that arrived before must have been given to [`Align::arrive`]. For an epoch,
    /// `barrier` returns the lowest watermark that a source of this input had when it injected the barrier behind that epoch, or `None` if
    /// no source has.
    ///
    /// # Errors
    /// Whatever `act` returns.
    pub fn progress<E>(
        &mut self,
        progress: Progress,
        barrier: impl Fn(Epoch) -> Option<Watermark>,
        act: &mut impl FnMut(Step<B>) -> Result<(), E>,
    ) -> Result<(), E> {
        while progress.sealed(self.epoch) && !self.ended {
            // What fires at the end of input belongs to the last epoch: the one behind which no source has injected a barrier.
            self.ended = progress.ended() && self.stash.is_empty() && barrier(self.epoch).is_none();
            if self.ended {
                self.advance(progress.watermark(), act)?;
            } else if let Some(reached) = barrier(self.epoch) {
                // All operators below the same sources seal with the same watermark.
                self.advance(reached.min(progress.watermark()), act)?;
            }
            act(Step::Seal { epoch: self.epoch, last: self.ended })?;
            if !self.ended {
                self.epoch = self.epoch.next();
                self.replay(act)?;
            }
        }
        self.advance(barrier(self.epoch).map_or(progress.watermark(), |reached| reached.min(progress.watermark())), act)
    }

    /// Processes the stashed batches of the epoch that has just begun, in arrival order. Those of later epochs stay.
    fn replay<E>(&mut self, act: &mut impl FnMut(Step<B>) -> Result<(), E>) -> Result<(), E> {
        let (now, later): (VecDeque<_>, VecDeque<_>) = self.stash.drain(..).partition(|(time, _)| time.epoch <= self.epoch);
        self.stash = later;
        now.into_iter().try_for_each(|(time, batch)| self.process(time, batch, act))
    }

    fn advance<E>(&mut self, to: Watermark, act: &mut impl FnMut(Step<B>) -> Result<(), E>) -> Result<(), E> {
        let to = to.min(self.stashed());
        if to > self.watermark {
            self.watermark = to;
            act(Step::Advance(to))?;
        }
        Ok(())
    }

    fn stashed(&self) -> Watermark {
        self.stash.iter().map(|(time, _)| time.watermark).min().unwrap_or(Watermark::END)
    }
}

#[cfg(test)]
mod tests;

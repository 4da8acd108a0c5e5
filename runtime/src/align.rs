//! The order in which a stateful operator sees batches, watermarks and seals: the rules of the time model, as a pure state machine.
//!
//! - A batch of an epoch later than the operator's own is stashed until that epoch's seal has passed, then replayed in arrival order
//!   (barrier alignment). In at-least-once mode nothing is stashed: that is the whole difference.
//! - The operator's watermark is `min(watermark of the input, watermarks of the stashed batches)`: a stashed record no longer holds the
//!   frontier back, and must not turn late.
//! - With one sender, the watermark under which a batch was sent has been reached when it arrives: it is advanced to BEFORE the batch is
//!   processed, so that what is late is decided by the order of the source alone. With several senders only the frontier can tell.
//! - Within an epoch the watermark goes no further than any source had come at the barrier behind it: what a snapshot has fired, its sources know of.
//!   A frontier that still holds the epoch for one source may have taken in what another has come to behind its barrier.

use std::collections::VecDeque;

use tidegate_checkpoints::Epoch;

use crate::progress::Progress;
use crate::time::{Time, Watermark};

/// Whether records behind a barrier wait for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// They do: a snapshot holds exactly the records before the barrier.
    #[default]
    ExactlyOnce,
    /// They don't: a snapshot may hold records that will be read again after a restore.
    AtLeastOnce,
}

/// How many senders an input has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Senders {
    /// One instance of one operator: what arrives is in its order.
    One,
    /// The instances of a source, by its number in building order: one, if there is nothing to read for the others, which is known before the first batch.
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
    /// Everything of this epoch has been processed, nothing of a later one: snapshot.
    Seal {
        /// The epoch.
        epoch: Epoch,
        /// Is this the end of input?
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

    /// The source of which it is still to be found out whether it has one instance that sends, or several.
    #[must_use]
    pub fn undecided(&self) -> Option<usize> {
        if let Senders::Instances(source) = self.senders { Some(source) } else { None }
    }

    /// That has been found out.
    pub fn decide(&mut self, alone: bool) {
        self.senders = if alone { Senders::One } else { Senders::Several };
    }

    /// The epoch the operator is in.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// A batch arrived, sent under `time`.
    ///
    /// # Errors
    /// What `act` returns.
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

    /// The input has come to `progress`, and every batch that arrived before has been given to [`Align::arrive`]. `barrier` tells of an epoch the least
    /// watermark that a source of this input had come to when it put in the barrier behind it; `None` if none has.
    ///
    /// # Errors
    /// What `act` returns.
    pub fn progress<E>(
        &mut self,
        progress: Progress,
        barrier: impl Fn(Epoch) -> Option<Watermark>,
        act: &mut impl FnMut(Step<B>) -> Result<(), E>,
    ) -> Result<(), E> {
        while progress.sealed(self.epoch) && !self.ended {
            // What fires at the end of input belongs to the last epoch, and that is one behind which no source has put a barrier.
            self.ended = progress.ended() && self.stash.is_empty() && barrier(self.epoch).is_none();
            if self.ended {
                self.advance(progress.watermark(), act)?;
            }
            act(Step::Seal { epoch: self.epoch, last: self.ended })?;
            if !self.ended {
                self.epoch = self.epoch.next();
                self.replay(act)?;
            }
        }
        self.advance(barrier(self.epoch).map_or(progress.watermark(), |reached| reached.min(progress.watermark())), act)
    }

    /// Processes the stashed batches of the epoch just begun, in the order they came; those of later epochs stay.
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

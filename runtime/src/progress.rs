//! The only code that reads frontiers: what an input's progress means to an operator.

use tidegate_checkpoints::Epoch;
use timely::progress::frontier::MutableAntichain;

use crate::time::{Time, Watermark};

/// What is known about an operator's input: how far event time has advanced, which epochs are sealed, and how old data in flight may be.
///
/// It is a lower bound for everything that may still arrive. Records that have already arrived no longer count, so drain the input first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress(Option<Time>);

impl Progress {
    /// Nothing more will arrive.
    pub const ENDED: Self = Self(None);

    /// The progress of an input with this frontier.
    #[must_use]
    pub fn of(frontier: &MutableAntichain<Time>) -> Self {
        Self::at(frontier.frontier().iter())
    }

    /// The progress of an input whose frontier has these elements.
    pub fn at<'a>(elements: impl IntoIterator<Item = &'a Time>) -> Self {
        Self(elements.into_iter().copied().reduce(|a, b| a.meet(&b)))
    }

    /// How far event time has advanced: the lowest watermark of all elements, because each of them holds back event time on its own.
    #[must_use]
    pub fn watermark(self) -> Watermark {
        self.0.map_or(Watermark::END, |t| t.watermark)
    }

    /// Whether all of `epoch` has arrived. In Flink's terms, whether the barrier has passed on every channel.
    #[must_use]
    pub fn sealed(self, epoch: Epoch) -> bool {
        self.0.is_none_or(|t| t.epoch > epoch)
    }

    /// The epoch and tick of the oldest data that may still arrive.
    #[must_use]
    pub fn oldest(self) -> Option<(Epoch, u32)> {
        self.0.map(|t| (t.epoch, t.tick))
    }

    /// Whether the input has ended.
    #[must_use]
    pub fn ended(self) -> bool {
        self.0.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(epoch: u32, tick: u32, watermark: i64) -> Time {
        Time { epoch: Epoch(epoch), tick, watermark: Watermark(watermark) }
    }

    #[test]
    fn the_watermark_is_the_least_of_all_elements_and_an_epoch_is_sealed_when_none_is_in_it() {
        let progress = Progress::at(&[time(1, 9, 100), time(2, 3, 50)]);
        assert_eq!(progress.watermark(), Watermark(50));
        assert!(progress.sealed(Epoch(0)));
        assert!(!progress.sealed(Epoch(1)));
        assert_eq!(progress.oldest(), Some((Epoch(1), 9)));
    }

    #[test]
    fn an_ended_input_has_sealed_everything() {
        assert!(Progress::ENDED.sealed(Epoch(u32::MAX)));
        assert_eq!(Progress::ENDED.watermark(), Watermark::END);
    }
}

//! The only reader of frontiers: what an input's progress means to an operator.

use tidegate_checkpoints::Epoch;
use timely::progress::frontier::MutableAntichain;

use crate::time::{Time, Watermark};

/// What is known of an operator's input: how far event time has come, which epochs are sealed, since when data is under way.
///
/// It is a lower bound of all that may still arrive. A record that has arrived already no longer counts: drain the input first.
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

    /// How far event time has come: the least watermark of any element, as each holds back event time alone.
    #[must_use]
    pub fn watermark(self) -> Watermark {
        self.0.map_or(Watermark::END, |t| t.watermark)
    }

    /// Has all of `epoch` arrived (in Flink's words: has the barrier passed on every channel)?
    #[must_use]
    pub fn sealed(self, epoch: Epoch) -> bool {
        self.0.is_none_or(|t| t.epoch > epoch)
    }

    /// The epoch and tick of the oldest data that may still arrive.
    #[must_use]
    pub fn oldest(self) -> Option<(Epoch, u32)> {
        self.0.map(|t| (t.epoch, t.tick))
    }

    /// Has the input ended?
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

//! Ingestion time: records get the time at which they enter, and the watermark follows the clock.

use crate::clock::Clock;
use crate::time::Watermark;

/// Assigns the times of one source instance. They never go back, even if the clock does.
#[derive(Debug)]
pub(crate) struct Ingestion {
    clock: Clock,
    /// The latest time assigned, or read from the clock.
    latest: Option<i64>,
}

impl Ingestion {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, latest: None }
    }

    /// Resumes from the watermark `reached` before a restore. Records that are read again must not be late, even if this machine's clock is
    /// behind.
    pub(crate) fn resume(&mut self, reached: Watermark) {
        self.latest = self.latest.max(Some(reached.0.saturating_add(1)));
    }

    /// The time for a record that enters now.
    pub(crate) fn now(&mut self) -> i64 {
        let now = self.latest.unwrap_or(i64::MIN).max(self.clock.now());
        self.latest = Some(now);
        now
    }

    /// One millisecond before the latest time: more records may still enter at that time, but none before it.
    pub(crate) fn watermark(&self) -> Watermark {
        self.latest.map_or(Watermark::NONE, |latest| Watermark(latest.saturating_sub(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_watermarks_never_go_back_and_no_record_is_late() {
        let clock = Clock::manual(100);
        let mut ingestion = Ingestion::new(clock.clone());
        assert_eq!(ingestion.watermark(), Watermark::NONE);
        let mut last = Watermark::NONE;
        for (shows, time) in [(100, 100), (100, 100), (140, 140), (90, 140), (141, 141)] {
            clock.set(shows);
            assert_eq!(ingestion.now(), time);
            assert!(time > last.0 && ingestion.watermark() >= last);
            last = ingestion.watermark();
        }
        assert_eq!(last, Watermark(140));
    }

    #[test]
    fn after_a_restore_times_lie_behind_the_watermark_of_before() {
        let mut ingestion = Ingestion::new(Clock::manual(10));
        ingestion.resume(Watermark(500));
        assert_eq!((ingestion.watermark(), ingestion.now()), (Watermark(500), 501));
    }
}

//! The job's clock: the time of day that a job goes by.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The time of day, either the machine's or one that a test sets.
///
/// A job has one clock, [`RunConfig::clock`](crate::RunConfig::clock). Windows and patterns in processing time, wall-clock timers, the time
/// to live of state, and ingestion time all follow it. Clones share the same clock.
#[derive(Clone, Debug, Default)]
pub struct Clock(Option<Arc<AtomicI64>>);

/// How often a manual clock is checked, because nobody knows when it will be set.
const LOOK: Duration = Duration::from_millis(1);

/// The longest wait on the machine's clock, because that clock may be set forward.
const LONGEST: Duration = Duration::from_secs(1);

impl Clock {
    /// A clock that stands still until it is [`set`](Self::set), in milliseconds since 1970.
    #[must_use]
    pub fn manual(now: i64) -> Self {
        Self(Some(Arc::new(AtomicI64::new(now))))
    }

    /// Sets a manual clock. Has no effect on the machine's clock.
    pub fn set(&self, now: i64) {
        if let Some(clock) = &self.0 {
            clock.store(now, SeqCst);
        }
    }

    /// The current time in milliseconds since 1970.
    #[must_use]
    pub fn now(&self) -> i64 {
        match &self.0 {
            Some(clock) => clock.load(SeqCst),
            None => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX)),
        }
    }

    /// How long to wait before checking whether the clock has reached `time`.
    pub(crate) fn wait(&self, time: i64) -> Duration {
        if self.0.is_some() {
            return LOOK;
        }
        let wait = u64::try_from(time.saturating_sub(self.now())).unwrap_or(0);
        Duration::from_millis(wait.max(1)).min(LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_are_the_same_clock_and_a_manual_one_is_looked_at_often() {
        let clock = Clock::manual(5);
        let clone = clock.clone();
        clock.set(1_000);
        assert_eq!(clone.now(), 1_000);
        assert_eq!(clone.wait(i64::MAX), LOOK);
    }

    #[test]
    fn the_wait_for_the_clock_of_the_machine_is_bounded() {
        let clock = Clock::default();
        clock.set(0);
        assert!(clock.now() > 1_500_000_000_000, "it can't be set");
        assert_eq!((clock.wait(0), clock.wait(i64::MAX)), (Duration::from_millis(1), LONGEST));
    }
}

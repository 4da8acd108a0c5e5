//! How long to wait before a failed job is started again.

use std::time::Duration;

use tidegate_jobs::plan::Restart;

/// Counts failures in a row against a restart policy.
#[derive(Clone, Debug)]
pub struct Backoff {
    policy: Restart,
    failures: u64,
}

impl Backoff {
    /// No failure yet.
    #[must_use]
    pub fn new(policy: Restart) -> Self {
        Self { policy, failures: 0 }
    }

    /// The job failed. Returns how long to wait before the next attempt: the policy's delay, doubled for each further failure in a row up to its limit.
    /// `None` if no attempt is left.
    pub fn failed(&mut self) -> Option<Duration> {
        self.failures += 1;
        if self.failures > self.policy.attempts {
            return None;
        }
        let doublings = u32::try_from(self.failures - 1).unwrap_or(u32::MAX).min(31);
        Some(self.policy.delay.saturating_mul(1 << doublings).min(self.policy.max_delay))
    }

    /// The job made progress: the next failure is the first in a row again.
    pub fn progressed(&mut self) {
        self.failures = 0;
    }

    /// The number of failures in a row.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backoff(attempts: u64) -> Backoff {
        Backoff::new(Restart { attempts, delay: Duration::from_secs(1), max_delay: Duration::from_secs(10) })
    }

    #[test]
    fn waits_double_up_to_the_limit_until_no_attempt_is_left() {
        let mut backoff = backoff(6);
        let waits: Vec<Option<u64>> = (0..8).map(|_| backoff.failed().map(|wait| wait.as_secs())).collect();
        assert_eq!(waits, [Some(1), Some(2), Some(4), Some(8), Some(10), Some(10), None, None]);
    }

    #[test]
    fn progress_begins_the_count_anew() {
        let mut backoff = backoff(2);
        for _ in 0..5 {
            assert_eq!(backoff.failed(), Some(Duration::from_secs(1)));
            assert_eq!(backoff.failed(), Some(Duration::from_secs(2)));
            backoff.progressed();
        }
        assert_eq!(backoff.failures(), 0);
    }

    #[test]
    fn any_number_of_failures_stays_within_the_limit() {
        let mut backoff = backoff(u64::MAX);
        assert!((0..100).map(|_| backoff.failed()).all(|wait| wait.is_some_and(|wait| wait <= Duration::from_secs(10))));
        assert_eq!(Backoff::new(Restart { attempts: 0, ..backoff.policy }).failed(), None);
    }
}

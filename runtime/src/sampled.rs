//! Samples repeated log messages: the first few, then one per second.

use std::time::{Duration, Instant};

/// Decides which messages are logged.
#[derive(Clone, Debug, Default)]
pub struct Sampled {
    said: u32,
    silent: u64,
    last: Option<Instant>,
}

impl Sampled {
    /// How many are logged at any rate.
    const FIRST: u32 = 3;
    /// After those, one is logged in this time.
    const PAUSE: Duration = Duration::from_secs(1);

    /// Registers a message. If it should be logged, returns text to append to it, which says how many were suppressed since the last one
    /// logged.
    pub fn say(&mut self) -> Option<String> {
        if self.said >= Self::FIRST && self.last.is_some_and(|last| last.elapsed() < Self::PAUSE) {
            self.silent += 1;
            return None;
        }
        self.said = self.said.saturating_add(1);
        self.last = Some(Instant::now());
        Some(match std::mem::take(&mut self.silent) {
            0 => String::new(),
            silent => format!(" (and {silent} more since the last one shown)"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Sampled;

    #[test]
    fn of_many_at_once_three_are_said() {
        let mut sampled = Sampled::default();
        assert_eq!((0..10).filter_map(|_| sampled.say()).collect::<Vec<_>>(), ["", "", ""]);
    }
}

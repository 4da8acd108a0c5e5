//! A sample of many like messages, for the log: the first few, then one a second.

use std::time::{Duration, Instant};

/// Decides which messages are said.
#[derive(Clone, Debug, Default)]
pub struct Sampled {
    said: u32,
    silent: u64,
    last: Option<Instant>,
}

impl Sampled {
    /// So many are said whenever they come.
    const FIRST: u32 = 3;
    /// After those, one in this time.
    const PAUSE: Duration = Duration::from_secs(1);

    /// There is a message. If it is to be said: how many were not since the last one that was, as words to put behind it.
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

//! What becomes of lines that can't be understood: counted, sampled to the log, handed on, or the end of the job.

use std::time::{Duration, Instant};

use tidegate_runtime::Error;

use crate::entry::{BadRecord, OnBad, cut};

/// How many are logged at once; after them one per second.
const FIRST: u32 = 3;

/// The bad records of one reader.
pub(crate) struct BadRecords {
    policy: OnBad,
    logged: u32,
    silent: u64,
    last: Instant,
}

impl BadRecords {
    pub(crate) fn new(policy: OnBad) -> Self {
        Self { policy, logged: 0, silent: 0, last: Instant::now() }
    }

    /// Takes note of a bad line; gives it back if it is to be handed on.
    pub(crate) fn note(&mut self, source: &str, line: u64, bytes: &[u8], error: String) -> Result<Option<Box<BadRecord>>, Error> {
        match self.policy {
            OnBad::Skip => {
                self.log(source, line, bytes, &error);
                Ok(None)
            }
            OnBad::Keep => {
                let text = String::from_utf8_lossy(bytes).into_owned();
                Ok(Some(Box::new(BadRecord { source: source.into(), line, text, error })))
            }
            OnBad::Fail => {
                let text = String::from_utf8_lossy(bytes);
                Err(Error::user(format!("{source}:{line}: {error}, in `{}`", cut(&text, 200))))
            }
        }
    }

    fn log(&mut self, source: &str, line: u64, bytes: &[u8], error: &str) {
        if self.logged >= FIRST && self.last.elapsed() < Duration::from_secs(1) {
            self.silent += 1;
            return;
        }
        let text = String::from_utf8_lossy(bytes);
        let text = cut(&text, 200);
        match std::mem::take(&mut self.silent) {
            0 => tracing::warn!("bad record skipped: {source}:{line}: {error}, in `{text}`"),
            silent => {
                tracing::warn!("bad record skipped: {source}:{line}: {error}, in `{text}` (and {silent} more since the last one shown)")
            }
        }
        self.logged = self.logged.saturating_add(1);
        self.last = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_a_sample() {
        let mut bad = BadRecords::new(OnBad::Skip);
        for _ in 0..10 {
            assert_eq!(bad.note("a.csv", 1, b"x", "it is wrong".into()).unwrap(), None);
        }
        assert_eq!((bad.logged, bad.silent), (FIRST, 7));
        bad.last = Instant::now().checked_sub(Duration::from_secs(2)).unwrap();
        bad.note("a.csv", 1, b"x", "it is wrong".into()).unwrap();
        assert_eq!((bad.logged, bad.silent), (FIRST + 1, 0));
    }

    #[test]
    fn a_long_line_is_cut_in_the_message_and_kept_whole_in_the_record() {
        let line = "é".repeat(300);
        let error = BadRecords::new(OnBad::Fail).note("a.csv", 7, line.as_bytes(), "it is wrong".into()).unwrap_err();
        assert_eq!(error.to_string(), format!("a.csv:7: it is wrong, in `{}...`", "é".repeat(200)));
        let kept = BadRecords::new(OnBad::Keep).note("a.csv", 7, line.as_bytes(), "it is wrong".into()).unwrap().unwrap();
        assert_eq!((kept.text, kept.line), (line, 7));
    }
}

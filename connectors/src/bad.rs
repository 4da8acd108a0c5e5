//! What becomes of lines that can't be understood: counted, sampled to the log, handed on, or the end of the job.

use std::time::{Duration, Instant};

use tidegate_runtime::error::Error;

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

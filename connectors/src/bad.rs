//! Bad records: lines that can't be decoded are counted, sampled to the log, passed on, or fail the job.

use tidegate_rows::format::cut;
use tidegate_runtime::{Error, Sampled};

use crate::entry::{BadRecord, OnBad};

/// Handles the bad records of one reader.
pub(crate) struct BadRecords {
    policy: OnBad,
    log: Sampled,
}

impl BadRecords {
    pub(crate) fn new(policy: OnBad) -> Self {
        Self { policy, log: Sampled::default() }
    }

    /// Handles a bad line as the policy says. Returns the record if it must be passed on.
    pub(crate) fn note(&mut self, source: &str, line: u64, bytes: &[u8], error: String) -> Result<Option<Box<BadRecord>>, Error> {
        match self.policy {
            OnBad::Skip => {
                if let Some(more) = self.log.say() {
                    let text = String::from_utf8_lossy(bytes);
                    tracing::warn!("bad record skipped: {source}:{line}: {error}, in `{}`{more}", cut(&text, 200));
                }
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_cut_in_the_message_and_kept_whole_in_the_record() {
        let line = "é".repeat(300);
        let error = BadRecords::new(OnBad::Fail).note("a.csv", 7, line.as_bytes(), "it is wrong".into()).unwrap_err();
        assert_eq!(error.to_string(), format!("a.csv:7: it is wrong, in `{}...`", "é".repeat(200)));
        let kept = BadRecords::new(OnBad::Keep).note("a.csv", 7, line.as_bytes(), "it is wrong".into()).unwrap().unwrap();
        assert_eq!((kept.text, kept.line), (line, 7));
    }
}

//! Expression failures: the record is dropped, counted and occasionally logged, or the job fails.

use tidegate_rows::format::{Encoder, JsonEncoder, Timestamps};
use tidegate_rows::{Row, Schema};
use tidegate_runtime::{Error, Sampled};

use tidegate_expr::Expr;

/// What a failing expression or a bad record does at run time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnError {
    /// Drop the record, count it, and log a sample.
    #[default]
    Skip,
    /// Fail the job.
    Fail,
}

/// The policy of one stream.
#[derive(Clone, Debug)]
pub struct Failures {
    stream: String,
    schema: Schema,
    policy: OnError,
    /// What becomes of the record, in words.
    consequence: &'static str,
    log: Sampled,
}

impl Failures {
    /// The policy for rows of this schema in this stream.
    #[must_use]
    pub fn new(stream: &str, schema: &Schema, policy: OnError) -> Self {
        Self { stream: stream.to_owned(), schema: schema.clone(), policy, consequence: "skipped the record", log: Sampled::default() }
    }

    /// The same for expressions whose failure does not stop the record.
    #[must_use]
    pub(crate) fn passing(self) -> Self {
        Self { consequence: "not counted: the record", ..self }
    }

    /// Reports that `expr` failed on `row`.
    ///
    /// # Errors
    /// If the policy is to fail the job.
    pub fn report(&mut self, expr: &Expr, error: &str, row: &Row) -> Result<(), Error> {
        if self.policy == OnError::Fail {
            let (stream, record) = (&self.stream, self.show(row));
            return Err(Error::user(format!("`{}` in stream `{stream}` failed: {error}; the record: {record}", expr.source())));
        }
        if let Some(more) = self.log.say() {
            let (stream, record) = (&self.stream, self.show(row));
            tracing::warn!("`{}` in stream `{stream}` failed: {error}; {} {record}{more}", expr.source(), self.consequence);
        }
        Ok(())
    }

    /// The record as JSON, truncated if it is long.
    fn show(&self, row: &Row) -> String {
        const LONGEST: usize = 300;
        let mut line = Vec::new();
        JsonEncoder::new(&self.schema, Timestamps::Iso).encode(row, &mut line);
        let mut text = String::from_utf8_lossy(&line).trim_end().to_owned();
        if text.len() > LONGEST {
            text.truncate(text.floor_char_boundary(LONGEST));
            text.push_str("...");
        }
        text
    }
}

//! What happens when an expression fails on a record: the record is dropped, counted and now and then logged, or the job fails.

use std::time::{Duration, Instant};

use tidegate_connectors::row::{Row, Schema};
use tidegate_runtime::Error;

use crate::expr::Expr;
use crate::file::OnError;

/// The policy of one stream, and when it last logged.
#[derive(Clone, Debug)]
pub struct Failures {
    stream: String,
    schema: Schema,
    policy: OnError,
    seen: u64,
    logged: Option<Instant>,
}

impl Failures {
    /// The first failures are all logged.
    const FIRST: u64 = 3;
    /// After those, at most one in this time.
    const PAUSE: Duration = Duration::from_secs(1);

    /// The policy for rows of this schema, in this stream.
    #[must_use]
    pub fn new(stream: &str, schema: &Schema, policy: OnError) -> Self {
        Self { stream: stream.to_owned(), schema: schema.clone(), policy, seen: 0, logged: None }
    }

    /// `expr` failed on `row`.
    ///
    /// # Errors
    /// The policy is to fail.
    pub fn report(&mut self, expr: &Expr, error: &str, row: &Row) -> Result<(), Error> {
        self.seen += 1;
        if self.policy == OnError::Fail {
            let (stream, record) = (&self.stream, self.show(row));
            return Err(Error::user(format!("`{}` in stream `{stream}` failed: {error}; the record: {record}", expr.source())));
        }
        if self.seen <= Self::FIRST || self.logged.is_none_or(|at| at.elapsed() >= Self::PAUSE) {
            self.logged = Some(Instant::now());
            let (stream, record, seen) = (&self.stream, self.show(row), self.seen);
            tracing::warn!("`{}` in stream `{stream}` failed: {error}; skipped the record {record} ({seen} so far)", expr.source());
        }
        Ok(())
    }

    fn show(&self, row: &Row) -> String {
        const LONGEST: usize = 300;
        let mut text = String::from("{");
        for (name, value) in self.schema.names().zip(&row.0) {
            let comma = if text.len() > 1 { ", " } else { "" };
            text.push_str(&format!("{comma}{name}: {value:?}"));
            if text.len() > LONGEST {
                text.truncate(text.floor_char_boundary(LONGEST));
                text.push_str("...");
                break;
            }
        }
        text + "}"
    }
}

//! What happens when an expression fails on a record: the record is dropped, counted and now and then logged, or the job fails.

use tidegate_connectors::row::{Row, Schema, Value};
use tidegate_runtime::{Error, Sampled};

use crate::expr::Expr;
use crate::file::OnError;

/// The policy of one stream.
#[derive(Clone, Debug)]
pub struct Failures {
    stream: String,
    schema: Schema,
    policy: OnError,
    log: Sampled,
}

impl Failures {
    /// The policy for rows of this schema, in this stream.
    #[must_use]
    pub fn new(stream: &str, schema: &Schema, policy: OnError) -> Self {
        Self { stream: stream.to_owned(), schema: schema.clone(), policy, log: Sampled::default() }
    }

    /// `expr` failed on `row`.
    ///
    /// # Errors
    /// The policy is to fail.
    pub fn report(&mut self, expr: &Expr, error: &str, row: &Row) -> Result<(), Error> {
        if self.policy == OnError::Fail {
            let (stream, record) = (&self.stream, self.show(row));
            return Err(Error::user(format!("`{}` in stream `{stream}` failed: {error}; the record: {record}", expr.source())));
        }
        if let Some(more) = self.log.say() {
            let (stream, record) = (&self.stream, self.show(row));
            tracing::warn!("`{}` in stream `{stream}` failed: {error}; skipped the record {record}{more}", expr.source());
        }
        Ok(())
    }

    fn show(&self, row: &Row) -> String {
        const LONGEST: usize = 300;
        let mut text = String::from("{");
        let rest = match self.schema.rest().map(|slot| row.get(slot)) {
            Some(Value::Map(rest)) => rest.as_slice(),
            _ => &[],
        };
        let named = self.schema.fields().filter(|(slot, _)| row.has(*slot)).map(|(slot, field)| (field.name.as_str(), row.get(slot)));
        for (name, value) in named.chain(rest.iter().map(|(name, value)| (name.as_str().unwrap_or_default(), value))) {
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

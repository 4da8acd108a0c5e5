//! Records of one worker that wait, in order of time, until the watermark has come to them. They are not exchanged.

use tidegate_operators::{Queue, Ties};
use tidegate_rows::Row;
use tidegate_runtime::operator::Context;
use tidegate_runtime::{Error, Record, Watermark};

use super::build::InFlow;
use crate::stage::keyed::by_value;

/// What waits, under a key that this worker has.
pub(super) struct Waiting {
    key: u64,
    queue: Queue<u64, Record<Row>>,
}

impl Waiting {
    /// `None` as records come.
    pub(super) fn new(flow: InFlow, context: &mut Context) -> Result<Option<Self>, Error> {
        let ties: Ties<Row> = if flow.settled { Box::new(|_, _| std::cmp::Ordering::Equal) } else { by_value() };
        Ok(if flow.in_time { Some(Self { key: 0, queue: Queue::new(ties, context)? }) } else { None })
    }

    /// Finds the key.
    pub(super) fn open(&mut self) -> Result<(), Error> {
        // A worker has at least one key group, so one of so many keys is in it.
        self.key = self.queue.own_key(0..1 << 20).ok_or_else(|| Error::internal("this worker has no key group"))?;
        Ok(())
    }

    pub(super) fn wait(&self, record: Record<Row>) -> Result<(), Error> {
        self.queue.wait(self.key, record)
    }

    /// What the watermark has come to, in order of time.
    pub(super) fn come(&self, watermark: Watermark) -> Result<Vec<Record<Row>>, Error> {
        let mut come = self.queue.come(watermark.0)?;
        // After a restore, this worker may have the keys of several.
        come.sort_by_key(|record| record.time);
        Ok(come)
    }

    /// The latest time that something waits for.
    pub(super) fn latest(&self) -> Option<i64> {
        self.queue.latest()
    }
}

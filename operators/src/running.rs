//! Running aggregates: one output per input.

use std::hash::Hash;

use tidegate_runtime::operator::{Logic, Outbox};
use tidegate_runtime::state::Table;
use tidegate_runtime::{Data, Error, Record, Watermark};

use crate::aggregate::Aggregate;

pub(crate) struct RunningLogic<K, F, T, A: Aggregate<T>> {
    key: F,
    aggregate: A,
    state: Table<K, A::Acc>,
}

impl<K, F, T, A: Aggregate<T>> RunningLogic<K, F, T, A> {
    pub(crate) fn new(key: F, aggregate: A) -> Self {
        Self { key, aggregate, state: Table::default() }
    }
}

impl<K, F, T, A> Logic for RunningLogic<K, F, T, A>
where
    K: Data + Eq + Hash,
    T: Data,
    F: Fn(&T) -> K + 'static,
    A: Aggregate<T>,
{
    type In = T;
    type Out = (K, A::Out);
    type Side = ();

    fn record(&mut self, record: Record<T>, out: &mut Outbox<Self::Out, ()>) -> Result<(), Error> {
        let key = (self.key)(&record.value);
        let acc = self.state.entry_ref(&key).or_insert_with(|| self.aggregate.create());
        if self.aggregate.add(acc, &record.value, record.time)? {
            out.emit(record.time, (key, self.aggregate.finish(acc)));
        }
        Ok(())
    }

    fn watermark(&mut self, _: Watermark, _: &mut Outbox<Self::Out, ()>) -> Result<(), Error> {
        Ok(())
    }
}

//! Running aggregates: one output per input.

use std::hash::Hash;

use tidegate_runtime::operator::{Context, Logic, Outbox};
use tidegate_runtime::state::{Handle, Keyed};
use tidegate_runtime::{Data, Error, Record, Watermark};

use crate::aggregate::{Aggregate, meaning};

pub(crate) struct RunningLogic<K, F, T, A: Aggregate<T>> {
    key: F,
    aggregate: A,
    state: Handle<Keyed<K, A::Acc>>,
}

impl<K, F, T, A> RunningLogic<K, F, T, A>
where
    K: Data + Eq + Hash,
    A: Aggregate<T>,
{
    pub(crate) fn new(key: F, mut aggregate: A, context: &mut Context) -> Result<Self, Error> {
        aggregate.open(&context.metrics);
        let state = context.states.keyed("aggregate", meaning(&aggregate).as_deref())?;
        Ok(Self { key, aggregate, state })
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

    fn prefetch(&mut self, records: &[Record<T>]) -> Result<(), Error> {
        let keys: Vec<K> = records.iter().map(|record| (self.key)(&record.value)).collect();
        self.state.borrow_mut().prefetch(keys.iter())
    }

    #[inline]
    fn record(&mut self, record: Record<T>, out: &mut Outbox<Self::Out, ()>) -> Result<(), Error> {
        let key = (self.key)(&record.value);
        let mut state = self.state.borrow_mut();
        let acc = state.get_or_insert_with(&key, || self.aggregate.create())?;
        if self.aggregate.add(acc, &record.value, record.time)? {
            let value = self.aggregate.finish(acc);
            out.emit(record.time, (key, value));
        }
        Ok(())
    }

    fn watermark(&mut self, _: Watermark, _: &mut Outbox<Self::Out, ()>) -> Result<(), Error> {
        Ok(())
    }
}

//! Running aggregates: one output per input.

use tidegate_runtime::operator::{Context, Logic, Outbox};
use tidegate_runtime::state::{Key, Ttl, ValueState};
use tidegate_runtime::{Data, Error, Record, Watermark};

use crate::aggregate::Aggregate;

pub(crate) struct RunningLogic<K, F, T, A: Aggregate<T>> {
    key: F,
    aggregate: A,
    state: ValueState<K, A::Acc>,
}

impl<K, F, T, A> RunningLogic<K, F, T, A>
where
    K: Key,
    A: Aggregate<T>,
{
    pub(crate) fn new(key: F, mut aggregate: A, ttl: Option<Ttl>, context: &mut Context) -> Result<Self, Error> {
        aggregate.open(&context.metrics);
        let state = context.states.expiring(ttl).value_of("aggregate", aggregate.meaning())?;
        Ok(Self { key, aggregate, state })
    }
}

impl<K, F, T, A> Logic for RunningLogic<K, F, T, A>
where
    K: Key,
    T: Data,
    F: Fn(&T) -> K + 'static,
    A: Aggregate<T>,
{
    type In = T;
    type Out = (K, A::Out);
    type Side = ();

    #[inline]
    fn record(&mut self, record: Record<T>, out: &mut Outbox<Self::Out, ()>) -> Result<(), Error> {
        let key = (self.key)(&record.value);
        let add = |acc: &mut A::Acc, aggregate: &mut A| {
            let counts = aggregate.add(acc, &record.value, record.time)?;
            Ok::<_, Error>(counts.then(|| aggregate.finish(acc)))
        };
        let value = self.state.update_with(&key, &mut self.aggregate, |aggregate| aggregate.create(), add)??;
        if let Some(value) = value {
            out.emit(record.time, (key, value));
        }
        Ok(())
    }

    fn watermark(&mut self, _: Watermark, _: &mut Outbox<Self::Out, ()>) -> Result<(), Error> {
        Ok(())
    }
}

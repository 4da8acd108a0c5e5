//! Reduce: each record combined with the result so far of its key.

use tidegate_runtime::operator::{Context, Logic, Outbox};
use tidegate_runtime::state::{Key, Stored, Ttl, ValueState};
use tidegate_runtime::{Error, Record, Watermark};

pub(crate) struct ReduceLogic<K, T, F, R> {
    key: F,
    reduce: R,
    state: ValueState<K, T>,
}

impl<K: Key, T: Stored, F, R> ReduceLogic<K, T, F, R> {
    pub(crate) fn new(key: F, reduce: R, ttl: Option<Ttl>, context: &mut Context) -> Result<Self, Error> {
        Ok(Self { key, reduce, state: context.states.expiring(ttl).value("reduced")? })
    }
}

impl<K, T, F, R> Logic for ReduceLogic<K, T, F, R>
where
    K: Key,
    T: Stored,
    F: Fn(&T) -> K + 'static,
    R: FnMut(&T, &T) -> T + 'static,
{
    type In = T;
    type Out = T;
    type Side = ();

    fn record(&mut self, record: Record<T>, out: &mut Outbox<T, ()>) -> Result<(), Error> {
        let key = (self.key)(&record.value);
        let reduce = |so_far: &mut T| {
            *so_far = (self.reduce)(so_far, &record.value);
            so_far.clone()
        };
        let reduced = match self.state.change(&key, reduce)? {
            Some(reduced) => reduced,
            None => {
                self.state.set(&key, record.value.clone())?;
                record.value
            }
        };
        out.emit(record.time, reduced);
        Ok(())
    }

    fn watermark(&mut self, _: Watermark, _: &mut Outbox<T, ()>) -> Result<(), Error> {
        Ok(())
    }
}

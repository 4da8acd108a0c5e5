//! Reduce: each record combined with what its key came to before.

use std::hash::Hash;

use tidegate_runtime::operator::{Logic, Outbox};
use tidegate_runtime::state::Table;
use tidegate_runtime::{Data, Error, Record, Watermark};

pub(crate) struct ReduceLogic<K, T, F, R> {
    key: F,
    reduce: R,
    state: Table<K, T>,
}

impl<K, T, F, R> ReduceLogic<K, T, F, R> {
    pub(crate) fn new(key: F, reduce: R) -> Self {
        Self { key, reduce, state: Table::default() }
    }
}

impl<K, T, F, R> Logic for ReduceLogic<K, T, F, R>
where
    K: Eq + Hash + 'static,
    T: Data,
    F: Fn(&T) -> K + 'static,
    R: FnMut(&T, &T) -> T + 'static,
{
    type In = T;
    type Out = T;
    type Side = ();

    fn record(&mut self, record: Record<T>, out: &mut Outbox<T, ()>) -> Result<(), Error> {
        let reduce = &mut self.reduce;
        let entry = self.state.entry((self.key)(&record.value));
        let reduced = entry.and_modify(|so_far| *so_far = reduce(so_far, &record.value)).or_insert(record.value);
        out.emit(record.time, reduced.clone());
        Ok(())
    }

    fn watermark(&mut self, _: Watermark, _: &mut Outbox<T, ()>) -> Result<(), Error> {
        Ok(())
    }
}

//! The greatest records by some measure.

use std::hash::Hash;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_runtime::metrics::OperatorMetrics;
use tidegate_runtime::operator::{Context, Logic, Outbox};
use tidegate_runtime::state::{Handle, Keyed};
use tidegate_runtime::{Data, Error, Record, Watermark};

use crate::aggregate::Aggregate;

/// A record and what it is measured by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured<O, T> {
    measure: O,
    /// The record.
    pub value: T,
}

/// Keeps the `n` greatest; of equal ones those that came first. Returns the place of the new one from 0 on, if it is among them.
fn insert<O: Ord, T>(greatest: &mut Vec<Measured<O, T>>, n: usize, new: Measured<O, T>) -> Option<usize> {
    let at = greatest.partition_point(|other| other.measure >= new.measure);
    if at >= n {
        return None;
    }
    greatest.insert(at, new);
    greatest.truncate(n);
    Some(at)
}

/// The greatest records, as an aggregate: of windows, for example. The greatest first; of equal ones those that came first.
pub struct Top<M> {
    n: usize,
    measure: M,
}

impl<M> Top<M> {
    /// The `n` records of the greatest `measure`. A record that has none does not count.
    pub fn new(n: usize, measure: M) -> Self {
        Self { n, measure }
    }
}

impl<T, M, O> Aggregate<T> for Top<M>
where
    T: Data,
    O: Data + Ord,
    M: FnMut(&T) -> Result<Option<O>, Error> + 'static,
{
    type Acc = Vec<Measured<O, T>>;
    type Out = Vec<T>;

    fn describe(&self) -> String {
        format!("top {}", self.n)
    }
    fn create(&self) -> Self::Acc {
        Vec::new()
    }
    fn add(&mut self, acc: &mut Self::Acc, value: &T, _: i64) -> Result<bool, Error> {
        let Some(measure) = (self.measure)(value)? else { return Ok(false) };
        insert(acc, self.n, Measured { measure, value: value.clone() });
        Ok(true)
    }
    fn merge(&self, acc: &mut Self::Acc, other: &Self::Acc) {
        for new in other {
            insert(acc, self.n, new.clone());
        }
    }
    fn finish(&self, acc: &Self::Acc) -> Vec<T> {
        acc.iter().map(|measured| measured.value.clone()).collect()
    }
}

/// Emits a record with its rank, from 1 on, when it comes among the greatest of its key.
pub(crate) struct TopLogic<K, F, T, M, O> {
    key: F,
    n: usize,
    measure: M,
    greatest: Handle<Keyed<K, Vec<Measured<O, T>>>>,
    metrics: Arc<OperatorMetrics>,
}

impl<K: Data + Eq + Hash, F, T: Data, M, O: Data + Ord> TopLogic<K, F, T, M, O> {
    pub(crate) fn new(key: F, n: usize, measure: M, context: &mut Context) -> Result<Self, Error> {
        let greatest = context.states.keyed("greatest", None)?;
        Ok(Self { key, n, measure, greatest, metrics: Arc::clone(&context.metrics) })
    }
}

impl<K, F, T, M, O> Logic for TopLogic<K, F, T, M, O>
where
    K: Data + Eq + Hash,
    T: Data,
    O: Data + Ord,
    F: Fn(&T) -> K + 'static,
    M: FnMut(&T) -> Result<Option<O>, Error> + 'static,
{
    type In = T;
    type Out = (u64, T);
    type Side = ();

    fn prefetch(&mut self, records: &[Record<T>]) -> Result<(), Error> {
        let keys: Vec<K> = records.iter().map(|record| (self.key)(&record.value)).collect();
        self.greatest.borrow_mut().prefetch(keys.iter())
    }

    fn record(&mut self, record: Record<T>, out: &mut Outbox<(u64, T), ()>) -> Result<(), Error> {
        let Some(measure) = (self.measure)(&record.value)? else {
            self.metrics.failed.add(1);
            return Ok(());
        };
        let key = (self.key)(&record.value);
        let mut states = self.greatest.borrow_mut();
        let greatest = states.get_or_insert_with(&key, Vec::new)?;
        match insert(greatest, self.n, Measured { measure, value: record.value.clone() }) {
            Some(at) => out.emit(record.time, (at as u64 + 1, record.value)),
            None => self.metrics.filtered.add(1),
        }
        Ok(())
    }

    fn watermark(&mut self, _: Watermark, _: &mut Outbox<(u64, T), ()>) -> Result<(), Error> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Item = (u8, i64, usize);

    /// The greatest by sorting: stable, so that of equal ones the first stay in front.
    fn sorted(items: &[Item], n: usize) -> Vec<Item> {
        let mut all = items.to_vec();
        all.sort_by_key(|item| -item.1);
        all.truncate(n);
        all
    }

    proptest! {
        #[test]
        fn the_greatest_are_those_in_front_when_sorted(
            items in proptest::collection::vec((0u8..2, 0i64..10), 0..40), n in 1usize..5, cut in 0usize..40,
        ) {
            let items: Vec<Item> = items.into_iter().enumerate().map(|(i, (key, v))| (key, v, i)).collect();
            let mut top = Top::new(n, |item: &Item| Ok(Some(item.1)));
            let (first, second) = items.split_at(cut.min(items.len()));
            let mut parts = [first, second].map(|part| {
                let mut acc = top.create();
                part.iter().for_each(|item| assert!(top.add(&mut acc, item, 0).unwrap()));
                acc
            });
            let later = std::mem::take(&mut parts[1]);
            top.merge(&mut parts[0], &later);
            prop_assert_eq!(top.finish(&parts[0]), sorted(&items, n));

            let mut logic = TopLogic::new(|item: &Item| item.0, n, |item: &Item| Ok(Some(item.1)), &mut Context::default()).unwrap();
            let mut out = Outbox::default();
            for (i, item) in items.iter().enumerate() {
                logic.record(Record::new(0, *item), &mut out).unwrap();
                let of_key: Vec<Item> = items[..=i].iter().filter(|other| other.0 == item.0).copied().collect();
                let rank = sorted(&of_key, n).iter().position(|other| other == item).map(|at| at as u64 + 1);
                let found: Vec<_> = out.take().0.into_iter().map(|r| r.value).collect();
                prop_assert_eq!(found, rank.map(|rank| (rank, *item)).into_iter().collect::<Vec<_>>());
            }
        }
    }
}

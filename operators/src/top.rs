//! Top-n: the records with the greatest measure.

use std::cmp::Ordering;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_runtime::metrics::OperatorMetrics;
use tidegate_runtime::operator::{Context, Logic, Outbox};
use tidegate_runtime::state::{Handle, Key, Keyed, Meaning, Stored};
use tidegate_runtime::{Error, Record, Watermark};

use crate::aggregate::Aggregate;
use crate::ties::Ties;

/// A record with its measure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured<O, T> {
    measure: O,
    /// The record.
    pub value: T,
}

impl<O: Stored, T: Stored> Stored for Measured<O, T> {
    const SCHEMA: &'static str = "top.measured/1";

    fn schema() -> String {
        Self::schema_of(&[O::schema(), T::schema()])
    }
}

/// Inserts `new` and keeps the `n` greatest. Returns the index of `new`, from 0, if it is among them.
fn insert<O: Ord, T>(greatest: &mut Vec<Measured<O, T>>, n: usize, new: Measured<O, T>, ties: &Ties<T>) -> Option<usize> {
    let at = greatest.partition_point(|other| match other.measure.cmp(&new.measure) {
        Ordering::Equal => ties(&other.value, &new.value).is_le(),
        order => order.is_gt(),
    });
    if at >= n {
        return None;
    }
    greatest.insert(at, new);
    greatest.truncate(n);
    Some(at)
}

/// An aggregate, for windows for example, of the records with the greatest measure, the greatest first.
pub struct Top<T, M> {
    n: usize,
    measure: M,
    ties: Ties<T>,
}

impl<T, M> Top<T, M> {
    /// The `n` records with the greatest `measure`. A record whose measure is `None` does not count. Records of equal measure are in the
    /// order of `ties`, and those that `ties` calls equal in the order of arrival.
    pub fn new(n: usize, measure: M, ties: Ties<T>) -> Self {
        Self { n, measure, ties }
    }
}

impl<T, M, O> Aggregate<T> for Top<T, M>
where
    T: Stored,
    O: Stored + Ord,
    M: FnMut(&T) -> Result<Option<O>, Error> + 'static,
{
    type Acc = Vec<Measured<O, T>>;
    type Out = Vec<T>;

    fn describe(&self) -> String {
        format!("top {}", self.n)
    }

    /// The number is part of the meaning: a state of the top 3 can't be read as a top 5.
    fn meaning(&self) -> Meaning<Self::Acc> {
        Meaning::of_type().named(&format!("top-{}/1", self.n))
    }
    fn create(&self) -> Self::Acc {
        Vec::new()
    }
    fn add(&mut self, acc: &mut Self::Acc, value: &T, _: i64) -> Result<bool, Error> {
        let Some(measure) = (self.measure)(value)? else { return Ok(false) };
        insert(acc, self.n, Measured { measure, value: value.clone() }, &self.ties);
        Ok(true)
    }
    fn merge(&self, acc: &mut Self::Acc, other: &Self::Acc) {
        for new in other {
            insert(acc, self.n, new.clone(), &self.ties);
        }
    }
    fn finish(&self, acc: &Self::Acc) -> Vec<T> {
        acc.iter().map(|measured| measured.value.clone()).collect()
    }
}

/// Emits a record with its rank, counted from 1, when it enters the greatest of its key.
pub(crate) struct TopLogic<K, F, T, M, O> {
    key: F,
    n: usize,
    measure: M,
    ties: Ties<T>,
    greatest: Handle<Keyed<K, Vec<Measured<O, T>>>>,
    metrics: Arc<OperatorMetrics>,
}

impl<K: Key, F, T: Stored, M, O: Stored + Ord> TopLogic<K, F, T, M, O> {
    pub(crate) fn new(key: F, n: usize, measure: M, ties: Ties<T>, context: &mut Context) -> Result<Self, Error> {
        let greatest = context.states.keyed("greatest", Meaning::of_type())?;
        Ok(Self { key, n, measure, ties, greatest, metrics: Arc::clone(&context.metrics) })
    }
}

impl<K, F, T, M, O> Logic for TopLogic<K, F, T, M, O>
where
    K: Key,
    T: Stored,
    O: Stored + Ord,
    F: Fn(&T) -> K + 'static,
    M: FnMut(&T) -> Result<Option<O>, Error> + 'static,
{
    type In = T;
    type Out = (u64, T);
    type Side = ();

    fn record(&mut self, record: Record<T>, out: &mut Outbox<(u64, T), ()>) -> Result<(), Error> {
        let Some(measure) = (self.measure)(&record.value)? else {
            self.metrics.failed.add(1);
            return Ok(());
        };
        let key = (self.key)(&record.value);
        let mut states = self.greatest.borrow_mut();
        let greatest = states.get_or_insert_with(&key, Vec::new)?;
        match insert(greatest, self.n, Measured { measure, value: record.value.clone() }, &self.ties) {
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

    /// Key, measure, and tie-breaker.
    type Item = (u8, i64, u8);

    fn ties() -> Ties<Item> {
        Box::new(|a, b| (a.2, a.0).cmp(&(b.2, b.0)))
    }

    /// The expected result, by sorting.
    fn sorted(items: &[Item], n: usize) -> Vec<Item> {
        let mut all = items.to_vec();
        all.sort_by_key(|item| (-item.1, item.2, item.0));
        all.truncate(n);
        all
    }

    proptest! {
        #[test]
        fn the_greatest_are_those_in_front_when_sorted(
            items in proptest::collection::vec((0u8..2, 0i64..6, 0u8..3), 0..40), n in 1usize..5, cut in 0usize..40, swapped in any::<bool>(),
        ) {
            let mut top = Top::new(n, |item: &Item| Ok(Some(item.1)), ties());
            let (first, second) = items.split_at(cut.min(items.len()));
            let mut parts = [first, second].map(|part| {
                let mut acc = top.create();
                part.iter().for_each(|item| assert!(top.add(&mut acc, item, 0).unwrap()));
                acc
            });
            // Merging in either order gives the same result.
            if swapped {
                parts.reverse();
            }
            let later = std::mem::take(&mut parts[1]);
            top.merge(&mut parts[0], &later);
            prop_assert_eq!(top.finish(&parts[0]), sorted(&items, n));

            let measure = |item: &Item| Ok(Some(item.1));
            let mut logic = TopLogic::new(|item: &Item| item.0, n, measure, ties(), &mut Context::default()).unwrap();
            let mut out = Outbox::default();
            for (i, item) in items.iter().enumerate() {
                logic.record(Record::new(0, *item), &mut out).unwrap();
                let of_key: Vec<Item> = items[..=i].iter().filter(|other| other.0 == item.0).copied().collect();
                let rank = sorted(&of_key, n).iter().rposition(|other| other == item).map(|at| at as u64 + 1);
                let found: Vec<_> = out.take().0.into_iter().map(|r| r.value).collect();
                let last = rank.filter(|rank| {
                    let same = of_key.iter().filter(|other| *other == item).count() as u64;
                    let before = of_key.iter().filter(|other| (-other.1, other.2) < (-item.1, item.2)).count() as u64;
                    *rank == before + same
                });
                prop_assert_eq!(found, last.map(|rank| (rank, *item)).into_iter().collect::<Vec<_>>());
            }
        }
    }
}

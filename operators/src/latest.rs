//! Aggregates over results that may be updated.

use std::sync::Arc;

use tidegate_runtime::Error;
use tidegate_runtime::metrics::OperatorMetrics;
use tidegate_runtime::state::{Key, Meaning, Table};

use crate::aggregate::{Aggregate, Sliding};
use crate::stored::LATEST;

/// An aggregate over the latest records: a record replaces an earlier one with the same identity and event time. The results of windows
/// that fire again are such updates: their event time is that of their window. For each identity and time, the accumulator of the latest
/// record is kept.
pub struct Latest<A, F> {
    aggregate: A,
    identity: F,
}

impl<A, F> Latest<A, F> {
    /// Applies `aggregate` to the latest records, in order of time and `identity`.
    pub fn new(aggregate: A, identity: F) -> Self {
        Self { aggregate, identity }
    }
}

impl<T, I, A, F> Aggregate<T> for Latest<A, F>
where
    I: Key + Ord,
    A: Aggregate<T>,
    F: Fn(&T) -> I + 'static,
{
    type Acc = Table<(i64, I), A::Acc>;
    type Out = A::Out;

    fn open(&mut self, metrics: &Arc<OperatorMetrics>) {
        self.aggregate.open(metrics);
    }

    fn describe(&self) -> String {
        format!("{} of the latest", self.aggregate.describe())
    }

    fn meaning(&self) -> Meaning<Self::Acc> {
        let each = |latest: &mut Self::Acc, each: &dyn Fn(&mut A::Acc)| latest.values_mut().for_each(each);
        self.aggregate.meaning().inside(LATEST, &[I::schema()], each)
    }

    fn create(&self) -> Self::Acc {
        Table::default()
    }

    fn add(&mut self, acc: &mut Self::Acc, value: &T, time: i64) -> Result<bool, Error> {
        let mut part = self.aggregate.create();
        let counts = self.aggregate.add(&mut part, value, time)?;
        if counts {
            acc.insert((time, (self.identity)(value)), part);
        }
        Ok(counts)
    }

    /// `other` holds the later records: its entries win.
    fn merge(&self, acc: &mut Self::Acc, other: &Self::Acc) {
        acc.extend(other.iter().map(|(of, part)| (of.clone(), part.clone())));
    }

    fn sliding(&self) -> Sliding {
        Sliding::Anew
    }

    fn finish(&self, acc: &Self::Acc) -> A::Out {
        let mut parts: Vec<_> = acc.iter().collect();
        parts.sort_unstable_by(|a, b| a.0.cmp(b.0));
        let mut whole = self.aggregate.create();
        parts.into_iter().for_each(|(_, part)| self.aggregate.merge(&mut whole, part));
        self.aggregate.finish(&whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aggregate::IntegerSum;

    #[test]
    fn a_record_takes_the_place_of_the_one_before() {
        let mut sum = Latest::new(IntegerSum(|value: &(u8, i64)| value.1), |value: &(u8, i64)| value.0);
        let mut acc = sum.create();
        for (time, value) in [(9, (1, 10)), (9, (2, 5)), (9, (1, 12)), (19, (1, 100))] {
            assert!(sum.add(&mut acc, &value, time).unwrap());
        }
        assert_eq!(sum.finish(&acc), 117);
        let mut later = sum.create();
        sum.add(&mut later, &(2, 7), 9).unwrap();
        sum.merge(&mut acc, &later);
        assert_eq!(sum.finish(&acc), 119);
    }
}

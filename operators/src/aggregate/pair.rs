//! Two aggregates over the same records.

use tidegate_runtime::Error;
use tidegate_runtime::state::Meaning;

use super::{Aggregate, Sliding};

/// Two aggregates computed together.
impl<T, A: Aggregate<T>, B: Aggregate<T>> Aggregate<T> for (A, B) {
    type Acc = (A::Acc, B::Acc);
    type Out = (A::Out, B::Out);

    fn meaning(&self) -> Meaning<Self::Acc> {
        self.0.meaning().and(self.1.meaning())
    }
    fn create(&self) -> Self::Acc {
        (self.0.create(), self.1.create())
    }
    fn add(&mut self, acc: &mut Self::Acc, value: &T, time: i64) -> Result<bool, Error> {
        let first = self.0.add(&mut acc.0, value, time)?;
        let second = self.1.add(&mut acc.1, value, time)?;
        Ok(first || second)
    }
    fn merge(&self, acc: &mut Self::Acc, other: &Self::Acc) {
        self.0.merge(&mut acc.0, &other.0);
        self.1.merge(&mut acc.1, &other.1);
    }
    fn sliding(&self) -> Sliding {
        self.0.sliding().and(self.1.sliding())
    }
    fn retract(&self, acc: &mut Self::Acc, other: &Self::Acc) {
        self.0.retract(&mut acc.0, &other.0);
        self.1.retract(&mut acc.1, &other.1);
    }
    fn rest(&self, part: &Self::Acc) -> Self::Acc {
        (self.0.rest(&part.0), self.1.rest(&part.1))
    }
    fn complete(&self, acc: &mut Self::Acc, rest: &Self::Acc) {
        self.0.complete(&mut acc.0, &rest.0);
        self.1.complete(&mut acc.1, &rest.1);
    }
    fn finish(&self, acc: &Self::Acc) -> Self::Out {
        (self.0.finish(&acc.0), self.1.finish(&acc.1))
    }
}

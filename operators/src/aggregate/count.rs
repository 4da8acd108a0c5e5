//! `Count`: how many records there are.

use tidegate_runtime::Error;
use tidegate_runtime::state::Meaning;

use super::{Aggregate, Sliding};

/// The number of records.
#[derive(Clone, Copy, Debug, Default)]
pub struct Count;

impl<T> Aggregate<T> for Count {
    type Acc = u64;
    type Out = u64;

    fn meaning(&self) -> Meaning<u64> {
        Meaning::of_type().named("count/1")
    }
    fn create(&self) -> u64 {
        0
    }
    fn add(&mut self, acc: &mut u64, _: &T, _: i64) -> Result<bool, Error> {
        *acc += 1;
        Ok(true)
    }
    fn merge(&self, acc: &mut u64, other: &u64) {
        *acc += other;
    }
    fn sliding(&self) -> Sliding {
        Sliding::Retract
    }
    fn retract(&self, acc: &mut u64, other: &u64) {
        *acc -= other;
    }
    fn finish(&self, acc: &u64) -> u64 {
        *acc
    }
}

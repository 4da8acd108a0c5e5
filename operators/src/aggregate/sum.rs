//! `Sum` and `IntegerSum`, and the numbers that have sums.

use std::ops::{AddAssign, SubAssign};

use tidegate_runtime::Error;
use tidegate_runtime::state::Meaning;

use super::{Aggregate, Sliding};

/// Numbers that can be summed. The default is zero.
pub trait Number: Copy + Default + AddAssign {
    /// The nearest double.
    fn to_f64(self) -> f64;
}

/// Whole numbers. Their sums are exact, so a term can be taken out again.
pub trait Whole: Number + SubAssign {}

impl Number for f64 {
    fn to_f64(self) -> f64 {
        self
    }
}

/// The sum of a field.
#[derive(Clone, Copy, Debug)]
pub struct Sum<F>(pub F);

impl<T, F: Fn(&T) -> f64 + 'static> Aggregate<T> for Sum<F> {
    type Acc = f64;
    type Out = f64;

    fn meaning(&self) -> Meaning<f64> {
        Meaning::of_type().named("sum/1")
    }
    fn create(&self) -> f64 {
        0.0
    }
    fn add(&mut self, acc: &mut f64, value: &T, _: i64) -> Result<bool, Error> {
        *acc += (self.0)(value);
        Ok(true)
    }
    fn merge(&self, acc: &mut f64, other: &f64) {
        *acc += other;
    }
    fn finish(&self, acc: &f64) -> f64 {
        *acc
    }
}

/// The sum of an integer field. Unlike [`Sum`], it is exact and can retract the records that leave a sliding window.
#[derive(Clone, Copy, Debug)]
pub struct IntegerSum<F>(pub F);

impl<T, F: Fn(&T) -> i64 + 'static> Aggregate<T> for IntegerSum<F> {
    type Acc = i128;
    type Out = i128;

    fn meaning(&self) -> Meaning<i128> {
        Meaning::of_type().named("sum/1")
    }
    fn create(&self) -> i128 {
        0
    }
    fn add(&mut self, acc: &mut i128, value: &T, _: i64) -> Result<bool, Error> {
        *acc += i128::from((self.0)(value));
        Ok(true)
    }
    fn merge(&self, acc: &mut i128, other: &i128) {
        *acc += other;
    }
    fn sliding(&self) -> Sliding {
        Sliding::Retract
    }
    fn retract(&self, acc: &mut i128, other: &i128) {
        *acc -= other;
    }
    fn finish(&self, acc: &i128) -> i128 {
        *acc
    }
}

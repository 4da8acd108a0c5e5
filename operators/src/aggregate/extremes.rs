//! `Min` and `Max`.

use tidegate_runtime::Error;
use tidegate_runtime::state::Meaning;

use super::Aggregate;

/// The smallest value of a field; `None` if there are no records.
#[derive(Clone, Copy, Debug)]
pub struct Min<F>(pub F);

impl<T, F: Fn(&T) -> f64 + 'static> Aggregate<T> for Min<F> {
    type Acc = Option<f64>;
    type Out = Option<f64>;

    fn meaning(&self) -> Meaning<Option<f64>> {
        Meaning::of_type().named("min/1")
    }
    fn create(&self) -> Option<f64> {
        None
    }
    fn add(&mut self, acc: &mut Option<f64>, value: &T, _: i64) -> Result<bool, Error> {
        keep(acc, Some((self.0)(value)), f64::min);
        Ok(true)
    }
    fn merge(&self, acc: &mut Option<f64>, other: &Option<f64>) {
        keep(acc, *other, f64::min);
    }
    fn finish(&self, acc: &Option<f64>) -> Option<f64> {
        *acc
    }
}

/// The greatest value of a field; `None` if there are no records.
#[derive(Clone, Copy, Debug)]
pub struct Max<F>(pub F);

impl<T, F: Fn(&T) -> f64 + 'static> Aggregate<T> for Max<F> {
    type Acc = Option<f64>;
    type Out = Option<f64>;

    fn meaning(&self) -> Meaning<Option<f64>> {
        Meaning::of_type().named("max/1")
    }
    fn create(&self) -> Option<f64> {
        None
    }
    fn add(&mut self, acc: &mut Option<f64>, value: &T, _: i64) -> Result<bool, Error> {
        keep(acc, Some((self.0)(value)), f64::max);
        Ok(true)
    }
    fn merge(&self, acc: &mut Option<f64>, other: &Option<f64>) {
        keep(acc, *other, f64::max);
    }
    fn finish(&self, acc: &Option<f64>) -> Option<f64> {
        *acc
    }
}

/// Keeps one of two values, as `choose` says, or the only one there is.
fn keep(kept: &mut Option<f64>, value: Option<f64>, choose: impl Fn(f64, f64) -> f64) {
    if let Some(value) = value {
        *kept = Some(kept.map_or(value, |kept| choose(kept, value)));
    }
}

//! Window joins: windows over both inputs, and functions of the records of either side.

use std::marker::PhantomData;

use tidegate_runtime::{Data, Error, Record};

use super::{Either, JoinType};
use crate::window::{Bounds, WindowContext, WindowFunction};

/// Pairs every left record of a window with every right one.
pub struct Pairs<G> {
    kind: JoinType,
    pair: G,
}

impl<G> Pairs<G> {
    /// `pair` makes the results. For records without a partner it is called only if `kind` keeps them.
    pub fn new(kind: JoinType, pair: G) -> Self {
        Self { kind, pair }
    }
}

impl<K, L, R, G, O> WindowFunction<K, [Record<Either<L, R>>]> for Pairs<G>
where
    K: 'static,
    L: Data,
    R: Data,
    G: FnMut(&K, Bounds, Option<&L>, Option<&R>) -> O + 'static,
    O: Clone + 'static,
{
    type Out = O;
    type State = ();

    fn process(&mut self, records: &[Record<Either<L, R>>], context: &mut WindowContext<'_, K, (), O>) -> Result<(), Error> {
        let (left, right) = sides(records);
        let (key, window) = (context.key(), context.window());
        let mut results = Vec::new();
        for l in left.iter().copied() {
            results.extend(right.iter().map(|r| (self.pair)(key, window, Some(l), Some(*r))));
        }
        if right.is_empty() && self.kind.keeps_left() {
            results.extend(left.iter().map(|l| (self.pair)(key, window, Some(*l), None)));
        }
        if left.is_empty() && self.kind.keeps_right() {
            results.extend(right.iter().map(|r| (self.pair)(key, window, None, Some(*r))));
        }
        results.into_iter().for_each(|result| context.emit(result));
        Ok(())
    }
}

/// Passes the left and right records of a window to a closure, which returns the results.
pub struct CoGroup<L, R, G> {
    group: G,
    inputs: PhantomData<fn(L, R)>,
}

impl<L, R, G> CoGroup<L, R, G> {
    /// `group` makes the results of a window.
    pub fn new(group: G) -> Self {
        Self { group, inputs: PhantomData }
    }
}

impl<K, L, R, G, O> WindowFunction<K, [Record<Either<L, R>>]> for CoGroup<L, R, G>
where
    K: 'static,
    L: Data,
    R: Data,
    G: FnMut(&K, Bounds, &[&L], &[&R]) -> Vec<O> + 'static,
    O: Clone + 'static,
{
    type Out = O;
    type State = ();

    fn process(&mut self, records: &[Record<Either<L, R>>], context: &mut WindowContext<'_, K, (), O>) -> Result<(), Error> {
        let (left, right) = sides(records);
        let results = (self.group)(context.key(), context.window(), &left, &right);
        results.into_iter().for_each(|result| context.emit(result));
        Ok(())
    }
}

/// The left and right records, in order of arrival.
fn sides<L, R>(records: &[Record<Either<L, R>>]) -> (Vec<&L>, Vec<&R>) {
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for record in records {
        match &record.value {
            Either::Left(value) => left.push(value),
            Either::Right(value) => right.push(value),
        }
    }
    (left, right)
}

//! Windows of a fixed number of records of a key: the i-th begins with record i * every.

use std::collections::VecDeque;
use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};
use tidegate_runtime::operator::{Context, Logic, Outbox};
use tidegate_runtime::state::{Handle, Key, Keyed};
use tidegate_runtime::{Data, Error, Record, Watermark};

use super::aligned::gcd;
use crate::aggregate::Aggregate;

/// The number of records in a window, and the number after which the next one begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountWindow {
    size: u64,
    every: u64,
}

impl CountWindow {
    /// Windows of `size` records, with a new one beginning every `every` records.
    #[must_use]
    pub fn new(size: NonZeroU64, every: NonZeroU64) -> Self {
        Self { size: size.get(), every: every.get() }
    }
}

/// The form of the windows. It is stored, so these words must not change.
impl std::fmt::Display for CountWindow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.size == self.every { write!(f, "count {}", self.size) } else { write!(f, "count {} every {}", self.size, self.every) }
    }
}

/// The records of a key in its open windows, in slices within which no window begins or ends.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Slices<Acc> {
    /// The number of records seen.
    pub(crate) seen: u64,
    /// The number of the first record of the first slice.
    first: u64,
    pub(crate) slices: VecDeque<Acc>,
}

pub(super) struct CountLogic<K, F, T, A: Aggregate<T>> {
    key: F,
    window: CountWindow,
    /// The number of records in a slice.
    slice: u64,
    aggregate: A,
    state: Handle<Keyed<K, Slices<A::Acc>>>,
}

impl<K, F, T, A> CountLogic<K, F, T, A>
where
    K: Key,
    A: Aggregate<T>,
{
    pub(super) fn new(key: F, window: CountWindow, mut aggregate: A, context: &mut Context) -> Result<Self, Error> {
        aggregate.open(&context.metrics);
        let each = |state: &mut Slices<A::Acc>, each: &dyn Fn(&mut A::Acc)| state.slices.iter_mut().for_each(each);
        let state = context.states.keyed("counts", aggregate.meaning().inside("window.counts/1", &[], each))?;
        Ok(Self { key, window, slice: gcd(window.size, window.every), aggregate, state })
    }
}

impl<K, F, T, A> Logic for CountLogic<K, F, T, A>
where
    K: Key,
    T: Data,
    F: Fn(&T) -> K + 'static,
    A: Aggregate<T>,
{
    type In = T;
    type Out = (K, A::Out);
    /// Always empty: no record is ever late.
    type Side = T;

    fn record(&mut self, record: Record<T>, out: &mut Outbox<Self::Out, T>) -> Result<(), Error> {
        let CountWindow { size, every } = self.window;
        let key = (self.key)(&record.value);
        let mut states = self.state.borrow_mut();
        let state = states.get_or_insert_with(&key, || Slices { seen: 0, first: 0, slices: VecDeque::new() })?;
        let begins = state.seen % self.slice == 0;
        if begins || state.slices.is_empty() {
            state.slices.push_back(self.aggregate.create());
        }
        let counts = match state.slices.back_mut() {
            Some(last) => self.aggregate.add(last, &record.value, record.time)?,
            None => false,
        };
        if !counts {
            if begins {
                state.slices.pop_back();
            }
            if state.seen == 0 {
                states.remove(&key)?;
            }
            return Ok(());
        }
        state.seen += 1;
        let over = state.seen.checked_sub(size).filter(|start| start % every == 0);
        if let Some(start) = over {
            let mut parts = state.slices.iter().skip(((start - state.first) / self.slice) as usize);
            if let Some(mut whole) = parts.next().cloned() {
                parts.for_each(|part| self.aggregate.merge(&mut whole, part));
                out.emit(record.time, (key, self.aggregate.finish(&whole)));
            }
        }
        // The first record of the first window that is still open.
        let open = if state.seen < size { 0 } else { (state.seen - size) / every * every + every };
        while state.first + self.slice <= open.min(state.seen) && state.slices.pop_front().is_some() {
            state.first += self.slice;
        }
        Ok(())
    }

    fn watermark(&mut self, _: Watermark, _: &mut Outbox<Self::Out, T>) -> Result<(), Error> {
        Ok(())
    }
}

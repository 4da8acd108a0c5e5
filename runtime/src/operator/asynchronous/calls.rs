//! The calls in flight, and the order in which their results may leave. Pure: no dataflow, no clock.

use std::collections::VecDeque;
use std::vec::Drain;

use crate::record::Record;

/// The order in which results leave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The order of the records they belong to.
    #[default]
    Ordered,
    /// The order in which results arrive. But the results of records on different sides of a watermark or a barrier keep the order of those
    /// records.
    Unordered,
}

/// Identifies a call by the number of its batch and its slot there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    batch: u64,
    slot: usize,
}

/// Records that arrived together.
struct Batch<C, T, O> {
    under: C,
    todo: std::vec::IntoIter<Record<T>>,
    /// For each call begun, the time of its record, and its result while that waits for its turn.
    begun: VecDeque<(i64, Option<O>)>,
    /// How many have been removed from the front of `begun`.
    gone: usize,
    /// Results that may leave.
    ready: Vec<Record<O>>,
    /// The number of calls begun whose results have not left.
    open: usize,
}

/// All calls of one operator instance. `C` is what results are sent under. A watermark or a barrier separates records under different ones.
pub(super) struct Calls<C, T, O> {
    order: Order,
    capacity: usize,
    /// The number of calls begun whose results have not left.
    open: usize,
    batches: VecDeque<Batch<C, T, O>>,
    /// The number of the first batch.
    first: u64,
    /// The index of the first batch with records that have no call yet.
    next: usize,
}

impl<C: PartialEq, T, O> Calls<C, T, O> {
    pub(super) fn new(order: Order, capacity: usize) -> Self {
        Self { order, capacity, open: 0, batches: VecDeque::new(), first: 0, next: 0 }
    }

    /// Adds a batch of records.
    pub(super) fn arrive(&mut self, under: C, records: Vec<Record<T>>) {
        let todo = records.into_iter();
        self.batches.push_back(Batch { under, todo, begun: VecDeque::new(), gone: 0, ready: Vec::new(), open: 0 });
    }

    /// The next record to make a call for, if there is one and there is room for the call.
    pub(super) fn begin(&mut self) -> Option<(Place, T)> {
        if self.open >= self.capacity {
            return None;
        }
        loop {
            let batch = self.batches.get_mut(self.next)?;
            let Some(Record { time, value }) = batch.todo.next() else {
                self.next += 1;
                continue;
            };
            let place = Place { batch: self.first + self.next as u64, slot: batch.gone + batch.begun.len() };
            batch.begun.push_back((time, None));
            batch.open += 1;
            self.open += 1;
            return Some((place, value));
        }
    }

    /// Takes the result of a call.
    pub(super) fn complete(&mut self, place: Place, result: O) {
        let at = usize::try_from(place.batch.wrapping_sub(self.first)).unwrap_or(usize::MAX);
        let Some(batch) = self.batches.get_mut(at) else { return };
        let Some(call) = batch.begun.get_mut(place.slot.wrapping_sub(batch.gone)) else { return };
        match self.order {
            Order::Unordered => batch.ready.push(Record::new(call.0, result)),
            Order::Ordered => {
                call.1 = Some(result);
                while let Some((time, Some(result))) = batch.begun.pop_front_if(|call| call.1.is_some()) {
                    batch.gone += 1;
                    batch.ready.push(Record::new(time, result));
                }
            }
        }
    }

    /// Gives results that may leave to `send`, batch by batch, and drops batches that have left completely.
    pub(super) fn leave(&mut self, mut send: impl FnMut(&C, Drain<'_, Record<O>>)) {
        while let Some(first) = self.batches.front() {
            let together = match self.order {
                Order::Ordered => 1,
                Order::Unordered => self.batches.iter().take_while(|batch| batch.under == first.under).count(),
            };
            for batch in self.batches.iter_mut().take(together).filter(|batch| !batch.ready.is_empty()) {
                batch.open -= batch.ready.len();
                self.open -= batch.ready.len();
                send(&batch.under, batch.ready.drain(..));
            }
            if self.batches.pop_front_if(|first| first.open == 0 && first.todo.len() == 0).is_none() {
                return;
            }
            self.first += 1;
            self.next = self.next.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A script: batches, each under a number that never decreases; whether to begin a call next or to answer one, and which; and the limit
    /// of open calls.
    #[derive(Clone, Debug)]
    struct Script {
        batches: Vec<(u8, usize)>,
        moves: Vec<(bool, usize)>,
        capacity: usize,
    }

    fn script() -> impl Strategy<Value = Script> {
        let batches = proptest::collection::vec((0u8..2, 0usize..4), 0..8);
        (batches, proptest::collection::vec((any::<bool>(), any::<usize>()), 0..80), 1usize..5).prop_map(
            |(mut batches, moves, capacity)| {
                let mut under = 0;
                for batch in &mut batches {
                    under += batch.0;
                    batch.0 = under;
                }
                Script { batches, moves, capacity }
            },
        )
    }

    proptest! {
        #[test]
        fn every_result_leaves_once_in_its_order_and_no_more_are_open_than_there_is_room(script in script()) {
            for order in [Order::Ordered, Order::Unordered] {
                let (mut calls, mut open, mut left) = (Calls::new(order, script.capacity), Vec::new(), Vec::new());
                let mut number = 0;
                let mut all = Vec::new();
                for (under, records) in &script.batches {
                    let records: Vec<_> = (number..number + *records).map(|n| Record::new(n as i64, n)).collect();
                    number += records.len();
                    all.extend(records.iter().map(|record| (*under, record.value)));
                    calls.arrive(*under, records);
                }
                let (mut begun, mut unanswered) = (0, 0);
                let endless = std::iter::repeat((true, 0)).flat_map(|call| [call, (false, 0)]).take(4 * number + 4);
                for (call, which) in script.moves.iter().copied().chain(endless) {
                    if call {
                        let found = calls.begin();
                        prop_assert_eq!(found.is_some(), begun < number && begun - left.len() < script.capacity);
                        if let Some((place, value)) = found {
                            prop_assert_eq!(value, begun);
                            begun += 1;
                            unanswered += 1;
                            open.push((place, value));
                        }
                    } else if !open.is_empty() {
                        let (place, value) = open.swap_remove(which % open.len());
                        unanswered -= 1;
                        calls.complete(place, value);
                    }
                    calls.leave(|under, ready| left.extend(ready.map(|record| (*under, record.time, record.value))));
                    // Results are separated in the same way as their records.
                    prop_assert!(left.is_sorted_by_key(|(under, ..)| *under));
                    if order == Order::Ordered {
                        prop_assert!(left.is_sorted_by_key(|(_, _, value)| *value));
                    } else {
                        // No result waits unless something before it holds it up.
                        let front = open.iter().map(|(_, value)| all[*value].0).chain(all.get(begun).map(|next| next.0)).min();
                        let free = all[..begun].iter().enumerate().filter(|(n, _)| !open.iter().any(|(_, value)| value == n));
                        let free = free.filter(|(_, (under, _))| front.is_none_or(|front| *under <= front)).count();
                        prop_assert_eq!(left.len(), free, "{} unanswered", unanswered);
                    }
                }
                left.sort_unstable();
                let expected: Vec<_> = all.iter().map(|(under, value)| (*under, *value as i64, *value)).collect();
                prop_assert_eq!(left, expected);
                prop_assert!(calls.batches.is_empty());
            }
        }
    }
}

//! Complete matches that wait for partial ones that began earlier.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::matcher::past::{NONE, Sweep};

/// Batches of complete matches. The batch that is emitted next is the last one.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Held {
    batches: Vec<Batch>,
    /// The number of the next batch.
    arrivals: u64,
}

/// The matches that one event, or one moment in time, has completed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Batch {
    /// The oldest first event of the matches.
    pub oldest: u32,
    /// When it was completed: batches are numbered.
    arrival: u64,
    /// The set that contains the matches.
    pub root: u32,
    /// The first events of the matches.
    pub firsts: BTreeSet<u32>,
}

impl Held {
    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// The oldest first event of the matches.
    pub fn oldest(&self) -> Option<u32> {
        self.batches.last().map(|batch| batch.oldest)
    }

    /// Adds matches that have just been completed.
    pub fn add(&mut self, root: u32, firsts: BTreeSet<u32>) {
        let arrival = self.arrivals;
        self.arrivals += 1;
        self.put_back(Batch { oldest: NONE, arrival, root, firsts });
    }

    /// The batches, in no particular order: the number, the set and the first events of each.
    pub fn batches(&self) -> impl Iterator<Item = (u64, u32, &BTreeSet<u32>)> {
        self.batches.iter().map(|batch| (batch.arrival, batch.root, &batch.firsts))
    }

    /// Takes out the batch with what is emitted next: the oldest first event, and of those the batch completed first.
    pub fn take_next(&mut self) -> Option<Batch> {
        self.batches.pop()
    }

    /// Puts a batch where it belongs, unless it is empty.
    pub fn put_back(&mut self, mut batch: Batch) {
        let Some(oldest) = batch.firsts.first() else { return };
        batch.oldest = *oldest;
        let at = self.batches.partition_point(|other| (other.oldest, other.arrival) > (batch.oldest, batch.arrival));
        self.batches.insert(at, batch);
    }

    /// Drops matches that began before `floor`.
    pub fn drop_before(&mut self, floor: u32) {
        while let Some(mut batch) = self.batches.pop_if(|batch| batch.oldest < floor) {
            while batch.firsts.first().is_some_and(|first| *first < floor) {
                batch.firsts.pop_first();
            }
            self.put_back(batch);
        }
    }

    /// Drops matches that began at `ceiling` or later. Returns how many first events that were.
    pub fn drop_from(&mut self, ceiling: u32) -> usize {
        let dropped = self.batches.iter_mut().map(|batch| batch.firsts.split_off(&ceiling).len()).sum();
        self.batches.retain(|batch| !batch.firsts.is_empty());
        dropped
    }

    pub fn roots(&self) -> impl Iterator<Item = u32> {
        self.batches.iter().map(|batch| batch.root)
    }

    pub fn moved(&mut self, sweep: &Sweep) {
        for batch in &mut self.batches {
            batch.root = sweep.node(batch.root);
            batch.firsts = batch.firsts.iter().map(|first| sweep.event(*first)).collect();
            batch.oldest = sweep.event(batch.oldest);
        }
    }
}

//! Which rules can hold for a record: those whose test for equality it meets, and those that have none.

use std::collections::HashMap;

use foldhash::fast::FixedState;
use tidegate_rows::{Row, Value};

use crate::compile::Trigger;

/// A set of rules by their places.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places(Vec<u64>);

impl Places {
    pub fn empty(rules: usize) -> Self {
        Self(vec![0; rules.div_ceil(64)])
    }

    pub fn add(&mut self, place: usize) {
        if let Some(word) = self.0.get_mut(place / 64) {
            *word |= 1 << (place % 64);
        }
    }

    /// The places that are in both, in order.
    pub fn both<'p>(&'p self, other: &'p Self) -> impl Iterator<Item = usize> + 'p {
        self.0.iter().zip(&other.0).enumerate().flat_map(|(at, (a, b))| {
            let mut word = a & b;
            std::iter::from_fn(move || {
                let bit = word.trailing_zeros();
                word &= word.wrapping_sub(1);
                (bit < 64).then_some(at * 64 + bit as usize)
            })
        })
    }

    fn copy_from(&mut self, other: &Self) {
        self.0.clear();
        self.0.extend_from_slice(&other.0);
    }
}

/// Finds the rules that can hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    /// Rules without a test for equality.
    always: Places,
    /// For each slot that is tested, the rules by the value they ask for.
    by_slot: Vec<(usize, ByValue)>,
}

/// Rules by the value of a field.
type ByValue = HashMap<Value, Vec<u32>, FixedState>;

impl Index {
    /// An index over the triggers of rules, in the order of their places. Of several triggers, the one that the fewest rules share counts.
    pub fn new<'t>(triggers: impl ExactSizeIterator<Item = &'t [Trigger]> + Clone) -> Self {
        let mut shared: HashMap<(usize, &Value), usize, FixedState> = HashMap::default();
        for trigger in triggers.clone().flatten() {
            for value in &trigger.values {
                *shared.entry((trigger.slot, value)).or_default() += 1;
            }
        }
        let commonness =
            |trigger: &&Trigger| trigger.values.iter().map(|value| shared.get(&(trigger.slot, value)).copied().unwrap_or(0)).sum::<usize>();
        let mut index = Self { always: Places::empty(triggers.len()), by_slot: Vec::new() };
        for (place, triggers) in triggers.enumerate() {
            let Some(trigger) = triggers.iter().min_by_key(commonness) else {
                index.always.add(place);
                continue;
            };
            let at = index.by_slot.iter().position(|(slot, _)| *slot == trigger.slot).unwrap_or_else(|| {
                index.by_slot.push((trigger.slot, HashMap::default()));
                index.by_slot.len() - 1
            });
            for value in &trigger.values {
                let places = index.by_slot[at].1.entry(value.clone()).or_default();
                if places.last() != Some(&(place as u32)) {
                    places.push(place as u32);
                }
            }
        }
        index
    }

    /// Sets `found` to the rules that can hold for a row.
    pub fn find(&self, row: &Row, found: &mut Places) {
        found.copy_from(&self.always);
        for (slot, by_value) in &self.by_slot {
            for place in by_value.get(row.get(*slot)).into_iter().flatten() {
                found.add(*place as usize);
            }
        }
    }
}

//! Values with a number for each, which `count_distinct` and `top` keep.

use std::ops::{AddAssign, SubAssign};

use hashbrown::hash_map::EntryRef;
use serde::{Deserialize, Serialize};
use tidegate_rows::Value;
use tidegate_runtime::state::Table;

/// Values, each with a number above zero.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Tally<N>(Box<Table<Value, N>>);

impl<N: Copy + Default + PartialEq + AddAssign + SubAssign> Tally<N> {
    /// The number of a value, which starts at zero.
    #[inline]
    pub(super) fn number(&mut self, value: &Value) -> &mut N {
        self.0.entry_ref(value).or_default()
    }

    /// How many values there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The values with their numbers, in no particular order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Value, N)> {
        self.0.iter().map(|(value, n)| (value, *n))
    }

    /// Adds the numbers of another tally.
    pub(super) fn merge(&mut self, other: &Self) {
        other.iter().for_each(|(value, n)| *self.number(value) += n);
    }

    /// Subtracts the numbers of another tally. Values at zero are gone.
    pub(super) fn retract(&mut self, other: &Self) {
        for (value, n) in other.iter() {
            if let EntryRef::Occupied(mut entry) = self.0.entry_ref(value) {
                *entry.get_mut() -= n;
                if *entry.get() == N::default() {
                    entry.remove();
                }
            }
        }
    }
}

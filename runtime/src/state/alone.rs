//! States without a dataflow, for testing operators and functions by hand.

use std::ops::Range;
use std::sync::Arc;

use serde_json::Value as Json;
use tidegate_checkpoints::KeyGroups;

use super::instance::Instance;
use super::registry::States;
use super::rows::Rows;
use crate::error::Error;

/// A snapshot of one operator instance, in memory.
#[derive(Debug)]
pub struct Frozen {
    meta: Json,
    rows: Rows,
}

impl States {
    /// Uses the states without a dataflow, in memory, as the instance that owns the key groups in `owned`. Restores the snapshots of all
    /// former instances of the same operator. Call it once, before the states are used.
    ///
    /// # Errors
    /// A snapshot can't be parsed.
    pub fn alone(&mut self, groups: KeyGroups, owned: Range<u16>, former: &[Frozen]) -> Result<(), Error> {
        let ids: Vec<u8> = (0..=u8::MAX).take(self.schemas().len()).collect();
        let instance = Instance::new(groups, owned.clone(), None, usize::MAX, Arc::default());
        self.bind(instance, &ids, !former.is_empty())?;
        former.iter().try_for_each(|frozen| self.restore_meta(&frozen.meta))?;
        for row in former.iter().flat_map(|frozen| frozen.rows.iter()) {
            let (group, state, key) = row.address()?;
            if owned.contains(&group) || self.whole(state.into()) {
                self.restore_row(state.into(), key, row.value.unwrap_or_default())?;
            }
        }
        Ok(())
    }

    /// The number of entries in memory, including those that have expired.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.count()
    }

    /// Takes a snapshot of states used without a dataflow.
    ///
    /// # Errors
    /// A value can't be encoded.
    pub fn snapshot(&mut self) -> Result<Frozen, Error> {
        let meta = self.freeze()?;
        while !self.sweep(usize::MAX >> 8)? {}
        let rows = self.instance().map(|instance| instance.take_captured().full).unwrap_or_default();
        self.release();
        Ok(Frozen { meta, rows })
    }
}

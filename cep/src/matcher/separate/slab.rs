//! A vector whose places are used again: small numbers instead of pointers, so that state can be written down as it is.

use serde::{Deserialize, Serialize};

/// No place.
pub(crate) const NONE: u32 = u32::MAX;

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Slot<T> {
    Full(T),
    /// The next free place.
    Free(u32),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Slab<T> {
    slots: Vec<Slot<T>>,
    free: u32,
    len: u32,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), free: NONE, len: 0 }
    }
}

impl<T> Slab<T> {
    pub fn len(&self) -> usize {
        self.len as usize
    }

    pub fn insert(&mut self, value: T) -> u32 {
        self.len += 1;
        if let Some(slot) = self.slots.get_mut(self.free as usize)
            && let Slot::Free(next) = *slot
        {
            *slot = Slot::Full(value);
            return std::mem::replace(&mut self.free, next);
        }
        if self.slots.is_empty() {
            // Most keys hold very little.
            self.slots.reserve_exact(1);
        }
        self.slots.push(Slot::Full(value));
        (self.slots.len() - 1) as u32
    }

    pub fn remove(&mut self, at: u32) -> Option<T> {
        let slot = self.slots.get_mut(at as usize)?;
        if let Slot::Free(_) = slot {
            return None;
        }
        let old = std::mem::replace(slot, Slot::Free(self.free));
        self.free = at;
        self.len -= 1;
        if self.len == 0 {
            self.slots.clear();
            self.free = NONE;
        }
        match old {
            Slot::Full(value) => Some(value),
            Slot::Free(_) => None,
        }
    }

    pub fn get(&self, at: u32) -> Option<&T> {
        match self.slots.get(at as usize) {
            Some(Slot::Full(value)) => Some(value),
            _ => None,
        }
    }

    pub fn get_mut(&mut self, at: u32) -> Option<&mut T> {
        match self.slots.get_mut(at as usize) {
            Some(Slot::Full(value)) => Some(value),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_used_again() {
        let mut slab = Slab::default();
        let places: Vec<u32> = "abc".chars().map(|c| slab.insert(c)).collect();
        assert_eq!(slab.remove(places[1]), Some('b'));
        assert_eq!(slab.remove(places[1]), None);
        assert_eq!(slab.insert('d'), places[1]);
        assert_eq!((slab.get(places[1]), slab.len()), (Some(&'d'), 3));
        for place in places {
            slab.remove(place);
        }
        assert_eq!((slab.len(), slab.get(0)), (0, None));
        assert_eq!(slab.insert('e'), 0);
    }
}

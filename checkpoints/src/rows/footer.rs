//! The footer of a file of rows: where the blocks of each key group are, and how many rows each state has.

use std::collections::BTreeMap;

/// Where a block is in the file, and what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) group: u16,
    pub(super) rows: u32,
    pub(super) offset: u64,
    /// Its length in the file.
    pub(super) stored: u32,
    /// Its length after decompression.
    pub(super) raw: u32,
    /// The checksum of its bytes in the file.
    pub(super) checksum: u64,
}

/// The blocks by group, and within a group in the order in which they were written.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Footer {
    pub(super) blocks: Vec<Place>,
    pub(super) rows_by_state: BTreeMap<u8, u64>,
}

const PLACE: usize = 30;
const STATE: usize = 9;

impl Footer {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.blocks.len() * PLACE + self.rows_by_state.len() * STATE + 16);
        for Place { group, rows, offset, stored, raw, checksum } in &self.blocks {
            bytes.extend_from_slice(&group.to_le_bytes());
            bytes.extend_from_slice(&rows.to_le_bytes());
            bytes.extend_from_slice(&offset.to_le_bytes());
            bytes.extend_from_slice(&stored.to_le_bytes());
            bytes.extend_from_slice(&raw.to_le_bytes());
            bytes.extend_from_slice(&checksum.to_le_bytes());
        }
        for (state, rows) in &self.rows_by_state {
            bytes.push(*state);
            bytes.extend_from_slice(&rows.to_le_bytes());
        }
        bytes.extend_from_slice(&(self.blocks.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&(self.rows_by_state.len() as u64).to_le_bytes());
        bytes
    }

    /// Decodes a footer whose blocks lie in `first..end` of the file. Returns `None` if `bytes` is not such a footer.
    pub(super) fn decode(bytes: &[u8], first: u64, end: u64) -> Option<Self> {
        let (rest, counts) = bytes.split_last_chunk::<16>()?;
        let (blocks, states) = (&mut &counts[..], rest);
        let block_count = usize::try_from(number(blocks)?).ok()?;
        let state_count = usize::try_from(number(blocks)?).ok()?;
        let (mut places, mut states) = states.split_at_checked(block_count.checked_mul(PLACE)?)?;
        if states.len() != state_count.checked_mul(STATE)? {
            return None;
        }
        let mut footer = Self { blocks: Vec::with_capacity(block_count), rows_by_state: BTreeMap::new() };
        while !places.is_empty() {
            let bytes = &mut places;
            let place = Place {
                group: u16::from_le_bytes(take(bytes)?),
                rows: u32::from_le_bytes(take(bytes)?),
                offset: number(bytes)?,
                stored: u32::from_le_bytes(take(bytes)?),
                raw: u32::from_le_bytes(take(bytes)?),
                checksum: number(bytes)?,
            };
            let inside = place.offset >= first && place.offset.checked_add(u64::from(place.stored)).is_some_and(|e| e <= end);
            let in_order = footer.blocks.last().is_none_or(|last| (last.group, last.offset) < (place.group, place.offset));
            if !inside || !in_order {
                return None;
            }
            footer.blocks.push(place);
        }
        while !states.is_empty() {
            let [state] = take(&mut states)?;
            footer.rows_by_state.insert(state, number(&mut states)?);
        }
        Some(footer)
    }
}

pub(super) fn number(bytes: &mut &[u8]) -> Option<u64> {
    take(bytes).map(u64::from_le_bytes)
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*head)
}

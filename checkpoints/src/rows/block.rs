//! The layout of rows in a block.

use super::Row;

/// Rows of one key group, in the order in which they were added.
#[derive(Default)]
pub(super) struct Block {
    pub(super) bytes: Vec<u8>,
    pub(super) rows: u32,
}

impl Block {
    pub(super) fn push(&mut self, state: u8, key: &[u8], value: &[u8]) {
        self.bytes.push(state);
        put_varint(&mut self.bytes, key.len());
        put_varint(&mut self.bytes, value.len());
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value);
        self.rows += 1;
    }
}

/// Takes the first row off `bytes`. Returns `None` if it is cut off.
pub(super) fn take_row(bytes: &mut &[u8], group: u16) -> Option<Row> {
    let (&state, rest) = bytes.split_first()?;
    *bytes = rest;
    let key = take_varint(bytes)?;
    let value = take_varint(bytes)?;
    let (key, rest) = bytes.split_at_checked(key)?;
    let (value, rest) = rest.split_at_checked(value)?;
    *bytes = rest;
    Some(Row { group, state, key: key.to_vec(), value: value.to_vec() })
}

/// LEB128.
fn put_varint(bytes: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn take_varint(bytes: &mut &[u8]) -> Option<usize> {
    let mut value = 0;
    for shift in (0..35).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= usize::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

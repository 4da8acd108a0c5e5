//! A map that all instances of an operator hold alike: rules, that were sent to every worker.

use std::hash::Hash;
use std::rc::Rc;

use serde_json::Value as Json;

use super::Table;
use super::codec;
use super::instance::Instance;
use super::persistent::{Persistent, Schema};
use crate::error::Error;
use crate::record::Data;

/// A map in memory, for up to a few thousand entries: it is part of every manifest. An instance goes on from the copy of any former one.
pub struct Broadcast<M, V> {
    schema: Schema,
    map: Table<M, V>,
    restored: bool,
}

impl<M: Data + Eq + Hash, V: Data> Broadcast<M, V> {
    pub(super) fn new(schema: Schema) -> Self {
        Self { schema, map: Table::default(), restored: false }
    }

    /// The map.
    #[must_use]
    pub fn map(&self) -> &Table<M, V> {
        &self.map
    }

    /// The map, to be changed: by what every instance sees in the same order only.
    pub fn map_mut(&mut self) -> &mut Table<M, V> {
        &mut self.map
    }
}

impl<M: Data + Eq + Hash, V: Data> Persistent for Broadcast<M, V> {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn bind(&mut self, _: u8, _: &Rc<Instance>, _: bool) {}

    fn full(&self) -> bool {
        true
    }

    fn restore_row(&mut self, _: &[u8], _: &[u8]) -> Result<(), Error> {
        Err(Error::internal("broadcast state has no rows"))
    }

    fn restore_meta(&mut self, meta: &Json) -> Result<(), Error> {
        if std::mem::replace(&mut self.restored, true) {
            return Ok(());
        }
        let bytes =
            meta.as_str().and_then(from_hex).ok_or_else(|| Error::internal("what a snapshot says of broadcast state does not read"))?;
        let entries: Vec<(M, V)> = codec::decode(&bytes)?;
        self.map = entries.into_iter().collect();
        Ok(())
    }

    fn freeze(&mut self) -> Result<Json, Error> {
        let entries: Vec<(&M, &V)> = self.map.iter().collect();
        let mut bytes = Vec::new();
        codec::encode(&entries, &mut bytes)?;
        Ok(Json::String(to_hex(&bytes)))
    }

    fn sweep(&mut self, most: usize) -> Result<Option<usize>, Error> {
        Ok(Some(most))
    }

    fn release(&mut self) {}

    fn bytes(&self) -> usize {
        self.map.allocation_size()
    }

    fn len(&self) -> usize {
        self.map.len()
    }
}

fn to_hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]).collect()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect::<Option<_>>()?;
    Some(digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_travel_as_text() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(from_hex(&to_hex(&all)), Some(all));
        assert_eq!(from_hex("0g"), None);
    }
}

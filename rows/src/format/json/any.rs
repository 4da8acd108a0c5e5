//! Reads JSON of any shape into a tree of values.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use compact_str::CompactString;
use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};

use crate::{Map, Value};

/// Builds a [`Value`] from whatever comes.
pub(super) struct AnySeed;

impl<'de> DeserializeSeed<'de> for AnySeed {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Value, D::Error> {
        d.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for AnySeed {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E: Error>(self, v: bool) -> Result<Value, E> {
        Ok(Value::Bool(v))
    }
    fn visit_i64<E: Error>(self, v: i64) -> Result<Value, E> {
        Ok(Value::Int(v))
    }
    fn visit_u64<E: Error>(self, v: u64) -> Result<Value, E> {
        Ok(i64::try_from(v).map_or(Value::Uint(v), Value::Int))
    }
    fn visit_f64<E: Error>(self, v: f64) -> Result<Value, E> {
        Ok(Value::Double(v))
    }
    fn visit_str<E: Error>(self, v: &str) -> Result<Value, E> {
        Ok(Value::String(CompactString::new(v)))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Value, A::Error> {
        list(seq)
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Value, A::Error> {
        self::map(map)
    }
}

/// Reads the elements of a list.
pub(super) fn list<'de, A: SeqAccess<'de>>(mut seq: A) -> Result<Value, A::Error> {
    let mut values = Vec::new();
    while let Some(value) = seq.next_element_seed(AnySeed)? {
        values.push(value);
    }
    Ok(Value::List(Arc::new(values)))
}

/// Reads the entries of an object.
pub(super) fn map<'de, A: MapAccess<'de>>(mut map: A) -> Result<Value, A::Error> {
    let mut entries = Map::new();
    // Compare a few keys pairwise. For many, which may come from an untrusted sender, that would be quadratic.
    let mut index: HashMap<Value, usize> = HashMap::new();
    while let Some(key) = map.next_key_seed(AnySeed)? {
        let value = map.next_value_seed(AnySeed)?;
        let known = if entries.len() < 16 {
            entries.iter().position(|(k, _)| *k == key)
        } else {
            if index.is_empty() {
                index.extend(entries.iter().enumerate().map(|(i, (k, _))| (k.clone(), i)));
            }
            let known = index.get(&key).copied();
            if known.is_none() {
                index.insert(key.clone(), entries.len());
            }
            known
        };
        match known {
            Some(i) => entries[i].1 = value,
            None => entries.push((key, value)),
        }
    }
    Ok(Value::Map(Arc::new(entries)))
}

#[cfg(test)]
mod tests {
    use super::super::value;
    use super::*;

    #[test]
    fn a_tree_of_every_kind() {
        let tree = value(r#"{"a":[1,-2,18446744073709551615,1.5,"x\n",true,null],"b":{}}"#).unwrap();
        let list = [
            Value::Int(1),
            Value::Int(-2),
            Value::Uint(u64::MAX),
            Value::Double(1.5),
            Value::string("x\n"),
            Value::Bool(true),
            Value::Null,
        ];
        assert_eq!(tree, Value::map([(Value::string("a"), Value::list(list)), (Value::string("b"), Value::map([]))]));
        assert_eq!(value("1 2"), None);
        assert_eq!(value("[1"), None);
    }

    #[test]
    fn of_a_key_given_twice_the_last_value_counts() {
        for n in [2, 100] {
            let keys: Vec<String> = (0..n).chain(0..n).enumerate().map(|(i, k)| format!("\"k{k}\":{i}")).collect();
            let Some(Value::Map(map)) = value(&format!("{{{}}}", keys.join(","))) else { panic!("a map") };
            assert_eq!(map.len(), n);
            assert_eq!(map[n - 1], (Value::string(format!("k{}", n - 1)), Value::Int(2 * n as i64 - 1)));
        }
    }
}

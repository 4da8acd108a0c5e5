//! A hash of any serde value that is the same on every machine and in every release, forever.
//!
//! `std::hash::Hash` can't provide this: how the standard types feed a hasher is unspecified. The serde data model is
//! specified, so a key is hashed by "serializing" it into a hasher. For an integer this compiles to one multiply-xor
//! mix; strings and bytes go through XXH3.

use serde::Serialize;
use serde::ser::{self, Impossible};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::stored::PART;

/// The stable hash of `key`. Changing it, or the serde form of a key type, orphans stored state.
///
/// Equal integers hash alike, whatever their width (`1u8`, `1i64`). So do `String` and `&str`.
#[inline]
#[must_use]
pub fn stable_hash<K: Serialize + ?Sized>(key: &K) -> u64 {
    let mut hasher = Hasher(SEED);
    // Errors come only from maps and from `Serialize` implementations that fail on their own. The hash of what was
    // written until then is still deterministic.
    let _ = key.serialize(&mut hasher);
    hasher.0
}

const SEED: u64 = 0x7469_6465_6761_7465;

struct Hasher(u64);

impl Hasher {
    /// The finalizer of splitmix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
    #[inline]
    fn mix(&mut self, word: u64) {
        let mut z = (self.0 ^ word).wrapping_add(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        self.0 = z ^ (z >> 31);
    }

    #[inline]
    fn bytes(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }
}

/// Floats that compare equal hash alike, and so do all NaNs.
fn float_word(v: f64) -> u64 {
    if v == 0.0 {
        0
    } else if v.is_nan() {
        f64::NAN.to_bits()
    } else {
        v.to_bits()
    }
}

/// The error of a type that can't be hashed, or of a `Serialize` implementation.
#[derive(Debug)]
struct Refused;

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the key's Serialize implementation failed")
    }
}

impl std::error::Error for Refused {}

impl ser::Error for Refused {
    fn custom<T: std::fmt::Display>(_: T) -> Self {
        Self
    }
}

macro_rules! words {
    ($($method:ident: $ty:ty => $word:expr;)*) => {
        $(#[inline] fn $method(self, v: $ty) -> Result<(), Refused> { let word: fn($ty) -> u64 = $word; self.mix(word(v)); Ok(()) })*
    };
}

impl ser::Serializer for &mut Hasher {
    type Ok = ();
    type Error = Refused;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Impossible<(), Refused>;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    words! {
        serialize_bool: bool => u64::from;
        serialize_i8: i8 => |v| v as i64 as u64;
        serialize_i16: i16 => |v| v as i64 as u64;
        serialize_i32: i32 => |v| v as i64 as u64;
        serialize_i64: i64 => |v| v as u64;
        serialize_u8: u8 => u64::from;
        serialize_u16: u16 => u64::from;
        serialize_u32: u32 => u64::from;
        serialize_u64: u64 => |v| v;
        serialize_f32: f32 => |v| float_word(f64::from(v));
        serialize_f64: f64 => float_word;
        serialize_char: char => |v| u64::from(u32::from(v));
    }

    fn serialize_i128(self, v: i128) -> Result<(), Refused> {
        self.bytes(&v.to_le_bytes());
        Ok(())
    }
    fn serialize_u128(self, v: u128) -> Result<(), Refused> {
        self.bytes(&v.to_le_bytes());
        Ok(())
    }
    #[inline]
    fn serialize_str(self, v: &str) -> Result<(), Refused> {
        self.bytes(v.as_bytes());
        Ok(())
    }
    #[inline]
    fn serialize_bytes(self, v: &[u8]) -> Result<(), Refused> {
        self.bytes(v);
        Ok(())
    }
    fn serialize_none(self) -> Result<(), Refused> {
        self.mix(0);
        Ok(())
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Refused> {
        self.mix(1);
        value.serialize(self)
    }
    fn serialize_unit(self) -> Result<(), Refused> {
        Ok(())
    }
    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Refused> {
        Ok(())
    }
    fn serialize_unit_variant(self, _: &'static str, index: u32, _: &'static str) -> Result<(), Refused> {
        self.serialize_u32(index)
    }
    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), Refused> {
        value.serialize(self)
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        value: &T,
    ) -> Result<(), Refused> {
        self.mix(u64::from(index));
        value.serialize(self)
    }
    fn serialize_seq(self, len: Option<usize>) -> Result<Self, Refused> {
        self.mix(len.map_or(u64::MAX, |l| l as u64));
        Ok(self)
    }
    #[inline]
    fn serialize_tuple(self, _: usize) -> Result<Self, Refused> {
        Ok(self)
    }
    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self, Refused> {
        Ok(self)
    }
    fn serialize_tuple_variant(self, _: &'static str, index: u32, _: &'static str, _: usize) -> Result<Self, Refused> {
        self.mix(u64::from(index));
        Ok(self)
    }
    // A map has no order of its own, so it can't be a key.
    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, Refused> {
        Err(Refused)
    }
    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, Refused> {
        Ok(self)
    }
    fn serialize_struct_variant(self, _: &'static str, index: u32, _: &'static str, _: usize) -> Result<Self, Refused> {
        self.mix(u64::from(index));
        Ok(self)
    }
    fn is_human_readable(&self) -> bool {
        false
    }
}

macro_rules! compound {
    ($($trait:ident :: $method:ident $(($key:ty))?;)*) => {
        $(impl ser::$trait for &mut Hasher {
            type Ok = ();
            type Error = Refused;
            #[inline]
            fn $method<T: Serialize + ?Sized>(&mut self, $(_: $key,)? value: &T) -> Result<(), Refused> {
                value.serialize(&mut **self)
            }
            #[inline]
            fn end(self) -> Result<(), Refused> { Ok(()) }
        })*
    };
}

compound! {
    SerializeSeq::serialize_element;
    SerializeTuple::serialize_element;
    SerializeTupleStruct::serialize_field;
    SerializeTupleVariant::serialize_field;
    SerializeStructVariant::serialize_field(&'static str);
}

impl ser::SerializeStruct for &mut Hasher {
    type Ok = ();
    type Error = Refused;
    /// The part of a [`Part`](crate::Part) does not matter: it lies where its key does.
    #[inline]
    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Refused> {
        if name == PART { Ok(()) } else { value.serialize(&mut **self) }
    }
    #[inline]
    fn end(self) -> Result<(), Refused> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// These values are part of the on-disk format: state is found by them.
    #[test]
    fn golden_hashes_never_change() {
        assert_eq!(stable_hash(&0u64), 1_972_266_851_913_133_558);
        assert_eq!(stable_hash(&42i32), 7_966_517_962_265_927_162);
        assert_eq!(stable_hash("83.149.9.216"), 501_083_280_656_364_968);
        assert_eq!(stable_hash(&("a", 1u8, Some(-1i16))), 7_094_228_275_496_826_011);
    }

    #[test]
    fn equal_integers_and_texts_hash_alike_whatever_their_type() {
        assert_eq!(stable_hash(&7u8), stable_hash(&7i64));
        assert_eq!(stable_hash("x"), stable_hash(&String::from("x")));
    }

    #[test]
    fn the_cut_between_fields_matters() {
        assert_ne!(stable_hash(&("ab", "c")), stable_hash(&("a", "bc")));
        assert_ne!(stable_hash(&vec![1u8, 2]), stable_hash(&vec![vec![1u8], vec![2]]));
    }
}

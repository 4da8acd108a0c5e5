//! Types that can be kept in state, which name their serialized form.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher, Hash};
use std::time::Duration;

use foldhash::fast::FixedState;
use serde::{Deserialize, Serialize};

/// A hash map with a fixed seed.
type Table<K, V> = hashbrown::HashMap<K, V, FixedState>;

/// A value that can be kept in state. The schema is stored beside the state and compared before any state is read. It
/// names the serialized form and outlives the type: moving or renaming the type changes nothing, but a change of its
/// fields must raise the version.
///
/// Numbers, strings, tuples, options and collections have schemas. Your own type takes one line:
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use tidegate_stable::Stored;
///
/// #[derive(Clone, Serialize, Deserialize)]
/// struct Order {
///     user: u64,
///     cents: i64,
/// }
///
/// impl Stored for Order {
///     const SCHEMA: &'static str = "order/1";
/// }
///
/// assert_eq!(Vec::<(String, Order)>::schema(), "list<(string, order/1)>");
/// ```
///
/// A schema without a version does not compile:
///
/// ```compile_fail
/// # use serde::{Deserialize, Serialize};
/// # use tidegate_stable::Stored;
/// #[derive(Clone, Serialize, Deserialize)]
/// struct Order(u64);
///
/// impl Stored for Order {
///     const SCHEMA: &'static str = "order";
/// }
/// Order::schema();
/// ```
///
/// A generic type appends the schemas of its parameters:
///
/// ```
/// # use serde::{Deserialize, Serialize};
/// # use tidegate_stable::Stored;
/// #[derive(Clone, Serialize, Deserialize)]
/// struct Range<T>(T, T);
///
/// impl<T: Stored> Stored for Range<T> {
///     const SCHEMA: &'static str = "range/1";
///
///     fn schema() -> String {
///         Self::schema_of(&[T::schema()])
///     }
/// }
///
/// assert_eq!(Range::<i64>::schema(), "range/1<i64>");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be kept in state: it has no schema",
    label = "no schema",
    note = "name the form of its bytes: `impl Stored for {Self} {{ const SCHEMA: &'static str = \"name/1\"; }}`"
)]
pub trait Stored: Clone + Send + Serialize + for<'de> Deserialize<'de> + 'static {
    /// A name and a version, such as `order/1`. Raise the version when the serialized form changes: a different name
    /// or version is a different schema.
    const SCHEMA: &'static str;

    /// The whole schema: the name and version, followed by the schemas of the type parameters.
    #[must_use]
    fn schema() -> String {
        Self::schema_of(&[])
    }

    /// The schema with these schemas of the type parameters.
    #[must_use]
    fn schema_of(parameters: &[String]) -> String {
        const { assert!(is_versioned(Self::SCHEMA), "a schema is a name and a version, as in `order/1`") };
        if parameters.is_empty() { Self::SCHEMA.to_owned() } else { format!("{}<{}>", Self::SCHEMA, parameters.join(", ")) }
    }
}

/// A type that can key state.
pub trait Key: Stored + Eq + Hash {}

impl<T: Stored + Eq + Hash> Key for T {}

/// A part of what a key keeps, as a key of its own. It lies in the key group of the key that it is a part of.
///
/// ```
/// use tidegate_stable::{Part, Stored, stable_hash};
///
/// let part = Part { key: "ann".to_owned(), part: 7_u32 };
/// assert_eq!(stable_hash(&part), stable_hash("ann"));
/// assert_eq!(Part::<String, u32>::schema(), "part/1<string, u32>");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Part<K, M> {
    /// The key.
    pub key: K,
    /// Which part of it.
    #[serde(rename = "@part")]
    pub part: M,
}

/// The name of the field that the stable hash leaves out.
pub(crate) const PART: &str = "@part";

impl<K: Stored, M: Stored> Stored for Part<K, M> {
    const SCHEMA: &'static str = "part/1";

    fn schema() -> String {
        Self::schema_of(&[K::schema(), M::schema()])
    }
}

/// Whether this is a name, a slash and a number.
const fn is_versioned(schema: &str) -> bool {
    let bytes = schema.as_bytes();
    let (mut i, mut slash) = (0, None);
    while i < bytes.len() {
        match (bytes[i], slash) {
            (b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' | b'.', None) => {}
            (b'0'..=b'9', Some(_)) => {}
            (b'/', None) if i > 0 => slash = Some(i),
            _ => return false,
        }
        i += 1;
    }
    match slash {
        Some(slash) => slash + 1 < bytes.len(),
        None => false,
    }
}

/// Types whose form the encoding fixes: they need no version.
macro_rules! plain {
    ($($type:ty = $name:literal),+ $(,)?) => {
        $(impl Stored for $type {
            const SCHEMA: &'static str = $name;

            fn schema() -> String {
                $name.to_owned()
            }
        })+
    };
}

plain! {
    () = "()", bool = "bool", char = "char", f32 = "f32", f64 = "f64",
    i8 = "i8", i16 = "i16", i32 = "i32", i64 = "i64", i128 = "i128", isize = "isize",
    u8 = "u8", u16 = "u16", u32 = "u32", u64 = "u64", u128 = "u128", usize = "usize",
    String = "string", Box<str> = "string", Duration = "duration",
}

/// The same for types with parameters.
macro_rules! collection {
    ($(<$($parameter:ident),+ $(; $extra:ident)?> $type:ty = $name:literal where [$($bounds:tt)*]),+ $(,)?) => {
        $(impl<$($parameter: Stored,)+ $($extra)?> Stored for $type where $($bounds)* {
            const SCHEMA: &'static str = $name;

            fn schema() -> String {
                format!("{}<{}>", $name, [$($parameter::schema()),+].join(", "))
            }
        })+
    };
}

collection! {
    <T> Option<T> = "option" where [],
    <T> Vec<T> = "list" where [],
    <T> VecDeque<T> = "list" where [],
    <T> BTreeSet<T> = "set" where [T: Ord],
    <T; S> HashSet<T, S> = "set" where [T: Eq + Hash, S: BuildHasher + Clone + Default + Send + 'static],
    <K, V> BTreeMap<K, V> = "map" where [K: Ord],
    <K, V; S> HashMap<K, V, S> = "map" where [K: Eq + Hash, S: BuildHasher + Clone + Default + Send + 'static],
    <K, V> Table<K, V> = "map" where [K: Eq + Hash],
}

/// A box has the schema of its content.
impl<T: Stored> Stored for Box<T> {
    const SCHEMA: &'static str = T::SCHEMA;

    fn schema() -> String {
        T::schema()
    }
}

macro_rules! tuples {
    ($($($name:ident)+;)+) => {
        $(impl<$($name: Stored),+> Stored for ($($name,)+) {
            const SCHEMA: &'static str = "tuple";

            fn schema() -> String {
                format!("({})", [$($name::schema()),+].join(", "))
            }
        })+
    };
}

tuples! {
    A;
    A B;
    A B C;
    A B C D;
    A B C D E;
    A B C D E F;
    A B C D E F G;
    A B C D E F G H;
}

macro_rules! arrays {
    ($($length:literal)+) => {
        $(impl<T: Stored> Stored for [T; $length] {
            const SCHEMA: &'static str = "array";

            fn schema() -> String {
                format!("[{}; {}]", T::schema(), $length)
            }
        })+
    };
}

// Serde, too, implements arrays size by size.
arrays! { 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_say_what_is_stored() {
        assert_eq!(<(i64, Option<Vec<String>>)>::schema(), "(i64, option<list<string>>)");
        assert_eq!(HashMap::<u8, [f64; 2]>::schema(), "map<u8, [f64; 2]>");
        assert_eq!(Table::<(u8,), Box<str>>::schema(), "map<(u8), string>");
        assert_eq!(Box::<u16>::schema(), "u16");
    }

    #[test]
    fn a_schema_of_ones_own_has_a_version() {
        for versioned in ["order/1", "shop.order/12", "Order_2-b/3"] {
            assert!(is_versioned(versioned), "{versioned}");
        }
        for not in ["", "order", "order/", "/1", "order/v1", "order/1/2", "an order/1", "order<i64>/1"] {
            assert!(!is_versioned(not), "{not}");
        }
    }
}

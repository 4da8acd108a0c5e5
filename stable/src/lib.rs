//! What stays the same in every release: the hash that distributes keys, and the schemas of stored types.
//!
//! [`stable_hash`] assigns keys to key groups; expressions expose it as `hash`. [`Stored`] names the serialized form
//! of a type, so that state survives when types move. Golden tests pin both.
//!
//! ```
//! use tidegate_stable::{Stored, stable_hash};
//!
//! // Equal numbers hash alike, whatever their width; so do `String` and `&str`.
//! assert_eq!(stable_hash(&7_u8), stable_hash(&7_i64));
//! assert_eq!(stable_hash("ann"), stable_hash(&"ann".to_owned()));
//! assert_eq!(<(String, Option<i64>)>::schema(), "(string, option<i64>)");
//! ```

mod hash;
mod stored;

pub use hash::stable_hash;
pub use stored::{Key, Part, Stored};

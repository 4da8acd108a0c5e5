//! What means the same in every release: the hash that spreads keys, and the schemas of what is stored.
//!
//! [`stable_hash`] deals keys to key groups, and expressions have it as `hash`. [`Stored`] names the form of a type's bytes, so that state survives
//! when types move. Golden tests hold both.
//!
//! ```
//! use tidegate_stable::{Stored, stable_hash};
//!
//! // Equal numbers hash alike, whatever their width; so do text and what it is borrowed as.
//! assert_eq!(stable_hash(&7_u8), stable_hash(&7_i64));
//! assert_eq!(stable_hash("ann"), stable_hash(&"ann".to_owned()));
//! assert_eq!(<(String, Option<i64>)>::schema(), "(string, option<i64>)");
//! ```

mod hash;
mod stored;

pub use hash::stable_hash;
pub use stored::{Key, Stored};

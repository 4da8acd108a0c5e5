//! A hash of any serde value that is the same on every machine, in every release, for ever: it deals keys to key groups, and expressions have it as `hash`.
//!
//! ```
//! use tidegate_hash::stable_hash;
//!
//! // Equal numbers hash alike, whatever their width; so do text and what it is borrowed as.
//! assert_eq!(stable_hash(&7_u8), stable_hash(&7_i64));
//! assert_eq!(stable_hash("ann"), stable_hash(&"ann".to_owned()));
//! ```

mod stable;

pub use stable::stable_hash;

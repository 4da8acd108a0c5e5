//! What the instances of a source must see alike, such as a directory listing.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// The listings of all sources, by their ordinal.
pub(crate) struct Listings(Vec<Listing>);

/// What the instances of one source share.
#[derive(Default)]
struct Listing {
    making: Mutex<()>,
    value: OnceLock<String>,
    begins: OnceLock<bool>,
}

impl Listings {
    pub(crate) fn new(sources: usize) -> Self {
        Self((0..sources).map(|_| Listing::default()).collect())
    }

    /// Held while an instance makes the value: the others wait for it.
    pub(crate) fn making(&self, source: usize) -> Option<MutexGuard<'_, ()>> {
        self.0.get(source).map(|listing| listing.making.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The value of a source, in JSON, once it is made.
    pub(crate) fn value(&self, source: usize) -> Option<&str> {
        self.0.get(source)?.value.get().map(String::as_str)
    }

    /// Whether a source has begun. `None` until that is decided.
    pub(crate) fn begins(&self, source: usize) -> Option<bool> {
        self.0.get(source)?.begins.get().copied()
    }

    /// The first value counts.
    pub(super) fn share(&self, source: usize, value: String) {
        if let Some(listing) = self.0.get(source) {
            let _ = listing.value.set(value);
        }
    }

    /// The first instance to say decides for all.
    pub(super) fn begin(&self, source: usize, begins: bool) {
        if let Some(listing) = self.0.get(source) {
            let _ = listing.begins.set(begins);
        }
    }
}

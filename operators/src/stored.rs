//! Decodes what the operators of this crate have stored, for tools that look into a savepoint.

use serde::de::DeserializeOwned;
use tidegate_runtime::state::decode;
use tidegate_runtime::{Error, Record};

use crate::dedupe::Span;
use crate::window::{Bounds, KeyWindows, counts, sessions};

/// The schema of the accumulators of [`Latest`](crate::Latest).
pub(crate) const LATEST: &str = "latest/1";

/// Whether the accumulators in a state with this schema are those of [`Latest`](crate::Latest).
#[must_use]
pub fn keeps_latest(schema: &str) -> bool {
    schema.split(['<', '(', ' ', ',']).any(|name| name == LATEST)
}

/// Decodes the sessions of a key and their accumulators.
///
/// # Errors
/// The bytes can't be decoded as this type.
pub fn sessions<Acc: DeserializeOwned>(bytes: &[u8]) -> Result<Vec<(Bounds, Acc)>, Error> {
    let all: Vec<sessions::Session<Acc>> = decode(bytes)?;
    Ok(all.into_iter().map(|session| (Bounds { start: session.start, end: session.end }, session.acc)).collect())
}

/// Decodes the windows of a key and their contents. `S` is the type of the trigger states.
///
/// # Errors
/// The bytes can't be decoded as this type.
pub fn windows<Kept: DeserializeOwned, S: DeserializeOwned>(bytes: &[u8]) -> Result<Vec<(Bounds, Kept)>, Error> {
    let windows: KeyWindows<Kept, S, ()> = decode(bytes)?;
    Ok(windows.all.into_iter().filter_map(|pane| Some((pane.window, pane.kept?))).collect())
}

/// Decodes the number of records counted for a key and the accumulators of the slices of its open windows.
///
/// # Errors
/// The bytes can't be decoded as this type.
pub fn counted<Acc: DeserializeOwned>(bytes: &[u8]) -> Result<(u64, Vec<Acc>), Error> {
    let state: counts::Slices<Acc> = decode(bytes)?;
    Ok((state.seen, state.slices.into()))
}

/// The start of a span, and the record kept for it.
pub type Kept<T> = (i64, Option<Record<T>>);

/// Decodes the spans of a key, with the last record of each.
///
/// # Errors
/// The bytes can't be decoded as this type.
pub fn spans<T: DeserializeOwned>(bytes: &[u8]) -> Result<Vec<Kept<T>>, Error> {
    let spans: Vec<Span<T>> = decode(bytes)?;
    Ok(spans.into_iter().map(|span| (span.start, span.last)).collect())
}

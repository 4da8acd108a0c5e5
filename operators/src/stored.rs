//! What the operators of this crate have stored, read back from its bytes: for those who look into a savepoint.

use serde::de::DeserializeOwned;
use tidegate_runtime::state::decode;
use tidegate_runtime::{Error, Record};

use crate::dedupe::Span;
use crate::window::{Bounds, KeyWindows, counts, sessions};

/// The schema of accumulators that are tables of the latest of results that come again.
pub(crate) const LATEST: &str = "latest/1";

/// Are the accumulators in a state of this schema tables of the latest of results that come again?
#[must_use]
pub fn keeps_latest(schema: &str) -> bool {
    schema.split(['<', '(', ' ', ',']).any(|name| name == LATEST)
}

/// The sessions of a key with their accumulators.
///
/// # Errors
/// These are other bytes.
pub fn sessions<Acc: DeserializeOwned>(bytes: &[u8]) -> Result<Vec<(Bounds, Acc)>, Error> {
    let all: Vec<sessions::Session<Acc>> = decode(bytes)?;
    Ok(all.into_iter().map(|session| (Bounds { start: session.start, end: session.end }, session.acc)).collect())
}

/// The windows of a key with what they hold, whose triggers have states of type `S`.
///
/// # Errors
/// These are other bytes.
pub fn windows<Kept: DeserializeOwned, S: DeserializeOwned>(bytes: &[u8]) -> Result<Vec<(Bounds, Kept)>, Error> {
    let windows: KeyWindows<Kept, S, ()> = decode(bytes)?;
    Ok(windows.all.into_iter().filter_map(|pane| Some((pane.window, pane.kept?))).collect())
}

/// How many records of a key were counted, and the accumulators of the open windows' slices.
///
/// # Errors
/// These are other bytes.
pub fn counted<Acc: DeserializeOwned>(bytes: &[u8]) -> Result<(u64, Vec<Acc>), Error> {
    let state: counts::Slices<Acc> = decode(bytes)?;
    Ok((state.seen, state.slices.into()))
}

/// The start of a span, and the record that is kept for it.
pub type Kept<T> = (i64, Option<Record<T>>);

/// The last records of the spans of a key.
///
/// # Errors
/// These are other bytes.
pub fn spans<T: DeserializeOwned>(bytes: &[u8]) -> Result<Vec<Kept<T>>, Error> {
    let spans: Vec<Span<T>> = decode(bytes)?;
    Ok(spans.into_iter().map(|span| (span.start, span.last)).collect())
}

//! Decodes what the operators of this crate have stored, for tools that look into a savepoint.

use serde::de::DeserializeOwned;
use tidegate_runtime::state::decode;
use tidegate_runtime::{Error, Record};

use crate::dedupe::Span;
use crate::indicator::{Column, Histories, History};
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

/// What a history of indicators holds, without its items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryExtent {
    /// The number of items that are kept one by one.
    pub items: u64,
    /// The times of the oldest and the newest of them.
    pub ends: Option<(i64, i64)>,
    /// The number of items that only a summary is kept of.
    pub summed_up: u64,
}

/// Decodes the histories of a key, in the order of the parts of the state.
///
/// # Errors
/// The bytes can't be decoded as this type.
pub fn histories<C: Column>(bytes: &[u8]) -> Result<Vec<HistoryExtent>, Error> {
    let all: Histories<C> = decode(bytes)?;
    let extent = |history: &History<C>| HistoryExtent {
        items: history.len(),
        ends: history.oldest().zip(history.newest()),
        summed_up: history.past.as_ref().map_or(0, |past| past.count),
    };
    Ok(all.all.iter().map(|(_, history)| extent(history)).collect())
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

//! `dedupe`: one record of each key within a span of time.

use jiff::SignedDuration;

use super::keys;
use super::read::Reader;
use super::span::{Span, Spanned};
use super::yaml::Node;

/// `dedupe`.
#[derive(Clone, Debug, PartialEq)]
pub struct Dedupe {
    /// Where the key `dedupe` stands.
    pub place: Spanned<()>,
    /// The last record and not the first.
    pub last: bool,
    /// How long a key stays known, from the record on that made it so; above zero.
    pub ttl: SignedDuration,
}

pub(super) fn read(reader: &mut Reader, node: &Node, at: &Span, stream: &str) -> Option<Dedupe> {
    let fields = reader.fields(node, at, &[&keys::DEDUPE], &format!("`dedupe` of {stream}"))?;
    let keep = fields.get("keep").and_then(|node| reader.word(node, "dedupe.keep", &[("first", false), ("last", true)]));
    let ttl = reader.required(&fields, "ttl").and_then(|node| reader.positive(node));
    Some(Dedupe { place: Spanned::new((), at.clone()), last: keep.is_some_and(|keep| keep.value), ttl: ttl?.value })
}

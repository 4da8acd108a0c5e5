//! `top`: the greatest records of each key, in all or per window.

use super::keys;
use super::read::Reader;
use super::span::{Span, Spanned};
use super::yaml::Node;

/// `top`.
#[derive(Clone, Debug, PartialEq)]
pub struct Top {
    /// How many, above zero.
    pub n: Spanned<u64>,
    /// What they are measured by.
    pub by: Spanned<String>,
}

pub(super) fn read(reader: &mut Reader, node: &Node, at: &Span, stream: &str) -> Option<Top> {
    let fields = reader.fields(node, at, &[&keys::TOP], &format!("`top` of {stream}"))?;
    let n = reader.required(&fields, "n").and_then(|node| reader.count(node, 1, 1_000_000));
    let by = reader.required(&fields, "by").and_then(|node| reader.text(node, "an expression"));
    Some(Top { n: n?, by: by? })
}

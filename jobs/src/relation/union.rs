//! Unions of streams.

use std::collections::HashMap;

use tidegate_rows::Schema;

use super::arrange;
use super::known::{Known, Order, Timing};
use super::open::{Asked, Origin};
use super::pipeline;
use super::updates::Updates;
use crate::text::Spanned;

/// The streams planned so far, by name.
pub(crate) type Streams = HashMap<String, Known>;

/// The union of the streams in `names`, and for each whether its rows must be rearranged. `said` are the names that
/// the job uses of it. `None` if one of the streams has no plan.
pub(crate) fn union(names: &[Spanned<String>], known: &Streams, said: &[String], asked: &mut Asked) -> Option<(Known, Vec<PlannedInput>)> {
    let inputs: Vec<(&str, &Known)> = names.iter().map(|n| known.get(n.as_str()).map(|k| (n.as_str(), k))).collect::<Option<_>>()?;
    let schemas: Vec<&Schema> = inputs.iter().map(|(_, k)| &k.schema).collect();
    let schema = arrange::united(&schemas);
    let timing = inputs.iter().fold(Timing::Timed, |timing, (_, k)| timing.and(&k.timing));
    let origin = inputs.iter().fold(Origin::default(), |origin, (_, k)| origin.and(&k.origin));
    asked.name(&origin, said);
    asked.meet(&inputs.iter().map(|(_, k)| (&k.schema, &k.origin)).collect::<Vec<_>>());
    let planned = inputs.iter().map(|(name, k)| {
        let rearrange = pipeline::arranging(arrange::between(&k.schema, &schema));
        PlannedInput { name: (*name).to_owned(), rearrange }
    });
    let planned = planned.collect();
    let (order, updates) = match inputs.as_slice() {
        [(_, one)] => (one.order.clone(), one.updates.clone()),
        several => (Order::Arrival, several.iter().find_map(|(_, k)| k.updates.as_ref()).map(Updates::united)),
    };
    Some((Known { updates, ..Known::new(schema, timing, order) }.of(&origin), planned))
}

/// A stream that another stream reads.
#[derive(Clone, Debug)]
pub(crate) struct PlannedInput {
    pub(crate) name: String,
    /// Converts the stream's rows to the layout that the reader expects, if they don't have it already.
    pub(crate) rearrange: Option<pipeline::Pipeline>,
}

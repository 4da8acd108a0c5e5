//! Plans streams.

use std::sync::Arc;

use tidegate_rows::Schema;
use tidegate_runtime::{About, Basis};

use crate::connect::Answers;
use crate::file::{OnError, Problem, Stream, Table};
use crate::relation::known::{Known, Order};
use crate::relation::open::{Asked, Origin};
use crate::relation::pipeline::{self, Base, Pipeline};
use crate::relation::union::{PlannedInput, Streams, union};
use crate::stage::{Planned, Refused, Scope, Work, ledger};

/// A planned stream.
#[derive(Clone)]
pub(super) struct PlannedStream {
    pub(super) name: String,
    /// The identity and basis of its state.
    pub(super) about: About,
    pub(super) inputs: Vec<PlannedInput>,
    /// What is known of the union of the inputs.
    pub(super) input: Known,
    /// Builds its stage, if it has one.
    pub(super) work: Option<Arc<dyn Work>>,
    /// The `where`, `select` and `flat_map`, applied to the output of the stage or else to the input.
    pub(super) pipeline: Pipeline,
    /// The schema of the rows that the pipeline is applied to.
    pub(super) pipeline_schema: Schema,
    /// What is known of the output.
    pub(super) out: Known,
    pub(super) on_error: OnError,
    /// The name of the stream of late records, and its schema.
    pub(super) late: Option<(String, Schema)>,
    /// The name of the stream of timed-out partial results, and its schema.
    pub(super) timeouts: Option<(String, Schema)>,
    /// The name of the stream of what became of control records.
    pub(super) ledger: Option<String>,
    /// What is valid and probably not meant.
    pub(super) warnings: Vec<Problem>,
    /// Where its fields come from, if they are open.
    origin: Origin,
}

impl PlannedStream {
    /// Everything that can be read from it, by name.
    pub(super) fn gives(&self) -> Vec<(String, Known)> {
        let mut gives = vec![(self.name.clone(), self.out.clone())];
        if let Some((name, schema)) = &self.late {
            let known = Known::new(schema.clone(), self.input.timing.clone(), Order::Arrival);
            gives.push((name.clone(), Known { updates: self.input.updates.clone(), ..known }.of(&self.origin)));
        }
        if let Some((name, schema)) = &self.timeouts {
            gives.push((name.clone(), Known::new(schema.clone(), self.out.timing.clone(), Order::Arrival)));
        }
        gives.extend(self.ledger.as_ref().map(|name| (name.clone(), ledger())));
        gives
    }
}

/// Plans a stream. `None` if something it reads could not be planned.
///
/// # Errors
/// What is wrong with it, and what is known of its outputs anyway.
pub(super) fn plan(
    stream: &Stream,
    known: &Streams,
    tables: &[&Table],
    asked: &mut Asked,
    answers: &Answers,
) -> Result<Option<(PlannedStream, Option<Basis>)>, Refused> {
    let Stream { head, stage, each, .. } = stream;
    let names = stream.names();
    let Some((input, inputs)) = union(&head.from, known, &names, asked) else { return Ok(None) };
    let mut warnings = Vec::new();
    let planned = match stage {
        None => None,
        Some(stage) => {
            let mut scope =
                Scope { head, each, input: &input, streams: known, tables, names: &names, asked, answers, warnings: &mut warnings };
            let Some(planned) = stage.get().plan(&mut scope)? else { return Ok(None) };
            Some(planned)
        }
    };
    let (base, out, origin, work, basis, late, timeouts) = match planned {
        None => (Base::new(input.schema.clone()), input.clone(), input.origin.clone(), None, None, None, None),
        Some(Planned { base, out, origin, work, basis, late, timeouts }) => (base, out, origin, Some(work), basis, late, timeouts),
    };
    let (pipeline, schema) = pipeline::compile(each, base.clone())
        .map_err(|_| Refused::looked_through(head, each, &input, Vec::new(), base.clone(), out.timing.clone()))?;
    let name = head.name.value.clone();
    let updates = out.updates.map(|updates| updates.through(&name, each, &base, &pipeline));
    let out = Known { updates, ..Known::new(schema, out.timing, out.order.through(&pipeline)) }.of(&origin);
    let late = head.late_to.as_ref().map(|to| (to.value.clone(), late.unwrap_or_else(|| input.schema.clone())));
    let timeouts = head.timeouts_to.as_ref().map(|to| to.value.clone()).zip(timeouts);
    let (about, pipeline_schema, on_error) = (About::default(), base.schema, head.on_error);
    let ledger = head.ledger.as_ref().map(|name| name.value.clone());
    let planned = PlannedStream {
        name,
        about,
        inputs,
        input,
        work,
        pipeline,
        pipeline_schema,
        out,
        on_error,
        late,
        timeouts,
        ledger,
        warnings,
        origin,
    };
    Ok(Some((planned, basis)))
}

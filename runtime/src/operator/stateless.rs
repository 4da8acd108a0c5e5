//! Operators that look at one record at a time and keep no state.

use std::sync::Arc;

use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::progress::operate::FrontierInterest;

use crate::dataflow::Edge;
use crate::error::Error;
use crate::graph::{Role, Route};
use crate::kind::OperatorSpec;
use crate::metrics::OperatorMetrics;
use crate::record::Record;

/// Sends on what `logic` makes of each batch, under the batch's time and in order. `logic` takes the records out of its first argument and
/// puts its results into the second. It counts what it drops.
pub fn stateless<'s, A, B, F>(
    edge: Edge<'s, A>,
    name: &str,
    spec: impl Into<OperatorSpec>,
    logic: impl FnOnce(Arc<OperatorMetrics>) -> F,
) -> Edge<'s, B>
where
    A: 'static,
    B: Clone + 'static,
    F: FnMut(&mut Vec<Record<A>>, &mut Vec<Record<B>>) -> Result<(), Error> + 'static,
{
    let flow = edge.flow.clone();
    let origin = edge.origin();
    let node = flow.add(name, Role::Stateless, spec.into(), edge.inputs(Route::Local));
    let (control, metrics, worker, name) = (flow.control(), flow.shared.control.metrics.operator(node), flow.worker(), name.to_owned());
    let mut logic = logic(Arc::clone(&metrics));

    let mut builder = OperatorBuilder::new(name.clone(), flow.scope);
    let (output, stream) = builder.new_output::<Vec<Record<B>>>();
    let mut output = OutputBuilder::<_, CapacityContainerBuilder<_>>::from(output);
    let mut input = builder.new_input(edge.stream, Pipeline);
    // Only its records matter; it does not need to see the frontier.
    builder.set_notify_for(0, FrontierInterest::Never);
    builder.build(move |capabilities| {
        drop(capabilities);
        let mut out = Vec::new();
        move |_| {
            let mut output = output.activate();
            input.for_each(|capability, batch| {
                if control.over() {
                    return;
                }
                metrics.records_in.add(batch.len() as u64);
                if let Err(error) = logic(batch, &mut out) {
                    control.fail(&name, worker, error);
                }
                metrics.records_out.add(out.len() as u64);
                if !out.is_empty() {
                    output.session(&capability).give_container(&mut out);
                    out.clear();
                }
            });
        }
    });
    Edge::new(flow, stream, node, None, origin)
}

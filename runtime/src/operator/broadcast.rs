//! Broadcast: every record reaches every worker, in one order, and holds back no event time.

use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::progress::Antichain;
use timely::progress::operate::FrontierInterest;

use super::harness::meet;
use crate::dataflow::{Edge, Origin};
use crate::graph::{Role, Route};
use crate::kind::Kind;
use crate::record::Record;
use crate::time::{Passage, Time, Watermark};

const BROADCAST: Kind = Kind::new("broadcast");

/// Makes one copy of each record per worker; `copy` receives the worker's index. One worker makes all copies, so every worker gets them in
/// the same order.
///
/// The copies keep the epoch of their record, so barriers are aligned with them as usual. But they are sent under [`Watermark::END`], so an
/// operator that reads them next to another input follows the event time of that input alone.
pub fn broadcast<'s, A, B>(edge: Edge<'s, A>, name: &str, copy: impl Fn(usize, &A) -> B + 'static) -> Edge<'s, B>
where
    A: crate::record::Data,
    B: Clone + 'static,
{
    let flow = edge.flow.clone();
    let node = flow.add(name, Role::Stateless, BROADCAST.into(), edge.inputs(Route::Broadcast));
    let (control, metrics) = (flow.control(), flow.shared.control.metrics.operator(node));
    let (worker, workers, name) = (flow.worker(), flow.workers(), name.to_owned());

    let mut builder = OperatorBuilder::new(name.clone(), flow.scope);
    let mut input = builder.new_input(edge.stream, Exchange::new(|_: &Record<A>| 0));
    let (output, stream) = builder.new_output_connection::<Vec<Record<B>>, _>([(0, Antichain::from_elem(Passage::Untimed))]);
    let mut output = OutputBuilder::<_, CapacityContainerBuilder<_>>::from(output);
    // Only its records matter; it does not need to see the frontier.
    builder.set_notify_for(0, FrontierInterest::Never);
    builder.build(move |capabilities| {
        drop(capabilities);
        move |_| {
            let mut output = output.activate();
            input.for_each(|capability, batch| {
                if control.over() {
                    return;
                }
                let time = match meet(capability.stamp()) {
                    Ok(sent) => Time { watermark: Watermark::END, ..sent },
                    Err(error) => return control.fail(&name, worker, error),
                };
                metrics.records_in.add(batch.len() as u64);
                let copies = |record: Record<A>| {
                    let copies: Vec<_> = (0..workers).map(|to| Record::new(record.time, copy(to, &record.value))).collect();
                    copies
                };
                let mut out: Vec<_> = batch.drain(..).flat_map(copies).collect();
                metrics.records_out.add(out.len() as u64);
                output.session(&capability.delayed(&time, 0)).give_container(&mut out);
            });
        }
    });
    Edge::new(flow, stream, node, None, Origin::Operator)
}

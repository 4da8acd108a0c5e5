//! The same windows written straight on timely: what the machine gives without the runtime.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use hashbrown::HashMap;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::generic::operator::{Operator, source};

use super::generator::{Event, Events, event, mix};

type Window = HashMap<u64, (u64, f64), foldhash::fast::FixedState>;

/// Runs the windows on `workers` workers; returns the number of results.
pub fn run(events: Events, workers: usize) -> u64 {
    let guards = timely::execute(timely::Config::process(workers), move |worker| {
        let (index, peers) = (worker.index() as u64, worker.peers() as u64);
        let results = Rc::new(Cell::new(0u64));
        let counted = Rc::clone(&results);
        worker.dataflow::<u64, _, _>(|scope| {
            source::<_, CapacityContainerBuilder<Vec<Event>>, _, _>(scope, "events", |capability, info| {
                let activator = scope.activator_for(info.address);
                let (mut capability, mut next) = (Some(capability), index);
                move |output| {
                    let Some(held) = capability.as_mut() else { return };
                    let indices = (next..events.count).step_by(peers as usize).take(8_192);
                    output.session(&*held).give_iterator(indices.map(|i| event(i, events.keys, events.per_ms)));
                    next += 8_192 * peers;
                    held.downgrade(&(next / events.per_ms).saturating_sub(1_000).max(*held.time()));
                    if next >= events.count { capability = None } else { activator.activate() }
                }
            })
            .unary_frontier::<CapacityContainerBuilder<Vec<(u64, u64, u64, f64)>>, _, _, _>(
                Exchange::new(|e: &Event| mix(e.user)),
                "window",
                |capability, _| {
                    let (mut held, mut windows) = (Some(capability), BTreeMap::<u64, Window>::new());
                    move |(input, frontier), output| {
                        input.for_each(|_, batch| {
                            for e in batch.drain(..) {
                                let acc = windows.entry(e.ts as u64 / 60_000 * 60_000 + 60_000).or_default().entry(e.user).or_default();
                                acc.0 += 1;
                                acc.1 += e.amount;
                            }
                        });
                        let reached = frontier.frontier().first().copied().unwrap_or(u64::MAX);
                        while let Some(window) = windows.first_entry().filter(|w| *w.key() <= reached) {
                            let (end, accs) = window.remove_entry();
                            if let Some(held) = &held {
                                output.session(held).give_iterator(accs.into_iter().map(|(user, (n, sum))| (user, end, n, sum)));
                            }
                        }
                        if reached == u64::MAX {
                            held = None;
                        } else if let Some(held) = &mut held {
                            held.downgrade(&reached);
                        }
                    }
                },
            )
            .unary::<CapacityContainerBuilder<Vec<()>>, _, _, _>(Pipeline, "discard", |_, _| {
                move |input, _| input.for_each(|_, batch| counted.set(counted.get() + batch.len() as u64))
            });
        });
        while worker.has_dataflows() {
            worker.step_or_park(None);
        }
        results.get()
    });
    guards.map_or(0, |guards| guards.join().into_iter().flatten().sum())
}

//! Two streams seen by one function: a co-process function with state and a timer, and a co-group of windows.
//!
//!     $ cargo run --example two_streams
//!     ["unpaid",0,0]
//!     ["unpaid",14,70]
//!     ["unpaid",21,105]
//!     ["unpaid",28,140]
//!     ["unpaid",35,175]
//!     ["unpaid",42,210]
//!     ["unpaid",49,245]
//!     ["unpaid",56,280]
//!     ["unpaid",7,35]
//!     ["window from 0 ms",30,26]
//!     ["window from 30000 ms",30,30]
//!     ["window from 60000 ms",0,4]

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidegate::operators::join::CoGroup;
use tidegate::operators::window::Bounds;
use tidegate::prelude::*;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Order {
    id: u64,
    amount: u64,
}

impl Stored for Order {
    const SCHEMA: &'static str = "order/1";
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Payment {
    order: u64,
}

impl Stored for Payment {
    const SCHEMA: &'static str = "payment/1";
}

/// Waits ten seconds for the payment of an order.
#[derive(Default)]
struct Unpaid {
    open: Option<ValueState<u64, Order>>,
}

impl CoProcessFunction<u64, Order, Payment> for Unpaid {
    type Out = (String, u64, u64);

    fn open(&mut self, states: &mut States) -> Result<(), Error> {
        self.open = Some(states.value("open")?);
        Ok(())
    }

    fn process_first(&mut self, order: Order, context: &mut ProcessContext<'_, u64, Self::Out>) -> Result<(), Error> {
        context.set_event_timer(context.time() + 10_000);
        self.open.as_ref().map_or(Ok(()), |open| open.set(context.key(), order))
    }

    fn process_second(&mut self, _: Payment, context: &mut ProcessContext<'_, u64, Self::Out>) -> Result<(), Error> {
        self.open.as_ref().map_or(Ok(()), |open| open.remove(context.key()).map(drop))
    }

    fn on_timer(&mut self, _: Timer, context: &mut ProcessContext<'_, u64, Self::Out>) -> Result<(), Error> {
        if let Some(order) = self.open.as_ref().map_or(Ok(None), |open| open.get(context.key()))? {
            context.emit(("unpaid".to_owned(), order.id, order.amount));
        }
        Ok(())
    }
}

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    let job = Job::new(|flow| {
        let in_order = WatermarkStrategy::bounded(Duration::ZERO);
        let orders = FnSource::new(|i| Record::new(i as i64 * 1_000, Order { id: i, amount: i * 5 })).with_count(60);
        // Every seventh order is not paid, the others after four seconds.
        let payments =
            FnSource::new(|i| Record::new(i as i64 * 1_000 + 4_000, Payment { order: if i.is_multiple_of(7) { u64::MAX } else { i } }));
        let orders = flow.source("orders", orders, in_order);
        let payments = flow.source("payments", payments.with_count(60), in_order);
        let unpaid = orders
            .clone()
            .key_by(|order: &Order| order.id)
            .connect(payments.clone().key_by(|payment: &Payment| payment.order))
            .process("unpaid_orders", Unpaid::default());
        let count = |_: &u64, window: Bounds, orders: &[&Order], payments: &[&Payment]| {
            vec![(format!("window from {} ms", window.start), orders.len() as u64, payments.len() as u64)]
        };
        let minutes = Window::tumbling(Duration::from_secs(30), 0).expect("half a minute is a window");
        let (counted, _) = orders
            .key_by(|_: &Order| 0_u64)
            .join("half_minutes", payments.key_by(|_: &Payment| 0_u64))
            .window(minutes)
            .process("half_minutes", CoGroup::new(count));
        unpaid.union(counted).sink("out", StdoutSink::new(JsonLinesEncoder));
    })?;
    Ok(job.run(RunConfig::workers(2))?)
}

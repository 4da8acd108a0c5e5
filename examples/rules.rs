//! A broadcast stream: payments held against limits that change while the job runs.
//!
//!     cargo run --example rules

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidegate::prelude::*;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Payment {
    card: u64,
    country: String,
    amount: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Limit {
    country: String,
    amount: u64,
}

/// Sums up what each card spends in a country, and says when that passes the limit there.
#[derive(Default)]
struct Limits {
    spent: Option<ValueState<u64, u64>>,
}

impl BroadcastProcessFunction<u64, Payment, Limit> for Limits {
    type Out = (u64, u64);
    type Name = String;
    type Rule = u64;

    fn open(&mut self, states: &mut States) -> Result<(), Error> {
        self.spent = Some(states.value("spent")?);
        Ok(())
    }

    fn process(
        &mut self,
        payment: Payment,
        limits: &SharedMap<String, u64>,
        context: &mut ProcessContext<'_, u64, (u64, u64)>,
    ) -> Result<(), Error> {
        let Some(spent) = &self.spent else { return Ok(()) };
        spent.update(context.key(), || 0, |sum| *sum += payment.amount)?;
        let sum = spent.get(context.key())?.unwrap_or_default();
        if limits.get(&payment.country).is_some_and(|limit| sum > *limit) {
            context.emit((payment.card, sum));
        }
        Ok(())
    }

    fn process_broadcast(
        &mut self,
        limit: Limit,
        limits: &mut SharedMap<String, u64>,
        _: &mut BroadcastContext<'_, (u64, u64)>,
    ) -> Result<(), Error> {
        limits.insert(limit.country, limit.amount);
        Ok(())
    }
}

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    let job = Job::new(|flow| {
        let in_order = WatermarkStrategy::bounded(Duration::ZERO);
        let payment = |i: u64| Payment { card: i % 5, country: if i.is_multiple_of(3) { "FR" } else { "DE" }.to_owned(), amount: i % 40 };
        let payments = FnSource::new(move |i| Record::new(i as i64 * 100, payment(i))).with_count(100);
        let limit = |i: u64| Limit { country: if i == 0 { "FR" } else { "DE" }.to_owned(), amount: 350 + i * 10 };
        let limits = FnSource::new(move |i| Record::new(i as i64, limit(i))).with_count(3);
        let limits = flow.source("limits", limits, in_order);
        flow.source("payments", payments, in_order)
            .key_by(|payment: &Payment| payment.card)
            .connect_broadcast(limits)
            .process("limits_of_cards", Limits::default())
            .sink("out", StdoutSink::new(JsonLinesEncoder));
    })?;
    Ok(job.run(RunConfig::workers(2))?)
}

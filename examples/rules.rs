//! A broadcast stream: payments held against limits that change while the job runs.
//!
//! A payment may be processed before or after a limit, however their times compare. So a card is reported whichever comes second, the
//! payment that passes the limit or the limit that it has passed.
//!
//!     $ cargo run --example rules
//!     [0,"FR"]
//!     [1,"FR"]
//!     [2,"DE"]
//!     [3,"DE"]
//!     [3,"FR"]
//!     [4,"DE"]
//!     [4,"FR"]

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

/// A card in a country.
type Use = (u64, String);

/// What a card has spent in a country.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Spent {
    sum: u64,
    /// Whether it was reported.
    reported: bool,
}

impl Stored for Spent {
    const SCHEMA: &'static str = "spent/1";
}

impl Spent {
    /// Whether it is to be reported now: at the first time that it is over the limit.
    fn passes(&mut self, limit: u64) -> bool {
        let passes = !self.reported && self.sum > limit;
        self.reported |= passes;
        passes
    }
}

/// Reports each card that spends more in a country than the limit there.
#[derive(Default)]
struct Limits {
    spent: Option<ValueState<Use, Spent>>,
}

impl BroadcastProcessFunction<Use, Payment, Limit> for Limits {
    type Out = Use;
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
        context: &mut ProcessContext<'_, Use, Use>,
    ) -> Result<(), Error> {
        let Some(spent) = &self.spent else { return Ok(()) };
        let passes = spent.update(context.key(), Spent::default, |spent| {
            spent.sum += payment.amount;
            limits.get(&payment.country).is_some_and(|limit| spent.passes(*limit))
        })?;
        if passes {
            context.emit(context.key().clone());
        }
        Ok(())
    }

    fn process_broadcast(
        &mut self,
        limit: Limit,
        limits: &mut SharedMap<String, u64>,
        context: &mut BroadcastContext<'_, Use>,
    ) -> Result<(), Error> {
        let Some(spent) = &self.spent else { return Ok(()) };
        // Each worker visits the cards it has.
        let mut cards = Vec::new();
        spent.for_each(|card, _| {
            if card.1 == limit.country {
                cards.push(card.clone());
            }
            Ok(())
        })?;
        for card in cards {
            if spent.update(&card, Spent::default, |spent| spent.passes(limit.amount))? {
                context.emit(card);
            }
        }
        limits.insert(limit.country, limit.amount);
        Ok(())
    }
}

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    let job = Job::new(|flow| {
        let in_order = WatermarkStrategy::bounded(Duration::ZERO);
        let payment = |i: u64| Payment { card: i % 5, country: if i.is_multiple_of(3) { "FR" } else { "DE" }.to_owned(), amount: i % 40 };
        let payments = FnSource::new(move |i| Record::new(i as i64 * 100, payment(i))).with_count(100);
        let limit = |i: u64| {
            let (country, amount) = [("FR", 110), ("DE", 220)][i as usize];
            Limit { country: country.to_owned(), amount }
        };
        let limits = FnSource::new(move |i| Record::new(i as i64, limit(i))).with_count(2);
        let limits = flow.source("limits", limits, in_order);
        flow.source("payments", payments, in_order)
            .key_by(|payment: &Payment| (payment.card, payment.country.clone()))
            .connect_broadcast(limits)
            .process("limits_of_cards", Limits::default())
            .sink("out", StdoutSink::new(JsonLinesEncoder));
    })?;
    Ok(job.run(RunConfig::workers(2))?)
}

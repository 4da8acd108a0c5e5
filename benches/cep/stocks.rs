//! Sequences over a day of trades, after the queries that CORE was measured with: each step a share bought or sold, anything in between, and a match
//! uses up all that it lies across.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidegate::cep::{Pattern, Search, Where};
use tidegate::prelude::*;

use crate::generator::mix;

/// Shares with how often they were traded in a day, in thousands.
const SYMBOLS: [(&str, u64); 10] = [
    ("INTC", 27),
    ("RIMM", 17),
    ("QQQ", 29),
    ("IPIX", 46),
    ("AMAT", 17),
    ("CSCO", 21),
    ("YHOO", 13),
    ("DELL", 16),
    ("ORCL", 16),
    ("MSFT", 23),
];

/// A trade.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Trade {
    ts: i64,
    symbol: u8,
    buys: bool,
}

impl Stored for Trade {
    const SCHEMA: &'static str = "trade/1";
}

/// Trades in bursts, about 5 a second.
pub fn made_up(count: u64) -> Vec<Trade> {
    let weights: u64 = SYMBOLS.iter().map(|(_, weight)| weight).sum();
    let mut ts = 0;
    let trade = |i: u64| {
        let h = mix(i.wrapping_add(0x9E37_79B9_7F4A_7C15));
        // Half of them come at once with the one before.
        ts += if h & 1 == 0 { 0 } else { ((h >> 1) & 1_023) as i64 * ((h >> 1) & 1_023) as i64 / 900 };
        let mut rest = (h >> 16) % weights;
        let symbol = SYMBOLS.iter().position(|(_, weight)| rest.checked_sub(*weight).map(|left| rest = left).is_none());
        Trade { ts, symbol: symbol.unwrap_or(0) as u8, buys: h >> 63 == 1 }
    };
    (0..count).map(trade).collect()
}

/// Trades from a file, four times one after the other.
pub fn read(path: &str) -> std::io::Result<Vec<Trade>> {
    let text = std::fs::read_to_string(path)?;
    let day: Vec<Trade> = text.lines().skip(1).filter_map(trade).collect();
    let next = |n: i64| day.iter().map(move |trade| Trade { ts: trade.ts + n * 86_400_000, ..*trade });
    Ok((0..4).flat_map(next).collect())
}

fn trade(line: &str) -> Option<Trade> {
    let mut fields = line.split(',');
    let (ts, symbol, side) = (fields.next()?, fields.nth(1)?, fields.next()?);
    let symbol = SYMBOLS.iter().position(|(name, _)| *name == symbol)? as u8;
    Some(Trade { ts: ts.parse().ok()?, symbol, buys: side == "BUY" })
}

/// INTC sold, RIMM bought, QQQ bought, and so on.
pub fn sequence(length: usize, within: Duration) -> Pattern<Where<Trade>> {
    let asked = |i: usize| {
        let (symbol, buys) = ((i % SYMBOLS.len()) as u8, !i.is_multiple_of(3));
        Where::event(move |trade: &Trade| trade.symbol == symbol && trade.buys == buys)
    };
    let begin = Pattern::begin("s0").when(asked(0));
    let pattern = (1..length).fold(begin, |pattern, i| pattern.followed_by_any(&format!("s{i}")).when(asked(i)));
    pattern.within(within).skip_past_last_event()
}

/// All trades as one stream.
pub fn job(trades: &Arc<Vec<Trade>>, search: Search<Trade>) -> Job {
    let trades = Arc::clone(trades);
    let job = Job::new(move |flow| {
        let (of, count) = (Arc::clone(&trades), trades.len() as u64);
        let trades = FnSource::new(move |i| Record::new(of[i as usize].ts, of[i as usize])).with_count(count);
        flow.source("trades", trades, WatermarkStrategy::bounded(Duration::ZERO))
            .key_by(|_: &Trade| 0_u8)
            .pattern("sequence", search.clone())
            .matches
            .sink("matches", FnSink::new(|_| Ok(())));
    });
    job.expect("a valid job")
}

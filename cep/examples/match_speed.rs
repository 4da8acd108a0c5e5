//! Measures how many events a second the keyed logic takes: for many keys with little open, and for one key with much open.
#![allow(clippy::print_stdout, reason = "a measurement is there to be read")]

use std::time::{Duration, Instant};

use tidegate_cep::{CepLogic, Emitted, Pattern, Search, Where};
use tidegate_runtime::operator::{Context, Logic, Outbox};
use tidegate_runtime::{Error, Record, Watermark};

type Event = (u64, u32);

fn kind(kind: u32) -> Where<Event> {
    Where::event(move |(_, k): &Event| *k == kind)
}

fn measure(name: &str, pattern: Pattern<Where<Event>>, events: u64, event: impl Fn(u64) -> Event) -> Result<(), Error> {
    let search = Search::new(pattern).map_err(|e| Error::user(e.to_string()))?;
    let mut logic = CepLogic::new(|(key, _): &Event| *key, search, Emitted::of, &mut Context::default())?;
    let mut out = Outbox::default();
    let (start, mut matches) = (Instant::now(), 0);
    for i in 0..events {
        logic.record(Record::new(i as i64, event(i)), &mut out)?;
        if i % 1_000 == 999 {
            logic.watermark(Watermark(i as i64), &mut out)?;
            out.set_watermark(Watermark(i as i64));
            matches += out.take().0.len();
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("{name}: {:.0} events/s, {matches} matches, {} keys", events as f64 / seconds, logic.keys()?.len());
    Ok(())
}

fn main() -> Result<(), Error> {
    let sequence = || Pattern::begin("a").when(kind(0)).followed_by("b").when(kind(1)).followed_by("c").when(kind(2));
    let window = Duration::from_secs(600);
    let mixed = |i: u64| i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33;
    measure("100,000 keys, three steps", sequence().within(window), 3_000_000, |i| (mixed(i) % 100_000, (mixed(i + 7) % 4) as u32))?;
    measure("100 keys, three steps, skip", sequence().within(window).skip_past_last_event(), 3_000_000, |i| {
        (mixed(i) % 100, (mixed(i + 7) % 4) as u32)
    })?;
    for open in [10, 1_000, 10_000] {
        let name = format!("one key, {open} open");
        measure(&name, sequence().within(Duration::from_secs(6_000)), (2_000_000_000 / (open + 1_000)).min(500_000), |i| {
            (0, if i < open { 0 } else { 3 })
        })?;
    }
    Ok(())
}

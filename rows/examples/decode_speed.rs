//! Lines decoded per second on one core: `cargo run --release -p tidegate-connectors --example decode_speed`.
#![allow(clippy::print_stdout, reason = "a measurement is there to be read")]

use std::time::Instant;

use tidegate_rows::Row;
use tidegate_rows::format::{
    Conversion, CsvFormat, Decoded, Decoder, Encoder, Format, JsonEncoder, JsonFormat, Layout, RegexFormat, TextTime, TimeUnit, Timestamps,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const LINES: u64 = 1_000_000;

fn lines(line: impl Fn(u64) -> String) -> Vec<String> {
    // More than fits a cache, and few enough to make quickly.
    (0..100_000).map(line).collect()
}

fn measure<F: Format<Item = Row>>(name: &str, format: &F, lines: &[String]) -> Result<(), String> {
    let mut decoder = format.decoder();
    let mut batch = Vec::with_capacity(1024);
    let start = Instant::now();
    for line in lines.iter().cycle().take(LINES as usize) {
        if let Decoded::Record { value, .. } = decoder.decode(line.as_bytes())? {
            batch.push(value);
        }
        if batch.len() == 1024 {
            batch.clear();
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    let length = lines.iter().map(String::len).sum::<usize>() / lines.len();
    println!("{name:<12} {:>5.2} M lines/s of {length} bytes", LINES as f64 / seconds / 1e6);
    Ok(())
}

fn main() -> Result<(), String> {
    let named = |name: &str| Conversion::named(name).ok_or_else(|| format!("no type {name}"));
    let layout = Layout::new([
        ("user", named("int")?),
        ("ip", named("string")?),
        ("action", named("string")?),
        ("amount", named("double")?),
        ("ts", named("timestamp_ms")?),
    ])
    .with_event_time("ts", TimeUnit::Millis)?;
    let ip = |i: u64| format!("10.{}.{}.{}", i % 7, i % 251, i * 7 % 256);
    let json = lines(|i| {
        let (user, cents, ts) = (i * 7919 % 100_000, i % 10_000, 1_700_000_000_000 + i);
        let fill = "checkout-with-card-on-file";
        format!(r#"{{"user":{user},"ip":"{}","action":"{fill}","amount":{}.{:02},"ts":{ts}}}"#, ip(i), cents / 100, cents % 100)
    });
    measure("json", &JsonFormat::new(layout.clone()), &json)?;
    let untyped = Layout::untyped(layout.schema().names()).with_event_time("ts", TimeUnit::Millis)?;
    measure("json untyped", &JsonFormat::new(untyped), &json)?;
    let narrow = Layout::new([("user", named("int")?), ("ts", named("timestamp_ms")?)]).with_event_time("ts", TimeUnit::Millis)?;
    measure("json 2 of 5", &JsonFormat::new(narrow), &json)?;

    let csv = lines(|i| format!("{},{},checkout-with-card,{}.25,{}", i * 7919 % 100_000, ip(i), i % 10_000, 1_700_000_000_000 + i));
    measure("csv", &CsvFormat::new(layout.clone()).with_header(false), &csv)?;
    let quoted = lines(|i| format!("{},\"{}\",\"checkout\",{}.25,{}", i * 7919 % 100_000, ip(i), i % 10_000, 1_700_000_000_000 + i));
    measure("csv quoted", &CsvFormat::new(layout.clone()).with_header(false), &quoted)?;

    let time = |format| TextTime::new(format, Some(2015), None).map(|time| Conversion::TextTime(Box::new(time)));
    let syslog = lines(|i| {
        let (h, m, s) = (i / 3600 % 24, i / 60 % 60, i % 60);
        format!("Mar 27 {h:02}:{m:02}:{s:02} ip-10-77-20-248 sshd[1291]: Failed password for root from {} port 4711 ssh2", ip(i))
    });
    let fields = Layout::new([("ts", time("%b %d %H:%M:%S")?), ("user", named("string")?), ("ip", named("string")?)]);
    let fields = fields.with_event_time("ts", TimeUnit::Millis)?;
    let pattern = r"^(?P<ts>\w+ +\d+ [\d:]+) .* Failed password for (?P<user>\S+) from (?P<ip>\S+)";
    measure("syslog", &RegexFormat::new(pattern, fields)?, &syslog)?;
    let only = lines(|i| format!("{:02}/Mar/2015:{:02}:{:02}:{:02} +0000", i / 86400 % 28 + 1, i / 3600 % 24, i / 60 % 60, i % 60));
    let stamp = Layout::new([("ts", time("%d/%b/%Y:%H:%M:%S %z")?)]).with_event_time("ts", TimeUnit::Millis)?;
    measure("text time", &CsvFormat::new(stamp).with_header(false), &only)?;

    let mut decoder = JsonFormat::new(layout.clone()).decoder();
    let Decoded::Record { value, .. } = decoder.decode(json[0].as_bytes())? else { return Ok(()) };
    let encoder = JsonEncoder::new(layout.schema(), Timestamps::Millis);
    let mut out = Vec::new();
    let start = Instant::now();
    for _ in 0..LINES {
        if out.len() > 1 << 16 {
            out.clear();
        }
        encoder.encode(&value, &mut out);
    }
    println!("encode json  {:>5.2} M lines/s", LINES as f64 / start.elapsed().as_secs_f64() / 1e6);
    Ok(())
}

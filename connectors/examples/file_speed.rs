//! Lines of a file read and decoded per second, through the thread and its queue, as a worker sees it:
//! `cargo run --release -p tidegate-connectors --example file_speed -- PATH`. The lines are those of `decode_speed`.
#![allow(clippy::print_stdout, reason = "a measurement is there to be read")]

use std::io::{BufWriter, Write};
use std::sync::Arc;
use std::time::Instant;

use tidegate_connectors::entry::Entry;
use tidegate_connectors::file::FileSource;
use tidegate_connectors::generator::{Distribution, FnSource, GeneratorSource};
use tidegate_rows::format::{Conversion, JsonFormat, Layout, TimeUnit};
use tidegate_runtime::Record;
use tidegate_runtime::metrics::SourceMetrics;
use tidegate_runtime::source::{Poll, Source, SourceContext, Waker};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn read<T: 'static>(name: &str, source: &impl Source<Entry<T>>) -> Result<(), Box<dyn std::error::Error>> {
    let start = Instant::now();
    let metrics = Arc::new(SourceMetrics::default());
    let context = SourceContext {
        worker: 0,
        workers: 1,
        waker: Waker::disconnected(),
        restored: None,
        shared: Default::default(),
        metrics: Arc::clone(&metrics),
    };
    let mut reader = source.open(context)?;
    loop {
        match reader.poll()? {
            Poll::Batch(_) => {}
            Poll::Pending | Poll::After(_) => std::thread::sleep(std::time::Duration::from_micros(50)),
            Poll::Finished => break,
        }
    }
    let (seconds, records) = (start.elapsed().as_secs_f64(), metrics.records.get());
    println!("{name:<10} {:>5.2} M records/s", records as f64 / seconds / 1e6);
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "/tmp/file_speed.jsonl".into());
    let mut file = BufWriter::new(std::fs::File::create(&path)?);
    for i in 0..2_000_000_u64 {
        let (user, cents, ts) = (i * 7919 % 100_000, i % 10_000, 1_700_000_000_000 + i);
        let action = "checkout-with-card-on-file";
        writeln!(
            file,
            r#"{{"user":{user},"ip":"10.{}.{}.{}","action":"{action}","amount":{}.{:02},"ts":{ts}}}"#,
            i % 7,
            i % 251,
            i * 7 % 256,
            cents / 100,
            cents % 100
        )?;
    }
    file.flush()?;
    let layout = Layout::new([
        ("user", Conversion::Int),
        ("ip", Conversion::String),
        ("action", Conversion::String),
        ("amount", Conversion::Double),
        ("ts", Conversion::TimestampIn(TimeUnit::Millis)),
    ]);
    let layout = layout.with_event_time("ts", TimeUnit::Millis)?;
    for _ in 0..3 {
        read("json file", &FileSource::new(path.clone(), JsonFormat::new(layout.clone())))?;
    }
    let fields = [
        ("user", Distribution::Zipf { n: 100_000, exponent: 1.1 }),
        ("amount", Distribution::Double { min: 1.0, max: 500.0, decimals: Some(2) }),
        ("ip", Distribution::Text("10.0.{}.{}".into(), vec![Distribution::Int { min: 0, max: 255 }; 2])),
        (
            "ts",
            Distribution::Time {
                start: Some(1_700_000_000_000),
                step: jiff::SignedDuration::from_micros(100),
                disorder: jiff::SignedDuration::from_secs(1),
            },
        ),
    ];
    read("generator", &GeneratorSource::new(fields, 1)?.with_count(2_000_000))?;
    let fields =
        [("user", Distribution::Int { min: 0, max: 99_999 }), ("amount", Distribution::Double { min: 0.0, max: 100.0, decimals: None })];
    read("two fields", &GeneratorSource::new(fields, 1)?.with_count(4_000_000))?;
    let function = FnSource::new(|i| Record::new(i as i64 / 10, Entry::Good(i.wrapping_mul(7919) % 100_000)));
    read("function", &function.with_count(20_000_000))?;
    std::fs::remove_file(path)?;
    Ok(())
}

//! A Kafka topic of JSON, 100 bytes each, lz4, 4 partitions: parsed and counted by the source, and by a bare consumer with serde_json; counted in
//! windows into another topic, exactly once, with a checkpoint every second; and passed on at 20,000 records a second, at least once: how long that takes.
//!
//! `cargo bench --bench kafka -- [n=4000000] [seconds=15]`, which starts a broker (tests/kafka/broker.sh) on this machine; with `n=0` only the last.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};
use serde::{Deserialize, Serialize};
use tidegate::checkpoints::{Directory, Storage};
use tidegate::connectors::entry::Entry;
use tidegate::connectors::kafka::{Cluster, KafkaSource, Stop, Topics};
use tidegate::jobs::file::parse;
use tidegate::jobs::plan::plan;
use tidegate::prelude::*;
use tidegate::runtime::checkpoint::CheckpointConfig;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const PARTITIONS: u64 = 4;

/// What both make of a message.
#[derive(Clone, Deserialize, Serialize)]
struct Login {
    user: i64,
    ip: String,
    result: String,
    amount: f64,
    ts: i64,
}

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

#[allow(clippy::print_stdout)]
fn main() -> Outcome<()> {
    let given = |name: &str| std::env::args().find_map(|a| a.strip_prefix(name).and_then(|v| v.parse::<u64>().ok()));
    let (n, seconds) = (given("n=").unwrap_or(4_000_000), given("seconds=").unwrap_or(15));
    // It ends with its standard input, and so with this process.
    let mut process = Command::new("tests/kafka/broker.sh").arg("--until-eof").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let lines = BufReader::new(process.stdout.take().ok_or("a pipe")?).lines();
    let said: Vec<String> = lines.map_while(Result::ok).take_while(|line| line != "ready").collect();
    let address = |name: &str| said.iter().find_map(|line| line.strip_prefix(name)).ok_or("the broker did not start");
    let (brokers, libs) = (address("plain=")?, address("libs=")?);
    let create = |topic: &str| -> Outcome<()> {
        let create = ["--create", "--topic", topic, "--partitions", "4", "--bootstrap-server", brokers];
        let tool = ["-cp", &format!("{libs}/*"), "org.apache.kafka.tools.TopicCommand"];
        Command::new("java").args(tool).args(create).stdout(Stdio::null()).status()?;
        Ok(())
    };
    for topic in ["logins", "counts", "in", "out"] {
        create(topic)?;
    }
    if n > 0 {
        throughput(brokers, n)?;
    }
    for workers in [0, 1, 2] {
        let (p50, p99) = latency(brokers, workers, Duration::from_secs(seconds))?;
        let way = if workers == 0 { "through the broker alone" } else { "through a job, at least once" };
        println!("{way:<29} p={workers}  20,000 records/s  p50 {p50} ms, p99 {p99} ms");
    }
    Ok(())
}

#[allow(clippy::print_stdout)]
fn throughput(brokers: &str, n: u64) -> Outcome<()> {
    let bytes = load(brokers, n)?;
    println!("{n} messages of {} bytes", bytes / n);
    for _ in 0..3 {
        report("bare consumer, serde_json   ", n, || bare(brokers, n));
        report("source, typed          p=1  ", n, || typed(brokers, 1));
        report("source, job file       p=1  ", n, || job_file(brokers, 1));
        report("source, job file       p=2  ", n, || job_file(brokers, 2));
        for workers in [1, 2] {
            report(&format!("to windows to a topic, exactly once, a checkpoint a second  p={workers}  "), n, || windows(brokers, workers));
        }
    }
    Ok(())
}

#[allow(clippy::print_stdout)]
fn report(what: &str, n: u64, run: impl FnOnce() -> Outcome<u64>) {
    let start = Instant::now();
    match run() {
        Ok(count) if count == n => println!("{what} {:>6.2} M messages/s", n as f64 / start.elapsed().as_secs_f64() / 1e6),
        Ok(count) => println!("{what} counted {count} of {n}"),
        Err(e) => println!("{what} failed: {e}"),
    }
}

fn load(brokers: &str, n: u64) -> Outcome<u64> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("compression.type", "lz4").set("linger.ms", "50").set("batch.num.messages", "10000");
    let producer: BaseProducer = config.create()?;
    let mut bytes = 0;
    for i in 0..n {
        let h = tidegate::connectors::generator::mix(i);
        let result = if h.is_multiple_of(5) { "fail" } else { "success" };
        let value = format!(
            r#"{{"user":{:06},"ip":"10.{}.{}.{}","result":"{result}","amount":{}.{:02},"ts":{}}}"#,
            100_000 + h % 100_000,
            h >> 8 & 255,
            h >> 16 & 255,
            h >> 24 & 255,
            100 + (h >> 32 & 127),
            h >> 40 & 63,
            1_700_000_000_000 + i * 10,
        );
        let value = format!("{value:<100}");
        bytes += value.len() as u64;
        let mut record = BaseRecord::<[u8], [u8]>::to("logins").partition((i % PARTITIONS) as i32).payload(value.as_bytes());
        while let Err((_, again)) = producer.send(record) {
            producer.poll(Duration::from_millis(5));
            record = again;
        }
        if i % 1_000 == 0 {
            producer.poll(Duration::ZERO);
        }
    }
    producer.flush(Duration::from_secs(60))?;
    Ok(bytes)
}

/// Polls, parses and counts on one thread, with the settings of the source.
fn bare(brokers: &str, n: u64) -> Outcome<u64> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("group.id", "bare").set("enable.auto.commit", "false");
    config.set("queued.min.messages", "100000").set("fetch.queue.backoff.ms", "20").set("fetch.wait.max.ms", "100");
    let consumer: BaseConsumer = config.create()?;
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset("logins", partition as i32, Offset::Beginning)?;
    }
    consumer.assign(&list)?;
    let mut count = 0;
    while count < n {
        let Some(message) = consumer.poll(Duration::from_secs(10)) else { break };
        let login: Login = serde_json::from_slice(message?.payload().unwrap_or_default())?;
        count += u64::from(login.user > 0);
    }
    Ok(count)
}

/// The source and a function that counts.
fn typed(brokers: &str, workers: usize) -> Outcome<u64> {
    let count = Arc::new(AtomicU64::new(0));
    let (counted, brokers) = (Arc::clone(&count), brokers.to_owned());
    let job = Job::new(move |flow| {
        let format = JsonLines::new(|login: &Login| login.ts);
        let source = KafkaSource::new(Cluster::new(&brokers), Topics::named("logins"), format).stop(Stop::Latest);
        let counted = Arc::clone(&counted);
        let sink = FnSink::new(move |record: Record<Entry<Login>>| {
            counted.fetch_add(u64::from(record.value.good().is_some_and(|login| login.user > 0)), Relaxed);
            Ok(())
        });
        flow.source("logins", source, WatermarkStrategy::bounded(Duration::from_secs(1))).sink("count", sink);
    })?;
    job.run(RunConfig::workers(workers))?;
    Ok(count.load(Relaxed))
}

/// The source of a job file, behind which a filter takes every record.
fn job_file(brokers: &str, workers: usize) -> Outcome<u64> {
    let rest = "
streams: { none: { from: logins, where: 'user < 0' } }
sinks: { results: { from: none, connector: file, path: /dev/null } }
";
    run(&(logins(brokers) + rest), RunConfig::workers(workers))
}

/// Counts of a minute per user, written to another topic exactly once.
fn windows(brokers: &str, workers: usize) -> Outcome<u64> {
    let dir = tempfile::tempdir()?;
    let rest = format!(
        "
checkpoints: {{ every: 1s }}
streams: {{ counts: {{ from: logins, key: user, window: {{ tumbling: 1m }}, aggregate: {{ n: count(), sum: sum(amount) }} }} }}
sinks: {{ results: {{ from: counts, connector: kafka, brokers: '{brokers}', topic: counts, key: user, delivery: exactly_once }} }}
"
    );
    let directory = Directory::open(&Storage::open(&dir.path().join("checkpoints").display().to_string())?, "kafka")?;
    let generation = directory.begin_generation()?;
    let mut config = RunConfig::workers(workers);
    config.job = "kafka".to_owned();
    config.state.dir = dir.path().join("state");
    config.checkpoints = Some(CheckpointConfig::new(directory, generation, Duration::from_secs(1)));
    run(&(logins(brokers) + &rest), config)
}

fn logins(brokers: &str) -> String {
    format!(
        "
name: kafka
sources:
  logins:
    connector: kafka
    brokers: '{brokers}'
    topic: logins
    stop: latest
    schema: {{ user: int, ip: string, result: string, amount: double, ts: int }}
    event_time: {{ field: ts, max_delay: 1s }}"
    )
}

fn job(text: &str) -> Outcome<Job> {
    let (file, mut problems) = parse("kafka.yaml", text, &[]);
    let planned = file.and_then(|file| plan(&file, &mut problems)).ok_or_else(|| problems.to_string())?;
    Ok(planned.job()?)
}

/// Runs a job to its end, and tells how many records it has read.
fn run(text: &str, config: RunConfig) -> Outcome<u64> {
    let running = job(text)?.start(config)?;
    while !running.is_finished() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let metrics = running.metrics();
    running.wait()?;
    let read = metrics.iter().flatten().filter_map(|m| match m {
        tidegate::runtime::metrics::NodeMetrics::Source(m) => Some(m.records.get()),
        tidegate::runtime::metrics::NodeMetrics::Operator(_) => None,
    });
    Ok(read.sum())
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

/// How long it takes from when a record is given to a producer until a consumer has it, through a job that passes all on, or without one where there
/// are no workers: the median and the 99th of 100.
fn latency(brokers: &str, workers: usize, duration: Duration) -> Outcome<(i64, i64)> {
    const RATE: u64 = 20_000;
    /// Records sent at once, every millisecond.
    const PIECE: u64 = RATE / 1_000;
    let text = format!(
        "
name: latency
sources: {{ in: {{ connector: kafka, brokers: '{brokers}', topic: in, start: latest, schema: {{ n: int, at: int }} }} }}
streams: {{ all: {{ from: in, where: 'n >= 0' }} }}
sinks: {{ out: {{ from: all, connector: kafka, brokers: '{brokers}', topic: out, key: n }} }}
"
    );
    let from = if workers == 0 { "in" } else { "out" };
    let consumer: BaseConsumer = ClientConfig::new().set("bootstrap.servers", brokers).set("group.id", "latency").create()?;
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS as i32 {
        let (_, end) = consumer.fetch_watermarks(from, partition, Duration::from_secs(10))?;
        list.add_partition_offset(from, partition, Offset::Offset(end))?;
    }
    consumer.assign(&list)?;
    let running = (workers > 0).then(|| Outcome::Ok(job(&text)?.start(RunConfig::workers(workers))?)).transpose()?;
    let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", brokers).set("linger.ms", "5").create()?;
    // Until it has begun to read, and everything is warm.
    let warm = Duration::from_secs(5);
    let sender = std::thread::spawn(move || {
        let start = Instant::now();
        let mut n = 0;
        while start.elapsed() < warm + duration {
            for _ in 0..PIECE {
                let value = format!(r#"{{"n":{n},"at":{}}}"#, now_ms());
                let record = BaseRecord::<[u8], [u8]>::to("in").partition((n % PARTITIONS) as i32).payload(value.as_bytes());
                // A record that finds no room is one less.
                let _ = producer.send(record);
                n += 1;
            }
            producer.poll(Duration::ZERO);
            std::thread::sleep((start + Duration::from_micros(n * 1_000_000 / RATE)).saturating_duration_since(Instant::now()));
        }
        producer.flush(Duration::from_secs(10))
    });
    let (start, mut waited) = (Instant::now(), Vec::new());
    while start.elapsed() < warm + duration {
        let Some(message) = consumer.poll(Duration::from_millis(100)) else { continue };
        let record: serde_json::Value = serde_json::from_slice(message?.payload().unwrap_or_default())?;
        if start.elapsed() > warm {
            waited.push(now_ms() - record["at"].as_i64().unwrap_or_default());
        }
    }
    sender.join().map_err(|_| "the sender panicked")??;
    if let Some(running) = running {
        running.stop();
        running.wait()?;
    }
    waited.sort_unstable();
    let at = |of: usize| waited.get(waited.len() * of / 100).copied().ok_or("no record came through");
    Ok((at(50)?, at(99)?))
}

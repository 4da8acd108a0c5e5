//! A Kafka topic of JSON, 100 bytes each, lz4, 4 partitions: parsed and counted by the source, and by a bare consumer with serde_json.
//!
//! `cargo bench --bench kafka -- [n=4000000]`, which starts a broker (tests/kafka/broker.sh) on this machine.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};
use serde::{Deserialize, Serialize};
use tidegate::connectors::entry::Entry;
use tidegate::connectors::kafka::{Cluster, KafkaSource, Stop, Topics};
use tidegate::jobs::file::parse;
use tidegate::jobs::plan::plan;
use tidegate::prelude::*;

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
    let n: u64 = std::env::args().find_map(|a| a.strip_prefix("n=").and_then(|v| v.parse().ok())).unwrap_or(4_000_000);
    // It ends with its standard input, and so with this process.
    let mut process = Command::new("tests/kafka/broker.sh").arg("--until-eof").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let lines = BufReader::new(process.stdout.take().ok_or("a pipe")?).lines();
    let said: Vec<String> = lines.map_while(Result::ok).take_while(|line| line != "ready").collect();
    let address = |name: &str| said.iter().find_map(|line| line.strip_prefix(name)).ok_or("the broker did not start");
    let (brokers, libs) = (address("plain=")?, address("libs=")?);
    let create = ["--create", "--topic", "logins", "--partitions", "4", "--bootstrap-server", brokers];
    let tool = ["-cp", &format!("{libs}/*"), "org.apache.kafka.tools.TopicCommand"];
    Command::new("java").args(tool).args(create).stdout(Stdio::null()).status()?;
    let bytes = load(brokers, n)?;
    println!("{n} messages of {} bytes", bytes / n);
    for _ in 0..3 {
        report("bare consumer, serde_json   ", n, || bare(brokers, n));
        report("source, typed          p=1  ", n, || typed(brokers, 1));
        report("source, job file       p=1  ", n, || job_file(brokers, 1));
        report("source, job file       p=2  ", n, || job_file(brokers, 2));
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
    let text = format!(
        "
name: kafka
sources:
  logins:
    connector: kafka
    brokers: {brokers}
    topic: logins
    stop: latest
    schema: {{ user: int, ip: string, result: string, amount: double, ts: int }}
    event_time: {{ field: ts, max_delay: 1s }}
streams: {{ none: {{ from: logins, where: 'user < 0' }} }}
sinks: {{ results: {{ from: none, connector: file, path: /dev/null }} }}
"
    );
    let (file, mut problems) = parse("kafka.yaml", &text, &[]);
    let planned = file.and_then(|file| plan(&file, &mut problems)).ok_or_else(|| problems.to_string())?;
    let running = planned.job()?.start(RunConfig::workers(workers))?;
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

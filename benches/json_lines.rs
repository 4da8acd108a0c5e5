//! A file of JSON Lines, about a hundred bytes each, to counts and sums per user and window: the job file as `tidegate run` takes it. With
//! windows of a minute nearly every line is a result of its own; with windows of ten minutes, six lines make one.
//!
//! `cargo bench --bench json_lines -- [n=3000000] [p=2] [keep=events.jsonl]`
//!
//! `python3 benches/json_lines.py events.jsonl` asks DuckDB, Polars and ClickHouse for the sums over the file that was kept.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use tidegate::connectors::generator::mix;
use tidegate::jobs::file::parse;
use tidegate::jobs::plan::plan;
use tidegate::runtime::{Job, RunConfig};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Writes that many logins, a millisecond apart.
fn write(path: &Path, lines: u64) -> std::io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for i in 0..lines {
        let h = mix(i);
        let result = if h.is_multiple_of(5) { "fail" } else { "success" };
        writeln!(
            file,
            r#"{{"user":{},"ip":"10.{}.{}.{}","result":"{result}","amount":{}.{:02},"ts":{},"agent":"Firefox/151.0"}}"#,
            h % 100_000,
            h >> 8 & 255,
            h >> 16 & 255,
            h >> 24 & 255,
            h >> 32 & 127,
            h >> 40 & 63,
            1_700_000_000_000 + i,
        )?;
    }
    file.flush()
}

/// Windows over that file.
fn job(path: &Path, window: &str, split: bool) -> Result<Job, Box<dyn std::error::Error>> {
    let text = format!(
        "
name: json-lines
sources:
  logins:
    connector: file
    path: {}
    split: {split}
    format: json
    schema: {{ user: int, ip: string, result: string, amount: double, ts: int, agent: string }}
    event_time: {{ field: ts, max_delay: 1s }}
streams:
  per_user:
    from: logins
    key: user
    window: {{ tumbling: {window} }}
    aggregate: {{ n: count(), total: sum(amount) }}
sinks:
  results: {{ from: per_user, connector: file, path: /dev/null }}
",
        path.display()
    );
    let (file, mut problems) = parse("json-lines.yaml", &text, &[]);
    let planned = file.and_then(|file| plan(&file, &mut problems)).ok_or_else(|| problems.to_string())?;
    Ok(planned.job()?)
}

#[allow(clippy::print_stdout)]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let text = |name: &str| std::env::args().find_map(|a| a.strip_prefix(name).map(str::to_owned));
    let arg = |name: &str, default: u64| text(name).and_then(|v| v.parse().ok()).unwrap_or(default);
    let lines = arg("n=", 3_000_000);
    let directory = tempfile::tempdir()?;
    let path = text("keep=").map_or_else(|| directory.path().join("logins.jsonl"), PathBuf::from);
    write(&path, lines)?;
    let bytes = std::fs::metadata(&path)?.len();
    let workers = match arg("p=", 0) {
        0 => vec![1, 2],
        p => vec![p as usize],
    };
    for (window, split) in [("1m", false), ("10m", false), ("10m", true)] {
        let job = job(&path, window, split)?;
        for &p in workers.iter().filter(|p| !split || **p > 1) {
            let start = Instant::now();
            job.run(RunConfig::workers(p))?;
            let seconds = start.elapsed().as_secs_f64();
            let (rate, volume) = (lines as f64 / seconds / 1e6, bytes as f64 / seconds / 1e6);
            let readers = if split { "all workers read" } else { "one reader" };
            println!("windows of {window:<3} p={p} {readers:<16} {rate:>7.2} M lines/s  ({lines} lines, {volume:.0} MB/s, {seconds:.2} s)");
        }
    }
    Ok(())
}

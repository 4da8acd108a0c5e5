//! A file of JSON Lines, about 120 bytes each, to counts per user and minute: the job file as `tidegate run` takes it.
//!
//! `cargo bench --bench json_lines -- [n=3000000] [p=2]`

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Instant;

use tidegate::connectors::generator::mix;
use tidegate::jobs::file::parse;
use tidegate::jobs::plan::plan;
use tidegate::runtime::{Job, RunConfig};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Writes that many logins, ten milliseconds apart.
fn write(path: &Path, lines: u64) -> std::io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for i in 0..lines {
        let h = mix(i);
        let result = if h.is_multiple_of(5) { "fail" } else { "success" };
        writeln!(
            file,
            r#"{{"user":{},"ip":"10.{}.{}.{}","result":"{result}","amount":{}.{:02},"ts":{},"agent":"Mozilla/5.0 (X11; Linux)"}}"#,
            h % 100_000,
            h >> 8 & 255,
            h >> 16 & 255,
            h >> 24 & 255,
            h >> 32 & 127,
            h >> 40 & 63,
            1_700_000_000_000 + i * 10,
        )?;
    }
    file.flush()
}

/// The job that counts the logins of that file.
fn job(path: &Path) -> Result<Job, Box<dyn std::error::Error>> {
    let text = format!(
        "
name: json-lines
sources:
  logins:
    connector: file
    path: {}
    format: json
    schema: {{ user: int, ip: string, result: string, amount: double, ts: int, agent: string }}
    event_time: {{ field: ts, max_delay: 1s }}
streams:
  per_user:
    from: logins
    key: user
    window: {{ tumbling: 1m }}
    aggregate: {{ n: count(), fails: {{ value: count(), where: 'result == \"fail\"' }} }}
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
    let arg = |name: &str, default: u64| {
        std::env::args().find_map(|a| a.strip_prefix(&format!("{name}=")).and_then(|v| v.parse().ok())).unwrap_or(default)
    };
    let lines = arg("n", 3_000_000);
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("logins.jsonl");
    write(&path, lines)?;
    let bytes = std::fs::metadata(&path)?.len();
    let job = job(&path)?;
    let workers = match arg("p", 0) {
        0 => vec![1, 2],
        p => vec![p as usize],
    };
    for p in workers {
        let start = Instant::now();
        job.run(RunConfig::workers(p))?;
        let seconds = start.elapsed().as_secs_f64();
        let (rate, volume) = (lines as f64 / seconds / 1e6, bytes as f64 / seconds / 1e6);
        println!("json lines   p={p} {rate:>7.2} M lines/s  ({lines} lines, {volume:.0} MB/s, {seconds:.2} s)");
    }
    Ok(())
}

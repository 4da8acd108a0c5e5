//! Jobs run through the library, as a server or an embedding program runs them.

mod control;
mod restart;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use tidegate_connectors::generator::FnSource;
use tidegate_connectors::sink::FileSink;
use tidegate_jobs::plan::{Checkpoints, Durability, Restart};
use tidegate_launch::Launch;
use tidegate_operators::{DataflowExt, ProcessContext, ProcessFunction};
use tidegate_rows::format::JsonLinesEncoder;
use tidegate_runtime::state::{States, ValueState};
use tidegate_runtime::watermarks::WatermarkStrategy;
use tidegate_runtime::{Backend, Error, Job, Mode, Record, StateConfig};

/// Numbers the records of its one key, and fails on as many records as it is told to.
struct Numbered {
    count: Option<ValueState<u8, u64>>,
    fail: Arc<AtomicU32>,
}

impl ProcessFunction<u8, u64> for Numbered {
    type Out = (u64, u64);

    fn open(&mut self, states: &mut States) -> Result<(), Error> {
        self.count = Some(states.value("count")?);
        Ok(())
    }

    fn process(&mut self, record: u64, context: &mut ProcessContext<'_, u8, (u64, u64)>) -> Result<(), Error> {
        if self.fail.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok() {
            return Err(Error::external("the outside is out of reach", std::io::Error::other("no route")));
        }
        let count = self.count.as_ref().expect("it was opened");
        let before = count.get(&0)?.unwrap_or_default();
        count.set(&0, before + 1)?;
        context.emit((record, before));
        Ok(())
    }
}

/// An endless job in `dir` that writes `[record, number]` to `out.jsonl`; the numbers are state. It fails on the next `fail` records.
fn endless(dir: &Path, fail: &Arc<AtomicU32>) -> Launch {
    let text = |name: &str| dir.join(name).to_str().expect("UTF-8").to_owned();
    let (out, fail) = (text("out.jsonl"), Arc::clone(fail));
    let job = Job::new(move |flow| {
        let records = FnSource::new(|i| Record::new(i as i64, i)).with_rate(5_000.0);
        flow.source("records", records, WatermarkStrategy::bounded(Duration::ZERO))
            .key_by(|_: &u64| 0_u8)
            .process("numbered", Numbered { count: None, fail: Arc::clone(&fail) })
            .sink("out", FileSink::new(out.clone(), JsonLinesEncoder));
    })
    .expect("a graph that can run");
    let durability = Durability {
        state: StateConfig { backend: Backend::Memory, dir: dir.join("state"), memory: 1 << 20 },
        dir_given: true,
        checkpoints: Some(Checkpoints { every: Duration::from_millis(20), dir: text("ckpt"), mode: Mode::ExactlyOnce, keep: 3 }),
        restart: Restart { attempts: 3, delay: Duration::from_millis(1), max_delay: Duration::from_millis(5) },
    };
    Launch::new("endless", job, durability).workers(1)
}

/// Asserts that `out.jsonl` has every record once, in order, with its number; returns how many there are.
fn all_written_once(dir: &Path) -> u64 {
    let text = std::fs::read_to_string(dir.join("out.jsonl")).expect("the job writes");
    let written: Vec<(u64, u64)> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let n = written.len() as u64;
    assert!(written == (0..n).map(|i| (i, i)).collect::<Vec<_>>(), "a record is missing, written twice or out of order");
    n
}

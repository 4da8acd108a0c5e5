//! A state that one version of a job drops, and another that a later version adds.

use std::sync::Arc;
use std::time::Duration;

use tidegate::checkpoints::{Directory, Snapshot, Storage};
use tidegate::prelude::*;
use tidegate::runtime::checkpoint::{CheckpointConfig, Restore};
use tidegate::runtime::{Backend, StateConfig};

use crate::harness::Dir;

const USERS: u64 = 500;

/// Counts the records of each user, in every state of this version.
struct Counts {
    names: &'static [&'static str],
    states: Vec<ValueState<u64, u64>>,
}

impl ProcessFunction<u64, u64> for Counts {
    type Out = (u64, Vec<u64>);

    fn open(&mut self, states: &mut States) -> Result<(), Error> {
        self.states = self.names.iter().map(|name| states.value(name)).collect::<Result<_, _>>()?;
        Ok(())
    }

    fn process(&mut self, user: u64, context: &mut ProcessContext<'_, u64, Self::Out>) -> Result<(), Error> {
        let count = |state: &ValueState<u64, u64>| {
            state.update(
                &user,
                || 0,
                |n| {
                    *n += 1;
                    *n
                },
            )
        };
        let counts = self.states.iter().map(count).collect::<Result<_, _>>()?;
        context.emit((user, counts));
        Ok(())
    }
}

/// Runs one version to its end, over a record of each user, from where the version before it was. Returns what it has counted.
fn version(dir: &Dir, number: usize, names: &'static [&'static str], backend: Backend, save: Option<&str>) -> Vec<Vec<u64>> {
    let found = CollectSink::new();
    let sink = found.clone();
    let job = Job::new(move |flow| {
        let records = FnSource::new(|i| Record::new(0, i % USERS)).with_count(USERS);
        // A source of its own: what it reads has nothing to do with where the one before it was.
        flow.source(&format!("records-{number}"), records, WatermarkStrategy::bounded(Duration::ZERO))
            .key_by(|user: &u64| *user)
            .process("counts", Counts { names, states: Vec::new() })
            .sink("out", sink.clone());
    });
    let path = |name: &str| dir.path(name).to_string_lossy().into_owned();
    let directory = Directory::open(&Storage::open(&path("ckpt")).expect("storage"), "counts").expect("a directory");
    let generation = directory.begin_generation().expect("a generation");
    let from = if dir.path("save").exists() { path("save") } else { path("ckpt/counts") };
    let mut config = RunConfig::workers(1);
    config.job = "counts".to_owned();
    // Too little for the users: state leaves memory all the time.
    config.state = StateConfig { backend, dir: dir.path("state"), memory: 64 << 10 };
    config.checkpoints = Some(CheckpointConfig::new(directory, generation, Duration::from_secs(3_600)));
    config.restore = (number > 1).then(|| Arc::new(Restore::new(Snapshot::open(&from).expect("a snapshot"))));
    config.savepoint_at_end = save.map(path);
    job.expect("a job").run(config).expect("it runs");
    let mut found = found.take();
    found.sort_by_key(|record| record.value.0);
    found.into_iter().map(|record| record.value.1).collect()
}

#[test]
fn rows_of_a_state_that_was_dropped_are_not_those_of_the_next_new_one() {
    use Backend::{Memory, RocksDb};
    let all = |counts: &[u64]| vec![counts.to_vec(); USERS as usize];
    for (save, backend) in [(None, RocksDb), (Some("save"), RocksDb), (Some("save"), Memory)] {
        let dir = Dir::new();
        assert_eq!(version(&dir, 1, &["a", "b"], RocksDb, None), all(&[1, 1]));
        assert_eq!(version(&dir, 2, &["a"], RocksDb, save), all(&[2]));
        assert_eq!(version(&dir, 3, &["a", "c"], backend, None), all(&[3, 1]), "{backend:?}, savepoint: {save:?}");
    }
}

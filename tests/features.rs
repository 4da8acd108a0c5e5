//! What a build without a feature says of a job that asks for it. `make test` runs this with all features, `make features` without any,
//! as `make run` builds.

#[path = "harness/mod.rs"]
#[allow(dead_code)]
mod harness;

use harness::Dir;

/// A job with keyed state.
fn job(state: &str, source: &str) -> String {
    format!(
        "name: t
{state}sources: {{ in: {{ connector: {source} }} }}
streams: {{ counts: {{ from: in, key: user, aggregate: {{ n: count() }} }} }}
sinks: {{ out: {{ from: counts, connector: stdout }} }}
"
    )
}

const USERS: &str = "generator, count: 5, fields: { user: { sequence: [0, 1] } }";

#[test]
fn state_in_memory_needs_no_feature() {
    assert_eq!(Dir::new().job(&job("", USERS)).run().exits(0).values().len(), 5);
}

#[test]
fn a_job_that_asks_for_rocksdb_runs_or_learns_which_feature_it_needs() {
    let outcome = Dir::new().job(&job("state: { backend: rocksdb, dir: state }\n", USERS)).run();
    if cfg!(feature = "rocksdb") {
        assert_eq!(outcome.exits(0).values().len(), 5);
    } else {
        let outcome = outcome.exits(1).stdout_is("");
        outcome.stderr_has("this build of tidegate has no RocksDB: build it with the feature `rocksdb`").stderr_has("backend: memory");
    }
}

#[test]
fn a_job_that_asks_for_kafka_passes_or_learns_which_feature_it_needs() {
    let checked = Dir::new().check(&job("", "kafka, brokers: b, topic: t, schema: { user: int }"));
    if cfg!(feature = "kafka") {
        checked.exits(0);
    } else {
        checked.exits(2).stderr_has("job.yaml:2:").stderr_has("this build of tidegate has no Kafka: build it with the feature `kafka`");
    }
}

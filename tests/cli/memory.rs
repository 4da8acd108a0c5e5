//! What is said of the memory for state.

use crate::harness::Dir;

fn job(state: &str, streams: &str) -> String {
    format!(
        "name: t
state: {{ {state} }}
sources: {{ in: {{ connector: generator, count: 20000, fields: {{ user: {{ sequence: [0, 1] }} }} }} }}
streams: {{ {streams} }}
sinks: {{ out: {{ from: s, connector: file, path: out/ }} }}
"
    )
}

const RUNNING: &str = "s: { from: in, key: user, aggregate: { n: count() } }";

#[test]
fn how_the_memory_for_state_is_divided_and_used_is_said() {
    let dir = Dir::new();
    let outcome = dir.job(&job("memory: 64MiB", RUNNING)).args(["-p", "2", "--verbose"]).run().exits(0);
    let said = outcome.stderr.lines().find(|line| line.starts_with("t: state.memory"));
    assert_eq!(
        said.expect("a line"),
        "t: state.memory 64.0 MiB: 24.0 MiB for values (2 operator instances, 12.0 MiB each), \
         32.0 MiB for RocksDB's blocks and, up to half of it, write buffers, once values leave memory"
    );
    let account = |stderr: &str| stderr.lines().find(|line| line.starts_with("  state.memory: ")).map(str::to_owned);
    let whole = account(&outcome.stderr).expect("an account");
    assert!(whole.ends_with(" of 24.0 MiB, nothing in RocksDB") && !whole.contains("values 0 bytes"), "{whole}");
    // Values for which there is no room are on disk, and that is said unasked.
    let outcome = dir.job(&job("memory: 128KiB", RUNNING)).args(["-p", "1"]).run().exits(0);
    let whole = account(&outcome.stderr).expect("an account");
    assert!(whole.contains(" of 48.0 KiB, RocksDB up to 64.0 KiB for ") && whole.ends_with(" on disk"), "{whole}");
}

#[test]
fn of_memory_that_has_no_bound_or_little_use_nothing_is_said() {
    let dir = Dir::new();
    dir.job(&job("backend: memory", RUNNING)).args(["-v"]).run().exits(0).stderr_lacks("state.memory");
    dir.job(&job("memory: 64MiB", "s: { from: in, where: 'user > 3' }")).args(["-v"]).run().exits(0).stderr_lacks("state.memory");
    dir.job(&job("memory: 64MiB", RUNNING)).run().exits(0).stderr_lacks("state.memory");
    dir.job(&job("memory: 64MiB", RUNNING)).args(["--quiet"]).run().exits(0).stderr_is("");
}

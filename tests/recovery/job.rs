//! The job that is killed: windows of every kind, a running aggregate, a pattern with timers, indicators, and rules with
//! features that change, into files.

use serde_json::Value;

use crate::harness::{Dir, sorted};

/// The sinks.
pub const SINKS: [&str; 9] = ["tumbling", "sliding", "sessions", "running", "matches", "timeouts", "features", "decisions", "ledger"];

/// Rules that change all the time, by versions from a generator.
const DECISIONS: &str = r#"  changes:
    from: ticks
    select:
      version: version
      changes: >-
        [{'set': 'scenarios.all.params.least', 'value': version % 7},
         {'set': 'indicators.busy.over', 'value': string(1 + version % 5) + 's'},
         {'set': 'patterns.pair.steps', 'value': [{'name': 'x', 'where': 'kind == "a" && n % 3 != ' + string(version % 3)},
                                                  {'name': 'y', 'where': 'kind == "b"'}]},
         {'list': 'grey', 'add': {'key': string(version * 31 % 500), 'uses': 3}},
         {'list': 'grey', 'remove': string(version * 17 % 500)}]
  decisions:
    from: in
    order: time
    control: changes
    ledger: ledger
    key: user
    rules:
      indicators:
        busy: { value: count(), over: 2s }
        most: { value: max(n), over: 1s, key: kind }
      patterns:
        pair: { steps: [ { name: x, where: 'kind == "a"' }, { name: y, where: 'kind == "b"' } ], within: 4s }
      scenarios:
        all:
          params: { least: 2 }
          lists: [ { list: grey, on: user, as: grey } ]
          rules:
            many: { if: n % 7 >= least, score: 1 }
            watched: { if: grey, action: reject }
            busy: { if: busy > 1, score: busy }
            pair: { if: pair, action: review, reason: 'above {most}' }
"#;

/// A pattern and indicators.
const MATCHES: &str = r#"  matches:
    from: in
    key: user
    pattern:
      steps: [ { name: x, where: 'kind == "a"' }, { name: y, where: 'kind == "b"' } ]
      within: 4s
      after_match: skip_past_last_event
    select: { user: user, x: 'x[0].n', y: 'y[0].n' }
    timeouts_to: timeouts
  features:
    from: in
    key: user
    order: time
    indicators:
      count: { value: count(), over: 10s }
      sum: { value: sum(n), over: 1m }
      kinds: { value: count_distinct(kind), over: 20s }
      ever: { value: max(n), over: ever, self: false }
      of_kind: { value: count(), over: 1s, key: kind }
"#;

/// Where it all goes.
const WRITTEN: &str = r#"sinks:
  tumbling: { from: tumbling, connector: file, path: out/tumbling.jsonl, format: json }
  sliding:  { from: sliding, connector: file, path: out/sliding.jsonl, format: json }
  sessions: { from: sessions, connector: file, path: out/sessions.jsonl, format: json }
  running:  { from: running, connector: file, path: out/running/, format: json }
  matches:  { from: matches, connector: file, path: out/matches.jsonl, format: json }
  features: { from: features, connector: file, path: out/features.jsonl, format: json }
  decisions: { from: decisions, connector: file, path: out/decisions.jsonl, format: json }
  ledger: { from: ledger, connector: file, path: out/ledger.jsonl, format: json }
  timeouts: { from: timeouts, connector: file, path: out/timeouts.jsonl, format: json }
"#;

/// A job of `count` rows at `rate` rows per second, with a checkpoint every now and then.
pub struct Setup {
    pub count: u64,
    pub rate: u64,
    pub backend: &'static str,
    /// Bytes: little makes entries leave memory.
    pub memory: &'static str,
    pub mode: &'static str,
    /// Where checkpoints go, and how often.
    pub dir: &'static str,
    pub every: &'static str,
}

impl Default for Setup {
    fn default() -> Self {
        Self { count: 24_000, rate: 40_000, backend: "rocksdb", memory: "64MiB", mode: "exactly_once", dir: "ckpt", every: "40ms" }
    }
}

impl Setup {
    pub fn yaml(&self, checkpoints: bool) -> String {
        let Self { count, rate, backend, memory, mode, dir, every } = self;
        let checkpoints =
            if checkpoints { format!("checkpoints: {{ every: {every}, dir: '{dir}', keep: 2, mode: {mode} }}\n") } else { String::new() };
        // As fast as the records go by, by event time.
        let (versions, ticks) = ((count / 100).max(1), (rate / 100).max(1));
        format!(
            r#"name: crash
state: {{ backend: {backend}, dir: state, memory: {memory} }}
{checkpoints}restart: {{ attempts: 0 }}
sources:
  in:
    connector: generator
    rate: {rate}
    count: {count}
    fields:
      user: {{ uniform: [0, 499] }}
      kind: {{ choice: [a, b, c] }}
      n: {{ sequence: [0, 1] }}
      ts: {{ time: {{ start: 2026-01-01T00:00:00Z, step: 5ms }} }}
  ticks:
    connector: generator
    rate: {ticks}
    count: {versions}
    fields:
      version: {{ sequence: [1, 1] }}
      ts: {{ time: {{ start: 2026-01-01T00:00:00Z, step: 500ms }} }}
lists:
  grey: {{ entries: [ {{ key: '7', uses: 9 }} ] }}
streams:
{DECISIONS}  tumbling: {{ from: in, key: user, window: {{ tumbling: 7s }}, aggregate: {{ n: count(), sum: sum(n), kinds: count_distinct(kind) }} }}
  sliding:  {{ from: in, key: user, window: {{ sliding: 6s, every: 2s }}, aggregate: {{ n: count(), top: max(n) }} }}
  sessions: {{ from: in, key: user, window: {{ session: 3s }}, aggregate: {{ n: count(), last: max(n) }} }}
  running:  {{ from: in, key: user, aggregate: {{ n: count() }} }}
{MATCHES}{WRITTEN}"#
        )
    }

    /// What a run writes that nothing happens to, in memory, without checkpoints.
    pub fn undisturbed(&self) -> Vec<(&'static str, Vec<Value>)> {
        let dir = Dir::new();
        let calm = Self { backend: "memory", rate: 100_000_000, ..*self };
        dir.job(&calm.yaml(false)).args(["-p", "1", "--quiet"]).run().exits(0);
        written(&dir)
    }
}

/// What the sinks have written, each as a multiset.
pub fn written(dir: &Dir) -> Vec<(&'static str, Vec<Value>)> {
    SINKS.into_iter().map(|sink| (sink, sorted(of(dir, sink)))).collect()
}

/// What a sink has written.
pub fn of(dir: &Dir, sink: &str) -> Vec<Value> {
    let folder = dir.path(&format!("out/{sink}"));
    if !folder.is_dir() {
        return dir.values(&format!("out/{sink}.jsonl"));
    }
    let parts = std::fs::read_dir(&folder).expect("the folder of a sink").map(|entry| entry.expect("an entry").file_name());
    let parts = parts.map(|name| name.to_string_lossy().into_owned()).filter(|name| !name.starts_with('.'));
    parts.flat_map(|name| dir.values(&format!("out/{sink}/{name}"))).collect()
}

/// Compares sink by sink, naming what differs.
#[track_caller]
pub fn same(found: &[(&str, Vec<Value>)], expected: &[(&str, Vec<Value>)], what: &str) {
    for ((sink, found), (_, expected)) in found.iter().zip(expected) {
        if found != expected {
            let missing: Vec<_> = expected.iter().filter(|v| !found.contains(v)).take(5).collect();
            let extra: Vec<_> = found.iter().filter(|v| !expected.contains(v)).take(5).collect();
            panic!("{what}: sink `{sink}`: {} values instead of {}; missing {missing:?}; too much {extra:?}", found.len(), expected.len());
        }
    }
}

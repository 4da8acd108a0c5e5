//! Jobs that go on from a snapshot, with the same options or with others: nothing is lost, nothing comes twice.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use tidegate::runtime::failpoint::Point;

use crate::broker::{Broker, broker};
use crate::harness::{Dir, Tidegate};
use crate::topic::{Topic, fresh_name};

/// A job that prints the lines of a topic, and takes checkpoints all the time.
fn printing(brokers: &str, topic: &str, keys: &str) -> String {
    format!(
        "name: t\nstate: {{ dir: state }}\ncheckpoints: {{ every: 1ms, dir: ckpt, keep: 1000 }}\nrestart: {{ attempts: 0 }}
sources: {{ in: {{ connector: kafka, brokers: '{brokers}', topic: {topic}, format: text{keys} }} }}
sinks: {{ out: {{ from: in, connector: stdout }} }}\n"
    )
}

fn lines(output: &str) -> Vec<String> {
    let values = output.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let mut lines: Vec<String> = values.map(|value| value["line"].as_str().expect("a line").to_owned()).collect();
    lines.sort();
    lines
}

fn numbers(range: std::ops::Range<i64>) -> Vec<String> {
    range.map(|n| format!("{n:06}")).collect()
}

fn fill(topic: &Topic, range: std::ops::Range<i64>) {
    let partitions = i64::from(topic.partitions);
    topic.fill(range.map(|n| ((n % partitions) as i32, "k", format!("{n:06}"), 0)));
}

/// What the checkpoints of a directory hold of the source: the positions in each.
fn positions(dir: &Dir) -> Vec<Vec<Value>> {
    let entries = std::fs::read_dir(dir.path("ckpt/t/checkpoints")).expect("checkpoints");
    let manifests = entries.filter_map(|entry| std::fs::read_to_string(entry.expect("an entry").path().join("manifest.json")).ok());
    let all = manifests.map(|text| {
        let manifest: Value = serde_json::from_str(&text).expect("JSON");
        let operators = manifest["operators"].as_array().expect("operators").iter().filter(|operator| operator["id"] == "in");
        let parts = operators.flat_map(|operator| operator["parts"].as_array().expect("parts"));
        let entries = parts.filter_map(|part| part["list"].as_array()).flatten();
        entries.filter_map(|entry| entry.get("split")?.get("position").cloned()).collect()
    });
    all.collect()
}

#[test]
fn every_checkpoint_knows_of_every_partition() {
    let Some(broker) = broker() else { return };
    let topic = Topic::new(broker, 60);
    fill(&topic, 0..600);
    let dir = Dir::new();
    let mut running = dir.job(&printing(&broker.plain, &topic.name, "")).args(["-p", "2"]).start();
    running.until("all records", |out| out.lines().count() == 600);
    running.signal("TERM");
    running.wait().exits(0);
    let counts: Vec<usize> = positions(&dir).iter().map(Vec::len).collect();
    assert!(counts.len() > 1 && counts.iter().all(|count| *count == 60), "{counts:?}");
}

/// What was not even listed has no position, and the next run begins as if there had been none.
#[test]
fn a_job_that_is_stopped_before_its_brokers_answer_ends_well_and_keeps_nothing() {
    let Some(broker) = broker() else { return };
    let topic = Topic::new(broker, 2);
    fill(&topic, 0..10);
    let dir = Dir::new();
    let away = "127.0.0.1:1";
    let stopped = |job: Tidegate| {
        let mut running = job.args(["-p", "2"]).start();
        running.until_said("Connection refused");
        running.signal("TERM");
        running.wait().exits(0)
    };
    let keys = ", stop: latest";
    stopped(dir.job(&printing(away, &topic.name, keys)));
    let kept = positions(&dir);
    assert!(!kept.is_empty() && kept.iter().all(Vec::is_empty), "{kept:?}");
    let first = dir.job(&printing(&broker.plain, &topic.name, keys)).args(["--resume"]).run().exits(0);
    assert_eq!(lines(&first.stdout), numbers(0..10));
    // A job that goes on knows where it is, also without its brokers.
    stopped(dir.job(&printing(away, &topic.name, keys)).args(["--resume"]));
    dir.job(&printing(&broker.plain, &topic.name, keys)).args(["--resume"]).run().exits(0).stdout_is("");
}

#[test]
fn what_is_made_while_a_job_is_down_that_had_no_topic_yet_is_read_from_its_beginning() {
    let Some(broker) = broker() else { return };
    let name = fresh_name("later");
    let dir = Dir::new();
    let job = printing(&broker.plain, &format!("{{ pattern: '{name}-.*' }}"), ", start: latest");
    let mut running = dir.job(&job).start();
    let any = |dir: &Dir| dir.path("ckpt/t/checkpoints").exists() && !positions(dir).is_empty();
    let start = std::time::Instant::now();
    while !any(&dir) {
        assert!(start.elapsed() < Duration::from_secs(60), "no checkpoint");
        std::thread::sleep(Duration::from_millis(20));
    }
    running.signal("TERM");
    running.wait().exits(0);
    fill(&Topic::with(broker, &format!("{name}-a"), 1, &[]), 0..3);
    let mut running = dir.job(&job).args(["--resume"]).start();
    running.until("what came meanwhile", |out| out.lines().count() == 3);
    running.signal("TERM");
    assert_eq!(lines(&running.wait().exits(0).stdout), numbers(0..3));
}

#[test]
fn an_end_holds_for_partitions_too_that_were_made_while_a_job_without_one_was_down() {
    let Some(broker) = broker() else { return };
    let mut topic = Topic::new(broker, 1);
    fill(&topic, 0..3);
    let dir = Dir::new();
    let mut running = dir.job(&printing(&broker.plain, &topic.name, "")).start();
    running.until("all records", |out| out.lines().count() == 3);
    running.signal("TERM");
    running.wait().exits(0);
    topic.grow(2);
    topic.fill((3..9).map(|n| (1, "k", format!("{n:06}"), 0)));
    let bounded = printing(&broker.plain, &topic.name, ", stop: latest");
    assert_eq!(lines(&dir.job(&bounded).args(["--resume"]).run().exits(0).stdout), numbers(3..9));
    // It has been settled which there are; what is younger is not read by a restart.
    topic.grow(3);
    topic.fill([(2, "k", "000009".to_owned(), 0)]);
    dir.job(&bounded).args(["--resume"]).run().exits(0).stdout_is("");
}

#[test]
fn another_end_than_before_is_settled_anew() {
    let Some(broker) = broker() else { return };
    let mut topic = Topic::new(broker, 1);
    fill(&topic, 0..10);
    let dir = Dir::new();
    let job = printing(&broker.plain, &topic.name, ", stop: { 0: 4 }");
    let first = dir.job(&job).args(["--savepoint-at-end", "first"]).run().exits(0);
    assert_eq!(lines(&first.stdout), numbers(0..4));
    topic.grow(2);
    topic.fill([(1, "k", "000010".to_owned(), 0)]);
    let from = |from: &str, to: &str| {
        let args = ["run", "job.yaml", "--from", from, "--savepoint-at-end", to, "--set", "sources.in.stop=latest"];
        lines(&dir.tidegate(args).run().exits(0).stdout)
    };
    assert_eq!(from("first", "second"), numbers(4..11));
    // The same end as before is that of before.
    topic.fill([(0, "k", "000011".to_owned(), 0)]);
    assert!(from("second", "third").is_empty());
}

/// A job that is run again and again reads what has come since.
#[test]
fn a_group_has_come_to_the_end_of_what_a_bounded_job_has_read() {
    let Some(broker) = broker() else { return };
    let topic = Topic::new(broker, 3);
    let group = fresh_name("nightly");
    let job = printing(&broker.plain, &topic.name, &format!(", start: committed, stop: latest, group: {group}"));
    for night in 0..3 {
        fill(&topic, night * 30..(night + 1) * 30);
        let read = Dir::new().job(&job).args(["-p", "2"]).run().exits(0);
        assert_eq!(lines(&read.stdout), numbers(night * 30..(night + 1) * 30), "night {night}");
        assert_eq!(topic.committed(&group), vec![Some((night + 1) * 10); 3], "{}", read.stderr);
    }
    // The same for one that is stopped at once, when what it has read is in its last checkpoint only.
    fill(&topic, 90..120);
    let job = job.replace("every: 1ms", "every: 10m").replace(", stop: latest", "");
    let dir = Dir::new();
    let mut running = dir.job(&job).args(["-p", "2"]).start();
    running.until("all records", |out| out.lines().count() == 30);
    running.signal("TERM");
    running.wait().exits(0);
    assert_eq!(topic.committed(&group), vec![Some(40); 3]);
}

/// A job that writes 100 records exactly once; dies with a unit of them in its checkpoint.
fn dies_with_a_pending_unit(broker: &Broker, dir: &Dir, topic: &Topic) -> String {
    let name = fresh_name("pending");
    let yaml = format!(
        "name: {name}\nstate: {{ dir: state }}\ncheckpoints: {{ every: 50ms, dir: ckpt }}\nrestart: {{ attempts: 0 }}
sources: {{ in: {{ connector: generator, rate: 100, count: 100, fields: {{ n: {{ sequence: [0, 1] }} }} }} }}
sinks: {{ out: {{ from: in, connector: kafka, brokers: '{}', topic: {}, delivery: exactly_once, markers: {name}-markers }} }}\n",
        broker.plain, topic.name
    );
    dir.job(&yaml).args(["-p", "1"]).dies_at(Point::TransactionBefore, 1);
    yaml
}

fn found(topic: &Topic) -> Vec<i64> {
    let values = topic.values();
    let mut numbers: Vec<i64> =
        values.iter().map(|v| serde_json::from_str::<Value>(v).expect("JSON")["n"].as_i64().expect("a number")).collect();
    // They go through several workers.
    numbers.sort_unstable();
    numbers
}

#[test]
fn what_is_yet_to_be_written_exactly_once_is_not_dropped_by_another_delivery() {
    let Some(broker) = broker() else { return };
    let (dir, topic) = (Dir::new(), Topic::new(broker, 1));
    let yaml = dies_with_a_pending_unit(broker, &dir, &topic);
    let before = found(&topic);
    let other = yaml.split(", markers").next().expect("a part").replace("exactly_once", "at_least_once") + " } }\n";
    let refused = dir.job(&other).args(["--resume"]).run().exits(3);
    refused.stderr_has("have yet to be written").stderr_has("delivery: exactly_once").stderr_has(&topic.name);
    refused_by_check(&dir, &other, "delivery: exactly_once");
    assert_eq!(found(&topic), before);
    dir.job(&yaml).args(["--resume"]).run().exits(0);
    assert_eq!(found(&topic), (0..100).collect::<Vec<_>>());
    // Nothing waits any more, though the last checkpoint still names what was sent after it.
    dir.job(&other).args(["--resume"]).run().exits(0);
    assert_eq!(found(&topic).iter().collect::<BTreeSet<_>>().len(), 100);
}

#[test]
fn what_is_yet_to_be_written_to_one_topic_is_not_written_to_another() {
    let Some(broker) = broker() else { return };
    let (dir, topic, other) = (Dir::new(), Topic::new(broker, 1), Topic::new(broker, 1));
    let yaml = dies_with_a_pending_unit(broker, &dir, &topic);
    let elsewhere = yaml.replace(&format!("topic: {},", topic.name), &format!("topic: {},", other.name));
    let ids = yaml.replace("delivery: exactly_once", "delivery: exactly_once, transactional_id: other");
    let markers = yaml.replace("-markers }", "-others }");
    for (changed, says) in
        [(&elsewhere, format!("topic: {}", topic.name)), (&ids, "set `transactional_id: ".to_owned()), (&markers, "`markers: ".to_owned())]
    {
        assert_ne!(*changed, yaml);
        dir.job(changed).args(["--resume"]).run().exits(3).stderr_has("have yet to be written").stderr_has(&says);
        refused_by_check(&dir, changed, &says);
    }
    assert!(other.values().is_empty());
    dir.job(&yaml).args(["--resume"]).run().exits(0);
    assert_eq!(found(&topic), (0..100).collect::<Vec<_>>());
    for changed in [&markers, &elsewhere] {
        dir.file("job.yaml", changed);
        dir.tidegate(["check", "job.yaml", "--against", &latest(&dir)]).run().exits(0);
        dir.job(changed).args(["--resume"]).run().exits(0);
    }
    assert!(other.values().is_empty());
    assert_eq!(found(&topic), (0..100).collect::<Vec<_>>());
}

/// The directory of the latest checkpoint of the one job there.
fn latest(dir: &Dir) -> String {
    let job = std::fs::read_dir(dir.path("ckpt")).expect("checkpoints").next().expect("a job").expect("an entry").path();
    let checkpoints = std::fs::read_dir(job.join("checkpoints")).expect("checkpoints");
    let whole = checkpoints.map(|entry| entry.expect("an entry").path()).filter(|path| path.join("manifest.json").exists());
    let epoch = |path: &std::path::PathBuf| path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok());
    whole.max_by_key(epoch).expect("a checkpoint").display().to_string()
}

/// `check` judges as `run` does.
fn refused_by_check(dir: &Dir, yaml: &str, says: &str) {
    dir.file("job.yaml", yaml);
    let checked = dir.tidegate(["check", "job.yaml", "--against", &latest(dir)]).run().exits(3);
    assert!(checked.stdout.contains("refused") && checked.stdout.contains(says), "{}", checked.stdout);
}

#[test]
fn another_source_topic_and_one_that_is_gone_are_refused_before_anything_runs() {
    let Some(broker) = broker() else { return };
    let (dir, topic, other) = (Dir::new(), Topic::new(broker, 2), Topic::new(broker, 2));
    fill(&topic, 0..10);
    let job = printing(&broker.plain, &topic.name, ", stop: latest");
    dir.job(&job).args(["--savepoint-at-end", "save"]).run().exits(0);
    let elsewhere = job.replace(&topic.name, &other.name);
    let gone = job.replace(&topic.name, "no-such-topic");
    for (changed, says) in [(&elsewhere, "has read partition 0 of topic"), (&gone, "there is no topic `no-such-topic`")] {
        dir.file("job.yaml", changed);
        let checked = dir.tidegate(["check", "job.yaml", "--against", "save"]).run().exits(3);
        assert!(checked.stdout.contains(says), "{}", checked.stdout);
        dir.tidegate(["run", "job.yaml", "--from", "save"]).run().exits(3).stdout_is("").stderr_has(says);
    }
    // Under another name it is another source.
    let renamed = elsewhere.replace("sources: { in:", "sources: { other:").replace("from: in", "from: other");
    assert_ne!(renamed, elsewhere);
    fill(&other, 10..20);
    let read = dir.job(&renamed).args(["--from", "save", "--allow-dropped-state"]).run().exits(0);
    assert_eq!(lines(&read.stdout), numbers(10..20));
}

/// Two copies of one job: whoever came first is fenced by the other, and ends.
#[test]
fn a_job_that_runs_twice_under_one_transactional_id_ends_once() {
    let Some(broker) = broker() else { return };
    let (dir, topic) = (Dir::new(), Topic::new(broker, 1));
    let name = fresh_name("twice");
    let yaml = |copy: &str, count: u64| {
        format!(
            "name: {name}\nstate: {{ dir: state-{copy} }}\ncheckpoints: {{ every: 50ms, dir: ckpt-{copy} }}\nrestart: {{ attempts: 10, delay: 10ms }}
sources: {{ in: {{ connector: generator, rate: 200, count: {count}, fields: {{ n: {{ sequence: [0, 1] }} }} }} }}
sinks: {{ out: {{ from: in, connector: kafka, brokers: '{}', topic: {}, delivery: exactly_once, markers: {name}-markers }} }}\n",
            broker.plain, topic.name
        )
    };
    dir.file("first.yaml", yaml("first", 100_000)).file("second.yaml", yaml("second", 600));
    let first = dir.tidegate(["run", "first.yaml", "--quiet", "-p", "1"]).start();
    std::thread::sleep(Duration::from_secs(2));
    let second = dir.tidegate(["run", "second.yaml", "--quiet", "-p", "1"]).start();
    first.wait().exits(1).stderr_has("is the job running twice?").stderr_lacks("restarting");
    second.wait().exits(0);
}

//! The example, on a real log: the alerts are those of the job on the file.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::broker::broker;
use crate::harness::{Dir, project};
use crate::topic::Topic;

#[test]
fn a_replayed_log_raises_the_alerts_that_the_file_raises() {
    let Some(broker) = broker() else { return };
    let root = project();
    let root = root.display();
    let (log, alerts) = (Topic::new(broker, 3), Topic::new(broker, 2));
    let dir = Dir::new();
    let data = format!("{root}/jobs/examples/data/auth.log.zst");
    let load = ["topic", "load", "--brokers", &broker.plain, "--topic", &log.name, &data];
    dir.tidegate(load).run().exits(0);
    assert_eq!(log.values().len(), 7_121);
    let sets = [
        format!("sources.auth.brokers={}", broker.plain),
        format!("sources.auth.topic={}", log.name),
        "sources.auth.stop=latest".to_owned(),
        format!("sinks.alerts.brokers={}", broker.plain),
        format!("sinks.alerts.topic={}", alerts.name),
    ];
    let job = format!("{root}/jobs/examples/brute-force-kafka.yaml");
    let outcome = dir.tidegate(["run", &job]).args(sets.iter().flat_map(|set| ["--set", set])).run().exits(0);
    assert_eq!(outcome.account()["auth"].part("on"), 7_121);
    assert_eq!(outcome.account()["per_address"].part("late"), 0);
    let found: BTreeSet<String> = alerts
        .values()
        .iter()
        .map(|alert| serde_json::from_str::<Value>(alert).expect("JSON"))
        .map(|a| {
            let text = |field: &str| a[field].as_str().expect("text").to_owned();
            let failures = format!("{} failed logins in 10 minutes as {} user(s)", a["failures"], a["users"]);
            format!("{}  {}: {failures}, most often {}", text("window_end"), text("ip"), text("most"))
        })
        .collect();

    let file = format!("{root}/jobs/examples/brute-force.yaml");
    let path = format!("sources.auth.path={data}");
    let expected = dir.tidegate(["run", &file, "--set", &path]).run().exits(0).stdout;
    // Of users tried equally often, who came first may differ.
    let cut = |lines: BTreeSet<String>| -> BTreeSet<String> {
        lines.iter().map(|l| l.split(", most often").next().unwrap_or_default().to_owned()).collect()
    };
    let expected: BTreeSet<String> = expected.lines().map(str::to_owned).collect();
    assert!(expected.len() > 100);
    assert_eq!(cut(found), cut(expected));
}

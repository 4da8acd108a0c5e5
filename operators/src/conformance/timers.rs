//! The timers of an operator. A namespace is part of the key here.

use serde_json::{Value as Json, json};
use tidegate_runtime::KeyGroups;
use tidegate_runtime::state::{Handle, States, Timers};

use super::{cases, expected, same};

type Key = (String, String);

#[test]
fn timers() {
    for case in cases("timers") {
        let mut states = States::default();
        let names = ["event", "processing"];
        let timers: Vec<Handle<Timers<Key>>> = names.iter().map(|name| states.timers(name).unwrap()).collect();
        states.alone(KeyGroups::default(), 0..128, &[]).unwrap();
        let mut expected = expected(&case);
        for (step, input) in case["input"].as_array().unwrap().iter().enumerate() {
            let mut fired = Vec::new();
            for (what, set) in [("register", true), ("delete", false)] {
                let Some(timer) = input.get(what) else { continue };
                let domain = names.iter().position(|name| timer["domain"] == *name).unwrap();
                let (time, key) =
                    (timer["time"].as_i64().unwrap(), (timer["key"].to_string(), timer["namespace"].as_str().unwrap().to_owned()));
                let mut timers = timers[domain].borrow_mut();
                if set { timers.set(time, key) } else { timers.delete(time, &key) }
            }
            for (domain, clock) in [(0, "watermark"), (1, "processing_time")] {
                let Some(now) = input[clock].as_i64() else { continue };
                let fire = |time: i64, (key, namespace): Key| {
                    let plain: Json = serde_json::from_str(&key).unwrap();
                    fired.push(json!({ "domain": names[domain], "time": time, "key": plain, "namespace": namespace }));
                    if let Some(next) = case["op"]["timer_service"]["on_processing_timer"][time.to_string()].as_i64() {
                        timers[domain].borrow_mut().set(next, (key, namespace));
                    }
                    Ok(())
                };
                timers[domain].fire(now, fire).unwrap();
            }
            // The expected counts are of Flink's heap. Here, a duplicate or deleted timer stays in the queue until its time has come.
            let outputs = expected.remove(&(step as u64)).unwrap_or_default().into_iter().filter(|output| output.get("check").is_none());
            same(&case, step, fired, outputs.collect());
        }
        assert!(expected.is_empty());
    }
}

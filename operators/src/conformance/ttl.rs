//! State with a time to live.

use std::time::Duration;

use serde_json::{Value as Json, json};
use tidegate_runtime::state::{Frozen, ListState, MapState, ReducingState, States, Ttl, ValueState};
use tidegate_runtime::{Clock, KeyGroups};

use super::{cases, expected, same};
use crate::{AggregatingState, Fold};

type Sum = Fold<i64, fn(&mut i64, &i64), fn(&mut i64, &i64)>;

enum State {
    Value(ValueState<String, i64>),
    List(ListState<String, i64>),
    Map(MapState<String, i64, Option<String>>),
    Reducing(ReducingState<String, i64, fn(&i64, &i64) -> i64>),
    Aggregating(AggregatingState<String, i64, Sum>),
}

fn declare(op: &Json, states: &mut States) -> State {
    let millis: u64 = op["ttl"].as_str().unwrap().trim_end_matches("ms").parse().unwrap();
    let written = Ttl::after(Duration::from_millis(millis));
    let ttl = if op["update"] == "on_read_and_write" { written.on_read_and_write() } else { written };
    let add: fn(&mut i64, &i64) = |a, b| *a += b;
    match op["state"].as_str().unwrap() {
        "value" => State::Value(states.expiring(ttl).value("s").unwrap()),
        "list" => State::List(states.expiring(ttl).list("s").unwrap()),
        "map" => State::Map(states.expiring(ttl).map("s").unwrap()),
        "reducing" => State::Reducing(states.expiring(ttl).reducing("s", (|a, b| a + b) as fn(&i64, &i64) -> i64).unwrap()),
        "aggregating" => {
            let sum = Fold::new(op["initial"].as_i64().unwrap_or(0), add, add);
            State::Aggregating(AggregatingState::new(states, "s", sum, ttl).unwrap())
        }
        other => panic!("a state called {other}"),
    }
}

impl State {
    fn put(&self, key: &String, value: &Json) {
        let int = |value: &Json| value.as_i64().unwrap();
        match self {
            Self::Value(state) if value.is_null() => _ = state.remove(key).unwrap(),
            Self::Value(state) => state.set(key, int(value)).unwrap(),
            Self::List(state) => value.as_array().unwrap().iter().for_each(|value| state.push(key, int(value)).unwrap()),
            Self::Map(state) => {
                for entry in value.as_array().unwrap() {
                    state.insert(key, int(&entry[0]), entry[1].as_str().map(str::to_owned)).unwrap();
                }
            }
            Self::Reducing(state) => state.add(key, int(value)).unwrap(),
            Self::Aggregating(state) => state.add(key, &int(value), 0).unwrap(),
        }
    }

    fn get(&self, key: &String, what: &Json) -> Json {
        match self {
            Self::Value(state) => json!(state.get(key).unwrap()),
            Self::List(state) => json!(state.get(key).unwrap()),
            Self::Map(state) => match what.as_i64() {
                Some(field) => json!(state.get(key, &field).unwrap().flatten()),
                None => {
                    let mut entries = state.entries(key).unwrap();
                    entries.sort();
                    json!(entries)
                }
            },
            Self::Reducing(state) => json!(state.get(key).unwrap()),
            Self::Aggregating(state) => json!(state.get(key).unwrap()),
        }
    }
}

#[test]
fn ttl() {
    for case in cases("ttl") {
        let op = &case["op"]["ttl_state"];
        let clock = Clock::manual(0);
        let open = |former: &[Frozen]| {
            let mut states = States::with_clock(clock.clone());
            let state = declare(op, &mut states);
            states.alone(KeyGroups::default(), 0..128, former).unwrap();
            (states, state)
        };
        let (mut states, mut state) = open(&[]);
        let (mut key, mut kept) = ("defaultKey".to_owned(), None);
        let mut expected = expected(&case);
        for (step, input) in case["input"].as_array().unwrap().iter().enumerate() {
            let mut outputs = Vec::new();
            if let Some(now) = input["time"].as_i64() {
                clock.set(now);
            } else if let Some(to) = input["key"].as_str() {
                to.clone_into(&mut key);
            } else if let Some(value) = input.get("put") {
                state.put(&key, value);
            } else if let Some(what) = input.get("get") {
                let mut output = json!({ "value": state.get(&key, what) });
                if input["probe_stored"] == true {
                    output["stored"] = json!(states.entries() > 0);
                }
                outputs.push(output);
            } else if input["checkpoint_restore"] == true {
                let snapshot = states.snapshot().unwrap();
                (states, state) = open(&[snapshot]);
            } else if input.get("snapshot").is_some() {
                kept = Some(states.snapshot().unwrap());
            } else if input.get("restore").is_some() {
                (states, state) = open(&[kept.take().unwrap()]);
            } else {
                panic!("a step {input}");
            }
            same(&case, step, outputs, expected.remove(&(step as u64)).unwrap_or_default());
        }
        assert!(expected.is_empty());
    }
}

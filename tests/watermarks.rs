//! Watermarks and idleness as Flink's own tests have them (`data/README.md`), asked of the state machines that sources are made of.
//!
//! A case that is neither run nor listed under [`NOT_EXPRESSED`] fails the test.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use tidegate::runtime::Watermark;
use tidegate::runtime::board::{Board, Post, Status};
use tidegate::runtime::source::SplitId;
use tidegate::runtime::watermarks::{BoundedOutOfOrder, IdleTimer, Splits, WatermarkStrategy};

/// Shapes, or cases of a shape that is run, that have no counterpart here, and why.
const NOT_EXPRESSED: &[(&str, &str)] = &[
    ("watermark_generator/last_event_minus_1", "a generator written for Flink's test; ours go by the newest event, or by the data"),
    ("watermark_generator/never", "records without watermarks pass through the source: nothing of watermarks is asked"),
    ("sql_watermark_assigner", "watermarks are made at sources, not by an operator in the middle of SQL"),
    ("minibatch_watermark", "there is no mini-batching of SQL operators"),
    ("process", "idleness is a matter between sources; operators with two inputs see one frontier (end to end: `time_model`)"),
];

#[derive(Debug, PartialEq)]
enum Seen {
    Watermark(i64),
    Idle(bool),
    Error,
    Look(Option<i64>, bool),
}

type Outputs = Vec<(usize, Seen)>;

#[test]
fn the_cases_of_flink_hold() {
    let text = include_str!("data/watermark_cases.jsonl");
    let (mut run, mut failed, mut listed) = (0, Vec::new(), BTreeMap::new());
    for line in text.lines() {
        let case: Value = serde_json::from_str(line).expect("a case is JSON");
        let name = case["name"].as_str().expect("a case has a name");
        let op = case["op"].as_object().expect("a case has an op");
        let (shape, config) = op.iter().next().expect("an op has a shape");
        let kind = config["kind"].as_str().map_or_else(|| shape.clone(), |kind| format!("{shape}/{kind}"));
        let input = case["input"].as_array().expect("a case has input");
        let seen = match kind.as_str() {
            "watermark_generator/bounded" | "watermark_generator/ascending" => generator(config, input),
            "watermark_generator/punctuated" => punctuated(input),
            "idleness_timer" => timer(config, input),
            "watermark_multiplexer" => multiplexer(input),
            "watermark_valve" => valve(config, input),
            _ => {
                assert!(NOT_EXPRESSED.iter().any(|(what, _)| *what == kind), "{name}: `{kind}` is neither run nor listed");
                *listed.entry(kind).or_insert(0) += 1;
                continue;
            }
        };
        run += 1;
        let expected = expected(&case["expected"]);
        if seen != expected {
            failed.push(format!("{name}\n  expected {expected:?}\n  seen     {seen:?}"));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(run >= 30, "only {run} cases were run");
    assert_eq!(listed.len(), NOT_EXPRESSED.len(), "something is listed as not expressed that no case asks for: {listed:?}");
}

/// What a case expects of what we have: outputs of status and of records are not part of this design's state machines.
fn expected(outputs: &Value) -> Outputs {
    let mut expected = Vec::new();
    for output in outputs.as_array().expect("the cases here all say what they expect") {
        let after = index(&output["after"]);
        if let Some(watermark) = output["watermark"].as_i64() {
            expected.push((after, Seen::Watermark(watermark)));
        } else if output.get("last_watermark").is_some() {
            expected.push((after, Seen::Look(output["last_watermark"].as_i64(), output["idle"] == true)));
        } else if let Some(idle) = output["idle"].as_bool() {
            expected.push((after, Seen::Idle(idle)));
        } else if output["error"] == true {
            expected.push((after, Seen::Error));
        } else if let Some(Value::Object(check)) = output.get("check") {
            expected.extend(check.iter().map(|(_, w)| (after, Seen::Watermark(w.as_i64().expect("a check is of a watermark")))));
        } else {
            assert!(output.get("status").is_some() || output.get("record_ts").is_some(), "an output of another kind: {output}");
        }
    }
    expected
}

fn index(n: &Value) -> usize {
    usize::try_from(n.as_u64().expect("an index")).expect("a small number")
}

fn duration(text: &Value) -> Duration {
    let ms = text.as_str().and_then(|t| t.strip_suffix("ms")).and_then(|n| n.parse().ok());
    Duration::from_millis(ms.expect("the cases here are in milliseconds"))
}

/// The watermark of one split. All cases are of the bare generator (`raw`): each look answers.
fn generator(config: &Value, input: &[Value]) -> Outputs {
    assert_eq!(config["raw"], true, "a generator behind a filter is another shape");
    let delay = config.get("delay").map_or(Duration::ZERO, duration);
    let mut generator = BoundedOutOfOrder::new(delay);
    let mut seen = Vec::new();
    for (i, step) in input.iter().enumerate() {
        if let Some(ts) = step["event"]["ts"].as_i64() {
            generator.observe(ts);
        } else {
            assert_eq!(step["periodic_emit"], true, "{step}");
            seen.push((i, Seen::Watermark(generator.watermark().0)));
        }
    }
    seen
}

/// Watermarks in the data: an event with a marker is a record and then the watermark of its time; the source tells news only.
fn punctuated(input: &[Value]) -> Outputs {
    let mut splits = Splits::new(WatermarkStrategy::from_data());
    let mut seen = Vec::new();
    for (i, step) in input.iter().enumerate() {
        let ts = step["event"]["ts"].as_i64().expect("an event");
        splits.observe(SplitId(0), ts);
        if step["event"]["marker"] == true && splits.set(SplitId(0), Watermark(ts)) {
            seen.push((i, Seen::Watermark(splits.combined().watermark.0)));
        }
    }
    seen
}

fn timer(config: &Value, input: &[Value]) -> Outputs {
    let mut timer = IdleTimer::new(duration(&config["timeout"]));
    let mut now = Duration::ZERO;
    let mut seen = Vec::new();
    for (i, step) in input.iter().enumerate() {
        match (&mut timer, step) {
            (timer, step) if step["construct"] == true => {
                if timer.is_none() {
                    seen.push((i, Seen::Error));
                }
            }
            (Some(timer), step) if step["activity"] == true => timer.activity(),
            (Some(timer), step) if step["check_idle"] == true => seen.push((i, Seen::Idle(timer.is_idle(now)))),
            (Some(_), step) => now += duration(&step["advance"]),
            (None, _) => panic!("a timer without a timeout is asked {step}"),
        }
    }
    seen
}

/// Splits of one source. An immediate update is an update and a look; a deferred one waits for the periodic look. What is told is what the
/// last look gave, and a watermark only once it has moved.
fn multiplexer(input: &[Value]) -> Outputs {
    let mut splits = Splits::new(WatermarkStrategy::from_data());
    let mut ids: Vec<String> = Vec::new();
    let mut id = |name: &Value| {
        let name = name.as_str().expect("an output has a name").to_owned();
        let at = ids.iter().position(|known| *known == name).unwrap_or_else(|| {
            ids.push(name);
            ids.len() - 1
        });
        SplitId(u32::try_from(at).expect("few splits"))
    };
    let (mut told, mut idle) = (None, false);
    let mut seen = Vec::new();
    for (i, step) in input.iter().enumerate() {
        let mut news = true;
        if let Some(split) = step.get("register") {
            splits.announce(id(split));
        } else if let Some(split) = step.get("unregister") {
            splits.finish(id(split));
        } else if let Some(watermark) = step["watermark"].as_i64() {
            news = splits.set(id(&step["output"]), Watermark(watermark));
        } else if let Some(split) = step.get("idle") {
            splits.set_idle(id(split));
        } else {
            assert_eq!(step["periodic_emit"], true, "{step}");
        }
        // An immediate update that is no news is not looked at.
        if (step["mode"] == "immediate" && news) || step["periodic_emit"] == true {
            let look = splits.combined();
            if look.watermark != Watermark::NONE {
                told = told.max(Some(look.watermark.0));
            }
            idle = look.idle;
        }
        if step["probe"] == true {
            seen.push((i, Seen::Look(told, idle)));
        }
    }
    seen
}

/// A channel that `watermark` is sent into, as a source instance on the board posts it.
#[derive(Clone, Copy)]
struct Channel {
    watermark: Watermark,
    idle: bool,
}

/// Channels as sources on a board, each driven as the source operator does it: a channel's watermark never goes back, an idle one follows
/// the others. The output is the least any holds.
fn valve(config: &Value, input: &[Value]) -> Outputs {
    let inputs = index(&config["inputs"]);
    let board = Board::new(&vec![0; inputs], 1);
    let mut channels = vec![Channel { watermark: Watermark::NONE, idle: false }; inputs];
    let mut output = Watermark::NONE;
    let mut seen = Vec::new();
    for (i, step) in input.iter().enumerate() {
        let at = index(&step["input"]);
        let channel = &mut channels[at];
        match step["watermark"].as_i64() {
            // A source wakes with a record before it can have a watermark: what an idle one says is not heard.
            Some(watermark) if !channel.idle => channel.watermark = channel.watermark.max(Watermark(watermark)),
            Some(_) => seen.push((i, Seen::Watermark(channel.watermark.0))),
            None => channel.idle = step["status"] == "idle",
        }
        // Every source posts where it is and then looks, until none moves.
        for _ in 0..=inputs {
            for (source, channel) in channels.iter_mut().enumerate() {
                let status = if channel.idle { Status::Idle } else { Status::Active };
                board.put(source, 0, Post::At(channel.watermark, status));
                if channel.idle {
                    channel.watermark = channel.watermark.max(board.follow(source, false));
                }
            }
        }
        let least = channels.iter().map(|c| c.watermark).min().unwrap_or(Watermark::NONE);
        if least > output {
            output = least;
            seen.push((i, Seen::Watermark(least.0)));
        }
    }
    seen
}

//! Golden lines: the messages on the wire. A change here requires a new version of the protocol, unless it only adds a field to a reply.

use serde_json::json;

use super::*;

fn requests() -> [(Request, &'static str); 8] {
    let operators = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    [
        (Request::Status {}, r#"{"protocol":1,"request":"status"}"#),
        (Request::Metrics { operators: Vec::new() }, r#"{"protocol":1,"request":"metrics"}"#),
        (Request::Metrics { operators: operators(&["a", "b"]) }, r#"{"protocol":1,"request":"metrics","operators":["a","b"]}"#),
        (Request::Savepoint { to: "/s".to_owned() }, r#"{"protocol":1,"request":"savepoint","to":"/s"}"#),
        (Request::Stop { savepoint: None }, r#"{"protocol":1,"request":"stop"}"#),
        (Request::Stop { savepoint: Some("/s".to_owned()) }, r#"{"protocol":1,"request":"stop","savepoint":"/s"}"#),
        (Request::Drain {}, r#"{"protocol":1,"request":"drain"}"#),
        (Request::Cancel {}, r#"{"protocol":1,"request":"cancel"}"#),
    ]
}

fn run() -> RunReport {
    let last = Completion { epoch: 4, took_ms: 12, age_ms: 900, bytes: 2048, stored_bytes: 512, savepoint: Some("/s".to_owned()) };
    let checkpoints = CheckpointReport { completed: 5, failed: 1, failure: Some("full".to_owned()), last: Some(last) };
    RunReport {
        generation: Some(3),
        workers: 2,
        up_ms: 1_000,
        restored_from: Some("ckpt/j/checkpoints/2".to_owned()),
        records_read: 70,
        watermark_ms: Some(-5),
        checkpoints,
    }
}

fn idle() -> Status {
    Status { job: "j".to_owned(), pid: 7, state: State::Starting, up_ms: 0, failures: 0, failure: None, run: None }
}

fn replies() -> Vec<(Reply, &'static str)> {
    let counters = [("records", 70), ("bad", 1)].map(|(name, n)| (name.to_owned(), n)).into();
    let operator = OperatorReport { operator: "in".to_owned(), role: "source".to_owned(), counters };
    let running = Status { state: State::Running, up_ms: 2_000, failures: 1, failure: Some("lost".to_owned()), run: Some(run()), ..idle() };
    vec![
        (Reply::Status(idle()), r#"{"reply":"status","job":"j","pid":7,"state":"starting","up_ms":0,"failures":0}"#),
        (
            Reply::Status(running),
            concat!(
                r#"{"reply":"status","job":"j","pid":7,"state":"running","up_ms":2000,"failures":1,"failure":"lost","run":{"generation":3,"#,
                r#""workers":2,"up_ms":1000,"restored_from":"ckpt/j/checkpoints/2","records_read":70,"watermark_ms":-5,"checkpoints":{"#,
                r#""completed":5,"failed":1,"failure":"full","last":{"epoch":4,"took_ms":12,"age_ms":900,"bytes":2048,"#,
                r#""stored_bytes":512,"savepoint":"/s"}}}}"#
            ),
        ),
        (
            Reply::Metrics { operators: vec![operator] },
            r#"{"reply":"metrics","operators":[{"operator":"in","role":"source","counters":{"bad":1,"records":70}}]}"#,
        ),
        (Reply::Savepoint { place: "/s".to_owned() }, r#"{"reply":"savepoint","place":"/s"}"#),
        (Reply::Ended(Ended { how: How::Drained, savepoint: None }), r#"{"reply":"ended","how":"drained"}"#),
        (
            Reply::Ended(Ended { how: How::Stopped, savepoint: Some("/s".to_owned()) }),
            r#"{"reply":"ended","how":"stopped","savepoint":"/s"}"#,
        ),
    ]
}

fn refusals() -> [(Refusal, &'static str); 7] {
    let known = || vec!["a".to_owned(), "b".to_owned()];
    [
        (
            Refusal::UnknownProtocol { asked: json!(9), spoken: 1 },
            r#"{"reply":"error","message":"version 9 of the protocol is not spoken here, only 1","error":"unknown_protocol","asked":9,"spoken":1}"#,
        ),
        (
            Refusal::UnknownRequest { asked: "x".to_owned(), known: known() },
            r#"{"reply":"error","message":"there is no request `x`, only a, b","error":"unknown_request","asked":"x","known":["a","b"]}"#,
        ),
        (
            Refusal::Malformed { why: "odd".to_owned() },
            r#"{"reply":"error","message":"the request can't be parsed: odd","error":"malformed","why":"odd"}"#,
        ),
        (
            Refusal::UnknownOperator { asked: "x".to_owned(), known: known() },
            r#"{"reply":"error","message":"there is no operator `x`, only a, b","error":"unknown_operator","asked":"x","known":["a","b"]}"#,
        ),
        (
            Refusal::NotRunning { state: State::Restarting },
            r#"{"reply":"error","message":"the job does not run just now: it has failed, and is about to be started again","error":"not_running","state":"restarting"}"#,
        ),
        (
            Refusal::Savepoint { why: "full".to_owned() },
            r#"{"reply":"error","message":"the savepoint failed: full","error":"savepoint","why":"full"}"#,
        ),
        (Refusal::Failed { why: "lost".to_owned() }, r#"{"reply":"error","message":"the job failed: lost","error":"failed","why":"lost"}"#),
    ]
}

#[test]
fn requests_are_these_lines() {
    for (request, line) in requests() {
        assert_eq!(request.to_line().unwrap(), line);
        assert_eq!(Request::parse(line).unwrap(), request);
    }
    // Every request has a name in the list, and every name has a request.
    let used: std::collections::BTreeSet<_> =
        requests().iter().map(|(_, line)| serde_json::from_str::<Value>(line).unwrap()["request"].as_str().unwrap().to_owned()).collect();
    assert_eq!(used, Request::NAMES.map(str::to_owned).into());
}

#[test]
fn replies_are_these_lines() {
    let refused = refusals().map(|(refusal, line)| (Reply::Error(refusal.into()), line));
    for (reply, line) in replies().into_iter().chain(refused) {
        assert_eq!(serde_json::to_string(&reply).unwrap(), line);
        assert_eq!(serde_json::from_str::<Reply>(line).unwrap(), reply);
    }
}

#[test]
fn the_greeting_is_this_line() {
    let greeting = Greeting { protocol: 1, tidegate: "0.1.0".to_owned(), job: "j".to_owned(), pid: 7 };
    let line = r#"{"protocol":1,"tidegate":"0.1.0","job":"j","pid":7}"#;
    assert_eq!(serde_json::to_string(&greeting).unwrap(), line);
    assert_eq!(serde_json::from_str::<Greeting>(line).unwrap(), greeting);
}

#[test]
fn a_later_release_may_add_fields_and_reasons() {
    let reply = r#"{"reply":"ended","how":"stopped","after_ms":3}"#;
    assert_eq!(serde_json::from_str::<Reply>(reply).unwrap(), Reply::Ended(Ended { how: How::Stopped, savepoint: None }));
    let reply = r#"{"reply":"error","message":"not on a Sunday","error":"sunday"}"#;
    let expected = Failure { message: "not on a Sunday".to_owned(), refusal: Refusal::Other };
    assert_eq!(serde_json::from_str::<Reply>(reply).unwrap(), Reply::Error(expected));
}

#[test]
fn a_request_that_is_none_is_refused_by_its_reason() {
    let refusal = |line: &str| Request::parse(line).unwrap_err();
    assert_eq!(refusal(r#"{"protocol":2,"request":"status"}"#), Refusal::UnknownProtocol { asked: json!(2), spoken: 1 });
    // A later version may have other requests, so the version is reported first.
    assert!(matches!(refusal(r#"{"protocol":"two","request":"fly"}"#), Refusal::UnknownProtocol { .. }));
    assert!(matches!(refusal(r#"{"protocol":1,"request":"fly"}"#), Refusal::UnknownRequest { asked, .. } if asked == "fly"));
    let malformed = [
        "",
        "nonsense",
        "[]",
        r#"{"request":"status"}"#,
        r#"{"protocol":1}"#,
        r#"{"protocol":1,"request":7}"#,
        r#"{"protocol":1,"request":"savepoint"}"#,
        r#"{"protocol":1,"request":"stop","savepiont":"/s"}"#,
        r#"{"protocol":1,"request":"cancel","now":true}"#,
    ];
    for line in malformed {
        assert!(matches!(refusal(line), Refusal::Malformed { .. }), "{line}");
    }
}

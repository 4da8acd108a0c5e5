//! A running job, asked over its control socket.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;

use serde_json::Value;
use tidegate_launch::control::{Client, ClientError, Ended, Refusal, Request, State, VERSION};
use tidegate_launch::{Event, How, LaunchError, Outcome, Start, control_path};

use crate::{all_written_once, endless};

type Launched = JoinHandle<Result<Outcome, LaunchError>>;

/// Launches the endless job, and waits until it has completed a checkpoint.
fn launched(dir: &Path, start: Start) -> Launched {
    let launch = endless(dir, &Default::default()).start(start);
    let (sender, completed): (_, Receiver<()>) = channel();
    let job = std::thread::spawn(move || {
        launch.run(&mut |event| {
            if let Event::CheckpointCompleted { .. } = event {
                let _ = sender.send(());
            }
        })
    });
    completed.recv().expect("a checkpoint completes");
    job
}

fn ended(job: Launched) -> Outcome {
    job.join().expect("no panic").expect("the job ends well")
}

fn text(path: &Path) -> String {
    path.to_str().expect("UTF-8").to_owned()
}

#[test]
fn a_job_answers_every_request_of_a_connection() {
    let dir = tempfile::tempdir().expect("a directory");
    let state = dir.path().join("state");
    let job = launched(dir.path(), Start::Fresh);
    let mode = std::fs::metadata(control_path(&state)).expect("a socket").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "others may not command the job");

    let mut client = Client::connect(&state).expect("the job listens");
    let greeting = client.greeting().clone();
    assert_eq!((greeting.protocol, greeting.job.as_str(), greeting.pid), (VERSION, "endless", std::process::id()));
    let status = client.status().expect("a status");
    assert_eq!((status.job.as_str(), status.state, status.failures), ("endless", State::Running, 0));
    let run = status.run.expect("it runs");
    assert!(run.checkpoints.completed > 0 && run.records_read > 0 && run.watermark_ms.is_some(), "{run:?}");
    assert_eq!((run.workers, run.generation, run.restored_from), (1, Some(1), None));

    let metrics = client.metrics(vec!["numbered".to_owned()]).expect("metrics");
    assert_eq!(
        metrics.iter().map(|operator| (operator.operator.as_str(), operator.role.as_str())).collect::<Vec<_>>(),
        [("numbered", "keyed")]
    );
    // How much state there is, an operator counts from time to time.
    assert!(metrics[0].counters["records_in"] > 0 && metrics[0].counters.contains_key("state_entries"), "{metrics:?}");
    assert_eq!(client.metrics(Vec::new()).expect("metrics").len(), 3);
    match client.metrics(vec!["nmubered".to_owned()]) {
        Err(ClientError::Refused(failure)) => {
            let known = ["records", "numbered", "out"].map(str::to_owned).to_vec();
            assert_eq!(failure.refusal, Refusal::UnknownOperator { asked: "nmubered".to_owned(), known });
        }
        other => panic!("{other:?}"),
    }

    let place = text(&dir.path().join("save"));
    assert_eq!(client.savepoint(place.clone()).expect("a savepoint"), place);
    // A place that is taken is refused, and the job goes on.
    for request in [Request::Savepoint { to: place.clone() }, Request::Stop { savepoint: Some(place.clone()) }] {
        match client.ask(&request) {
            Err(ClientError::Refused(failure)) => assert!(failure.message.contains("already holds a savepoint"), "{failure:?}"),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(client.status().expect("a status").state, State::Running);
    assert_eq!(client.end(&Request::Stop { savepoint: None }).expect("an end"), Ended { how: How::Stopped, savepoint: None });
    // The answer comes when the lock is free again.
    assert!(matches!(Client::connect(&state), Err(ClientError::NoJob { .. })));
    assert_eq!(ended(job).how, How::Stopped);
    assert!(all_written_once(dir.path()) > 0);
}

#[test]
fn a_stop_with_a_savepoint_keeps_everything_that_was_read() {
    let dir = tempfile::tempdir().expect("a directory");
    let state = dir.path().join("state");
    let place = text(&dir.path().join("save"));
    let job = launched(dir.path(), Start::Fresh);
    let mut client = Client::connect(&state).expect("the job listens");
    let expected = Ended { how: How::Stopped, savepoint: Some(place.clone()) };
    assert_eq!(client.end(&Request::Stop { savepoint: Some(place.clone()) }).expect("an end"), expected);
    assert_eq!(ended(job).savepoint.as_deref(), Some(place.as_str()));
    let written = all_written_once(dir.path());

    // Another run goes on from the savepoint alone, behind what the first had written.
    std::fs::remove_dir_all(dir.path().join("ckpt")).expect("checkpoints");
    let job = launched(dir.path(), Start::From(place));
    let mut client = Client::connect(&state).expect("the job listens");
    assert_eq!(client.end(&Request::Drain {}).expect("an end").how, How::Drained);
    assert_eq!(ended(job).how, How::Drained);
    assert!(all_written_once(dir.path()) > written);
}

#[test]
fn a_cancelled_job_goes_on_from_its_last_checkpoint() {
    let dir = tempfile::tempdir().expect("a directory");
    let state = dir.path().join("state");
    let job = launched(dir.path(), Start::Fresh);
    let mut client = Client::connect(&state).expect("the job listens");
    assert_eq!(client.end(&Request::Cancel {}).expect("an end").how, How::Cancelled);
    assert_eq!(ended(job).how, How::Cancelled);
    let job = launched(dir.path(), Start::Latest);
    let mut client = Client::connect(&state).expect("the job listens");
    let restored = client.status().expect("a status").run.expect("it runs").restored_from;
    assert!(restored.is_some_and(|place| place.contains("ckpt/endless/checkpoints/")));
    client.end(&Request::Stop { savepoint: None }).expect("an end");
    ended(job);
    assert!(all_written_once(dir.path()) > 0);
}

#[test]
fn what_is_no_request_is_refused_and_the_connection_goes_on() {
    let dir = tempfile::tempdir().expect("a directory");
    let job = launched(dir.path(), Start::Fresh);
    let mut stream = BufReader::new(UnixStream::connect(control_path(&dir.path().join("state"))).expect("the job listens"));
    let mut next = |line: &str| -> Value {
        write!(stream.get_mut(), "{line}").expect("the job reads");
        let mut answer = String::new();
        stream.read_line(&mut answer).expect("the job answers");
        serde_json::from_str(&answer).expect("JSON")
    };
    assert_eq!(next("")["protocol"], 1);
    for (line, error) in [
        ("hello\n", "malformed"),
        ("{\"request\":\"status\"}\n", "malformed"),
        ("{\"protocol\":2,\"request\":\"status\"}\n", "unknown_protocol"),
        ("{\"protocol\":1,\"request\":\"fly\"}\n", "unknown_request"),
    ] {
        let answer = next(line);
        assert_eq!((&answer["reply"], &answer["error"]), (&"error".into(), &error.into()), "{line}");
    }
    assert_eq!(next("{\"protocol\":1,\"request\":\"status\"}\n")["reply"], "status");
    assert_eq!(next("{\"protocol\":1,\"request\":\"cancel\"}\n")["how"], "cancelled");
    assert_eq!(ended(job).how, How::Cancelled);
}

//! A job that fails is restored from its checkpoint, and what happens is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use tidegate_launch::{Ending, Event, How, LaunchError, Start};

use crate::{all_written_once, endless};

/// What happened, in a word each; progress and checkpoints are left out.
fn word(event: &Event<'_>) -> Option<String> {
    Some(match event {
        Event::Started { run } => format!("started {}", if run.restored_from().is_some() { "from a checkpoint" } else { "afresh" }),
        Event::Ended { how, .. } => format!("ended {how:?}"),
        Event::Restarting { error, failures, .. } => format!("restarting after failure {failures}: {error}"),
        Event::NoCheckpoint { .. } => "no checkpoint".to_owned(),
        Event::CheckpointSkipped { .. } => "checkpoint skipped".to_owned(),
        _ => return None,
    })
}

#[test]
fn a_job_that_fails_goes_on_from_its_checkpoint_and_ends() {
    let dir = tempfile::tempdir().expect("a directory");
    let fail = Arc::new(AtomicU32::new(0));
    let launch = endless(dir.path(), &fail);
    let handle = launch.handle();
    let (mut told, mut failed) = (Vec::new(), false);
    let outcome = launch.run(&mut |event| {
        told.extend(word(&event));
        match event {
            // Once there is something to go on from, the job fails; once the next run has done something, its input ends.
            Event::CheckpointCompleted { .. } if !failed => {
                failed = true;
                fail.store(1, SeqCst);
            }
            // The last checkpoint is told when the job has ended: then there is nothing to drain.
            Event::CheckpointCompleted { .. } if told.len() > 3 => _ = handle.end(Ending::Drain),
            _ => {}
        }
    });
    let outcome = outcome.expect("the job ends well");
    assert_eq!(outcome.how, How::Drained);
    let expected = [
        "started afresh",
        "ended None",
        "restarting after failure 1: operator `numbered` failed on worker 0",
        "started from a checkpoint",
        "ended Some(Drained)",
    ];
    assert_eq!(told, expected);
    assert!(all_written_once(dir.path()) > 0);
    assert!(!dir.path().join("state").exists(), "what the job left in its state directory");
}

#[test]
fn a_job_that_keeps_failing_is_given_up_with_the_cause() {
    let dir = tempfile::tempdir().expect("a directory");
    let fail = Arc::new(AtomicU32::new(u32::MAX));
    let launch = endless(dir.path(), &fail).start(Start::Latest);
    let mut told = Vec::new();
    let error = launch.run(&mut |event| told.extend(word(&event))).expect_err("it fails on its first record, each time");
    assert!(matches!(error, LaunchError::Run(_)), "{error:?}");
    let text = tidegate_launch::describe(&error);
    assert_eq!(text, "operator `numbered` failed on worker 0: the outside is out of reach: no route");
    assert_eq!(told.iter().filter(|word| word.starts_with("started")).count(), 4, "{told:?}");
    assert_eq!(told[0], "no checkpoint");
}

#[test]
fn a_damaged_checkpoint_is_skipped_and_told() {
    let dir = tempfile::tempdir().expect("a directory");
    let fail = Arc::new(AtomicU32::new(0));
    let run = |start: Start, checkpoints: usize| {
        let launch = endless(dir.path(), &fail).start(start);
        let handle = launch.handle();
        let (mut told, mut completed) = (Vec::new(), 0);
        let outcome = launch.run(&mut |event| {
            told.extend(word(&event));
            if let Event::CheckpointCompleted { .. } = event {
                completed += 1;
                if completed == checkpoints {
                    handle.end(Ending::Stop).expect("a stop is never refused");
                }
            }
        });
        assert_eq!(outcome.expect("the job stops").how, How::Stopped);
        told
    };
    run(Start::Fresh, 2);
    let checkpoints = dir.path().join("ckpt/endless/checkpoints");
    let epochs = std::fs::read_dir(&checkpoints).expect("checkpoints").map(|entry| entry.expect("an entry").file_name());
    let newest = epochs.filter_map(|name| name.to_str()?.parse::<u32>().ok()).max().expect("a checkpoint");
    std::fs::write(checkpoints.join(newest.to_string()).join("manifest.json"), "{").expect("it can be written");
    assert_eq!(run(Start::Latest, 1), ["checkpoint skipped", "started from a checkpoint", "ended Some(Stopped)"]);
    assert!(all_written_once(dir.path()) > 0);
}

//! The gauges of state.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use tidegate::prelude::*;
use tidegate::runtime::Running;
use tidegate::runtime::metrics::NodeMetrics;

use crate::script::{Script, Step, ms, until, wait_for};

/// The entries of all operators.
fn entries(running: &Running) -> u64 {
    let of = |metrics: Option<NodeMetrics>| match metrics {
        Some(NodeMetrics::Operator(metrics)) => metrics.state.entries.get(),
        _ => 0,
    };
    running.metrics().into_iter().map(of).sum()
}

#[test]
fn state_that_a_watermark_removes_is_gone_from_the_gauges_without_another_record() {
    let (counted, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let set = |flag: &Arc<AtomicBool>| {
        let flag = Arc::clone(flag);
        until(move || flag.load(SeqCst))
    };
    let script = Script::new([vec![
        Step::Batch(0, vec![Record::new(5, 1_u8)], false),
        set(&counted),
        // It never reaches the windows, but its watermark does: soon after their gauges were updated.
        Step::Batch(0, vec![Record::new(1_000, 0)], false),
        set(&done),
    ]]);
    let job = Job::new(move |flow| {
        flow.source("in", script.clone(), WatermarkStrategy::bounded(ms(0)))
            .filter("some", |n: &u8| *n > 0)
            .key_by(|n: &u8| *n)
            .window(Window::tumbling(ms(100), 0).expect("a window"))
            .aggregate("count", Count)
            .sink("out", CollectSink::new());
    })
    .expect("a job");
    let running = job.start(RunConfig::workers(1)).expect("it starts");
    wait_for("the window's entry", || entries(&running) > 0);
    counted.store(true, SeqCst);
    wait_for("the end of the window's entry", || entries(&running) == 0);
    done.store(true, SeqCst);
    running.wait().expect("it runs");
}

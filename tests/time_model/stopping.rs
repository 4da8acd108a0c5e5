//! A job that is asked to stop writes what it has read, and nothing of windows that are open.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tidegate::prelude::*;
use tidegate::runtime::Stopper;

use crate::script::{Script, Step, ms, until, wait_for};

#[test]
fn what_was_read_up_to_a_stop_is_written_and_nothing_is_read_after_it() {
    for (workers, barriers) in [(1, false), (1, true), (2, true)] {
        let stopper: Arc<OnceLock<Stopper>> = Arc::default();
        let handed = Arc::new(AtomicUsize::new(0));
        let batch = |n: usize| {
            let handed = Arc::clone(&handed);
            let counted = until(move || {
                handed.fetch_add(10, SeqCst);
                true
            });
            [counted, Step::Batch(0, (0..10).map(|i| Record::new((n * 10 + i) as i64, n * 10 + i)).collect(), false)]
        };
        // The stop comes while the reader is being asked, with batch upon batch behind it.
        let asked = Arc::clone(&stopper);
        let stop = until(move || asked.get().map(Stopper::stop).is_some());
        let steps = (0..5).flat_map(batch).chain([stop]).chain((5..500).flat_map(batch)).chain([until(|| false)]);
        let script = Script::new([steps.collect()]);
        let (written, windows) = (CollectSink::new(), CollectSink::new());
        let (sink, windows_sink) = (written.clone(), windows.clone());
        let job = Job::new(move |flow| {
            let all = flow.source("in", script.clone(), WatermarkStrategy::bounded(ms(0)));
            let hour = Window::tumbling(Duration::from_secs(3_600), 0).expect("a window");
            all.clone().key_by(|n: &usize| n % 7).window(hour).aggregate("counts", Count).sink("windows", windows_sink.clone());
            all.key_by(|n: &usize| n % 7).reduce("latest", |_, new| *new).sink("out", sink.clone());
        })
        .expect("a job");
        let config = RunConfig::workers(workers);
        let running = job.start(if barriers { config.barrier_every(ms(1)) } else { config }).expect("it starts");
        assert!(stopper.set(running.stopper()).is_ok());
        wait_for("the end", || running.is_finished());
        running.wait().expect("it stops in order");
        let mut written: Vec<_> = written.take().into_iter().map(|r| r.value).collect();
        written.sort_unstable();
        let handed = handed.load(SeqCst);
        assert!(handed < 5_000, "the stop was not heard");
        assert_eq!(written, (0..handed).collect::<Vec<_>>(), "{workers} workers, barriers: {barriers}");
        assert!(windows.take().is_empty(), "an open window was written");
    }
}

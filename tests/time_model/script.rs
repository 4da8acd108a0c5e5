//! Sources that hand over what a test has written down, and jobs that must not hang. The position of a split is its number.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use tidegate::prelude::*;
use tidegate::runtime::source::{Batch, Poll, Resumed, SourceContext, SplitId, Waker};

/// No job of these tests needs nearly as long; what takes longer hangs.
const LONGEST: Duration = Duration::from_secs(60);

/// When a reader that has nothing is asked again.
const AGAIN: Duration = Duration::from_millis(20);

/// What a reader does when it is asked.
#[derive(Clone)]
pub enum Step<T> {
    /// Hands over records of a split; the last of it, if so marked.
    Batch(u32, Vec<Record<T>>, bool),
    /// Says of a split that nothing is to be expected of it.
    Idle(u32),
    /// Has nothing, and wakes its operator at once.
    Pending,
    /// Has nothing, and is asked again [`AGAIN`] later.
    Rest,
    /// Has nothing until this holds.
    Until(Arc<dyn Fn() -> bool + Send + Sync>),
    /// Fails.
    Fail(&'static str),
}

/// Waits for a condition that is looked at whenever the reader is asked.
pub fn until<T>(condition: impl Fn() -> bool + Send + Sync + 'static) -> Step<T> {
    Step::Until(Arc::new(condition))
}

/// A source with a script for each of its workers; workers beyond that have nothing.
#[derive(Clone)]
pub struct Script<T>(Arc<Vec<Mutex<VecDeque<Step<T>>>>>);

impl<T> Script<T> {
    pub fn new(scripts: impl IntoIterator<Item = Vec<Step<T>>>) -> Self {
        Self(Arc::new(scripts.into_iter().map(|s| Mutex::new(s.into())).collect()))
    }
}

impl<T: Send + 'static> Source<T> for Script<T> {
    fn open(&self, context: SourceContext) -> Result<Box<dyn Reader<T>>, Error> {
        let script = self.0.get(context.worker).map(|s| std::mem::take(&mut *s.lock().unwrap_or_else(PoisonError::into_inner)));
        // All splits that are gone on with are those of the first worker.
        let restored = context.restored.filter(|_| context.worker == 0);
        Ok(Box::new(ScriptReader { steps: script.unwrap_or_default(), waker: context.waker, waiting: None, restored }))
    }
}

struct ScriptReader<T> {
    steps: VecDeque<Step<T>>,
    waker: Waker,
    waiting: Option<Instant>,
    restored: Option<Arc<Vec<Value>>>,
}

impl<T: 'static> Reader<T> for ScriptReader<T> {
    fn poll(&mut self) -> Result<Poll<T>, Error> {
        while let Some(Step::Until(condition)) = self.steps.front() {
            let since = *self.waiting.get_or_insert_with(Instant::now);
            if !condition() {
                return if since.elapsed() < LONGEST {
                    Ok(Poll::After(AGAIN))
                } else {
                    Err(Error::user("what a script waits for did not come"))
                };
            }
            self.waiting = None;
            self.steps.pop_front();
        }
        match self.steps.pop_front() {
            Some(Step::Batch(split, records, last)) => {
                Ok(Poll::Batch(Batch { last, position: Some(split.into()), ..Batch::new(SplitId(split), records) }))
            }
            Some(Step::Idle(split)) => Ok(Poll::Batch(Batch { idle: true, ..Batch::new(SplitId(split), Vec::new()) })),
            Some(Step::Pending) => {
                self.waker.wake();
                Ok(Poll::Pending)
            }
            Some(Step::Fail(why)) => Err(Error::user(why)),
            Some(Step::Rest | Step::Until(_)) => Ok(Poll::After(AGAIN)),
            None => Ok(Poll::Finished),
        }
    }

    fn is_vacant(&self) -> bool {
        self.steps.is_empty() && self.restored.is_none()
    }

    fn resumed(&mut self) -> Option<Vec<Resumed>> {
        let splits = self.restored.iter().flat_map(|positions| positions.iter());
        let resumed = |split: &Value| {
            let number = split.as_u64().expect("a number") as u32;
            Resumed { split: SplitId(number), position: split.clone(), ended: false }
        };
        Some(splits.map(resumed).collect())
    }
}

/// Random numbers from a seed, so that a failing case can be run again.
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % n
    }
}

/// Spreads splits over `workers` readers, each of which hands over its splits in small batches, in any interleaving, with breaks.
pub fn interleave<T>(splits: Vec<Vec<Record<T>>>, workers: usize, dice: &mut Dice) -> Script<T> {
    let mut readers: Vec<Vec<(u32, VecDeque<Record<T>>)>> = (0..workers).map(|_| Vec::new()).collect();
    for (i, split) in splits.into_iter().enumerate() {
        readers[i % workers].push((i as u32, split.into()));
    }
    Script::new(readers.into_iter().map(|mut splits| {
        // A split that is not announced holds nothing back.
        let mut steps: Vec<_> = splits.iter().map(|(id, _)| Step::Batch(*id, Vec::new(), false)).collect();
        while !splits.is_empty() {
            let at = dice.below(splits.len());
            let (id, rest) = &mut splits[at];
            let some = rest.len().min(dice.below(8));
            let batch: Vec<_> = rest.drain(..some).collect();
            let last = rest.is_empty() && dice.below(2) == 0;
            steps.push(Step::Batch(*id, batch, last));
            match dice.below(12) {
                0 => steps.push(Step::Rest),
                1..4 => steps.push(Step::Pending),
                _ => {}
            }
            if last {
                splits.remove(at);
            }
        }
        steps
    }))
}

/// Runs a job that has to come to an end.
#[track_caller]
pub fn run(job: &Job, config: RunConfig) -> Result<(), JobError> {
    let running = job.start(config)?;
    let start = Instant::now();
    while !running.is_finished() {
        assert!(start.elapsed() < LONGEST, "the job hangs");
        std::thread::sleep(Duration::from_millis(1));
    }
    running.wait()
}

/// Waits until `condition` holds.
#[track_caller]
pub fn wait_for(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < LONGEST, "{what} did not come");
        std::thread::sleep(Duration::from_millis(1));
    }
}

pub fn ms(n: i64) -> Duration {
    Duration::from_millis(n as u64)
}

//! How event time is read off a source: per split, then combined over splits, then over sources.
//!
//! Everything here is a pure state machine; the source operator feeds it facts and acts on the answers.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::source::SplitId;
use crate::time::Watermark;

/// How the watermarks of a source come about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WatermarkStrategy {
    /// By how much a record may be older than the newest before it in its split. `None`: only watermarks in the data count.
    pub max_delay: Option<Duration>,
    /// After how long without a record a split no longer holds event time back.
    pub idle_after: Option<Duration>,
    /// How far the source may run ahead of the slowest active one it is combined with before it pauses.
    pub max_drift: Option<Duration>,
    /// Does the watermark move with every record that raises it? Otherwise it moves once per batch, which costs less.
    pub every_record: bool,
    /// Do records get the time at which they enter, by the job's clock, whatever time they bring? The watermark then follows the clock, even while no
    /// record comes, and nothing above counts.
    pub ingestion: bool,
}

impl WatermarkStrategy {
    /// Records come out of order by at most `max_delay`.
    #[must_use]
    pub fn bounded(max_delay: Duration) -> Self {
        Self { max_delay: Some(max_delay), ..Self::default() }
    }

    /// Only the watermarks that the data carries count.
    #[must_use]
    pub fn from_data() -> Self {
        Self::default()
    }

    /// Ingestion time: each record gets the time at which it enters, by the job's [`Clock`](crate::Clock), and the watermark follows the clock. At an instance
    /// of the source both never go back, so no record is late. A record that is read again after a restore gets a new time.
    #[must_use]
    pub fn ingestion() -> Self {
        Self { ingestion: true, ..Self::default() }
    }

    /// Splits without a record for this long are left out of the watermark.
    #[must_use]
    pub fn idle_after(mut self, timeout: Duration) -> Self {
        self.idle_after = Some(timeout);
        self
    }

    /// The watermark moves with every record that raises it, and not once per batch: a record is judged by all that stand before it.
    #[must_use]
    pub fn every_record(mut self) -> Self {
        self.every_record = true;
        self
    }

    /// Pause when further ahead of the others than this.
    #[must_use]
    pub fn max_drift(mut self, drift: Duration) -> Self {
        self.max_drift = Some(drift);
        self
    }
}

/// A duration in whole milliseconds, saturated.
pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// The watermark of one split whose records are out of order by a bounded delay.
#[derive(Clone, Copy, Debug)]
pub struct BoundedOutOfOrder {
    delay: i64,
    newest: Option<i64>,
}

impl BoundedOutOfOrder {
    /// Records are at most `max_delay` older than the newest before them.
    #[must_use]
    pub fn new(max_delay: Duration) -> Self {
        Self { delay: millis(max_delay), newest: None }
    }

    /// A record (or the newest of several) of this event time came.
    pub fn observe(&mut self, time: i64) {
        self.newest = self.newest.max(Some(time));
    }

    /// `newest - delay - 1`: a record as old as `newest - delay` may still come.
    #[must_use]
    pub fn watermark(&self) -> Watermark {
        self.newest.map_or(Watermark::NONE, |t| Watermark(t.saturating_sub(self.delay).saturating_sub(1)))
    }
}

/// Tells when nothing has happened for a while. Counting begins with the first look that finds no activity, so that a process that was
/// not scheduled for long doesn't take its own absence for that of its source.
#[derive(Clone, Copy, Debug)]
pub struct IdleTimer {
    timeout: Duration,
    active: bool,
    quiet_since: Option<Duration>,
}

impl IdleTimer {
    /// A timer that reports idleness after strictly more than `timeout`; `None` if that is zero.
    #[must_use]
    pub fn new(timeout: Duration) -> Option<Self> {
        (!timeout.is_zero()).then_some(Self { timeout, active: false, quiet_since: None })
    }

    /// Something happened.
    pub fn activity(&mut self) {
        self.active = true;
    }

    /// Nobody looked whether anything happened: what was quiet so far doesn't count.
    pub fn rest(&mut self) {
        self.quiet_since = None;
    }

    /// How long until it will be idle if nothing happens, counted from `now`; `None` while it is not counting, or is idle already.
    #[must_use]
    pub fn wait(&self, now: Duration) -> Option<Duration> {
        let left = (self.quiet_since?.saturating_add(self.timeout)).checked_sub(now)?;
        // Strictly more than the timeout.
        Some(left.saturating_add(Duration::from_millis(1)))
    }

    /// Is it idle at `now`, a time since an origin of the caller's?
    pub fn is_idle(&mut self, now: Duration) -> bool {
        if std::mem::take(&mut self.active) {
            self.quiet_since = None;
            return false;
        }
        let since = *self.quiet_since.get_or_insert(now);
        now.saturating_sub(since) > self.timeout
    }
}

/// The splits of one reader and the watermark they come to together.
#[derive(Debug)]
pub struct Splits {
    strategy: WatermarkStrategy,
    splits: BTreeMap<SplitId, Split>,
    /// Runs while there is no split.
    none: Option<IdleTimer>,
    /// Has there been no split for as long as a split may be silent?
    none_idle: bool,
    reached: Watermark,
}

#[derive(Debug)]
struct Split {
    bounded: Option<BoundedOutOfOrder>,
    watermark: Watermark,
    timer: Option<IdleTimer>,
    idle: bool,
}

impl Split {
    fn raise(&mut self, to: Watermark) -> bool {
        let raised = to > self.watermark;
        self.watermark = self.watermark.max(to);
        raised
    }

    fn wake(&mut self) {
        self.idle = false;
        if let Some(timer) = &mut self.timer {
            timer.activity();
        }
    }
}

/// What the splits come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Combined {
    /// The least watermark of the active splits; never goes back.
    pub watermark: Watermark,
    /// Are all splits idle, or has there been none for that long?
    pub idle: bool,
}

impl Splits {
    /// No splits yet.
    #[must_use]
    pub fn new(strategy: WatermarkStrategy) -> Self {
        let none = strategy.idle_after.and_then(IdleTimer::new);
        Self { strategy, splits: BTreeMap::new(), none, none_idle: false, reached: Watermark::NONE }
    }

    /// The split is there; from now on it holds event time back until it has brought a record.
    pub fn announce(&mut self, split: SplitId) {
        self.split(split);
    }

    fn split(&mut self, split: SplitId) -> &mut Split {
        let strategy = self.strategy;
        self.splits.entry(split).or_insert_with(|| Split {
            bounded: strategy.max_delay.map(BoundedOutOfOrder::new),
            watermark: Watermark::NONE,
            timer: strategy.idle_after.and_then(IdleTimer::new),
            idle: false,
        })
    }

    /// The split brought records, the newest of this event time.
    pub fn observe(&mut self, split: SplitId, newest: i64) {
        let split = self.split(split);
        split.wake();
        if let Some(bounded) = &mut split.bounded {
            bounded.observe(newest);
            let watermark = bounded.watermark();
            split.raise(watermark);
        }
    }

    /// Would a record of this event time raise the watermark of the split?
    #[must_use]
    pub fn would_raise(&self, split: SplitId, time: i64) -> bool {
        let bounded = self.splits.get(&split).and_then(|split| split.bounded.as_ref());
        bounded.is_some_and(|bounded| bounded.newest.is_none_or(|newest| time > newest))
    }

    /// The split's data carried a watermark. Returns whether it is news.
    pub fn set(&mut self, split: SplitId, watermark: Watermark) -> bool {
        let split = self.split(split);
        split.wake();
        split.raise(watermark)
    }

    /// The split says itself that it is idle.
    pub fn set_idle(&mut self, split: SplitId) {
        self.split(split).idle = true;
    }

    /// What the splits had come to before the source was restored.
    pub fn resume(&mut self, reached: Watermark) {
        self.reached = self.reached.max(reached);
    }

    /// The watermark of a split; none if it is not known.
    #[must_use]
    pub fn of(&self, split: SplitId) -> Watermark {
        self.splits.get(&split).map_or(Watermark::NONE, |s| s.watermark)
    }

    /// The split has ended.
    pub fn finish(&mut self, split: SplitId) {
        self.splits.remove(&split);
    }

    /// Looks at `now` (since an origin of the caller's) which splits have gone idle.
    pub fn look(&mut self, now: Duration) {
        for split in self.splits.values_mut() {
            if let Some(timer) = &mut split.timer {
                split.idle = timer.is_idle(now);
            }
        }
        if let Some(timer) = &mut self.none {
            if !self.splits.is_empty() {
                timer.activity();
            }
            self.none_idle = timer.is_idle(now);
        }
    }

    /// How long, counted from `now`, until the next split will be idle if nothing happens. To be asked after a [`look`](Self::look).
    #[must_use]
    pub fn wait(&self, now: Duration) -> Option<Duration> {
        self.splits.values().filter_map(|split| split.timer.as_ref()).chain(&self.none).filter_map(|timer| timer.wait(now)).min()
    }

    /// The reader was not asked, so nothing can be said of its splits: the time until the next look is not held against them.
    pub fn rest(&mut self) {
        self.splits.values_mut().filter_map(|s| s.timer.as_mut()).chain(&mut self.none).for_each(IdleTimer::rest);
    }

    /// What the splits come to now: the least watermark of the active ones, or if all are idle the greatest.
    pub fn combined(&mut self) -> Combined {
        let active = self.splits.values().filter(|s| !s.idle).map(|s| s.watermark).min();
        let idle = active.is_none() && (self.none_idle || !self.splits.is_empty());
        let watermark = active.or_else(|| self.splits.values().map(|s| s.watermark).max());
        self.reached = self.reached.max(watermark.unwrap_or(Watermark::NONE));
        Combined { watermark: self.reached, idle }
    }
}

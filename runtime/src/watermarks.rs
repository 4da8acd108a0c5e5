//! How event time is derived from a source: per split, then combined over splits, then over sources.
//!
//! Everything here is a pure state machine; the source operator feeds it facts and acts on the answers.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::source::SplitId;
use crate::time::Watermark;

/// How the watermarks of a source are generated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WatermarkStrategy {
    /// How much older a record may be than the newest record before it in its split. `None`: only watermarks in the data count.
    pub max_delay: Option<Duration>,
    /// How long a split may go without a record before it stops holding back event time.
    pub idle_after: Option<Duration>,
    /// How far the source may run ahead of the slowest active source it is combined with before it pauses.
    pub max_drift: Option<Duration>,
    /// Whether the watermark moves with every record that raises it. Otherwise it moves once per batch, which costs less.
    pub every_record: bool,
    /// Whether records get the time at which they enter, by the job's clock, whatever time they carry. The watermark then follows the
    /// clock, even while no record arrives, and `max_delay` and `idle_after` have no effect.
    pub ingestion: bool,
}

impl WatermarkStrategy {
    /// Records are out of order by at most `max_delay`.
    #[must_use]
    pub fn bounded(max_delay: Duration) -> Self {
        Self { max_delay: Some(max_delay), ..Self::default() }
    }

    /// Only watermarks carried by the data count.
    #[must_use]
    pub fn from_data() -> Self {
        Self::default()
    }

    /// Ingestion time: each record gets the time at which it enters, by the job's [`Clock`](crate::Clock), and the watermark follows the
    /// clock. Within an instance of the source neither goes back, so no record is late. A record that is read again after a restore gets a
    /// new time.
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

    /// The watermark moves with every record that raises it, not once per batch. Whether a record is late depends on all records before it.
    #[must_use]
    pub fn every_record(mut self) -> Self {
        self.every_record = true;
        self
    }

    /// The source pauses when it is further ahead of the others than this.
    #[must_use]
    pub fn max_drift(mut self, drift: Duration) -> Self {
        self.max_drift = Some(drift);
        self
    }
}

/// A duration in whole milliseconds, saturating.
pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// The watermark of one split whose records are out of order by at most a fixed delay.
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

    /// Observes the event time of a record, or of the newest of several.
    pub fn observe(&mut self, time: i64) {
        self.newest = self.newest.max(Some(time));
    }

    /// `newest - delay - 1`: a record as old as `newest - delay` may still come.
    #[must_use]
    pub fn watermark(&self) -> Watermark {
        self.newest.map_or(Watermark::NONE, |t| Watermark(t.saturating_sub(self.delay).saturating_sub(1)))
    }
}

/// Detects that nothing has happened for a while. Counting starts with the first check that finds no activity, so that a process that was
/// not scheduled for long does not mistake its own absence for that of its source.
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

    /// Records that something happened.
    pub fn activity(&mut self) {
        self.active = true;
    }

    /// Nobody checked for activity, so the quiet time so far does not count.
    pub fn rest(&mut self) {
        self.quiet_since = None;
    }

    /// The time from `now` until the timer reports idleness if nothing happens. `None` while it is not counting or once it is idle.
    #[must_use]
    pub fn wait(&self, now: Duration) -> Option<Duration> {
        let left = (self.quiet_since?.saturating_add(self.timeout)).checked_sub(now)?;
        // Idle means strictly longer than the timeout.
        Some(left.saturating_add(Duration::from_millis(1)))
    }

    /// Whether the timer is idle at `now`, measured from an origin of the caller's choice.
    pub fn is_idle(&mut self, now: Duration) -> bool {
        if std::mem::take(&mut self.active) {
            self.quiet_since = None;
            return false;
        }
        let since = *self.quiet_since.get_or_insert(now);
        now.saturating_sub(since) > self.timeout
    }
}

/// The splits of one reader, and their combined watermark.
#[derive(Debug)]
pub struct Splits {
    strategy: WatermarkStrategy,
    splits: BTreeMap<SplitId, Split>,
    /// Measures how long there has been no split.
    none: Option<IdleTimer>,
    /// Whether there has been no split for as long as a split may be silent.
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

/// The combined state of the splits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Combined {
    /// The lowest watermark of the active splits. Never goes back.
    pub watermark: Watermark,
    /// Whether all splits are idle, or there has been no split for the idle timeout.
    pub idle: bool,
}

impl Splits {
    /// Starts without splits.
    #[must_use]
    pub fn new(strategy: WatermarkStrategy) -> Self {
        let none = strategy.idle_after.and_then(IdleTimer::new);
        Self { strategy, splits: BTreeMap::new(), none, none_idle: false, reached: Watermark::NONE }
    }

    /// Adds a split. From now on it holds back event time until it has brought a record.
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

    /// The split brought records; `newest` is the latest event time among them.
    pub fn observe(&mut self, split: SplitId, newest: i64) {
        let split = self.split(split);
        split.wake();
        if let Some(bounded) = &mut split.bounded {
            bounded.observe(newest);
            let watermark = bounded.watermark();
            split.raise(watermark);
        }
    }

    /// Whether a record with this event time would raise the watermark of the split.
    #[must_use]
    pub fn would_raise(&self, split: SplitId, time: i64) -> bool {
        let bounded = self.splits.get(&split).and_then(|split| split.bounded.as_ref());
        bounded.is_some_and(|bounded| bounded.newest.is_none_or(|newest| time > newest))
    }

    /// Applies a watermark carried by the split's data. Returns whether it raised the split's watermark.
    pub fn set(&mut self, split: SplitId, watermark: Watermark) -> bool {
        let split = self.split(split);
        split.wake();
        split.raise(watermark)
    }

    /// The split reports itself as idle.
    pub fn set_idle(&mut self, split: SplitId) {
        self.split(split).idle = true;
    }

    /// Restores the watermark that the splits had reached before.
    pub fn resume(&mut self, reached: Watermark) {
        self.reached = self.reached.max(reached);
    }

    /// The watermark of a split, or [`Watermark::NONE`] if the split is unknown.
    #[must_use]
    pub fn of(&self, split: SplitId) -> Watermark {
        self.splits.get(&split).map_or(Watermark::NONE, |s| s.watermark)
    }

    /// Removes a split that has ended.
    pub fn finish(&mut self, split: SplitId) {
        self.splits.remove(&split);
    }

    /// Checks at `now`, measured from an origin of the caller's choice, which splits have gone idle.
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

    /// The time from `now` until the next split goes idle if nothing happens. Call it after [`look`](Self::look).
    #[must_use]
    pub fn wait(&self, now: Duration) -> Option<Duration> {
        self.splits.values().filter_map(|split| split.timer.as_ref()).chain(&self.none).filter_map(|timer| timer.wait(now)).min()
    }

    /// The reader was not polled, so its splits can't be judged. The time until the next check does not count against them.
    pub fn rest(&mut self) {
        self.splits.values_mut().filter_map(|s| s.timer.as_mut()).chain(&mut self.none).for_each(IdleTimer::rest);
    }

    /// The current combined watermark: the lowest of the active splits, or the highest if all are idle.
    pub fn combined(&mut self) -> Combined {
        let active = self.splits.values().filter(|s| !s.idle).map(|s| s.watermark).min();
        let idle = active.is_none() && (self.none_idle || !self.splits.is_empty());
        let watermark = active.or_else(|| self.splits.values().map(|s| s.watermark).max());
        self.reached = self.reached.max(watermark.unwrap_or(Watermark::NONE));
        Combined { watermark: self.reached, idle }
    }
}

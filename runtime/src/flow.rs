//! Flow control: sources bound the data in flight by time, whatever fan-out lies behind them.
//!
//! Every record enters under a tick of the job's [`TickClock`]. The oldest tick that the sinks have not yet finished tells for how long
//! data has been in flight. While that is too long, the clock stands still and sources pause. A [`Pacer`] also limits what each source may
//! have in flight, so that a sink that was fast isn't buried in one tick when it turns slow.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// The length of a tick.
pub const TICK: Duration = Duration::from_millis(20);

/// The number of ticks that may be in flight before sources pause.
pub const MAX_TICKS_IN_FLIGHT: u32 = 5;

/// A job's coarse clock, shared by its workers. It never goes back.
#[derive(Debug)]
pub struct TickClock {
    started: Instant,
    tick: AtomicU32,
    stepped_at: AtomicU64,
}

impl Default for TickClock {
    fn default() -> Self {
        Self { started: Instant::now(), tick: AtomicU32::new(0), stepped_at: AtomicU64::new(0) }
    }
}

impl TickClock {
    /// The current tick, after stepping by one if a tick's time has passed and fewer than the allowed number of ticks are in flight since
    /// `oldest`.
    pub fn step(&self, oldest: u32) -> u32 {
        let now = self.elapsed();
        let tick = self.tick.load(Relaxed);
        let due = self.stepped_at.load(Relaxed) + TICK.as_micros() as u64;
        if now.as_micros() as u64 >= due && tick.saturating_sub(oldest) < MAX_TICKS_IN_FLIGHT {
            // If several workers try at once, one steps.
            if self.tick.compare_exchange(tick, tick.saturating_add(1), Relaxed, Relaxed).is_ok() {
                self.stepped_at.store(now.as_micros() as u64, Relaxed);
            }
        }
        self.tick.load(Relaxed)
    }

    /// The current tick.
    #[must_use]
    pub fn tick(&self) -> u32 {
        self.tick.load(Relaxed)
    }

    /// The time since the job started.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}

/// How many records one source instance may have in flight: a window, as in TCP. It doubles each time a full window has left within two
/// ticks, until the first cut. From then on it grows by an eighth and shrinks by a quarter, once per round trip, and so settles at what the
/// sinks take in about three ticks.
#[derive(Debug)]
pub struct Pacer {
    window: usize,
    /// What was emitted under each tick still in flight.
    emitted: VecDeque<(u32, usize)>,
    in_flight: usize,
    cut: bool,
    full: bool,
    /// Whether the clock has stood still since. Ticks don't measure time then.
    stalled: bool,
    /// The window stays as it is until what was emitted by this tick has left.
    judged_at: Option<u32>,
}

impl Pacer {
    const LEAST: usize = 1_024;
    const MOST: usize = 1 << 22;
    const FIRST: usize = 1 << 14;
}

impl Default for Pacer {
    fn default() -> Self {
        Self { window: Self::FIRST, emitted: VecDeque::new(), in_flight: 0, cut: false, full: false, stalled: false, judged_at: None }
    }
}

impl Pacer {
    /// How many records may be emitted in `tick` when data that entered in tick `oldest` is still in flight. Zero means pause.
    pub fn allowance(&mut self, tick: u32, oldest: u32) -> usize {
        while let Some((_, left)) = self.emitted.pop_front_if(|(t, _)| *t < oldest) {
            self.in_flight -= left;
        }
        let ticks = tick.saturating_sub(oldest);
        self.stalled |= ticks >= MAX_TICKS_IN_FLIGHT;
        if self.judged_at.is_some_and(|judged| oldest > judged) {
            if self.stalled || ticks > MAX_TICKS_IN_FLIGHT / 2 + 1 {
                self.window = (self.window - self.window / 4).max(Self::LEAST);
                (self.cut, self.stalled, self.judged_at) = (true, false, Some(tick));
            } else if self.full && ticks <= MAX_TICKS_IN_FLIGHT / 2 {
                let more = if self.cut { self.window / 8 } else { self.window };
                self.window = (self.window + more).min(Self::MOST);
                (self.full, self.judged_at) = (false, Some(tick));
            }
        }
        // Half a window per tick: if all of it went out at once, it would all leave at once, and the sinks would run dry in between.
        let this_tick = self.emitted.back().filter(|(t, _)| *t == tick).map_or(0, |(_, records)| *records);
        let free = self.window.saturating_sub(self.in_flight).min((self.window / 2).saturating_sub(this_tick));
        self.full |= free == 0;
        if ticks >= MAX_TICKS_IN_FLIGHT { 0 } else { free }
    }

    /// Records that `records` records were emitted in `tick`.
    pub fn emitted(&mut self, tick: u32, records: usize) {
        self.judged_at.get_or_insert(tick);
        self.in_flight += records;
        match self.emitted.back_mut() {
            Some((last, sum)) if *last == tick => *sum += records,
            _ => self.emitted.push_back((tick, records)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Simulates a pipeline that finishes `rate` records per tick, fed by one source for `ticks` ticks. Returns the most records ever in
    /// flight, and the total.
    fn peak_in_flight(rate: usize, ticks: u32) -> (usize, usize) {
        let (mut pacer, mut queue, mut peak, mut total) = (Pacer::default(), VecDeque::new(), 0, 0);
        let mut tick = 0;
        for _ in 0..ticks {
            let oldest = queue.front().map_or(tick, |&(t, _)| t);
            if tick - oldest < MAX_TICKS_IN_FLIGHT {
                tick += 1;
            }
            loop {
                let oldest = queue.front().map_or(tick, |&(t, _)| t);
                let n = pacer.allowance(tick, oldest).min(1_024);
                if n == 0 {
                    break;
                }
                pacer.emitted(tick, n);
                queue.push_back((tick, n));
            }
            peak = peak.max(queue.iter().map(|&(_, n)| n).sum());
            let mut done = rate;
            while let Some((_, n)) = queue.front_mut() {
                let step = done.min(*n);
                *n -= step;
                done -= step;
                total += step;
                if *n > 0 {
                    break;
                }
                queue.pop_front();
            }
        }
        (peak, total)
    }

    #[test]
    fn a_slow_sink_bounds_what_is_in_flight_and_a_fast_one_is_kept_busy() {
        // 20 records per tick: one per millisecond.
        let (peak, _) = peak_in_flight(20, 2_000);
        assert!(peak <= Pacer::FIRST + 1_024, "{peak}");
        // 200,000 per tick: ten million per second. Of 1,000 ticks, all but the ramp are full.
        let (peak, total) = peak_in_flight(200_000, 1_000);
        assert!(total > 970 * 200_000, "{total}");
        assert!(peak < 6 * 200_000, "{peak}");
    }

    #[test]
    fn the_clock_stands_still_while_too_much_is_in_flight() {
        let clock = TickClock::default();
        let start = Instant::now();
        while start.elapsed() < TICK * (MAX_TICKS_IN_FLIGHT + 4) {
            assert!(clock.step(0) <= MAX_TICKS_IN_FLIGHT);
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(clock.step(0), MAX_TICKS_IN_FLIGHT);
    }
}

//! Where the sources of a process tell each other how far their event time has advanced.
//!
//! An idle source can't withdraw from the watermark of a dataflow, because its capability counts as long as it is held. It follows the
//! active sources instead. It never moves to the end of time, because it may wake. The same board tells a source that it is too far ahead.

use std::collections::VecDeque;
use std::sync::atomic::{
    AtomicBool, AtomicI64, AtomicU8,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tidegate_checkpoints::Epoch;

use crate::bell::Bell;
use crate::time::Watermark;

/// Whether a source instance takes part in event time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// It brings records.
    Active,
    /// It has been silent for longer than its `idle_after`.
    Idle,
    /// It has read everything, and holds event time where its source has got to until the job stops. Don't wait for it.
    ReadOut,
    /// It has ended.
    Ended,
}

/// What an instance of a source posts on the board.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Post {
    /// Its watermark and its status.
    At(Watermark, Status),
    /// It has opened its reader. If it is vacant, there is nothing for it to read.
    Opened {
        /// Whether it is vacant.
        vacant: bool,
    },
    /// Whether it has more to read at once.
    Backlog(bool),
    /// It is about to inject the barrier behind this epoch, and its watermark is this.
    Barrier(Epoch, Watermark),
    /// Something downstream of the source waits for this event time.
    Waits(Watermark),
}

/// One entry on the board.
#[derive(Debug)]
struct Slot {
    group: usize,
    watermark: AtomicI64,
    status: AtomicU8,
    /// Whether it has more to read at once.
    backlog: AtomicBool,
    opening: AtomicU8,
    /// The latest event time that an operator downstream waits for.
    waits: AtomicI64,
    /// The last epochs behind which it has injected a barrier, with its watermark at each.
    barriers: Mutex<VecDeque<(Epoch, Watermark)>>,
}

/// What is known about a reader before anything is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opening {
    /// It is not open yet.
    Awaited,
    /// It has nothing to read.
    Vacant,
    /// It may have something to read.
    Open,
}

/// How many barriers of a source are remembered. Checkpoints are taken one at a time, so operators are rarely even two behind.
const BARRIERS: usize = 8;

impl Slot {
    /// Returns whether this changes anything that others watch.
    fn put(&self, post: Post) -> bool {
        match post {
            Post::At(watermark, status) => {
                let changed = self.status.load(Relaxed) != status as u8;
                // The watermark of an instance that has ended no longer counts, and must not be seen before its status is.
                let moved = status != Status::Ended && self.watermark.swap(watermark.0, Relaxed) != watermark.0;
                self.status.store(status as u8, Release);
                changed || moved
            }
            Post::Opened { vacant } => {
                self.opening.store(if vacant { Opening::Vacant } else { Opening::Open } as u8, Release);
                true
            }
            Post::Backlog(backlog) => self.backlog.swap(backlog, Relaxed) != backlog,
            Post::Barrier(epoch, watermark) => {
                let mut barriers = self.barriers();
                barriers.push_back((epoch, watermark));
                if barriers.len() > BARRIERS {
                    barriers.pop_front();
                }
                false
            }
            Post::Waits(until) => {
                let until = until.0.min(Watermark::END.0 - 1);
                self.waits.fetch_max(until, Relaxed) < until
            }
        }
    }

    fn barriers(&self) -> MutexGuard<'_, VecDeque<(Epoch, Watermark)>> {
        self.barriers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watermark(&self) -> Watermark {
        Watermark(self.watermark.load(Relaxed))
    }

    fn status(&self) -> Status {
        match self.status.load(Acquire) {
            0 => Status::Active,
            1 => Status::Idle,
            2 => Status::ReadOut,
            _ => Status::Ended,
        }
    }

    fn opening(&self) -> Opening {
        match self.opening.load(Acquire) {
            0 => Opening::Awaited,
            1 => Opening::Vacant,
            _ => Opening::Open,
        }
    }
}

/// The watermarks of all source instances of a job. Sources whose records never meet are in different groups and ignore each other.
#[derive(Debug, Default)]
pub struct Board {
    workers: usize,
    slots: Vec<Slot>,
    /// Rings when something on the board changes.
    pub(crate) bell: Bell,
}

impl Board {
    /// A board for sources with these groups, each on `workers` workers.
    #[must_use]
    pub fn new(groups: &[usize], workers: usize) -> Self {
        let slot = |group: &usize| Slot {
            group: *group,
            watermark: AtomicI64::new(i64::MIN),
            status: AtomicU8::new(0),
            backlog: AtomicBool::new(false),
            opening: AtomicU8::new(Opening::Awaited as u8),
            waits: AtomicI64::new(Watermark::NONE.0),
            barriers: Mutex::default(),
        };
        let slots = groups.iter().flat_map(|group| (0..workers).map(move |_| slot(group))).collect();
        Self { workers, slots, bell: Bell::default() }
    }

    /// Puts up what instance `worker` of `source` posts. Rings the bell if that changes anything that others watch.
    pub fn put(&self, source: usize, worker: usize, post: Post) {
        if self.slots.get(source * self.workers + worker).is_some_and(|slot| slot.put(post)) {
            self.bell.ring();
        }
    }

    /// Whether all instances of `source` have opened their readers.
    #[must_use]
    pub fn opened(&self, source: usize) -> bool {
        self.instances(source).all(|slot| slot.opening() != Opening::Awaited)
    }

    /// Whether at most one instance of `source` has something to read. Ask once all have opened their readers.
    #[must_use]
    pub fn reads_alone(&self, source: usize) -> bool {
        self.instances(source).filter(|slot| slot.opening() != Opening::Vacant).count() <= 1
    }

    /// The lowest watermark that an instance of these sources had when it injected the barrier behind `epoch`, or `None` if none has. If a
    /// barrier is no longer remembered, the next one stands in for it.
    #[must_use]
    pub fn barrier(&self, sources: &[usize], epoch: Epoch) -> Option<Watermark> {
        let slots = sources.iter().flat_map(|source| self.instances(*source));
        let of = |slot: &Slot| slot.barriers().iter().find(|(passed, _)| *passed >= epoch).map(|(_, watermark)| *watermark);
        slots.filter_map(of).min()
    }

    fn instances(&self, source: usize) -> impl Iterator<Item = &Slot> {
        self.slots.iter().skip(source * self.workers).take(self.workers)
    }

    fn group_of(&self, source: usize) -> impl Iterator<Item = &Slot> {
        let group = self.slots.get(source * self.workers).map(|s| s.group);
        self.slots.iter().filter(move |s| Some(s.group) == group)
    }

    /// How far an idle instance of `source` may advance. While instances of its group are active, that is the lowest watermark of those. If
    /// all are idle, it is their highest watermark, because nothing that came is ahead of it. If the instance has been `left` alone for
    /// long, and others have brought records and ended, nobody will bring what operators wait for, so everything they wait for is due. It
    /// is never the end of time, because idle instances may wake.
    #[must_use]
    pub fn follow(&self, source: usize, left: bool) -> Watermark {
        self.least_active(source).unwrap_or_else(|| {
            let idle = self.group_of(source).filter(|s| s.status() == Status::Idle);
            let idle = idle.map(Slot::watermark).max().unwrap_or(Watermark::NONE);
            let ended = || self.group_of(source).any(|s| s.status() == Status::Ended && s.opening() == Opening::Open);
            let waits = self.group_of(source).map(|s| Watermark(s.waits.load(Relaxed))).max().filter(|_| left && ended());
            idle.max(waits.unwrap_or(Watermark::NONE))
        })
    }

    /// The event time once all instances of `source` have read everything: their highest watermark, as if one instance had read it all.
    /// `None` while some have more to read.
    #[must_use]
    pub fn read_out(&self, source: usize) -> Option<Watermark> {
        let all = self.instances(source).all(|s| s.status() == Status::ReadOut);
        if all { self.instances(source).map(Slot::watermark).max() } else { None }
    }

    /// The lowest watermark of all sources that have not ended.
    #[must_use]
    pub fn slowest(&self) -> Option<Watermark> {
        self.slots.iter().filter(|s| s.status() != Status::Ended).map(Slot::watermark).min()
    }

    /// The lowest watermark of the active instances in the group of `source`.
    #[must_use]
    pub fn least_active(&self, source: usize) -> Option<Watermark> {
        self.group_of(source).filter(|s| s.status() == Status::Active).map(Slot::watermark).min()
    }

    /// The lowest watermark of those active instances that have one and have more to read at once. Waiting for them makes sense.
    #[must_use]
    pub fn least_busy(&self, source: usize) -> Option<Watermark> {
        let busy = self.group_of(source).filter(|s| s.status() == Status::Active && s.backlog.load(Relaxed));
        busy.map(Slot::watermark).filter(|w| *w != Watermark::NONE).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_barrier_is_known_of_the_sources_that_have_put_it_in() {
        let board = Board::new(&[0, 0], 2);
        board.put(0, 0, Post::Barrier(Epoch(4), Watermark(20)));
        assert_eq!(board.barrier(&[0], Epoch(5)), None);
        assert_eq!(board.barrier(&[1], Epoch(4)), None, "another source");
        board.put(0, 1, Post::Barrier(Epoch(4), Watermark(10)));
        board.put(1, 0, Post::Barrier(Epoch(4), Watermark(5)));
        assert_eq!(board.barrier(&[0], Epoch(4)), Some(Watermark(10)));
        assert_eq!(board.barrier(&[0, 1], Epoch(4)), Some(Watermark(5)));
        (5..40).for_each(|epoch| board.put(0, 1, Post::Barrier(Epoch(epoch), Watermark(i64::from(epoch)))));
        assert_eq!(board.barrier(&[0], Epoch(39)), Some(Watermark(39)));
        assert_eq!(board.barrier(&[0], Epoch(6)), Some(Watermark(32)), "the oldest that is remembered");
    }

    #[test]
    fn an_idle_source_that_is_left_alone_goes_as_far_as_something_waits() {
        let board = Board::new(&[0, 0, 1], 2);
        for (source, worker, vacant) in [(0, 0, false), (0, 1, true), (1, 0, false), (1, 1, true)] {
            board.put(source, worker, Post::Opened { vacant });
        }
        assert!(board.opened(0) && board.reads_alone(0) && !board.opened(2));
        for (source, until) in [(0, 90), (1, 90), (1, 70)] {
            board.put(source, 0, Post::Waits(Watermark(until)));
        }
        board.put(0, 0, Post::At(Watermark(10), Status::Idle));
        board.put(0, 1, Post::At(Watermark::NONE, Status::Ended));
        board.put(1, 0, Post::At(Watermark(30), Status::Active));
        board.put(1, 1, Post::At(Watermark::NONE, Status::Ended));
        assert_eq!(board.follow(0, true), Watermark(30), "it is not alone");
        board.put(1, 0, Post::At(Watermark(40), Status::Idle));
        assert_eq!(board.follow(0, true), Watermark(40), "those that had nothing to read have not ended");
        board.put(1, 0, Post::At(Watermark(40), Status::Ended));
        assert_eq!((board.follow(0, false), board.follow(0, true)), (Watermark(10), Watermark(90)));
        board.put(0, 0, Post::Waits(Watermark::END));
        assert!(board.follow(0, true) < Watermark::END, "it may wake");
    }

    #[test]
    fn only_those_are_waited_for_that_have_more_to_read() {
        let board = Board::new(&[0, 0, 1], 2);
        let post = |source, worker, at, status, backlog| {
            board.put(source, worker, Post::At(Watermark(at), status));
            board.put(source, worker, Post::Backlog(backlog));
        };
        assert_eq!(board.least_busy(0), None, "nobody has read anything");
        post(0, 0, 90, Status::Active, true);
        post(0, 1, 10, Status::Active, false);
        post(1, 0, 20, Status::Idle, true);
        post(1, 1, 30, Status::Ended, true);
        post(2, 0, 5, Status::Active, true);
        assert_eq!(board.least_busy(0), Some(Watermark(90)));
        post(0, 1, 10, Status::Active, true);
        assert_eq!(board.least_busy(1), Some(Watermark(10)));
        post(0, 1, Watermark::NONE.0, Status::Active, true);
        assert_eq!(board.least_busy(0), Some(Watermark(90)), "who has no event time yet may never have one");
    }
}

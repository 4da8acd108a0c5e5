//! Windows at fixed positions, and how they are cut into slices.

use std::ops::Range;

/// Windows `[k * every + offset, k * every + offset + size)` for all integers k.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Aligned {
    pub(super) size: i64,
    pub(super) every: i64,
    pub(super) offset: i64,
}

impl Aligned {
    pub(super) fn new(size: i64, every: i64, offset: i64) -> Self {
        Self { size, every, offset }
    }

    /// Whether the windows adjoin without gaps or overlaps.
    pub(super) fn tumbling(self) -> bool {
        self.size == self.every
    }

    /// Whether the windows overlap.
    pub(super) fn overlapping(self) -> bool {
        self.size > self.every
    }

    /// The start of the last window that begins at or before `time`.
    fn last_start(self, time: i64) -> i64 {
        floor(time, self.every, self.offset)
    }

    /// The end of the last window that contains `time`. `None` if `time` lies in a gap between windows.
    #[inline]
    pub(super) fn last_end(self, time: i64) -> Option<i64> {
        let end = self.last_start(time).saturating_add(self.size);
        (end > time).then_some(end)
    }

    /// The ends of all windows that contain `time`, the last first.
    pub(super) fn ends(self, time: i64) -> impl Iterator<Item = i64> {
        std::iter::successors(self.last_end(time), move |end| end.checked_sub(self.every)).take_while(move |end| *end > time)
    }

    /// The earliest moment in a window that still accepts records at `watermark`, if windows accept them for `lateness` after their end.
    /// `None` if all do.
    pub(super) fn first_open(self, watermark: i64, lateness: i64) -> Option<i64> {
        let start = watermark.checked_sub(lateness)?.checked_sub(self.size)?.checked_add(1)?;
        Some(self.last_start(start).saturating_add(self.every))
    }

    /// The slice that contains `time`. Windows that don't overlap are slices themselves, and so are the gaps between them.
    pub(super) fn slice_of(self, time: i64) -> Slice {
        let last_end = self.last_end(time);
        if self.overlapping() {
            let length = gcd(self.size.unsigned_abs(), self.every.unsigned_abs()) as i64;
            let start = floor(time, length, self.offset);
            return Slice { start, end: start.saturating_add(length), last_end };
        }
        let start = self.last_start(time);
        let end = start.saturating_add(self.size);
        if last_end.is_some() {
            Slice { start, end, last_end }
        } else {
            Slice { start: end, end: start.saturating_add(self.every), last_end }
        }
    }
}

/// A slice of time in which no window begins or ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slice {
    pub(super) start: i64,
    end: i64,
    /// The end of the last window that contains the slice, if any does.
    pub(super) last_end: Option<i64>,
}

impl Slice {
    /// The times that lie in it.
    pub(super) fn times(self) -> Range<i64> {
        self.start..self.end
    }

    #[inline]
    pub(super) fn holds(self, time: i64) -> bool {
        self.start <= time && time < self.end
    }
}

/// The greatest `k * step + offset` that is at most `time`.
#[inline]
fn floor(time: i64, step: i64, offset: i64) -> i64 {
    let over = time.wrapping_sub(offset).rem_euclid(step);
    time.saturating_sub(over)
}

pub(super) fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

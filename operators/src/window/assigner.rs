//! Which windows a moment belongs to, and how aligned windows are cut into slices.

use std::time::Duration;

/// A window definition; valid by construction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window(Kind);

/// The two ways windows come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Windows at fixed places, the same for every key.
    Aligned(Aligned),
    /// Each record opens `[time, time + gap)`; windows of a key that meet or touch are one.
    Session {
        /// Milliseconds.
        gap: i64,
    },
}

/// Why a window can't be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidWindow {
    /// Sizes, slides and gaps are at least a millisecond, and at most about 292 million years.
    Size,
    /// An offset is shorter than what it shifts.
    Offset,
    /// A moment may lie in ten million windows at most.
    TooMany,
}

impl std::fmt::Display for InvalidWindow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Size => "a window's size, slide or gap is at least a millisecond",
            Self::Offset => "a window's offset must be shorter than its size (of sliding windows, its slide)",
            Self::TooMany => "a record would lie in more than 10,000,000 windows: choose a larger slide",
        })
    }
}

impl std::error::Error for InvalidWindow {}

impl Window {
    /// Windows of `size`, one after the other, aligned to 1970 plus `offset` milliseconds (which may be negative).
    ///
    /// # Errors
    /// The size is under a millisecond, or the offset not shorter than it.
    pub fn tumbling(size: Duration, offset: i64) -> Result<Self, InvalidWindow> {
        Self::sliding(size, size, offset)
    }

    /// Windows of `size`, one beginning every `every`, aligned to 1970 plus `offset` milliseconds.
    ///
    /// # Errors
    /// A length is under a millisecond, the offset not shorter than the slide, or a moment would lie in too many windows.
    pub fn sliding(size: Duration, every: Duration, offset: i64) -> Result<Self, InvalidWindow> {
        const MOST: i64 = 10_000_000;
        let (size, every) = (length(size)?, length(every)?);
        if offset.checked_abs().is_none_or(|o| o >= every) {
            return Err(InvalidWindow::Offset);
        }
        if size / every > MOST {
            return Err(InvalidWindow::TooMany);
        }
        Ok(Self(Kind::Aligned(Aligned { size, every, offset })))
    }

    /// Windows that end when a key has been silent for `gap`.
    ///
    /// # Errors
    /// The gap is under a millisecond.
    pub fn session(gap: Duration) -> Result<Self, InvalidWindow> {
        Ok(Self(Kind::Session { gap: length(gap)? }))
    }

    pub(super) fn kind(self) -> Kind {
        self.0
    }
}

fn length(duration: Duration) -> Result<i64, InvalidWindow> {
    i64::try_from(duration.as_millis()).ok().filter(|ms| *ms > 0).ok_or(InvalidWindow::Size)
}

impl std::fmt::Display for Window {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Kind::Aligned(a) if a.size == a.every => write!(f, "tumbling {}", words(a.size)),
            Kind::Aligned(a) => write!(f, "sliding {} every {}", words(a.size), words(a.every)),
            Kind::Session { gap } => write!(f, "session {}", words(gap)),
        }
    }
}

/// Milliseconds in the largest unit that divides them.
fn words(ms: i64) -> String {
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
    units.iter().find(|(unit, _)| ms % unit == 0).map_or_else(|| format!("{ms}ms"), |(unit, name)| format!("{}{name}", ms / unit))
}

/// Windows `[k * every + offset, k * every + offset + size)` for all integers k.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Aligned {
    pub(super) size: i64,
    every: i64,
    offset: i64,
}

impl Aligned {
    /// Do the windows lie side by side?
    pub(super) fn tumbling(self) -> bool {
        self.size == self.every
    }

    /// The start of the last window that begins at or before `time`.
    fn last_start(self, time: i64) -> i64 {
        floor(time, self.every, self.offset)
    }

    /// The end of the last window that holds `time`, if any does: with gaps between windows, none may.
    #[inline]
    pub(super) fn last_end(self, time: i64) -> Option<i64> {
        let end = self.last_start(time).saturating_add(self.size);
        (end > time).then_some(end)
    }

    /// The ends of all windows that hold `time`, the last first.
    pub(super) fn ends(self, time: i64) -> impl Iterator<Item = i64> {
        std::iter::successors(self.last_end(time), move |end| end.checked_sub(self.every)).take_while(move |end| *end > time)
    }

    /// The earliest moment that lies in a window which takes records after `watermark`, if each does for `lateness` after its end. `None`: all do.
    pub(super) fn first_open(self, watermark: i64, lateness: i64) -> Option<i64> {
        let start = watermark.checked_sub(lateness)?.checked_sub(self.size)?.checked_add(1)?;
        Some(self.last_start(start).saturating_add(self.every))
    }

    /// The slice that holds `time`.
    pub(super) fn slice_of(self, time: i64) -> Slice {
        let length = if self.size == self.every { self.size } else { gcd(self.size, self.every) };
        let start = floor(time, length, self.offset);
        Slice { start, end: start.saturating_add(length), last_end: self.last_end(time) }
    }
}

/// A longest piece of time that no window begins or ends in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slice {
    pub(super) start: i64,
    end: i64,
    /// The end of the last window that holds it, if any does.
    pub(super) last_end: Option<i64>,
}

impl Slice {
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

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

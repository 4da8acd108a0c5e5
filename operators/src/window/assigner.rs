//! Which windows a record belongs to.

use std::time::Duration;

use tidegate_runtime::{Error, Record};

use super::Bounds;
use super::aligned::Aligned;

/// Puts records into windows.
pub trait Assigner<T>: 'static {
    /// Adds the windows of a record to `windows`; `time` is its event time, or what the wall clock shows where that is the windows' clock. Returns whether
    /// the record counts: one that an expression failed on is in no window, and not late either.
    ///
    /// # Errors
    /// The job fails with this cause.
    fn assign(&mut self, value: &T, time: i64, windows: &mut Vec<Bounds>) -> Result<bool, Error>;

    /// Which windows these are, with their sizes. It is stored and compared: what other windows hold is not theirs.
    fn form(&self) -> String;

    /// In the words of the graph.
    fn describe(&self) -> String {
        self.form()
    }

    /// Do windows of a key that meet or touch become one?
    fn merges(&self) -> bool {
        false
    }

    /// Have its windows an end? Those that have are late when time has passed it.
    fn ends(&self) -> bool {
        true
    }

    /// The window definition that this is, if it is no more than one.
    fn plain(&self) -> Option<Window> {
        None
    }
}

/// A window definition; valid by construction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window(Kind);

/// The ways windows come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Windows at fixed places, the same for every key.
    Aligned(Aligned),
    /// Each record opens `[time, time + gap)`; windows of a key that meet or touch are one.
    Session {
        /// Milliseconds.
        gap: i64,
    },
    /// Windows of `max` milliseconds side by side, each preceded by the windows of the same start that are `step`, 2 `step`, ... long.
    Cumulative {
        /// Of the last window of each start; a multiple of the steps.
        max: Aligned,
        /// The steps, as windows.
        step: Aligned,
    },
    /// One window over everything.
    Global,
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
    /// A cumulative window grows in equal steps.
    Step,
}

impl std::fmt::Display for InvalidWindow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Size => "a window's size, slide or gap is at least a millisecond",
            Self::Offset => "a window's offset must be shorter than its size (of sliding windows, its slide)",
            Self::TooMany => "a record would lie in more than 10,000,000 windows: choose a larger slide or step",
            Self::Step => "a cumulative window's size is a multiple of its step",
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
        let (size, every) = (length(size)?, length(every)?);
        if offset.checked_abs().is_none_or(|o| o >= every) {
            return Err(InvalidWindow::Offset);
        }
        if size / every > MOST {
            return Err(InvalidWindow::TooMany);
        }
        Ok(Self(Kind::Aligned(Aligned::new(size, every, offset))))
    }

    /// Windows that end when a key has been silent for `gap`.
    ///
    /// # Errors
    /// The gap is under a millisecond.
    pub fn session(gap: Duration) -> Result<Self, InvalidWindow> {
        Ok(Self(Kind::Session { gap: length(gap)? }))
    }

    /// Windows that begin together every `size`, aligned to 1970 plus `offset` milliseconds, and end one `step` after the other: partial results
    /// of a day every hour.
    ///
    /// # Errors
    /// A length is under a millisecond, the offset not shorter than the step, or the size no multiple of the step.
    pub fn cumulative(size: Duration, step: Duration, offset: i64) -> Result<Self, InvalidWindow> {
        let (size, step) = (length(size)?, length(step)?);
        if size % step != 0 {
            return Err(InvalidWindow::Step);
        }
        if offset.checked_abs().is_none_or(|o| o >= step) {
            return Err(InvalidWindow::Offset);
        }
        if size / step > MOST {
            return Err(InvalidWindow::TooMany);
        }
        Ok(Self(Kind::Cumulative { max: Aligned::new(size, size, offset), step: Aligned::new(step, step, offset) }))
    }

    /// One window over everything. It fires when its trigger says so, by itself never.
    #[must_use]
    pub fn global() -> Self {
        Self(Kind::Global)
    }

    pub(super) fn kind(self) -> Kind {
        self.0
    }
}

/// The windows a moment may lie in.
const MOST: i64 = 10_000_000;

pub(super) fn length(duration: Duration) -> Result<i64, InvalidWindow> {
    i64::try_from(duration.as_millis()).ok().filter(|ms| *ms > 0).ok_or(InvalidWindow::Size)
}

/// The form of the windows, which is stored: these words stay.
impl std::fmt::Display for Window {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Kind::Aligned(a) if a.tumbling() => write!(f, "tumbling {}", words(a.size))?,
            Kind::Aligned(a) => write!(f, "sliding {} every {}", words(a.size), words(a.every))?,
            Kind::Session { gap } => write!(f, "session {}", words(gap))?,
            Kind::Cumulative { max, step } => write!(f, "cumulative {} by {}", words(max.size), words(step.size))?,
            Kind::Global => f.write_str("global")?,
        }
        match self.0 {
            Kind::Aligned(Aligned { offset, .. }) | Kind::Cumulative { step: Aligned { offset, .. }, .. } if offset != 0 => {
                write!(f, " offset {}", words(offset))
            }
            _ => Ok(()),
        }
    }
}

/// Milliseconds in the largest unit that divides them. Forms have it, which are stored: it stays.
pub(super) fn words(ms: i64) -> String {
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
    units.iter().find(|(unit, _)| ms % unit == 0).map_or_else(|| format!("{ms}ms"), |(unit, name)| format!("{}{name}", ms / unit))
}

impl<T> Assigner<T> for Window {
    fn assign(&mut self, _: &T, time: i64, windows: &mut Vec<Bounds>) -> Result<bool, Error> {
        if !matches!(self.0, Kind::Global) {
            timed(time)?;
        }
        match self.0 {
            Kind::Aligned(all) => windows.extend(all.ends(time).map(|end| Bounds { start: end.saturating_sub(all.size), end })),
            Kind::Session { gap } => windows.push(Bounds { start: time, end: time.saturating_add(gap) }),
            Kind::Cumulative { max, step } => {
                let last = max.last_end(time).unwrap_or(i64::MAX);
                let start = last.saturating_sub(max.size);
                let ends = std::iter::successors(step.last_end(time), |end| end.checked_add(step.size));
                windows.extend(ends.take_while(|end| *end <= last).map(|end| Bounds { start, end }));
            }
            Kind::Global => windows.push(Bounds::GLOBAL),
        }
        Ok(true)
    }

    fn form(&self) -> String {
        self.to_string()
    }

    fn merges(&self) -> bool {
        matches!(self.0, Kind::Session { .. })
    }

    fn ends(&self) -> bool {
        !matches!(self.0, Kind::Global)
    }

    fn plain(&self) -> Option<Window> {
        Some(*self)
    }
}

/// Sessions whose gap depends on the record that begins or prolongs them.
pub struct DynamicSession<G>(G);

impl<G> DynamicSession<G> {
    /// Sessions that end when a key has been silent for the gap of its last record, in milliseconds. A gap of `None`: the record does not count.
    pub fn new(gap: G) -> Self {
        Self(gap)
    }
}

impl<T, G> Assigner<T> for DynamicSession<G>
where
    G: FnMut(&T) -> Result<Option<i64>, Error> + 'static,
{
    fn assign(&mut self, value: &T, time: i64, windows: &mut Vec<Bounds>) -> Result<bool, Error> {
        timed(time)?;
        let Some(gap) = (self.0)(value)? else { return Ok(false) };
        if gap <= 0 {
            return Err(Error::user(format!("the gap of a session is above zero, and a record's is {gap} ms")));
        }
        windows.push(Bounds { start: time, end: time.saturating_add(gap) });
        Ok(true)
    }

    fn form(&self) -> String {
        "session by record".to_owned()
    }

    fn merges(&self) -> bool {
        true
    }
}

/// Refuses a record without an event time: it is in no window, and dropping it would hide a mistake in the job.
pub(super) fn timed(time: i64) -> Result<(), Error> {
    if time == Record::UNTIMED {
        return Err(Error::user("a record without an event time came to an event-time window: give its source an event time"));
    }
    Ok(())
}

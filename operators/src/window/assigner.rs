//! Window assigners: which windows a record belongs to.

use std::time::Duration;

use tidegate_runtime::{Error, Record};

use super::Bounds;
use super::aligned::Aligned;

/// Assigns records to windows.
pub trait Assigner<T>: 'static {
    /// Adds the windows of a record to `windows`. `time` is its event time, or the time of the wall clock for processing-time windows.
    /// Returns whether the record counts: a record on which an expression failed is in no window, and is not late either.
    ///
    /// # Errors
    /// An error here fails the job.
    fn assign(&mut self, value: &T, time: i64, windows: &mut Vec<Bounds>) -> Result<bool, Error>;

    /// Identifies the windows, with their sizes. The form is stored and compared: state of windows with another form is not restored into
    /// these.
    fn form(&self) -> String;

    /// The description shown in the job graph.
    fn describe(&self) -> String {
        self.form()
    }

    /// Whether windows of a key that overlap or touch merge into one.
    fn merges(&self) -> bool {
        false
    }

    /// Whether the windows have an end. If so, they accept no more records once time has passed it, and the lateness.
    fn ends(&self) -> bool {
        true
    }

    /// The window definition, if the assigner is just that.
    fn plain(&self) -> Option<Window> {
        None
    }
}

/// A window definition; valid by construction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window(Kind);

/// The kinds of windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Windows at fixed positions, the same for every key.
    Aligned(Aligned),
    /// Each record opens `[time, time + gap)`. Windows of a key that overlap or touch merge.
    Session {
        /// Milliseconds.
        gap: i64,
    },
    /// Adjoining windows of `max` milliseconds, each preceded by windows with the same start that are `step`, 2 `step`, ... long.
    Cumulative {
        /// The last window of each start; its size is a multiple of the step.
        max: Aligned,
        /// The steps, as windows.
        step: Aligned,
    },
    /// One window over everything.
    Global,
}

/// Why a window definition is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidWindow {
    /// A size, slide or gap is under a millisecond, or above about 292 million years.
    Size,
    /// An offset is not shorter than the size, slide or step that it shifts.
    Offset,
    /// A moment would lie in more than ten million windows.
    TooMany,
    /// The size of a cumulative window is not a multiple of its step.
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
    /// Adjoining windows of `size`, aligned to 1970 plus `offset` milliseconds (which may be negative).
    ///
    /// # Errors
    /// The size is under a millisecond, or the offset is not shorter than the size.
    pub fn tumbling(size: Duration, offset: i64) -> Result<Self, InvalidWindow> {
        Self::sliding(size, size, offset)
    }

    /// Windows of `size`, one beginning every `every`, aligned to 1970 plus `offset` milliseconds.
    ///
    /// # Errors
    /// A length is under a millisecond, the offset is not shorter than the slide, or a moment would lie in too many windows.
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

    /// Windows that begin together every `size`, aligned to 1970 plus `offset` milliseconds, and end one `step` after the other. For
    /// example, the partial results of a day, every hour.
    ///
    /// # Errors
    /// A length is under a millisecond, the offset is not shorter than the step, the size is not a multiple of the step, or a moment would
    /// lie in too many windows.
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

    /// One window over everything. It fires only when its trigger says so.
    #[must_use]
    pub fn global() -> Self {
        Self(Kind::Global)
    }

    pub(super) fn kind(self) -> Kind {
        self.0
    }
}

/// The maximum number of windows that a moment may lie in.
const MOST: i64 = 10_000_000;

pub(super) fn length(duration: Duration) -> Result<i64, InvalidWindow> {
    i64::try_from(duration.as_millis()).ok().filter(|ms| *ms > 0).ok_or(InvalidWindow::Size)
}

/// The form of the windows. It is stored, so these words must not change.
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

/// Formats milliseconds in the largest unit that divides them. Stored forms contain the result, so it must not change.
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
    /// Sessions that end when a key has been silent for the gap of its last record, in milliseconds. A record whose gap is `None` does not
    /// count.
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

/// Refuses a record without an event time. It belongs to no window, and dropping it would hide a mistake in the job.
pub(super) fn timed(time: i64) -> Result<(), Error> {
    if time == Record::UNTIMED {
        return Err(Error::user("a record without an event time came to an event-time window: give its source an event time"));
    }
    Ok(())
}

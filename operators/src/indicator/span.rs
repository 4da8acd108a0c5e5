//! Spans: which records an indicator is over, as seen from a moment.

use std::sync::Mutex;

use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan, Zoned};

/// Which records an indicator is over.
#[derive(Clone, Debug, PartialEq)]
pub enum Span {
    /// Those of the last `over` milliseconds: after `t - over`, up to `t`.
    Trailing {
        /// Milliseconds, above zero.
        over: i64,
        /// The far edge moves in steps of so many milliseconds: the slice that it lies in counts as a whole.
        every: Option<i64>,
    },
    /// Those of a period of the calendar.
    Calendar(Calendar),
    /// All. If nothing comes for `ttl` milliseconds, what came before is forgotten.
    Ever {
        /// Milliseconds, above zero.
        ttl: Option<i64>,
    },
    /// The newest `n`.
    Last {
        /// How many, above zero.
        n: u64,
        /// At most so many milliseconds ago.
        within: Option<i64>,
    },
}

/// A period of the calendar of a time zone: the one that a moment lies in, up to the moment, or a whole one before it.
#[derive(Debug)]
pub struct Calendar {
    unit: Unit,
    back: u32,
    zone: TimeZone,
    /// The last answer. Each worker has a calendar of its own, so nobody waits for it.
    last: Mutex<Answer>,
}

impl Clone for Calendar {
    fn clone(&self) -> Self {
        Self::new(self.unit, self.back, self.zone.clone())
    }
}

/// From, until (exclusive), and the answer: the last moment before the span, and the last in it.
type Answer = (i64, i64, (i64, i64));

impl PartialEq for Calendar {
    fn eq(&self, other: &Self) -> bool {
        (self.unit, self.back, &self.zone) == (other.unit, other.back, &other.zone)
    }
}

/// A unit of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// An hour of the wall clock.
    Hour,
    /// A day, of 23 to 25 hours where clocks change.
    Day,
    /// A week that starts on this day.
    Week(Weekday),
    /// A month.
    Month,
    /// A year.
    Year,
}

impl Unit {
    /// The longest such period, in milliseconds.
    fn longest(self) -> i64 {
        const HOUR: i64 = 3_600_000;
        match self {
            Self::Hour => 2 * HOUR,
            Self::Day => 49 * HOUR,
            Self::Week(_) => 8 * 24 * HOUR,
            Self::Month => 32 * 24 * HOUR,
            Self::Year => 367 * 24 * HOUR,
        }
    }

    /// The first instant of the period that `moment` lies in.
    fn start(self, moment: &Zoned) -> Result<Zoned, jiff::Error> {
        let date = moment.date();
        let first = match self {
            Self::Hour => {
                let time = moment.time();
                let into = SignedDuration::from_secs(i64::from(time.minute()) * 60 + i64::from(time.second()))
                    + SignedDuration::from_nanos(i64::from(time.subsec_nanosecond()));
                return moment.checked_sub(into);
            }
            Self::Day => date,
            Self::Week(starts) => date.checked_sub(i64::from(date.weekday().since(starts)).days())?,
            Self::Month => date.first_of_month(),
            Self::Year => date.first_of_year(),
        };
        first.to_zoned(moment.time_zone().clone())?.start_of_day()
    }

    /// The first instant of the period after the one that starts at `start`.
    fn next(self, start: &Zoned) -> Result<Zoned, jiff::Error> {
        let date = start.date();
        let next = match self {
            Self::Hour => return self.start(&start.checked_add(1.hour())?),
            Self::Day => date.tomorrow()?,
            Self::Week(_) => date.checked_add(7.days())?,
            Self::Month => date.first_of_month().checked_add(1.month())?,
            Self::Year => date.first_of_year().checked_add(1.year())?,
        };
        next.to_zoned(start.time_zone().clone())?.start_of_day()
    }
}

impl Calendar {
    /// The period that is `back` whole ones before the one that a moment lies in; with zero, that one, up to the moment.
    #[must_use]
    pub fn new(unit: Unit, back: u32, zone: TimeZone) -> Self {
        Self { unit, back, zone, last: Mutex::new((0, 0, (0, 0))) }
    }

    /// The last moment before the period, and the last one in it.
    fn bounds(&self, moment: i64) -> (i64, i64) {
        let Ok(mut last) = self.last.lock() else { return (moment, moment) };
        if moment < last.0 || moment >= last.1 {
            // Beyond the years -9999 to 9999 there is no calendar.
            *last = self.look(moment).unwrap_or((moment, moment, (moment, moment)));
        }
        let bounds = last.2;
        if self.back == 0 { (bounds.0, moment) } else { bounds }
    }

    #[cold]
    fn look(&self, moment: i64) -> Result<Answer, jiff::Error> {
        let at = Timestamp::from_millisecond(moment)?.to_zoned(self.zone.clone());
        let current = self.unit.start(&at)?;
        let until = self.unit.next(&current)?.timestamp().as_millisecond();
        let (mut start, mut end) = (current.clone(), until);
        for _ in 0..self.back {
            end = start.timestamp().as_millisecond();
            start = self.unit.start(&start.checked_sub(1.millisecond())?)?;
        }
        Ok((current.timestamp().as_millisecond(), until, (start.timestamp().as_millisecond() - 1, end - 1)))
    }
}

/// The part of a history that a span covers: after the first of these moments, up to the second.
pub(super) type Bounds = (i64, i64);

impl Span {
    /// The last moment before the span, and its last moment, as seen from `moment`. The number of records is not considered.
    #[must_use]
    pub(super) fn bounds(&self, moment: i64) -> Bounds {
        match self {
            Self::Trailing { over, every: None } => (moment.saturating_sub(*over), moment),
            Self::Trailing { over, every: Some(every) } => {
                let first = moment.saturating_sub(*over).saturating_add(1);
                (first.saturating_sub(first.rem_euclid(*every)).saturating_sub(1), moment)
            }
            Self::Calendar(calendar) => calendar.bounds(moment),
            Self::Ever { .. } | Self::Last { within: None, .. } => (i64::MIN, moment),
            Self::Last { within: Some(within), .. } => (moment.saturating_sub(*within), moment),
        }
    }

    /// Whether the moment that the span is seen from lies in it.
    #[must_use]
    pub fn ends_now(&self) -> bool {
        !matches!(self, Self::Calendar(calendar) if calendar.back > 0)
    }

    /// How long after the newest record the span may still hold one, in milliseconds. `None`: for ever.
    #[must_use]
    pub fn reach(&self) -> Option<i64> {
        match self {
            Self::Trailing { over, every } => Some(over.saturating_add(every.unwrap_or(0))),
            Self::Calendar(calendar) => Some(calendar.unit.longest().saturating_mul(i64::from(calendar.back) + 1)),
            Self::Ever { ttl } => *ttl,
            Self::Last { within, .. } => *within,
        }
    }
}

//! The components of instants and durations.

use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Zoned};
use tidegate_rows::Value;

use super::{Function, Outcome, Style, T, no_match};
use crate::error::EvalError;
use crate::val::Val;

const PART: &[(&[T], T)] = &[(&[T::Timestamp], T::Int), (&[T::Timestamp, T::String], T::Int)];
const PART_OR_SPAN: &[(&[T], T)] = &[(&[T::Timestamp], T::Int), (&[T::Timestamp, T::String], T::Int), (&[T::Duration], T::Int)];

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "getFullYear",
        style: Style::Member,
        overloads: PART,
        call: |a| part(a, |t| t.year().into(), None),
        doc: "The year.",
        examples: &[("timestamp('2009-02-13T23:31:30Z').getFullYear()", "2009")],
    },
    Function {
        name: "getMonth",
        style: Style::Member,
        overloads: PART,
        call: |a| part(a, |t| i64::from(t.month()) - 1, None),
        doc: "The month, from 0.",
        examples: &[("timestamp('2009-02-13T23:31:30Z').getMonth()", "1")],
    },
    Function {
        name: "getDate",
        style: Style::Member,
        overloads: PART,
        call: |a| part(a, |t| t.day().into(), None),
        doc: "The day of the month, from 1.",
        examples: &[("timestamp('2009-02-13T23:31:30Z').getDate()", "13")],
    },
    Function {
        name: "getDayOfMonth",
        style: Style::Member,
        overloads: PART,
        call: |a| part(a, |t| i64::from(t.day()) - 1, None),
        doc: "The day of the month, from 0.",
        examples: &[("timestamp('2009-02-13T23:31:30Z').getDayOfMonth()", "12")],
    },
    Function {
        name: "getDayOfWeek",
        style: Style::Member,
        overloads: PART,
        call: |a| part(a, |t| t.weekday().to_sunday_zero_offset().into(), None),
        doc: "The day of the week, from 0 for Sunday.",
        examples: &[("timestamp('2009-02-13T23:31:30Z').getDayOfWeek()", "5")],
    },
    Function {
        name: "getDayOfYear",
        style: Style::Member,
        overloads: PART,
        call: |a| part(a, |t| i64::from(t.day_of_year()) - 1, None),
        doc: "The day of the year, from 0.",
        examples: &[("timestamp('2009-02-13T23:31:30Z').getDayOfYear()", "43")],
    },
    Function {
        name: "getHours",
        style: Style::Member,
        overloads: PART_OR_SPAN,
        call: |a| part(a, |t| t.hour().into(), Some(|d| d.as_secs() / 3600)),
        doc: "The hour of a timestamp; the whole hours of a duration.",
        examples: &[("timestamp('2009-02-13T23:31:30Z').getHours('+01:00')", "0")],
    },
    Function {
        name: "getMinutes",
        style: Style::Member,
        overloads: PART_OR_SPAN,
        call: |a| part(a, |t| t.minute().into(), Some(|d| d.as_secs() / 60)),
        doc: "The minute of a timestamp; the whole minutes of a duration.",
        examples: &[("duration('2h').getMinutes()", "120")],
    },
    Function {
        name: "getSeconds",
        style: Style::Member,
        overloads: PART_OR_SPAN,
        call: |a| part(a, |t| t.second().into(), Some(|d| d.as_secs())),
        doc: "The second of a timestamp; the whole seconds of a duration.",
        examples: &[("duration('2m').getSeconds()", "120")],
    },
    Function {
        name: "getMilliseconds",
        style: Style::Member,
        overloads: PART_OR_SPAN,
        call: |a| part(a, |t| t.millisecond().into(), Some(|d| i64::from(d.subsec_millis()))),
        doc: "The milliseconds within the second.",
        examples: &[("duration('1500ms').getMilliseconds()", "500")],
    },
];

fn part(args: &[Val<'_>], of_instant: fn(&Zoned) -> i64, of_span: Option<fn(SignedDuration) -> i64>) -> Outcome {
    let zone = match args {
        [_] => TimeZone::UTC,
        [_, zone] => match zone.data() {
            Some(Value::String(name)) => time_zone(name)?,
            _ => return no_match(),
        },
        _ => return no_match(),
    };
    match (args.first().and_then(Val::data), of_span) {
        (Some(Value::Timestamp(t)), _) => Ok(Val::int(of_instant(&t.to_zoned(zone)))),
        (Some(Value::Duration(d)), Some(of_span)) if args.len() == 1 => Ok(Val::int(of_span(*d))),
        _ => no_match(),
    }
}

/// Parses a zone name from the time zone database, or an offset such as `-09:30`.
pub(crate) fn time_zone(name: &str) -> Result<TimeZone, EvalError> {
    let unknown = || EvalError::message(format!("unknown time zone `{name}`: give one such as Europe/Berlin or +02:00"));
    if let Some((hours, minutes)) = name.split_once(':') {
        let (sign, hours) = match hours.strip_prefix('-') {
            Some(hours) => (-1, hours),
            None => (1, hours.strip_prefix('+').unwrap_or(hours)),
        };
        let number = |text: &str, most: i32| text.parse::<i32>().ok().filter(|n| *n <= most && text.bytes().all(|b| b.is_ascii_digit()));
        let (hours, minutes) = number(hours, 23).zip(number(minutes, 59)).ok_or_else(unknown)?;
        return Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).map(Offset::to_time_zone).map_err(|_| unknown());
    }
    if name == "UTC" { Ok(TimeZone::UTC) } else { TimeZone::get(name).map_err(|_| unknown()) }
}

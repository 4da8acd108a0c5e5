//! Times as text in a custom format: `%b %d %H:%M:%S` for syslog, `%d/%b/%Y:%H:%M:%S %z` for web servers.
//!
//! The directives are those of jiff's `strptime`.

use jiff::Timestamp;
use jiff::fmt::strtime::{self, BrokenDownTime};
use jiff::tz::TimeZone;

/// A text time format, with defaults for what the text leaves out.
#[derive(Clone, Debug)]
pub struct TextTime {
    format: String,
    year: i16,
    zone: TimeZone,
    /// The last text and its time. Consecutive log lines often share a second.
    last: (String, Timestamp),
}

impl TextTime {
    /// Makes a format. `year` is for texts without a year (default: the current one), `zone` (an IANA name, default
    /// UTC) for texts without an offset.
    ///
    /// # Errors
    /// The format is invalid or does not determine the day and the time, or the zone is unknown.
    pub fn new(format: &str, year: Option<i16>, zone: Option<&str>) -> Result<Self, String> {
        let zone = match zone {
            Some(name) => TimeZone::get(name).map_err(|_| format!("there is no time zone `{name}`"))?,
            None => TimeZone::UTC,
        };
        let now = Timestamp::now().to_zoned(TimeZone::UTC);
        let mut time = Self { format: format.into(), year: year.unwrap_or(now.year()), zone, last: Default::default() };
        // A format is valid if it can parse its own output.
        let text = strtime::format(format, &now).map_err(|e| format!("`{format}` is not a time format: {e}"))?;
        match time.parse(&text) {
            Some(_) => Ok(time),
            None => Err(format!("`{format}` does not give a day and a time of day")),
        }
    }

    /// The format.
    #[must_use]
    pub fn format(&self) -> &str {
        &self.format
    }

    /// Parses a time. `None` if the text does not match the format.
    pub fn parse(&mut self, text: &str) -> Option<Timestamp> {
        if self.last.0 == text && !text.is_empty() {
            return Some(self.last.1);
        }
        let mut parts = BrokenDownTime::parse(&self.format, text).ok()?;
        let time = if parts.iana_time_zone().is_some() {
            parts.to_zoned().ok()?.timestamp()
        } else if parts.offset().is_some() || parts.timestamp().is_some() {
            parts.to_timestamp().ok()?
        } else {
            if parts.year().is_none() && parts.iso_week_year().is_none() {
                parts.set_year(Some(self.year)).ok()?;
                // The weekday in the text may not match the assumed year.
                parts.set_weekday(None);
            }
            self.zone.to_timestamp(parts.to_datetime().ok()?).ok()?
        };
        self.last.0.clear();
        self.last.0.push_str(text);
        self.last.1 = time;
        Some(time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(format: &str, year: Option<i16>, zone: Option<&str>, text: &str) -> Option<String> {
        TextTime::new(format, year, zone).unwrap().parse(text).map(|t| t.to_string())
    }

    #[test]
    fn syslog_and_web_server_times() {
        let syslog = |text| parse("%b %d %H:%M:%S", Some(2015), None, text);
        assert_eq!(syslog("Mar 27 13:06:56").as_deref(), Some("2015-03-27T13:06:56Z"));
        assert_eq!(syslog("Mar  7 03:06:56").as_deref(), Some("2015-03-07T03:06:56Z"));
        assert_eq!(syslog("Feb 29 00:00:00"), None, "2015 has no such day");
        assert_eq!(syslog("Mar 27 13:06"), None);
        let weekday = |text| parse("%a %b %d %H:%M:%S", Some(2015), None, text);
        assert_eq!(weekday("Mon Mar 27 13:06:56").as_deref(), Some("2015-03-27T13:06:56Z"), "a Friday in 2015");
        let apache = |text| parse("%d/%b/%Y:%H:%M:%S %z", None, None, text);
        assert_eq!(apache("17/May/2015:10:05:03 +0200").as_deref(), Some("2015-05-17T08:05:03Z"));
        assert_eq!(apache("17/May/2015:10:05:03"), None);
    }

    #[test]
    fn a_zone_completes_a_time_without_offset() {
        let berlin = |text| parse("%Y-%m-%d %H:%M:%S%.f", None, Some("Europe/Berlin"), text);
        assert_eq!(berlin("2024-01-01 12:00:00.25").as_deref(), Some("2024-01-01T11:00:00.25Z"));
        assert_eq!(berlin("2024-07-01 12:00:00").as_deref(), Some("2024-07-01T10:00:00Z"));
        let named = |text| parse("%Y-%m-%d %H:%M %Q", None, None, text);
        assert_eq!(named("2024-01-01 12:00 Europe/Berlin").as_deref(), Some("2024-01-01T11:00:00Z"));
        let since = |text| parse("%s", None, None, text);
        assert_eq!(since("1").as_deref(), Some("1970-01-01T00:00:01Z"));
    }

    #[test]
    fn the_year_is_this_year_unless_said() {
        let year = Timestamp::now().to_zoned(TimeZone::UTC).year();
        assert!(parse("%b %d %H:%M:%S", None, None, "Jan 01 00:00:00").unwrap().starts_with(&format!("{year}-")));
    }

    #[test]
    fn a_repeated_text_is_the_same_time_and_a_new_one_is_not() {
        let mut time = TextTime::new("%b %d %H:%M:%S", Some(2015), None).unwrap();
        let first = time.parse("Mar 27 13:06:56");
        assert_eq!(time.parse("Mar 27 13:06:56"), first);
        assert_ne!(time.parse("Mar 27 13:06:57"), first);
        assert_eq!(time.parse(""), None);
    }

    #[test]
    fn a_wrong_format_or_zone_is_refused() {
        let error = |format, zone| TextTime::new(format, None, zone).unwrap_err();
        assert!(error("%!", None).starts_with("`%!` is not a time format: "));
        assert_eq!(error("%H:%M", None), "`%H:%M` does not give a day and a time of day");
        assert_eq!(error("%Y-%m-%d %H", Some("Mars/Base")), "there is no time zone `Mars/Base`");
    }
}

//! Checks whether the first event time of a source is plausible. Seconds read as milliseconds are in January 1970.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value as Json;
use tidegate_connectors::entry::Entry;
use tidegate_rows::Row;
use tidegate_runtime::source::{Poll, Reader, Resumed, Source, SourceContext};
use tidegate_runtime::{Error, Kind, Record};

use super::kind::RowSource;

/// The earliest plausible year.
const FIRST: i16 = 1980;

/// Whether this time is between 1980 and the end of next year.
fn is_plausible(time: Timestamp) -> bool {
    let year = |time: Timestamp| time.to_zoned(TimeZone::UTC).year();
    (FIRST..=year(Timestamp::now()).saturating_add(1)).contains(&year(time))
}

/// Describes what is implausible about a first event time, in milliseconds since 1970. `None` if it is plausible.
pub(crate) fn strange(ms: i64) -> Option<String> {
    let found = Timestamp::from_millisecond(ms).ok();
    if found.is_some_and(is_plausible) {
        return None;
    }
    let shown = found.map_or_else(|| format!("{ms} ms since 1970"), |time| time.to_string());
    let units =
        [(ms.checked_mul(1000), "seconds"), (Some(ms.div_euclid(1000)), "microseconds"), (Some(ms.div_euclid(1_000_000)), "nanoseconds")];
    let meant = units.into_iter().find_map(|(ms, unit)| {
        let time = Timestamp::from_millisecond(ms?).ok().filter(|time| is_plausible(*time))?;
        Some(format!(": are {unit} read as milliseconds? Then it would be {time}"))
    });
    Some(format!("the first event time is {shown}{}", meant.unwrap_or_default()))
}

/// A source that logs a warning if its first event time is implausible.
pub(crate) struct Watched {
    pub(crate) name: String,
    pub(crate) source: RowSource,
}

struct WatchedReader {
    name: String,
    reader: Box<dyn Reader<Entry<Row>>>,
    seen: bool,
}

impl Source<Entry<Row>> for Watched {
    fn kind(&self) -> Kind {
        self.source.kind()
    }

    fn version(&self) -> u32 {
        self.source.version()
    }

    fn open(&self, context: SourceContext) -> Result<Box<dyn Reader<Entry<Row>>>, Error> {
        // A restored source has already been checked.
        let seen = context.restored.is_some();
        Ok(Box::new(WatchedReader { name: self.name.clone(), reader: self.source.open(context)?, seen }))
    }

    fn accepts(&self, positions: &[Json]) -> Result<(), Error> {
        self.source.accepts(positions)
    }
}

impl Reader<Entry<Row>> for WatchedReader {
    fn poll(&mut self) -> Result<Poll<Entry<Row>>, Error> {
        let poll = self.reader.poll()?;
        if !self.seen
            && let Poll::Batch(batch) = &poll
            && let Some(first) = batch.records.iter().find(|record| record.time != Record::UNTIMED)
        {
            self.seen = true;
            if let Some(strange) = strange(first.time) {
                tracing::warn!("source `{}`: {strange}", self.name);
            }
        }
        Ok(poll)
    }

    fn is_vacant(&self) -> bool {
        self.reader.is_vacant()
    }

    fn resumed(&mut self) -> Option<Vec<Resumed>> {
        self.reader.resumed()
    }

    fn completed(&mut self, positions: &[Json]) {
        self.reader.completed(positions);
    }
}

#[cfg(test)]
mod tests {
    use super::strange;

    #[test]
    fn times_that_can_not_be_meant_are_told_with_what_may_be() {
        let second = 1_522_540_831_i64;
        assert_eq!(strange(second * 1000), None);
        assert_eq!(
            strange(second).as_deref(),
            Some(
                "the first event time is 1970-01-18T14:55:40.831Z: are seconds read as milliseconds? Then it would be 2018-04-01T00:00:31Z"
            )
        );
        for (ms, unit) in [(second * 1_000_000, "microseconds"), (second * 1_000_000_000, "nanoseconds")] {
            assert!(
                strange(ms).unwrap().contains(&format!("are {unit} read as milliseconds? Then it would be 2018-04-01T00:00:31Z")),
                "{unit}"
            );
        }
        assert_eq!(strange(0).as_deref(), Some("the first event time is 1970-01-01T00:00:00Z"));
        assert!(strange(i64::MAX).unwrap().starts_with("the first event time is 9223372036854775807 ms since 1970"));
    }
}

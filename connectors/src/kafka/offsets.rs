//! Where reading starts and ends: requested positions are resolved to offsets once, before anything is read.
//!
//! Moving positions ("latest", a time, a group's offsets) are resolved when the job starts and stored in its
//! checkpoints, so the job reads the same records however often it is restarted. Decisions here are pure; [`look`]
//! fetches the facts.

use std::collections::BTreeMap;
use std::sync::Arc;

use rdkafka::Offset;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::TopicPartitionList;
use serde::{Deserialize, Serialize};
use tidegate_runtime::Error;

use super::client::{Cluster, Context};
use super::partitions::{Partition, serve};

/// Where a source starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// At the oldest available record.
    #[default]
    Earliest,
    /// After the newest record.
    Latest,
    /// At the committed offset of the group, or at the oldest record in partitions without one.
    Committed,
    /// At the first record with this time (in milliseconds since 1970) or later, or after the newest if there is
    /// none.
    Timestamp(i64),
    /// At an offset of each partition; in those not named, at the oldest record.
    Offsets(BTreeMap<i32, i64>),
}

/// Where a source ends. It never waits for records: an offset beyond the end that a partition has when the job starts
/// is reduced to that end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// After the record that is the newest when the job starts.
    Latest,
    /// Before the first record with this time (in milliseconds since 1970) or later.
    Timestamp(i64),
    /// Before an offset of each partition; in those not named, after the newest record.
    Offsets(BTreeMap<i32, i64>),
}

/// The range of a partition that remains to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Range {
    /// The offset of the next record.
    #[serde(rename = "offset")]
    pub(super) next: i64,
    /// The first offset not to be read, if the source has an end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) stop: Option<i64>,
}

impl Range {
    /// Whether nothing is left to read.
    pub(super) fn is_empty(self) -> bool {
        self.stop.is_some_and(|stop| self.next >= stop)
    }
}

/// Where a partition continues, as stored in checkpoints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    #[serde(flatten)]
    pub(super) partition: Partition,
    #[serde(flatten)]
    pub(super) range: Range,
    /// The setting from which the range's stop was resolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) asked: Option<Arc<Stop>>,
}

impl Position {
    /// The resolved stop, if it was resolved from this setting.
    pub(super) fn settled(&self, stop: &Stop) -> Option<i64> {
        self.range.stop.filter(|_| self.asked.as_deref() == Some(stop))
    }

    /// The stored form of the position.
    pub(super) fn to_json(&self) -> Option<serde_json::Value> {
        // Text and numbers always serialize to JSON.
        serde_json::to_value(self).ok()
    }

    pub(super) fn read(value: &serde_json::Value) -> Result<Self, Error> {
        serde_json::from_value(value.clone())
            .map_err(|e| Error::external(format!("`{value}` is no position in a topic: the checkpoint is of another source"), e))
    }
}

/// What the brokers say about a partition before it is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// Its oldest offset, and the offset after its newest record.
    pub(super) low: i64,
    pub(super) high: i64,
    /// The group's committed offset.
    pub(super) committed: Option<i64>,
    /// The offsets of the first records at the requested times.
    pub(super) from: Option<i64>,
    pub(super) to: Option<i64>,
}

/// What the job asks for.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) start: &'a Start,
    pub(super) stop: Option<&'a Stop>,
    /// Whether records that no longer exist may be skipped.
    pub(super) passing_over: bool,
}

/// The range to read from a partition when the job starts without a checkpoint.
pub(super) fn fresh(partition: &Partition, asked: Asked<'_>, facts: Facts) -> Result<Range, Error> {
    let next = match asked.start {
        Start::Earliest => facts.low,
        Start::Latest => facts.high,
        Start::Committed => facts.committed.unwrap_or(facts.low),
        Start::Timestamp(_) => facts.from.unwrap_or(facts.high),
        Start::Offsets(offsets) => offsets.get(&partition.number).copied().unwrap_or(facts.low),
    };
    let stop = asked.stop.map(|stop| end(partition, stop, facts));
    check(partition, Range { next, stop }, asked, facts, "`start`")
}

/// The range to read from a partition that is newer than the checkpoint: none of it has been read.
pub(super) fn younger(partition: &Partition, asked: Asked<'_>, facts: Facts) -> Range {
    Range { next: facts.low, stop: asked.stop.map(|stop| end(partition, stop, facts)) }
}

fn end(partition: &Partition, stop: &Stop, facts: Facts) -> i64 {
    match stop {
        Stop::Latest => facts.high,
        Stop::Timestamp(_) => facts.to.unwrap_or(facts.high).min(facts.high),
        Stop::Offsets(offsets) => offsets.get(&partition.number).map_or(facts.high, |offset| facts.high.min(*offset)),
    }
}

/// The range left to read from a partition in a checkpoint. Its stop stays as resolved, unless the job now has
/// another, or none.
pub(super) fn restored(position: &Position, asked: Asked<'_>, facts: Facts) -> Result<Range, Error> {
    let Position { partition, range, .. } = position;
    let stop = asked.stop.map(|stop| position.settled(stop).unwrap_or_else(|| end(partition, stop, facts)));
    let range = Range { next: range.next, stop };
    // Records that have already been read may be gone.
    if range.is_empty() {
        return Ok(range);
    }
    check(partition, range, asked, facts, "the checkpoint")
}

fn check(partition: &Partition, range: Range, asked: Asked<'_>, Facts { low, high, .. }: Facts, who: &str) -> Result<Range, Error> {
    if (low..=high).contains(&range.next) {
        return Ok(range);
    }
    let Partition { topic, number } = partition;
    let why =
        if range.next < low { "older records have been deleted" } else { "later ones have not been written: was the topic made anew?" };
    let next = range.next;
    let what = format!(
        "{who} begins partition {number} of topic `{topic}` at offset {next}, but it has those from {low} to before {high} ({why})"
    );
    if asked.passing_over {
        tracing::warn!("kafka: {what}; it is read from offset {low} on, as `auto.offset.reset` says");
        return Ok(Range { next: low, ..range });
    }
    Err(Error::user(format!("{what}: {PASS_OVER}, or begin afresh, elsewhere, with `start`")))
}

/// How to continue where records no longer exist.
pub(super) const PASS_OVER: &str = "take what is there, with `options: { auto.offset.reset: earliest }`";

/// Checks that `offsets` names only partitions that the topic has.
pub(super) fn check_numbers(offsets: &BTreeMap<i32, i64>, partitions: &[Partition], key: &str) -> Result<(), Error> {
    match offsets.keys().find(|number| !partitions.iter().any(|p| p.number == **number)) {
        None => Ok(()),
        Some(number) => {
            let topic = partitions.first().map_or("", |p| &*p.topic);
            Err(Error::user(format!(
                "`{key}` names partition {number} of topic `{topic}`, which has {}: 0 to {}",
                partitions.len(),
                partitions.len().saturating_sub(1)
            )))
        }
    }
}

/// Asks the brokers for the facts that are needed about these partitions. The facts may change meanwhile: ends are
/// looked up after committed offsets, so they include those, and a record found by time moves the end.
pub(super) fn look(
    cluster: &Cluster,
    consumer: &BaseConsumer<Context>,
    partitions: &[Partition],
    start: &Start,
    stop: Option<&Stop>,
) -> Result<Vec<Facts>, Error> {
    let mut facts = vec![Facts::default(); partitions.len()];
    if *start == Start::Committed {
        let what = "the offsets of `group` can't be had";
        let ask = |patience| consumer.committed_offsets(list(partitions, Offset::Invalid), patience);
        let found = cluster.ask(what, consumer.context(), ask, || serve(consumer))?;
        fill(&mut facts, partitions, &found, |facts, offset| facts.committed = Some(offset));
    }
    for (facts, partition) in facts.iter_mut().zip(partitions) {
        let ask = |patience| consumer.fetch_watermarks(&partition.topic, partition.number, patience);
        let what = format!("the offsets of partition {} of topic `{}` can't be had", partition.number, partition.topic);
        (facts.low, facts.high) = cluster.ask(&what, consumer.context(), ask, || serve(consumer))?;
    }
    let times = [(if let Start::Timestamp(t) = start { Some(*t) } else { None }, true), (stop.and_then(Stop::time), false)];
    for (time, is_start) in times.into_iter().filter_map(|(time, is_start)| Some((time?, is_start))) {
        let what = format!("the offsets of the time {time} can't be had");
        let ask = |patience| consumer.offsets_for_times(list(partitions, Offset::Offset(time)), patience);
        let found = cluster.ask(&what, consumer.context(), ask, || serve(consumer))?;
        fill(&mut facts, partitions, &found, |facts, offset| facts.first_of_time(is_start, offset));
    }
    Ok(facts)
}

impl Facts {
    /// Sets the offset of the first record at a requested time. It may have arrived after the end was looked up.
    fn first_of_time(&mut self, is_start: bool, offset: i64) {
        *(if is_start { &mut self.from } else { &mut self.to }) = Some(offset);
        self.high = self.high.max(offset);
    }
}

impl Stop {
    fn time(&self) -> Option<i64> {
        if let Self::Timestamp(time) = self { Some(*time) } else { None }
    }
}

/// A list of the partitions, each with this offset.
pub(super) fn list(partitions: &[Partition], offset: Offset) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for partition in partitions {
        // Fails for invalid offsets, such as negative ones, about which the broker has nothing to say.
        let _ = list.add_partition_offset(&partition.topic, partition.number, offset);
    }
    list
}

fn fill(facts: &mut [Facts], partitions: &[Partition], found: &TopicPartitionList, set: impl Fn(&mut Facts, i64)) {
    for (facts, partition) in facts.iter_mut().zip(partitions) {
        if let Some(Offset::Offset(offset)) = found.find_partition(&partition.topic, partition.number).map(|found| found.offset()) {
            set(facts, offset);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked<'a>(start: &'a Start, stop: Option<&'a Stop>) -> Asked<'a> {
        Asked { start, stop, passing_over: false }
    }

    const FACTS: Facts = Facts { low: 10, high: 100, committed: Some(40), from: Some(50), to: Some(60) };

    fn partition(number: i32) -> Partition {
        Partition::new("t", number)
    }

    /// Savepoints of released versions contain these. A different form needs a new version of the source, which must
    /// also read this one.
    #[test]
    fn positions_are_written_as_they_always_were() {
        let range = Range { next: 17, stop: Some(20) };
        let ends = Position { partition: partition(3), range, asked: Some(Arc::new(Stop::Timestamp(9))) };
        let goes_on = Position { range: Range { stop: None, ..range }, asked: None, ..ends.clone() };
        for (position, kept) in [
            (goes_on, serde_json::json!({ "topic": "t", "partition": 3, "offset": 17 })),
            (ends, serde_json::json!({ "topic": "t", "partition": 3, "offset": 17, "stop": 20, "asked": { "timestamp": 9 } })),
        ] {
            assert_eq!(position.to_json(), Some(kept.clone()));
            assert_eq!(Position::read(&kept).unwrap(), position);
        }
    }

    #[test]
    fn every_start_and_stop_is_an_offset() {
        let bare = Facts { committed: None, from: None, to: None, ..FACTS };
        let next = |start: Start, facts| fresh(&partition(1), asked(&start, None), facts).unwrap().next;
        assert_eq!((next(Start::Earliest, FACTS), next(Start::Latest, FACTS)), (10, 100));
        assert_eq!((next(Start::Committed, FACTS), next(Start::Committed, bare)), (40, 10));
        assert_eq!((next(Start::Timestamp(1), FACTS), next(Start::Timestamp(1), bare)), (50, 100));
        assert_eq!((next(Start::Offsets([(1, 70)].into()), FACTS), next(Start::Offsets([(0, 70)].into()), FACTS)), (70, 10));
        let stop = |stop: Stop, facts| fresh(&partition(1), asked(&Start::Earliest, Some(&stop)), facts).unwrap().stop;
        assert_eq!(stop(Stop::Latest, FACTS), Some(100));
        assert_eq!((stop(Stop::Timestamp(1), FACTS), stop(Stop::Timestamp(1), bare)), (Some(60), Some(100)));
        assert_eq!(stop(Stop::Offsets([(1, 70)].into()), FACTS), Some(70));
        // The source does not wait for records beyond the end.
        assert_eq!(stop(Stop::Offsets([(1, 700)].into()), FACTS), Some(100));
        assert_eq!(stop(Stop::Offsets([(0, 70)].into()), FACTS), Some(100));
    }

    #[test]
    fn what_is_gone_or_not_yet_there_is_not_begun_with() {
        let from = |next| fresh(&partition(0), asked(&Start::Offsets([(0, next)].into()), None), FACTS);
        assert!(from(9).unwrap_err().to_string().contains("older records have been deleted"));
        assert!(from(101).unwrap_err().to_string().contains("at offset 101, but it has those from 10 to before 100"));
        assert!(from(10).is_ok() && from(100).is_ok());
        let position =
            |next, stop| Position { partition: partition(0), range: Range { next, stop }, asked: stop.map(|_| Stop::Latest.into()) };
        let endless = asked(&Start::Earliest, None);
        let error = restored(&position(5, None), endless, FACTS).unwrap_err().to_string();
        assert!(error.starts_with("the checkpoint begins partition 0 of topic `t`") && error.contains("auto.offset.reset"), "{error}");
        assert!(restored(&position(5, Some(5)), asked(&Start::Earliest, Some(&Stop::Latest)), FACTS).unwrap().is_empty());
        // Unless they may be skipped.
        let passing_over = Asked { passing_over: true, ..endless };
        assert_eq!(restored(&position(5, None), passing_over, FACTS).unwrap().next, 10);
        assert_eq!(restored(&position(20, None), passing_over, FACTS).unwrap().next, 20);
    }

    #[test]
    fn a_time_that_has_come_since_the_end_was_looked_up_moves_the_end() {
        let mut facts = Facts { from: None, ..FACTS };
        facts.first_of_time(true, 103);
        assert_eq!(fresh(&partition(0), asked(&Start::Timestamp(1), None), facts).unwrap().next, 103);
    }

    #[test]
    fn an_end_is_settled_once_by_a_job_that_has_one() {
        let end = |settled: Option<i64>, stop: Option<Stop>| {
            let asked_then = settled.map(|_| Arc::new(Stop::Latest));
            let position = Position { partition: partition(0), range: Range { next: 20, stop: settled }, asked: asked_then };
            restored(&position, asked(&Start::Earliest, stop.as_ref()), FACTS).unwrap().stop
        };
        assert_eq!(end(Some(30), Some(Stop::Offsets([(0, 70)].into()))), Some(70), "another end than before");
        assert_eq!(end(Some(30), Some(Stop::Latest)), Some(30), "a restart");
        assert_eq!(end(None, Some(Stop::Latest)), Some(100), "a replay from the savepoint of a job without an end");
        assert_eq!(end(Some(30), None), None, "a job that goes on where one ended that loaded history");
    }

    #[test]
    fn a_position_is_plain_json() {
        let position = Position { partition: partition(3), range: Range { next: 7, stop: None }, asked: None };
        let value = serde_json::to_value(&position).unwrap();
        assert_eq!(value, serde_json::json!({ "topic": "t", "partition": 3, "offset": 7 }));
        assert_eq!(Position::read(&value).unwrap(), position);
        for stop in [Stop::Latest, Stop::Timestamp(5), Stop::Offsets([(0, 4)].into())] {
            let position = Position { range: Range { next: 7, stop: Some(9) }, asked: Some(stop.into()), ..position.clone() };
            assert_eq!(Position::read(&position.to_json().unwrap()).unwrap(), position);
        }
        assert!(Position::read(&serde_json::json!({ "path": "a" })).is_err());
    }
}

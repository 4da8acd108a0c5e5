//! The source: its options, and the thread that reads a worker's partitions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded, unbounded};
use rdkafka::Offset;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError;
use tidegate_runtime::Error;
use tidegate_runtime::Kind;
use tidegate_runtime::source::{Batch, Reader, Resumed, Source, SourceContext, SplitId};

use super::client::{Cluster, Context, is_passing};
use super::envelope::{Complete, ValueOnly};
use super::offsets::{self, Asked, Position, Range, Start, Stop};
use super::partitions::{self, Partition, Topics};
use super::reader::KafkaReader;
use super::split::{End, Fault, Split, fault};
use crate::bad::BadRecords;
use crate::entry::{Entry, OnBad};
use crate::handover::{self, Count, Outlet, Parcel, read_on_thread};
use crate::kinds;
use crate::message::MessageFormat;

/// How long the thread sleeps when there is nothing to read. A message wakes it immediately.
const REST: Duration = Duration::from_millis(100);

/// The maximum number of buffered messages over all partitions of a worker, and their maximum size in kilobytes.
const WAITING: usize = 400_000;
const WAITING_KB: usize = 128 << 10;

/// Kafka topics. Partitions are assigned to the workers, each of which reads its own on a thread. Every partition is
/// a split with its own event time.
///
/// Without [`stop`](Self::stop) the source has no end, and partitions (and, for a pattern, topics) that are created
/// while it runs are read from their beginning. The source never joins a consumer group: several jobs can read one
/// topic, and each reads all of it.
pub struct KafkaSource<F, C = ValueOnly> {
    cluster: Cluster,
    topics: Topics,
    format: Arc<F>,
    complete: C,
    settings: Settings,
}

#[derive(Clone)]
struct Settings {
    start: Start,
    stop: Option<Arc<Stop>>,
    group: Option<String>,
    uncommitted: bool,
    discover: Option<Duration>,
    on_bad: OnBad,
}

impl<F: MessageFormat> KafkaSource<F> {
    /// Reads the messages of these topics, whose values are in this format, from the oldest record on and without
    /// end.
    pub fn new(cluster: Cluster, topics: Topics, format: F) -> Self {
        let discover = Some(Duration::from_secs(30));
        let settings = Settings { start: Start::Earliest, stop: None, group: None, uncommitted: false, discover, on_bad: OnBad::default() };
        Self { cluster, topics, format: Arc::new(format), complete: ValueOnly, settings }
    }

    /// Completes each record with what its message carries besides the value.
    pub fn completed_by<C: Complete<F::Item>>(self, complete: C) -> KafkaSource<F, C> {
        let Self { cluster, topics, format, settings, .. } = self;
        KafkaSource { cluster, topics, format, complete, settings }
    }
}

impl<F, C> KafkaSource<F, C> {
    /// Where to start, unless a checkpoint says so.
    #[must_use]
    pub fn start(mut self, start: Start) -> Self {
        self.settings.start = start;
        self
    }

    /// Where to end.
    #[must_use]
    pub fn stop(mut self, stop: Stop) -> Self {
        self.settings.stop = Some(Arc::new(stop));
        self
    }

    /// Commits offsets for this group when a checkpoint is complete, so that tools can show the job's lag.
    #[must_use]
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.settings.group = Some(group.into());
        self
    }

    /// Also reads records of open and aborted transactions.
    #[must_use]
    pub fn read_uncommitted(mut self) -> Self {
        self.settings.uncommitted = true;
        self
    }

    /// How often to look for new partitions (default: every 30 s). `None` means never.
    #[must_use]
    pub fn discover(mut self, every: Option<Duration>) -> Self {
        self.settings.discover = every;
        self
    }

    /// What to do about bad records (default: skip).
    #[must_use]
    pub fn on_bad(mut self, on_bad: OnBad) -> Self {
        self.settings.on_bad = on_bad;
        self
    }
}

impl<F: MessageFormat, C: Complete<F::Item>> KafkaSource<F, C> {
    /// The part of the source that one of `workers` workers reads.
    fn share(&self, worker: usize, workers: usize, completed: Receiver<Vec<Position>>) -> Worker<F, C> {
        Worker {
            cluster: self.cluster.clone(),
            topics: self.topics.clone(),
            format: Arc::clone(&self.format),
            complete: self.complete.clone(),
            settings: self.settings.clone(),
            worker,
            workers,
            completed,
        }
    }
}

impl<F: MessageFormat, C: Complete<F::Item>> Source<Entry<F::Item>> for KafkaSource<F, C> {
    fn kind(&self) -> Kind {
        kinds::KAFKA
    }

    /// Resolves what to read, as the first worker does when the job runs.
    fn accepts(&self, positions: &[serde_json::Value]) -> Result<(), Error> {
        let whole = self.share(0, 1, unbounded().1);
        whole.resolve(&whole.consumer(1)?, Some(positions)).map(|_| ())
    }

    fn open(&self, context: SourceContext) -> Result<Box<dyn Reader<Entry<F::Item>>>, Error> {
        let (committer, completed) = unbounded();
        let (alive, ended) = bounded::<()>(0);
        // A rendezvous channel: sending returns only once the splits have been taken.
        let (outset, fresh) = bounded(0);
        let worker = self.share(context.worker, context.workers, completed);
        let (shared, restored) = (context.shared.clone(), context.restored.clone());
        let mine = restored.as_ref().map(|restored| worker.resumed(restored));
        let inlet = read_on_thread("kafka source", context, Vec::new(), move |outlet| {
            let _alive = alive;
            worker.run(&shared, restored.as_ref().map(|r| r.as_slice()), &outset, outlet)
        })?;
        let commits = self.settings.group.is_some();
        Ok(Box::new(KafkaReader { inlet: Some(inlet), restored: mine, fresh, committer: Some(committer), commits, ended }))
    }
}

/// What all workers must agree on: the partitions at the start, and what to read from each.
type Listing = Vec<Position>;

/// One worker's part, running on its thread.
struct Worker<F, C> {
    cluster: Cluster,
    topics: Topics,
    format: Arc<F>,
    complete: C,
    settings: Settings,
    worker: usize,
    workers: usize,
    completed: Receiver<Vec<Position>>,
}

/// The partitions that a worker is reading, and the number of the next split.
struct Share<D, C> {
    splits: Vec<Split<D, C>>,
    next: u32,
    /// Whether the placeholder split of a worker without partitions has been announced.
    empty: bool,
}

/// The placeholder split of a worker without partitions, which must not hold back the watermark.
const NONE: SplitId = SplitId(u32::MAX);

impl<F: MessageFormat, C: Complete<F::Item>> Worker<F, C> {
    /// Reads everything there is to read, and commits the offsets of completed checkpoints.
    fn run(
        &self,
        shared: &tidegate_runtime::source::Shared,
        restored: Option<&[serde_json::Value]>,
        outset: &Sender<Vec<Resumed>>,
        outlet: &Outlet<Entry<F::Item>>,
    ) -> Result<(), handover::Stop> {
        let all = shared.get_or_make(|| self.resolve(&self.consumer(1)?, restored))?;
        let mut mine: Vec<&Position> = all.iter().filter(|p| self.is_mine(&p.partition)).collect();
        // The partitions that the operator knows come first, numbered as the operator knows them.
        let resumed: BTreeSet<Partition> =
            restored.unwrap_or_default().iter().filter_map(|value| Some(Position::read(value).ok()?.partition)).collect();
        mine.sort_by_key(|p| (!resumed.contains(&p.partition), p.partition.clone()));
        if restored.is_none() {
            let numbered = (0..).map(SplitId).zip(&mine);
            let known = |(split, at): (SplitId, &&Position)| Some(Resumed { split, position: at.to_json()?, ended: at.range.is_empty() });
            // Fails if the job has already been stopped.
            outset.send(numbered.filter_map(known).collect()).map_err(|_| handover::Stop::Gone)?;
        }

        let consumer = Arc::new(self.consumer(mine.len().max(1))?);
        let mut completed = None;
        match self.read_all(&consumer, mine, all.iter().map(|p| p.partition.clone()).collect(), &mut completed, outlet) {
            Err(failed @ handover::Stop::Failed(..)) => return Err(failed),
            Err(handover::Stop::Gone) => {}
            // The checkpoint that includes the end is still to come. If the reader is already gone, there will be
            // none.
            Ok(()) => {
                let _ = outlet.end();
            }
        }
        // Wait for checkpoints until the reader is gone.
        if let Some(positions) = self.completed.iter().last().or(completed) {
            self.commit(&consumer, &positions, CommitMode::Sync);
        }
        Err(handover::Stop::Gone)
    }

    fn read_all(
        &self,
        consumer: &Arc<BaseConsumer<Context>>,
        mine: Vec<&Position>,
        mut known: BTreeSet<Partition>,
        completed: &mut Option<Vec<Position>>,
        outlet: &Outlet<Entry<F::Item>>,
    ) -> Result<(), handover::Stop> {
        let mut share = Share { splits: Vec::new(), next: 0, empty: false };
        self.add(consumer, &mut share, mine.into_iter().cloned(), outlet)?;
        let mut bad = BadRecords::new(self.settings.on_bad);
        let mut looked = Instant::now();
        let discover = self.settings.discover.filter(|_| self.settings.stop.is_none());
        loop {
            if self.settings.stop.is_some() && share.splits.is_empty() {
                return Ok(());
            }
            let some = self.read(consumer, &mut share, &mut bad, outlet)?;
            self.serve(consumer)?;
            match self.completed.try_recv() {
                Ok(positions) => {
                    let newest = self.completed.try_iter().last().unwrap_or(positions);
                    // Until the group's coordinator is known, librdkafka delays commits, and the last one could
                    // overtake this one.
                    let mode = if completed.is_none() { CommitMode::Sync } else { CommitMode::Async };
                    self.commit(consumer, completed.insert(newest), mode);
                }
                Err(TryRecvError::Disconnected) => return Err(handover::Stop::Gone),
                Err(TryRecvError::Empty) => {}
            }
            if discover.is_some_and(|every| looked.elapsed() >= every) {
                self.look(consumer, &mut share, &mut known, outlet)?;
                looked = Instant::now();
            }
            if !some {
                std::thread::park_timeout(discover.map_or(REST, |every| REST.min(every)));
            }
        }
    }

    /// This worker's restored partitions, numbered as [`Worker::run`] does.
    fn resumed(&self, restored: &[serde_json::Value]) -> Vec<Resumed> {
        let mut mine = Vec::new();
        for value in restored {
            // The thread reports positions that can't be parsed, along with everything else that does not fit.
            if let Ok(position) = Position::read(value)
                && self.is_mine(&position.partition)
            {
                mine.push((position, value.clone()));
            }
        }
        mine.sort_by(|(a, _), (b, _)| a.partition.cmp(&b.partition));
        let stop = self.settings.stop.as_deref();
        let ended = |at: &Position| stop.and_then(|stop| at.settled(stop)).is_some_and(|end| at.range.next >= end);
        let numbered = (0..).map(SplitId).zip(mine);
        numbered.map(|(split, (at, position))| Resumed { split, position, ended: ended(&at) }).collect()
    }

    fn is_mine(&self, partition: &Partition) -> bool {
        partition.worker(self.workers) == self.worker
    }

    /// Makes a consumer for this many partitions.
    fn consumer(&self, partitions: usize) -> Result<BaseConsumer<Context>, Error> {
        // Each partition has its own queue, and the limits apply per queue.
        let messages = (WAITING / partitions).clamp(1_000, 100_000).to_string();
        let kilobytes = (WAITING_KB / partitions).clamp(1024, 64 << 10).to_string();
        let defaults = [
            ("queued.min.messages", messages.as_str()),
            ("queued.max.messages.kbytes", kilobytes.as_str()),
            ("fetch.queue.backoff.ms", "20"),
            ("fetch.wait.max.ms", "100"),
            ("auto.offset.reset", "error"),
            ("client.id", "tidegate"),
        ];
        let fixed = [
            ("group.id", self.settings.group.as_deref().unwrap_or("tidegate")),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("enable.partition.eof", if self.settings.stop.is_some() { "true" } else { "false" }),
            ("isolation.level", if self.settings.uncommitted { "read_uncommitted" } else { "read_committed" }),
        ];
        let config = self.cluster.config(&defaults, &fixed);
        config.create_with_context(Context::default()).map_err(|e| self.cluster.unusable(&e))
    }

    /// Determines what to read, once for all workers.
    fn resolve(&self, consumer: &BaseConsumer<Context>, restored: Option<&[serde_json::Value]>) -> Result<Listing, Error> {
        let Settings { start, stop, .. } = &self.settings;
        let passing_over = matches!(self.cluster.option("auto.offset.reset"), Some("earliest" | "smallest" | "beginning"));
        let asked = Asked { start, stop: stop.as_deref(), passing_over };
        let listed = partitions::list(&self.cluster, consumer, &self.topics)?;
        if let Start::Offsets(offsets) = start {
            offsets::check_numbers(offsets, &listed, "start")?;
        }
        if let Some(Stop::Offsets(offsets)) = asked.stop {
            offsets::check_numbers(offsets, &listed, "stop")?;
        }
        let read = |value| Position::read(value).map(|position| (position.partition.clone(), position));
        let restored: Option<BTreeMap<Partition, Position>> =
            restored.map(|values| values.iter().map(read).collect::<Result<_, _>>()).transpose()?;
        if let Some(gone) = restored.iter().flat_map(BTreeMap::keys).find(|p| !listed.contains(p)) {
            let Partition { topic, number } = gone;
            return Err(Error::user(format!(
                "the checkpoint has read partition {number} of topic `{topic}`, which is not among those that `topic` says are there now: to read another \
                 topic, give the source another name (or another `uid`), and leave the positions behind by `--allow-dropped-state`"
            )));
        }
        // Partitions newer than the checkpoint lie beyond a stop that was resolved before they existed.
        let settled = asked.stop.is_some_and(|stop| restored.iter().flat_map(BTreeMap::values).any(|p| p.settled(stop).is_some()));
        let facts = offsets::look(&self.cluster, consumer, &listed, start, asked.stop)?;
        let mut all = Vec::with_capacity(listed.len());
        for (partition, facts) in listed.into_iter().zip(facts) {
            let range = match restored.as_ref().map(|restored| restored.get(&partition)) {
                None => offsets::fresh(&partition, asked, facts)?,
                Some(Some(position)) => offsets::restored(position, asked, facts)?,
                Some(None) if settled => continue,
                Some(None) => offsets::younger(&partition, asked, facts),
            };
            all.push(Position { partition, range, asked: stop.clone() });
        }
        if all.is_empty() && stop.is_some() {
            return Err(Error::user(format!("no topic at the Kafka brokers `{}` matches `topic`", self.cluster.brokers())));
        }
        Ok(all)
    }

    /// Starts reading these partitions.
    fn add(
        &self,
        consumer: &Arc<BaseConsumer<Context>>,
        share: &mut Share<F::Decoder, C>,
        positions: impl IntoIterator<Item = Position>,
        outlet: &Outlet<Entry<F::Item>>,
    ) -> Result<(), handover::Stop> {
        for position in positions {
            let id = SplitId(share.next);
            share.next += 1;
            let offset = Offset::Offset(position.range.next);
            let split = Split::new(id, position, consumer, self.format.message_decoder(), self.complete.clone())?;
            outlet.send(Parcel { batch: split.announcement(), count: Count::default() })?;
            if split.range.is_empty() {
                continue;
            }
            let list = offsets::list(std::slice::from_ref(&split.partition), offset);
            consumer.incremental_assign(&list).map_err(|e| fault(&split.partition, split.range.next, e))?;
            share.splits.push(split);
        }
        if share.splits.is_empty() != share.empty {
            share.empty = share.splits.is_empty();
            let batch = Batch { idle: share.empty, last: !share.empty, ..Batch::new(NONE, Vec::new()) };
            outlet.send(Parcel { batch, count: Count::default() })?;
        }
        Ok(())
    }

    /// Hands over what is available. Returns whether there was anything.
    fn read(
        &self,
        consumer: &BaseConsumer<Context>,
        share: &mut Share<F::Decoder, C>,
        bad: &mut BadRecords,
        outlet: &Outlet<Entry<F::Item>>,
    ) -> Result<bool, handover::Stop> {
        let mut some = false;
        let mut done = Vec::new();
        for (index, split) in share.splits.iter_mut().enumerate() {
            let mut parcel = split.batch(bad).map_err(|fault| self.stopped(split, fault))?;
            if split.end == End::Seen {
                split.end = self.look_behind(consumer, split)?;
            }
            if split.end == End::Sure {
                split.range.next = split.range.stop.unwrap_or(split.range.next);
                let Parcel { batch, count } = parcel.unwrap_or(Parcel { batch: split.announcement(), count: Count::default() });
                let position = split.announcement().position;
                parcel = Some(Parcel { batch: Batch { last: true, position, ..batch }, count });
            }
            let Some(parcel) = parcel else { continue };
            some = true;
            if parcel.batch.last {
                done.push(index);
            }
            outlet.send(parcel)?;
        }
        for index in done.into_iter().rev() {
            let split = share.splits.swap_remove(index);
            let list = offsets::list(std::slice::from_ref(&split.partition), Offset::Invalid);
            consumer.incremental_unassign(&list).map_err(|e| fault(&split.partition, split.range.next, e))?;
        }
        Ok(some)
    }

    /// Handles the end of a partition that has a stop. After a change of leader, the new one may briefly have fewer
    /// records than the old one. So the end only counts if it is seen again after the leader is known to have reached
    /// the stop.
    fn look_behind(&self, consumer: &BaseConsumer<Context>, split: &Split<F::Decoder, C>) -> Result<End, Error> {
        let Some(stop) = split.range.stop else { return Ok(End::Ahead) };
        let Partition { topic, number } = &split.partition;
        let what = format!("the end of partition {number} of topic `{topic}` can't be had");
        let ask = |patience| consumer.fetch_watermarks(topic, *number, patience);
        if self.cluster.ask(&what, consumer.context(), ask, || ())?.1 < stop {
            return Ok(End::Ahead);
        }
        let seek = |patience| consumer.seek(topic, *number, Offset::Offset(split.range.next), patience);
        self.cluster.ask(&what, consumer.context(), seek, || ())?;
        Ok(End::LookedBehind)
    }

    fn stopped(&self, split: &Split<F::Decoder, C>, why: Fault) -> handover::Stop {
        match why {
            Fault::Stop(stop) => stop,
            Fault::Error(error) => fault(&split.partition, split.range.next, error).into(),
        }
    }

    /// Handles the consumer's events other than messages of its partitions.
    fn serve(&self, consumer: &BaseConsumer<Context>) -> Result<(), Error> {
        while let Some(event) = consumer.poll(Duration::ZERO) {
            match event {
                Ok(_) => return Err(Error::internal("a message came past the queue of its partition")),
                Err(KafkaError::MessageConsumptionFatal(code)) => {
                    return Err(self.cluster.failed("reading ended", consumer.context(), KafkaError::MessageConsumption(code)));
                }
                Err(error) => {
                    consumer.context().note(&error, "");
                    if !error.rdkafka_error_code().is_some_and(is_passing) {
                        tracing::warn!("kafka: {error}");
                    }
                }
            }
        }
        Ok(())
    }

    /// Commits the offsets that a checkpoint holds for this worker's partitions.
    fn commit(&self, consumer: &BaseConsumer<Context>, positions: &[Position], mode: CommitMode) {
        let mut list = rdkafka::TopicPartitionList::new();
        for Position { partition, range, .. } in positions.iter().filter(|p| self.is_mine(&p.partition)) {
            // An offset that has been read is valid.
            let _ = list.add_partition_offset(&partition.topic, partition.number, Offset::Offset(range.next));
        }
        if list.count() > 0
            && let Err(e) = consumer.commit(&list, mode)
        {
            tracing::warn!("kafka: offsets could not be committed: {e}");
        }
    }

    /// Looks for new partitions. A failure to reach the brokers is not an error, because the next look may succeed.
    fn look(
        &self,
        consumer: &Arc<BaseConsumer<Context>>,
        share: &mut Share<F::Decoder, C>,
        known: &mut BTreeSet<Partition>,
        outlet: &Outlet<Entry<F::Item>>,
    ) -> Result<(), handover::Stop> {
        let found = partitions::list(&self.cluster, consumer, &self.topics).and_then(|mut new| {
            new.retain(|p| !known.contains(p));
            let mine: Vec<Partition> = new.iter().filter(|p| self.is_mine(p)).cloned().collect();
            let facts = offsets::look(&self.cluster, consumer, &mine, &Start::Earliest, None)?;
            let ranges = facts.into_iter().map(|facts| Range { next: facts.low, stop: None });
            let positions = mine.into_iter().zip(ranges).map(|(partition, range)| Position { partition, range, asked: None });
            Ok((new, positions.collect::<Vec<_>>()))
        });
        match found {
            Ok((new, positions)) => {
                known.extend(new);
                self.add(consumer, share, positions, outlet)
            }
            Err(error) => {
                tracing::warn!("kafka: no look for new partitions: {error}");
                Ok(())
            }
        }
    }
}

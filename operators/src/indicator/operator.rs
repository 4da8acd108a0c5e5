//! The keyed operator of indicators.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_runtime::metrics::OperatorMetrics;
use tidegate_runtime::operator::{Context, Logic, Outbox, Target, routed};
use tidegate_runtime::state::{Handle, Key, Keyed, Meaning, Stored, Wake, Wakes};
use tidegate_runtime::{Data, Edge, Error, Field, OperatorSpec, Record, Watermark, stable_hash};

use super::distinct::{self, Distinguishes, Newest};
use super::history::{Column, Entry, History, LEAF, Leaf};
use super::span::Span;
use super::view::{AllNewest, AllNodes, Floor, HistoryId, Stores, View, session};
use crate::queue::Queue;
use crate::ties::Ties;

/// How many leaves are dropped at once, so that a key with a long history holds nobody up.
const DROP: usize = 64;

/// A history that an operator keeps for each key.
#[derive(Clone, Debug)]
pub struct Kept<C> {
    /// What tells it from others in a savepoint: which records feed it, and what they leave.
    pub name: Field,
    /// A column for its items, without any.
    pub column: C,
    /// The spans that are asked for, each with its delay in milliseconds.
    pub spans: Vec<(Span, i64)>,
    /// What happens to what came before all spans, if some span never ends.
    pub ever: Ever,
}

/// What a history keeps of the items that only spans without a beginning hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ever {
    /// Nothing: there is no such span.
    #[default]
    Nothing,
    /// Their summary.
    Summary,
    /// All of them.
    Items,
}

/// The histories of the keys of one group.
#[derive(Debug)]
pub struct Plan<C> {
    kept: Vec<Kept<C>>,
    ids: Vec<HistoryId>,
    /// For each history, how long after its newest item it may still be asked for one, in milliseconds. `None`: for ever.
    reaches: Vec<Option<i64>>,
}

impl<C> Plan<C> {
    /// A plan for these histories.
    #[must_use]
    pub fn new(kept: Vec<Kept<C>>) -> Self {
        let reach = |(span, delay): &(Span, i64)| Some(span.reach()?.saturating_add(*delay));
        let longest = |kept: &Kept<C>| kept.spans.iter().map(reach).collect::<Option<Vec<i64>>>()?.into_iter().max();
        Self { ids: ids(&kept), reaches: kept.iter().map(longest).collect(), kept }
    }

    /// The histories.
    #[must_use]
    pub fn kept(&self) -> &[Kept<C>] {
        &self.kept
    }
}

/// What a record leaves in a history.
pub enum Feed<C: Distinguishes> {
    /// An item.
    Item(C::Item),
    /// A value, for a history that tells values apart.
    Value(C::Value),
}

/// What the operator computes.
pub trait Indicators: 'static {
    /// The records that come in.
    type In: Data;
    /// The values of the indicators of one record.
    type Values;
    /// The records that go out.
    type Out: Clone + 'static;
    /// The items of histories.
    type Column: Distinguishes;

    /// Whether the histories are always the same ones, and of one group. If not, [`Indicators::learn`] may change them.
    const FIXED: bool = true;

    /// The histories of each key of a group; without any if nothing asks for the group any longer.
    fn plan(&self, group: u64) -> &Arc<Plan<Self::Column>>;
    /// Called once on every worker, before anything else. It may declare states of its own.
    ///
    /// # Errors
    /// The operator has a state of the same name.
    fn open(&mut self, _context: &mut Context) -> Result<(), Error> {
        Ok(())
    }
    /// Called when the states hold what the job resumes from.
    ///
    /// # Errors
    /// An error here fails the job.
    fn opened(&mut self) -> Result<(), Error> {
        Ok(())
    }
    /// Takes up what a record says about the indicators themselves. Returns whether that is all there is to it.
    ///
    /// # Errors
    /// An error here fails the job.
    fn learn(&mut self, _record: &Self::In) -> Result<bool, Error> {
        Ok(false)
    }
    /// From when on histories are whole, where not for ever, as far as a record is concerned.
    fn floors(&self, _record: &Self::In) -> Option<Arc<[Floor]>> {
        None
    }
    /// No record up to this time is yet to come.
    fn settle(&mut self, _time: i64) {}
    /// Whether a record goes on, with values. Others only feed histories.
    fn asks(&self, _record: &Self::In) -> bool {
        true
    }
    /// Whether late records that don't go on are counted here, and not by another operator that the same records come to.
    fn owns_late(&self) -> bool {
        true
    }
    /// Whether the key of a record is known. If not, its values are those of [`Indicators::unknown`], and it feeds nothing.
    fn has_key(&self, _record: &Self::In) -> bool {
        true
    }
    /// The values of a record whose key is not known.
    fn unknown(&self, record: &Self::In) -> Self::Values;
    /// Called once for each record whose key is known, before anything else is asked of it.
    ///
    /// # Errors
    /// An error here fails the job.
    fn read(&mut self, _record: &Self::In) -> Result<(), Error> {
        Ok(())
    }
    /// The values of a record, which its histories do not hold yet.
    ///
    /// # Errors
    /// An error here fails the job.
    fn values<K: Key>(&mut self, record: &Self::In, view: &mut View<'_, '_, K, Self::Column>) -> Result<Self::Values, Error>;
    /// What a record leaves in a history.
    fn feeds(&mut self, record: &Self::In, history: usize) -> Option<Feed<Self::Column>>;
    /// What goes out for a record.
    fn out(&self, record: Self::In, values: Self::Values) -> Self::Out;
}

/// When records go on.
pub enum Flow<T> {
    /// At once. Values are exact for records at most so many milliseconds behind the watermark.
    Arrival {
        /// Milliseconds.
        lateness: i64,
    },
    /// When the watermark has come to them, in the order of event time. Those of the same time are ordered by this.
    Time(Ties<T>),
}

/// Adds an operator whose indicators change while it runs. Records go to their `target`; `group` says which plan a key has.
pub fn live<'s, K, I>(
    edge: Edge<'s, I::In>,
    name: &str,
    spec: OperatorSpec,
    (target, key, group): (impl Fn(&I::In) -> Target<K> + Clone + 'static, impl Fn(&I::In) -> K + 'static, fn(&K) -> u64),
    indicators: I,
    flow: Flow<I::In>,
) -> Edge<'s, I::Out>
where
    K: Key,
    I: Indicators,
    I::In: Stored,
    <I::Column as Distinguishes>::Value: Key,
{
    routed(edge, name, spec, None, target, |context| IndicatorLogic::new(key, group, indicators, flow, context)).0
}

/// The histories of one key.
#[derive(Clone, Serialize, Deserialize)]
#[serde(bound(serialize = "C: Column", deserialize = "C: Column"))]
pub(crate) struct Histories<C: Column> {
    wake: Wake,
    pub(crate) all: Vec<(HistoryId, History<C>)>,
    /// Histories that the job no longer asks for, whose nodes are yet to be removed.
    condemned: Vec<(HistoryId, History<C>)>,
}

impl<C: Column> Stored for Histories<C> {
    const SCHEMA: &'static str = "indicator.histories/1";

    fn schema() -> String {
        Self::schema_of(&[C::schema(), C::Part::schema()])
    }
}

/// Computes indicators for each key.
pub(crate) struct IndicatorLogic<K, F, I: Indicators> {
    key: F,
    /// The group of a key.
    group: fn(&K) -> u64,
    indicators: I,
    lateness: i64,
    histories: Handle<Keyed<K, Histories<I::Column>>>,
    nodes: Handle<AllNodes<K, I::Column>>,
    newest: Handle<AllNewest<K, <I::Column as Distinguishes>::Value>>,
    wakes: Wakes<K>,
    /// `Some` if records go on in the order of event time.
    queue: Option<Queue<K, Record<I::In>>>,
    metrics: Arc<OperatorMetrics>,
}

impl<C: Column> Histories<C> {
    fn new(plan: &Plan<C>) -> Self {
        let all = plan.ids.iter().zip(&plan.kept).map(|(id, kept)| (*id, History::new(&kept.column))).collect();
        Self { wake: Wake::default(), all, condemned: Vec::new() }
    }

    /// Has exactly the histories of the plan, in its order. Others are let go.
    #[inline]
    fn fit(&mut self, plan: &Plan<C>) {
        if !self.all.iter().map(|(id, _)| id).eq(&plan.ids) {
            self.rearrange(plan);
        }
    }

    #[cold]
    fn rearrange(&mut self, plan: &Plan<C>) {
        let mut old = std::mem::take(&mut self.all);
        let mut of_plan = |(id, kept): (&HistoryId, &Kept<C>)| {
            let known = old.iter().position(|(known, _)| known == id).map(|at| old.swap_remove(at));
            known.unwrap_or_else(|| (*id, History::new(&kept.column)))
        };
        self.all = plan.ids.iter().zip(&plan.kept).map(&mut of_plan).collect();
        self.condemned.extend(old);
    }
}

/// What histories mean that are the same ones for the whole run, so that a savepoint can tell which are new, and which are dropped.
fn fixed<C: Column>(plan: &Plan<C>) -> Meaning<Histories<C>> {
    let empty: Vec<(HistoryId, C)> = plan.ids.iter().copied().zip(plan.kept.iter().map(|kept| kept.column.clone())).collect();
    let fields = plan.kept.iter().map(|kept| kept.name.clone()).collect();
    Meaning::of_type().with_parts(fields, move |histories: &mut Histories<C>, places: &[Option<usize>]| {
        let mut old: Vec<Option<_>> = histories.all.drain(..).map(Some).collect();
        let take = |old: &mut Vec<Option<_>>, place: &Option<usize>| old.get_mut((*place)?)?.take();
        let new =
            empty.iter().zip(places).map(|((id, column), place)| take(&mut old, place).unwrap_or_else(|| (*id, History::new(column))));
        histories.all = new.collect();
        histories.condemned.extend(old.into_iter().flatten());
    })
}

/// The number of a history. It is found in savepoints by it, so it depends on what tells the history from others, and not on its place.
fn ids<C>(histories: &[Kept<C>]) -> Vec<HistoryId> {
    let mut ids: Vec<HistoryId> = Vec::with_capacity(histories.len());
    for history in histories {
        let hash = stable_hash(&(&history.name.name, &history.name.is));
        let mut id = hash as HistoryId;
        while ids.contains(&id) {
            id = id.wrapping_add(1);
        }
        ids.push(id);
    }
    ids
}

impl<K, F, I> IndicatorLogic<K, F, I>
where
    K: Key,
    F: Fn(&I::In) -> K + 'static,
    I: Indicators,
    I::In: Stored,
    <I::Column as Distinguishes>::Value: Key,
{
    pub(crate) fn new(key: F, group: fn(&K) -> u64, mut indicators: I, flow: Flow<I::In>, context: &mut Context) -> Result<Self, Error> {
        indicators.open(context)?;
        let meaning = if I::FIXED { fixed(indicators.plan(0)) } else { Meaning::of_type() };
        let histories = context.states.keyed("histories", meaning)?;
        let nodes = context.states.keyed("nodes", Meaning::of_type())?;
        let newest = context.states.keyed("values", Meaning::of_type())?;
        let wakes = context.states.wakes("timers")?;
        let (lateness, queue) = match flow {
            Flow::Arrival { lateness } => (lateness, None),
            Flow::Time(ties) => (0, Some(Queue::new(ties, context)?)),
        };
        Ok(Self { key, group, indicators, lateness, histories, nodes, newest, wakes, queue, metrics: Arc::clone(&context.metrics) })
    }

    /// Answers and feeds. Moments up to `horizon` can't be asked for by this record, and those up to `settled` by none.
    #[inline]
    fn process(&mut self, key: K, record: Record<I::In>, horizon: i64, settled: i64, out: &mut Outbox<I::Out, I::In>) -> Result<(), Error> {
        let Record { time, value: record } = record;
        if !self.indicators.has_key(&record) {
            if self.indicators.asks(&record) {
                let values = self.indicators.unknown(&record);
                out.emit(time, self.indicators.out(record, values));
            }
            return Ok(());
        }
        self.indicators.read(&record)?;
        let mut states = self.histories.borrow_mut();
        let mut stores = Stores { nodes: self.nodes.borrow_mut(), newest: self.newest.borrow_mut() };
        let plan = Arc::clone(self.indicators.plan((self.group)(&key)));
        let histories = states.get_or_insert_with(&key, || Histories::new(&plan))?;
        if !I::FIXED {
            histories.fit(&plan);
        }
        let values = if self.indicators.asks(&record) {
            let floors = self.indicators.floors(&record);
            let mut view = View { histories: &histories.all, floors, stores: &mut stores, key: &key, moment: time.max(horizon), time };
            Some(self.indicators.values(&record, &mut view)?)
        } else {
            None
        };
        for (at, ((id, history), kept)) in histories.all.iter_mut().zip(&plan.kept).enumerate() {
            if let Some(feed) = self.indicators.feeds(&record, at) {
                add(history, kept, &mut stores, (&key, *id), time, feed, settled)?;
            }
        }
        if !histories.condemned.is_empty() {
            condemn(&mut histories.condemned, &mut stores, &key)?;
        }
        if histories.wake.time().is_none()
            && let Some(at) = self.expiry(histories, &plan)
        {
            self.wakes.by(at, &mut histories.wake, || key.clone());
        }
        if let Some(values) = values {
            out.emit(time, self.indicators.out(record, values));
        }
        Ok(())
    }

    /// When something of these histories is over, if ever.
    fn expiry(&self, histories: &Histories<I::Column>, plan: &Plan<I::Column>) -> Option<i64> {
        let over = |((_, history), reach): (&(HistoryId, History<I::Column>), &Option<i64>)| {
            let newest = history.newest().or_else(|| history.past.as_ref().map(|past| past.last))?;
            Some(newest.saturating_add(*reach.as_ref()?).saturating_add(self.lateness).saturating_add(1))
        };
        histories.all.iter().zip(&plan.reaches).filter_map(over).min()
    }

    /// Drops what is over of a key at `now`. `time` is that of its timer.
    fn expire(&self, key: &K, now: i64, time: i64) -> Result<(), Error> {
        let mut states = self.histories.borrow_mut();
        let Some(histories) = states.get_mut(key)? else { return Ok(()) };
        if !histories.wake.woken(time) {
            return Ok(());
        }
        let plan = self.indicators.plan((self.group)(key));
        if !I::FIXED {
            histories.fit(plan);
        }
        let mut stores = Stores { nodes: self.nodes.borrow_mut(), newest: self.newest.borrow_mut() };
        let horizon = now.saturating_sub(self.lateness);
        let is_over = |last: i64, reach: &Option<i64>| reach.is_some_and(|reach| last.saturating_add(reach) < horizon);
        let mut more = false;
        for (((id, history), kept), reach) in histories.all.iter_mut().zip(&plan.kept).zip(&plan.reaches) {
            prune(history, kept, &mut stores, (key, *id), horizon)?;
            more |= history.newest().is_some_and(|last| is_over(last, reach));
            if history.is_empty() && history.past.as_ref().is_some_and(|past| is_over(past.last, reach)) {
                history.past = None;
            }
        }
        condemn(&mut histories.condemned, &mut stores, key)?;
        more |= !histories.condemned.is_empty();
        let is_empty = |(_, history): &(HistoryId, History<I::Column>)| history.is_empty() && history.past.is_none();
        if !more && histories.all.iter().all(is_empty) {
            states.remove(key)?;
            return Ok(());
        }
        let soon = now.saturating_add(1);
        let next = if more { Some(soon) } else { self.expiry(histories, plan).map(|next| next.max(soon)) };
        if let Some(next) = next {
            self.wakes.by(next, &mut histories.wake, || key.clone());
        }
        Ok(())
    }
}

/// Adds what a record leaves.
#[inline]
fn add<K: Key, C: Distinguishes>(
    history: &mut History<C>,
    kept: &Kept<C>,
    stores: &mut Stores<'_, K, C>,
    (key, id): (&K, HistoryId),
    time: i64,
    feed: Feed<C>,
    horizon: i64,
) -> Result<(), Error> {
    if history.tail.times.len() + 1 >= 2 * LEAF {
        prune(history, kept, stores, (key, id), horizon)?;
    }
    if time <= history.dropped {
        return add_to_past(history, kept, stores, (key, id), time, feed);
    }
    let (mut nodes, mut newest) = stores.of(key, id);
    match feed {
        Feed::Item(item) => history.insert(&mut nodes, time, item, &mut |_| Ok(())),
        Feed::Value(value) => history.add(&mut nodes, &mut newest, time, value),
    }
}

/// Adds what a record leaves that is older than all items which are kept one by one.
#[cold]
fn add_to_past<K: Key, C: Distinguishes>(
    history: &mut History<C>,
    kept: &Kept<C>,
    stores: &mut Stores<'_, K, C>,
    (key, id): (&K, HistoryId),
    time: i64,
    feed: Feed<C>,
) -> Result<(), Error> {
    if kept.ever != Ever::Summary {
        return Ok(());
    }
    let mut one = History::new(&kept.column);
    let (mut nodes, mut newest) = stores.of(key, id);
    match feed {
        Feed::Item(item) => one.insert(&mut nodes, time, item, &mut |_| Ok(()))?,
        Feed::Value(value) => {
            if !history.add_old(&mut nodes, &mut newest, time, &value)? {
                return Ok(());
            }
            one.add(&mut nodes, &mut newest, time, value.clone())?;
            newest.set(&value, time)?;
        }
    }
    let entry = one.tail.entry(0);
    match &mut history.past {
        Some(past) => {
            past.first = past.first.min(time);
            past.count += 1;
            C::merge(&mut past.part, &entry.part);
        }
        None => history.past = Some(Box::new(entry)),
    }
    Ok(())
}

/// Drops items that no span will hold again, as seen from any moment after `horizon`.
fn prune<K: Key, C: Distinguishes>(
    history: &mut History<C>,
    kept: &Kept<C>,
    stores: &mut Stores<'_, K, C>,
    (key, id): (&K, HistoryId),
    horizon: i64,
) -> Result<(), Error> {
    if horizon == i64::MIN {
        return Ok(());
    }
    let (mut nodes, mut newest) = stores.of(key, id);
    let mut rank = u64::MAX;
    for (span, delay) in &kept.spans {
        let moment = horizon.saturating_sub(*delay);
        let over = match span {
            Span::Ever { .. } if kept.ever != Ever::Items => history.rank(&mut nodes, moment)?,
            Span::Ever { ttl: None } => return Ok(()),
            Span::Ever { ttl: Some(ttl) } => {
                let end = history.rank(&mut nodes, moment)?;
                session(history, &mut nodes, end, moment, ttl.unsigned_abs())?.0
            }
            Span::Last { n, .. } => {
                history.rank(&mut nodes, moment)?.saturating_sub(*n).max(history.rank(&mut nodes, span.bounds(moment).0)?)
            }
            Span::Trailing { .. } | Span::Calendar(_) => history.rank(&mut nodes, span.bounds(moment).0)?,
        };
        rank = rank.min(over);
    }
    let (mut past, mut dropped) = (history.past.take(), history.dropped);
    let ttl = kept.spans.iter().find_map(|(span, _)| if let Span::Ever { ttl } = span { *ttl } else { None });
    let mut drop = |leaf: &Leaf<C>| {
        dropped = dropped.max(leaf.times.last().copied().unwrap_or(i64::MIN));
        if kept.ever == Ever::Summary {
            distinct::closed(leaf, &mut newest)?;
            fold(&mut past, leaf, ttl);
            Ok(())
        } else {
            distinct::dropped(leaf, &mut newest)
        }
    };
    let before = history.len();
    let mut done = history.drop_below(&mut nodes, rank, DROP, &mut drop);
    let rank = rank.saturating_sub(before - history.len());
    // Little would be gained by moving most of the tail.
    if done.is_ok() && history.tail.times.len() as u64 <= rank.saturating_mul(4) {
        done = history.trim(rank, &mut drop);
    }
    (history.past, history.dropped) = (past, dropped);
    done
}

/// Adds a leaf to the summary of what has been dropped. A silence of `ttl` milliseconds ends what came before.
fn fold<C: Column>(past: &mut Option<Box<Entry<C::Part>>>, leaf: &Leaf<C>, ttl: Option<i64>) {
    let ttl = ttl.map_or(u64::MAX, i64::unsigned_abs);
    let silent = |pair: &[i64]| pair[0].abs_diff(pair[1]) >= ttl;
    let start = leaf.times.windows(2).rposition(silent).map_or(0, |at| at + 1);
    let mut entry = leaf.entry(0);
    if start > 0 {
        entry.part = leaf.column.nothing();
        leaf.column.sum_up(&leaf.times, start..leaf.times.len(), &mut entry.part);
        entry.first = leaf.times[start];
        entry.count = (leaf.times.len() - start) as u64;
    }
    match past {
        Some(past) if start == 0 && past.last.abs_diff(entry.first) < ttl => past.add::<C>(&entry),
        _ => *past = Some(Box::new(entry)),
    }
}

/// Removes the nodes of histories that nobody asks for, some at a time.
fn condemn<K: Key, C: Distinguishes>(
    condemned: &mut Vec<(HistoryId, History<C>)>,
    stores: &mut Stores<'_, K, C>,
    key: &K,
) -> Result<(), Error> {
    for (id, history) in condemned.iter_mut() {
        let (mut nodes, mut newest) = stores.of(key, *id);
        history.drop_below(&mut nodes, u64::MAX, DROP, &mut |leaf| distinct::dropped(leaf, &mut newest))?;
    }
    condemned.retain(|(_, history)| history.leaves() > 0);
    Ok(())
}

/// Records with their keys, by their times.
type Come<K, T> = BTreeMap<i64, Vec<(K, Record<T>)>>;

impl<K, F, I> Logic for IndicatorLogic<K, F, I>
where
    K: Key,
    F: Fn(&I::In) -> K + 'static,
    I: Indicators,
    I::In: Stored,
    <I::Column as Distinguishes>::Value: Key,
{
    type In = I::In;
    type Out = I::Out;
    type Side = I::In;

    fn opened(&mut self) -> Result<(), Error> {
        self.indicators.opened()
    }

    fn record(&mut self, record: Record<I::In>, out: &mut Outbox<I::Out, I::In>) -> Result<(), Error> {
        if !I::FIXED && self.indicators.learn(&record.value)? {
            return Ok(());
        }
        if record.time == Record::UNTIMED {
            return Err(Error::user("a record without an event time came to `indicators`: give its source an event time"));
        }
        let key = (self.key)(&record.value);
        let horizon = out.horizon().0.saturating_sub(self.lateness);
        let late = record.time <= horizon;
        let Some(queue) = &self.queue else {
            if late && self.indicators.asks(&record.value) {
                self.metrics.behind.add(1);
            }
            let settled = out.watermark().0.saturating_sub(self.lateness);
            return self.process(key, record, horizon, settled, out);
        };
        if late {
            if self.indicators.asks(&record.value) {
                self.metrics.late.add(u64::from(self.indicators.owns_late()));
                out.emit_side(record.time, record.value);
            }
            return Ok(());
        }
        // What only feeds comes first: a record sees those of other streams at its own time.
        let asks = |record: &Record<I::In>| self.indicators.asks(&record.value);
        queue.wait_by(key, record, |a, b| asks(a).cmp(&asks(b)))
    }

    fn waits_until(&self) -> Option<i64> {
        self.queue.as_ref().and_then(Queue::latest)
    }

    fn watermark(&mut self, watermark: Watermark, out: &mut Outbox<I::Out, I::In>) -> Result<(), Error> {
        // In the order of time over all keys.
        let mut come: Come<K, I::In> = BTreeMap::new();
        if let Some(queue) = &self.queue {
            queue.fire(watermark.0, |key, record| {
                come.entry(record.time).or_default().push((key.clone(), record));
                Ok(())
            })?;
        }
        for (key, record) in come.into_values().flatten() {
            let horizon = record.time.saturating_sub(1);
            self.process(key, record, horizon, horizon, out)?;
        }
        // At the end of the input nothing is over: another run may go on from here.
        if watermark == Watermark::END {
            return Ok(());
        }
        self.indicators.settle(watermark.0.saturating_sub(self.lateness));
        let wakes = self.wakes.clone();
        wakes.fire(watermark.0, |time, key| self.expire(&key, watermark.0, time))
    }
}

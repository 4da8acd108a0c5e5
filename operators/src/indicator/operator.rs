//! The keyed operator of indicators.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_runtime::metrics::OperatorMetrics;
use tidegate_runtime::operator::{Context, Logic, Outbox, Target, routed};
use tidegate_runtime::state::{Handle, Key, Keyed, Meaning, Stored, Wake, Wakes};
use tidegate_runtime::{Edge, Error, OperatorSpec, Record, Watermark};

use super::contract::{Ever, Feed, Flow, Indicators, Kept, Plan};
use super::distinct::{self, Distinguishes, Newest};
use super::history::{Column, Entry, History, LEAF, Leaf};
use super::span::Span;
use super::view::{AllNewest, AllNodes, HistoryId, Stores, View, session};
use crate::queue::Queue;

/// How many leaves are dropped at once, so that a key with a long history holds nobody up.
const DROP: usize = 64;

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
        if !self.fits(plan) {
            self.rearrange(plan);
        }
    }

    #[inline]
    fn fits(&self, plan: &Plan<C>) -> bool {
        self.all.iter().map(|(id, _)| id).eq(&plan.ids)
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
            // One that comes back must not find what it has left.
            while histories.condemned.iter().any(|(id, _)| plan.ids.contains(id)) {
                condemn(&mut histories.condemned, &mut stores, &key)?;
            }
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

    /// Lets all keys that have histories of no plan wake at this time, to let go of them.
    fn tidy(&self, at: i64) -> Result<(), Error> {
        let mut states = self.histories.borrow_mut();
        let mut outdated = Vec::new();
        states.for_each(|key, histories| {
            if !histories.condemned.is_empty() || !histories.fits(self.indicators.plan((self.group)(key))) {
                outdated.push(key.clone());
            }
            Ok(())
        })?;
        for key in outdated {
            if let Some(histories) = states.get_mut(&key)? {
                self.wakes.by(at, &mut histories.wake, || key.clone());
            }
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
        self.indicators.opened()?;
        match &self.queue {
            // At least once, a checkpoint may hold records of answers that nobody waits for any longer.
            Some(queue) if !I::FIXED => queue.come(i64::MAX).map(|_| ()),
            _ => Ok(()),
        }
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
        if self.indicators.settle(watermark.0.saturating_sub(self.lateness)) {
            self.tidy(watermark.0.saturating_add(1))?;
        }
        let wakes = self.wakes.clone();
        wakes.fire(watermark.0, |time, key| self.expire(&key, watermark.0, time))
    }
}

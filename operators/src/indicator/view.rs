//! What indicators see of the histories of a key.

use std::cell::RefMut;
use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use tidegate_runtime::Error;
use tidegate_runtime::state::{Key, Keyed, Part};

use super::distinct::{Distinguishes, Newest};
use super::history::{Column, Entry, History, Node, NodeId, Nodes, Piece, See};
use super::span::Span;

/// The number by which the state of a history is told from that of others of its key.
pub(super) type HistoryId = u32;

/// The nodes of all histories.
pub(super) type AllNodes<K, C> = Keyed<Part<K, (HistoryId, NodeId)>, Node<C>>;

/// The newest time of each value of all histories.
pub(super) type AllNewest<K, V> = Keyed<Part<K, (HistoryId, V)>, i64>;

/// What belongs to one history of one key.
pub(super) struct Of<'a, K, S> {
    pub(super) all: &'a mut S,
    pub(super) key: &'a K,
    pub(super) history: HistoryId,
}

impl<K: Key, S> Of<'_, K, S> {
    fn part<M>(&self, part: M) -> Part<K, (HistoryId, M)> {
        Part { key: self.key.clone(), part: (self.history, part) }
    }
}

impl<K: Key, C: Column> Nodes<C> for Of<'_, K, AllNodes<K, C>> {
    fn get(&mut self, node: NodeId) -> Result<Option<&Node<C>>, Error> {
        let part = self.part(node);
        self.all.get(&part)
    }

    fn get_mut(&mut self, node: NodeId) -> Result<Option<&mut Node<C>>, Error> {
        let part = self.part(node);
        self.all.get_mut(&part)
    }

    fn put(&mut self, node: NodeId, content: Node<C>) -> Result<(), Error> {
        let part = self.part(node);
        self.all.insert(&part, content)
    }

    fn take(&mut self, node: NodeId) -> Result<Option<Node<C>>, Error> {
        let part = self.part(node);
        self.all.remove(&part)
    }
}

impl<K: Key, V: Key> Newest<V> for Of<'_, K, AllNewest<K, V>> {
    fn get(&mut self, value: &V) -> Result<Option<i64>, Error> {
        let part = self.part(value.clone());
        Ok(self.all.get(&part)?.copied())
    }

    fn set(&mut self, value: &V, time: i64) -> Result<(), Error> {
        let part = self.part(value.clone());
        self.all.insert(&part, time)
    }

    fn forget(&mut self, value: &V) -> Result<(), Error> {
        let part = self.part(value.clone());
        self.all.remove(&part).map(|_| ())
    }
}

/// The state of all keys beside the histories themselves.
pub(super) struct Stores<'a, K, C: Distinguishes> {
    pub(super) nodes: RefMut<'a, AllNodes<K, C>>,
    pub(super) newest: RefMut<'a, AllNewest<K, C::Value>>,
}

/// What belongs to one history of one key, in both.
type Both<'b, K, C> = (Of<'b, K, AllNodes<K, C>>, Of<'b, K, AllNewest<K, <C as Distinguishes>::Value>>);

impl<K, C: Distinguishes> Stores<'_, K, C> {
    pub(super) fn of<'b>(&'b mut self, key: &'b K, history: HistoryId) -> Both<'b, K, C> {
        (Of { all: &mut self.nodes, key, history }, Of { all: &mut self.newest, key, history })
    }
}

/// From when on a history is whole, for one span over it. What it holds from before, it may hold or not: spans don't reach there.
#[derive(Clone, Debug, PartialEq)]
pub struct Floor {
    /// The place of the history.
    pub history: usize,
    /// The span.
    pub span: Span,
    /// The delay of the span in milliseconds.
    pub delay: i64,
    /// Event time in milliseconds.
    pub from: i64,
}

/// The histories of a key, as of a moment.
pub struct View<'a, 'b, K, C: Distinguishes> {
    pub(super) histories: &'a [(HistoryId, History<C>)],
    pub(super) floors: Option<Arc<[Floor]>>,
    pub(super) stores: &'a mut Stores<'b, K, C>,
    pub(super) key: &'a K,
    pub(super) moment: i64,
    pub(super) time: i64,
}

/// The part of a history that a span covers.
#[derive(Clone, Debug)]
pub struct Stretch {
    history: usize,
    ranks: Range<u64>,
    /// The last moment before the span, and its last moment.
    bounds: (i64, i64),
    /// Whether it begins at a rank rather than at a moment.
    ranked: bool,
    /// Whether it reaches back into what the history has dropped.
    past: bool,
}

impl Stretch {
    /// The number of items in it, not counting those that the history has dropped.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.ranks.end - self.ranks.start
    }

    /// How many older items its history has.
    #[must_use]
    pub fn start(&self) -> u64 {
        self.ranks.start
    }

    /// Whether it reaches back into what its history has dropped.
    #[must_use]
    pub fn has_past(&self) -> bool {
        self.past
    }

    /// Whether it holds no item, not counting those that the history has dropped.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranks.is_empty()
    }
}

impl<K: Key, C: Distinguishes> View<'_, '_, K, C> {
    /// The moment that the histories are looked at from: the time of the record, or of the horizon if the record is late.
    #[must_use]
    pub fn moment(&self) -> i64 {
        self.moment
    }

    /// The time of the record. If it is late, this is before the moment: it counts itself at its own time.
    #[must_use]
    pub fn time(&self) -> i64 {
        self.time
    }

    /// The part of a history that `span` covers if it ends `delay` milliseconds ago. `own`: the record counts itself, so one record less is
    /// among the newest.
    ///
    /// # Errors
    /// The disk failed.
    pub fn stretch(&mut self, history: usize, span: &Span, delay: i64, own: bool) -> Result<Stretch, Error> {
        let moment = self.moment.saturating_sub(delay);
        let (mut from, to) = span.bounds(moment);
        if let Some(floors) = &self.floors {
            let of = floors.iter().find(|floor| floor.history == history && floor.delay == delay && floor.span == *span);
            from = of.map_or(from, |floor| from.max(floor.from.saturating_sub(1)));
        }
        let mut stretch = Stretch { history, ranks: 0..0, bounds: (from, to), ranked: matches!(span, Span::Last { .. }), past: false };
        let Some((id, kept)) = self.histories.get(history) else { return Ok(stretch) };
        let (mut nodes, _) = self.stores.of(self.key, *id);
        let end = kept.rank(&mut nodes, to)?;
        let start = if from == i64::MIN { 0 } else { kept.rank(&mut nodes, from)?.min(end) };
        stretch.ranks = start..end;
        match span {
            Span::Last { n, .. } => stretch.ranks.start = start.max(end.saturating_sub(n.saturating_sub(u64::from(own)))),
            Span::Ever { ttl: None } => stretch.past = kept.past.is_some(),
            Span::Ever { ttl: Some(ttl) } => {
                let (start, past) = session(kept, &mut nodes, end, moment, ttl.unsigned_abs())?;
                stretch.ranks.start = start;
                stretch.past = past && kept.past.is_some();
                if !stretch.past {
                    stretch.bounds.0 = match kept.time_at(&mut nodes, start)? {
                        Some(first) if start < end => first.saturating_sub(1),
                        _ => to,
                    };
                }
            }
            Span::Trailing { .. } | Span::Calendar(_) => {}
        }
        Ok(stretch)
    }

    /// Shows the items of a stretch, oldest first.
    ///
    /// # Errors
    /// The disk failed.
    pub fn visit(&mut self, stretch: &Stretch, see: See<'_, C>) -> Result<(), Error> {
        let Some((id, history)) = self.histories.get(stretch.history) else { return Ok(()) };
        let (mut nodes, _) = self.stores.of(self.key, *id);
        history.visit(&mut nodes, stretch.ranks.clone(), see)
    }

    /// Shows the items of a stretch that come before those of another, which begins later and is of the same history.
    ///
    /// # Errors
    /// The disk failed.
    pub fn visit_before(&mut self, stretch: &Stretch, later: &Stretch, see: See<'_, C>) -> Result<(), Error> {
        let before = Stretch { ranks: stretch.ranks.start..stretch.ranks.end.min(later.ranks.start), ..stretch.clone() };
        self.visit(&before, see)
    }

    /// Shows the newest item of a stretch, if it holds any.
    ///
    /// # Errors
    /// The disk failed.
    pub fn visit_newest(&mut self, stretch: &Stretch, see: See<'_, C>) -> Result<(), Error> {
        let newest = Stretch { ranks: stretch.ranks.end.saturating_sub(1).max(stretch.ranks.start)..stretch.ranks.end, ..stretch.clone() };
        self.visit(&newest, see)
    }

    /// The summary of what the history has dropped, if the stretch reaches back into it.
    #[must_use]
    pub fn past(&self, stretch: &Stretch) -> Option<&Entry<C::Part>> {
        let (_, history) = self.histories.get(stretch.history).filter(|_| stretch.past)?;
        history.past.as_deref()
    }

    /// The newest items of the history that a stretch is of, which show its kind.
    #[must_use]
    pub fn column(&self, stretch: &Stretch) -> Option<&C> {
        self.histories.get(stretch.history).map(|(_, history)| &history.tail.column)
    }

    /// The number of items in a stretch.
    #[must_use]
    pub fn count(&self, stretch: &Stretch) -> u64 {
        stretch.len() + self.past(stretch).map_or(0, |past| past.count)
    }

    /// The times of the first and the last item of a stretch.
    ///
    /// # Errors
    /// The disk failed.
    pub fn ends(&mut self, stretch: &Stretch) -> Result<Option<(i64, i64)>, Error> {
        let past = self.past(stretch).map(|past| (past.first, past.last));
        if stretch.is_empty() {
            return Ok(past);
        }
        let Some((id, history)) = self.histories.get(stretch.history) else { return Ok(past) };
        let (mut nodes, _) = self.stores.of(self.key, *id);
        let first = history.time_at(&mut nodes, stretch.ranks.start)?;
        let last = history.time_at(&mut nodes, stretch.ranks.end - 1)?;
        Ok(first.zip(last).map(|(first, last)| (past.map_or(first, |past| past.0), last)))
    }

    /// How many different values are in a stretch, for a history that tells them apart.
    ///
    /// # Errors
    /// The disk failed.
    pub fn count_distinct(&mut self, stretch: &Stretch) -> Result<u64, Error> {
        if stretch.ranked {
            // The newest few records are looked at one by one.
            let mut values = HashSet::new();
            self.each_value(stretch, &mut |value| _ = values.insert(value.clone()))?;
            return Ok(values.len() as u64);
        }
        let past = self.past(stretch).map_or(0, |past| C::marked(&past.part));
        let Some((id, history)) = self.histories.get(stretch.history) else { return Ok(0) };
        let (mut nodes, _) = self.stores.of(self.key, *id);
        Ok(past + history.count_distinct(&mut nodes, stretch.bounds, stretch.ranks.clone())?)
    }

    /// Whether a value is in a stretch, for a history that tells values apart.
    ///
    /// # Errors
    /// The disk failed.
    pub fn contains(&mut self, stretch: &Stretch, value: &C::Value) -> Result<bool, Error> {
        if stretch.ranked {
            let mut found = false;
            self.each_value(stretch, &mut |other| found |= other == value)?;
            return Ok(found);
        }
        let Some((id, history)) = self.histories.get(stretch.history) else { return Ok(false) };
        let (mut nodes, mut newest) = self.stores.of(self.key, *id);
        let found = history.newest_until(&mut nodes, &mut newest, value, stretch.bounds.1)?;
        Ok(found.is_some_and(|time| time > stretch.bounds.0))
    }

    /// Shows the values of a stretch that are not null.
    fn each_value(&mut self, stretch: &Stretch, show: &mut dyn FnMut(&C::Value)) -> Result<(), Error> {
        self.visit(stretch, &mut |piece| match piece {
            Piece::Items(_, column, range) => {
                let values = column.distinct().map(|distinct| distinct.values(range)).unwrap_or_default();
                values.iter().filter(|value| !C::is_null(value)).for_each(&mut *show);
                true
            }
            Piece::Whole(_) => false,
        })
    }
}

/// The rank of the first item after the last silence of `ttl` milliseconds before `moment`, among those below the rank `end`; and whether there
/// was no such silence even since the last item that has been dropped.
pub(super) fn session<C: Column>(
    history: &History<C>,
    nodes: &mut impl Nodes<C>,
    end: u64,
    moment: i64,
    ttl: u64,
) -> Result<(u64, bool), Error> {
    let mut last = history.past.as_ref().map(|past| past.last);
    let (mut start, mut rank, mut past) = (0, 0, true);
    history.visit(nodes, 0..end, &mut |piece| {
        let mut silence = |time: i64, rank: u64| {
            if last.replace(time).is_some_and(|last| last.abs_diff(time) >= ttl) {
                (start, past) = (rank, false);
            }
        };
        match piece {
            Piece::Whole(entry) if entry.gap >= ttl => return false,
            Piece::Whole(entry) => {
                silence(entry.first, rank);
                last = Some(entry.last);
                rank += entry.count;
            }
            Piece::Items(times, _, range) => {
                for time in times.get(range).unwrap_or_default() {
                    silence(*time, rank);
                    rank += 1;
                }
            }
        }
        true
    })?;
    if last.is_none_or(|last| last.abs_diff(moment) >= ttl) {
        return Ok((end, false));
    }
    Ok((start, past))
}

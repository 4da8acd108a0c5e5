//! Indicators of a Rust program: values with names and types.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use tidegate_runtime::state::Key;
use tidegate_runtime::{Data, Error, Field};

use super::contract::{Ever, Feed, Indicators, Kept, Plan};
use super::distinct::Distinct;
use super::history::{Column, Piece};
use super::items::{Item, Items, Part, Scalar, Sums};
use super::span::Span;
use super::view::View;

impl Span {
    /// The last `over`, as in "the last ten minutes": after `t - over`, up to `t`.
    #[must_use]
    pub fn trailing(over: Duration) -> Self {
        Self::Trailing { over: millis(over), every: None }
    }

    /// Everything.
    #[must_use]
    pub fn ever() -> Self {
        Self::Ever { ttl: None }
    }

    /// The newest `n`.
    #[must_use]
    pub fn last(n: u64) -> Self {
        Self::Last { n: n.max(1), within: None }
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX).max(1)
}

/// Records that count, by a condition.
#[derive(Clone)]
pub struct Records<F> {
    name: String,
    counts: F,
}

/// Numbers of records.
#[derive(Clone)]
pub struct Numbers<F> {
    name: String,
    number: F,
}

/// Values of records, which are told apart.
#[derive(Clone)]
pub struct Values<F> {
    name: String,
    value: F,
}

/// What a kind of history takes from a record.
pub trait Takes<T>: Clone + 'static {
    /// The name under which the history is kept. Indicators with the same name share one.
    fn name(&self) -> &str;
    /// A column for its items.
    fn items(&self) -> Items;
    /// What a record leaves, if it counts.
    fn take(&self, record: &T) -> Option<Taken>;
}

/// What a record leaves in a history.
#[derive(Clone, Debug)]
pub enum Taken {
    /// Its time.
    Time,
    /// A number.
    Number(f64),
    /// A value.
    Value(Scalar),
}

impl<F> Records<F> {
    /// Records for which `counts` holds. `name` is the name of their history in savepoints.
    pub fn that<T>(name: &str, counts: F) -> Self
    where
        F: Fn(&T) -> bool + Clone + 'static,
    {
        Self { name: name.to_owned(), counts }
    }

    /// How many there are.
    pub fn count<T>(&self, span: Span) -> Indicator<Self, u64>
    where
        Self: Takes<T>,
    {
        Indicator::new(self, span, |found| found.count)
    }
}

impl<F> Numbers<F> {
    /// What `number` returns for a record, which does not count if that is `None`. `name` is the name of their history in savepoints.
    pub fn of<T>(name: &str, number: F) -> Self
    where
        F: Fn(&T) -> Option<f64> + Clone + 'static,
    {
        Self { name: name.to_owned(), number }
    }

    /// How many there are.
    pub fn count<T>(&self, span: Span) -> Indicator<Self, u64>
    where
        Self: Takes<T>,
    {
        Indicator::new(self, span, |found| found.sums.count)
    }

    /// Their sum, which does not drift.
    pub fn sum<T>(&self, span: Span) -> Indicator<Self, f64>
    where
        Self: Takes<T>,
    {
        Indicator::new(self, span, |found| found.sums.sum + found.sums.rest)
    }

    /// Their mean, `None` of none.
    pub fn avg<T>(&self, span: Span) -> Indicator<Self, Option<f64>>
    where
        Self: Takes<T>,
    {
        #[expect(clippy::cast_precision_loss, reason = "fewer than 2^53 items")]
        Indicator::new(self, span, |found| found.sums.of_some((found.sums.sum + found.sums.rest) / found.sums.count as f64))
    }

    /// The least, `None` of none.
    pub fn min<T>(&self, span: Span) -> Indicator<Self, Option<f64>>
    where
        Self: Takes<T>,
    {
        Indicator::new(self, span, |found| found.sums.of_some(found.sums.min))
    }

    /// The greatest, `None` of none.
    pub fn max<T>(&self, span: Span) -> Indicator<Self, Option<f64>>
    where
        Self: Takes<T>,
    {
        Indicator::new(self, span, |found| found.sums.of_some(found.sums.max))
    }

    /// The standard deviation of the sample, `None` of fewer than two.
    pub fn stddev<T>(&self, span: Span) -> Indicator<Self, Option<f64>>
    where
        Self: Takes<T>,
    {
        #[expect(clippy::cast_precision_loss, reason = "fewer than 2^53 items")]
        Indicator::new(self, span, |found| (found.sums.count > 1).then(|| (found.sums.squares / (found.sums.count - 1) as f64).sqrt()))
    }

    /// The one of the oldest record, `None` of none.
    pub fn first<T>(&self, span: Span) -> Indicator<Self, Option<f64>>
    where
        Self: Takes<T>,
    {
        Indicator::new(self, span, |found| found.sums.of_some(found.sums.first.1))
    }

    /// The one of the newest record, `None` of none. With [`Indicator::without_itself`], that of the record before.
    pub fn last<T>(&self, span: Span) -> Indicator<Self, Option<f64>>
    where
        Self: Takes<T>,
    {
        Indicator::new(self, span, |found| found.sums.of_some(found.sums.last.1))
    }
}

impl<F> Values<F> {
    /// What `value` returns for a record, which does not count if that is `None`. `name` is the name of their history in savepoints.
    pub fn of<T, V>(name: &str, value: F) -> Self
    where
        F: Fn(&T) -> Option<V> + Clone + 'static,
        V: Into<Scalar>,
    {
        Self { name: name.to_owned(), value }
    }

    /// How many different ones there are.
    pub fn count_distinct<T>(&self, span: Span) -> Indicator<Self, u64>
    where
        Self: Takes<T>,
    {
        Indicator::new(self, span, |found| found.distinct)
    }

    /// Whether no earlier record has the value of this one, `None` if it has none.
    pub fn is_new<T>(&self, span: Span) -> Indicator<Self, Option<bool>>
    where
        Self: Takes<T>,
    {
        Indicator::new(self, span, |found| found.is_new)
    }
}

impl<T, F: Fn(&T) -> bool + Clone + 'static> Takes<T> for Records<F> {
    fn name(&self) -> &str {
        &self.name
    }

    fn items(&self) -> Items {
        Items::Times
    }

    #[inline]
    fn take(&self, record: &T) -> Option<Taken> {
        (self.counts)(record).then_some(Taken::Time)
    }
}

impl<T, F: Fn(&T) -> Option<f64> + Clone + 'static> Takes<T> for Numbers<F> {
    fn name(&self) -> &str {
        &self.name
    }

    fn items(&self) -> Items {
        Items::Numbers(Vec::new())
    }

    #[inline]
    fn take(&self, record: &T) -> Option<Taken> {
        (self.number)(record).map(Taken::Number)
    }
}

impl<T, V: Into<Scalar>, F: Fn(&T) -> Option<V> + Clone + 'static> Takes<T> for Values<F> {
    fn name(&self) -> &str {
        &self.name
    }

    fn items(&self) -> Items {
        Items::Values(Distinct::default())
    }

    #[inline]
    fn take(&self, record: &T) -> Option<Taken> {
        (self.value)(record).map(|value| Taken::Value(value.into()))
    }
}

/// An indicator with a value of type `O`.
#[derive(Clone)]
pub struct Indicator<H, O> {
    history: H,
    span: Span,
    delay: i64,
    own: bool,
    read: fn(&Found) -> O,
    /// Its query, and the history that it must fill because no indicator before it does.
    query: usize,
    fills: Option<usize>,
}

impl<H: Clone, O> Indicator<H, O> {
    fn new(history: &H, span: Span, read: fn(&Found) -> O) -> Self {
        Self { history: history.clone(), span, delay: 0, own: true, read, query: 0, fills: None }
    }

    /// Leaves the record itself out.
    #[must_use]
    pub fn without_itself(self) -> Self {
        Self { own: false, ..self }
    }

    /// Ends the span so long before the record.
    #[must_use]
    pub fn delayed(self, delay: Duration) -> Self {
        Self { delay: millis(delay), ..self }
    }
}

/// What has been found of a history within a span.
#[derive(Clone, Debug, Default)]
#[doc(hidden)]
pub struct Found {
    count: u64,
    sums: Sums,
    distinct: u64,
    is_new: Option<bool>,
}

/// What indicators need: histories, and what is asked of them.
#[derive(Default)]
#[doc(hidden)]
pub struct Needs {
    kept: Vec<Kept<Items>>,
    queries: Vec<Query>,
}

struct Query {
    history: usize,
    span: Span,
    delay: i64,
    own: bool,
}

impl Needs {
    /// Adds what an indicator needs. Returns its query, its history, and whether the history is new.
    fn add(&mut self, name: &str, items: Items, (span, delay, own): (&Span, i64, bool)) -> (usize, usize, bool) {
        let kind = match items {
            Items::Times => "times",
            Items::Numbers(_) => "numbers",
            Items::Values(_) => "values",
        };
        // A silence is one of the records of a history, so those with another time to live have a history of their own.
        let (name, silent) = match span {
            Span::Ever { ttl: Some(ttl) } => (format!("{name} ttl {ttl}ms"), true),
            _ => (name.to_owned(), false),
        };
        let (name, values) = (Field::new(name, kind), matches!(items, Items::Values(_)));
        let known = self.kept.iter().position(|kept| kept.name == name);
        let history = known.unwrap_or_else(|| {
            self.kept.push(Kept { name, column: items, spans: Vec::new(), ever: Ever::Nothing });
            self.kept.len() - 1
        });
        let kept = &mut self.kept[history];
        if matches!(span, Span::Ever { .. }) {
            kept.ever = if silent && values { Ever::Items } else { Ever::Summary };
        }
        kept.spans.push((span.clone(), delay));
        let own = own && delay == 0;
        let same = |query: &Query| query.history == history && query.span == *span && query.delay == delay && query.own == own;
        let query = self.queries.iter().position(same).unwrap_or_else(|| {
            self.queries.push(Query { history, span: span.clone(), delay, own });
            self.queries.len() - 1
        });
        (query, history, known.is_none())
    }
}

/// Several indicators of the same records: a tuple of up to twelve.
pub trait IndicatorSet<T>: Clone + 'static {
    /// Their values.
    type Values: Clone + Send + 'static;

    /// Says what they need.
    #[doc(hidden)]
    fn declare(&mut self, needs: &mut Needs);
    /// What a record leaves in each history.
    #[doc(hidden)]
    fn take(&self, record: &T, into: &mut [Option<Taken>]);
    /// Their values, from what has been found.
    #[doc(hidden)]
    fn values(&self, found: &[Found]) -> Self::Values;
}

macro_rules! sets {
    ($($($indicator:ident $out:ident $at:tt),+;)+) => {
        $(impl<T, $($indicator: Takes<T>, $out: Clone + Send + 'static),+> IndicatorSet<T> for ($(Indicator<$indicator, $out>,)+) {
            type Values = ($($out,)+);

            fn declare(&mut self, needs: &mut Needs) {
                $({
                    let one = &mut self.$at;
                    let (query, history, is_new) = needs.add(one.history.name(), one.history.items(), (&one.span, one.delay, one.own));
                    one.query = query;
                    one.fills = is_new.then_some(history);
                })+
            }

            #[inline]
            fn take(&self, record: &T, into: &mut [Option<Taken>]) {
                $(if let Some(taken) = self.$at.fills.and_then(|at| into.get_mut(at)) {
                    *taken = self.$at.history.take(record);
                })+
            }

            #[inline]
            fn values(&self, found: &[Found]) -> Self::Values {
                ($((self.$at.read)(&found[self.$at.query]),)+)
            }
        })+
    };
}

sets! {
    A OA 0;
    A OA 0, B OB 1;
    A OA 0, B OB 1, C OC 2;
    A OA 0, B OB 1, C OC 2, D OD 3;
    A OA 0, B OB 1, C OC 2, D OD 3, E OE 4;
    A OA 0, B OB 1, C OC 2, D OD 3, E OE 4, F OF 5;
    A OA 0, B OB 1, C OC 2, D OD 3, E OE 4, F OF 5, G OG 6;
    A OA 0, B OB 1, C OC 2, D OD 3, E OE 4, F OF 5, G OG 6, H OH 7;
    A OA 0, B OB 1, C OC 2, D OD 3, E OE 4, F OF 5, G OG 6, H OH 7, I OI 8;
    A OA 0, B OB 1, C OC 2, D OD 3, E OE 4, F OF 5, G OG 6, H OH 7, I OI 8, J OJ 9;
    A OA 0, B OB 1, C OC 2, D OD 3, E OE 4, F OF 5, G OG 6, H OH 7, I OI 8, J OJ 9, K OK 10;
    A OA 0, B OB 1, C OC 2, D OD 3, E OE 4, F OF 5, G OG 6, H OH 7, I OI 8, J OJ 9, K OK 10, L OL 11;
}

/// Computes a set of indicators.
pub(crate) struct OfRecords<T, S> {
    set: S,
    plan: Arc<Plan<Items>>,
    queries: Vec<Query>,
    taken: Vec<Option<Taken>>,
    found: Vec<Found>,
    of: PhantomData<fn(T)>,
}

impl<T, S: IndicatorSet<T>> OfRecords<T, S> {
    pub(crate) fn new(mut set: S) -> Self {
        let mut needs = Needs::default();
        set.declare(&mut needs);
        let (taken, found) = (vec![None; needs.kept.len()], vec![Found::default(); needs.queries.len()]);
        Self { set, plan: Arc::new(Plan::new(needs.kept)), queries: needs.queries, taken, found, of: PhantomData }
    }
}

impl<T: Data, S: IndicatorSet<T>> Indicators for OfRecords<T, S> {
    type In = T;
    type Values = S::Values;
    type Out = (T, S::Values);
    type Column = Items;

    fn plan(&self, _: u64) -> &Arc<Plan<Items>> {
        &self.plan
    }

    fn unknown(&self, _: &T) -> S::Values {
        self.set.values(&vec![Found::default(); self.found.len()])
    }

    fn read(&mut self, record: &T) -> Result<(), Error> {
        self.taken.fill(None);
        self.set.take(record, &mut self.taken);
        Ok(())
    }

    fn values<K: Key>(&mut self, _: &T, view: &mut View<'_, '_, K, Items>) -> Result<S::Values, Error> {
        for (query, found) in self.queries.iter().zip(&mut self.found) {
            let taken = &self.taken[query.history];
            let own = taken.as_ref().filter(|_| query.own);
            let stretch = view.stretch(query.history, &query.span, query.delay, own.is_some())?;
            match view.column(&stretch) {
                Some(Items::Times) => found.count = view.count(&stretch) + u64::from(own.is_some()),
                Some(Items::Numbers(_)) => {
                    let mut part = view.past(&stretch).map_or(Part::Numbers(Sums::default()), |past| past.part.clone());
                    view.visit(&stretch, &mut |piece| {
                        match piece {
                            Piece::Items(times, column, range) => column.sum_up(times, range, &mut part),
                            Piece::Whole(entry) => Items::merge(&mut part, &entry.part),
                        }
                        true
                    })?;
                    if let Part::Numbers(mut sums) = part {
                        if let Some(Taken::Number(number)) = own {
                            sums.add(view.time(), *number);
                        }
                        found.sums = sums;
                    }
                }
                Some(Items::Values(_)) => {
                    found.distinct = view.count_distinct(&stretch)?;
                    found.is_new = match taken {
                        Some(Taken::Value(value)) => Some(!view.contains(&stretch, value)?),
                        _ => None,
                    };
                    found.distinct += u64::from(own.is_some() && found.is_new == Some(true));
                }
                None => {}
            }
        }
        Ok(self.set.values(&self.found))
    }

    fn feeds(&mut self, _: &T, history: usize) -> Option<Feed<Items>> {
        Some(match self.taken[history].take()? {
            Taken::Time => Feed::Item(Item::Time),
            Taken::Number(number) => Feed::Item(Item::Number(number)),
            Taken::Value(value) => Feed::Value(value),
        })
    }

    fn out(&self, record: T, values: S::Values) -> (T, S::Values) {
        (record, values)
    }
}

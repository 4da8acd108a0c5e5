//! Two keyed streams to be joined.

use tidegate_runtime::operator::keyed;
use tidegate_runtime::state::{Key, Stored};
use tidegate_runtime::{Data, Edge, OperatorSpec};

use super::{Either, Interval, IntervalLogic, JoinType, TemporalLogic, Unmatched};
use crate::kinds;
use crate::stream::Stream;
use crate::ties::Ties;
use crate::window::{Assigner, WindowedStream};

/// Two streams with keys of the same type, combined into one stream of their records.
pub struct JoinedStreams<'s, L: 'static, R: 'static, F> {
    edge: Edge<'s, Either<L, R>>,
    key: F,
}

/// The results of a join, and the late records.
type Joined<'s, L, R, O> = (Stream<'s, O>, Stream<'s, Either<L, R>>);

impl<'s, L: Data, R: Data, F> JoinedStreams<'s, L, R, F> {
    pub(crate) fn new(edge: Edge<'s, Either<L, R>>, key: F) -> Self {
        Self { edge, key }
    }

    /// Joins records whose event times differ by an amount in `interval`; `pair` makes the results. The second stream holds the late
    /// records.
    #[must_use]
    pub fn interval<K, O, G>(self, name: &str, interval: Interval, kind: JoinType, pair: G) -> Joined<'s, L, R, O>
    where
        L: Stored,
        R: Stored,
        K: Key,
        O: Clone + 'static,
        F: Fn(&Either<L, R>) -> K + Clone + 'static,
        G: FnMut(&K, Option<&L>, Option<&R>) -> O + 'static,
    {
        let key = self.key.clone();
        let label = format!("{kind} interval join: {interval}");
        let spec = OperatorSpec::new(kinds::INTERVAL_JOIN).of_form(format!("{kind} join")).labelled(label);
        let (main, late) =
            keyed(self.edge, name, spec, Some("late"), self.key, |context| IntervalLogic::new(key, interval, kind, pair, context));
        (Stream::from_edge(main), Stream::from_edge(late))
    }

    /// Joins each left record with the version of the table row that was valid for its key at its event time. The right stream is the
    /// table: each record is a version, valid until the next one, and a record that `deletes` ends the validity of the version before it.
    /// Of several versions with the same time, the last to arrive is valid, or with `ties` the last in their order. The second stream holds
    /// the late records.
    ///
    /// ```
    /// use tidegate_connectors::local::{collect, records};
    /// use tidegate_operators::join::Unmatched;
    ///
    /// let converted = collect(|flow| {
    ///     let payments = records(flow, "payments", [(15, ("EUR".to_owned(), 100)), (25, ("EUR".to_owned(), 100))]);
    ///     let rates = records(flow, "rates", [(10, ("EUR".to_owned(), 110)), (20, ("EUR".to_owned(), 120))]);
    ///     let payments = payments.key_by(|(currency, _): &(String, i64)| currency.clone());
    ///     let rates = rates.key_by(|(currency, _): &(String, i64)| currency.clone());
    ///     let pair = |_: &String, payment: &(String, i64), rate: Option<&(String, i64)>| rate.map(|rate| payment.1 * rate.1 / 100);
    ///     payments.join("rated", rates).temporal("rate_of_the_time", Unmatched::Drop, |_| false, pair, None).0
    /// })?;
    /// assert_eq!(converted, [(15, Some(110)), (25, Some(120))]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn temporal<K, O, D, G>(self, name: &str, unmatched: Unmatched, deletes: D, pair: G, ties: Option<Ties<R>>) -> Joined<'s, L, R, O>
    where
        L: Stored,
        R: Stored,
        K: Key,
        O: Clone + 'static,
        F: Fn(&Either<L, R>) -> K + Clone + 'static,
        D: FnMut(&R) -> bool + 'static,
        G: FnMut(&K, &L, Option<&R>) -> O + 'static,
    {
        let key = self.key.clone();
        let label = format!("{unmatched} temporal join");
        let spec = OperatorSpec::new(kinds::TEMPORAL_JOIN).of_form(format!("{unmatched} join")).labelled(label);
        let (main, late) = keyed(self.edge, name, spec, Some("late"), self.key, |context| {
            TemporalLogic::new(key, deletes, unmatched, pair, ties, context)
        });
        (Stream::from_edge(main), Stream::from_edge(late))
    }

    /// Assigns both streams to the same windows. The window function is [`Pairs`](super::Pairs), [`CoGroup`](super::CoGroup) or any other.
    ///
    /// ```
    /// use tidegate_connectors::local::{collect, records};
    /// use std::time::Duration;
    /// use tidegate_operators::Window;
    /// use tidegate_operators::join::{JoinType, Pairs};
    ///
    /// let pairs = collect(|flow| {
    ///     let left = records(flow, "clicks", [(1, (1u64, 10i64))]).key_by(|(user, _): &(u64, i64)| *user);
    ///     let right = records(flow, "orders", [(8, (1u64, 20i64))]).key_by(|(user, _): &(u64, i64)| *user);
    ///     let pair = |_: &u64, _, click: Option<&(u64, i64)>, order: Option<&(u64, i64)>| (click.map(|c| c.1), order.map(|o| o.1));
    ///     let window = Window::tumbling(Duration::from_millis(10), 0).unwrap();
    ///     left.join("same_window", right).window(window).process("pairs", Pairs::new(JoinType::Inner, pair)).0
    /// })?;
    /// assert_eq!(pairs, [(9, (Some(10), Some(20)))]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn window<W: Assigner<Either<L, R>>>(self, window: W) -> WindowedStream<'s, Either<L, R>, F, W> {
        WindowedStream::new(self.edge, self.key, window)
    }
}

//! Two keyed streams seen together.

use tidegate_runtime::operator::keyed;
use tidegate_runtime::state::{Key, Stored};
use tidegate_runtime::{Data, Edge, OperatorSpec};

use super::{Either, Interval, IntervalLogic, JoinType, TemporalLogic, Unmatched};
use crate::kinds;
use crate::stream::Stream;
use crate::ties::Ties;
use crate::window::{Assigner, WindowedStream};

/// Two streams with keys of one type, as one stream of their records.
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

    /// Joins records whose event times differ by what `interval` says; `pair` makes the results. The second stream is the late records.
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

    /// Joins each record of the left with what a table says of its key at its time, in event time. The right is the table: each record a
    /// version, valid until the next one; one that `deletes` ends the validity of the one before it. Of versions of one time the last to come holds, or
    /// given `ties` the last by them. The second stream is the late records.
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

    /// Cuts both streams into the same windows, whose function is [`Pairs`](super::Pairs), [`CoGroup`](super::CoGroup) or any other.
    #[must_use]
    pub fn window<W: Assigner<Either<L, R>>>(self, window: W) -> WindowedStream<'s, Either<L, R>, F, W> {
        WindowedStream::new(self.edge, self.key, window)
    }
}

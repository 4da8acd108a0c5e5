//! Keyed streams.

use std::time::Duration;

use tidegate_runtime::operator::keyed;
use tidegate_runtime::state::{Key, Stored, Ttl};
use tidegate_runtime::{Data, Edge, Error, OperatorSpec};

use crate::aggregate::Aggregate;
use crate::dedupe::{DedupeLogic, Keep};
use crate::either::Either;
use crate::indicator::{Flow, IndicatorLogic, IndicatorSet, Indicators, OfRecords};
use crate::join::JoinedStreams;
use crate::kinds;
use crate::process::{ProcessFunction, ProcessLogic};
use crate::reduce::ReduceLogic;
use crate::running::RunningLogic;
use crate::stream::Stream;
use crate::ties::Ties;
use crate::top::TopLogic;
use crate::window::{Assigner, CountWindow, CountedStream, WindowedStream};

/// The label of an operator: `what`, followed by `exactly` unless that is empty.
pub(crate) fn label(what: &str, exactly: &str) -> String {
    if exactly.is_empty() { what.to_owned() } else { format!("{what}: {exactly}") }
}

/// A stream partitioned by key. Each key has its own state, timers and windows.
pub struct KeyedStream<'s, T: 'static, F> {
    edge: Edge<'s, T>,
    key: F,
    ttl: Option<Ttl>,
}

impl<'s, T: Data, F> KeyedStream<'s, T, F> {
    pub(crate) fn new(edge: Edge<'s, T>, key: F) -> Self {
        Self { edge, key, ttl: None }
    }

    /// The edge and the key function of this stream, for custom operators.
    #[must_use]
    pub fn into_parts(self) -> (Edge<'s, T>, F) {
        (self.edge, self.key)
    }

    /// Makes running aggregates and `reduce` forget a key once it has not been written for the TTL.
    #[must_use]
    pub fn state_ttl(self, ttl: impl Into<Option<Ttl>>) -> Self {
        Self { ttl: ttl.into(), ..self }
    }

    /// Combines each record with the result so far of its key; emits one output per input.
    ///
    /// ```
    /// use tidegate_connectors::local::{collect, records};
    ///
    /// let greatest = collect(|flow| {
    ///     records(flow, "bids", [(10, (1, 50)), (20, (1, 40)), (30, (1, 60))])
    ///         .key_by(|(item, _): &(u64, i64)| *item)
    ///         .reduce("greatest", |a, b| if a.1 >= b.1 { *a } else { *b })
    /// })?;
    /// assert_eq!(greatest, [(10, (1, 50)), (20, (1, 50)), (30, (1, 60))]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn reduce<K>(self, name: &str, f: impl FnMut(&T, &T) -> T + 'static) -> Stream<'s, T>
    where
        T: Stored,
        K: Key,
        F: Fn(&T) -> K + Clone + 'static,
    {
        let key = self.key.clone();
        let (main, _) = keyed(self.edge, name, kinds::REDUCE, None, self.key, |context| ReduceLogic::new(key, f, self.ttl, context));
        Stream::from_edge(main)
    }

    /// The running aggregate of each key: one output per input, with the input's event time.
    ///
    /// ```
    /// use tidegate_connectors::local::{collect, records};
    /// use tidegate_operators::{Count, IntegerSum};
    ///
    /// let spent = collect(|flow| {
    ///     records(flow, "payments", [(10, (1, 50)), (20, (2, 7)), (30, (1, 20))])
    ///         .key_by(|(card, _): &(u64, i64)| *card)
    ///         .aggregate("spent", (Count, IntegerSum(|(_, amount): &(u64, i64)| *amount)))
    /// })?;
    /// assert_eq!(spent, [(10, (1, (1, 50))), (20, (2, (1, 7))), (30, (1, (2, 70)))]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn aggregate<K, A>(self, name: &str, aggregate: A) -> Stream<'s, (K, A::Out)>
    where
        K: Key,
        F: Fn(&T) -> K + Clone + 'static,
        A: Aggregate<T>,
    {
        let key = self.key.clone();
        let spec = OperatorSpec::new(kinds::AGGREGATE).labelled(label("running aggregate", &aggregate.describe()));
        let (main, _) = keyed(self.edge, name, spec, None, self.key, |context| RunningLogic::new(key, aggregate, self.ttl, context));
        Stream::from_edge(main)
    }

    /// Runs a function with keyed state and timers.
    ///
    /// ```
    /// use tidegate_connectors::local::{collect, records};
    /// use tidegate_operators::{ProcessContext, ProcessFunction, Timer};
    /// use tidegate_runtime::Error;
    /// use tidegate_runtime::state::{States, ValueState};
    ///
    /// /// Tells of orders that are not paid within 15 minutes.
    /// #[derive(Default)]
    /// struct Unpaid(Option<ValueState<u64, bool>>);
    ///
    /// impl ProcessFunction<u64, (u64, bool)> for Unpaid {
    ///     type Out = u64;
    ///
    ///     fn open(&mut self, states: &mut States) -> Result<(), Error> {
    ///         self.0 = Some(states.value("paid")?);
    ///         Ok(())
    ///     }
    ///
    ///     fn process(&mut self, (order, paid): (u64, bool), context: &mut ProcessContext<'_, u64, u64>) -> Result<(), Error> {
    ///         let Some(state) = &self.0 else { return Ok(()) };
    ///         state.set(&order, paid)?;
    ///         if !paid {
    ///             context.set_event_timer(context.time() + 15 * 60_000);
    ///         }
    ///         Ok(())
    ///     }
    ///
    ///     fn on_timer(&mut self, _: Timer, context: &mut ProcessContext<'_, u64, u64>) -> Result<(), Error> {
    ///         let Some(state) = &self.0 else { return Ok(()) };
    ///         if state.remove(context.key())? == Some(false) {
    ///             context.emit(*context.key());
    ///         }
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let unpaid = collect(|flow| {
    ///     records(flow, "orders", [(0, (1, false)), (0, (2, false)), (60_000, (1, true))])
    ///         .key_by(|(order, _): &(u64, bool)| *order)
    ///         .process("unpaid", Unpaid::default())
    /// })?;
    /// assert_eq!(unpaid, [(900_000, 2)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn process<K, P>(self, name: &str, function: P) -> Stream<'s, P::Out>
    where
        K: Key,
        F: Fn(&T) -> K + Clone + 'static,
        P: ProcessFunction<K, T>,
    {
        let key = self.key.clone();
        let (main, _) = keyed(self.edge, name, kinds::PROCESS, None, self.key, |context| ProcessLogic::new(key, function, context));
        Stream::from_edge(main)
    }

    /// Assigns each key's records to windows: a [`Window`](crate::Window), sessions with a gap per record, or a custom assigner.
    ///
    /// ```
    /// use tidegate_connectors::local::{collect, records};
    /// use std::time::Duration;
    /// use tidegate_operators::{Count, Window};
    ///
    /// let failures = collect(|flow| {
    ///     // How many failures each user had in the last five seconds, every second.
    ///     let window = Window::sliding(Duration::from_secs(5), Duration::from_secs(1), 0).unwrap();
    ///     records(flow, "failures", [(500, 1u64), (1_500, 1)])
    ///         .key_by(|user: &u64| *user)
    ///         .window(window)
    ///         .aggregate("failures_of_users", Count)
    ///         .map("counts", |result| (result.key, result.value))
    /// })?;
    /// let expected = [(999, 1), (1_999, 2), (2_999, 2), (3_999, 2), (4_999, 2), (5_999, 1)];
    /// assert_eq!(failures, expected.map(|(time, count)| (time, (1, count))));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn window<W: Assigner<T>>(self, window: W) -> WindowedStream<'s, T, F, W> {
        WindowedStream::new(self.edge, self.key, window)
    }

    /// Passes one record per key within a span of event time that begins with the first record. The second stream holds the late records.
    ///
    /// Without `ties`, records are processed in order of arrival. With `ties`, they are processed in order of event time once the watermark
    /// has reached it, so that the order of arrival does not affect the result.
    ///
    /// ```
    /// use tidegate_connectors::local::{collect, records};
    /// use std::time::Duration;
    /// use tidegate_operators::Keep;
    ///
    /// let first = collect(|flow| {
    ///     records(flow, "alerts", [(0, (1, 10)), (30_000, (1, 20)), (90_000, (1, 30))])
    ///         .key_by(|(user, _): &(u64, i64)| *user)
    ///         .dedupe("once_a_minute", Keep::First, Duration::from_secs(60), None)
    ///         .0
    /// })?;
    /// assert_eq!(first, [(0, (1, 10)), (90_000, (1, 30))]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn dedupe<K>(self, name: &str, keep: Keep, span: Duration, ties: Option<Ties<T>>) -> (Stream<'s, T>, Stream<'s, T>)
    where
        T: Stored,
        K: Key,
        F: Fn(&T) -> K + Clone + 'static,
    {
        let key = self.key.clone();
        let spec = match ties {
            None => OperatorSpec::new(kinds::DEDUPE).of_form("as records come"),
            Some(_) => OperatorSpec::new(kinds::DEDUPE).of_form("in order of event time").labelled("dedupe in order of event time"),
        };
        let (main, late) = keyed(self.edge, name, spec, Some("late"), self.key, |context| DedupeLogic::new(key, keep, span, ties, context));
        (Stream::from_edge(main), Stream::from_edge(late))
    }

    /// Emits a record with its rank, counted from 1, when it enters the `n` records of its key with the greatest `measure`. Records of
    /// equal measure rank in the order of `ties`. To do this in windows, use the aggregate [`Top`](crate::Top).
    ///
    /// ```
    /// use tidegate_connectors::local::{collect, records};
    ///
    /// let ranks = collect(|flow| {
    ///     records(flow, "scores", [(1, (7, 50)), (2, (8, 90)), (3, (9, 20))])
    ///         .key_by(|_: &(u64, i64)| ())
    ///         .top("best_two", 2, |(_, score)| Ok(Some(*score)), Box::new(|a, b| a.0.cmp(&b.0)))
    /// })?;
    /// assert_eq!(ranks, [(1, (1, (7, 50))), (2, (1, (8, 90)))]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn top<K, O, M>(self, name: &str, n: usize, measure: M, ties: Ties<T>) -> Stream<'s, (u64, T)>
    where
        T: Stored,
        K: Key,
        O: Stored + Ord,
        F: Fn(&T) -> K + Clone + 'static,
        M: FnMut(&T) -> Result<Option<O>, Error> + 'static,
    {
        let key = self.key.clone();
        let spec = OperatorSpec::new(kinds::TOP).of_form(format!("top {n}")).labelled(format!("top {n}"));
        let (main, _) = keyed(self.edge, name, spec, None, self.key, |context| TopLogic::new(key, n, measure, ties, context));
        Stream::from_edge(main)
    }

    /// Adds indicators to each record: what is known of its key at its moment, over spans of event time. A record goes on at once. What comes before it in the
    /// stream and is not later in event time counts, and so does the record itself.
    ///
    /// Indicators over the same history share it. Its name is its identity in savepoints.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidegate_connectors::local::{collect, records};
    /// use tidegate_operators::indicator::{Numbers, Records, Span, Values};
    ///
    /// /// A card, an amount and a country.
    /// type Payment = (u64, f64, String);
    ///
    /// const HOUR: Duration = Duration::from_secs(3_600);
    /// let features = collect(|flow| {
    ///     let all = Records::that("all", |_: &Payment| true);
    ///     let amounts = Numbers::of("amount", |payment: &Payment| Some(payment.1));
    ///     let countries = Values::of("country", |payment: &Payment| Some(payment.2.clone()));
    ///     let paid = [(0, 20.0, "DE"), (60_000, 30.0, "DE"), (7_200_000, 400.0, "BR")];
    ///     records(flow, "payments", paid.map(|(time, amount, country)| (time, (7, amount, country.to_owned()))))
    ///     .key_by(|payment: &Payment| payment.0)
    ///     .indicators("features", (
    ///         all.count(Span::trailing(HOUR)),
    ///         amounts.avg(Span::ever()).without_itself(),
    ///         countries.is_new(Span::ever()),
    ///     ))
    ///     .map("values", |(_, values)| values)
    /// })?;
    /// assert_eq!(features.iter().map(|(_, values)| *values).collect::<Vec<_>>(), [
    ///     (1, None, Some(true)),
    ///     (2, Some(20.0), Some(false)),
    ///     (1, Some(25.0), Some(true)),
    /// ]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn indicators<K, S>(self, name: &str, indicators: S) -> Stream<'s, (T, S::Values)>
    where
        T: Stored,
        K: Key,
        F: Fn(&T) -> K + Clone + 'static,
        S: IndicatorSet<T>,
    {
        let spec = OperatorSpec::new(kinds::INDICATORS).of_form("as records come");
        self.indicators_by(name, spec, OfRecords::new(indicators), Flow::Arrival { lateness: 0 }).0
    }

    /// Computes indicators for each record from the histories of its key. The second stream holds the late records, which there are if records
    /// go on in the order of time.
    #[must_use]
    pub fn indicators_by<K, I>(self, name: &str, spec: OperatorSpec, indicators: I, flow: Flow<T>) -> (Stream<'s, I::Out>, Stream<'s, T>)
    where
        T: Stored,
        K: Key,
        F: Fn(&T) -> K + Clone + 'static,
        I: Indicators<In = T>,
    {
        let key = self.key.clone();
        let side = matches!(flow, Flow::Time(_)).then_some("late");
        let (main, late) =
            keyed(self.edge, name, spec, side, self.key, |context| IndicatorLogic::new(key, |_| 0, indicators, flow, context));
        (Stream::from_edge(main), Stream::from_edge(late))
    }

    /// Pairs this stream with another whose keys have the same type, to join them. `name` prefixes the names of the operators that feed the
    /// join.
    ///
    /// ```
    /// use tidegate_connectors::local::{collect, records};
    /// use tidegate_operators::join::{Interval, JoinType};
    ///
    /// let paid = collect(|flow| {
    ///     let orders = records(flow, "orders", [(0, (1u64, 30i64))]).key_by(|(order, _): &(u64, i64)| *order);
    ///     let payments = records(flow, "payments", [(60_000, 1u64)]).key_by(|order: &u64| *order);
    ///     // A payment at most 15 minutes after its order.
    ///     let interval = Interval::new(0, 15 * 60_000).unwrap();
    ///     orders.join("paid", payments).interval("orders_and_payments", interval, JoinType::Inner, |order, _, _| *order).0
    /// })?;
    /// assert_eq!(paid, [(60_000, 1)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn join<K, U, G>(
        self,
        name: &str,
        other: KeyedStream<'s, U, G>,
    ) -> JoinedStreams<'s, T, U, impl Fn(&Either<T, U>) -> K + Clone + 'static>
    where
        K: Key,
        U: Data,
        F: Fn(&T) -> K + Clone + 'static,
        G: Fn(&U) -> K + Clone + 'static,
    {
        let left = Stream::from_edge(self.edge).map(&format!("{name}/left"), Either::Left);
        let right = Stream::from_edge(other.edge).map(&format!("{name}/right"), Either::Right);
        let (of_left, of_right) = (self.key, other.key);
        let key = move |either: &Either<T, U>| match either {
            Either::Left(value) => of_left(value),
            Either::Right(value) => of_right(value),
        };
        JoinedStreams::new(left.union(right).into_edge(), key)
    }

    /// Groups each key's records into windows of a fixed number of records.
    ///
    /// ```
    /// use tidegate_connectors::local::{collect, records};
    /// use std::num::NonZeroU64;
    /// use tidegate_operators::{IntegerSum, window::CountWindow};
    ///
    /// let sums = collect(|flow| {
    ///     let three = NonZeroU64::new(3).unwrap();
    ///     records(flow, "numbers", [(1, 10), (2, 20), (3, 30), (4, 40)])
    ///         .key_by(|_: &i64| 0u64)
    ///         .count_window(CountWindow::new(three, three))
    ///         .aggregate("sum_of_three", IntegerSum(|n: &i64| *n))
    /// })?;
    /// assert_eq!(sums, [(3, (0, 60))]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn count_window(self, window: CountWindow) -> CountedStream<'s, T, F> {
        CountedStream::new(self.edge, self.key, window)
    }
}

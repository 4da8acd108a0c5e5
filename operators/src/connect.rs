//! Two keyed streams of different record types, processed by one function that shares state and timers between them.

use tidegate_runtime::operator::{self, keyed};
use tidegate_runtime::state::{Key, States};
use tidegate_runtime::{Data, Edge, Error, OperatorSpec, Record};

use crate::either::Either;
use crate::keyed::KeyedStream;
use crate::kinds;
use crate::process::{ProcessContext, ProcessFunction, ProcessLogic, Timer};
use crate::stream::Stream;

/// A function over two keyed streams. Declare states in `open` and keep them as fields: what one stream writes, the other can read.
pub trait CoProcessFunction<K, A, B>: 'static {
    /// The type of the records it emits.
    type Out: Clone + 'static;

    /// Declares the states. Called once on every worker when the job is built. The states are usable from the first record on.
    ///
    /// # Errors
    /// An error here means that the job can't be built.
    fn open(&mut self, _states: &mut States) -> Result<(), Error> {
        Ok(())
    }

    /// Called for each record of the first stream.
    ///
    /// # Errors
    /// An error here fails the job.
    fn process_first(&mut self, value: A, context: &mut ProcessContext<'_, K, Self::Out>) -> Result<(), Error>;

    /// Called for each record of the second stream.
    ///
    /// # Errors
    /// An error here fails the job.
    fn process_second(&mut self, value: B, context: &mut ProcessContext<'_, K, Self::Out>) -> Result<(), Error>;

    /// Called when a timer of the key fires.
    ///
    /// # Errors
    /// An error here fails the job.
    fn on_timer(&mut self, _timer: Timer, _context: &mut ProcessContext<'_, K, Self::Out>) -> Result<(), Error> {
        Ok(())
    }
}

/// Wraps the records of a stream as [`Either::Left`].
pub(crate) fn first<'s, A: Data, B: Clone + 'static>(edge: Edge<'s, A>, name: &str) -> Edge<'s, Either<A, B>> {
    side(edge, name, Either::Left)
}

/// Wraps the records of a stream with `side`.
fn side<'s, T: Data, A: Clone + 'static, B: Clone + 'static>(
    edge: Edge<'s, T>,
    name: &str,
    side: impl Fn(T) -> Either<A, B> + 'static,
) -> Edge<'s, Either<A, B>> {
    operator::stateless(edge, name, kinds::CONNECT, |_| {
        move |records: &mut Vec<Record<T>>, out: &mut Vec<Record<Either<A, B>>>| {
            out.extend(records.drain(..).map(|record| Record::new(record.time, side(record.value))));
            Ok(())
        }
    })
}

/// Two streams with keys of the same type.
pub struct ConnectedStreams<'s, A: 'static, B: 'static, F, G> {
    first: KeyedStream<'s, A, F>,
    second: KeyedStream<'s, B, G>,
}

impl<'s, A: Data, F> KeyedStream<'s, A, F> {
    /// Connects this stream with another whose keys have the same type.
    ///
    /// ```
    /// use tidegate_connectors::local::{collect, records};
    /// use tidegate_operators::{CoProcessFunction, ProcessContext};
    /// use tidegate_runtime::Error;
    /// use tidegate_runtime::state::{States, ValueState};
    ///
    /// /// Lets the orders of blocked users not pass.
    /// #[derive(Default)]
    /// struct Unblocked(Option<ValueState<u64, bool>>);
    ///
    /// impl CoProcessFunction<u64, (u64, i64), (u64, bool)> for Unblocked {
    ///     type Out = (u64, i64);
    ///
    ///     fn open(&mut self, states: &mut States) -> Result<(), Error> {
    ///         self.0 = Some(states.value("blocked")?);
    ///         Ok(())
    ///     }
    ///
    ///     fn process_first(&mut self, order: (u64, i64), context: &mut ProcessContext<'_, u64, (u64, i64)>) -> Result<(), Error> {
    ///         let blocked = self.0.as_ref().map_or(Ok(None), |state| state.get(&order.0))?;
    ///         if blocked != Some(true) {
    ///             context.emit(order);
    ///         }
    ///         Ok(())
    ///     }
    ///
    ///     fn process_second(&mut self, (user, blocked): (u64, bool), _: &mut ProcessContext<'_, u64, (u64, i64)>) -> Result<(), Error> {
    ///         self.0.as_ref().map_or(Ok(()), |state| state.set(&user, blocked))
    ///     }
    /// }
    ///
    /// let passed = collect(|flow| {
    ///     let orders = records(flow, "orders", [(10, (1, 30))]).key_by(|(user, _): &(u64, i64)| *user);
    ///     let blocks = records(flow, "blocks", [(10, (2, true))]).key_by(|(user, _): &(u64, bool)| *user);
    ///     orders.connect(blocks).process("unblocked", Unblocked::default())
    /// })?;
    /// assert_eq!(passed, [(10, (1, 30))]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn connect<B: Data, G>(self, second: KeyedStream<'s, B, G>) -> ConnectedStreams<'s, A, B, F, G> {
        ConnectedStreams { first: self, second }
    }
}

impl<'s, A: Data, B: Data, F, G> ConnectedStreams<'s, A, B, F, G> {
    /// Runs a function with keyed state and timers over both streams.
    #[must_use]
    pub fn process<K, P>(self, name: &str, function: P) -> Stream<'s, P::Out>
    where
        K: Key,
        F: Fn(&A) -> K + Clone + 'static,
        G: Fn(&B) -> K + Clone + 'static,
        P: CoProcessFunction<K, A, B>,
    {
        let ((first, of_first), (second, of_second)) = (self.first.into_parts(), self.second.into_parts());
        let key = move |record: &Either<A, B>| match record {
            Either::Left(value) => of_first(value),
            Either::Right(value) => of_second(value),
        };
        let second = side(second, &format!("{name}/second"), Either::Right);
        let edge = self::first(first, &format!("{name}/first")).union(second);
        let (main, _) = keyed(edge, name, OperatorSpec::new(kinds::CO_PROCESS).labelled("co-process"), None, key.clone(), |context| {
            ProcessLogic::new(key, Both(function), context)
        });
        Stream::from_edge(main)
    }
}

/// Adapts a function over two streams to a process function over their union.
pub(crate) struct Both<P>(pub(crate) P);

impl<K, A, B, P> ProcessFunction<K, Either<A, B>> for Both<P>
where
    P: CoProcessFunction<K, A, B>,
{
    type Out = P::Out;

    fn open(&mut self, states: &mut States) -> Result<(), Error> {
        self.0.open(states)
    }

    fn process(&mut self, value: Either<A, B>, context: &mut ProcessContext<'_, K, P::Out>) -> Result<(), Error> {
        match value {
            Either::Left(value) => self.0.process_first(value, context),
            Either::Right(value) => self.0.process_second(value, context),
        }
    }

    fn on_timer(&mut self, timer: Timer, context: &mut ProcessContext<'_, K, P::Out>) -> Result<(), Error> {
        self.0.on_timer(timer, context)
    }
}

//! A keyed stream connected with a broadcast stream that every worker receives: for example, events and the rules that apply to them.

use std::marker::PhantomData;

use serde::{Deserialize, Serialize};
use tidegate_runtime::operator::{self, Context, Logic, Outbox, Target, routed};
use tidegate_runtime::state::{Broadcast, Handle, Key, SharedMap, States, Stored};
use tidegate_runtime::{Data, Error, Record, Watermark};

use crate::connect::first;
use crate::either::Either;
use crate::keyed::KeyedStream;
use crate::kinds;
use crate::process::{ProcessContext, Timer, TimersOf};
use crate::stream::Stream;

/// A function over a keyed stream and a broadcast stream. It has keyed state, timers, and a map, such as a set of rules, that is the same
/// on every worker.
///
/// Every worker receives every broadcast record, in the same order. Only broadcast records may change the map, and they must change it in
/// the same way on every worker, whatever keys the worker has. The map is kept once per process, however many workers share it.
///
/// A keyed record sees all broadcast records of the epochs before its own and none of later epochs, so that a checkpoint holds the map that
/// its keyed state was computed with. Of its own epoch's broadcast records it sees a prefix, never shorter than what the record before it
/// on this worker saw; how long the prefix is depends on the run. Event time is that of the keyed stream alone: a slow or silent broadcast
/// stream does not hold it back, so a record may arrive before a rule with an earlier time.
pub trait BroadcastProcessFunction<K, T, B>: 'static {
    /// The type of the records it emits.
    type Out: Clone + 'static;
    /// The keys of the broadcast map.
    type Name: Key + Sync;
    /// The values of the broadcast map.
    type Rule: Stored + Sync;

    /// Declares the keyed states. Called once on every worker when the job is built. The states are usable from the first record on.
    ///
    /// # Errors
    /// An error here means that the job can't be built.
    fn open(&mut self, _states: &mut States) -> Result<(), Error> {
        Ok(())
    }

    /// Called once on every worker, before the first record. The map holds the contents of the snapshot that the job resumes from, or
    /// nothing on a fresh start. This is the place to compile rules that [`process_broadcast`](Self::process_broadcast) saw in an earlier
    /// run.
    ///
    /// # Errors
    /// An error here fails the job.
    fn restored(&mut self, _rules: &SharedMap<Self::Name, Self::Rule>) -> Result<(), Error> {
        Ok(())
    }

    /// Called for each record of the keyed stream.
    ///
    /// # Errors
    /// An error here fails the job.
    fn process(
        &mut self,
        value: T,
        rules: &SharedMap<Self::Name, Self::Rule>,
        context: &mut ProcessContext<'_, K, Self::Out>,
    ) -> Result<(), Error>;

    /// Called for each broadcast record. There is no current key; use the `for_each` of a state to visit all keys of this worker.
    ///
    /// # Errors
    /// An error here fails the job.
    fn process_broadcast(
        &mut self,
        value: B,
        rules: &mut SharedMap<Self::Name, Self::Rule>,
        context: &mut BroadcastContext<'_, Self::Out>,
    ) -> Result<(), Error>;

    /// Called when a timer of the key fires.
    ///
    /// # Errors
    /// An error here fails the job.
    fn on_timer(
        &mut self,
        _timer: Timer,
        _rules: &SharedMap<Self::Name, Self::Rule>,
        _context: &mut ProcessContext<'_, K, Self::Out>,
    ) -> Result<(), Error> {
        Ok(())
    }
}

/// What a function can see and do while it processes a broadcast record.
pub struct BroadcastContext<'a, Out> {
    time: i64,
    out: &'a mut Outbox<Out, ()>,
}

impl<Out> BroadcastContext<'_, Out> {
    /// The event time of the record.
    #[must_use]
    pub fn time(&self) -> i64 {
        self.time
    }

    /// The current watermark.
    #[must_use]
    pub fn watermark(&self) -> Watermark {
        self.out.watermark()
    }

    /// Emits `value` with the event time of the record. The function runs on every worker, so each worker emits.
    pub fn emit(&mut self, value: Out) {
        self.out.emit(self.time, value);
    }
}

/// A keyed stream connected with a broadcast stream.
pub struct BroadcastConnectedStreams<'s, T: 'static, B: 'static, F> {
    keyed: KeyedStream<'s, T, F>,
    broadcast: Stream<'s, B>,
}

impl<'s, T: Data, F> KeyedStream<'s, T, F> {
    /// Connects this stream with `broadcast`, whose records all go to every worker. Event time is that of this stream; `broadcast` does not
    /// hold it back.
    ///
    /// ```
    /// use tidegate_connectors::local::{collect, records};
    /// use tidegate_operators::{BroadcastContext, BroadcastProcessFunction, ProcessContext};
    /// use tidegate_runtime::Error;
    /// use tidegate_runtime::state::SharedMap;
    ///
    /// /// Passes payments above the limit of their country.
    /// struct Limits;
    ///
    /// type Payment = (String, i64);
    ///
    /// impl BroadcastProcessFunction<String, Payment, (String, i64)> for Limits {
    ///     type Out = Payment;
    ///     type Name = String;
    ///     type Rule = i64;
    ///
    ///     fn process(
    ///         &mut self,
    ///         payment: Payment,
    ///         limits: &SharedMap<String, i64>,
    ///         context: &mut ProcessContext<'_, String, Payment>,
    ///     ) -> Result<(), Error> {
    ///         if limits.get(&payment.0).is_some_and(|limit| payment.1 > *limit) {
    ///             context.emit(payment);
    ///         }
    ///         Ok(())
    ///     }
    ///
    ///     fn process_broadcast(
    ///         &mut self,
    ///         (country, limit): (String, i64),
    ///         limits: &mut SharedMap<String, i64>,
    ///         _: &mut BroadcastContext<'_, Payment>,
    ///     ) -> Result<(), Error> {
    ///         limits.insert(country, limit);
    ///         Ok(())
    ///     }
    /// }
    ///
    /// // Which payments see the limit depends on the run: broadcast records have no order among the others.
    /// let large = collect(|flow| {
    ///     let limits = records(flow, "limits", [(0, ("FR".to_owned(), 100))]);
    ///     let payments = records(flow, "payments", [(1, ("FR".to_owned(), 50)), (2, ("DE".to_owned(), 500))]);
    ///     payments.key_by(|(country, _): &Payment| country.clone()).connect_broadcast(limits).process("large", Limits)
    /// })?;
    /// assert_eq!(large, []);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn connect_broadcast<B: Data>(self, broadcast: Stream<'s, B>) -> BroadcastConnectedStreams<'s, T, B, F> {
        BroadcastConnectedStreams { keyed: self, broadcast }
    }
}

/// A broadcast record on its way to one worker.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Copy<B> {
    pub(crate) worker: usize,
    pub(crate) value: B,
}

impl<'s, T: Data, B: Data, F> BroadcastConnectedStreams<'s, T, B, F> {
    /// Runs a function with keyed state, timers and a broadcast map.
    #[must_use]
    pub fn process<K, P>(self, name: &str, function: P) -> Stream<'s, P::Out>
    where
        K: Key,
        F: Fn(&T) -> K + Clone + 'static,
        P: BroadcastProcessFunction<K, T, B>,
    {
        let (edge, key) = self.keyed.into_parts();
        let copy = |worker, value: &B| Either::Right(Copy { worker, value: value.clone() });
        let copies = operator::broadcast(self.broadcast.into_edge(), &format!("{name}/broadcast"), copy);
        let edge = first(edge, &format!("{name}/keyed")).union(copies);
        let of_record = key.clone();
        let target = move |record: &Either<T, Copy<B>>| match record {
            Either::Left(value) => Target::Key(of_record(value)),
            Either::Right(copy) => Target::Worker(copy.worker),
        };
        let (main, _) = routed(edge, name, kinds::BROADCAST_PROCESS, None, target, |context| BroadcastLogic::new(key, function, context));
        Stream::from_edge(main)
    }
}

pub(crate) struct BroadcastLogic<K, T, B, F, P: BroadcastProcessFunction<K, T, B>> {
    key: F,
    function: P,
    timers: TimersOf<K>,
    rules: Handle<Broadcast<P::Name, P::Rule>>,
    records: PhantomData<fn(T, B)>,
}

impl<K, T, B, F, P> BroadcastLogic<K, T, B, F, P>
where
    K: Key,
    P: BroadcastProcessFunction<K, T, B>,
{
    pub(crate) fn new(key: F, mut function: P, context: &mut Context) -> Result<Self, Error> {
        function.open(&mut context.states)?;
        let rules = context.states.broadcast("broadcast")?;
        Ok(Self { key, function, timers: TimersOf::new(context)?, rules, records: PhantomData })
    }
}

impl<K, T, B, F, P> Logic for BroadcastLogic<K, T, B, F, P>
where
    K: Key,
    T: Data,
    B: Data,
    F: Fn(&T) -> K + 'static,
    P: BroadcastProcessFunction<K, T, B>,
{
    type In = Either<T, Copy<B>>;
    type Out = P::Out;
    type Side = ();

    fn opened(&mut self) -> Result<(), Error> {
        self.function.restored(self.rules.borrow().map())
    }

    fn record(&mut self, record: Record<Self::In>, out: &mut Outbox<P::Out, ()>) -> Result<(), Error> {
        let time = record.time;
        match record.value {
            Either::Left(value) => {
                let key = (self.key)(&value);
                self.function.process(value, self.rules.borrow().map(), &mut ProcessContext::new(&key, time, &self.timers, out))?;
                self.timers.processed();
                Ok(())
            }
            Either::Right(copy) => {
                let function = &mut self.function;
                self.rules.borrow_mut().change(|rules| function.process_broadcast(copy.value, rules, &mut BroadcastContext { time, out }))
            }
        }
    }

    fn waits_until(&self) -> Option<i64> {
        self.timers.wait_until()
    }

    fn watermark(&mut self, watermark: Watermark, out: &mut Outbox<P::Out, ()>) -> Result<(), Error> {
        let Self { function, timers, rules, .. } = self;
        let rules = rules.borrow();
        timers.fire_events(watermark, |key, timer| {
            function.on_timer(timer, rules.map(), &mut ProcessContext::new(key, timer.event_time(), timers, out))
        })
    }

    fn clock(&mut self, now: i64, out: &mut Outbox<P::Out, ()>) -> Result<Option<i64>, Error> {
        let Self { function, timers, rules, .. } = self;
        let rules = rules.borrow();
        timers.fire_clock(now, |key, timer| {
            function.on_timer(timer, rules.map(), &mut ProcessContext::new(key, timer.event_time(), timers, out))
        })
    }
}

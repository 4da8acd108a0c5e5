//! What windows hold, and what they emit when they fire.

use std::marker::PhantomData;

use tidegate_runtime::operator::Context;
use tidegate_runtime::state::{Meaning, Stored};
use tidegate_runtime::{Error, Record};

use super::evictor::Evictor;
use super::function::{WindowContext, WindowFunction};
use super::{Bounds, WindowResult};
use crate::aggregate::Aggregate;

/// What the windows of an operator keep of their records, and the function they apply.
pub trait Contents<K, T>: 'static {
    /// The contents of a non-empty window.
    type Kept: Stored;
    /// The state that the function keeps per window.
    type State: Stored;
    /// The type of the records it emits.
    type Out: Clone + 'static;

    /// Called once on every worker.
    ///
    /// # Errors
    /// An error here means that the job can't be built.
    fn open(&mut self, context: &mut Context) -> Result<(), Error>;

    /// What `Kept` stands for.
    fn meaning(&self) -> Meaning<Self::Kept>;

    /// The contents of a window with this record alone; `None` if the record does not count.
    ///
    /// # Errors
    /// An error here fails the job.
    fn one(&mut self, record: &Record<T>) -> Result<Option<Self::Kept>, Error>;

    /// Adds a record; returns whether it counts.
    ///
    /// # Errors
    /// An error here fails the job.
    fn add(&mut self, kept: &mut Self::Kept, record: &Record<T>) -> Result<bool, Error>;

    /// Adds later contents.
    fn merge(&self, kept: &mut Self::Kept, later: &Self::Kept);

    /// Called when a window fires. Returns whether it still holds anything.
    ///
    /// # Errors
    /// An error here fails the job.
    fn fire(&mut self, kept: &mut Self::Kept, context: &mut WindowContext<'_, K, Self::State, Self::Out>) -> Result<bool, Error>;

    /// Called when a window is over.
    ///
    /// # Errors
    /// An error here fails the job.
    fn clear(&mut self, _key: &K, _window: Bounds, _state: Option<Self::State>) -> Result<(), Error> {
        Ok(())
    }
}

/// One accumulator per window, whose result goes to a function.
pub struct Aggregated<A, P> {
    aggregate: A,
    function: P,
}

impl<A, P> Aggregated<A, P> {
    /// Passes the results of `aggregate` to `function`.
    pub fn new(aggregate: A, function: P) -> Self {
        Self { aggregate, function }
    }
}

impl<K, T, A, P> Contents<K, T> for Aggregated<A, P>
where
    A: Aggregate<T>,
    P: WindowFunction<K, A::Out>,
{
    type Kept = A::Acc;
    type State = P::State;
    type Out = P::Out;

    fn open(&mut self, context: &mut Context) -> Result<(), Error> {
        self.aggregate.open(&context.metrics);
        self.function.open(&mut context.states)
    }

    fn meaning(&self) -> Meaning<A::Acc> {
        self.aggregate.meaning()
    }

    fn one(&mut self, record: &Record<T>) -> Result<Option<A::Acc>, Error> {
        let mut acc = self.aggregate.create();
        let counts = self.aggregate.add(&mut acc, &record.value, record.time)?;
        Ok(counts.then_some(acc))
    }

    fn add(&mut self, kept: &mut A::Acc, record: &Record<T>) -> Result<bool, Error> {
        self.aggregate.add(kept, &record.value, record.time)
    }

    fn merge(&self, kept: &mut A::Acc, later: &A::Acc) {
        self.aggregate.merge(kept, later);
    }

    fn fire(&mut self, kept: &mut A::Acc, context: &mut WindowContext<'_, K, P::State, P::Out>) -> Result<bool, Error> {
        self.function.process(&self.aggregate.finish(kept), context)?;
        Ok(true)
    }

    fn clear(&mut self, key: &K, window: Bounds, state: Option<P::State>) -> Result<(), Error> {
        self.function.clear(key, window, state)
    }
}

/// The default window function: emits the result with its key and window.
#[derive(Clone, Copy, Debug, Default)]
pub struct AsResult;

impl<K: Clone + 'static, V: Clone + 'static> WindowFunction<K, V> for AsResult {
    type Out = WindowResult<K, V>;
    type State = ();

    fn process(&mut self, value: &V, context: &mut WindowContext<'_, K, (), Self::Out>) -> Result<(), Error> {
        let Bounds { start, end } = context.window();
        context.emit(WindowResult { key: context.key().clone(), start, end, value: value.clone() });
        Ok(())
    }
}

/// All records of a window. The evictor drops some of them around each firing.
pub struct Collected<E, P> {
    evictor: E,
    function: P,
}

impl<E, P> Collected<E, P> {
    /// Passes the records that `evictor` leaves to `function`.
    pub fn new(evictor: E, function: P) -> Self {
        Self { evictor, function }
    }
}

impl<K, T, E, P> Contents<K, T> for Collected<E, P>
where
    T: Stored,
    E: Evictor<T>,
    P: WindowFunction<K, [Record<T>]> + Admit<T>,
{
    type Kept = Vec<Record<T>>;
    type State = P::State;
    type Out = P::Out;

    fn open(&mut self, context: &mut Context) -> Result<(), Error> {
        self.function.prepare(context);
        self.function.open(&mut context.states)
    }

    fn meaning(&self) -> Meaning<Vec<Record<T>>> {
        Meaning::of_type()
    }

    fn one(&mut self, record: &Record<T>) -> Result<Option<Vec<Record<T>>>, Error> {
        Ok(self.function.admits(record)?.then(|| vec![record.clone()]))
    }

    fn add(&mut self, kept: &mut Vec<Record<T>>, record: &Record<T>) -> Result<bool, Error> {
        let counts = self.function.admits(record)?;
        if counts {
            kept.push(record.clone());
        }
        Ok(counts)
    }

    fn merge(&self, kept: &mut Vec<Record<T>>, later: &Vec<Record<T>>) {
        kept.extend_from_slice(later);
    }

    fn fire(&mut self, kept: &mut Vec<Record<T>>, context: &mut WindowContext<'_, K, P::State, P::Out>) -> Result<bool, Error> {
        self.evictor.before(kept)?;
        self.function.process(kept, context)?;
        self.evictor.after(kept)?;
        Ok(!kept.is_empty())
    }

    fn clear(&mut self, key: &K, window: Bounds, state: Option<P::State>) -> Result<(), Error> {
        self.function.clear(key, window, state)
    }
}

/// Decides which records a window keeps.
pub trait Admit<T>: 'static {
    /// Called once on every worker.
    fn prepare(&mut self, _context: &mut Context) {}

    /// Whether this record counts.
    ///
    /// # Errors
    /// An error here fails the job.
    fn admits(&mut self, record: &Record<T>) -> Result<bool, Error>;
}

/// A user's function, which accepts every record.
pub struct Every<P>(pub P);

impl<T, P: 'static> Admit<T> for Every<P> {
    fn admits(&mut self, _: &Record<T>) -> Result<bool, Error> {
        Ok(true)
    }
}

impl<K, I: ?Sized, P: WindowFunction<K, I>> WindowFunction<K, I> for Every<P> {
    type Out = P::Out;
    type State = P::State;

    fn open(&mut self, states: &mut tidegate_runtime::state::States) -> Result<(), Error> {
        self.0.open(states)
    }

    fn process(&mut self, input: &I, context: &mut WindowContext<'_, K, P::State, P::Out>) -> Result<(), Error> {
        self.0.process(input, context)
    }

    fn clear(&mut self, key: &K, window: Bounds, state: Option<P::State>) -> Result<(), Error> {
        self.0.clear(key, window, state)
    }
}

/// An aggregate over the kept records, computed anew at each firing.
pub struct Anew<T, A> {
    aggregate: A,
    records: PhantomData<fn(T)>,
}

impl<T, A> Anew<T, A> {
    /// Computes `aggregate` at each firing.
    pub fn new(aggregate: A) -> Self {
        Self { aggregate, records: PhantomData }
    }
}

impl<T: 'static, A: Aggregate<T>> Admit<T> for Anew<T, A> {
    fn prepare(&mut self, context: &mut Context) {
        self.aggregate.open(&context.metrics);
    }

    /// A record that the aggregate fails on is not kept, so that the failure is reported once and not at every firing.
    fn admits(&mut self, record: &Record<T>) -> Result<bool, Error> {
        self.aggregate.add(&mut self.aggregate.create(), &record.value, record.time)
    }
}

impl<K: Clone + 'static, T: 'static, A: Aggregate<T>> WindowFunction<K, [Record<T>]> for Anew<T, A> {
    type Out = WindowResult<K, A::Out>;
    type State = ();

    fn process(&mut self, records: &[Record<T>], context: &mut WindowContext<'_, K, (), Self::Out>) -> Result<(), Error> {
        let mut acc = self.aggregate.create();
        for record in records {
            self.aggregate.add(&mut acc, &record.value, record.time)?;
        }
        let Bounds { start, end } = context.window();
        context.emit(WindowResult { key: context.key().clone(), start, end, value: self.aggregate.finish(&acc) });
        Ok(())
    }
}

//! Functions that wait for the outside: a request per record, with many under way at a time.

use std::future::Future;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use tidegate_runtime::operator::{self, Ask, Ticket};
use tidegate_runtime::{Domain, Error, OperatorSpec};
use tokio::runtime::{Builder, Runtime};

use crate::kinds;
use crate::stream::Stream;

pub use tidegate_runtime::operator::Order;

/// What asks the outside about a record. Any `Fn(T) -> impl Future<Output = Result<Out, Error>>` is one. The future runs in a tokio runtime with
/// timers and I/O; what would block it belongs into `tokio::task::spawn_blocking`.
pub trait AsyncFunction<T>: Send + Sync + 'static {
    /// What becomes of a record.
    type Out: Clone + Send + 'static;

    /// Asks once.
    fn call(&self, value: T) -> impl Future<Output = Result<Self::Out, Error>> + Send;

    /// All tries failed, or the time is over.
    ///
    /// # Errors
    /// The job fails with this cause.
    fn gave_up(&self, _value: T, cause: Error) -> Result<Self::Out, Error> {
        Err(cause)
    }
}

impl<T, O, F, R> AsyncFunction<T> for F
where
    O: Clone + Send + 'static,
    F: Fn(T) -> R + Send + Sync + 'static,
    R: Future<Output = Result<O, Error>> + Send,
{
    type Out = O;

    fn call(&self, value: T) -> impl Future<Output = Result<O, Error>> + Send {
        self(value)
    }
}

/// How often a call is made again after an error of the domain `External`, and after which waits: doubled from one to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retries {
    /// The most further calls.
    pub most: u32,
    /// The wait before the first of them.
    pub delay: Duration,
    /// The longest wait.
    pub longest: Duration,
}

impl Retries {
    /// No second call.
    pub const NONE: Self = Self { most: 0, delay: Duration::ZERO, longest: Duration::ZERO };
}

/// How an asynchronous function is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AsyncOptions {
    /// The order of its results.
    pub order: Order,
    /// How many records may be under way on each worker; then the sources wait.
    pub capacity: NonZeroUsize,
    /// How long a record may take, tries and waits together.
    pub timeout: Duration,
    /// What is done about errors.
    pub retries: Retries,
}

impl Default for AsyncOptions {
    /// In order, 100 at a time, ten seconds, no second call.
    fn default() -> Self {
        let capacity = NonZeroUsize::MIN.saturating_add(99);
        Self { order: Order::Ordered, capacity, timeout: Duration::from_secs(10), retries: Retries::NONE }
    }
}

impl<'s, T: Clone + Send + 'static> Stream<'s, T> {
    /// Turns each value into what `function` says of it, which may take a while; event times stay. Watermarks and checkpoints wait for the
    /// records before them, and none is under way across a barrier: after a restore those that had no result are asked about again.
    #[must_use]
    pub fn map_async<A: AsyncFunction<T>>(self, name: &str, options: AsyncOptions, function: A) -> Stream<'s, A::Out> {
        let spec = OperatorSpec::new(kinds::ASYNC_MAP).labelled(format!("async map, {}", describe(&options)));
        let pool = Pool::new(name);
        let edge = operator::asynchronous(self.into_edge(), name, spec, options.order, options.capacity, |_| Mapping {
            function: Arc::new(function),
            options,
            pool,
            values: std::marker::PhantomData,
        });
        Stream::from_edge(edge)
    }
}

pub(crate) fn describe(options: &AsyncOptions) -> String {
    let order = if options.order == Order::Ordered { "in order" } else { "as they come" };
    format!("{} at a time, {order}", options.capacity)
}

/// Where the futures of one operator instance run: one thread of their own.
pub(crate) struct Pool {
    name: String,
    /// Made when it is first needed: building a graph may be a rehearsal.
    runtime: Option<Runtime>,
}

impl Pool {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), runtime: None }
    }

    pub(crate) fn spawn(&mut self, future: impl Future<Output = ()> + Send + 'static) -> Result<(), Error> {
        let runtime = match self.runtime.take() {
            Some(runtime) => runtime,
            None => Builder::new_multi_thread()
                .worker_threads(1)
                .thread_name(&self.name)
                .enable_all()
                .build()
                .map_err(|cause| Error::external("the thread of an asynchronous function can't be started", cause))?,
        };
        self.runtime.insert(runtime).spawn(future);
        Ok(())
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Calls until there is a result, the tries are used up, or the time is over.
pub(crate) async fn ask<T: Clone, A: AsyncFunction<T>>(function: &A, value: T, options: AsyncOptions) -> Result<A::Out, Error> {
    let of_tries = value.clone();
    let tries = async move {
        let (mut left, mut wait) = (options.retries.most, options.retries.delay);
        loop {
            let result = function.call(of_tries.clone()).await;
            match result {
                Err(error) if left > 0 && error.domain() == Domain::External => {
                    tokio::time::sleep(wait).await;
                    left -= 1;
                    wait = wait.saturating_mul(2).min(options.retries.longest.max(options.retries.delay));
                }
                _ => return result,
            }
        }
    };
    let result = tokio::time::timeout(options.timeout, tries).await;
    let result = result.unwrap_or_else(|cause| Err(Error::external(format!("no result within {:?}", options.timeout), cause)));
    result.or_else(|cause| function.gave_up(value, cause))
}

struct Mapping<T, A> {
    function: Arc<A>,
    options: AsyncOptions,
    pool: Pool,
    values: std::marker::PhantomData<fn(T)>,
}

impl<T: Clone + Send + 'static, A: AsyncFunction<T>> Ask for Mapping<T, A> {
    type In = T;
    type Results = Option<A::Out>;

    fn ask(&mut self, value: T, ticket: impl FnOnce() -> Ticket<Self::Results>) -> Result<Option<Self::Results>, Error> {
        let (function, options, ticket) = (Arc::clone(&self.function), self.options, ticket());
        self.pool.spawn(async move { ticket.redeem(ask(&*function, value, options).await.map(Some)) })?;
        Ok(None)
    }
}

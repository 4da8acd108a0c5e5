//! Asynchronous functions: one request to an external system per record, with many in flight at a time.

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

/// A request to an external system about a record. Any `Fn(T) -> impl Future<Output = Result<Out, Error>>` implements it. The future runs
/// in a tokio runtime with timers and I/O; blocking work belongs in `tokio::task::spawn_blocking`.
pub trait AsyncFunction<T>: Send + Sync + 'static {
    /// The result for a record.
    type Out: Clone + Send + 'static;

    /// Makes one request.
    fn call(&self, value: T) -> impl Future<Output = Result<Self::Out, Error>> + Send;

    /// Called when the call has finally failed or the timeout has passed. By default, returns the error.
    ///
    /// # Errors
    /// An error here fails the job.
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

/// How often a call is retried after an error of the domain `External`, and how long to wait before each retry. The wait doubles each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retries {
    /// The maximum number of retries.
    pub most: u32,
    /// The wait before the first retry.
    pub delay: Duration,
    /// The longest wait.
    pub longest: Duration,
}

impl Retries {
    /// No retries.
    pub const NONE: Self = Self { most: 0, delay: Duration::ZERO, longest: Duration::ZERO };
}

/// How an asynchronous function is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AsyncOptions {
    /// The order of the results.
    pub order: Order,
    /// How many records may be in flight on each worker. Beyond that, the operator exerts backpressure.
    pub capacity: NonZeroUsize,
    /// How long a record may take, including all attempts and waits.
    pub timeout: Duration,
    /// How errors are retried.
    pub retries: Retries,
}

impl Default for AsyncOptions {
    /// In order, 100 records in flight, a timeout of ten seconds, no retries.
    fn default() -> Self {
        let capacity = NonZeroUsize::MIN.saturating_add(99);
        Self { order: Order::Ordered, capacity, timeout: Duration::from_secs(10), retries: Retries::NONE }
    }
}

impl<'s, T: Clone + Send + 'static> Stream<'s, T> {
    /// Maps each value to the result of `function`, which may take a while. Event times stay the same. Watermarks and checkpoints wait for
    /// the records before them, so no request is in flight across a barrier. After a restore, requests are made again for records that had
    /// no result in the snapshot.
    ///
    /// ```
    /// use tidegate_connectors::local::{collect, records};
    /// use tidegate_operators::AsyncOptions;
    /// use tidegate_runtime::Error;
    ///
    /// let scores = collect(|flow| {
    ///     // As if it asked a server.
    ///     let score = |user: u64| async move { Ok::<_, Error>((user, user * 10)) };
    ///     records(flow, "users", [(1, 7), (2, 8)]).map_async("score", AsyncOptions::default(), score)
    /// })?;
    /// assert_eq!(scores, [(1, (7, 70)), (2, (8, 80))]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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

/// The runtime of one operator instance: a single thread that runs its futures.
pub(crate) struct Pool {
    name: String,
    /// Created on first use: a graph may be built without being run.
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

/// Calls the function until it has a result, the retries are used up, or the timeout has passed.
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

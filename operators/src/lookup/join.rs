//! The lookup join operator.

use std::sync::Arc;

use tidegate_runtime::metrics::OperatorMetrics;
use tidegate_runtime::operator::{self, Ask, Ticket};
use tidegate_runtime::{Data, Error, OperatorSpec};

use super::{LookupTable, Rows};
use crate::asynchronous::{AsyncFunction, AsyncOptions, Pool, ask, describe};
use crate::join::Unmatched;
use crate::kinds;
use crate::stream::Stream;

impl<'s, T: Data> Stream<'s, T> {
    /// Joins each record with the rows that `table` has for its key; `pair` makes the results. Keys that the table knows without a request
    /// are answered at once.
    ///
    /// ```
    /// use tidegate_connectors::local::{collect, records};
    /// use std::collections::HashMap;
    /// use std::sync::Arc;
    /// use tidegate_operators::AsyncOptions;
    /// use tidegate_operators::join::Unmatched;
    /// use tidegate_operators::lookup::{Finding, LookupTable, Rows};
    /// use tidegate_runtime::Error;
    ///
    /// /// Names of users, all in memory. A table in a database would answer in `find`.
    /// struct Names(HashMap<u64, String>);
    ///
    /// impl LookupTable<u64> for Names {
    ///     type Row = String;
    ///
    ///     fn describe(&self) -> String {
    ///         "names".to_owned()
    ///     }
    ///
    ///     fn known(&self, user: &u64) -> Result<Option<Rows<String>>, Error> {
    ///         Ok(Some(self.0.get(user).cloned().into_iter().collect()))
    ///     }
    ///
    ///     fn find(&self, user: u64) -> Finding<'_, String> {
    ///         Box::pin(async move { Ok(self.known(&user)?.unwrap_or_default()) })
    ///     }
    /// }
    ///
    /// let named = collect(|flow| {
    ///     let table = Arc::new(Names(HashMap::from([(7, "ann".to_owned())])));
    ///     let pair = |user: &u64, name: Option<&String>| (*user, name.cloned());
    ///     records(flow, "users", [(1, 7), (2, 8)]).lookup("named", table, Unmatched::Keep, AsyncOptions::default(), |user| *user, pair)
    /// })?;
    /// assert_eq!(named, [(1, (7, Some("ann".to_owned()))), (2, (8, None))]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn lookup<K, B, O, F, G>(
        self,
        name: &str,
        table: Arc<B>,
        unmatched: Unmatched,
        options: AsyncOptions,
        key: F,
        pair: G,
    ) -> Stream<'s, O>
    where
        K: Clone + Send + Sync + 'static,
        B: LookupTable<K> + ?Sized,
        O: Clone + Send + 'static,
        F: Fn(&T) -> K + 'static,
        G: Fn(&T, Option<&B::Row>) -> O + Send + Sync + 'static,
    {
        let label = format!("{unmatched} lookup join with {}, {}", table.describe(), describe(&options));
        let spec = OperatorSpec::new(kinds::LOOKUP_JOIN).labelled(label);
        let pool = Pool::new(name);
        let edge = operator::asynchronous(self.into_edge(), name, spec, options.order, options.capacity, |metrics| Lookup {
            finding: Arc::new(Keyed(table)),
            joining: Arc::new(Joining { unmatched, pair, metrics }),
            options,
            key,
            pool,
            open: false,
            values: std::marker::PhantomData,
        });
        Stream::from_edge(edge)
    }
}

/// Adapts a table to an asynchronous function of keys.
struct Keyed<B: ?Sized>(Arc<B>);

impl<K: Send + 'static, B: LookupTable<K> + ?Sized> AsyncFunction<K> for Keyed<B> {
    type Out = Rows<B::Row>;

    fn call(&self, key: K) -> impl Future<Output = Result<Rows<B::Row>, Error>> + Send {
        self.0.find(key)
    }
}

struct Joining<G> {
    unmatched: Unmatched,
    pair: G,
    metrics: Arc<OperatorMetrics>,
}

impl<G> Joining<G> {
    fn results<T, R, O>(&self, value: &T, rows: &[R]) -> Vec<O>
    where
        G: Fn(&T, Option<&R>) -> O,
    {
        match (rows, self.unmatched) {
            ([], Unmatched::Keep) => vec![(self.pair)(value, None)],
            ([], Unmatched::Drop) => {
                self.metrics.filtered.add(1);
                Vec::new()
            }
            (rows, _) => rows.iter().map(|row| (self.pair)(value, Some(row))).collect(),
        }
    }
}

struct Lookup<T, B: ?Sized, F, G, O> {
    finding: Arc<Keyed<B>>,
    joining: Arc<Joining<G>>,
    options: AsyncOptions,
    key: F,
    pool: Pool,
    open: bool,
    values: std::marker::PhantomData<fn(T) -> O>,
}

impl<T, K, B, F, G, O> Ask for Lookup<T, B, F, G, O>
where
    T: Data,
    K: Clone + Send + Sync + 'static,
    B: LookupTable<K> + ?Sized,
    O: Clone + Send + 'static,
    F: Fn(&T) -> K + 'static,
    G: Fn(&T, Option<&B::Row>) -> O + Send + Sync + 'static,
{
    type In = T;
    type Results = Vec<O>;

    fn ask(&mut self, value: T, ticket: impl FnOnce() -> Ticket<Vec<O>>) -> Result<Option<Vec<O>>, Error> {
        if !std::mem::replace(&mut self.open, true) {
            self.finding.0.open()?;
        }
        let key = (self.key)(&value);
        if let Some(rows) = self.finding.0.known(&key)? {
            return Ok(Some(self.joining.results(&value, &rows)));
        }
        let (finding, joining, options, ticket) = (Arc::clone(&self.finding), Arc::clone(&self.joining), self.options, ticket());
        self.pool.spawn(async move {
            let rows = ask(&*finding, key, options).await;
            ticket.redeem(rows.map(|rows| joining.results(&value, &rows)));
        })?;
        Ok(None)
    }
}

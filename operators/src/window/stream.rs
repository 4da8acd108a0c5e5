//! Windowed streams.

use std::time::Duration;

use tidegate_runtime::operator::keyed;
use tidegate_runtime::state::{Key, Stored};
use tidegate_runtime::{Data, Edge, OperatorSpec, Record};

use super::WindowResult;
use super::assigner::{Assigner, Kind, Window};
use super::contents::{Aggregated, Anew, AsResult, Collected, Contents, Every};
use super::counts::{CountLogic, CountWindow};
use super::domain::TimeDomain;
use super::evictor::{Evictor, KeepAll};
use super::function::WindowFunction;
use super::operator::{WindowLogic, WindowSpec};
use super::sessions::SessionLogic;
use super::slices::SliceLogic;
use super::trigger::Trigger;
use super::triggers::StandardTrigger;
use crate::aggregate::Aggregate;
use crate::keyed::label;
use crate::kinds;
use crate::stream::Stream;

/// A keyed stream assigned to windows.
pub struct WindowedStream<'s, T: 'static, F, W = Window, X = StandardTrigger> {
    edge: Edge<'s, T>,
    key: F,
    assigner: W,
    trigger: X,
    /// Whether the trigger is the default one.
    by_default: bool,
    time: TimeDomain,
    allowed_lateness: Duration,
}

/// The results of the windows, and the late records unchanged.
type WithLate<'s, T, Out> = (Stream<'s, Out>, Stream<'s, T>);

impl<'s, T: Data, F, W: Assigner<T>> WindowedStream<'s, T, F, W> {
    pub(crate) fn new(edge: Edge<'s, T>, key: F, assigner: W) -> Self {
        let trigger = if assigner.ends() { StandardTrigger::event_time() } else { StandardTrigger::never() };
        Self { edge, key, assigner, trigger, by_default: true, time: TimeDomain::Event, allowed_lateness: Duration::ZERO }
    }

    /// Assigns records to windows by the wall clock instead of their event times. No record is late then, and windows still open at the end
    /// of input do not fire.
    #[must_use]
    pub fn processing_time(mut self) -> Self {
        self.time = TimeDomain::Processing;
        if self.by_default && self.assigner.ends() {
            self.trigger = StandardTrigger::processing_time();
        }
        self
    }
}

impl<'s, T, F, W, X> WindowedStream<'s, T, F, W, X>
where
    T: Data,
    W: Assigner<T>,
    X: Trigger<T>,
{
    /// How long after its end an event-time window still accepts records and fires again. A later result replaces the earlier one of its
    /// key and window, so an aggregate over the results should be a [`Latest`](crate::Latest).
    #[must_use]
    pub fn allowed_lateness(mut self, lateness: Duration) -> Self {
        self.allowed_lateness = lateness;
        self
    }

    /// Fires when `trigger` says so.
    ///
    /// ```
    /// use tidegate_connectors::local::{collect, records};
    /// use std::time::Duration;
    /// use tidegate_operators::{Count, Window, window::StandardTrigger};
    ///
    /// let counts = collect(|flow| {
    ///     let window = Window::tumbling(Duration::from_secs(60), 0).unwrap();
    ///     records(flow, "failures", [(1, 7u64), (2, 7), (3, 7)])
    ///         .key_by(|user: &u64| *user)
    ///         .window(window)
    ///         // At every second record, not at the end.
    ///         .trigger(StandardTrigger::count(2))
    ///         .aggregate("counts", Count)
    ///         .map("values", |result| result.value)
    /// })?;
    /// assert_eq!(counts.iter().map(|(_, count)| *count).collect::<Vec<_>>(), [2]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn trigger<Y: Trigger<T>>(self, trigger: Y) -> WindowedStream<'s, T, F, W, Y> {
        let Self { edge, key, assigner, time, allowed_lateness, .. } = self;
        WindowedStream { edge, key, assigner, trigger, by_default: false, time, allowed_lateness }
    }

    /// Keeps all records of a window, and lets `evictor` drop some around each firing.
    ///
    /// ```
    /// use tidegate_connectors::local::{collect, records};
    /// use std::time::Duration;
    /// use tidegate_operators::{IntegerSum, Window, window::CountEvictor};
    ///
    /// let sums = collect(|flow| {
    ///     let window = Window::tumbling(Duration::from_millis(10), 0).unwrap();
    ///     records(flow, "amounts", [(1, 5), (2, 6), (3, 7)])
    ///         .key_by(|_: &i64| 0u64)
    ///         .window(window)
    ///         .evictor(CountEvictor(2))
    ///         .aggregate_with_late("last_two", IntegerSum(|n: &i64| *n))
    ///         .0
    ///         .map("values", |result| result.value)
    /// })?;
    /// assert_eq!(sums, [(9, 13)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn evictor<E: Evictor<T>>(self, evictor: E) -> EvictingStream<'s, T, F, W, X, E> {
        EvictingStream { windows: self, evictor }
    }

    /// Aggregates the records of each key and window. Late records are dropped and counted.
    ///
    /// ```
    /// use tidegate_connectors::local::{collect, records};
    /// use std::time::Duration;
    /// use tidegate_operators::{Count, Window};
    ///
    /// let sessions = collect(|flow| {
    ///     let window = Window::session(Duration::from_millis(10)).unwrap();
    ///     records(flow, "clicks", [(1, 7u64), (6, 7), (30, 7)])
    ///         .key_by(|user: &u64| *user)
    ///         .window(window)
    ///         .aggregate("clicks_of_a_session", Count)
    ///         .map("values", |result| (result.start, result.end, result.value))
    /// })?;
    /// assert_eq!(sessions, [(15, (1, 16, 2)), (39, (30, 40, 1))]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn aggregate<K, A>(self, name: &str, aggregate: A) -> Stream<'s, WindowResult<K, A::Out>>
    where
        K: Key,
        F: Fn(&T) -> K + Clone + 'static,
        A: Aggregate<T>,
    {
        self.aggregate_with_late(name, aggregate).0
    }

    /// Aggregates the records of each key and window. The second stream holds the late records, unchanged.
    #[must_use]
    pub fn aggregate_with_late<K, A>(self, name: &str, aggregate: A) -> WithLate<'s, T, WindowResult<K, A::Out>>
    where
        K: Key,
        F: Fn(&T) -> K + Clone + 'static,
        A: Aggregate<T>,
    {
        let plain = self.assigner.plain().filter(|_| self.by_default && self.time == TimeDomain::Event).map(Window::kind);
        let lateness = self.lateness();
        let (main, late) = match plain {
            Some(Kind::Aligned(windows)) => {
                let kind = if windows.tumbling() { kinds::TUMBLING_WINDOW } else { kinds::SLIDING_WINDOW };
                let (route, key, spec) = (self.key.clone(), self.key.clone(), self.spec(kind, &aggregate.describe()));
                keyed(self.edge, name, spec, Some("late"), route, |cx| SliceLogic::new(key, windows, lateness, aggregate, cx))
            }
            Some(Kind::Session { gap }) => {
                let (route, key, spec) = (self.key.clone(), self.key.clone(), self.spec(kinds::SESSION_WINDOW, &aggregate.describe()));
                keyed(self.edge, name, spec, Some("late"), route, |cx| SessionLogic::new(key, gap, lateness, aggregate, cx))
            }
            _ => {
                let words = aggregate.describe();
                return self.general(name, &words, Aggregated::new(aggregate, AsResult));
            }
        };
        (Stream::from_edge(main), Stream::from_edge(late))
    }

    /// Aggregates the records of each key and window, and passes the results to `function`. The second stream holds the late records,
    /// unchanged.
    #[must_use]
    pub fn aggregate_then<K, A, P>(self, name: &str, aggregate: A, function: P) -> WithLate<'s, T, P::Out>
    where
        K: Key,
        F: Fn(&T) -> K + Clone + 'static,
        A: Aggregate<T>,
        P: WindowFunction<K, A::Out>,
    {
        let words = aggregate.describe();
        self.general(name, &words, Aggregated::new(aggregate, function))
    }

    /// Passes all records of a window to `function`. The second stream holds the late records, unchanged.
    ///
    /// ```
    /// use tidegate_connectors::local::{collect, records};
    /// use std::time::Duration;
    /// use tidegate_operators::Window;
    /// use tidegate_operators::window::{WindowContext, WindowFunction};
    /// use tidegate_runtime::{Error, Record};
    ///
    /// /// The span between the first and the last record of a window.
    /// struct Span;
    ///
    /// impl WindowFunction<u64, [Record<u64>]> for Span {
    ///     type Out = i64;
    ///     type State = ();
    ///
    ///     fn process(&mut self, records: &[Record<u64>], context: &mut WindowContext<'_, u64, (), i64>) -> Result<(), Error> {
    ///         let times = || records.iter().map(|record| record.time);
    ///         if let (Some(first), Some(last)) = (times().min(), times().max()) {
    ///             context.emit(last - first);
    ///         }
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let spans = collect(|flow| {
    ///     let window = Window::tumbling(Duration::from_millis(10), 0).unwrap();
    ///     records(flow, "clicks", [(1, 7u64), (6, 7)]).key_by(|user: &u64| *user).window(window).process("span", Span).0
    /// })?;
    /// assert_eq!(spans, [(9, 5)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn process<K, P>(self, name: &str, function: P) -> WithLate<'s, T, P::Out>
    where
        K: Key,
        T: Stored,
        F: Fn(&T) -> K + Clone + 'static,
        P: WindowFunction<K, [Record<T>]>,
    {
        self.general(name, "process", Collected::new(KeepAll, Every(function)))
    }

    /// Runs any contents in the general operator.
    fn general<K, C>(self, name: &str, words: &str, contents: C) -> WithLate<'s, T, C::Out>
    where
        K: Key,
        F: Fn(&T) -> K + Clone + 'static,
        C: Contents<K, T>,
    {
        let (route, key, lateness, time) = (self.key.clone(), self.key.clone(), self.lateness(), self.time);
        let operator = self.spec(kinds::WINDOW, words);
        let (assigner, trigger) = (self.assigner, self.trigger);
        let (main, late) = keyed(self.edge, name, operator, Some("late"), route, |context| {
            let spec = WindowSpec { assigner, trigger, contents, time, lateness };
            WindowLogic::new(key, spec, context)
        });
        (Stream::from_edge(main), Stream::from_edge(late))
    }

    fn lateness(&self) -> i64 {
        i64::try_from(self.allowed_lateness.as_millis()).unwrap_or(i64::MAX)
    }

    /// The kind, form and label of the operator.
    fn spec(&self, kind: tidegate_runtime::Kind, contents: &str) -> OperatorSpec {
        let clock = if self.time == TimeDomain::Processing { "processing-time " } else { "" };
        let trigger = |words: String| if self.by_default { String::new() } else { format!(", trigger {words}") };
        let what = format!("{clock}{} window{}", self.assigner.describe(), trigger(self.trigger.describe()));
        // The form is stored: its words must not change.
        let form = format!("{clock}{}{}", self.assigner.form(), trigger(self.trigger.form()));
        OperatorSpec::new(kind).of_form(form).labelled(label(&what, contents))
    }
}

/// A keyed stream assigned to windows that keep their records and evict some.
pub struct EvictingStream<'s, T: 'static, F, W, X, E> {
    windows: WindowedStream<'s, T, F, W, X>,
    evictor: E,
}

impl<'s, T, F, W, X, E> EvictingStream<'s, T, F, W, X, E>
where
    T: Stored,
    W: Assigner<T>,
    X: Trigger<T>,
    E: Evictor<T>,
{
    /// Aggregates the records that the evictor leaves in each window, anew at each firing. The second stream holds the late records,
    /// unchanged.
    #[must_use]
    pub fn aggregate_with_late<K, A>(self, name: &str, aggregate: A) -> WithLate<'s, T, WindowResult<K, A::Out>>
    where
        K: Key,
        F: Fn(&T) -> K + Clone + 'static,
        A: Aggregate<T>,
    {
        let words = format!("{}, {}", self.evictor.describe(), aggregate.describe());
        self.windows.general(name, &words, Collected::new(self.evictor, Anew::new(aggregate)))
    }

    /// Passes the records that the evictor leaves in each window to `function`. The second stream holds the late records, unchanged.
    #[must_use]
    pub fn process<K, P>(self, name: &str, function: P) -> WithLate<'s, T, P::Out>
    where
        K: Key,
        F: Fn(&T) -> K + Clone + 'static,
        P: WindowFunction<K, [Record<T>]>,
    {
        let words = self.evictor.describe();
        self.windows.general(name, &words, Collected::new(self.evictor, Every(function)))
    }
}

/// A keyed stream assigned to windows of a fixed number of records per key.
pub struct CountedStream<'s, T: 'static, F> {
    edge: Edge<'s, T>,
    key: F,
    window: CountWindow,
}

impl<'s, T: Data, F> CountedStream<'s, T, F> {
    pub(crate) fn new(edge: Edge<'s, T>, key: F, window: CountWindow) -> Self {
        Self { edge, key, window }
    }

    /// Aggregates the records of each window once it is full. The result has the event time of the window's last record.
    #[must_use]
    pub fn aggregate<K, A>(self, name: &str, aggregate: A) -> Stream<'s, (K, A::Out)>
    where
        K: Key,
        F: Fn(&T) -> K + Clone + 'static,
        A: Aggregate<T>,
    {
        self.aggregate_with_late(name, aggregate).0
    }

    /// Like [`CountedStream::aggregate`], with a stream of late records that is always empty.
    #[must_use]
    pub fn aggregate_with_late<K, A>(self, name: &str, aggregate: A) -> WithLate<'s, T, (K, A::Out)>
    where
        K: Key,
        F: Fn(&T) -> K + Clone + 'static,
        A: Aggregate<T>,
    {
        let (route, key, window) = (self.key.clone(), self.key, self.window);
        let what = label(&format!("{window} window"), &aggregate.describe());
        let spec = OperatorSpec::new(kinds::COUNT_WINDOW).of_form(window.to_string()).labelled(what);
        let (main, late) = keyed(self.edge, name, spec, Some("late"), route, |context| CountLogic::new(key, window, aggregate, context));
        (Stream::from_edge(main), Stream::from_edge(late))
    }
}

//! Jobs in Rust with kept savepoints: operators and states that job files don't have.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidegate::cep::Where;
use tidegate::checkpoints::Snapshot;
use tidegate::connectors::entry::Entry;
use tidegate::operators::indicator::{Numbers, Records, Span, Values};
use tidegate::operators::join::Pairs;
use tidegate::operators::window::{DeltaTrigger, WindowContext, WindowFunction};
use tidegate::prelude::*;
use tidegate::runtime::checkpoint::Restore;
use tidegate::runtime::state::SharedMap;
use tidegate::runtime::{Backend, StateConfig};

/// An action of a user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Event {
    user: String,
    n: i64,
    ts: i64,
}

impl Stored for Event {
    const SCHEMA: &'static str = "golden.event/1";
}

fn greater(a: &i64, b: &i64) -> i64 {
    *a.max(b)
}

type Greatest = ReducingState<String, i64, fn(&i64, &i64) -> i64>;
type Mean = AggregatingState<String, i64, Average<fn(&i64) -> f64>>;

/// Uses every kind of state that a process function can have.
#[derive(Default)]
struct Remember {
    value: Option<ValueState<String, Event>>,
    expiring: Option<ValueState<String, (u32, Option<f64>)>>,
    list: Option<ListState<String, i64>>,
    map: Option<MapState<String, bool, Vec<i64>>>,
    greatest: Option<Greatest>,
    mean: Option<Mean>,
}

impl ProcessFunction<String, Event> for Remember {
    type Out = String;

    fn open(&mut self, states: &mut States) -> Result<(), Error> {
        self.value = Some(states.value("value")?);
        self.expiring = Some(states.expiring(Ttl::after(Duration::from_secs(1 << 33))).value("expiring")?);
        self.list = Some(states.list("list")?);
        self.map = Some(states.map("map")?);
        self.greatest = Some(states.reducing("greatest", greater as fn(&i64, &i64) -> i64)?);
        self.mean = Some(AggregatingState::new(states, "mean", Average((|n| *n as f64) as fn(&i64) -> f64), None)?);
        Ok(())
    }

    fn process(&mut self, event: Event, context: &mut ProcessContext<'_, String, String>) -> Result<(), Error> {
        let Self {
            value: Some(value),
            expiring: Some(expiring),
            list: Some(list),
            map: Some(map),
            greatest: Some(greatest),
            mean: Some(mean),
        } = self
        else {
            return Ok(());
        };
        let key = context.key().clone();
        let before = value.get(&key)?.map(|event| event.n);
        let (count, _) = expiring.get(&key)?.unwrap_or_default();
        expiring.set(&key, (count + 1, Some(event.n as f64 / 2.0)))?;
        list.push(&key, event.n)?;
        let mut same = map.get(&key, &(event.n % 2 == 0))?.unwrap_or_default();
        same.push(event.n);
        map.insert(&key, event.n % 2 == 0, same.clone())?;
        greatest.add(&key, event.n)?;
        mean.add(&key, &event.n, event.ts)?;
        let (list, greatest, mean) = (list.get(&key)?, greatest.get(&key)?, mean.get(&key)?.flatten());
        context.emit(format!("{key}: before {before:?}, {} in all, {list:?}, {same:?}, {greatest:?}, {mean:.3?}", count + 1));
        context.set_event_timer(event.ts + 5_000);
        value.set(&key, event)
    }

    fn on_timer(&mut self, timer: Timer, context: &mut ProcessContext<'_, String, String>) -> Result<(), Error> {
        context.emit(format!("{}: {timer:?}", context.key()));
        Ok(())
    }
}

/// A time after all records. Functions of two streams emit their results then, because the order of their records is not fixed.
const LAST: i64 = 1_000_000;

/// Sums the numbers of each stream.
#[derive(Default)]
struct Both(Option<ValueState<String, (i64, i64)>>);

impl Both {
    fn add(&self, (first, second): (i64, i64), context: &mut ProcessContext<'_, String, String>) -> Result<(), Error> {
        let Some(state) = &self.0 else { return Ok(()) };
        let sums = state.get(context.key())?.unwrap_or_default();
        context.set_event_timer(LAST);
        state.set(context.key(), (sums.0 + first, sums.1 + second))
    }
}

impl CoProcessFunction<String, Event, Event> for Both {
    type Out = String;

    fn open(&mut self, states: &mut States) -> Result<(), Error> {
        self.0 = Some(states.value("sums")?);
        Ok(())
    }

    fn process_first(&mut self, event: Event, context: &mut ProcessContext<'_, String, String>) -> Result<(), Error> {
        self.add((event.n, 0), context)
    }

    fn process_second(&mut self, event: Event, context: &mut ProcessContext<'_, String, String>) -> Result<(), Error> {
        self.add((0, event.n), context)
    }

    fn on_timer(&mut self, _: Timer, context: &mut ProcessContext<'_, String, String>) -> Result<(), Error> {
        let sums = self.0.as_ref().map(|state| state.get(context.key())).transpose()?.flatten();
        context.emit(format!("{}: {sums:?}", context.key()));
        Ok(())
    }
}

/// The sum of each user, emitted with the user's limit.
#[derive(Default)]
struct Limited(Option<ValueState<String, i64>>);

impl BroadcastProcessFunction<String, Event, (String, i64)> for Limited {
    type Out = String;
    type Name = String;
    type Rule = i64;

    fn open(&mut self, states: &mut States) -> Result<(), Error> {
        self.0 = Some(states.value("sum")?);
        Ok(())
    }

    fn process(&mut self, event: Event, _: &SharedMap<String, i64>, context: &mut ProcessContext<'_, String, String>) -> Result<(), Error> {
        let Some(state) = &self.0 else { return Ok(()) };
        context.set_event_timer(LAST);
        state.set(context.key(), state.get(context.key())?.unwrap_or_default() + event.n)
    }

    fn on_timer(
        &mut self,
        _: Timer,
        limits: &SharedMap<String, i64>,
        context: &mut ProcessContext<'_, String, String>,
    ) -> Result<(), Error> {
        let sum = self.0.as_ref().map(|state| state.get(context.key())).transpose()?.flatten();
        context.emit(format!("{}: {sum:?} of {:?}", context.key(), limits.get(context.key())));
        Ok(())
    }

    fn process_broadcast(
        &mut self,
        (user, limit): (String, i64),
        limits: &mut SharedMap<String, i64>,
        _: &mut BroadcastContext<'_, String>,
    ) -> Result<(), Error> {
        limits.insert(user, limit);
        Ok(())
    }
}

/// Emits how often a window has fired and what it holds.
struct Firings;

impl WindowFunction<String, [Record<Event>]> for Firings {
    type Out = String;
    type State = u32;

    fn process(&mut self, records: &[Record<Event>], context: &mut WindowContext<'_, String, u32, String>) -> Result<(), Error> {
        let firing = context.state.unwrap_or(0) + 1;
        *context.state = Some(firing);
        let all: Vec<i64> = records.iter().map(|record| record.value.n).collect();
        context.emit(format!("{}: firing {firing} of {all:?}", context.key()));
        Ok(())
    }
}

/// Writes a stream to a file, as lines of text.
fn written<T: tidegate::runtime::Data + Debug>(stream: Stream<'_, T>, name: &str) {
    stream.map(&format!("{name}_text"), |value| format!("{value:?}")).sink(name, FileSink::new(format!("{name}.jsonl"), JsonLinesEncoder));
}

fn events<'s>(flow: &Dataflow<'s>, name: &str) -> Stream<'s, Event> {
    let file = FileSource::new(format!("{name}.jsonl"), JsonLines::new(|event: &Event| event.ts));
    flow.source(name, file, WatermarkStrategy::bounded(Duration::ZERO)).flat_map(&format!("{name}_good"), Entry::good)
}

/// The job `typed`.
pub fn job() -> Job {
    Job::new(|flow| {
        let (first, second) = (events(flow, "first"), events(flow, "second"));
        let by_user = || first.clone().key_by(|event: &Event| event.user.clone());
        let tumbling = Window::tumbling(Duration::from_secs(10), 0).expect("ten seconds are a window");
        written(by_user().process("process", Remember::default()), "processed");
        written(by_user().reduce("reduce", |before, event| Event { n: before.n + event.n, ..event.clone() }), "reduced");
        let others = second.clone().key_by(|event: &Event| event.user.clone());
        written(by_user().connect(others).process("co_process", Both::default()), "co_processed");
        let ends = (Count, (Min(|event: &Event| event.n as f64), Max(|event: &Event| event.n as f64)));
        written(by_user().window(tumbling).aggregate("tumbling", ends), "tumbled");
        let add = |text: &mut String, event: &Event| text.push_str(&event.n.to_string());
        let joined = Fold::new(String::new(), add, |text: &mut String, more: &String| text.push_str(more));
        let session = Window::session(Duration::from_secs(2)).expect("two seconds are a gap");
        written(by_user().window(session).aggregate("session", (joined, Sum(|event: &Event| event.n as f64))), "sessions");
        let moves = DeltaTrigger::new(|a: &Event, b: &Event| (a.n - b.n).abs() as f64, 5.0);
        written(by_user().window(Window::global()).trigger(moves).process("firings", Firings).0, "fired");
        let pair = |user: &String, _, l: Option<&Event>, r: Option<&Event>| format!("{user}: {:?} {:?}", l.map(|l| l.n), r.map(|r| r.n));
        let both = by_user().join("window_join", second.clone().key_by(|event: &Event| event.user.clone()));
        written(both.window(tumbling).process("join", Pairs::new(tidegate::operators::join::JoinType::Full, pair)).0, "joined");
        let pattern = Pattern::begin("low").when(Where::event(|event: &Event| event.n < 10));
        let pattern = pattern.followed_by("high").when(Where::event(|event: &Event| event.n >= 10)).within(Duration::from_secs(8));
        let search = Search::new(pattern).expect("a pattern");
        written(by_user().pattern("pattern", search).matches, "matched");
        let numbers = FnSource::new(|i| Record::new(i as i64, i)).with_count(3);
        let numbers = flow.source("numbers", numbers, WatermarkStrategy::bounded(Duration::ZERO));
        numbers.clone().sink("memory", CollectSink::new());
        numbers.sink("function", FnSink::new(|_: Record<u64>| Ok(())));
    })
    .expect("a job")
}

/// The job `typed_broadcast`.
pub fn broadcast_job() -> Job {
    Job::new(|flow| {
        let limits = events(flow, "second").map("of_users", |event| (event.user, event.n));
        let limited = events(flow, "first").key_by(|event: &Event| event.user.clone()).connect_broadcast(limits);
        written(limited.process("limits", Limited::default()), "limited");
    })
    .expect("a job")
}

/// The job `typed_indicators`.
pub fn indicators_job() -> Job {
    Job::new(|flow| {
        let all = Records::that("all", |_: &Event| true);
        let numbers = Numbers::of("n", |event: &Event| Some(event.n as f64));
        let different = Values::of("different", |event: &Event| Some(event.n));
        let minute = || Span::trailing(Duration::from_secs(60));
        let indicators = (
            all.count(minute()),
            numbers.sum(minute()),
            numbers.avg(Span::ever()).without_itself(),
            numbers.max(Span::last(3)),
            different.count_distinct(minute()),
            different.is_new(Span::ever()),
        );
        let known = events(flow, "first").key_by(|event: &Event| event.user.clone()).indicators("indicators", indicators);
        written(known, "known");
    })
    .expect("a job")
}

/// The variable with the name of the job for [`run_here`] and the arguments that `tidegate run` would get.
pub const ARGUMENTS: &str = "TIDEGATE_TEST_ARGUMENTS";

#[test]
#[ignore = "run by other tests, in a directory with its input"]
fn run_here() {
    let Ok(arguments) = std::env::var(ARGUMENTS) else { return };
    let arguments: Vec<&str> = arguments.split(' ').collect();
    let after = |option: &str| arguments.iter().position(|argument| *argument == option).and_then(|at| arguments.get(at + 1)).copied();
    let mut config = RunConfig::workers(after("-p").and_then(|workers| workers.parse().ok()).unwrap_or(1));
    let backend = if arguments.contains(&"--set=state.backend=rocksdb") { Backend::RocksDb } else { Backend::Memory };
    config.state = StateConfig { backend, dir: "state".into(), ..StateConfig::default() };
    config.savepoint_at_end = after("--savepoint-at-end").map(str::to_owned);
    config.restore = after("--from").map(|from| Arc::new(Restore::new(Snapshot::open(from).expect("a savepoint"))));
    let job = match arguments.first() {
        Some(&"typed_broadcast") => broadcast_job(),
        Some(&"typed_indicators") => indicators_job(),
        _ => job(),
    };
    job.run(config).expect("it runs");
}

//! Asynchronous functions and lookup joins in running jobs: order, windows behind them, capacity, tries, time.

#![allow(clippy::unwrap_used, reason = "tests")]

#[allow(dead_code)]
mod harness;

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidegate_operators::join::Unmatched;
use tidegate_operators::lookup::{CacheConfig, Cached, Finding, LookupTable, Rows};
use tidegate_operators::{AsyncFunction, AsyncOptions, Count, Order, Retries, Window};
use tidegate_runtime::Error;

use crate::harness::{Records, outcome, run, stream};

fn records(n: i64) -> Records {
    Records((0..n).map(|i| (i, i as u64 % 17, i)).collect())
}

/// Takes from none to three milliseconds, as the value has it.
async fn slowly(value: i64) {
    tokio::time::sleep(Duration::from_millis((value * 7_919 % 4) as u64)).await;
}

#[test]
fn results_are_in_the_order_that_was_asked_for_and_windows_behind_them_are_whole() {
    for order in [Order::Ordered, Order::Unordered] {
        let options = AsyncOptions { order, ..AsyncOptions::default() };
        let squares = |value: (u64, i64)| async move {
            slowly(value.1).await;
            Ok((value.0, value.1 * value.1))
        };
        let out = outcome(1, move |flow| stream(flow, "in", &records(500)).map_async("square", options, squares)).unwrap();
        let squared: Vec<i64> = out.into_iter().map(|(_, square)| square).collect();
        let mut sorted = squared.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..500).map(|i| i * i).collect::<Vec<i64>>());
        assert!(order == Order::Unordered || squared == sorted);
        // The source sends seven records at a time, and then a watermark.
        for (n, chunk) in squared.chunks(7).enumerate() {
            let mut chunk = chunk.to_vec();
            chunk.sort_unstable();
            let first = n as i64 * 7;
            assert_eq!(chunk, (first..(first + 7).min(500)).map(|i| i * i).collect::<Vec<i64>>(), "a result overtook a watermark");
        }
        for workers in [1, 3] {
            let counted = run(workers, move |flow| {
                let squared = stream(flow, "in", &records(500)).map_async("square", options, squares);
                let windows = squared.key_by(|r: &(u64, i64)| r.0).window(Window::tumbling(Duration::from_millis(50), 0).unwrap());
                windows.aggregate("count", Count).map("plain", |r| (r.key, r.start, r.value))
            });
            let mut expected: HashMap<(u64, i64), u64> = HashMap::new();
            (0..500).for_each(|i: i64| *expected.entry((i as u64 % 17, i / 50 * 50)).or_default() += 1);
            let mut expected: Vec<_> = expected.into_iter().map(|((key, start), n)| (key, start, n)).collect();
            expected.sort_unstable();
            assert_eq!(counted, expected, "{order:?} with {workers} workers");
        }
    }
}

#[test]
fn no_more_calls_are_under_way_than_there_is_room_for() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let options = AsyncOptions { capacity: NonZeroUsize::new(5).unwrap(), ..AsyncOptions::default() };
    let (counting, seen) = (Arc::clone(&now), Arc::clone(&most));
    let function = move |value: (u64, i64)| {
        let (now, most) = (Arc::clone(&counting), Arc::clone(&seen));
        async move {
            most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
            slowly(value.1).await;
            now.fetch_sub(1, SeqCst);
            Ok(value)
        }
    };
    let out = outcome(1, move |flow| stream(flow, "in", &records(300)).map_async("slow", options, function.clone())).unwrap();
    assert_eq!((out.len(), now.load(SeqCst)), (300, 0));
    assert!((2..=5).contains(&most.load(SeqCst)), "{most:?}");
}

fn refused() -> Error {
    Error::external("the server is away", std::io::Error::other("refused"))
}

#[test]
fn what_fails_outside_is_tried_again_as_often_as_was_said() {
    let tried = Arc::new(Mutex::new(HashMap::<i64, u32>::new()));
    let calls = Arc::clone(&tried);
    let options = |most| AsyncOptions {
        retries: Retries { most, delay: Duration::from_millis(1), longest: Duration::from_millis(2) },
        ..AsyncOptions::default()
    };
    let function = move |value: (u64, i64)| {
        let n = *calls.lock().unwrap().entry(value.1).and_modify(|n| *n += 1).or_insert(1);
        async move { if n <= 3 && value.1 % 5 == 0 { Err(refused()) } else { Ok(value) } }
    };
    let patient = function.clone();
    let out = outcome(1, move |flow| stream(flow, "in", &records(50)).map_async("patient", options(3), patient.clone())).unwrap();
    assert_eq!(out.len(), 50);
    assert!(tried.lock().unwrap().iter().all(|(value, n)| *n == if value % 5 == 0 { 4 } else { 1 }));
    tried.lock().unwrap().clear();
    let failed = outcome(1, move |flow| stream(flow, "in", &records(50)).map_async("hasty", options(2), function.clone()));
    assert!(format!("{:?}", failed.unwrap_err()).contains("the server is away"));
    // What the user has to mend is not tried again.
    let calls = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&calls);
    let wrong = move |_: (u64, i64)| {
        counting.fetch_add(1, SeqCst);
        async { Err::<(), _>(Error::user("no such user")) }
    };
    let failed = outcome(1, move |flow| stream(flow, "in", &records(1)).map_async("wrong", options(9), wrong.clone()));
    assert!(failed.is_err() && calls.load(SeqCst) == 1);
}

/// Never comes back from an odd number; says so when it gives up.
struct Stuck;

impl AsyncFunction<(u64, i64)> for Stuck {
    type Out = Option<i64>;

    async fn call(&self, value: (u64, i64)) -> Result<Option<i64>, Error> {
        if value.1 % 2 == 1 {
            std::future::pending::<()>().await;
        }
        Ok(Some(value.1))
    }

    fn gave_up(&self, value: (u64, i64), cause: Error) -> Result<Option<i64>, Error> {
        if value.1 < 100 { Ok(None) } else { Err(cause) }
    }
}

#[test]
fn a_call_that_takes_too_long_is_given_up() {
    let options = AsyncOptions { timeout: Duration::from_millis(30), ..AsyncOptions::default() };
    let out = outcome(1, move |flow| stream(flow, "in", &records(60)).map_async("stuck", options, Stuck)).unwrap();
    assert_eq!(out, (0..60).map(|i| (i % 2 == 0).then_some(i)).collect::<Vec<_>>());
    let failed = outcome(1, move |flow| stream(flow, "in", &records(110)).map_async("stuck", options, Stuck));
    assert!(format!("{:?}", failed.unwrap_err()).contains("no result within 30ms"));
}

#[test]
fn a_function_that_panics_fails_the_job_and_does_not_hang_it() {
    let options = AsyncOptions::default();
    let panics = |value: (u64, i64)| async move { if value.1 == 3 { panic!("three") } else { Ok(value) } };
    let failed = outcome(1, move |flow| stream(flow, "in", &records(10)).map_async("panics", options, panics));
    assert!(format!("{:?}", failed.unwrap_err()).contains("panicked"));
}

/// Of an even key its half, of a multiple of ten that and the key itself. Counts how often it is asked.
struct Halves(Arc<AtomicUsize>);

impl LookupTable<i64> for Halves {
    type Row = i64;

    fn describe(&self) -> String {
        "halves".to_owned()
    }

    fn known(&self, key: &i64) -> Result<Option<Rows<i64>>, Error> {
        Ok((*key > 1_000).then(Rows::default))
    }

    fn find(&self, key: i64) -> Finding<'_, i64> {
        Box::pin(async move {
            self.0.fetch_add(1, SeqCst);
            slowly(key).await;
            Ok([key / 2, key].into_iter().take(usize::from(key % 2 == 0) + usize::from(key % 10 == 0)).collect())
        })
    }
}

#[test]
fn records_are_joined_with_the_rows_of_their_key() {
    for (unmatched, order, workers) in
        [(Unmatched::Drop, Order::Ordered, 1), (Unmatched::Keep, Order::Unordered, 3), (Unmatched::Keep, Order::Ordered, 2)]
    {
        let asked = Arc::new(AtomicUsize::new(0));
        let cache = CacheConfig { entries: 1_000, ttl: Duration::from_secs(3_600) };
        let table: Arc<dyn LookupTable<i64, Row = i64>> = Arc::new(Cached::new(Halves(Arc::clone(&asked)), cache));
        let options = AsyncOptions { order, ..AsyncOptions::default() };
        let found = run(workers, move |flow| {
            let pair = |record: &(u64, i64), row: Option<&i64>| (record.1, row.copied());
            stream(flow, "in", &records(600)).lookup("halves", Arc::clone(&table), unmatched, options, |r| r.1 % 40, pair)
        });
        let mut expected = Vec::new();
        for i in 0..600 {
            let key = i % 40;
            match (key % 2 == 0, key % 10 == 0) {
                (true, both) => {
                    expected.push((i, Some(key / 2)));
                    expected.extend(both.then_some((i, Some(key))));
                }
                (false, _) => expected.extend((unmatched == Unmatched::Keep).then_some((i, None))),
            }
        }
        expected.sort_unstable();
        assert_eq!(found, expected);
        // However many records of one key come at a time, and on whichever worker.
        assert_eq!(asked.load(SeqCst), 40);
    }
}

#[test]
fn an_answer_that_has_become_old_is_asked_for_again() {
    let asked = Arc::new(AtomicUsize::new(0));
    let table = Cached::new(Halves(Arc::clone(&asked)), CacheConfig { entries: 10, ttl: Duration::from_millis(20) });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let find = |key| runtime.block_on(table.find(key)).unwrap().to_vec();
    assert_eq!((find(4), table.known(&4).unwrap().map(|rows| rows.to_vec())), (vec![2], Some(vec![2])));
    std::thread::sleep(Duration::from_millis(30));
    assert_eq!((table.known(&4).unwrap(), find(4), asked.load(SeqCst)), (None, vec![2], 2));
}

//! Generated records: the same at any parallelism, distributed as asked, and no faster than asked.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod drive;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use drive::{drive, drive_all, open};
use jiff::SignedDuration;
use tidegate_connectors::entry::Entry;
use tidegate_connectors::generator::{Distribution, FnSource, GeneratorSource};
use tidegate_rows::format::TimeUnit;
use tidegate_rows::{Row, Type, Value};
use tidegate_runtime::Record;
use tidegate_runtime::source::Poll;

fn every_kind() -> Vec<(&'static str, Distribution)> {
    vec![
        ("one", Distribution::Constant(Value::Int(1))),
        ("i", Distribution::Sequence { start: 10, step: -2 }),
        ("int", Distribution::Int { min: -5, max: 5 }),
        ("all", Distribution::Int { min: i64::MIN, max: i64::MAX }),
        ("amount", Distribution::Double { min: 1.0, max: 100.0, decimals: Some(2) }),
        ("normal", Distribution::Normal { mean: 10.0, deviation: 2.0 }),
        ("kind", Distribution::Choice(vec![(Value::string("a"), 3.0), (Value::string("b"), 1.0), (Value::Null, 0.0)])),
        ("zipf", Distribution::Zipf { n: 1000, exponent: 1.0 }),
        (
            "ts",
            Distribution::Time {
                start: Some(1_000_000),
                step: SignedDuration::from_micros(100),
                disorder: SignedDuration::from_millis(50),
            },
        ),
        (
            "ip",
            Distribution::Text(
                "10.{}.{}!".into(),
                vec![Distribution::Int { min: 0, max: 255 }, Distribution::Double { min: 0.5, max: 0.5, decimals: None }],
            ),
        ),
    ]
}

fn rows(source: &GeneratorSource, workers: usize) -> Vec<(i64, Row)> {
    let all = drive_all(source, workers);
    assert!(all.iter().all(|w| w.error.is_none() && w.batches.iter().all(|b| b.records.len() <= 1024)));
    assert_eq!(all.iter().map(|w| w.ended()).sum::<usize>(), 1, "the rows have one order");
    let mut rows: Vec<_> = all
        .iter()
        .flat_map(|w| w.records())
        .map(|r| (r.time, if let Entry::Good(row) = &r.value { row.clone() } else { panic!() }))
        .collect();
    rows.sort_by(|a, b| b.1.get(1).total_cmp(a.1.get(1)));
    rows
}

#[test]
fn the_rows_are_the_same_at_any_parallelism_and_others_by_another_seed() {
    let source = GeneratorSource::new(every_kind(), 7).unwrap().with_count(5001);
    let one = rows(&source, 1);
    assert_eq!(one.len(), 5001);
    for workers in 2..=4 {
        assert!(rows(&source, workers) == one, "{workers} workers");
    }
    assert!(rows(&GeneratorSource::new(every_kind(), 8).unwrap().with_count(5001), 1) != one);
    assert_eq!(rows(&GeneratorSource::new(every_kind(), 7).unwrap().with_count(0), 3), []);
    let types: Vec<_> = source.schema().fields().map(|(_, f)| f.ty.clone()).collect();
    assert_eq!(types[5..], [Type::Double, Type::String, Type::Int, Type::Timestamp, Type::String]);
}

#[test]
fn values_are_distributed_as_asked() {
    let n = 100_000;
    let rows = rows(&GeneratorSource::new(every_kind(), 1).unwrap().with_count(n), 2);
    let column = |slot: usize| rows.iter().map(move |(_, row)| row.get(slot));
    let numbers = |slot| column(slot).map(|v| v.as_f64().unwrap()).collect::<Vec<_>>();
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
    let near = |found: f64, wanted: f64, by: f64| assert!((found - wanted).abs() < by, "{found} is not near {wanted}");
    assert!(column(0).all(|v| *v == Value::Int(1)));
    assert!(column(1).enumerate().all(|(i, v)| *v == Value::Int(10 - 2 * i as i64)));

    let ints = numbers(2);
    near(mean(&ints), 0.0, 0.05);
    for value in -5..=5 {
        near(ints.iter().filter(|v| **v == f64::from(value)).count() as f64 / n as f64, 1.0 / 11.0, 0.005);
    }
    near(numbers(3).iter().filter(|v| **v < 0.0).count() as f64 / n as f64, 0.5, 0.01);

    let amounts = numbers(4);
    near(mean(&amounts), 50.5, 0.5);
    assert!(amounts.iter().all(|v| (1.0..=100.0).contains(v) && (v * 100.0 - (v * 100.0).round()).abs() < 1e-6));

    let normal = numbers(5);
    near(mean(&normal), 10.0, 0.05);
    near(mean(&normal.iter().map(|v| (v - 10.0).powi(2)).collect::<Vec<_>>()), 4.0, 0.1);
    near(normal.iter().filter(|v| (**v - 10.0).abs() < 2.0).count() as f64 / n as f64, 0.6827, 0.01);

    near(column(6).filter(|v| v.as_str() == Some("a")).count() as f64 / n as f64, 0.75, 0.01);
    assert!(column(6).all(|v| !v.is_null()));

    let mut ranks: HashMap<i64, u64> = HashMap::new();
    for value in column(7) {
        let Value::Int(k) = value else { panic!("{value:?}") };
        assert!((1..=1000).contains(k));
        *ranks.entry(*k).or_default() += 1;
    }
    let harmonic: f64 = (1..=1000).map(|k| 1.0 / f64::from(k)).sum();
    for k in [1, 2, 10, 100] {
        near(*ranks.get(&k).unwrap_or(&0) as f64 / n as f64, 1.0 / (k as f64 * harmonic), 0.004);
    }

    let mut late = 0;
    for (i, (time, row)) in rows.iter().enumerate() {
        let due = 1_000_000 + i as i64 / 10;
        assert!(due - 51 <= *time && *time <= due, "row {i} at {time}");
        late += due - *time;
        assert!(row.get(9).as_str().unwrap().ends_with(".0.5!"));
    }
    near(late as f64 / n as f64, 25.0, 1.0);
}

#[test]
fn what_cannot_be_generated_is_said() {
    let error = |distribution| GeneratorSource::new([("x", distribution)], 0).unwrap_err();
    assert_eq!(error(Distribution::Int { min: 2, max: 1 }), "field `x`: the least (2) is above the greatest (1)");
    assert_eq!(error(Distribution::Double { min: 2.0, max: 1.0, decimals: None }), "field `x`: there is no number from 2 to 1");
    assert_eq!(
        error(Distribution::Normal { mean: 0.0, deviation: -1.0 }),
        "field `x`: there is no normal distribution of mean 0 and deviation -1"
    );
    assert_eq!(error(Distribution::Choice(vec![])), "field `x`: there is nothing to choose from");
    assert_eq!(error(Distribution::Choice(vec![(Value::Null, -1.0)])), "field `x`: -1 is not a weight");
    assert_eq!(error(Distribution::Zipf { n: 0, exponent: 1.0 }), "field `x`: there is no zipf distribution of 0 numbers and exponent 1");
    assert_eq!(error(Distribution::Text("{}-{}".into(), vec![])), "field `x`: `{}-{}` has 2 places `{}` for 0 distributions");
    let source = GeneratorSource::new([("x", Distribution::Constant(Value::string("a")))], 0).unwrap();
    assert_eq!(
        source.clone().with_event_time("x", TimeUnit::Millis).unwrap_err(),
        "field `x` is of type string: event time is taken from a timestamp or a number"
    );
    assert_eq!(source.with_event_time("y", TimeUnit::Millis).unwrap_err(), "there is no field `y` to take event time from");
}

#[test]
fn event_time_may_be_a_number() {
    let source = GeneratorSource::new([("s", Distribution::Sequence { start: 5, step: 1 })], 0).unwrap();
    assert_eq!(source.row(3).unwrap().time, Record::UNTIMED);
    assert_eq!(source.with_event_time("s", TimeUnit::Seconds).unwrap().row(3).unwrap().time, 8000);
}

#[test]
fn a_function_of_the_number_at_any_parallelism() {
    let source = FnSource::new(|i| Record::new(i as i64, i * i)).with_count(3000);
    for workers in 1..=4 {
        let mut all: Vec<_> = drive_all(&source, workers).iter().flat_map(|w| w.records().cloned()).collect();
        all.sort_by_key(|r| r.time);
        assert_eq!(all.len(), 3000);
        assert!(all.iter().enumerate().all(|(i, r)| *r == Record::new(i as i64, (i * i) as u64)));
    }
    assert_eq!(drive(&source, 1, 2).metrics.records.get(), 1500);
}

#[test]
fn a_rate_is_kept_over_all_workers() {
    let source = FnSource::new(|i| Record::new(0, i)).with_rate(10_000.0);
    let mut readers: Vec<_> = (0..2).map(|worker| open::<u64>(&source, worker, 2).0.unwrap()).collect();
    let start = Instant::now();
    let mut count = 0;
    while start.elapsed() < Duration::from_millis(300) {
        for reader in &mut readers {
            match reader.poll().unwrap() {
                Poll::Batch(batch) => count += batch.records.len(),
                Poll::Pending | Poll::After(_) => std::thread::sleep(Duration::from_millis(1)),
                Poll::Finished => panic!("without a count there is no end"),
            }
        }
    }
    let most = (start.elapsed().as_secs_f64() * 10_000.0) as usize;
    assert!((most / 2..=most + 2).contains(&count), "{count} of {most}");
}

//! Every function against the definition, over any cut of the records into parts that are merged.

use proptest::prelude::*;
use tidegate_operators::Aggregate;
use tidegate_rows::{Row, Schema, Type, Value};

use super::*;
use crate::file::OnError;

fn schema() -> Schema {
    Schema::new([("x", Type::Int), ("d", Type::Double), ("s", Type::String), ("a", Type::Any)])
}

/// The aggregates of a file's `aggregate: { r: CALL }`, as the planner compiles them.
fn aggregate(calls: &[(&str, Option<&str>)], policy: OnError) -> RowAggregate {
    let compiled: Vec<Compiled> = calls
        .iter()
        .map(|(call, condition)| {
            let parsed = tidegate_expr::parse_call(call).unwrap();
            let text = crate::text::spanned_text(call);
            let condition = condition.map(crate::text::spanned_text);
            let (compiled, _) = compile(&text, condition.as_ref(), &schema()).unwrap_or_else(|p| panic!("{} {p:?}", parsed.name));
            compiled
        })
        .collect();
    RowAggregate::new(compiled.into(), Vec::new(), "", Failures::new("test", &schema(), policy))
}

fn records() -> impl Strategy<Value = Vec<(Row, i64, bool)>> {
    let row = (proptest::option::of(-50i64..50), proptest::option::of(-8i32..8), 0u8..4).prop_map(|(x, d, s)| {
        let d = d.map_or(Value::Null, |d| Value::Double(f64::from(d) * 0.5));
        Row::from_iter([x.map_or(Value::Null, Value::Int), d, Value::string(["a", "b", "c", "d"][usize::from(s)]), Value::Null])
    });
    // Whether a new part begins with the record.
    proptest::collection::vec((row, 0i64..20, any::<bool>()), 0..40)
}

/// What the aggregates come to over parts merged in order.
fn run(aggregate: &mut RowAggregate, records: &[(Row, i64, bool)]) -> Vec<Value> {
    let mut parts = vec![aggregate.create()];
    for (row, time, cut) in records {
        if *cut {
            parts.push(aggregate.create());
        }
        let last = parts.len() - 1;
        assert!(aggregate.add(&mut parts[last], row, *time).unwrap());
    }
    let merged = parts.into_iter().reduce(|mut a, b| {
        aggregate.merge(&mut a, &b);
        a
    });
    aggregate.finish(&merged.unwrap())
}

fn numbers(records: &[(Row, i64, bool)], slot: usize) -> Vec<f64> {
    records.iter().filter_map(|(row, ..)| row.get(slot).as_f64()).collect()
}

fn close(found: &Value, expected: Option<f64>) -> bool {
    match (found.as_f64(), expected) {
        (Some(a), Some(b)) => (a - b).abs() < 1e-9,
        (None, None) => found.is_null(),
        _ => false,
    }
}

/// Records with values that are equal and not the same, and doubles that can't be summed up without rounding; and the same in another order.
fn shuffled() -> impl Strategy<Value = [Vec<(Row, i64, bool)>; 2]> {
    let number = prop_oneof![(0i64..3).prop_map(Value::Int), (0i32..3).prop_map(|d| Value::Double(f64::from(d))), Just(Value::Null)];
    let double = prop_oneof![(-30i32..30).prop_map(|d| f64::from(d) * 0.1), Just(1e16), Just(-1e16), Just(f64::MIN_POSITIVE)];
    let row = (number, double).prop_map(|(a, d)| Row::from_iter([Value::Null, Value::Double(d), Value::Null, a]));
    let records = proptest::collection::vec((row, 0i64..4, any::<bool>()), 0..40);
    records.prop_flat_map(|records| [Just(records.clone()).boxed(), Just(records).prop_shuffle().boxed()])
}

proptest! {
    #[test]
    fn in_any_order_no_result_depends_on_it([records, others] in shuffled()) {
        let calls = [
            "count(a)", "sum(d)", "sum(a)", "avg(d)", "avg(a)", "min(a)", "max(a)", "first(a)", "last(a)", "first(d)", "last(d)", "collect(a)",
            "collect(d)", "variance(d)", "stddev(a)", "quantile(d, 0.25)", "top(a, 2)", "count_distinct(a)",
        ];
        let mut aggregate = aggregate(&calls.map(|call| (call, None)), OnError::Fail).in_any_order();
        let found = run(&mut aggregate, &records);
        prop_assert_eq!(&found, &run(&mut aggregate, &others));
        let mut in_time: Vec<_> = records.iter().map(|(row, time, _)| (*time, row.get(3).clone())).collect();
        in_time.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.strict_cmp(&b.1)));
        prop_assert_eq!(&found[11], &Value::list(in_time.iter().map(|(_, a)| a.clone())));
        let present: Vec<_> = in_time.into_iter().filter(|(_, a)| !a.is_null()).map(|(_, a)| a).collect();
        prop_assert_eq!(&found[7], present.first().unwrap_or(&Value::Null));
        prop_assert_eq!(&found[8], present.last().unwrap_or(&Value::Null));
    }
}

proptest! {
    #[test]
    fn every_function_is_what_it_says(records in records()) {
        let calls = [
            ("count()", None), ("count(x)", None), ("sum(x)", None), ("avg(d)", None), ("min(x)", None), ("max(d)", None),
            ("first(x)", None), ("last(x)", None), ("count_distinct(s)", None), ("collect(x)", None), ("variance(d)", None),
            ("stddev(d)", None), ("quantile(d, 0.25)", None), ("top(s, 2)", None), ("sum(x * 2 + 1)", Some("s != 'a' && x != null")),
        ];
        let mut aggregate = aggregate(&calls, OnError::Fail);
        let found = run(&mut aggregate, &records);
        let (xs, ds) = (numbers(&records, 0), numbers(&records, 1));
        let ints: Vec<i64> = xs.iter().map(|x| *x as i64).collect();
        prop_assert_eq!(&found[0], &Value::Int(records.len() as i64));
        prop_assert_eq!(&found[1], &Value::Int(xs.len() as i64));
        prop_assert_eq!(&found[2], &Value::Int(ints.iter().sum()));
        let mean = (!ds.is_empty()).then(|| ds.iter().sum::<f64>() / ds.len() as f64);
        prop_assert!(close(&found[3], mean));
        prop_assert_eq!(&found[4], &ints.iter().min().map_or(Value::Null, |v| Value::Int(*v)));
        prop_assert!(close(&found[5], ds.iter().copied().reduce(f64::max)));
        let timed: Vec<(i64, &Value)> = records.iter().filter(|r| !r.0.get(0).is_null()).map(|r| (r.1, r.0.get(0))).collect();
        let first = timed.iter().min_by_key(|(time, _)| *time).map_or(&Value::Null, |(_, v)| *v);
        let last = timed.iter().max_by_key(|(time, _)| *time).map_or(&Value::Null, |(_, v)| *v);
        prop_assert_eq!(&found[6], first);
        prop_assert_eq!(&found[7], last);
        let distinct: std::collections::BTreeSet<&str> = records.iter().filter_map(|r| r.0.get(2).as_str()).collect();
        prop_assert_eq!(&found[8], &Value::Int(distinct.len() as i64));
        prop_assert_eq!(&found[9], &Value::list(records.iter().map(|r| r.0.get(0).clone())));
        let variance = mean.filter(|_| ds.len() > 1).map(|m| ds.iter().map(|d| (d - m).powi(2)).sum::<f64>() / (ds.len() - 1) as f64);
        prop_assert!(close(&found[10], variance));
        prop_assert!(close(&found[11], variance.map(f64::sqrt)));
        let mut sorted = ds.clone();
        sorted.sort_by(f64::total_cmp);
        let quartile = (!sorted.is_empty()).then(|| {
            let rank = 0.25 * (sorted.len() - 1) as f64;
            let (below, above) = (sorted[rank.floor() as usize], sorted[rank.ceil() as usize]);
            below + (above - below) * rank.fract()
        });
        prop_assert!(close(&found[12], quartile));
        let mut counts: Vec<(&str, i64)> = distinct.iter().map(|s| (*s, records.iter().filter(|r| r.0.get(2).as_str() == Some(s)).count() as i64)).collect();
        counts.sort_by_key(|(s, n)| (-n, *s));
        let top = counts.into_iter().take(2).map(|(s, n)| Value::map([(Value::string("value"), Value::string(s)), (Value::string("count"), Value::Int(n))]));
        prop_assert_eq!(&found[13], &Value::list(top));
        let some = records.iter().filter(|r| r.0.get(2).as_str() != Some("a")).filter_map(|r| r.0.get(0).as_f64());
        prop_assert_eq!(&found[14], &Value::Int(some.map(|x| x as i64 * 2 + 1).sum()));
    }
}

#[test]
fn an_accumulator_is_small() {
    assert!(size_of::<Acc>() <= 32, "{}", size_of::<Acc>());
}

#[test]
fn a_sum_of_ints_that_overflows_becomes_a_double() {
    let mut aggregate = aggregate(&[("sum(x)", None)], OnError::Fail);
    let row = |x| (Row::from_iter([Value::Int(x)]), 0, false);
    assert_eq!(run(&mut aggregate, &[row(i64::MAX), row(i64::MAX), row(-i64::MAX)]), [Value::Int(i64::MAX)]);
    assert_eq!(run(&mut aggregate, &[row(i64::MAX), row(1)]), [Value::Double(9_223_372_036_854_775_808.0)]);
}

#[test]
fn equal_values_are_counted_as_one() {
    let mut aggregate = aggregate(&[("count_distinct(a)", None), ("top(a, 3)", None)], OnError::Fail);
    let map = |names: [&str; 2]| Value::map(names.map(|name| (Value::string(name), Value::Double(1.0))));
    let values = [Value::Int(1), Value::Double(1.0), Value::Uint(1), map(["p", "q"]), map(["q", "p"])];
    let records: Vec<_> = values.map(|a| (Row::from_iter([Value::Null, Value::Null, Value::Null, a]), 0, false)).into();
    let found = run(&mut aggregate, &records);
    assert_eq!(found[0], Value::Int(2));
    let Value::List(top) = &found[1] else { panic!("{found:?}") };
    let counts: Vec<_> = top.iter().map(|entry| if let Value::Map(of) = entry { of[1].1.clone() } else { Value::Null }).collect();
    assert_eq!(counts, [Value::Int(3), Value::Int(2)]);
}

#[test]
fn a_sum_has_the_type_of_its_argument_also_of_nothing() {
    let mut aggregate = aggregate(&[("sum(x)", None), ("sum(d)", None)], OnError::Fail);
    assert_eq!(run(&mut aggregate, &[]), [Value::Int(0), Value::Double(0.0)]);
}

#[test]
fn a_record_that_an_expression_fails_on_leaves_nothing_behind() {
    let calls = [("count()", None), ("sum(10 / x)", None), ("sum(a)", None)];
    let bad = [
        Row::from_iter([Value::Int(0), Value::Null, Value::Null, Value::Null]),
        Row::from_iter([Value::Int(1), Value::Null, Value::Null, Value::string("no number")]),
    ];
    let mut skipping = aggregate(&calls, OnError::Skip);
    let mut acc = skipping.create();
    for row in &bad {
        assert!(!skipping.add(&mut acc, row, 0).unwrap());
    }
    assert_eq!(skipping.finish(&acc), [Value::Int(0), Value::Int(0), Value::Int(0)]);
    let mut failing = aggregate(&calls, OnError::Fail);
    let error = failing.add(&mut acc, &bad[0], 0).unwrap_err().to_string();
    assert!(error.contains("`10 / x`") && error.contains("stream `test`") && error.contains("division by zero"), "{error}");
}

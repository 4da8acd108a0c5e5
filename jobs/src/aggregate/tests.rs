//! Every function against its definition, for any split of the records into parts that are merged.

use proptest::prelude::*;
use tidegate_operators::{Aggregate, Sliding};
use tidegate_rows::{Decimal, Row, Schema, Type, Value};

use super::functions::Acc;
use super::{About, Compiled, Function, RowAggregate, compile};
use crate::file::OnError;
use crate::relation::failures::Failures;

fn schema() -> Schema {
    Schema::new([("x", Type::Int), ("d", Type::Double), ("s", Type::String), ("a", Type::Any), ("m", Type::Decimal)])
}

/// The aggregates of a file's `aggregate: { r: CALL }`, compiled as the planner does.
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
    // Whether the record starts a new part.
    proptest::collection::vec((row, 0i64..20, any::<bool>()), 0..40)
}

/// The results of the aggregates over parts merged in order.
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

/// Records with values that are equal but not identical, and doubles that can't be summed without rounding; and the
/// same records in another order.
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

/// Rows of amounts in cents or tenths of a cent: as decimals, and as values of any type, some of which are ints or
/// doubles.
fn amounts() -> impl Strategy<Value = Vec<(Row, i64, bool)>> {
    let amount = (-100_000_i64..100_000, 2_u8..4).prop_map(|(units, scale)| Value::Decimal(Decimal::new(units.into(), scale).unwrap()));
    let amount = prop_oneof![8 => amount, 1 => Just(Value::Null), 1 => Just(Value::Decimal(Decimal::new(10_i128.pow(35) - 1, 2).unwrap()))];
    let number = prop_oneof![(-50_i64..50).prop_map(Value::Int), (-8_i32..8).prop_map(|d| Value::Double(f64::from(d) * 0.5))];
    let row = (amount.clone(), prop_oneof![3 => amount, 1 => number])
        .prop_map(|(m, a)| Row::from_iter([Value::Null, Value::Null, Value::Null, a, m]));
    proptest::collection::vec((row, 0_i64..20, any::<bool>()), 0..30)
}

/// The value in thousandths, a unit in which all of these are whole.
fn thousandths(value: &Value) -> Option<i128> {
    value.as_decimal().map(|v| v.units() * 10_i128.pow(3 - u32::from(v.scale())))
}

proptest! {
    #[test]
    fn decimals_are_summed_exactly(records in amounts(), any_order: bool) {
        let calls = ["sum(m)", "avg(m)", "min(m)", "max(m)", "first(m)", "last(m)", "count_distinct(m)", "collect(m)", "stddev(m)", "sum(a)", "avg(a)"];
        let mut aggregate = aggregate(&calls.map(|call| (call, None)), OnError::Fail);
        if any_order {
            aggregate = aggregate.in_any_order();
        }
        let found = run(&mut aggregate, &records);
        let present: Vec<(i64, &Value)> = records.iter().filter(|r| !r.0.get(4).is_null()).map(|r| (r.1, r.0.get(4))).collect();
        let units: Vec<i128> = present.iter().filter_map(|(_, v)| thousandths(v)).collect();
        let total: i128 = units.iter().sum();
        prop_assert!(matches!(found[0], Value::Decimal(_)), "{:?}", found[0]);
        prop_assert_eq!(thousandths(&found[0]), Some(total));
        match &found[1] {
            Value::Null => prop_assert!(units.is_empty()),
            Value::Decimal(mean) => {
                // The mean times the count equals the sum, except for rounding in the last digits.
                let count = Decimal::from(units.len() as u64);
                let rest = mean.checked_mul(count).unwrap().checked_sub(Decimal::new(total, 3).unwrap()).unwrap();
                let rounded = Decimal::new(units.len() as i128 + 200, mean.scale()).unwrap();
                prop_assert!(rest.abs().amount_cmp(rounded).is_lt(), "{} of {:?}", rest, units);
            }
            other => prop_assert!(false, "{other:?}"),
        }
        let least = present.iter().map(|(_, v)| *v).min_by(|a, b| a.strict_cmp(b));
        let greatest = present.iter().map(|(_, v)| *v).max_by(|a, b| a.strict_cmp(b));
        prop_assert_eq!((&found[2], &found[3]), (least.unwrap_or(&Value::Null), greatest.unwrap_or(&Value::Null)));
        let distinct: std::collections::BTreeSet<i128> = units.iter().copied().collect();
        prop_assert_eq!(&found[6], &Value::Int(distinct.len() as i64));
        if !any_order {
            prop_assert_eq!(&found[4], present.iter().min_by_key(|(time, _)| *time).map_or(&Value::Null, |(_, v)| *v));
            prop_assert_eq!(&found[5], present.iter().max_by_key(|(time, _)| *time).map_or(&Value::Null, |(_, v)| *v));
            prop_assert_eq!(&found[7], &Value::list(records.iter().map(|r| r.0.get(4).clone())));
        }
        // For values of any type: exact, unless there is a double among them.
        let others: Vec<&Value> = records.iter().map(|r| r.0.get(3)).filter(|v| !v.is_null()).collect();
        let exact: Option<Vec<i128>> = others.iter().map(|v| thousandths(v)).collect();
        match (&found[9], exact) {
            (Value::Decimal(sum), Some(units)) => prop_assert_eq!(thousandths(&Value::Decimal(*sum)), Some(units.iter().sum())),
            (Value::Int(sum), Some(units)) => prop_assert_eq!(i128::from(*sum) * 1000, units.iter().sum::<i128>()),
            (Value::Double(sum), None) => {
                let expected: f64 = others.iter().filter_map(|v| v.as_f64()).sum();
                prop_assert!((sum - expected).abs() <= 1e-9 + 1e-12 * expected.abs(), "{sum} and {expected}");
            }
            (found, exact) => prop_assert!(false, "{found:?} of {exact:?}"),
        }
        prop_assert!(matches!(found[10], Value::Double(_)) || others.is_empty(), "{:?}", found[10]);
    }

    #[test]
    fn what_has_left_a_window_of_decimals_is_taken_back(records in amounts(), at in 0_usize..30) {
        let mut aggregate = aggregate(&[("sum(m)", None), ("avg(m)", None)], OnError::Fail);
        assert_eq!(aggregate.sliding(), Sliding::Retract);
        let (gone, kept) = records.split_at(at.min(records.len()));
        let mut of = |records: &[(Row, i64, bool)]| {
            let mut accs = aggregate.create();
            records.iter().for_each(|(row, time, _)| assert!(aggregate.add(&mut accs, row, *time).unwrap()));
            accs
        };
        let (mut window, gone, kept) = (of(&records), of(gone), of(kept));
        aggregate.retract(&mut window, &gone);
        prop_assert_eq!(aggregate.finish(&window), aggregate.finish(&kept));
    }
}

#[test]
fn decimals_that_are_equal_are_one_value() {
    let mut aggregate = aggregate(&[("count_distinct(m)", None), ("top(m, 1)", None), ("sum(m)", None)], OnError::Fail);
    let of = |text: &str| {
        (Row::from_iter([Value::Null, Value::Null, Value::Null, Value::Null, Value::Decimal(text.parse().unwrap())]), 0, false)
    };
    let found = run(&mut aggregate, &["1.5", "1.50", "1.500", "2"].map(of));
    assert_eq!(found[0], Value::Int(2));
    let most = Value::map([(Value::string("value"), Value::Decimal("1.5".parse().unwrap())), (Value::string("count"), Value::Int(3))]);
    assert_eq!(found[1], Value::list([most]));
    assert_eq!(found[2], Value::Decimal("6.500".parse().unwrap()));
    assert_eq!(run(&mut aggregate, &[])[2], Value::Decimal(Decimal::ZERO), "a sum of nothing is of the type of its argument");
}

/// Calls of every function over every type that it takes.
fn every_call() -> Vec<String> {
    let calls = |about: &About| -> Vec<String> {
        let of = |field: &str| about.calls.iter().map(|call| call.replace("(x", &format!("({field}"))).collect::<Vec<_>>();
        let fields = schema();
        let fields = fields.fields().filter(|(_, field)| about.takes.check_type(&field.ty).is_ok());
        fields.flat_map(|(_, field)| of(&field.name)).collect()
    };
    Function::all().flat_map(calls).collect()
}

#[test]
fn every_function_keeps_what_it_can_finish_and_slides_as_its_accumulator_can() {
    let calls = every_call();
    assert!(calls.len() > 40, "{calls:?}");
    for call in calls {
        let (compiled, _) = compile(&crate::text::spanned_text(&call), None, &schema()).unwrap_or_else(|p| panic!("{call}: {p:?}"));
        let function = compiled.function;
        for acc in [function.empty(), function.unordered()] {
            assert!(function.finish(&acc).is_some(), "{call}: {acc:?}");
            assert!(function.sliding() != Sliding::Retract || acc.retracts(), "{call}: {acc:?}");
        }
    }
}

/// A savepoint may hold the accumulators of a job in which records had another order.
#[test]
fn sums_of_ordered_and_unordered_records_are_merged() {
    let calls = ["sum(d)", "sum(a)", "avg(d)", "avg(a)", "variance(d)", "stddev(a)"].map(|call| (call, None));
    let row = |a: Value, d: f64| Row::from_iter([Value::Null, Value::Double(d), Value::Null, a, Value::Null]);
    let decimal = |text: &str| Value::Decimal(text.parse().unwrap());
    for (one, others) in [(Value::Int(4), [Value::Int(2), Value::Double(0.5)]), (decimal("1.5"), [Value::Int(2), Value::Double(0.25)])] {
        let rows = [row(one, 1.0), row(others[0].clone(), 2.0), row(others[1].clone(), 6.0)];
        let sum = |order: [bool; 3]| {
            let part = |(row, in_any_order): (&Row, bool)| {
                let mut whole = aggregate(&calls, OnError::Fail);
                whole = if in_any_order { whole.in_any_order() } else { whole };
                let mut acc = whole.create();
                assert!(whole.add(&mut acc, row, 0).unwrap());
                acc
            };
            let whole = aggregate(&calls, OnError::Fail);
            let merged = rows.iter().zip(order).map(part).reduce(|mut acc, other| {
                whole.merge(&mut acc, &other);
                acc
            });
            whole.finish(&merged.unwrap())
        };
        let expected = sum([false; 3]);
        for order in [[true, false, false], [false, true, false], [false, true, true], [true, true, true]] {
            for (found, expected) in sum(order).iter().zip(&expected) {
                assert!(close(found, expected.as_f64()), "{order:?}: {found:?} and {expected:?}");
            }
        }
    }
}

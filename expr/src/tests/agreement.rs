//! The specialised code for known types and the dynamic code for `any` agree.

use proptest::prelude::*;
use tidegate_rows::{Row, Schema, Type, Value};

use crate::{Expr, Problem};

const FIELDS: [(&str, Type); 5] = [("d", Type::Double), ("i", Type::Int), ("s", Type::String), ("b", Type::Bool), ("e", Type::Double)];

fn number() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("d".to_owned()),
        Just("e".to_owned()),
        Just("i".to_owned()),
        (-3i64..4).prop_map(|v| format!("({v})")),
        (-3i64..4).prop_map(|v| format!("({v}.5)")),
        Just("9223372036854775807".to_owned()),
    ];
    leaf.prop_recursive(2, 8, 2, |inner| {
        (inner.clone(), prop_oneof![Just("+"), Just("-"), Just("*"), Just("/")], inner).prop_map(|(a, op, b)| format!("({a} {op} {b})"))
    })
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just("s".to_owned()), Just("'a'".to_owned()), Just("'ab'".to_owned()), Just("''".to_owned())]
}

fn condition() -> impl Strategy<Value = String> {
    let op = || prop_oneof![Just("=="), Just("!="), Just("<"), Just("<="), Just(">"), Just(">=")];
    let leaf = prop_oneof![
        (number(), op(), number()).prop_map(|(a, op, b)| format!("{a} {op} {b}")),
        (text(), op(), text()).prop_map(|(a, op, b)| format!("{a} {op} {b}")),
        (text(), prop_oneof![Just("startsWith"), Just("endsWith"), Just("contains"), Just("matches")], text())
            .prop_map(|(a, f, b)| format!("{a}.{f}({b})")),
        prop_oneof![
            Just("b"),
            Just("s in ['a', 'b']"),
            Just("i in [1, 2, 3, 4, 5, 6, 7, -1]"),
            Just("d in [0.5, 1.5]"),
            Just("s == null"),
            Just("d != null")
        ]
        .prop_map(str::to_owned),
        Just("[1, 2, 3].exists(x, x == i)".to_owned()),
    ];
    leaf.prop_recursive(3, 16, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} && {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} || {b})")),
            inner.clone().prop_map(|a| format!("!({a})")),
            (inner.clone(), inner.clone(), inner).prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
        ]
    })
}

fn row() -> impl Strategy<Value = Row> {
    let double = || prop_oneof![3 => (-3i32..4).prop_map(|v| Value::Double(f64::from(v) / 2.0)), 1 => Just(Value::Double(f64::NAN)), 1 => Just(Value::Null)];
    let int = prop_oneof![3 => (-3i64..4).prop_map(Value::Int), 1 => Just(Value::Int(i64::MAX)), 1 => Just(Value::Null)];
    let text = prop_oneof![Just(Value::string("a")), Just(Value::string("ab")), Just(Value::string("")), Just(Value::Null)];
    let truth = prop_oneof![any::<bool>().prop_map(Value::Bool), Just(Value::Null)];
    (double(), int, text, truth, double()).prop_map(|(d, i, s, b, e)| [d, i, s, b, e].into_iter().collect())
}

fn any_typed() -> Schema {
    Schema::new(FIELDS.map(|(name, _)| (name, Type::Any)))
}

/// The expression, or `None` if a constant part of it has no value.
fn unless_constant(compiled: Result<Expr, Vec<Problem>>) -> Option<Expr> {
    compiled.map_err(|problems| assert!(problems.iter().all(|p| p.constant), "{problems:?}")).ok()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn typed_and_dynamic_conditions_agree(source in condition(), row in row()) {
        // An expression that fails for every row may be refused.
        let Some(typed) = unless_constant(Expr::condition(&source, &Schema::new(FIELDS))) else { return Ok(()) };
        let Some(dynamic) = unless_constant(Expr::condition(&source, &any_typed())) else { return Ok(()) };
        let (typed, dynamic) = (typed.test(&row), dynamic.test(&row));
        prop_assert_eq!(typed.clone().ok(), dynamic.clone().ok(), "{:?} and {:?}", typed, dynamic);
    }

    #[test]
    fn typed_and_dynamic_numbers_agree(source in number(), row in row()) {
        let Some(typed) = unless_constant(Expr::compile(&source, &Schema::new(FIELDS))) else { return Ok(()) };
        let Some(dynamic) = unless_constant(Expr::compile(&source, &any_typed())) else { return Ok(()) };
        let bits = |v: Result<Option<f64>, _>| v.ok().map(|v| v.map(|v| if v.is_nan() { 0 } else { v.to_bits() }));
        prop_assert_eq!(bits(typed.number(&row)), bits(dynamic.number(&row)));
        prop_assert_eq!(typed.eval(&row).ok(), dynamic.eval(&row).ok());
    }
}

//! Hostile input is refused or answered, and never exhausts the stack, the memory or the time.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use tidegate_rows::{Row, Schema, Type, Value};

use super::{eval, schema};
use crate::{Expr, ExprSet, eval_batch_line, parse_call};

fn refusal(source: &str) -> String {
    Expr::compile(source, &schema()).expect_err("it should be refused").remove(0).message
}

#[test]
fn deep_nesting_is_refused() {
    let deep = "the expression is nested too deeply, at most 160 levels are allowed";
    for source in [
        format!("{}1{}", "(".repeat(10_000), ")".repeat(10_000)),
        format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000)),
        format!("{}1{}", "size(".repeat(10_000), ")".repeat(10_000)),
        format!("{}true", "!-".repeat(10_000)),
        format!("1{}", " + 1".repeat(10_000)),
        format!("any{}", ".a".repeat(10_000)),
        format!("any{}", "[0]".repeat(10_000)),
        format!("{}1", "true ? 1 : ".repeat(10_000)),
        format!("any{}", ".f()".repeat(10_000)),
        format!("{}1{}", "[1].map(x, ".repeat(10_000), ")".repeat(10_000)),
        format!("{}1{}", "{1: ".repeat(10_000), "}".repeat(10_000)),
    ] {
        assert_eq!(refusal(&source), deep);
        assert!(eval_batch_line(&serde_json::json!({ "expr": source }).to_string()).contains(deep));
    }
    assert_eq!(refusal(&"(".repeat(100)), "`(` is never closed");
    assert!(parse_call(&"f(".repeat(10_000)).is_err());
}

#[test]
fn the_deepest_allowed_is_evaluated() {
    for source in [
        format!("{}1{}", "(".repeat(150), ")".repeat(150)),
        format!("1{} == 151", " + 1".repeat(150)),
        format!("{}1{}", "[".repeat(80), "]".repeat(80)),
        format!("{}1", "true ? 1 : ".repeat(150)),
        format!("{}count{}", "-(".repeat(75), ")".repeat(75)),
        format!("{}count{}", "[1].map(x, ".repeat(45), ")".repeat(45)),
    ] {
        assert!(eval(&source).is_ok(), "{source}");
    }
    // A long chain of conditions is not deep.
    assert_eq!(eval(&vec!["count == 3"; 5000].join(" && ")), Ok(Value::Bool(true)));
}

#[test]
fn long_input_is_bounded() {
    assert_eq!(refusal(&" ".repeat(2_000_000)), "the expression is 2000000 bytes long, at most 1048576 are allowed");
    let text = "x".repeat(1_000_000);
    assert_eq!(eval(&format!("'{text}'.size()")), Ok(Value::Int(1_000_000)));
    let row: Row = [Value::string(&text)].into_iter().collect();
    let expr = Expr::compile("name.replace('', name).size() > 0", &Schema::new([("name", Type::String)])).unwrap();
    assert_eq!(expr.eval(&row).unwrap_err().to_string(), "the result is too large");
}

#[test]
fn huge_lists_are_sets() {
    let list: Vec<String> = (0..50_000).map(|i| format!("'ip{i}'")).collect();
    let expr = Expr::condition(&format!("name in [{}]", list.join(", ")), &schema()).unwrap();
    let mut row = super::row();
    row.0[2] = Value::string("ip49999");
    let start = Instant::now();
    for _ in 0..10_000 {
        assert_eq!(expr.test(&row), Ok(true));
    }
    assert!(start.elapsed() < Duration::from_secs(2));
}

#[test]
fn sets_of_large_expressions_are_made_in_time() {
    let deep = format!("{}count{}", "-(count + ".repeat(50), ")".repeat(50));
    let source = vec![format!("{deep} > 1"); 1500].join(" || ");
    let list: Vec<String> = (0..20_000).map(|i| format!("'ip{i}'")).collect();
    let member = format!("!(!(name in [{}]))", list.join(", "));
    let start = Instant::now();
    let set = ExprSet::new([source.as_str(), &source, &member, &member].map(super::compile));
    assert!(start.elapsed() < Duration::from_secs(20));
    let row = super::row();
    assert_eq!(set.over(&row, &mut set.scratch()).test(0), set.exprs()[0].test(&row));
}

#[test]
fn regular_expressions_are_linear_and_bounded() {
    let text = format!("{}b", "a".repeat(100_000));
    let row: Row = [Value::string(&text)].into_iter().collect();
    let schema = Schema::new([("name", Type::String)]);
    let expr = Expr::condition("name.matches('^(a+)+$')", &schema).unwrap();
    assert_eq!(expr.test(&row), Ok(false));
    let problem = Expr::condition("name.matches('((a{1000}){1000}){1000}')", &schema).unwrap_err().remove(0);
    assert_eq!(problem.message, "the regular expression is too large");
}

#[test]
fn runaway_macros_are_stopped() {
    let list = Value::list((0..3000).map(Value::Int));
    let row: Row = [list].into_iter().collect();
    let schema = Schema::new([("l", Type::List(Box::new(Type::Int)))]);
    let expr = Expr::condition("l.all(a, l.all(b, l.all(c, l.all(d, a + b + c + d >= 0))))", &schema).unwrap();
    assert_eq!(expr.test(&row).unwrap_err().to_string(), "the expression takes too many steps");
    let doubling = format!("['{}']{}.size()", "x".repeat(1000), ".map(x, x + x)".repeat(40));
    let expr = Expr::compile(&doubling, &schema).unwrap();
    assert_eq!(expr.eval(&row).unwrap_err().to_string(), "the result is too large");
}

#[test]
fn collected_texts_are_counted() {
    let row: Row = [Value::string("x".repeat(3000))].into_iter().collect();
    let expr = Expr::compile("lists.range(1000).map(i, s.replace('', s)).size()", &Schema::new([("s", Type::String)])).unwrap();
    assert_eq!(expr.eval(&row).unwrap_err().to_string(), "the expression takes too many steps");
}

#[test]
fn batch_lines_never_fail() {
    for line in [
        "",
        "[]",
        "{}",
        "{\"expr\": 1}",
        "{\"expr\": \"a\", \"vars\": {\"a\": 1}}",
        "{\"expr\": \"a\", \"vars\": {\"a\": {\"int\": \"x\"}}}",
        "\u{0}",
    ] {
        assert!(eval_batch_line(line).starts_with("{\"error\":"), "{line}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn any_text_is_answered(source in "(amount|name|tags|1|2\\.5|'é'|\"|'|\\\\|all|map|has|x|é| |\\.|,|\\(|\\)|\\[|\\]|\\{|\\}|\\?|:|&&|\\|\\||!|==|<|\\+|-|/|%|in |b|r|`|\n){0,25}") {
        if let Err(problems) = Expr::compile(&source, &schema()) {
            for problem in problems {
                prop_assert!(source.get(problem.span.clone()).is_some(), "{problem:?}");
            }
        }
        let answer = eval_batch_line(&serde_json::json!({ "expr": source, "disable_check": true }).to_string());
        prop_assert!(serde_json::from_str::<serde_json::Value>(&answer).is_ok());
        let _ = parse_call(&source);
    }
}

#[test]
fn expressions_are_shared_between_threads() {
    fn shared<T: Clone + Send + Sync + std::fmt::Debug>(_: &T) {}
    shared(&super::compile("amount > 1.0"));
}

//! The committed page on expressions is the one the compiler's tables make, and its examples are true.

use tidegate_expr::{Expr, examples, reference};
use tidegate_rows::{Row, Schema, Value};

#[test]
fn the_page_is_generated() {
    let path = "../docs/expressions.md";
    let page = reference();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::create_dir_all("../docs").unwrap();
        std::fs::write(path, &page).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    let differs = committed.lines().zip(page.lines()).position(|(a, b)| a != b);
    assert!(committed == page, "docs/expressions.md is out of date from line {differs:?} on: run with UPDATE_DOCS=1");
}

#[test]
fn the_examples_are_true() {
    let eval = |source: &str| {
        let expr = Expr::compile(source, &Schema::default()).unwrap_or_else(|p| panic!("{source}: {p:?}"));
        expr.eval(&Row::default()).unwrap_or_else(|e| panic!("{source}: {e}"))
    };
    let mut count = 0;
    for (source, result) in examples() {
        eval(source);
        assert_eq!(eval(&format!("({source}) == ({result})")), Value::Bool(true), "{source} is {:?}, not {result}", eval(source));
        count += 1;
    }
    assert!(count > 150, "only {count} examples");
}

//! Expressions in a set behave the same as on their own.

use tidegate_rows::{Row, Value};

use super::{compile, row};
use crate::{Expr, ExprSet};

fn set(sources: &[&str]) -> ExprSet {
    ExprSet::new(sources.iter().map(|source| compile(source)))
}

/// Asserts that a set gives the same results as its expressions alone, and returns the number of shared parts.
fn agrees(sources: &[&str]) -> usize {
    let set = set(sources);
    let mut scratch = set.scratch();
    for row in [row(), Row::nulls(8), row()] {
        let over = set.over(&row, &mut scratch);
        // Twice: the second pass reads remembered results.
        for (i, expr) in set.exprs().iter().enumerate().chain(set.exprs().iter().enumerate()) {
            assert_eq!(over.eval(i), expr.eval(&row), "{}", expr.source());
            assert_eq!(over.test(i), expr.test(&row), "{}", expr.source());
        }
    }
    set.shared()
}

#[test]
fn what_occurs_twice_and_is_dear_is_shared() {
    for (sources, shared) in [
        (&["name.matches('a+') && count > 1", "name.matches('a+') && count > 2"][..], 1),
        (&["name.lowerAscii() + '1'", "name.lowerAscii() + '2'"], 1),
        (&["name.lowerAscii() == 'ann'", "ok || name.lowerAscii() == 'ann'"], 1),
        // A part within a shared part is also shared if it occurs elsewhere.
        (&["name.lowerAscii().size() > 2", "name.lowerAscii().size() > 3", "name.lowerAscii() == 'ann'"], 2),
        (&["tags.map(t, t + '!')", "tags.map(t, t + '!').size()"], 1),
        (&["tags.map(t, tags.exists(u, u == 'a'))", "tags.exists(u, u == 'a')"], 1),
        // So is what a macro would evaluate for every element.
        (&["[user.age + 1].map(x, user.age + 1)"], 1),
        (&["[name.trim()].map(x, name.trim())"], 1),
        // Cheap parts are not shared, nor are those that depend on an enclosing variable.
        (&["count > 1 && ok", "count > 1 && !ok"], 0),
        (&["tags.map(t, t.trim() + t.trim())", "tags.map(u, tags.map(t, t.trim() == u.trim()))"], 0),
        // Every expression reports its own errors.
        (&["tags[7].trim() + 'a'", "tags[7].trim() + 'b'", "tags[7].trim() == 'b' || true"], 1),
        (&["1 / (count - 3) > 0 || name.trim() == 'x'", "name.trim() == 'x' && amount > 1.0"], 1),
    ] {
        assert_eq!(agrees(sources), shared, "{sources:?}");
    }
}

#[test]
fn values_of_a_set_come_in_order_and_name_who_fails() {
    let values = set(&["name.trim()", "count", "name.trim() + '!'"]).values(&row()).unwrap();
    assert_eq!(values, [Value::string("ann"), Value::Int(3), Value::string("ann!")]);
    let failing = set(&["count", "tags[9]"]);
    let (expr, error) = failing.values(&row()).unwrap_err();
    assert_eq!((expr.source(), error.to_string().as_str()), ("tags[9]", "index out of range: 9"));
}

#[test]
fn a_foreign_scratch_is_an_error_and_nothing_worse() {
    let (small, large) = (set(&["count"]), set(&["name.trim() + 'a'", "name.trim() + 'b'"]));
    let (row, mut scratch) = (row(), small.scratch());
    let over = large.over(&row, &mut scratch);
    assert_eq!(over.eval(0).unwrap_err().to_string(), "the expression is part of another set");
    assert_eq!((over.eval(9), over.test(9)), (Ok(Value::Null), Ok(false)));
    assert!(Expr::clone(&large.exprs()[0]).eval(&row).is_ok());
}

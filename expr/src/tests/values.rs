//! Results: null, overflow, mixed number types, constant folding, and the accessors of a compiled expression.

use tidegate_rows::{Row, Type, Value};

use super::{compile, eval, eval_over, row};

fn over_nulls(source: &str) -> Result<Value, String> {
    eval_over(source, &Row::nulls(8))
}

#[test]
fn null_equals_null_and_takes_part_in_nothing_else() {
    for field in ["amount", "count", "name", "ok", "tags", "user", "any", "ts"] {
        assert_eq!(over_nulls(&format!("{field} == null")), Ok(Value::Bool(true)), "{field}");
        assert_eq!(over_nulls(&format!("null != {field}")), Ok(Value::Bool(false)), "{field}");
        assert_eq!(over_nulls(&format!("{field} == {field}")), Ok(Value::Bool(true)), "{field}");
        assert_eq!(eval(&format!("{field} == null")), Ok(Value::Bool(false)), "{field}");
    }
    for (source, equal) in [("amount == 1.0", false), ("name != 'x'", true), ("count == 1", false), ("any != 2", true)] {
        assert_eq!(over_nulls(source), Ok(Value::Bool(equal)), "{source}");
    }
    for (source, error) in [
        ("amount > 1.0", "no such overload: null > double"),
        ("1 < count", "no such overload: int < null"),
        ("name >= 'x'", "no such overload: null >= string"),
        ("any > 1.0", "no such overload: null > double"),
        ("amount + 1.0", "no such overload: null + double"),
        ("count * 2", "no such overload: null * int"),
        ("any - 1", "no such overload: null - int"),
        ("name.startsWith('a')", "no such overload: startsWith(null, string)"),
        ("name.matches('a')", "no such overload: matches(null, string)"),
        ("ok", "expected bool, found null"),
        ("!ok", "expected bool, found null"),
        ("user.age", "null has no fields"),
        ("tags[0]", "no such overload: null [] int"),
        ("tags.all(t, true)", "cannot iterate over null"),
    ] {
        let result = if source == "ok" {
            compile(source).test(&Row::nulls(8)).map(Value::Bool).map_err(|e| e.to_string())
        } else {
            over_nulls(source)
        };
        assert_eq!(result, Err(error.to_owned()), "{source}");
    }
    assert_eq!(over_nulls("name in ['a', null]"), Ok(Value::Bool(true)));
    assert_eq!(over_nulls("name in ['a', 'b']"), Ok(Value::Bool(false)));
    assert_eq!(over_nulls("amount > 1.0 || true"), Ok(Value::Bool(true)));
}

#[test]
fn overflow_and_division_are_errors() {
    for (source, error) in [
        ("count + 9223372036854775807", "int overflow"),
        ("-9223372036854775808 - count", "int overflow"),
        ("count / (count - count)", "division by zero"),
        ("count % 0", "modulus by zero"),
        ("1u - uint(count)", "uint overflow"),
        ("int(amount * 1e300)", "value out of range of int"),
        ("user.name", "no such key: name"),
        ("tags[2]", "index out of range: 2"),
        ("tags[count - 4]", "index out of range: -1"),
        ("{'a': 1, name.substring(0, 0) + 'a': 2}", "the key a occurs twice"),
        ("timestamp('nonsense')", "`nonsense` is not a timestamp such as 2026-01-31T12:00:00Z"),
        ("optional.none().value()", "the optional has no value"),
        ("name.charAt(9)", "index out of range: 9"),
        ("duration(-9223372036854775807 - 1)", "value out of range of duration"),
        ("duration(9223372036854775807)", "value out of range of duration"),
        ("timestamp(-9223372036854775807 - 1)", "value out of range of timestamp"),
        ("ts.getHours('--2147483648:00')", "unknown time zone `--2147483648:00`: give one such as Europe/Berlin or +02:00"),
        ("double('1e400')", "`1e400` is not a double"),
    ] {
        assert_eq!(eval(source), Err(error.to_owned()), "{source}");
    }
    assert_eq!(eval("amount / 0.0 > 1.0"), Ok(Value::Bool(true)));
}

#[test]
fn ints_and_doubles_mix() {
    assert_eq!(eval("amount * 2"), Ok(Value::Double(501.0)));
    assert_eq!(eval("any * 2"), Ok(Value::Double(14.0)));
    assert_eq!(eval("count / 2"), Ok(Value::Int(1)));
    assert_eq!(eval("count / 2.0"), Ok(Value::Double(1.5)));
    assert_eq!(eval("amount > 250 && count == 3.0 && any == 7"), Ok(Value::Bool(true)));
    assert_eq!(eval("any in [1, 2, 3, 4, 5, 6, 7, 8]"), Ok(Value::Bool(true)));
    assert_eq!(eval("count in [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.5, 8.0]"), Ok(Value::Bool(true)));
}

#[test]
fn lists_of_records_are_aggregated() {
    assert_eq!(eval("tags.first() + tags.last()"), Ok(Value::string("ab")));
    assert_eq!(eval("tags.map(t, size(t)).sum() + count(tags)"), Ok(Value::Int(4)));
    assert_eq!(eval("[user, user].map(u, u.age).avg()"), Ok(Value::Double(30.0)));
    assert_eq!(eval("[{'t': ts}, {'t': ts + duration('5s')}].map(e, e.t).max() - ts == duration('5s')"), Ok(Value::Bool(true)));
}

#[test]
fn a_compiled_expression_tells_its_type_and_slot() {
    for (source, ty, slot) in [
        ("amount", Type::Double, Some(0)),
        ("amount * count", Type::Double, None),
        ("count + 1", Type::Int, None),
        ("user.age", Type::Any, None),
        ("tags[0]", Type::String, None),
        ("tags.map(t, t == name)", Type::List(Box::new(Type::Bool)), None),
        ("ok ? count : null", Type::Int, None),
        ("tags[?5]", Type::String, None),
        ("type(count)", Type::String, None),
        ("ts - ts", Type::Duration, None),
        ("any + 1.5", Type::Double, None),
    ] {
        let expr = compile(source);
        assert_eq!((expr.ty(), expr.as_slot()), (&ty, slot), "{source}");
    }
    assert_eq!(eval("tags[?5]"), Ok(Value::Null));
    assert_eq!(eval("type(count)"), Ok(Value::string("int")));
}

#[test]
fn numbers_are_read_without_a_value_between() {
    assert_eq!(compile("amount").number(&row()), Ok(Some(250.5)));
    assert_eq!(compile("count * 2").number(&row()), Ok(Some(6.0)));
    assert_eq!(compile("amount * 2").number(&row()), Ok(Some(501.0)));
    assert_eq!(compile("amount").number(&Row::nulls(8)), Ok(None));
    assert_eq!(compile("name").number(&row()).unwrap_err().to_string(), "expected number, found string");
    assert_eq!(compile("ok").number(&row()).unwrap_err().to_string(), "expected number, found bool");
}

/// As in RE2, character classes are ASCII, and everything else is Unicode.
#[test]
fn the_classes_of_regular_expressions_are_ascii() {
    for (source, expected) in [
        (r"'é'.matches('^\\w$')", false),
        (r"'é'.matches('^\\W$')", true),
        (r"'é'.matches('^[^\\W]$')", false),
        (r"'_Z9'.matches('^[\\w]{3}$')", true),
        (r"'٣'.matches('\\d')", false),
        (r"'٣3'.matches('^\\D\\d$')", true),
        (r"'\u00a0'.matches('\\s')", false),
        (r"' \t'.matches('^\\s[\\s.]$')", true),
        (r"'aé'.matches('^a\\b')", true),
        (r"'éa'.matches('\\Ba')", false),
        (r"'é'.matches('^.$')", true),
        (r"'é'.matches('(?i)É')", true),
        (r"'a\\w'.matches('^a\\\\w$')", true),
    ] {
        assert_eq!(eval(source), Ok(Value::Bool(expected)), "{source}");
    }
}

#[test]
fn nan_is_the_extreme_wherever_it_stands() {
    for list in ["[0.0 / 0.0, 1.0, 2.0]", "[1.0, 0.0 / 0.0, 2.0]", "[1.0, 2.0, 0.0 / 0.0]"] {
        for function in ["min", "max", "math.least", "math.greatest"] {
            assert_eq!(eval(&format!("math.isNaN({function}({list}))")), Ok(Value::Bool(true)), "{function}({list})");
        }
    }
    assert_eq!(eval("double('-Infinity') < 0.0 && math.isNaN(double('NaN'))"), Ok(Value::Bool(true)));
}

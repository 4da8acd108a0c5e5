//! Constant parts without a value are reported at compile time, unless CEL still gives the whole a value.

use tidegate_rows::{Row, Schema, Type, Value};

use crate::Expr;

fn schema() -> Schema {
    let text = ["k", "ip"].map(|name| (name, Type::String));
    Schema::new(text.into_iter().chain([("t", Type::Timestamp), ("n", Type::Int), ("x", Type::Double), ("ok", Type::Bool)]))
}

/// The problems of a source, each as `text it points at: message`.
fn problems(source: &str) -> Vec<String> {
    let problems = Expr::compile(source, &schema()).expect_err(source);
    problems.iter().map(|p| format!("{}: {p}", &source[p.span.clone()])).collect()
}

#[test]
fn malformed_constants_are_located() {
    for (source, expected) in [
        (
            "t > timestamp('2026-02-30T00:00:00Z')",
            "timestamp('2026-02-30T00:00:00Z'): `2026-02-30T00:00:00Z` is not a timestamp such as 2026-01-31T12:00:00Z",
        ),
        ("t + duration('15 parsecs') > t", "duration('15 parsecs'): `15 parsecs` is not a duration such as 1h30m or 500ms"),
        ("t.getHours('+00:99')", "'+00:99': unknown time zone `+00:99`: give one such as Europe/Berlin or +02:00"),
        ("t.getDate('Mars/Olympus')", "'Mars/Olympus': unknown time zone `Mars/Olympus`: give one such as Europe/Berlin or +02:00"),
        ("t.getDate('++5:00')", "'++5:00': unknown time zone `++5:00`: give one such as Europe/Berlin or +02:00"),
        ("regex.extract(k, '[a')", "'[a': invalid regular expression: unclosed character class"),
        ("regex.extractAll(k, '(')", "'(': invalid regular expression: unclosed group"),
        ("regex.replace(k, '[a', '')", "'[a': invalid regular expression: unclosed character class"),
        ("regex.replace(k, '(a)', r'\\2')", "r'\\2': `\\2` is no replacement for 1 groups"),
        ("cidr('10.0.0.0/33').containsIP(ip)", "cidr('10.0.0.0/33'): `10.0.0.0/33` is not a range of addresses such as 10.0.0.0/8"),
        ("cidr(k).containsIP('10.0.0')", "'10.0.0': `10.0.0` is not an IP address"),
        ("cidr(k).containsCIDR('10.0.0.0')", "'10.0.0.0': `10.0.0.0` is not a range of addresses such as 10.0.0.0/8"),
        ("ip('10.0.0.256') == ip(ip)", "ip('10.0.0.256'): `10.0.0.256` is not an IP address"),
        ("ip_in('10.0.0', [k])", "'10.0.0': `10.0.0` is not an IP address"),
        ("'%q'.format([k])", "'%q': unknown placeholder: %q"),
        ("'%d'.format([k])", "'%d': %d prints ints, not string"),
        ("'%s %s'.format([k])", "'%s %s': there are 1 values, and placeholder 2 needs another"),
        ("'%.1001f'.format([x])", "'%.1001f': invalid precision: `.1001`"),
        ("n > int('x')", "int('x'): `x` is not an int"),
        ("n > int(1e30)", "int(1e30): value out of range of int"),
        ("x > double('1,5')", "double('1,5'): `1,5` is not a double"),
        ("geo_distance(x, x, 91.0, 0.0)", "geo_distance(x, x, 91.0, 0.0): 91 is not a latitude, which is from -90 to 90"),
        ("math.bitShiftLeft(n, -1)", "math.bitShiftLeft(n, -1): negative offset: -1"),
        ("n > 1 / 0", "1 / 0: division by zero"),
        ("n / 0", "n / 0: division by zero"),
        ("n % 0", "n % 0: modulus by zero"),
        ("n > 9223372036854775807 + 1", "9223372036854775807 + 1: int overflow"),
        ("n > -(-9223372036854775807 - 1)", "-(-9223372036854775807 - 1): int overflow"),
        ("k == ['a', 'b'][2]", "['a', 'b'][2]: index out of range: 2"),
        ("{'a': n, 'a': 2}", "'a': the key a occurs twice"),
    ] {
        assert_eq!(problems(source), [expected], "{source}");
    }
}

#[test]
fn each_is_told_once_and_beside_the_others() {
    assert_eq!(
        problems("t > timestamp('x') - duration('y') && nn == 1 / 0"),
        [
            "timestamp('x'): `x` is not a timestamp such as 2026-01-31T12:00:00Z",
            "duration('y'): `y` is not a duration such as 1h30m or 500ms",
            "nn: unknown field `nn`; did you mean `n`?",
        ]
    );
    assert_eq!(problems("-'a' == 1"), ["-'a': no `-` for string"]);
}

#[test]
fn what_may_never_be_evaluated_is_no_mistake() {
    let row: Row = [Value::string("a"), Value::string("::1"), Value::timestamp_ms(0), Value::Int(1), Value::Double(1.5), Value::Bool(true)]
        .into_iter()
        .collect();
    for (source, value) in [
        ("1 / 0 > 1 || ok", Ok(Value::Bool(true))),
        ("ok || n / 0 > 1", Ok(Value::Bool(true))),
        ("!ok && 1 / 0 > 1", Ok(Value::Bool(false))),
        ("ok && 1 / 0 > 1", Err("division by zero")),
        ("ok ? n : 1 / 0", Ok(Value::Int(1))),
        ("ok ? 1 / 0 : n", Err("division by zero")),
        ("[n].filter(v, v > 5).map(v, v / 0)", Ok(Value::list([]))),
        ("[n, 1].exists(v, v == 1 || v / 0 > 1)", Ok(Value::Bool(true))),
        // Never evaluated.
        ("true || t > timestamp('x')", Ok(Value::Bool(true))),
        ("false ? int('x') : n", Ok(Value::Int(1))),
        ("n / 0.0 > 1.0", Ok(Value::Bool(true))),
    ] {
        let expr = Expr::compile(source, &schema()).unwrap_or_else(|problems| panic!("{source}: {problems:?}"));
        assert_eq!(expr.eval(&row).map_err(|e| e.to_string()), value.map_err(str::to_owned), "{source}");
    }
    // But a call that fails on a literal argument is always a mistake.
    assert_eq!(problems("ok || n > int('x')"), ["int('x'): `x` is not an int"]);
    assert_eq!(problems("[n].all(v, v > int('x'))"), ["int('x'): `x` is not an int"]);
    assert_eq!(problems("true ? 1 / 0 : n"), ["1 / 0: division by zero"]);
}

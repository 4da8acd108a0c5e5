//! Problems point at the part of the source they are about.

use tidegate_rows::{Row, Schema, Type, Value};

use super::schema;
use crate::Expr;

/// The problems of a source, each as `text it points at: message`.
fn problems(source: &str) -> Vec<String> {
    let problems = Expr::compile(source, &schema()).expect_err(source);
    problems.iter().map(|p| format!("{}: {p}", &source[p.span.clone()])).collect()
}

#[test]
fn problems_are_located_and_readable() {
    for (source, expected) in [
        ("amuont > 1.0", &["amuont: unknown field `amuont`; did you mean `amount`?"][..]),
        ("ok && count", &["count: expected bool, found int"]),
        ("ok && (count + 1)", &["count + 1: expected bool, found int"]),
        ("amount > 'x'", &["amount > 'x': cannot order double and string"]),
        ("name == 1", &["name == 1: cannot compare string and int"]),
        ("name + count", &["name + count: no `+` for string and int"]),
        ("(count + 1) * name", &["(count + 1) * name: no `*` for int and string"]),
        ("name.startWith('a')", &["startWith: unknown function `startWith`; did you mean `startsWith`?"]),
        ("name.startsWith(1)", &["1: expected string, found int"]),
        ("name.startsWith()", &["name.startsWith(): `startsWith` takes 1 argument, found 0"]),
        ("math.abss(1)", &["math.abss: unknown function `math.abss`; did you mean `math.abs`?"]),
        ("(count + floor(amount)) > 1", &["floor: unknown function `floor`; did you mean `math.floor`?"]),
        ("[1].map(x, sise(x))", &["sise: unknown function `sise`; did you mean `size`?"]),
        ("name.trim().lowerAsci().trim()", &["lowerAsci: unknown function `lowerAsci`; did you mean `lowerAscii`?"]),
        (
            "sqrt(abs(count))",
            &["sqrt: unknown function `sqrt`; did you mean `math.sqrt`?", "abs: unknown function `abs`; did you mean `math.abs`?"],
        ),
        ("ip_in(name, '10.0.0.0/33')", &["'10.0.0.0/33': `10.0.0.0/33` is not a range of addresses such as 10.0.0.0/8"]),
        ("size(count)", &["size(count): `size` does not take (int)"]),
        ("name.matches('[a')", &["'[a': invalid regular expression: unclosed character class"]),
        ("name.first", &["name.first: string has no field `first`"]),
        ("tags['x']", &["'x': expected int, found string"]),
        ("count in tags", &["count in tags: int is never in list(string)"]),
        ("count in name", &["name: expected a list or a map, found string"]),
        ("tags.all(t, t)", &["t: expected bool, found string"]),
        ("tags.all(ok)", &["tags.all(ok): `all` takes names and expressions, as in list.all(x, condition)"]),
        ("tags.sortBy(t)", &["tags.sortBy(t): `sortBy` takes names and expressions, as in list.sortBy(x, value)"]),
        ("count.sortBy(x, x)", &["count: expected a list, found int"]),
        ("count.map(x, x)", &["count: expected a list or a map, found int"]),
        ("tags.exists(t, t == u)", &["u: unknown field `u`; did you mean `t`?"]),
        ("!count", &["count: expected bool, found int"]),
        ("-name", &["-name: no `-` for string"]),
        ("ok ? amount : nme", &["nme: unknown field `nme`; did you mean `name`?"]),
        (
            "amuont > 1.0 || nme == 'x'",
            &["amuont: unknown field `amuont`; did you mean `amount`?", "nme: unknown field `nme`; did you mean `name`?"],
        ),
        ("{1.5: 2}", &["1.5: double cannot be the key of a map"]),
        ("'é' + nme", &["nme: unknown field `nme`; did you mean `name`?"]),
        ("Foo{a: 1}", &["Foo: there are no messages here, so no `Foo{..}`"]),
    ] {
        assert_eq!(problems(source), expected, "{source}");
    }
}

#[test]
fn syntax_problems_are_located() {
    for (source, expected) in [
        ("", ": the expression is empty"),
        ("  // nothing", "  // nothing: the expression is empty"),
        ("amount >", ": the expression ends too early"),
        ("amount > > 1", ">: unexpected `>`"),
        ("amount 1", "1: unexpected `1`"),
        ("(amount", "(: `(` is never closed"),
        ("amount)", "): unexpected `)`"),
        ("[1, 2}", "}: unexpected `}`"),
        ("name == 'x", "'x: unterminated string literal"),
        ("name == 'x' & ok", "&: unexpected single '&', expected '&&'"),
        ("amount § 1", "§: unexpected character; a name that is no identifier is written in backticks, as in `` `user-agent` ``"),
        ("99999999999999999999", "99999999999999999999: invalid int literal"),
        ("name == '\\q'", "'\\q': unable to unescape string"),
        ("has(name)", "name: has() tests a field of a value, as in has(a.b); to test a field of the record, compare it with null"),
        ("tags.all(1, true)", "1: the first argument here is a name for the element"),
        ("for > 1", "for: `for` is a reserved word: a field called so is written in backticks, as in `` `for` ``"),
    ] {
        assert_eq!(problems(source), [expected], "{source}");
    }
}

#[test]
fn names_that_no_identifier_spells_stand_in_backticks() {
    let schema = Schema::new([
        ("user-agent", Type::String),
        ("@timestamp", Type::Timestamp),
        ("in", Type::Int),
        ("src.ip", Type::String),
        ("größe", Type::Int),
        ("m", Type::Map(Box::new(Type::String), Box::new(Type::Int))),
    ]);
    let map = Value::map([(Value::string("a-b"), Value::Int(1)), (Value::string("@c"), Value::Int(2))]);
    let row: Row =
        [Value::string("curl"), Value::timestamp_ms(0), Value::Int(3), Value::string("10.0.0.1"), Value::Int(4), map].into_iter().collect();
    for (source, value) in [
        ("`user-agent`", Value::string("curl")),
        ("`user-agent` + '-' + `src.ip`", Value::string("curl-10.0.0.1")),
        ("`@timestamp` == timestamp(0) && `in` > 2", Value::Bool(true)),
        ("`größe` * `in`", Value::Int(12)),
        ("m.`a-b` + m.`@c`", Value::Int(3)),
        ("m.?`@c`.orValue(0)", Value::Int(2)),
        ("has(m.`@d`)", Value::Bool(false)),
        ("[1, 2].map(`größe`, `größe` + `in`)", Value::list([Value::Int(4), Value::Int(5)])),
        ("'`in`' + string(`in`)", Value::string("`in`3")),
    ] {
        let expr = Expr::compile(source, &schema).unwrap_or_else(|problems| panic!("{source}: {problems:?}"));
        assert_eq!(expr.eval(&row), Ok(value), "{source}");
    }
    for (source, expected) in [
        (
            "user-agent == 'x'",
            "user-agent: the field `user-agent` is written in backticks, as in `` `user-agent` ``: its name is no identifier",
        ),
        ("`user_agent` == 'x'", "`user_agent`: unknown field `user_agent`; did you mean ``user-agent``?"),
        ("@timestamp", "@: unexpected character; a name that is no identifier is written in backticks, as in `` `user-agent` ``"),
        ("1 + in", "in: unexpected `in`; a name that is no identifier is written in backticks, as in `` `user-agent` ``"),
    ] {
        let problems = Expr::compile(source, &schema).unwrap_err();
        let found: Vec<String> = problems.iter().map(|p| format!("{}: {p}", &source[p.span.clone()])).collect();
        assert_eq!(found, [expected], "{source}");
    }
}

#[test]
fn a_condition_has_to_be_bool() {
    let problem = Expr::condition(" count + 1 ", &schema()).unwrap_err().remove(0);
    assert_eq!((problem.span, problem.message.as_str()), (1..10, "expected bool, found int"));
    assert!(Expr::condition("any", &schema()).is_ok());
}

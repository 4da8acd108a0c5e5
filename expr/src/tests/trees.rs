//! Trees mean the same as their text, and problems point at their nodes.

use jiff::SignedDuration;
use proptest::prelude::*;
use tidegate_rows::{Row, Schema, Type, Value};

use super::{row, schema};
use crate::{Expr, Operator, Problem, Tree, examples};

type Result<T> = std::result::Result<T, Vec<String>>;

/// The first problem only: how many follow depends on the spans, because a place is reported once.
fn said(problems: Vec<Problem>) -> Vec<String> {
    problems.iter().take(1).map(ToString::to_string).collect()
}

/// The type and value of a compiled expression for a row, or what is wrong with it.
fn outcome(expr: std::result::Result<Expr, Vec<Problem>>, row: &Row) -> Result<(Type, Value)> {
    let expr = expr.map_err(said)?;
    Ok((expr.ty().clone(), expr.eval(row).map_err(|error| vec![error.to_string()])?))
}

/// Asserts that the tree and its printed text have the same outcome.
fn agree(tree: &Tree, schema: &Schema, row: &Row) -> Result<(Type, Value)> {
    let text = tree.to_string();
    let of_tree = outcome(tree.compile(schema), row);
    assert_eq!(of_tree, outcome(Expr::compile(&text, schema), row), "{text}\n{tree:?}");
    of_tree
}

#[test]
fn the_examples_go_through_trees() {
    for (source, _) in examples() {
        let tree = Tree::parse(source).unwrap_or_else(|p| panic!("{source}: {p}"));
        let found = agree(&tree, &Schema::default(), &Row::default());
        assert_eq!(found, outcome(Expr::compile(source, &Schema::default()), &Row::default()), "{source} as {tree}");
    }
}

#[test]
fn a_tree_is_printed_as_one_would_write_it() {
    for (source, printed) in [
        ("amount>1.0&&(ok||count in[1,2])&&name.startsWith( 'a' )", "amount > 1.0 && (ok || count in [1, 2]) && name.startsWith('a')"),
        ("(1+2)*3-(4-5)-6", "(1 + 2) * 3 - (4 - 5) - 6"),
        ("-(-count) + -1", "-(-count) + -1"),
        ("!(ok && !ok)", "!(ok && !ok)"),
        ("(ok ? 1 : 2) == 1 ? ok : (ok ? ok : ok)", "(ok ? 1 : 2) == 1 ? ok : ok ? ok : ok"),
        ("tags.filter(t, t != 'b').map(t, size(t) > 0, t)[0]", "tags.filter(t, t != 'b').map(t, size(t) > 0, t)[0]"),
        ("has(user.age) && user.?name.orValue('') == \"it's\"", "has(user.age) && user[?'name'].orValue('') == 'it\\'s'"),
        ("{'a': 1, ?'b': optional.none()}", "{'a': 1, ?'b': optional.none()}"),
        ("b'a\\xff' == bytes('\\n')", "b'a\\xff' == bytes('\\n')"),
        ("math.abs(-1) == 1u && (5).x()", "math.abs(-1) == 1u && (5).x()"),
    ] {
        // An expanded macro prints as the same macro, except that `filter` prints as a `map`.
        let printed = printed.replace("tags.filter(t, t != 'b')", "tags.map(t, t != 'b', t)");
        assert_eq!(Tree::parse(source).unwrap().to_string(), printed);
    }
}

#[test]
fn constants_of_every_type_come_back() {
    let at = |text: &str| Value::Timestamp(text.parse().unwrap());
    for value in [
        Value::Null,
        Value::Bool(true),
        Value::Int(i64::MIN),
        Value::Uint(u64::MAX),
        Value::Double(-0.0),
        Value::Double(1e300),
        Value::Double(5e-324),
        Value::Double(f64::NEG_INFINITY),
        Value::string("it's \\ \"quoted\"\n\t\u{7} é 日本 😀"),
        Value::Bytes(b"\x00a'\\\xff".as_slice().into()),
        at("2026-01-31T12:00:00.000000001Z"),
        at("0001-01-01T00:00:00Z"),
        Value::Duration(SignedDuration::new(-1, -5)),
        Value::Decimal("-12.30".parse().unwrap()),
        Value::list([Value::Int(-1), Value::list([])]),
        Value::map([(Value::string("a"), Value::Decimal("1".parse().unwrap())), (Value::Int(2), Value::Null)]),
    ] {
        let (_, found) = agree(&Tree::value(value.clone()), &Schema::default(), &Row::default()).unwrap();
        assert_eq!(found, value);
    }
}

#[test]
fn problems_are_where_the_nodes_are() {
    let problems = |tree: Tree| {
        let found = tree.compile(&schema()).unwrap_err();
        found.into_iter().map(|p| (p.span.clone(), p.to_string())).collect::<Vec<_>>()
    };
    // A problem of a node without a span points at the nearest enclosing node that has one.
    let sum = Tree::op(Operator::Add, [Tree::field("amuont"), Tree::op(Operator::Neg, [Tree::field("name")]).at(4..5)]).at(2..9);
    assert_eq!(
        problems(sum),
        [(2..9, "unknown field `amuont`; did you mean `amount`?".to_owned()), (4..5, "no `-` for string".to_owned())]
    );
    let call = Tree::call("math.abz", [Tree::value(Value::Int(1))]).at(3..4);
    assert_eq!(problems(call), [(3..4, "unknown function `math.abz`; did you mean `math.abs`?".to_owned())]);
    let macros = Tree::field("tags")
        .method("exists", [Tree::field("t"), Tree::op(Operator::Eq, [Tree::field("t"), Tree::value(Value::Int(1))]).at(7..8)]);
    assert_eq!(problems(macros), [(7..8, "cannot compare string and int".to_owned())]);
    for (tree, message) in [
        (Tree::op(Operator::Not, []), "`!` does not take 0 operands"),
        (Tree::op(Operator::If, [Tree::field("ok")]), "`?` does not take 1 operands"),
        (Tree::call("_+_", [Tree::field("count"), Tree::field("count")]), "`_+_` is not the name of a function"),
        (Tree::field("a` + `b"), "an expression cannot spell the name `a` + `b`: a name has no backtick and no line break"),
        (Tree::call("decimal", [Tree::value(Value::string("ten"))]), "`ten` is not a decimal such as 12.30"),
    ] {
        assert_eq!(problems(tree.at(1..2)), [(1..2, message.to_owned())]);
    }
    let condition = Tree::field("count").at(5..6).condition(&schema()).unwrap_err();
    assert_eq!((condition[0].span.clone(), condition[0].to_string().as_str()), (5..6, "expected bool, found int"));
    let deep = (0..200).fold(Tree::field("ok"), |tree, _| Tree::op(Operator::Not, [tree]));
    assert!(problems(deep)[0].1.starts_with("the expression is nested too deeply"));
    // But a long chain is not deep.
    let long = Tree::op(Operator::Or, (0..5000).map(|n| Tree::op(Operator::Eq, [Tree::field("count"), Tree::value(Value::Int(n))])));
    assert_eq!(long.condition(&schema()).unwrap().test(&row()), Ok(true));
}

#[test]
fn fields_of_any_name_are_found() {
    for name in ["user-agent", "in", "@t", "a.b", "größe", "a b", "int"] {
        let schema = Schema::new([(name, Type::Int)]);
        let found = agree(&Tree::field(name), &schema, &Row::from_iter([Value::Int(7)]));
        assert_eq!(found, Ok((Type::Int, Value::Int(7))), "{name}");
    }
}

fn trees() -> impl Strategy<Value = Tree> {
    let value = prop_oneof![
        (-3_i64..4).prop_map(Value::Int),
        (0_u64..3).prop_map(Value::Uint),
        (-4_i32..4).prop_map(|v| Value::Double(f64::from(v) / 2.0)),
        (-300_i64..300).prop_map(|v| Value::Decimal(tidegate_rows::Decimal::new(v.into(), 2).unwrap())),
        "[a-c'\\\\\n]{0,3}".prop_map(Value::string),
        any::<bool>().prop_map(Value::Bool),
        Just(Value::Null),
    ];
    let field = proptest::sample::select(vec!["amount", "count", "name", "ok", "tags", "user", "any", "ts", "t"]);
    let leaf = prop_oneof![value.prop_map(Tree::value), field.prop_map(Tree::field)];
    leaf.prop_recursive(5, 40, 4, |inner| {
        let operator = proptest::sample::select(Operator::ALL.to_vec());
        let operands = proptest::collection::vec(inner.clone(), 3);
        let list = proptest::collection::vec(inner.clone(), 0..3);
        prop_oneof![
            6 => (operator, operands, any::<bool>()).prop_map(|(operator, operands, more)| {
                let count = if matches!(operator, Operator::And | Operator::Or) { 2 + usize::from(more) } else { (1..=3).find(|n| operator.takes(*n)).unwrap() };
                Tree::op(operator, operands.into_iter().take(count))
            }),
            1 => list.prop_map(Tree::list),
            1 => (inner.clone(), inner.clone()).prop_map(|(key, value)| Tree::map([(key, value)])),
            1 => inner.clone().prop_map(|tree| Tree::call("size", [tree])),
            1 => inner.clone().prop_map(|tree| Tree::call("math.abs", [tree])),
            1 => inner.clone().prop_map(|tree| tree.method("age", [])),
            1 => inner.clone().prop_map(|tree| tree.select("age")),
            1 => inner.clone().prop_map(|tree| tree.has("age")),
            1 => (inner.clone(), inner.clone()).prop_map(|(tree, text)| tree.method("startsWith", [text])),
            2 => (inner.clone(), inner.clone(), proptest::sample::select(vec!["exists", "all", "map", "filter", "sortBy"]))
                .prop_map(|(over, body, name)| over.method(name, [Tree::field("t"), body])),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn a_tree_and_its_text_mean_the_same(tree in trees()) {
        let found = agree(&tree, &schema(), &row());
        // And the text parses to a tree that prints and means the same.
        let text = tree.to_string();
        let again = Tree::parse(&text).unwrap();
        let reprinted = again.to_string();
        prop_assert_eq!(&Tree::parse(&reprinted).unwrap().to_string(), &reprinted);
        prop_assert_eq!(agree(&again, &schema(), &row()), found, "{} read again as {}", text, again);
    }
}

/// Puts a tree in the place of a field, and `twice(x)` in its own.
struct Put(&'static str, Tree);

impl crate::Rewrite for Put {
    fn field(&self, name: &str) -> Option<Tree> {
        (name == self.0).then(|| self.1.clone())
    }

    fn call(&self, called: &crate::Called<'_>) -> std::result::Result<Option<Tree>, Problem> {
        let [of] = called.args.as_slice() else { return Ok(None) };
        Ok((called.name == "twice").then(|| Tree::op(Operator::Mul, [Tree::value(Value::Int(2)), of.clone()])))
    }
}

#[test]
fn variables_of_macros_are_no_names_and_capture_none() {
    let put = Put("a", Tree::parse("t + b").unwrap());
    for (source, names, rewritten) in [
        ("a > 1 && c", vec!["a", "c"], "t + b > 1 && c"),
        ("tags.exists(a, a == 'x')", vec!["tags"], "tags.exists(a, a == 'x')"),
        ("tags.exists(t, t == a)", vec!["tags", "a"], "tags.exists(t_, t_ == t + b)"),
        ("tags.all(i, t, t == a && i > 0)", vec!["tags", "a"], "tags.all(i, t_, t_ == t + b && i > 0)"),
        ("cel.bind(t, a, t * a)", vec!["cel", "a"], "cel.bind(t_, t + b, t_ * (t + b))"),
        ("twice(twice(a))", vec!["a"], "2 * (2 * (t + b))"),
        ("[a, {'k': a}][0].x", vec!["a"], "[t + b, {'k': t + b}][0].x"),
    ] {
        let tree = Tree::parse(source).unwrap();
        assert_eq!(tree.names(), names, "{source}");
        assert_eq!(tree.rewrite(&put).unwrap().to_string(), rewritten, "{source}");
    }
}

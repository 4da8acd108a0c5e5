//! Random well-typed expressions mean the same here and to the interpreter of the `cel` crate, which shares no code with the compiler
//! but the parser.
//!
//! # Known differences
//!
//! What is not generated, because the two are known to differ, and who is right by the specification:
//!
//! * Arithmetic between an int and a double: here it is arithmetic of doubles, an extension; to CEL, and the crate, it is an error.
//! * The order of NaN and another number: false by the specification, an error to the crate.
//! * `string` of infinities and NaN: `Infinity` and `NaN`, as `format` prints them; the crate says `inf`. The specification is silent.
//! * Null: fields are never null here; what an operator does with null beyond `==` is an error for both.

use std::sync::Arc;

use cel::objects::Value as CelValue;
use cel::{Context, Env, extensions};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{RngAlgorithm, TestError, TestRng, TestRunner};
use tidegate_expr::{Expr, Tree};
use tidegate_rows::{Row, Schema, Type, Value};

/// How many expressions are compared, each over one row.
const CASES: u32 = 5000;

type Source = BoxedStrategy<String>;

/// Expressions of every type, up to some depth.
#[derive(Clone)]
struct Level {
    int: Source,
    double: Source,
    text: Source,
    bool: Source,
    ints: Source,
    texts: Source,
}

fn one_of(choices: &'static [&'static str]) -> Source {
    select(choices).prop_map(str::to_owned).boxed()
}

/// `template` with these expressions in the places of the numbers.
fn with(template: &'static str, parts: [&Source; 3]) -> Source {
    let [a, b, c] = parts.map(Clone::clone);
    (a, b, c)
        .prop_map(move |(a, b, c)| {
            template
                .chars()
                .map(|t| match t {
                    '①' => a.clone(),
                    '②' => b.clone(),
                    '③' => c.clone(),
                    other => other.to_string(),
                })
                .collect()
        })
        .boxed()
}

fn leaves() -> Level {
    Level {
        int: one_of(&["i", "j", "0", "1", "2", "(-1)", "7", "9223372036854775807", "(-9223372036854775807 - 1)", "size(s)", "l[0]"]),
        double: one_of(&["d", "e", "0.0", "1.5", "(-2.5)", "1e300", "double(i)"]),
        text: one_of(&["s", "t", "''", "'a'", "'Ab é'", "'a,b,,c'", "w[1]"]),
        bool: one_of(&["b", "true", "false", "(i > j)", "(s == t)"]),
        ints: one_of(&["l", "[]", "[1]", "[3, 1, 2, 1]", "[i, j]"]),
        texts: one_of(&["w", "['a']", "['b', 'a', 'b']", "[s, t]"]),
    }
}

/// Expressions one deeper than those of `of`.
fn deeper(of: &Level) -> Level {
    Level {
        int: deeper_int(of),
        double: deeper_double(of),
        text: deeper_text(of),
        bool: deeper_bool(of),
        ints: deeper_ints(of),
        texts: deeper_texts(of),
    }
}

/// One of these templates with expressions in it, or one of the `shallow` expressions.
fn any_of(templates: &[(&'static str, [&Source; 3])], shallow: &Source) -> Source {
    let choices: Vec<Source> = templates.iter().map(|(template, parts)| with(template, *parts)).chain([shallow.clone()]).collect();
    proptest::strategy::Union::new(choices).boxed()
}

fn deeper_int(of: &Level) -> Source {
    let Level { int, double, text, bool, ints, texts } = of;
    let templates = [
        ("(① + ②)", [int, int, int]),
        ("(① - ②)", [int, int, int]),
        ("(① * ②)", [int, int, int]),
        ("(① / ②)", [int, int, int]),
        ("(① % ②)", [int, int, int]),
        ("(-①)", [int, int, int]),
        ("(① ? ② : ③)", [bool, int, int]),
        ("size(①)", [text, text, text]),
        ("size(①)", [ints, ints, ints]),
        ("①.size()", [texts, ints, ints]),
        ("①[②]", [ints, int, int]),
        ("①.indexOf(②)", [text, text, text]),
        ("①.lastIndexOf(②)", [text, text, text]),
        ("int(①)", [double, text, text]),
        ("int(string(①))", [int, text, text]),
        ("①.map(x, x + ②)[0]", [ints, int, text]),
        ("{'k': ①, 'l': ②}.k", [int, int, text]),
        ("{1: ①, 2: ②}[③]", [int, int, int]),
        ("math.greatest(①, ②)", [int, int, int]),
        ("math.least([①, ②, ③])", [int, int, int]),
        ("math.abs(①)", [int, int, int]),
        ("math.bitXor(①, ②)", [int, int, int]),
        ("math.bitShiftRight(①, ②)", [int, int, int]),
    ];
    any_of(&templates, int)
}

fn deeper_double(of: &Level) -> Source {
    let Level { int, double, bool, .. } = of;
    let templates = [
        ("(① + ②)", [double, double, double]),
        ("(① - ②)", [double, double, double]),
        ("(① * ②)", [double, double, double]),
        ("(① / ②)", [double, double, double]),
        ("(-①)", [double, double, double]),
        ("(① ? ② : ③)", [bool, double, double]),
        ("double(①)", [int, int, int]),
        ("[①, ②][③]", [double, double, int]),
        ("math.floor(①)", [double, double, double]),
        ("math.round(①)", [double, double, double]),
        ("math.sign(①)", [double, double, double]),
    ];
    any_of(&templates, double)
}

fn deeper_text(of: &Level) -> Source {
    let Level { int, double, text, bool, ints, texts } = of;
    let templates = [
        ("(① + ②)", [text, text, text]),
        ("(① ? ② : ③)", [bool, text, text]),
        ("①.lowerAscii()", [text, text, text]),
        ("①.upperAscii()", [text, text, text]),
        ("①.trim()", [text, text, text]),
        ("①.replace(②, ③)", [text, text, text]),
        ("①.substring(②)", [text, int, text]),
        ("①.charAt(②)", [text, int, text]),
        ("①.join(②)", [texts, text, text]),
        ("string(①)", [int, int, int]),
        ("string(①)", [bool, int, int]),
        ("string(double(①))", [int, int, int]),
        ("'%s-%d-%x'.format([①, ②, ③])", [text, int, int]),
        ("'%s %.2f %e'.format([①, ②, ③])", [ints, double, double]),
        ("①.reverse()", [text, int, int]),
        ("strings.quote(①)", [text, int, int]),
        ("①[②]", [texts, int, int]),
    ];
    any_of(&templates, text)
}

fn deeper_bool(of: &Level) -> Source {
    let Level { int, double, text, bool, ints, texts } = of;
    let templates = [
        ("(① && ②)", [bool, bool, bool]),
        ("(① || ②)", [bool, bool, bool]),
        ("(① && ② && ③)", [bool, bool, bool]),
        ("(① || ② || ③)", [bool, bool, bool]),
        ("!①", [bool, bool, bool]),
        ("(① ? ② : ③)", [bool, bool, bool]),
        ("(① == ②)", [int, int, int]),
        ("(① != ②)", [int, double, int]),
        ("(② == ② && ① < ②)", [int, double, int]),
        ("(① == ① && ① >= ②)", [double, int, int]),
        ("(① <= ②)", [int, int, int]),
        ("(① == ① && ② == ② && ① > ②)", [double, double, int]),
        ("(① == ②)", [double, double, int]),
        ("(① < ②)", [text, text, text]),
        ("(① == ②)", [text, text, text]),
        ("(① == ②)", [ints, ints, ints]),
        ("(① != ②)", [texts, texts, texts]),
        ("(① == ②)", [bool, bool, bool]),
        ("(① < ②)", [bool, bool, bool]),
        ("(① in ②)", [int, ints, ints]),
        ("(① in ②)", [text, texts, ints]),
        ("(① in {'a': 1, ②: 2})", [text, text, ints]),
        ("(① in [1, 2, 3, 5, 8, 13, ②])", [int, int, ints]),
        ("①.startsWith(②)", [text, text, text]),
        ("①.endsWith(②)", [text, text, text]),
        ("①.contains(②)", [text, text, text]),
        ("①.matches('^[a-c]+')", [text, text, text]),
        ("①.all(x, x > ②)", [ints, int, int]),
        ("①.exists(x, x / ② > ③)", [ints, int, int]),
        ("①.exists_one(x, x == ②)", [ints, int, int]),
        ("①.all(x, x.contains(②) || ③)", [texts, text, bool]),
        ("①.exists(x, ②.exists(y, x == y))", [ints, ints, int]),
        ("has({'a': ①}.a)", [int, int, int]),
        ("has({'a': ①}.b)", [int, int, int]),
    ];
    any_of(&templates, bool)
}

fn deeper_ints(of: &Level) -> Source {
    let Level { int, bool, ints, texts, .. } = of;
    let templates = [
        ("[①, ②, ③]", [int, int, int]),
        ("(① + ②)", [ints, ints, ints]),
        ("(① ? ② : ③)", [bool, ints, ints]),
        ("①.filter(x, x > ②)", [ints, int, int]),
        ("①.distinct()", [ints, int, int]),
        ("①.sort()", [ints, int, int]),
        ("①.slice(②, ③)", [ints, int, int]),
        ("①.reverse()", [ints, int, int]),
        ("[①, ②].flatten()", [ints, ints, int]),
        ("lists.range(size(①))", [ints, ints, int]),
        ("①.filter(x, ②)", [ints, bool, int]),
        ("①.map(x, x * ②)", [ints, int, int]),
        ("①.map(x, x > ②, x - ③)", [ints, int, int]),
        ("①.map(x, x.size() + ②)", [texts, int, int]),
        ("①.map(x, ②.filter(y, y < x).size())", [ints, ints, int]),
    ];
    any_of(&templates, ints)
}

fn deeper_texts(of: &Level) -> Source {
    let Level { int, text, bool, ints, texts, .. } = of;
    let templates = [
        ("[①, ②, ③]", [text, text, text]),
        ("(① + ②)", [texts, texts, texts]),
        ("(① ? ② : ③)", [bool, texts, texts]),
        ("①.sort()", [texts, int, int]),
        ("①.split(②)", [text, text, text]),
        ("①.split(②, ③)", [text, text, int]),
        ("①.filter(x, x != ②)", [texts, text, text]),
        ("①.map(x, x + ②)", [texts, text, text]),
        ("①.map(x, string(x))", [ints, text, text]),
    ];
    any_of(&templates, texts)
}

fn sources() -> Source {
    let mut level = leaves();
    for _ in 0..3 {
        level = deeper(&level);
    }
    prop_oneof![3 => level.bool, 2 => level.int, 1 => level.double, 2 => level.text, 1 => level.ints, 1 => level.texts].boxed()
}

const FIELDS: [&str; 9] = ["i", "j", "d", "e", "s", "t", "b", "l", "w"];

fn schema() -> Schema {
    let list = |ty| Type::List(Box::new(ty));
    let types =
        [Type::Int, Type::Int, Type::Double, Type::Double, Type::String, Type::String, Type::Bool, list(Type::Int), list(Type::String)];
    Schema::new(FIELDS.into_iter().zip(types))
}

fn row() -> impl Strategy<Value = Row> {
    let int = || prop_oneof![4 => -3i64..8, 1 => Just(i64::MAX), 1 => Just(i64::MIN)].prop_map(Value::Int);
    let double = || {
        prop_oneof![4 => (-6i32..7).prop_map(|v| f64::from(v) / 2.0), 1 => Just(f64::NAN), 1 => Just(f64::INFINITY)].prop_map(Value::Double)
    };
    let text = || {
        select(vec!["", "a", "ab", "b", "A,b", "äöü", " x ", "banana", "a rather long text that lies elsewhere"]).prop_map(Value::string)
    };
    let ints = proptest::collection::vec(int(), 0..4).prop_map(Value::list);
    let texts = proptest::collection::vec(text(), 0..4).prop_map(Value::list);
    (int(), int(), double(), double(), text(), text(), any::<bool>().prop_map(Value::Bool), ints, texts)
        .prop_map(|(i, j, d, e, s, t, b, l, w)| [i, j, d, e, s, t, b, l, w].into_iter().collect())
}

fn to_cel(value: &Value) -> CelValue {
    match value {
        Value::Bool(v) => CelValue::Bool(*v),
        Value::Int(v) => CelValue::Int(*v),
        Value::Double(v) => CelValue::Float(*v),
        Value::String(v) => CelValue::String(Arc::new(v.to_string())),
        Value::List(items) => CelValue::List(Arc::new(items.iter().map(to_cel).collect())),
        other => panic!("no field is {other:?}"),
    }
}

/// Are they the same value of the same type?
fn same(a: &Value, b: &CelValue) -> bool {
    match (a, b) {
        (Value::Bool(a), CelValue::Bool(b)) => a == b,
        (Value::Int(a), CelValue::Int(b)) => a == b,
        (Value::Double(a), CelValue::Float(b)) => a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan(),
        (Value::String(a), CelValue::String(b)) => a.as_str() == b.as_str(),
        (Value::List(a), CelValue::List(b)) => a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| same(a, b)),
        _ => false,
    }
}

#[test]
fn the_reference_interpreter_agrees() {
    let mut env = Env::stdlib();
    for extension in [extensions::strings, extensions::lists, extensions::math] {
        env.add_extension(extension).unwrap();
    }
    let env = Arc::new(env);
    let schema = schema();
    let config = ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let values = std::cell::Cell::new(0);
    let result = runner.run(&(sources(), row()), |(source, row)| {
        let ours = match Expr::compile(&source, &schema) {
            Ok(expr) => expr.eval(&row),
            // Constant parts that fail are refused here.
            Err(problems) if problems.iter().all(|p| p.constant) => return Ok(()),
            Err(problems) => return Err(TestCaseError::fail(format!("{problems:?}"))),
        };
        // As a tree it is the same expression, and so is what the tree prints.
        let tree = Tree::parse(&source).map_err(|p| TestCaseError::fail(p.to_string()))?;
        let printed = tree.to_string();
        for again in [tree.compile(&schema), Expr::compile(&printed, &schema)] {
            let again = again.map_err(|p| TestCaseError::fail(format!("{printed}: {p:?}")))?;
            prop_assert_eq!(&again.eval(&row), &ours, "{}", printed);
        }
        let mut context = Context::with_env(Arc::clone(&env));
        for (name, value) in FIELDS.iter().zip(&row.0) {
            context.add_variable_from_value(*name, to_cel(value));
        }
        let theirs = env.compile(&source).map_err(|e| TestCaseError::fail(e.to_string()))?.execute(&context);
        match (&ours, &theirs) {
            (Ok(a), Ok(b)) => prop_assert!(same(a, b), "{a:?} and {b:?}"),
            (Err(_), Err(_)) => {}
            _ => prop_assert!(false, "{ours:?} and {theirs:?}"),
        }
        values.set(values.get() + u32::from(ours.is_ok()));
        Ok(())
    });
    match result {
        Ok(()) => assert!(values.get() > CASES / 3, "only {} expressions had a value", values.get()),
        Err(TestError::Fail(reason, (source, row))) => panic!("{reason}\n{source}\n{row:?}"),
        Err(other) => panic!("{other}"),
    }
}

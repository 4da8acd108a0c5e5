//! What evaluating an expression costs, beside the interpreter of the `cel` crate: `cargo bench -p tidegate-expr`.
#![allow(clippy::print_stdout, reason = "a benchmark reports on the terminal")]

use std::hint::black_box;
use std::time::Instant;

use cel::{Context, Program};
use tidegate_expr::{Expr, ExprSet};
use tidegate_rows::{Row, Schema, Type, Value};

const FIVE: &str = "amount > 100.0 && country != 'CH' && count >= 3 && (name == 'ann' || ip in ['10.0.0.1', '10.0.0.2', '10.0.0.3'])";
const EXPRESSIONS: [&str; 6] =
    ["amount > 100.0", "amount > 100", FIVE, "amount * 1.1 + fee > 200.0", "name.startsWith('a') || country.contains('H')", "count + 1"];

/// Nanoseconds of one call, the best of some rounds.
fn nanos(mut call: impl FnMut()) -> f64 {
    const CALLS: u32 = 200_000;
    let round = |call: &mut dyn FnMut()| {
        let start = Instant::now();
        (0..CALLS).for_each(|_| call());
        start.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS)
    };
    (0..10).map(|_| round(&mut call)).fold(f64::INFINITY, f64::min)
}

fn main() {
    let fields = [
        ("amount", Type::Double, Value::Double(250.5)),
        ("fee", Type::Double, Value::Double(1.5)),
        ("count", Type::Int, Value::Int(5)),
        ("name", Type::String, Value::string("bob")),
        ("country", Type::String, Value::string("DE")),
        ("ip", Type::String, Value::string("10.0.0.3")),
    ];
    let row: Row = fields.iter().map(|(_, _, value)| value.clone()).collect();
    let typed = Schema::new(fields.iter().map(|(name, ty, _)| (*name, ty.clone())));
    let dynamic = Schema::new(fields.iter().map(|(name, _, _)| (*name, Type::Any)));
    let mut context = Context::default();
    for (name, _, value) in &fields {
        match value {
            Value::Double(v) => context.add_variable_from_value(*name, *v),
            Value::Int(v) => context.add_variable_from_value(*name, *v),
            other => context.add_variable_from_value(*name, other.as_str().unwrap_or_default()),
        }
    }
    println!("{:>8} {:>8} {:>8}", "typed", "any", "cel");
    for source in EXPRESSIONS {
        let time = |schema: &Schema| match Expr::compile(source, schema) {
            Ok(expr) => nanos(|| _ = black_box(expr.eval(black_box(&row)))),
            Err(_) => f64::NAN,
        };
        let reference = Program::compile(source).map_or(f64::NAN, |program| nanos(|| _ = black_box(program.execute(black_box(&context)))));
        println!("{:>6.1}ns {:>6.1}ns {:>6.0}ns  {source}", time(&typed), time(&dynamic), reference);
    }
    let rules: Vec<Expr> = (0..1000).filter_map(|i| Expr::compile(&FIVE.replace("100.0", &format!("{i}.0")), &typed).ok()).collect();
    let start = Instant::now();
    for _ in 0..100 {
        rules.iter().for_each(|rule| _ = black_box(rule.test(black_box(&row))));
    }
    println!("{:.1} us for {} rules over one row", start.elapsed().as_secs_f64() * 1e4, rules.len());
    println!("\n1,000 expressions with common parts over one row, each by itself and as a set:");
    for (name, pattern) in SHARING {
        let rules: Vec<Expr> = (0..1000).filter_map(|i| Expr::condition(&vary(pattern, i), &typed).ok()).collect();
        let set = ExprSet::new(rules.iter().cloned());
        let mut scratch = set.scratch();
        let alone = micros(|| rules.iter().for_each(|rule| _ = black_box(rule.test(black_box(&row)))));
        let together = micros(|| {
            let over = set.over(black_box(&row), &mut scratch);
            (0..rules.len()).for_each(|i| _ = black_box(over.test(i)));
        });
        println!("{alone:>8.1} us {together:>8.1} us  {:>4} shared: {name}", set.shared());
    }
}

/// Rules that have something in common: `I` is the number of the rule, `M` that number modulo 20.
const SHARING: [(&str, &str); 6] = [
    ("nothing", "amount > I.5"),
    ("five predicates, one of them different", FIVE_OF),
    ("one of 20 regular expressions", "amount > I.5 || name.matches('^(a|M)+x$')"),
    ("one of 20 texts in another text", "country.contains('xM') || amount > I.5"),
    ("lower case", "name.lowerAscii() == 'bobI'"),
    ("a range of addresses and one of 20 prefixes", "(ip_in(ip, '10.0.0.0/8') || name.startsWith('M')) && amount > I.5"),
];
const FIVE_OF: &str = "country != 'CH' && count >= 3 && (name == 'ann' || ip in ['10.0.0.1', '10.0.0.2', '10.0.0.3']) && amount > I.5";

fn vary(pattern: &str, i: usize) -> String {
    pattern.replace('I', &i.to_string()).replace('M', &(i % 20).to_string())
}

/// Microseconds of one call, the best of some rounds.
fn micros(mut call: impl FnMut()) -> f64 {
    let round = |call: &mut dyn FnMut()| {
        let start = Instant::now();
        (0..100).for_each(|_| call());
        start.elapsed().as_secs_f64() * 1e4
    };
    (0..10).map(|_| round(&mut call)).fold(f64::INFINITY, f64::min)
}

//! What evaluating an expression costs, beside the interpreter of the `cel` crate: `cargo bench -p tidegate-jobs`.
#![allow(clippy::print_stdout, reason = "a benchmark reports on the terminal")]

use std::hint::black_box;
use std::time::Instant;

use cel::{Context, Program};
use tidegate_connectors::row::{Row, Schema, Type, Value};
use tidegate_jobs::expr::Expr;

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
}

//! What expressions guarantee: where problems point, how null behaves, that nothing overflows, and that hostile input
//! terminates.

mod agreement;
mod constants;
mod decimals;
mod hostile;
mod located;
mod sets;
mod trees;
mod values;

use tidegate_rows::{Row, Schema, Type, Value};

use super::Expr;

/// The fields used by the tests.
fn schema() -> Schema {
    Schema::new([
        ("amount", Type::Double),
        ("count", Type::Int),
        ("name", Type::String),
        ("ok", Type::Bool),
        ("tags", Type::List(Box::new(Type::String))),
        ("user", Type::map()),
        ("any", Type::Any),
        ("ts", Type::Timestamp),
    ])
}

fn row() -> Row {
    [
        Value::Double(250.5),
        Value::Int(3),
        Value::string("ann"),
        Value::Bool(true),
        Value::list([Value::string("a"), Value::string("b")]),
        Value::map([(Value::string("age"), Value::Int(30))]),
        Value::Double(7.0),
        Value::timestamp_ms(1_234_567_890_123),
    ]
    .into_iter()
    .collect()
}

fn compile(source: &str) -> Expr {
    Expr::compile(source, &schema()).unwrap_or_else(|problems| panic!("{source}: {problems:?}"))
}

/// The result for a row, with errors as text.
fn eval_over(source: &str, row: &Row) -> Result<Value, String> {
    match Expr::compile(source, &schema()) {
        Ok(expr) => expr.eval(row).map_err(|error| error.to_string()),
        Err(problems) if problems.iter().all(|p| p.constant) => Err(problems[0].to_string()),
        Err(problems) => panic!("{source}: {problems:?}"),
    }
}

fn eval(source: &str) -> Result<Value, String> {
    eval_over(source, &row())
}

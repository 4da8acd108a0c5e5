//! `tidegate eval EXPR --with JSON`: evaluates an expression over the fields of a JSON object.

use std::fmt;

use serde_json::Value as Json;
use tidegate_rows::{Row, Schema, Type, Value};

use super::Expr;
use super::error::EvalError;
use super::functions::from_json;
use super::problem::Problem;

/// Why [`eval_with`] has no value.
#[derive(Clone, Debug, PartialEq)]
pub enum EvalWithError {
    /// The variables are not a JSON object.
    NotAnObject,
    /// The expression does not compile.
    Problems(Vec<Problem>),
    /// The expression failed at run time.
    Eval(EvalError),
}

impl std::error::Error for EvalWithError {}

impl fmt::Display for EvalWithError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAnObject => f.write_str("the variables have to be a JSON object"),
            Self::Problems(problems) => {
                for (i, problem) in problems.iter().enumerate() {
                    write!(f, "{}{problem}", if i == 0 { "" } else { "\n" })?;
                }
                Ok(())
            }
            Self::Eval(error) => error.fmt(f),
        }
    }
}

/// Evaluates `source` with the fields of a JSON object as variables. Their types are those of the values.
///
/// # Errors
///
/// If `variables` is not an object, the expression does not compile, or its evaluation fails.
pub fn eval_with(source: &str, variables: &Json) -> Result<(Value, Type), EvalWithError> {
    let fields = variables.as_object().ok_or(EvalWithError::NotAnObject)?;
    let row: Row = fields.values().map(from_json).collect();
    let schema = Schema::new(fields.keys().zip(row.0.iter()).map(|(name, value)| {
        let ty = if value.is_null() { Type::Any } else { value.type_of() };
        (name.as_str(), ty)
    }));
    let expr = Expr::compile(source, &schema).map_err(EvalWithError::Problems)?;
    let value = expr.eval(&row).map_err(EvalWithError::Eval)?;
    let ty = if *expr.ty() == Type::Any { value.type_of() } else { expr.ty().clone() };
    Ok((value, ty))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_fields_of_the_object_are_the_variables() {
        let variables = json!({ "amount": 3, "user": { "name": "ann" }, "gone": null });
        assert_eq!(eval_with("amount * 2.5", &variables), Ok((Value::Double(7.5), Type::Double)));
        assert_eq!(eval_with("user.name + '!'", &variables), Ok((Value::string("ann!"), Type::String)));
        assert_eq!(eval_with("gone == null", &variables), Ok((Value::Bool(true), Type::Bool)));
        assert_eq!(eval_with("amount / 0", &variables).unwrap_err().to_string(), "division by zero");
        assert_eq!(eval_with("amuont", &variables).unwrap_err().to_string(), "unknown field `amuont`; did you mean `amount`?");
        assert_eq!(eval_with("1", &json!([])), Err(EvalWithError::NotAnObject));
    }
}

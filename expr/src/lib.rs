//! Expressions: CEL (Common Expression Language), compiled once against the fields of a stream.
//!
//! Compiling resolves names to slots, checks types, evaluates constant parts and picks specialised code for operands
//! of known types. Evaluating reads the row in place. Conditions and arithmetic over slots of known types allocate
//! nothing. Fields of type `any` are checked at run time, by the same rules.
//!
//! The cost of an expression is bounded: the length and depth of its source at compile time, the steps of macros and
//! the size of results at run time. Regular expressions run in time linear in the text.
//!
//! Any slot may hold null. It equals only null; any other operation on it is an [`EvalError`].
//!
//! As extensions of CEL, there are exact decimals, arithmetic and comparisons accept mixed number types, `duration`
//! knows days, and lists have aggregates (`first`, `last`, `sum`, `avg`, `min`, `max`, `count`, `stddev`).
//!
//! ```
//! use tidegate_expr::Expr;
//! use tidegate_rows::{Row, Schema, Type, Value};
//!
//! let schema = Schema::new([("user", Type::String), ("amount", Type::Double)]);
//! let fee = Expr::compile("user == 'bank' ? 0.0 : amount * 0.5", &schema).unwrap();
//! let row: Row = [Value::string("ann"), Value::Double(250.0)].into_iter().collect();
//! assert_eq!(fee.eval(&row), Ok(Value::Double(125.0)));
//! ```

mod arith;
mod batch;
mod call;
mod canonical;
mod check;
mod comprehension;
mod display;
mod error;
mod expr;
mod expr_set;
mod fast;
mod functions;
mod identifiers;
mod nearest;
mod net;
mod node;
mod ops;
mod parse;
mod problem;
mod quoted;
mod reference;
mod set;
#[cfg(test)]
mod tests;
mod tree;
mod ty;
mod val;
mod visit;
mod with;

use tidegate_rows::{Type, Value};

pub use batch::eval_batch_line;
pub use call::{Arg, Call, parse_call};
pub use canonical::{canonical, form_of, has_forms, is_matchless};
pub use error::EvalError;
pub use expr::Expr;
pub use expr_set::{ExprSet, Over, Scratch};
pub use identifiers::{field_name, identifiers, identifiers_and_sizes, size_field};
pub use nearest::nearest;
pub use problem::Problem;
pub use reference::{examples, reference};
pub use tree::{Called, Operator, Rewrite, Shape, Tree};
pub use with::{EvalWithError, eval_with};

/// Whether values of these types may be equal by `==`.
#[must_use]
pub fn comparable(a: &Type, b: &Type) -> bool {
    ty::Ty::from(a).comparable(&ty::Ty::from(b))
}

/// A value as text, as `string(x)` gives it; null is `null`, and lists and maps are in brackets.
#[must_use]
pub fn plain(value: &Value) -> String {
    display::Plain(value).to_string()
}

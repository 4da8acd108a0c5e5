//! The contract of aggregates.

use tidegate_operators::Sliding;
use tidegate_rows::{Type, Value};

use super::Acc;

/// What is known about an aggregate without a call. From this the compiler checks calls, and the reference is generated.
pub(crate) struct About {
    /// Its name in calls.
    pub(super) name: &'static str,
    /// The name of what it keeps, stored in savepoints. Aggregates that keep the same share it.
    pub(super) kept: &'static str,
    /// How it is called: an example for each number of arguments.
    pub(super) calls: &'static [&'static str],
    /// The values it takes.
    pub(super) takes: Takes,
    /// What it returns, in Markdown.
    pub(super) returns: &'static str,
}

impl About {
    /// Its name in calls.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// The values it takes.
    pub(crate) fn takes(&self) -> Takes {
        self.takes
    }
}

/// The values that an aggregate takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takes {
    /// All but nulls.
    Values,
    /// All, nulls too.
    Nulls,
    /// All but nulls; those that `==` calls equal arrive as one.
    Distinct,
    /// Numbers.
    Numbers,
}

impl Takes {
    /// Checks the type of the argument. If it is wrong, says what it should be.
    pub(crate) fn check_type(self, ty: &Type) -> Result<(), &'static str> {
        match self {
            Self::Numbers if !matches!(ty, Type::Int | Type::Uint | Type::Double | Type::Decimal | Type::Any) => Err("numbers"),
            _ => Ok(()),
        }
    }

    /// Checks a value other than null. Called for every value, because a field may be of any type.
    pub(crate) fn check(self, value: &Value) -> Result<(), String> {
        if self == Self::Numbers && value.as_f64().is_none() {
            return Err(format!("expected a number, found {}", value.type_of()));
        }
        Ok(())
    }
}

/// An aggregate of job files. The default is the call for display, by someone who knows no more than its name.
pub(crate) trait Definition: Default {
    /// What it is.
    const ABOUT: About;

    /// The aggregate over values of this type, with the constant that is its second argument (empty if it has none).
    ///
    /// # Errors
    /// What the constant should be.
    fn new(_argument: &Type, _constant: &str) -> Result<Self, &'static str> {
        Ok(Self::default())
    }

    /// The type of the result over values of this type.
    fn result(&self, argument: &Type) -> Type;

    /// How overlapping windows share its work.
    fn sliding(&self) -> Sliding;

    /// An empty accumulator.
    fn empty(&self) -> Acc;

    /// An empty accumulator for records that come in any order. Its result does not depend on it.
    fn unordered(&self) -> Acc {
        self.empty()
    }
}

/// An aggregate that may keep an `A`.
pub(crate) trait Finish<A>: Definition {
    /// The result.
    fn finish(&self, acc: &A) -> Value;

    /// The content for display, without the constants of the call.
    fn show(&self, acc: &A) -> Value {
        self.finish(acc)
    }
}

impl<A, F: Finish<A>> Finish<Box<A>> for F {
    fn finish(&self, acc: &Box<A>) -> Value {
        self.finish(&**acc)
    }

    fn show(&self, acc: &Box<A>) -> Value {
        self.show(&**acc)
    }
}

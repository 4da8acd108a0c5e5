//! A record of either of two inputs that go through one operator.

use serde::{Deserialize, Serialize};
use tidegate_runtime::state::Stored;

/// A record of either of two inputs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Either<L, R> {
    /// A record of the first input.
    Left(L),
    /// A record of the second input.
    Right(R),
}

impl<L: Stored, R: Stored> Stored for Either<L, R> {
    const SCHEMA: &'static str = "either/1";

    fn schema() -> String {
        Self::schema_of(&[L::schema(), R::schema()])
    }
}

//! The name under which an operator keeps its state.

use serde::{Deserialize, Serialize};

/// The name of an operator. It is unique in its job, and the same in savepoints, metrics, the graph and error messages.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct OperatorId(String);

/// The error for a name that can't be an operator id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvalidOperatorId(String);

impl OperatorId {
    /// Makes `name` an operator id.
    ///
    /// # Errors
    /// The name is empty, does not start with a letter or `_`, or contains anything but letters, digits, `_`, `-`, `.` and `/`.
    pub fn new(name: impl Into<String>) -> Result<Self, InvalidOperatorId> {
        let name = name.into();
        let starts = name.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_');
        let holds = name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/'));
        if starts && holds { Ok(Self(name)) } else { Err(InvalidOperatorId(name)) }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for OperatorId {
    type Error = InvalidOperatorId;

    fn try_from(name: String) -> Result<Self, InvalidOperatorId> {
        Self::new(name)
    }
}

impl std::fmt::Display for OperatorId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::fmt::Display for InvalidOperatorId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} can't name an operator: a name starts with a letter and holds letters, digits, '_', '-', '.' or '/'", self.0)
    }
}

impl std::error::Error for InvalidOperatorId {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_word_that_can_stand_in_a_path() {
        for good in ["fails", "per_hour", "a-b.c/d", "_x", "登录"] {
            assert!(OperatorId::new(good).is_ok(), "{good}");
        }
        for bad in ["", "1st", "a b", "a\n", "-x", "a:b"] {
            assert!(OperatorId::new(bad).is_err(), "{bad}");
        }
    }
}

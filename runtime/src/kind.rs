//! What operators are, to savepoints and to people.

use std::fmt;

/// The kind of an operator: an identifier such as `window` or `file`. Savepoints hold it, and state is given back only to an operator of the same kind.
/// How an operator is described to people is its label, which may be reworded at any time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind(&'static str);

impl Kind {
    /// The kind of this name. It is stored: once released, it stays.
    ///
    /// # Panics
    /// The name has other characters than lower-case letters, digits and `_`. In a constant, which is where kinds belong, that is an error of compilation.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        let bytes = name.as_bytes();
        assert!(!bytes.is_empty(), "a kind has a name");
        let mut i = 0;
        while i < bytes.len() {
            assert!(matches!(bytes[i], b'a'..=b'z' | b'0'..=b'9' | b'_'), "a kind is of lower-case letters, digits and `_`");
            i += 1;
        }
        Self(name)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// What an operator is: its kind and the form of its state, which are stored, and its label, which is only shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorSpec {
    pub(crate) kind: Kind,
    pub(crate) form: Option<String>,
    pub(crate) label: String,
}

impl OperatorSpec {
    /// An operator of this kind, labelled by it.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        Self { kind, form: None, label: kind.name().replace('_', " ") }
    }

    /// What people see in place of the kind.
    #[must_use]
    pub fn labelled(self, label: impl Into<String>) -> Self {
        Self { label: label.into(), ..self }
    }

    /// What the state of the operator depends on beside its kind, such as the size of windows. It is stored and compared as a whole.
    #[must_use]
    pub fn of_form(self, form: impl Into<String>) -> Self {
        Self { form: Some(form.into()), ..self }
    }
}

impl From<Kind> for OperatorSpec {
    fn from(kind: Kind) -> Self {
        Self::new(kind)
    }
}

//! What operators are, as savepoints and people see them.

use std::fmt;

/// The kind of an operator: an identifier such as `window` or `file`. Savepoints record it, and state is restored only into an operator of
/// the same kind. The label, in contrast, describes an operator to people and may be reworded at any time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind(&'static str);

impl Kind {
    /// The kind with this name. The name is stored: once released, it must not change.
    ///
    /// # Panics
    /// The name contains other characters than lower-case letters, digits and `_`. Kinds belong in constants, where this is a compile-time
    /// error.
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

/// What an operator is: its kind and the form of its state, which are stored, and its label, which is only displayed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorSpec {
    pub(crate) kind: Kind,
    pub(crate) form: Option<String>,
    pub(crate) label: String,
}

impl OperatorSpec {
    /// An operator of this kind, with the kind as its label.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        Self { kind, form: None, label: kind.name().replace('_', " ") }
    }

    /// Sets the label, which people see instead of the kind.
    #[must_use]
    pub fn labelled(self, label: impl Into<String>) -> Self {
        Self { label: label.into(), ..self }
    }

    /// Sets what the state of the operator depends on besides its kind, such as the size of windows. It is stored and compared as a whole.
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

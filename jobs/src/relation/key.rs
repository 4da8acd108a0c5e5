//! The keys of rows.

use serde::{Deserialize, Serialize};
use tidegate_rows::{Row, Schema, Value};
use tidegate_runtime::state::Stored;

use tidegate_expr::Expr;
use tidegate_expr::{canonical, form_of};

/// The key of a row: one or more values, or none if the whole stream has one key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RowKey {
    /// One key for the whole stream.
    Whole,
    /// One field.
    One(Value),
    /// Two fields.
    Two([Value; 2]),
    /// More than two fields.
    Many(Box<[Value]>),
}

impl Stored for RowKey {
    const SCHEMA: &'static str = "row.key/1";
}

impl RowKey {
    /// The key's values, in the order of its fields.
    #[must_use]
    pub fn values(&self) -> &[Value] {
        match self {
            Self::Whole => &[],
            Self::One(value) => std::slice::from_ref(value),
            Self::Two(values) => values,
            Self::Many(values) => values,
        }
    }
}

/// Maps equal values to one form.
type Form = fn(&Value) -> Value;

/// The slots that make up the key of a row.
#[derive(Clone, Debug)]
pub(crate) enum KeySlots {
    Whole,
    One(usize),
    Two(usize, usize),
    Many(Box<[usize]>),
    /// Equal values of some fields have more than one form. Each slot comes with the function that makes one of them.
    Forms(Box<[(usize, Option<Form>)]>),
}

impl KeySlots {
    /// The key in `slots`, which index the fields of `schema` followed by the values of `computed`.
    pub(crate) fn over(slots: &[usize], schema: &Schema, computed: &[Expr]) -> Self {
        let ty = |slot: &usize| schema.field(*slot).map(|field| &field.ty).or_else(|| computed.get(*slot - schema.width()).map(Expr::ty));
        Self::with_forms(slots, slots.iter().map(|slot| ty(slot).and_then(form_of)))
    }

    /// The key in `slots`. `forms` says for each whether equal values can have more than one form.
    pub(crate) fn new(slots: &[usize], forms: &[bool]) -> Self {
        Self::with_forms(slots, forms.iter().map(|forms| forms.then_some(canonical as Form)))
    }

    fn with_forms(slots: &[usize], forms: impl Iterator<Item = Option<Form>>) -> Self {
        let forms: Vec<Option<Form>> = forms.collect();
        match *slots {
            _ if forms.iter().any(Option::is_some) => Self::Forms(slots.iter().copied().zip(forms).collect()),
            [] => Self::Whole,
            [a] => Self::One(a),
            [a, b] => Self::Two(a, b),
            _ => Self::Many(slots.into()),
        }
    }

    #[inline]
    pub(crate) fn of(&self, row: &Row) -> RowKey {
        match self {
            Self::Whole => RowKey::Whole,
            Self::One(a) => RowKey::One(row.get(*a).clone()),
            Self::Two(a, b) => RowKey::Two([row.get(*a).clone(), row.get(*b).clone()]),
            Self::Forms(slots) => {
                let value = |(slot, form): &(usize, Option<Form>)| form.map_or_else(|| row.get(*slot).clone(), |form| form(row.get(*slot)));
                match &**slots {
                    [a] => RowKey::One(value(a)),
                    [a, b] => RowKey::Two([value(a), value(b)]),
                    slots => RowKey::Many(slots.iter().map(value).collect()),
                }
            }
            Self::Many(slots) => RowKey::Many(slots.iter().map(|slot| row.get(*slot).clone()).collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_rows::Type;

    #[test]
    fn equal_values_of_any_type_are_one_key() {
        let schema = Schema::new([("a", Type::Any), ("d", Type::Double)]);
        let keys = |slots: &[usize], a: Value| KeySlots::over(slots, &schema, &[]).of(&Row::from_iter([a, Value::Double(2.0)]));
        assert_eq!(keys(&[0], Value::Double(1.0)), keys(&[0], Value::Int(1)));
        assert_eq!(keys(&[0, 1], Value::Uint(1)), RowKey::Two([Value::Int(1), Value::Double(2.0)]));
        assert_eq!(keys(&[1], Value::Null), RowKey::One(Value::Double(2.0)));
        let amounts = Schema::new([("amount", Type::Decimal)]);
        let decimal = |text: &str| Value::Decimal(text.parse().unwrap());
        let key = |text: &str| KeySlots::over(&[0], &amounts, &[]).of(&Row::from_iter([decimal(text)]));
        assert_eq!((key("1.0"), key("1.50")), (RowKey::One(decimal("1")), RowKey::One(decimal("1.5"))));
    }
}

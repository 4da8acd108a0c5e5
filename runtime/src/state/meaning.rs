//! What the values of a state stand for.

use std::rc::Rc;

use tidegate_checkpoints::Field;

use super::Stored;
use super::codec::Arranging;
use super::persistent::parts;

/// Rearranges a value that was stored with different parts: for each present part, its place among the stored ones, if it has one.
pub(super) type Arrange<V> = Rc<Arranging<V>>;

/// What the values of a state stand for: their schema, and what the operator adds to it. Stored values with a different meaning are never
/// read. Values may have named parts; a job whose parts differ from the stored ones then keeps those that match.
pub struct Meaning<V> {
    pub(super) schema: String,
    pub(super) fields: Vec<Field>,
    pub(super) arrange: Option<Arrange<V>>,
}

impl<V: Stored> Meaning<V> {
    /// The meaning given by the type.
    #[must_use]
    pub fn of_type() -> Self {
        Self { schema: V::schema(), fields: Vec::new(), arrange: None }
    }
}

impl<V: 'static> Meaning<V> {
    /// Distinguishes values of the same type by `name`, for example a minimum and a maximum. Like a schema, `name` carries a version.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        Self { schema: format!("{name}<{}>", self.schema), ..self }
    }

    /// Values with named parts. `arrange` receives, for each of `fields`, its place in the value it is given, if it has one. A part without
    /// a place starts empty.
    #[must_use]
    pub fn with_parts(self, fields: Vec<Field>, arrange: impl Fn(&mut V, &[Option<usize>]) + 'static) -> Self {
        Self { fields, arrange: Some(Rc::new(arrange)), ..self }
    }

    /// The meaning of values that contain such values, next to others with the schemas `more`. `each` applies a function to all of them.
    /// Like a schema, `name` carries a version.
    #[must_use]
    pub fn inside<W: 'static>(self, name: &str, more: &[String], each: impl Fn(&mut W, &dyn Fn(&mut V)) + 'static) -> Meaning<W> {
        let arrange = self.arrange.map(|arrange| -> Arrange<W> {
            Rc::new(move |outer: &mut W, places: &[Option<usize>]| each(outer, &|value: &mut V| arrange(value, places)))
        });
        let all: Vec<String> = std::iter::once(self.schema).chain(more.iter().cloned()).collect();
        Meaning { schema: format!("{name}<{}>", all.join(", ")), fields: self.fields, arrange }
    }

    /// The meaning of pairs. Their parts are compared as a whole.
    #[must_use]
    pub fn and<W>(self, other: Meaning<W>) -> Meaning<(V, W)> {
        let whole = |schema: String, fields: Vec<Field>| match parts(&fields) {
            None => schema,
            Some(parts) => format!("{schema}: {parts}"),
        };
        let schema = format!("({}, {})", whole(self.schema, self.fields), whole(other.schema, other.fields));
        Meaning { schema, fields: Vec::new(), arrange: None }
    }
}

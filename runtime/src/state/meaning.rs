//! What the values of a state stand for.

use std::rc::Rc;

use tidegate_checkpoints::Field;

use super::Stored;
use super::codec::Arranging;

/// Puts a value that was stored with other parts together anew: for each part of now where it lies among the stored ones, if it does.
pub(super) type Arrange<V> = Rc<Arranging<V>>;

/// What the values of a state stand for: their schema, and what the operator has to add to it. Stored values of another meaning are not read. Values may
/// have parts that are known by name; then a job that has others goes on with those it has.
pub struct Meaning<V> {
    pub(super) schema: String,
    pub(super) fields: Vec<Field>,
    pub(super) arrange: Option<Arrange<V>>,
}

impl<V: Stored> Meaning<V> {
    /// What the type says.
    #[must_use]
    pub fn of_type() -> Self {
        Self { schema: V::schema(), fields: Vec::new(), arrange: None }
    }
}

impl<V: 'static> Meaning<V> {
    /// Values of one type and another `name` are not the same: a least and a greatest number, for example. `name` has a version, as a schema has.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        Self { schema: format!("{name}<{}>", self.schema), ..self }
    }

    /// Parts that are known by name. `arrange` is told, for each of `fields`, where it lies in the value it is given, if it does; a part that does not
    /// begins empty.
    #[must_use]
    pub fn with_parts(self, fields: Vec<Field>, arrange: impl Fn(&mut V, &[Option<usize>]) + 'static) -> Self {
        Self { fields, arrange: Some(Rc::new(arrange)), ..self }
    }

    /// The meaning of values that hold such values, among others of the schemas `more`: `each` gives all of them to a function. `name` has a version, as a
    /// schema has.
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
        let whole = |schema: String, fields: Vec<Field>| match fields.as_slice() {
            [] => schema,
            fields => {
                format!("{schema}: {}", fields.iter().map(|field| format!("{} = {}", field.name, field.is)).collect::<Vec<_>>().join(", "))
            }
        };
        let schema = format!("({}, {})", whole(self.schema, self.fields), whole(other.schema, other.fields));
        Meaning { schema, fields: Vec::new(), arrange: None }
    }
}

//! What the values of a state stand for, where their type does not tell.

use std::rc::Rc;

use tidegate_checkpoints::Field;

use super::codec::Arranging;

/// Puts a value that was stored with other parts together anew: for each part of now where it lies among the stored ones, if it does.
pub(super) type Arrange<V> = Rc<Arranging<V>>;

/// What the values of a state stand for: stored values of another meaning are not read. They may have parts that are known by name; then a job that
/// has others goes on with those it has.
pub struct Meaning<V> {
    pub(super) words: String,
    pub(super) fields: Vec<Field>,
    pub(super) arrange: Option<Arrange<V>>,
}

impl<V: 'static> Meaning<V> {
    /// What these words say.
    pub fn new(words: impl Into<String>) -> Self {
        Self { words: words.into(), fields: Vec::new(), arrange: None }
    }

    /// Parts that are known by name. `arrange` is told, for each of `fields`, where it lies in the value it is given, if it does; a part that does not
    /// begins empty.
    #[must_use]
    pub fn with_parts(self, fields: Vec<Field>, arrange: impl Fn(&mut V, &[Option<usize>]) + 'static) -> Self {
        Self { fields, arrange: Some(Rc::new(arrange)), ..self }
    }

    /// The meaning of values that hold such values, among others: `each` gives all of them to a function.
    #[must_use]
    pub fn inside<W: 'static>(self, words: &str, each: impl Fn(&mut W, &dyn Fn(&mut V)) + 'static) -> Meaning<W> {
        let arrange = self.arrange.map(|arrange| -> Arrange<W> {
            Rc::new(move |outer: &mut W, places: &[Option<usize>]| each(outer, &|value: &mut V| arrange(value, places)))
        });
        Meaning { words: format!("{words} of {}", self.words), fields: self.fields, arrange }
    }

    /// The meaning of values that expire.
    pub(super) fn expiring<W: 'static>(self, each: impl Fn(&mut W, &dyn Fn(&mut V)) + 'static) -> Meaning<W> {
        let words = format!("{}, expiring", self.words);
        Meaning { words, ..self.inside("", each) }
    }
}

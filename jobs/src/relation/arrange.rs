//! How rows are made of the values of others: the inputs of a union, the two sides of a join, a row whose field makes way for a new one.

use std::collections::HashSet;
use std::sync::Arc;

use tidegate_rows::{Field, Row, Schema, Type, Value};

/// Rows of a schema, and what makes them, if they don't come as they are.
pub(crate) type Arranged = (Schema, Option<Arrangement>);

/// Where each value of a row comes from. Cloning shares it.
#[derive(Clone, Debug)]
pub(crate) struct Arrangement(Arc<[Take]>);

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Take {
    /// The row lacks the field.
    Nothing,
    /// What stands in this slot, which may be nothing.
    Slot(usize),
    /// The first of these that is there, else this value.
    First(Box<[Candidate]>, Value),
    /// The fields that have no slot on either side of a join.
    Rests(Box<Rests>),
}

/// What may become a field of a joined row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Candidate {
    slot: usize,
    /// Only if the row has the fields in these slots.
    given: Vec<usize>,
    /// Only if it is not null.
    filled: bool,
}

impl Candidate {
    /// What stands in this slot, in every row.
    fn always(slot: usize) -> Self {
        Self { slot, given: Vec::new(), filled: false }
    }

    fn is_there(&self, row: &Row) -> bool {
        let there = if self.filled { !row.get(self.slot).is_null() } else { row.has(self.slot) };
        there && self.given.iter().all(|slot| row.has(*slot))
    }
}

/// The slots of the rests of both sides, and what of the right goes there. A field of the right that the left has, too, gets the prefix.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rests {
    left: Option<usize>,
    right: Option<usize>,
    /// Fields of the right whose new names nobody asks for.
    moved: Vec<(Value, Candidate)>,
    prefix: String,
}

impl Arrangement {
    /// A row of these; none if they are the slots of a row of this width as they are.
    pub(crate) fn new(takes: Vec<Take>, width: usize) -> Option<Self> {
        let in_place = takes.len() == width && takes.iter().enumerate().all(|(at, take)| *take == Take::Slot(at));
        (!in_place).then(|| Self(takes.into()))
    }

    /// Where the value in a slot stands in the row that is made, if it is always there.
    pub(crate) fn place_of(&self, slot: usize) -> Option<usize> {
        self.0.iter().position(|take| *take == Take::Slot(slot))
    }

    /// The row that is made of another.
    pub(crate) fn of(&self, row: &Row) -> Row {
        self.0.iter().map(|take| take.of(row)).collect()
    }
}

impl Take {
    fn of(&self, row: &Row) -> Value {
        match self {
            Self::Nothing => Value::Absent,
            Self::Slot(slot) => row.copy(*slot),
            Self::First(candidates, otherwise) => {
                let found = candidates.iter().find(|candidate| candidate.is_there(row));
                found.map_or_else(|| otherwise.clone(), |candidate| row.copy(candidate.slot))
            }
            Self::Rests(rests) => rests.of(row),
        }
    }
}

impl Rests {
    fn of(&self, row: &Row) -> Value {
        let entries = |slot: Option<usize>| match slot.map(|slot| row.get(slot)) {
            Some(Value::Map(entries)) => entries.as_slice(),
            _ => &[],
        };
        let (left, right) = (entries(self.left), entries(self.right));
        let moved: Vec<(Value, Value)> =
            self.moved.iter().filter(|(_, field)| field.is_there(row)).map(|(name, field)| (name.clone(), row.copy(field.slot))).collect();
        match (left, right, moved.as_slice()) {
            ([], [], []) => Value::Absent,
            (_, [], []) => self.left.map_or(Value::Absent, |slot| row.copy(slot)),
            ([], _, []) => self.right.map_or(Value::Absent, |slot| row.copy(slot)),
            _ => self.both(left, right, moved),
        }
    }

    fn both(&self, left: &[(Value, Value)], right: &[(Value, Value)], moved: Vec<(Value, Value)>) -> Value {
        let of_left: HashSet<&Value> = left.iter().map(|(name, _)| name).collect();
        let mut taken: HashSet<Value> = left.iter().chain(right).map(|(name, _)| name.clone()).collect();
        let mut all = left.to_vec();
        let (twice, once): (Vec<_>, Vec<_>) = right.iter().cloned().partition(|(name, _)| of_left.contains(name));
        all.extend(once);
        for (mut name, value) in twice.into_iter().chain(moved) {
            while !taken.insert(name.clone()) {
                name = Value::string(format!("{}{}", self.prefix, name.as_str().unwrap_or_default()));
            }
            all.push((name, value));
        }
        Value::map(all)
    }
}

/// The fields of all these schemas; of different types in two of them, of any type. What one of them lacks, some rows lack.
pub(crate) fn united(schemas: &[&Schema]) -> Schema {
    let mut all = if schemas.iter().any(|s| s.rest().is_some()) { Schema::open() } else { Schema::default() };
    for (_, field) in schemas.iter().flat_map(|s| s.fields()) {
        let same: Vec<Option<&Field>> = schemas.iter().map(|s| s.named(&field.name)).collect();
        let of_one_type = same.iter().flatten().all(|other| other.ty == field.ty);
        let optional = same.iter().any(|other| other.is_none_or(|other| other.optional));
        all.add_field(Field { name: field.name.clone(), ty: if of_one_type { field.ty.clone() } else { Type::Any }, optional });
    }
    all
}

/// What lays rows of `from` out as `to` wants them, if they aren't already.
pub(crate) fn between(from: &Schema, to: &Schema) -> Option<Arrangement> {
    let slot = |slot: Option<usize>| slot.map_or(Take::Nothing, Take::Slot);
    let rest = to.rest().map(|_| slot(from.rest()));
    let takes = rest.into_iter().chain(to.names().map(|name| slot(from.slot(name)))).collect();
    Arrangement::new(takes, from.width())
}

/// The schema of rows of `schema` with further fields behind them. A field that rows may lack makes way for one of its name: then also
/// what leaves it out.
pub(crate) fn extended<'a>(schema: &Schema, added: impl IntoIterator<Item = (&'a str, Type)>) -> Arranged {
    let added: Vec<(&str, Type)> = added.into_iter().collect();
    let replaced = |field: &Field| !schema.declares(&field.name) && added.iter().any(|(name, _)| *name == field.name);
    let mut extended = schema.without_fields();
    let mut takes: Vec<Take> = schema.rest().map(Take::Slot).into_iter().collect();
    for (slot, field) in schema.fields().filter(|(_, field)| !replaced(field)) {
        extended.add_field(field.clone());
        takes.push(Take::Slot(slot));
    }
    let behind = schema.width()..schema.width() + added.len();
    takes.extend(behind.map(Take::Slot));
    let width = schema.width() + added.len();
    added.into_iter().for_each(|(name, ty)| _ = extended.add(name, ty));
    (extended, Arrangement::new(takes, width))
}

/// Two sides whose rows become one. The row that is arranged has the values of the left, those of the right, and those behind.
pub(crate) struct Sides<'a> {
    pub(crate) left: &'a Schema,
    pub(crate) right: &'a Schema,
    /// What the right is called.
    pub(crate) with: &'a str,
    /// Does the job say that the left has a field of this name, though not all of its rows may have it?
    pub(crate) stated: &'a dyn Fn(&str) -> bool,
    /// Pairs of slots, of the left and of the right: the field of the left is taken from the side that has a value.
    pub(crate) either: &'a [(usize, usize)],
    /// Further fields.
    pub(crate) behind: &'a [(&'a str, Type)],
}

/// A field of one side that may become one of the joined row.
struct Source<'a> {
    field: &'a Field,
    take: Candidate,
}

impl Source<'_> {
    /// Is it there in every row?
    fn is_sure(&self) -> bool {
        !self.field.optional && self.take.given.is_empty() && !self.take.filled
    }
}

impl<'a> Sides<'a> {
    /// The schema of a joined row, and how it is made, unless it is the arranged row as it is.
    ///
    /// A field of the right that the left has, too, is called `<right>_<field>`. What the left has its schema tells, or the job. Where only the row can
    /// tell, a name means the left's field if the row has one, else the right's.
    pub(crate) fn joined(&self) -> Arranged {
        let open = self.left.rest().or(self.right.rest()).is_some();
        let mut named: Vec<(String, Vec<Source<'a>>)> = self.left.names().map(|name| (name.to_owned(), self.sources(name))).collect();
        for (_, field) in self.right.fields() {
            let (name, given) = self.renamed(&field.name);
            let certain = !field.optional && (given.is_empty() || name == self.prefixed(&field.name));
            if (!open || certain || name == field.name) && !named.iter().any(|(other, _)| *other == name) {
                let sources = self.sources(&name);
                named.push((name, sources));
            }
        }
        let mut moved = Vec::new();
        for (slot, field) in self.right.fields() {
            let (mut name, given) = self.renamed(&field.name);
            let take = Candidate { slot: self.left.width() + slot, given, filled: false };
            if let Some((_, sources)) = named.iter().find(|(other, _)| *other == name) {
                if field.optional || sources.iter().any(|source| source.take == take) {
                    continue;
                }
                // Another field has its name. It is not lost, but gets a longer one.
                while named.iter().any(|(other, _)| *other == name) {
                    name = self.prefixed(&name);
                }
            }
            // Names that only a row can tell, and that nobody asks for, are no fields: there would be no end of them where joins follow one another.
            if open && (field.optional || !take.given.is_empty()) {
                moved.push((Value::string(name), take));
            } else {
                named.push((name, vec![Source { field, take }]));
            }
        }
        let (mut schema, mut takes) = (Schema::default(), Vec::new());
        if open {
            schema = Schema::open();
            let right = self.right.rest().map(|slot| self.left.width() + slot);
            takes.push(Take::Rests(Box::new(Rests { left: self.left.rest(), right, moved, prefix: self.prefixed("") })));
        }
        for (name, sources) in named {
            let optional = !sources.iter().any(|source| !source.field.optional && source.take.given.is_empty());
            if optional && self.behind.iter().any(|(other, _)| *other == name) {
                continue;
            }
            let ty = sources.first().map_or(Type::Any, |first| first.field.ty.clone());
            let ty = if sources.iter().all(|source| source.field.ty == ty) { ty } else { Type::Any };
            schema.add_field(Field { name, ty, optional });
            let otherwise = if optional { Value::Absent } else { Value::Null };
            takes.push(match sources.as_slice() {
                [only] if only.take == Candidate::always(only.take.slot) => Take::Slot(only.take.slot),
                _ => Take::First(sources.into_iter().map(|source| source.take).collect(), otherwise),
            });
        }
        let width = self.left.width() + self.right.width();
        for (at, (name, ty)) in self.behind.iter().enumerate() {
            if schema.slot(name).is_none() {
                schema.add(*name, ty.clone());
                takes.push(Take::Slot(width + at));
            }
        }
        (schema, Arrangement::new(takes, width + self.behind.len()))
    }

    fn prefixed(&self, name: &str) -> String {
        format!("{}_{name}", self.with)
    }

    /// What a field of the right is called if the left has all fields it may have, and the slots that must be there for that.
    fn renamed(&self, name: &str) -> (String, Vec<usize>) {
        let (mut name, mut given) = (name.to_owned(), Vec::new());
        while self.left.slot(&name).is_some() {
            given.extend(self.given(&name));
            name = self.prefixed(&name);
        }
        (name, given)
    }

    /// Which slot of the left tells of a row whether the left has this field; none if it is known to, or not to.
    fn given(&self, name: &str) -> Option<usize> {
        self.left.slot(name).filter(|_| !self.left.declares(name) && !(self.stated)(name))
    }

    /// What the name can mean in a row, the first that is there.
    fn sources(&self, name: &str) -> Vec<Source<'a>> {
        let mut sources = Vec::new();
        let right = |name: &str| Some((self.left.width() + self.right.slot(name)?, self.right.named(name)?));
        if let (Some(slot), Some(field)) = (self.left.slot(name), self.left.named(name)) {
            let either = self.either.iter().find(|(left, _)| *left == slot).map(|(_, right)| *right);
            sources.push(Source { field, take: Candidate { filled: either.is_some(), ..Candidate::always(slot) } });
            if let Some((slot, field)) = either.and_then(|slot| Some((self.left.width() + slot, self.right.field(slot)?))) {
                sources.push(Source { field, take: Candidate::always(slot) });
            }
        }
        // Of the right it is where the left has no such field.
        if self.left.slot(name).is_none() || self.given(name).is_some() {
            let (mut own, mut given) = (name, Vec::new());
            while let Some(inner) = own.strip_prefix(&self.prefixed("")).filter(|inner| self.left.slot(inner).is_some()) {
                own = inner;
                given.extend(self.given(own));
                if let Some((slot, field)) = right(own) {
                    sources.push(Source { field, take: Candidate { slot, given: given.iter().rev().copied().collect(), filled: false } });
                }
            }
            let same = right(name).filter(|(slot, _)| sources.iter().all(|source| source.take.slot != *slot));
            sources.extend(same.map(|(slot, field)| Source { field, take: Candidate::always(slot) }));
        }
        let needed = sources.iter().position(Source::is_sure).map_or(sources.len(), |sure| sure + 1);
        sources.truncate(needed);
        sources
    }
}

#[cfg(test)]
mod tests;

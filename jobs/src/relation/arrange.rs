//! Builds rows from the values of other rows: for the inputs of a union, the two sides of a join, and a row in which
//! a new field replaces an old one.

use std::collections::HashSet;
use std::sync::Arc;

use tidegate_rows::{Field, Row, Schema, Type, Value};

/// A schema, and the arrangement that produces its rows, or `None` if they already have that layout.
pub(crate) type Arranged = (Schema, Option<Arrangement>);

/// Where each value of a row comes from. Clones share the arrangement.
#[derive(Clone, Debug)]
pub(crate) struct Arrangement(Arc<[Take]>);

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Take {
    /// The row lacks the field.
    Nothing,
    /// The value in this slot, which may be absent.
    Slot(usize),
    /// The first candidate that is there, or else this value.
    First(Box<[Candidate]>, Value),
    /// The fields without a slot on either side of a join.
    Rests(Box<Rests>),
}

/// A slot that may provide the value of a field in a joined row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Candidate {
    slot: usize,
    /// Only if the row has the fields in all these slots.
    given: Vec<usize>,
    /// Only if the value is not null.
    filled: bool,
}

impl Candidate {
    /// The value in this slot, in every row.
    fn always(slot: usize) -> Self {
        Self { slot, given: Vec::new(), filled: false }
    }

    fn is_there(&self, row: &Row) -> bool {
        let there = if self.filled { !row.get(self.slot).is_null() } else { row.has(self.slot) };
        there && self.given.iter().all(|slot| row.has(*slot))
    }
}

/// The slots of the rests of both sides, and the fields of the right that are moved there. A field of the right whose
/// name is taken by the left gets the prefix.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rests {
    left: Option<usize>,
    right: Option<usize>,
    /// Fields of the right whose new names nothing asks for.
    moved: Vec<(Value, Candidate)>,
    prefix: String,
}

impl Arrangement {
    /// An arrangement of `takes`, or `None` if they are just the slots of a row of this width, in order.
    pub(crate) fn new(takes: Vec<Take>, width: usize) -> Option<Self> {
        let in_place = takes.len() == width && takes.iter().enumerate().all(|(at, take)| *take == Take::Slot(at));
        (!in_place).then(|| Self(takes.into()))
    }

    /// The slot of the new row that always holds the value of `slot`, if there is one.
    pub(crate) fn place_of(&self, slot: usize) -> Option<usize> {
        self.0.iter().position(|take| *take == Take::Slot(slot))
    }

    /// Builds the new row from `row`.
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

/// A schema with the fields of all schemas. A field whose types differ becomes `any`. A field that one of the schemas
/// lacks is optional.
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

/// The arrangement that converts rows of `from` to the layout of `to`, or `None` if they already have it.
pub(crate) fn between(from: &Schema, to: &Schema) -> Option<Arrangement> {
    let slot = |slot: Option<usize>| slot.map_or(Take::Nothing, Take::Slot);
    let rest = to.rest().map(|_| slot(from.rest()));
    let takes = rest.into_iter().chain(to.names().map(|name| slot(from.slot(name)))).collect();
    Arrangement::new(takes, from.width())
}

/// The schema with `added` fields appended. An added field replaces one of the same name that rows may lack; the
/// arrangement then drops the old one.
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

/// The two sides of a join. The input of the arrangement has the values of the left, then those of the right, then
/// those of `behind`.
pub(crate) struct Sides<'a> {
    pub(crate) left: &'a Schema,
    pub(crate) right: &'a Schema,
    /// The name of the right side.
    pub(crate) with: &'a str,
    /// Whether the job says that the left has a field of this name, even if some of its rows may lack it.
    pub(crate) stated: &'a dyn Fn(&str) -> bool,
    /// Pairs of left and right slots: the left field takes its value from the side that has one.
    pub(crate) either: &'a [(usize, usize)],
    /// Additional fields.
    pub(crate) behind: &'a [(&'a str, Type)],
}

/// A field of one side that may become a field of the joined row.
struct Source<'a> {
    field: &'a Field,
    take: Candidate,
}

/// A field of the joined row, with those it may come from, in order of precedence.
type Joined<'a> = (String, Vec<Source<'a>>);

impl Source<'_> {
    /// Whether every row has the field.
    fn is_sure(&self) -> bool {
        !self.field.optional && self.take.given.is_empty() && !self.take.filled
    }
}

impl<'a> Sides<'a> {
    /// The schema of a joined row, and the arrangement that builds it from its input, unless it equals the input.
    ///
    /// A field of the right whose name the left has too is named `<right>_<field>`. The left's schema or the job says
    /// what the left has. Where only the row can tell, a name means the left's field if the row has it, and otherwise
    /// the right's.
    pub(crate) fn joined(&self) -> Arranged {
        let open = self.left.rest().or(self.right.rest()).is_some();
        let mut named = self.certain(open);
        let moved = self.place_others(open, &mut named);
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

    /// The fields of the left, then those of the right whose names in the joined row don't depend on the row.
    fn certain(&self, open: bool) -> Vec<Joined<'a>> {
        let mut named: Vec<Joined<'a>> = self.left.names().map(|name| (name.to_owned(), self.sources(name))).collect();
        for (_, field) in self.right.fields() {
            let (name, given) = self.renamed(&field.name);
            let certain = !field.optional && (given.is_empty() || name == self.prefixed(&field.name));
            if (!open || certain || name == field.name) && !named.iter().any(|(other, _)| *other == name) {
                let sources = self.sources(&name);
                named.push((name, sources));
            }
        }
        named
    }

    /// Gives each other field of the right a name of its own. Returns those that don't become fields.
    fn place_others(&self, open: bool, named: &mut Vec<Joined<'a>>) -> Vec<(Value, Candidate)> {
        let mut moved = Vec::new();
        for (slot, field) in self.right.fields() {
            let (mut name, given) = self.renamed(&field.name);
            let take = Candidate { slot: self.left.width() + slot, given, filled: false };
            if let Some((_, sources)) = named.iter().find(|(other, _)| *other == name) {
                if field.optional || sources.iter().any(|source| source.take == take) {
                    continue;
                }
                // Another field has this name, so this one gets a longer name rather than being lost.
                while named.iter().any(|(other, _)| *other == name) {
                    name = self.prefixed(&name);
                }
            }
            // Names that depend on the row, and that nothing asks for, do not become fields: in a sequence of joins
            // their number would grow without bound.
            if open && (field.optional || !take.given.is_empty()) {
                moved.push((Value::string(name), take));
            } else {
                named.push((name, vec![Source { field, take }]));
            }
        }
        moved
    }

    fn prefixed(&self, name: &str) -> String {
        format!("{}_{name}", self.with)
    }

    /// The name of a right field if the left has all the fields it may have, and the slots that must be there for
    /// that name to apply.
    fn renamed(&self, name: &str) -> (String, Vec<usize>) {
        let (mut name, mut given) = (name.to_owned(), Vec::new());
        while self.left.slot(&name).is_some() {
            given.extend(self.given(&name));
            name = self.prefixed(&name);
        }
        (name, given)
    }

    /// The slot of the left that shows whether a row has this field, or `None` if that is known in advance.
    fn given(&self, name: &str) -> Option<usize> {
        self.left.slot(name).filter(|_| !self.left.declares(name) && !(self.stated)(name))
    }

    /// The fields that the name may denote in a row, in order of precedence.
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
        // The name denotes a field of the right where the left has no such field.
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

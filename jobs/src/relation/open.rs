//! Open rows: those of sources that give no schema, whose fields nobody knows before they come.
//!
//! The job is planned with what it names: each name that is asked of an open stream becomes a field of the sources it comes from, one that a
//! row may lack, and what nobody asks for travels in the rest. So every stage finds names in the schema of its input and nowhere else.
//! Planning itself tells what is asked: it is done again for as long as it asks for more.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_rows::Schema;

/// Where the fields of an open stream come from.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Origin {
    sources: BTreeSet<String>,
    /// What names may have got in front of them in joins.
    prefixes: BTreeSet<String>,
}

impl Origin {
    /// Of this source alone.
    pub(crate) fn source(name: &str) -> Self {
        Self { sources: BTreeSet::from([name.to_owned()]), prefixes: BTreeSet::new() }
    }

    /// Of both.
    pub(crate) fn and(mut self, other: &Self) -> Self {
        self.sources.extend(other.sources.iter().cloned());
        self.prefixes.extend(other.prefixes.iter().cloned());
        self
    }

    /// Of a join with what is called so.
    pub(crate) fn joined_with(mut self, with: &str) -> Self {
        if !self.sources.is_empty() {
            self.prefixes.insert(format!("{with}_"));
        }
        self
    }

    /// The name, and what it is in the sources if it got a prefix on the way.
    fn names<'n>(&self, name: &'n str) -> BTreeSet<&'n str> {
        let (mut all, mut new) = (BTreeSet::new(), vec![name]);
        while let Some(name) = new.pop() {
            if all.insert(name) {
                new.extend(self.prefixes.iter().filter_map(|prefix| name.strip_prefix(prefix.as_str())).filter(|name| !name.is_empty()));
            }
        }
        all
    }
}

/// Why a field is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Why {
    /// Another stream has it, and one name must mean one field where they meet.
    Met,
    /// The job says it.
    Named,
}

/// The fields that are asked of each open source.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Asked(BTreeMap<String, BTreeMap<String, Why>>);

impl Asked {
    /// The fields asked of a source.
    pub(crate) fn of(&self, source: &str) -> impl Iterator<Item = &str> {
        self.0.get(source).into_iter().flatten().map(|(name, _)| name.as_str())
    }

    /// Does the job say this name of what comes from there?
    pub(crate) fn is_named(&self, origin: &Origin, name: &str) -> bool {
        origin.sources.iter().any(|source| self.0.get(source).and_then(|asked| asked.get(name)) == Some(&Why::Named))
    }

    /// The job says these names of a stream.
    pub(crate) fn name(&mut self, origin: &Origin, names: &[String]) {
        names.iter().for_each(|name| self.ask(origin, name, Why::Named));
    }

    /// Rows of these streams become rows of one. What one of them has must not be in the rest of another.
    pub(crate) fn meet(&mut self, streams: &[(&Schema, &Origin)]) {
        for (open, origin) in streams.iter().filter(|(schema, _)| schema.rest().is_some()) {
            let others = streams.iter().filter(|(schema, _)| !std::ptr::eq(*schema, *open));
            others.flat_map(|(schema, _)| schema.names()).for_each(|name| self.ask(origin, name, Why::Met));
        }
    }

    /// As [`Asked::meet`], for a join of two sides, of which the second is called `with`.
    pub(crate) fn meet_in_join(&mut self, sides: [(&Schema, &Origin); 2], with: &str) {
        let [_, (right, _)] = sides;
        for (_, origin) in sides.iter().filter(|(schema, _)| schema.rest().is_some()) {
            let origin = (*origin).clone().joined_with(with);
            sides.iter().flat_map(|(schema, _)| schema.names()).for_each(|name| self.ask(&origin, name, Why::Met));
            // What the right is sure to have may get this name. What it may have does not get one that nobody asks for, so there is an end to the names.
            for (_, field) in right.fields().filter(|(_, field)| !field.optional) {
                self.ask(&origin, &format!("{with}_{}", field.name), Why::Met);
            }
        }
    }

    fn ask(&mut self, origin: &Origin, name: &str, why: Why) {
        for source in &origin.sources {
            let asked = self.0.entry(source.clone()).or_default();
            for name in origin.names(name) {
                let known = asked.entry(name.to_owned()).or_insert(why);
                *known = why.max(*known);
            }
        }
    }
}

//! Open rows: rows of sources without a schema, whose fields are unknown until they arrive.
//!
//! A job is planned from the names it uses. Each name asked of an open stream becomes an optional field of the
//! sources it comes from, and everything else travels in the rest. So every stage finds all its names in the schema
//! of its input. Planning itself discovers which names are asked for, and is repeated until no more are added.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_rows::Schema;

/// Where the fields of an open stream come from.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Origin {
    sources: BTreeSet<String>,
    /// The prefixes that joins may have added to names.
    prefixes: BTreeSet<String>,
}

impl Origin {
    /// The origin of a single source's fields.
    pub(crate) fn source(name: &str) -> Self {
        Self { sources: BTreeSet::from([name.to_owned()]), prefixes: BTreeSet::new() }
    }

    /// The combined origin of both.
    pub(crate) fn and(mut self, other: &Self) -> Self {
        self.sources.extend(other.sources.iter().cloned());
        self.prefixes.extend(other.prefixes.iter().cloned());
        self
    }

    /// The origin after a join with `with`.
    pub(crate) fn joined_with(mut self, with: &str) -> Self {
        if !self.sources.is_empty() {
            self.prefixes.insert(format!("{with}_"));
        }
        self
    }

    /// The name, and the names it may have had in the sources before joins added prefixes.
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
    /// Another stream has it, and a name must mean one field where they meet.
    Met,
    /// The job uses the name.
    Named,
}

/// The fields asked of each open source.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Asked(BTreeMap<String, BTreeMap<String, Why>>);

impl Asked {
    /// The fields asked of `source`.
    pub(crate) fn of(&self, source: &str) -> impl Iterator<Item = &str> {
        self.0.get(source).into_iter().flatten().map(|(name, _)| name.as_str())
    }

    /// Whether the job uses this name for a field from this origin.
    pub(crate) fn is_named(&self, origin: &Origin, name: &str) -> bool {
        origin.sources.iter().any(|source| self.0.get(source).and_then(|asked| asked.get(name)) == Some(&Why::Named))
    }

    /// Records that the job uses these names of a stream.
    pub(crate) fn name(&mut self, origin: &Origin, names: &[String]) {
        names.iter().for_each(|name| self.ask(origin, name, Why::Named));
    }

    /// Records that rows of these streams become rows of one. A field of one must not hide in the rest of another.
    pub(crate) fn meet(&mut self, streams: &[(&Schema, &Origin)]) {
        for (open, origin) in streams.iter().filter(|(schema, _)| schema.rest().is_some()) {
            let others = streams.iter().filter(|(schema, _)| !std::ptr::eq(*schema, *open));
            others.flat_map(|(schema, _)| schema.names()).for_each(|name| self.ask(origin, name, Why::Met));
        }
    }

    /// Like [`Asked::meet`], for the two sides of a join; `with` is the name of the second.
    pub(crate) fn meet_in_join(&mut self, sides: [(&Schema, &Origin); 2], with: &str) {
        let [_, (right, _)] = sides;
        for (_, origin) in sides.iter().filter(|(schema, _)| schema.rest().is_some()) {
            let origin = (*origin).clone().joined_with(with);
            sides.iter().flat_map(|(schema, _)| schema.names()).for_each(|name| self.ask(&origin, name, Why::Met));
            // A certain field of the right may be given this name. An optional one is not, unless something asks for
            // it, so that the set of names stays finite.
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

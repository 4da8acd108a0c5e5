//! The keys of mappings. The check for unknown keys and the printed reference both use these tables.

use std::fmt::Write as _;

use super::not_yet;

/// A key: its name, the type of its value, its default (empty if it is required) and what it does.
#[derive(Clone, Copy)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    ty: Type,
    default: &'static str,
    about: &'static str,
}

impl Key {
    /// Its name with the type of its value.
    pub(crate) fn in_words(&self) -> String {
        format!("{}: {}", self.name, self.ty.text())
    }
}

/// The type of a value, for people.
#[derive(Clone, Copy)]
enum Type {
    Is(&'static str),
    /// It follows from what there is, such as the connectors of this build.
    Of(fn() -> String),
}

impl Type {
    fn text(self) -> String {
        match self {
            Self::Is(text) => text.to_owned(),
            Self::Of(text) => text(),
        }
    }
}

/// The keys of one kind of mapping.
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) keys: &'static [Key],
}

pub(crate) const fn key(name: &'static str, ty: &'static str, default: &'static str, about: &'static str) -> Key {
    Key { name, ty: Type::Is(ty), default, about }
}

/// A key whose type follows from what there is.
pub(crate) const fn key_of(name: &'static str, ty: fn() -> String, default: &'static str, about: &'static str) -> Key {
    Key { name, ty: Type::Of(ty), default, about }
}

/// These tables as Markdown: for each mapping, the name, type, default and meaning of each key. Keys that this
/// version does not support yet are left out.
pub(crate) fn reference<'t>(tables: impl IntoIterator<Item = &'t Table>) -> String {
    let (mut text, mut title) = (String::new(), "");
    for table in tables {
        let mut keys = table.keys.iter().filter(|key| not_yet::missing(table.name, key.name).is_none()).peekable();
        if keys.peek().is_none() {
            continue;
        }
        if title == table.title {
            // More keys of the same mapping.
            text.truncate(text.trim_end().len() + 1);
        } else {
            let _ = writeln!(text, "## {}\n\n| key | value | default | meaning |\n| --- | --- | --- | --- |", table.title);
        }
        title = table.title;
        for key in keys {
            let bars = |cell: &str| cell.replace('|', "\\|");
            let default = if key.default.is_empty() { "required" } else { key.default };
            let _ = writeln!(text, "| `{}` | {} | {} | {} |", key.name, bars(&key.ty.text()), bars(default), bars(key.about));
        }
        text.push('\n');
    }
    text
}

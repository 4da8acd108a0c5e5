//! The keys of mappings. The check for unknown keys and the printed reference both use these tables.

use std::fmt::Write as _;

use super::not_yet;

/// A key: its name, the type of its value, its default (empty if it is required) and what it does.
#[derive(Clone, Copy)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    ty: &'static str,
    default: &'static str,
    about: &'static str,
}

/// The keys of one kind of mapping.
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) keys: &'static [Key],
}

pub(crate) const fn key(name: &'static str, ty: &'static str, default: &'static str, about: &'static str) -> Key {
    Key { name, ty, default, about }
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
            let _ = writeln!(text, "| `{}` | {} | {} | {} |", key.name, bars(key.ty), bars(default), bars(key.about));
        }
        text.push('\n');
    }
    text
}

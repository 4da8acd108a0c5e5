//! Reasons: text with values in it, such as `{n} failed logins`.

use tidegate_expr::{Problem, nearest, plain};
use tidegate_rows::Row;

use crate::compile::{Named, Source};

/// A text with values in it.
#[derive(Clone, Debug)]
pub(crate) struct Template(Vec<Part>);

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Value(Source),
}

impl Template {
    /// Compiles a text. `{name}` stands for a value, and `{{` and `}}` for braces.
    pub fn compile(text: &str, find: impl Fn(&str) -> Option<Named>, names: &[&str]) -> Result<Self, Problem> {
        let wrong = |span, message: &str| Problem { span, message: message.to_owned(), nearest: None, constant: false };
        let (mut parts, mut literal) = (Vec::new(), String::new());
        let mut rest = text;
        while let Some(brace) = rest.find(['{', '}']) {
            let at = text.len() - rest.len() + brace;
            let (before, from) = rest.split_at(brace);
            literal.push_str(before);
            if let Some(after) = from.strip_prefix("{{").or_else(|| from.strip_prefix("}}")) {
                literal.push_str(&from[..1]);
                rest = after;
                continue;
            }
            let Some((name, after)) = from.strip_prefix('{').and_then(|inner| inner.split_once('}')) else {
                return Err(wrong(at..at + 1, "a single brace: `{name}` stands for a value, `{{` and `}}` for braces"));
            };
            let Some(found) = find(name.trim()) else {
                let nearest = nearest(name.trim(), names.iter().copied());
                return Err(Problem { nearest, ..wrong(at + 1..at + 1 + name.len(), &format!("unknown field `{}`", name.trim())) });
            };
            if !literal.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut literal)));
            }
            parts.push(Part::Value(found.source));
            rest = after;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Ok(Self(parts))
    }

    /// The text for a row.
    pub fn fill(&self, row: &Row) -> String {
        self.0.iter().fold(String::new(), |mut text, part| {
            match part {
                Part::Text(literal) => text.push_str(literal),
                Part::Value(source) => text.push_str(&plain(source.value(row))),
            }
            text
        })
    }
}

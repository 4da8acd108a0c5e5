//! Reasons: text with values in it, such as `{n} failed logins`.

use tidegate_expr::{Problem, nearest, plain};
use tidegate_rows::Row;
use tidegate_rows::format::{TextPart, template};

use crate::compile::{Named, Source};

/// A text with values in it.
#[derive(Clone, Debug)]
pub(crate) struct Template(Vec<TextPart<Source>>);

impl Template {
    /// Compiles a text. `{name}` stands for a value, and `{{` and `}}` for braces. `names` are those that `find` knows.
    pub fn compile(text: &str, mut find: impl FnMut(&str) -> Option<Named>, names: &[&str]) -> Result<Self, Problem> {
        let wrong = |span, message: &str| Problem { span, message: message.to_owned(), nearest: None, constant: false };
        let single = "a single brace: `{name}` stands for a value, `{{` and `}}` for braces";
        let parts = template(text).map_err(|at| wrong(at..at + 1, single))?;
        let compiled = parts.into_iter().map(|part| match part {
            TextPart::Literal(literal) => Ok(TextPart::Literal(literal)),
            TextPart::Field(place) => {
                let name = text[place.clone()].trim();
                let unknown = || Problem {
                    nearest: nearest(name, names.iter().copied()),
                    ..wrong(place.clone(), &format!("unknown field `{name}`"))
                };
                find(name).map(|found| TextPart::Field(found.source)).ok_or_else(unknown)
            }
        });
        compiled.collect::<Result<_, _>>().map(Self)
    }

    /// The text for a row.
    pub fn fill(&self, row: &Row) -> String {
        self.0.iter().fold(String::new(), |mut text, part| {
            match part {
                TextPart::Literal(literal) => text.push_str(literal),
                TextPart::Field(source) => text.push_str(&plain(source.value(row))),
            }
            text
        })
    }
}

//! Templates: text with fields in it, such as `{user}: {n}`.

use tidegate_rows::Schema;
use tidegate_rows::format::{self, TextPart};

use crate::text::{Problem, Spanned};
use crate::yaml::{Node, Reader, is_name};

/// A template whose fields are still names.
pub(crate) type Template = Vec<TextPart<Spanned<String>>>;

/// Reads a template. A bare name is a field. In any other text, `{name}` is a field, and `{{` and `}}` are braces.
pub(crate) fn read(reader: &mut Reader, node: &Node) -> Option<Template> {
    let text = reader.text(node, "a field or a template such as `{user}: {n}`")?;
    if is_name(&text.value) {
        return Some(vec![TextPart::Field(text)]);
    }
    let parts = match format::template(&text.value) {
        Ok(parts) => parts,
        Err(at) => {
            reader.push(text.problem_at(at..at + 1, "a single brace: `{field}` stands for a field, `{{` and `}}` for braces"));
            return None;
        }
    };
    let mut named = Vec::with_capacity(parts.len());
    for part in parts {
        named.push(match part {
            TextPart::Literal(literal) => TextPart::Literal(literal),
            TextPart::Field(place) => {
                let name = text.value[place.clone()].trim();
                if name.is_empty() || name.contains('{') {
                    reader.push(text.problem_at(place.start - 1..place.end + 1, format!("`{name}` is no field")));
                    return None;
                }
                TextPart::Field(Spanned::new(name.to_owned(), text.part(place)))
            }
        });
    }
    Some(named)
}

/// The names of the fields in a template.
pub(crate) fn names(template: &Template) -> impl Iterator<Item = String> {
    template.iter().filter_map(|part| if let TextPart::Field(field) = part { Some(field.value.clone()) } else { None })
}

/// Resolves the fields of a template to slots of the sink's records.
///
/// # Errors
/// The fields that the records don't have.
pub(crate) fn over(template: &Template, schema: &Schema) -> Result<Vec<TextPart>, Vec<Problem>> {
    resolved(template, |name| {
        let unknown = || name.problem(format!("no field `{}` in what this sink writes", name.value)).near(&name.value, schema.names());
        schema.slot(&name.value).ok_or_else(unknown)
    })
}

/// Resolves each field of a template by `slot`.
///
/// # Errors
/// The problems of all fields that can't be resolved.
pub(crate) fn resolved(
    template: &Template,
    mut slot: impl FnMut(&Spanned<String>) -> Result<usize, Problem>,
) -> Result<Vec<TextPart>, Vec<Problem>> {
    let (mut parts, mut problems) = (Vec::new(), Vec::new());
    for part in template {
        match part {
            TextPart::Literal(text) => parts.push(TextPart::Literal(text.clone())),
            TextPart::Field(name) => match slot(name) {
                Ok(slot) => parts.push(TextPart::Field(slot)),
                Err(problem) => problems.push(problem),
            },
        }
    }
    if problems.is_empty() { Ok(parts) } else { Err(problems) }
}

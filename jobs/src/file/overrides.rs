//! Keys set from outside the file: `--set sources.logins.path=x`.

use std::str::FromStr;
use std::sync::Arc;

use crate::text::Problem;
use crate::text::{Source, Span, Spanned};
use crate::yaml::{self, Entry, Node, Value};

/// A path to a key, and the YAML value to set. Dots separate the steps of the path. A step that contains dots is put in double quotes, and a
/// step into a list is an index from 0. Under the `options` of a source or sink, the remaining steps form one name, such as `sasl.password`.
///
/// ```
/// use tidegate_jobs::file::Override;
/// let set: Override = "sources.logins.path=data/today.csv".parse().unwrap();
/// assert!("sources.logins.path".parse::<Override>().is_err());
/// ```
#[derive(Clone, Debug)]
pub struct Override {
    path: Vec<Spanned<String>>,
    value: Node,
}

impl FromStr for Override {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        let source = Source::new(None, text);
        let (path, after) = steps(&source, "key.path=value", &['.', '='])?;
        match text.get(after..).and_then(|rest| rest.chars().next()) {
            Some('=') => Self::with_value(&source, path, after + 1),
            _ => Err(source.span(0..text.len()).problem("expected `key.path=value`: there is no `=`")),
        }
    }
}

/// The steps of a path that is the whole text.
pub(crate) fn path_steps(source: &Arc<Source>) -> Result<Vec<Spanned<String>>, Problem> {
    let (path, after) = steps(source, "key.path", &['.'])?;
    match source.text.get(after..) {
        Some("") => Ok(path),
        _ => Err(source.span(after..source.text.len()).problem("expected a dot, or the end of the path")),
    }
}

/// Splits the path at the beginning of a text, up to one of `ends` that is not a dot. Returns the offset after it, too.
fn steps(source: &Arc<Source>, form: &str, ends: &[char]) -> Result<(Vec<Spanned<String>>, usize), Problem> {
    let text = source.text.as_str();
    let mut path = Vec::new();
    let mut at = 0;
    loop {
        let rest = text.get(at..).unwrap_or_default();
        let (start, length, after) = match rest.strip_prefix('"') {
            Some(quoted) => {
                let length = quoted.find('"').ok_or_else(|| source.span(at..text.len()).problem("a quote that is not closed"))?;
                (at + 1, length, at + length + 2)
            }
            None => {
                let length = rest.find(ends).unwrap_or(rest.len());
                (at, length, at + length)
            }
        };
        let step = text.get(start..start + length).unwrap_or_default();
        let span = source.span(start..start + length);
        if step.is_empty() {
            return Err(span.problem(format!("expected `{form}`: a step of the path is empty")));
        }
        if path.len() == yaml::MAX_DEPTH {
            return Err(span.problem(format!("a path of more than {} steps", yaml::MAX_DEPTH)));
        }
        path.push(Spanned::new(step.to_owned(), span));
        match text.get(after..).and_then(|rest| rest.chars().next()) {
            Some('.') => at = after + 1,
            _ => return Ok((path, after)),
        }
    }
}

impl Override {
    fn with_value(source: &Arc<Source>, path: Vec<Spanned<String>>, at: usize) -> Result<Self, Problem> {
        let path = with_option(source, path);
        let mut problems = Vec::new();
        let value = yaml::parse(source, at, &mut problems);
        match problems.into_iter().next() {
            Some(problem) => Err(problem),
            None => Ok(Self { path, value: value.unwrap_or_else(|| null(source.span(at..at))) }),
        }
    }

    /// Sets the value in the tree, adding missing mappings on the way.
    pub(crate) fn apply(&self, root: &mut Node) -> Result<(), Problem> {
        set_at(root, &self.path, self.value.clone())
    }
}

/// Sets the value at a path, adding missing mappings on the way.
pub(crate) fn set_at(root: &mut Node, path: &[Spanned<String>], value: Node) -> Result<(), Problem> {
    let mut node = root;
    for (depth, step) in path.iter().enumerate() {
        if node.is_null() {
            *node = Node { span: step.span.clone(), value: Value::Map(Vec::new()) };
        }
        node = match &mut node.value {
            Value::Map(entries) => {
                let found = entries.iter().position(|entry| entry.key == *step);
                let at = found.unwrap_or(entries.len());
                if found.is_none() {
                    entries.push(Entry { key: step.clone(), plain: false, value: null(step.span.clone()) });
                }
                match entries.get_mut(at) {
                    Some(entry) => &mut entry.value,
                    None => return Ok(()),
                }
            }
            Value::List(items) => {
                let length = items.len();
                let item = step.value.parse::<usize>().ok().and_then(|at| items.get_mut(at));
                item.ok_or_else(|| step.problem(format!("`{}` is no place in a list of {length}", step.value)))?
            }
            Value::Scalar { .. } => {
                let above: Vec<&str> = path.iter().take(depth).map(Spanned::as_str).collect();
                return Err(step.problem(format!("`{}` is a single value, no mapping to set `{}` in", above.join("."), step.value)));
            }
        };
    }
    *node = value;
    Ok(())
}

/// Removes what is at a path. Returns whether there was something.
pub(crate) fn remove_at(root: &mut Node, path: &[Spanned<String>]) -> bool {
    let Some((last, above)) = path.split_last() else { return false };
    let mut node = root;
    for step in above {
        let below = match &mut node.value {
            Value::Map(entries) => entries.iter_mut().find(|entry| entry.key == *step).map(|entry| &mut entry.value),
            Value::List(items) => step.value.parse::<usize>().ok().and_then(|at| items.get_mut(at)),
            Value::Scalar { .. } => None,
        };
        match below {
            Some(below) => node = below,
            None => return false,
        }
    }
    match &mut node.value {
        Value::Map(entries) => {
            let before = entries.len();
            entries.retain(|entry| entry.key != *last);
            entries.len() < before
        }
        Value::List(items) => match last.value.parse::<usize>() {
            Ok(at) if at < items.len() => {
                items.remove(at);
                true
            }
            _ => false,
        },
        Value::Scalar { .. } => false,
    }
}

/// Joins the steps under `options`: names of options contain dots, and nothing is below them.
fn with_option(source: &Arc<Source>, mut path: Vec<Spanned<String>>) -> Vec<Spanned<String>> {
    let [part, _, options, first, .., last] = path.as_slice() else { return path };
    if matches!(part.as_str(), "sources" | "sinks") && options.as_str() == "options" {
        let span = source.span(first.span.range().start..last.span.range().end);
        let name: Vec<String> = path.drain(3..).map(|step| step.value).collect();
        path.push(Spanned::new(name.join("."), span));
    }
    path
}

fn null(span: Span) -> Node {
    Node { span, value: Value::Scalar { text: String::new(), plain: true } }
}

//! The shape of a pattern: its steps, with conditions of any type.

use std::sync::Arc;

use serde_json::Value as Json;
use tidegate_cep::pattern::{Alternative, Body};
use tidegate_cep::{Pattern as Shape, Step};

use super::Pattern;
use crate::text::Spanned;

/// The names of the steps that take events, in the order of the file.
pub(super) fn taking<C>(steps: &[Step<C>]) -> Vec<Arc<str>> {
    let mut names = Vec::new();
    for step in steps {
        match step.inside() {
            Some(inside) => names.extend(taking(inside)),
            None if step.contiguity.is_not() => {}
            None => names.extend(step.names().cloned()),
        }
    }
    names
}

/// The texts of a pattern's conditions.
pub(crate) fn texts(pattern: &Pattern) -> Vec<String> {
    let mut texts = Vec::new();
    with(&pattern.shape, &mut |text: &Spanned<String>| {
        texts.push(text.value.clone());
        Some(())
    });
    texts
}

/// The same pattern with its conditions mapped by `f`.
pub(super) fn with<A, B>(pattern: &Shape<A>, f: &mut dyn FnMut(&A) -> Option<B>) -> Shape<B> {
    let mut made = Shape::new(steps_with(&pattern.steps, f));
    made.within = pattern.within;
    made.after_match = pattern.after_match.clone();
    made
}

fn steps_with<A, B>(steps: &[Step<A>], f: &mut dyn FnMut(&A) -> Option<B>) -> Vec<Step<B>> {
    let mut made = Vec::with_capacity(steps.len());
    for step in steps {
        let body = match &step.body {
            Body::Event(condition) => Body::Event(condition.as_ref().and_then(&mut *f)),
            Body::AnyOf(kinds) => {
                let mut kind = |kind: &Alternative<A>| Alternative {
                    name: Arc::clone(&kind.name),
                    condition: kind.condition.as_ref().and_then(&mut *f),
                };
                Body::AnyOf(kinds.iter().map(&mut kind).collect())
            }
            Body::Group(inside) => Body::Group(steps_with(inside, f)),
        };
        made.push(Step {
            name: Arc::clone(&step.name),
            body,
            contiguity: step.contiguity,
            times: step.times,
            optional: step.optional,
            greedy: step.greedy,
            inner: step.inner,
            until: step.until.as_ref().and_then(&mut *f),
            within: step.within,
        });
    }
    made
}

/// A description of a pattern's steps without their conditions. The state depends on it: a partial match is at one of these steps.
pub(crate) fn form(pattern: &Shape<Spanned<String>>) -> String {
    fn steps<C>(of: &[Step<C>]) -> String {
        of.iter().map(step).collect::<Vec<_>>().join(", ")
    }
    fn step<C>(step: &Step<C>) -> String {
        let body = match &step.body {
            Body::Event(_) => step.name.to_string(),
            Body::AnyOf(kinds) => format!("any of ({})", kinds.iter().map(|kind| kind.name.to_string()).collect::<Vec<_>>().join(", ")),
            Body::Group(inside) => format!("({})", steps(inside)),
        };
        let said = |what: &str, value: Result<Json, serde_json::Error>| match value {
            Ok(Json::Null | Json::Bool(false)) | Err(_) => String::new(),
            Ok(Json::Bool(true)) => format!(" {what}"),
            Ok(Json::String(word)) => format!(" {word}"),
            Ok(Json::Object(parts)) => {
                let parts = parts.iter().filter(|(_, part)| !part.is_null()).map(|(name, part)| format!("{name} {part}"));
                format!(" {what} {}", parts.collect::<Vec<_>>().join(" "))
            }
            Ok(value) => format!(" {what} {value}"),
        };
        let contiguity =
            serde_json::to_value(step.contiguity).ok().and_then(|word| Some(word.as_str()?.replace('_', " "))).unwrap_or_default();
        let inner = if step.times.is_some() { said("", serde_json::to_value(step.inner)) } else { String::new() };
        let until = if step.until.is_some() { " until" } else { "" };
        let (times, within) = (said("times", serde_json::to_value(step.times)), said("within", serde_json::to_value(step.within)));
        let (optional, greedy) = (said("optional", Ok(step.optional.into())), said("greedy", Ok(step.greedy.into())));
        format!("{contiguity} {body}{times}{inner}{optional}{greedy}{until}{within}")
    }
    format!("the steps {}", steps(&pattern.steps))
}

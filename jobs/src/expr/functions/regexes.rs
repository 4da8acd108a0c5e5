//! `matches` and extraction by regular expression. The engine is linear in the text, so no pattern can hang a job.

use std::cell::RefCell;

use regex::{Regex, RegexBuilder};
use tidegate_connectors::row::Value;

use super::{Function, Outcome, Style, T, no_match};
use crate::expr::error::EvalError;
use crate::expr::val::Val;

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "matches",
        style: Style::Either,
        overloads: &[(&[T::String, T::String], T::Bool)],
        call: matches,
        doc: "Does the regular expression match anywhere in the text?",
        examples: &[("'abc'.matches('^a.c$')", "true")],
    },
    Function {
        name: "regex.extract",
        style: Style::Global,
        overloads: &[(&[T::String, T::String], T::Optional(&T::String))],
        call: extract,
        doc: "What the regular expression matches first, or its group if it has one.",
        examples: &[("regex.extract('id=42', 'id=([0-9]+)')", "optional.of('42')")],
    },
];

/// The memory a compiled pattern may take.
pub(in crate::expr) const SIZE: usize = 1 << 20;
/// The patterns remembered per thread, for those that are not constant.
const REMEMBERED: usize = 64;

thread_local! {
    static PATTERNS: RefCell<hashbrown::HashMap<String, Regex, foldhash::fast::FixedState>> = RefCell::default();
}

/// Compiles a pattern; the error is one phrase.
pub(in crate::expr) fn compile(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern).size_limit(SIZE).dfa_size_limit(SIZE).build().map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "the regular expression is too large".into(),
        other => {
            // The last line of the engine's report says what is wrong; those before draw the pattern.
            let text = other.to_string();
            let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
            format!("invalid regular expression: {reason}")
        }
    })
}

/// The compiled form of a pattern that is only known now.
fn remembered(pattern: &str) -> Result<Regex, EvalError> {
    PATTERNS.with_borrow_mut(|patterns| {
        if let Some(regex) = patterns.get(pattern) {
            return Ok(regex.clone());
        }
        let regex = compile(pattern).map_err(EvalError::message)?;
        if patterns.len() >= REMEMBERED {
            patterns.clear();
        }
        patterns.insert(pattern.to_owned(), regex.clone());
        Ok(regex)
    })
}

fn matches(args: &[Val<'_>]) -> Outcome {
    match args {
        [text, pattern] => match (text.data(), pattern.data()) {
            (Some(Value::String(text)), Some(Value::String(pattern))) => Ok(Val::bool(remembered(pattern)?.is_match(text))),
            _ => no_match(),
        },
        _ => no_match(),
    }
}

/// The first group of the first match, or the match if the pattern has no group.
fn extract(args: &[Val<'_>]) -> Outcome {
    match args {
        [text, pattern] => match (text.data(), pattern.data()) {
            (Some(Value::String(text)), Some(Value::String(pattern))) => {
                let regex = remembered(pattern)?;
                let captures = regex.captures(text);
                let found = captures.as_ref().and_then(|c| if c.len() > 1 { c.get(1) } else { c.get(0) });
                Ok(found.map_or(Val::Optional(None), |m| Val::some(Val::text(m.as_str()))))
            }
            _ => no_match(),
        },
        _ => no_match(),
    }
}

//! `matches` and extraction by regular expression. The engine runs in time linear in the text, so no pattern can hang
//! a job.

use std::cell::RefCell;

use regex::{Captures, Regex, RegexBuilder};
use tidegate_rows::Value;

use super::{Function, Outcome, Style, T, no_match};
use crate::arith::{bounded_list, bounded_text};
use crate::error::EvalError;
use crate::val::Val;

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "matches",
        style: Style::Either,
        overloads: &[(&[T::String, T::String], T::Bool)],
        call: matches,
        doc: "Whether the regular expression matches anywhere in the text.",
        examples: &[("'abc'.matches('^a.c$')", "true")],
    },
    Function {
        name: "regex.extract",
        style: Style::Global,
        overloads: &[(&[T::String, T::String], T::Optional(&T::String))],
        call: extract,
        doc: "The first match of the regular expression, or what its group matches there if it has one.",
        examples: &[("regex.extract('id=42', 'id=([0-9]+)')", "optional.of('42')")],
    },
    Function {
        name: "regex.extractAll",
        style: Style::Global,
        overloads: &[(&[T::String, T::String], T::List(&T::String))],
        call: extract_all,
        doc: "All matches of the regular expression, or what its group matches in each if it has one.",
        examples: &[("regex.extractAll('a=1, b=2', '[a-z]=([0-9])')", "['1', '2']")],
    },
    Function {
        name: "regex.replace",
        style: Style::Global,
        overloads: &[(&[T::String, T::String, T::String], T::String), (&[T::String, T::String, T::String, T::Int], T::String)],
        call: replace,
        doc: "The text with all matches of the regular expression replaced, or at most a given number of them; `\\1` stands for the first group, `\\0` for the match.",
        examples: &[
            (r"regex.replace('ann smith', '([a-z]+) ([a-z]+)', r'\2, \1')", "'smith, ann'"),
            ("regex.replace('aaa', 'a', 'b', 2)", "'bba'"),
        ],
    },
];

/// The maximum memory of a compiled pattern, in bytes.
pub(crate) const SIZE: usize = 1 << 20;
/// The number of non-constant patterns cached per thread.
const REMEMBERED: usize = 64;

thread_local! {
    static PATTERNS: RefCell<hashbrown::HashMap<String, Regex, foldhash::fast::FixedState>> = RefCell::default();
}

/// Compiles a pattern. The error is a phrase.
pub(crate) fn compile(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(&ascii(pattern)).size_limit(SIZE).dfa_size_limit(SIZE).build().map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "the regular expression is too large".into(),
        other => {
            // The last line of the engine's report has the reason; the lines before it draw the pattern.
            let text = other.to_string();
            let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
            format!("invalid regular expression: {reason}")
        }
    })
}

/// Converts a pattern to RE2 semantics: `\w`, `\d`, `\s` and `\b` are ASCII only, everything else is Unicode.
fn ascii(pattern: &str) -> String {
    let mut result = String::with_capacity(pattern.len());
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        let class = match c {
            '\\' => chars.next(),
            c => {
                result.push(c);
                continue;
            }
        };
        match class {
            Some('w') => result.push_str("[0-9A-Za-z_]"),
            Some('W') => result.push_str("[^0-9A-Za-z_]"),
            Some('d') => result.push_str("[0-9]"),
            Some('D') => result.push_str("[^0-9]"),
            Some('s') => result.push_str(r"[\t\n\f\r ]"),
            Some('S') => result.push_str(r"[^\t\n\f\r ]"),
            Some('b') => result.push_str(r"(?-u:\b)"),
            Some('B') => result.push_str(r"(?-u:\B)"),
            other => {
                result.push('\\');
                result.extend(other);
            }
        }
    }
    result
}

/// The compiled form of a pattern that is not constant, from the cache.
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

fn extract_all(args: &[Val<'_>]) -> Outcome {
    match args {
        [text, pattern] => match (text.data(), pattern.data()) {
            (Some(Value::String(text)), Some(Value::String(pattern))) => {
                let regex = remembered(pattern)?;
                let group = usize::from(regex.captures_len() > 1);
                let found = regex.captures_iter(text).filter_map(|c| c.get(group)).map(|m| Val::text(m.as_str())).collect::<Vec<_>>();
                bounded_list(found.len())?;
                Ok(Val::list(found))
            }
            _ => no_match(),
        },
        _ => no_match(),
    }
}

fn replace(args: &[Val<'_>]) -> Outcome {
    let text = |i: usize| match args.get(i).and_then(Val::data) {
        Some(Value::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let limit = match args.get(3).map(Val::data) {
        None => -1,
        Some(Some(Value::Int(limit))) => *limit,
        Some(_) => return no_match(),
    };
    let (Some(source), Some(pattern), Some(with)) = (text(0), text(1), text(2)) else { return no_match() };
    let regex = remembered(pattern)?;
    let mut result = String::with_capacity(source.len());
    let mut end = 0;
    for found in regex.captures_iter(source).take(usize::try_from(limit).unwrap_or(usize::MAX)) {
        let Some(whole) = found.get(0) else { continue };
        result.push_str(&source[end..whole.start()]);
        expand(with, &found, &mut result)?;
        end = whole.end();
        bounded_text(result.len())?;
    }
    result.push_str(&source[end..]);
    Ok(Val::text(result))
}

/// Checks that a replacement is valid for a pattern with this many groups, counting the whole match as one.
pub(crate) fn check_replacement(with: &str, groups: usize) -> Result<(), EvalError> {
    pieces(with, groups, |_| Ok(()))
}

/// Appends a replacement, in which `\1` stands for a group and `\\` for a backslash.
fn expand(with: &str, groups: &Captures<'_>, result: &mut String) -> Result<(), EvalError> {
    pieces(with, groups.len(), |piece| {
        match piece {
            Piece::Char(c) => result.push(c),
            Piece::Group(group) => result.push_str(groups.get(group).map_or("", |m| m.as_str())),
        }
        bounded_text(result.len())
    })
}

/// A part of a replacement.
enum Piece {
    Char(char),
    Group(usize),
}

/// Splits a replacement into pieces.
fn pieces(with: &str, groups: usize, mut each: impl FnMut(Piece) -> Result<(), EvalError>) -> Result<(), EvalError> {
    let mut chars = with.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            each(Piece::Char(c))?;
            continue;
        }
        match chars.next().map(|c| (c, c.to_digit(10))) {
            Some(('\\', _)) => each(Piece::Char('\\'))?,
            Some((_, Some(group))) if (group as usize) < groups => each(Piece::Group(group as usize))?,
            _ => return Err(EvalError::message(format!("`{with}` is no replacement for {} groups", groups - 1))),
        }
    }
    Ok(())
}

/// The first group of the first match, or the whole match if the pattern has no groups.
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

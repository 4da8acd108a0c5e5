//! Text functions. Positions count characters (code points), not bytes.

use compact_str::CompactString;
use tidegate_rows::Value;

use super::{Function, Outcome, Style, T, no_match};
use crate::arith::bounded_text;
use crate::error::EvalError;
use crate::val::Val;

const TEXT_TEST: &[(&[T], T)] = &[(&[T::String, T::String], T::Bool)];
const TEXT_MAP: &[(&[T], T)] = &[(&[T::String], T::String)];
const POSITION: &[(&[T], T)] = &[(&[T::String, T::String], T::Int), (&[T::String, T::String, T::Int], T::Int)];

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "startsWith",
        style: Style::Member,
        overloads: TEXT_TEST,
        call: |a| test(a, |s, p| s.starts_with(p)),
        doc: "Whether the text starts with the other.",
        examples: &[("'abc'.startsWith('ab')", "true")],
    },
    Function {
        name: "endsWith",
        style: Style::Member,
        overloads: TEXT_TEST,
        call: |a| test(a, |s, p| s.ends_with(p)),
        doc: "Whether the text ends with the other.",
        examples: &[("'abc'.endsWith('bc')", "true")],
    },
    Function {
        name: "contains",
        style: Style::Member,
        overloads: TEXT_TEST,
        call: |a| test(a, |s, p| s.contains(p)),
        doc: "Whether the text contains the other.",
        examples: &[("'abc'.contains('b')", "true")],
    },
    Function {
        name: "charAt",
        style: Style::Member,
        overloads: &[(&[T::String, T::Int], T::String)],
        call: char_at,
        doc: "The character at a position; empty at the end.",
        examples: &[("'abc'.charAt(1)", "'b'")],
    },
    Function {
        name: "indexOf",
        style: Style::Member,
        overloads: POSITION,
        call: index_of,
        doc: "The position of the first occurrence, optionally at or after a position; -1 if there is none.",
        examples: &[("'banana'.indexOf('an', 2)", "3")],
    },
    Function {
        name: "lastIndexOf",
        style: Style::Member,
        overloads: POSITION,
        call: last_index_of,
        doc: "The position of the last occurrence, optionally beginning at or before a position; -1 if there is none.",
        examples: &[("'banana'.lastIndexOf('an')", "3")],
    },
    Function {
        name: "lowerAscii",
        style: Style::Member,
        overloads: TEXT_MAP,
        call: |a| map(a, |s| s.to_ascii_lowercase()),
        doc: "The text with A to Z in lower case.",
        examples: &[("'AbC'.lowerAscii()", "'abc'")],
    },
    Function {
        name: "upperAscii",
        style: Style::Member,
        overloads: TEXT_MAP,
        call: |a| map(a, |s| s.to_ascii_uppercase()),
        doc: "The text with a to z in upper case.",
        examples: &[("'AbC'.upperAscii()", "'ABC'")],
    },
    Function {
        name: "trim",
        style: Style::Member,
        overloads: TEXT_MAP,
        call: |a| map(a, |s| s.trim().to_owned()),
        doc: "The text without leading and trailing white space.",
        examples: &[("' a '.trim()", "'a'")],
    },
    Function {
        name: "strings.quote",
        style: Style::Global,
        overloads: TEXT_MAP,
        call: |a| map(a, quote),
        doc: "The text in double quotes with escapes.",
        examples: &[("strings.quote('a')", r#"'"a"'"#)],
    },
    Function {
        name: "replace",
        style: Style::Member,
        overloads: &[(&[T::String, T::String, T::String], T::String), (&[T::String, T::String, T::String, T::Int], T::String)],
        call: replace,
        doc: "The text with all occurrences replaced, or at most a given number of them.",
        examples: &[("'banana'.replace('a', 'o', 2)", "'bonona'")],
    },
    Function {
        name: "split",
        style: Style::Member,
        overloads: &[(&[T::String, T::String], T::List(&T::String)), (&[T::String, T::String, T::Int], T::List(&T::String))],
        call: split,
        doc: "The parts between the separators, optionally limited to a number of parts.",
        examples: &[("'a,b'.split(',')", "['a', 'b']")],
    },
    Function {
        name: "substring",
        style: Style::Member,
        overloads: &[(&[T::String, T::Int], T::String), (&[T::String, T::Int, T::Int], T::String)],
        call: substring,
        doc: "The text from a position, optionally up to, but not including, another.",
        examples: &[("'banana'.substring(1, 3)", "'an'")],
    },
    Function {
        name: "join",
        style: Style::Member,
        overloads: &[(&[T::List(&T::String)], T::String), (&[T::List(&T::String), T::String], T::String)],
        call: join,
        doc: "The elements joined into one text, optionally with a separator between them.",
        examples: &[("['a', 'b'].join('-')", "'a-b'")],
    },
];

fn text<'a>(args: &'a [Val<'_>], index: usize) -> Option<&'a CompactString> {
    match args.get(index).and_then(Val::data) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

/// An optional int argument: `None` if it has another type, `default` if it is missing.
fn int(args: &[Val<'_>], index: usize, default: i64) -> Option<i64> {
    match args.get(index) {
        None => Some(default),
        Some(value) => match value.data() {
            Some(Value::Int(v)) => Some(*v),
            _ => None,
        },
    }
}

fn test(args: &[Val<'_>], test: fn(&str, &str) -> bool) -> Outcome {
    match (text(args, 0), text(args, 1), args.len()) {
        (Some(text), Some(part), 2) => Ok(Val::bool(test(text, part))),
        _ => no_match(),
    }
}

fn map(args: &[Val<'_>], map: fn(&str) -> String) -> Outcome {
    match (text(args, 0), args.len()) {
        (Some(text), 1) => Ok(Val::text(map(text))),
        _ => no_match(),
    }
}

fn out_of_range(index: i64) -> EvalError {
    EvalError::message(format!("index out of range: {index}"))
}

/// The byte offset of the character at `index`, which may be one past the last character.
fn byte_at(text: &str, index: i64) -> Result<usize, EvalError> {
    let wanted = usize::try_from(index).map_err(|_| out_of_range(index))?;
    text.char_indices().map(|(at, _)| at).chain([text.len()]).nth(wanted).ok_or_else(|| out_of_range(index))
}

fn char_at(args: &[Val<'_>]) -> Outcome {
    match (text(args, 0), int(args, 1, -1), args.len()) {
        (Some(text), Some(index), 2) => {
            let rest = &text[byte_at(text, index)?..];
            Ok(Val::text(rest.chars().next().map_or(String::new(), String::from)))
        }
        _ => no_match(),
    }
}

fn index_of(args: &[Val<'_>]) -> Outcome {
    match (text(args, 0), text(args, 1), int(args, 2, 0), args.len()) {
        (Some(text), Some(part), Some(from), 2 | 3) => {
            let start = byte_at(text, from)?;
            let found = text[start..].find(part.as_str());
            Ok(Val::int(found.map_or(-1, |at| text[..start + at].chars().count() as i64)))
        }
        _ => no_match(),
    }
}

fn last_index_of(args: &[Val<'_>]) -> Outcome {
    match (text(args, 0), text(args, 1), int(args, 2, i64::MAX), args.len()) {
        (Some(text), Some(part), Some(last), 2 | 3) => {
            let end = if args.len() == 2 { text.len() } else { byte_at(text, last)? };
            // A match may start at `last` and extend beyond it.
            let reach = text.len().min(end + part.len());
            let reach = (reach..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
            let found = text[..reach].rmatch_indices(part.as_str()).map(|(at, _)| at).find(|at| *at <= end);
            let found = if part.is_empty() { Some(end) } else { found.or_else(|| overlapping(&text[..reach], part, end)) };
            Ok(Val::int(found.map_or(-1, |at| text[..at].chars().count() as i64)))
        }
        _ => no_match(),
    }
}

/// The last occurrence at or before `end`, found by trying every position: matches found from the right may hide
/// others they overlap.
fn overlapping(text: &str, part: &str, end: usize) -> Option<usize> {
    (0..=end.min(text.len())).rev().find(|at| text.is_char_boundary(*at) && text[*at..].starts_with(part))
}

/// The text in double quotes, with unprintable characters escaped.
fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '\x07' => quoted.push_str("\\a"),
            '\x08' => quoted.push_str("\\b"),
            '\x0c' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\x0b' => quoted.push_str("\\v"),
            '\\' => quoted.push_str("\\\\"),
            '"' => quoted.push_str("\\\""),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

fn replace(args: &[Val<'_>]) -> Outcome {
    match (text(args, 0), text(args, 1), text(args, 2), int(args, 3, -1), args.len()) {
        (Some(text), Some(from), Some(to), Some(limit), 3 | 4) => {
            // An empty pattern matches before every character and at the end.
            let matches = if from.is_empty() { text.len() + 1 } else { text.len() / from.len() };
            bounded_text(text.len() + matches.saturating_mul(to.len()))?;
            Ok(Val::text(match usize::try_from(limit) {
                Ok(limit) => text.replacen(from.as_str(), to, limit),
                Err(_) => text.replace(from.as_str(), to),
            }))
        }
        _ => no_match(),
    }
}

fn split(args: &[Val<'_>]) -> Outcome {
    match (text(args, 0), text(args, 1), int(args, 2, -1), args.len()) {
        (Some(_), Some(_), Some(0), 3) => Ok(Val::list(Vec::new())),
        (Some(text), Some(separator), Some(limit), 2 | 3) => {
            let limit = usize::try_from(limit).unwrap_or(usize::MAX);
            let parts: Vec<Val<'_>> = if separator.is_empty() {
                let ends: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
                let kept = ends.len().min(limit);
                (0..kept).map(|i| Val::text(&text[ends[i]..if i + 1 == kept { text.len() } else { ends[i + 1] }])).collect()
            } else {
                text.splitn(limit, separator.as_str()).map(Val::text).collect()
            };
            Ok(Val::list(parts))
        }
        _ => no_match(),
    }
}

fn substring(args: &[Val<'_>]) -> Outcome {
    match (text(args, 0), int(args, 1, -1), int(args, 2, -1), args.len()) {
        (Some(text), Some(start), _, 2) => Ok(Val::text(&text[byte_at(text, start)?..])),
        (Some(text), Some(start), Some(end), 3) => {
            let range = byte_at(text, start)?..byte_at(text, end)?;
            let message = || EvalError::message(format!("invalid substring range: start {start}, end {end}"));
            text.get(range).map(Val::text).ok_or_else(message)
        }
        _ => no_match(),
    }
}

fn join(args: &[Val<'_>]) -> Outcome {
    let separator = match (args.len(), text(args, 1)) {
        (1, _) => "",
        (2, Some(separator)) => separator,
        _ => return no_match(),
    };
    let Some(items) = args.first().and_then(Val::items) else { return no_match() };
    let mut joined = String::new();
    for (i, item) in items.iter().enumerate() {
        let Some(Value::String(item)) = item.data() else { return no_match() };
        if i > 0 {
            joined.push_str(separator);
        }
        joined.push_str(item);
        bounded_text(joined.len())?;
    }
    Ok(Val::text(joined))
}

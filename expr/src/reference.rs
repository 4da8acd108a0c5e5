//! Generates the language reference, `docs/expressions.md`, from the tables of functions, macros and operators.

use std::fmt::Write;

use super::functions::{Function, GROUPS, MACROS, Style, T};
use super::{arith, functions, node, parse};

/// The description of an operator.
struct Operator {
    form: &'static str,
    doc: &'static str,
    examples: &'static [(&'static str, &'static str)],
}

/// The operators, from the tightest binding to the loosest.
const OPERATORS: &[Operator] = &[
    Operator {
        form: "m.f, l[i], m[k]",
        doc: "The field, element or value; an error if it is not there.",
        examples: &[("{'a': [7]}.a[0]", "7")],
    },
    Operator {
        form: "m.?f, l[?i], m[?k]",
        doc: "An optional of it, empty if it is not there. Further selections on an optional go into it.",
        examples: &[("{'a': 1}.?b.orValue(0)", "0"), ("[5][?0]", "optional.of(5)")],
    },
    Operator {
        form: "[?x], {?k: x}",
        doc: "In a list or map: what is in the optional, or nothing.",
        examples: &[("[1, ?optional.none()]", "[1]"), ("{?'a': optional.of(1)}", "{'a': 1}")],
    },
    Operator { form: "-a", doc: "The number or duration with the other sign.", examples: &[("-(2 + 3)", "-5")] },
    Operator { form: "!a", doc: "Not.", examples: &[("!true", "false")] },
    Operator {
        form: "a * b, a / b, a % b",
        doc: "Products, quotients and remainders of numbers; `%` of ints, uints and decimals.",
        examples: &[("7 / 2", "3"), ("7 / 2.0", "3.5"), ("7 / decimal('2')", "decimal('3.5')"), ("-7 % 4", "-3")],
    },
    Operator {
        form: "a + b, a - b",
        doc: "Sums and differences of numbers, durations, timestamps and durations; `+` puts strings, bytes and lists together.",
        examples: &[("'a' + 'b'", "'ab'"), ("timestamp(5) - timestamp(2)", "duration('3s')"), ("[1] + [2]", "[1, 2]")],
    },
    Operator {
        form: "a < b, <=, >, >=",
        doc: "The order of numbers, strings and bytes (by code point and octet), bools, timestamps, durations.",
        examples: &[("1 < 1.5", "true"), ("'a' < 'B'", "false")],
    },
    Operator {
        form: "a == b, a != b",
        doc: "Equality, of anything. Values of different types are not equal, unless they are numbers; operands that are known to differ in type are an error.",
        examples: &[("[1, 2] == [1.0, 2u]", "true"), ("{'a': null} == {}", "false")],
    },
    Operator {
        form: "a in b",
        doc: "Is it an element of the list, or a key of the map? Constant lists are hashed.",
        examples: &[("2 in [1, 2]", "true"), ("'a' in {'a': 1}", "true")],
    },
    Operator { form: "a && b", doc: "And.", examples: &[("1 / 0 > 1 && false", "false")] },
    Operator { form: "a || b", doc: "Or.", examples: &[("1 / 0 > 1 || true", "true")] },
    Operator { form: "c ? a : b", doc: "`a` if `c` holds, else `b`.", examples: &[("1 < 2 ? 'yes' : 'no'", "'yes'")] },
];

/// The reference page of the language: types, rules, limits, operators, macros and functions, each with examples.
///
/// ```
/// let page = tidegate_expr::reference();
/// assert!(page.starts_with("# Expressions\n") && page.contains("startsWith"));
/// ```
#[must_use]
pub fn reference() -> String {
    let mut page = include_str!("reference.md").to_owned();
    for (name, value) in [
        ("{source}", parse::MAX_SOURCE),
        ("{depth}", parse::MAX_DEPTH),
        ("{steps}", node::STEPS as usize),
        ("{text}", arith::MAX_TEXT),
        ("{list}", arith::MAX_LIST),
        ("{regex}", functions::MAX_REGEX),
    ] {
        page = page.replace(name, &thousands(value));
    }
    page.push_str("## Operators\n\nThose that bind tightest come first.\n\n");
    table(&mut page, "Operator", OPERATORS.iter().map(|o| (o.form.split(", ").map(str::to_owned).collect(), o.doc, o.examples)));
    page.push_str(
        "\n## Macros\n\nOver the elements of a list or the entries of a map: `x`, `i`, `k` and `v` are names of your choice.\n\n",
    );
    table(&mut page, "Macro", MACROS.iter().map(|m| (m.forms.iter().map(ToString::to_string).collect(), m.doc, m.examples)));
    page.push_str("\n## Functions\n\nA function before whose name stands a type and a dot is called on a value: `string.trim()` as `name.trim()`. `T` is any type.\n");
    for (title, functions) in GROUPS {
        // Writing to a string can't fail.
        let _ = write!(page, "\n### {title}\n\n");
        table(&mut page, "Function", functions.iter().map(|f| (signatures(f), f.doc, f.examples)));
    }
    page
}

/// All examples of the reference: pairs of an expression and another that it equals.
pub fn examples() -> impl Iterator<Item = (&'static str, &'static str)> {
    let of_operators = OPERATORS.iter().flat_map(|o| o.examples);
    let of_functions = GROUPS.iter().flat_map(|(_, functions)| functions.iter()).flat_map(|f| f.examples);
    of_operators.chain(MACROS.iter().flat_map(|m| m.examples)).chain(of_functions).copied()
}

type Row = (Vec<String>, &'static str, &'static [(&'static str, &'static str)]);

fn table(page: &mut String, title: &str, rows: impl Iterator<Item = Row>) {
    let cell = |lines: Vec<String>| lines.join("<br>").replace('|', "\\|");
    let _ = write!(page, "| {title} | | Examples |\n|---|---|---|\n");
    for (forms, doc, examples) in rows {
        let forms = forms.iter().map(|form| code(form)).collect();
        let examples = examples.iter().map(|(source, result)| format!("{} = {}", code(source), code(result))).collect();
        let _ = writeln!(page, "| {} | {} | {} |", cell(forms), doc.replace('|', "\\|"), cell(examples));
    }
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

/// The signatures of a function, such as `string.charAt(int) -> string`.
fn signatures(function: &Function) -> Vec<String> {
    let mut forms = Vec::new();
    if matches!(function.name, "math.greatest" | "math.least") {
        forms.push(format!("{}(T, ..) -> T", function.name));
    }
    for (params, result) in function.overloads {
        let list = |params: &[T]| params.iter().map(|p| p.named()).collect::<Vec<_>>().join(", ");
        let result = result.named();
        match params {
            [receiver, rest @ ..] if function.style == Style::Member => {
                forms.push(format!("{}.{}({}) -> {result}", receiver.named(), function.name, list(rest)));
            }
            _ => forms.push(format!("{}({}) -> {result}", function.name, list(params))),
        }
    }
    if function.style == Style::Either
        && let Some((first, _)) = forms.first().and_then(|f| f.split_once('('))
    {
        forms.push(format!("x.{first}(..)"));
    }
    forms
}

fn thousands(v: usize) -> String {
    let digits = v.to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().filter_map(|g| std::str::from_utf8(g).ok()).collect();
    groups.join(",")
}

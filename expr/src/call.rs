//! Splits a call such as `quantile(x, 0.99)` without parsing its arguments.

use std::ops::Range;

use cel::parser::pratt_parser::TokenKind;

use super::parse::Tokens;
use super::problem::Problem;

/// A call such as `sum(amount * 2)`, which is how job files write aggregates. The caller decides what the name means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The name before the parenthesis.
    pub name: String,
    /// Where the name is in the source.
    pub name_span: Range<usize>,
    /// The arguments.
    pub args: Vec<Arg>,
}

/// An argument of a [`Call`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arg {
    /// The text of the argument.
    pub source: String,
    /// Where the argument is in the source.
    pub span: Range<usize>,
}

/// Splits a call into its name and the texts of its arguments.
///
/// # Errors
///
/// If `source` is not exactly one call: a name, an opening parenthesis, arguments separated by commas, and the
/// closing parenthesis.
pub fn parse_call(source: &str) -> Result<Call, Vec<Problem>> {
    split(source).map_err(|problem| vec![problem])
}

fn split(source: &str) -> Result<Call, Problem> {
    let tokens = Tokens::read(source)?;
    let list = &tokens.list;
    let whole = list[0].start..list[list.len() - 1].end;
    let is_call = list[0].kind == TokenKind::TokIdent && list.get(1).is_some_and(|t| t.kind == TokenKind::TokLeftParen);
    if !is_call {
        return Err(Problem::new(whole, "expected a call, such as count() or sum(amount)"));
    }
    let close = tokens.partner(1);
    if let Some(rest) = list.get(close + 1) {
        return Err(Problem::new(rest.start..whole.end, format!("unexpected `{}` after the call", &source[rest.start..rest.end])));
    }
    let mut args = Vec::new();
    let mut first = 2;
    let mut index = 2;
    while index <= close {
        let token = list[index];
        if index == close || token.kind == TokenKind::TokComma {
            if first < index {
                let span = list[first].start..list[index - 1].end;
                args.push(Arg { source: source[span.clone()].to_owned(), span });
            } else if token.kind == TokenKind::TokComma || !args.is_empty() {
                return Err(Problem::new(token.start..token.end, "an argument is missing here"));
            }
            first = index + 1;
        }
        // Skip bracketed groups as a whole.
        index = tokens.partner(index).max(index) + 1;
    }
    let name_span = list[0].start..list[0].end;
    Ok(Call { name: source[name_span.clone()].to_owned(), name_span, args })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_its_name_and_the_texts_of_its_arguments() {
        let call = parse_call(" quantile( max([x, y]) , 0.99 )").unwrap();
        assert_eq!((call.name.as_str(), call.name_span), ("quantile", 1..9));
        let args: Vec<_> = call.args.iter().map(|a| (a.source.as_str(), a.span.clone())).collect();
        assert_eq!(args, [("max([x, y])", 11..22), ("0.99", 25..29)]);
        assert!(parse_call("count()").unwrap().args.is_empty());
    }

    #[test]
    fn what_is_no_call_is_located() {
        let problem = |source: &str| parse_call(source).unwrap_err().remove(0);
        assert_eq!(problem("amount"), Problem::new(0..6, "expected a call, such as count() or sum(amount)"));
        assert_eq!(problem("sum(a) + 1"), Problem::new(7..10, "unexpected `+` after the call"));
        assert_eq!(problem("top(a, )"), Problem::new(7..8, "an argument is missing here"));
        assert_eq!(problem("sum(a"), Problem::new(3..4, "`(` is never closed"));
    }
}

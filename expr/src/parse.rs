//! Parses text to a syntax tree, with the `cel` crate's Pratt parser behind limits that keep every later walk over
//! the tree within the stack.
//!
//! Tokens are checked first. Bad tokens, unbalanced brackets and nesting beyond [`MAX_DEPTH`] are reported from them,
//! so the parser only sees texts whose tree is shallow. The tokens also say where a node of the tree starts and ends.

use std::cell::OnceCell;
use std::ops::Range;
use std::sync::Arc;

use cel::common::ast::{EntryExpr, Expr as Ast, IdedExpr, SourceInfo};
use cel::parser::PrattParser;
use cel::parser::pratt_parser::{Lexer, Token, TokenKind};

use super::problem::Problem;
use super::quoted::Quoted;

/// The maximum source length, in bytes.
pub(super) const MAX_SOURCE: usize = 1 << 20;
/// The maximum depth of the syntax tree. A chain such as `a + b + c` is as deep as it is long; `&&`, `||` and commas
/// do not count.
pub(super) const MAX_DEPTH: usize = 160;

/// How to write field names that are not identifiers.
const IN_BACKTICKS: &str = "a name that is no identifier is written in backticks, as in `` `user-agent` ``";

/// A syntax tree, with what is needed to locate its nodes in the source.
pub(super) struct Parsed<'s> {
    pub ast: IdedExpr,
    pub source: &'s str,
    places: Places,
}

/// The locations of the nodes of a syntax tree.
enum Places {
    /// From the tokens of the source.
    Source { quoted: Option<Quoted>, tokens: Tokens, offsets: OnceCell<Option<Arc<SourceInfo>>> },
    /// From the builder of the tree: the span of each node, indexed by its id.
    Given(Vec<Range<usize>>),
}

/// The significant tokens of a source, with the partner of each bracket.
pub(super) struct Tokens {
    pub list: Vec<Token>,
    partner: Vec<usize>,
}

impl Tokens {
    /// Tokenizes `source` and checks everything that tokens alone reveal.
    pub fn read(source: &str) -> Result<Self, Problem> {
        if source.len() > MAX_SOURCE {
            let message = format!("the expression is {} bytes long, at most {MAX_SOURCE} are allowed", source.len());
            return Err(Problem::new(0..0, message));
        }
        let mut lexer = Lexer::new(source);
        let mut list = Vec::new();
        loop {
            let token = lexer.lex();
            match token.kind {
                TokenKind::TokEnd => break,
                TokenKind::TokWhitespace | TokenKind::TokComment => {}
                TokenKind::TokError => {
                    let mut end = token.end;
                    while !source.is_char_boundary(end) {
                        end += 1;
                    }
                    let mut message = lexer.get_error().map_or("unexpected character", |e| e.message.as_str()).to_owned();
                    if message == "unexpected character" {
                        message.push_str(&format!("; {IN_BACKTICKS}"));
                    }
                    return Err(Problem::new(token.start..end, message));
                }
                _ => list.push(token),
            }
        }
        if list.is_empty() {
            return Err(Problem::new(0..source.len(), "the expression is empty"));
        }
        let partner = match_brackets(source, &list)?;
        Ok(Self { list, partner })
    }

    fn at(&self, offset: usize) -> Option<usize> {
        self.list.binary_search_by_key(&offset, |t| t.start).ok()
    }

    fn kind(&self, index: usize) -> Option<TokenKind> {
        self.list.get(index).map(|t| t.kind)
    }

    fn end(&self, index: usize) -> usize {
        self.list.get(index).map_or(0, |t| t.end)
    }

    /// The index of the bracket that matches the bracket at `index`.
    pub fn partner(&self, index: usize) -> usize {
        self.partner.get(index).copied().unwrap_or(index)
    }

    /// Widens a span until it contains the partner of every bracket in it.
    fn balanced(&self, span: Range<usize>) -> Range<usize> {
        let mut wide = span.clone();
        let first = self.list.partition_point(|t| t.start < span.start);
        for index in first..self.list.len() {
            if self.list[index].start >= span.end {
                break;
            }
            let partner = &self.list[self.partner(index)];
            wide = wide.start.min(partner.start)..wide.end.max(partner.end);
        }
        wide
    }
}

/// Matches brackets, and bounds the depth of the tree that these tokens can form.
fn match_brackets(source: &str, tokens: &[Token]) -> Result<Vec<usize>, Problem> {
    let text = |token: &Token| &source[token.start..token.end];
    let mut nesting = Nesting { open: Vec::new(), level: Level::default(), depth: 0 };
    let mut partner: Vec<usize> = (0..tokens.len()).collect();
    for (index, token) in tokens.iter().enumerate() {
        match token.kind {
            TokenKind::TokLeftParen | TokenKind::TokLeftBracket | TokenKind::TokLeftBrace => nesting.open(index),
            TokenKind::TokRightParen | TokenKind::TokRightBracket | TokenKind::TokRightBrace => {
                let Some(opened) = nesting.close().filter(|opened| closes(tokens[*opened].kind, token.kind)) else {
                    return Err(Problem::new(token.start..token.end, format!("unexpected `{}`", text(token))));
                };
                (partner[opened], partner[index]) = (index, opened);
            }
            kind => nesting.pass(kind),
        }
        if nesting.depth > MAX_DEPTH {
            let message = format!("the expression is nested too deeply, at most {MAX_DEPTH} levels are allowed");
            return Err(Problem::new(token.start..token.end, message));
        }
    }
    match nesting.open.last().map(|(index, _)| &tokens[*index]) {
        Some(token) => Err(Problem::new(token.start..token.end, format!("`{}` is never closed", text(token)))),
        None => Ok(partner),
    }
}

fn closes(opened: TokenKind, closed: TokenKind) -> bool {
    matches!(
        (opened, closed),
        (TokenKind::TokLeftParen, TokenKind::TokRightParen)
            | (TokenKind::TokLeftBracket, TokenKind::TokRightBracket)
            | (TokenKind::TokLeftBrace, TokenKind::TokRightBrace)
    )
}

/// Where in the nesting of brackets the tokens so far have led.
struct Nesting {
    /// The open brackets, each with the level around it.
    open: Vec<(usize, Level)>,
    /// The level inside the last of them.
    level: Level,
    /// The depth of the tree here.
    depth: usize,
}

/// What stands between two brackets and deepens the tree by one each.
#[derive(Default)]
struct Level {
    /// The operators of the current chain, including the brackets that follow a function or a list.
    chain: usize,
    conditionals: usize,
}

impl Nesting {
    fn open(&mut self, index: usize) {
        self.level.chain += 1;
        self.depth += 1;
        self.open.push((index, std::mem::take(&mut self.level)));
    }

    /// Leaves the innermost bracket. Returns the token that opened it, if any is open.
    fn close(&mut self) -> Option<usize> {
        let (opened, around) = self.open.pop()?;
        let inside = std::mem::replace(&mut self.level, around);
        self.depth -= inside.chain + inside.conditionals;
        Some(opened)
    }

    /// Takes a token that is no bracket.
    fn pass(&mut self, kind: TokenKind) {
        match kind {
            TokenKind::TokComma => {
                let before = std::mem::take(&mut self.level);
                self.depth -= before.chain + before.conditionals;
            }
            TokenKind::TokLogicalAnd | TokenKind::TokLogicalOr => self.depth -= std::mem::take(&mut self.level.chain),
            TokenKind::TokQuestion => {
                self.level.conditionals += 1;
                self.depth += 1;
            }
            kind if kind.is_operator() => {
                self.level.chain += 1;
                self.depth += 1;
            }
            _ => {}
        }
    }
}

/// What makes a tree deeper.
trait Deepens {
    fn is_operator(&self) -> bool;
}

impl Deepens for TokenKind {
    fn is_operator(&self) -> bool {
        matches!(
            self,
            Self::TokDot
                | Self::TokMinus
                | Self::TokPlus
                | Self::TokAsterisk
                | Self::TokSlash
                | Self::TokPercent
                | Self::TokExclamation
                | Self::TokEqualEqual
                | Self::TokExclamationEqual
                | Self::TokLess
                | Self::TokLessEqual
                | Self::TokGreater
                | Self::TokGreaterEqual
                | Self::TokIn
        )
    }
}

/// Parses `source`.
pub(super) fn parse(source: &str) -> Result<Parsed<'_>, Problem> {
    let tokens = Tokens::read(source)?;
    let quoted = Quoted::new(source, &tokens);
    match parser().parse(quoted.as_ref().map_or(source, |quoted| &quoted.text)) {
        Ok(mut ast) => {
            if let Some(quoted) = &quoted {
                quoted.restore(&mut ast);
            }
            Ok(Parsed { ast, source, places: Places::Source { quoted, tokens, offsets: OnceCell::new() } })
        }
        Err(errors) => Err(first_problem(source, &tokens, &errors)),
    }
}

fn parser() -> PrattParser {
    // The tokens already bound the depth; the parser's own limit must only be higher.
    let depth = u16::try_from(MAX_DEPTH * 2).unwrap_or(u16::MAX);
    PrattParser::new().max_recursion_depth(depth).enable_optional_syntax(true).enable_ident_escape_syntax(true)
}

/// The parser's first error; later ones are mostly consequences of it.
fn first_problem(source: &str, tokens: &Tokens, errors: &cel::ParseErrors) -> Problem {
    let Some(error) = errors.errors.first() else { return Problem::new(0..source.len(), "the expression cannot be parsed") };
    let known = error.source_info.as_ref().and_then(|info| info.offset_for(error.expr_id));
    let span = known.map_or_else(|| position(source, tokens, error.pos), |(start, end)| start as usize..end as usize);
    let text = source.get(span.clone()).unwrap_or_default();
    let message = if text.is_empty() && span.start >= source.len() {
        "the expression ends too early".into()
    } else if error.msg.starts_with("Syntax error: mismatched input") || error.msg == "unexpected token" {
        let hint = if text == "in" { format!("; {IN_BACKTICKS}") } else { String::new() };
        format!("unexpected `{text}`{hint}")
    } else if error.msg.starts_with("invalid argument to has()") {
        "has() tests a field of a value, as in has(a.b); to test a field of the record, compare it with null".into()
    } else if error.msg == "argument must be a simple name" {
        "the first argument here is a name for the element".into()
    } else {
        match error.msg.strip_prefix("reserved identifier: ") {
            Some(word) => format!("`{word}` is a reserved word: a field called so is written in backticks, as in `` `{word}` ``"),
            None => error.msg.clone(),
        }
    };
    Problem::new(span, message)
}

/// The token at a parser position: a line and a byte column, both counted from 1.
fn position(source: &str, tokens: &Tokens, (line, column): (isize, isize)) -> Range<usize> {
    let (line, column) = (usize::try_from(line).unwrap_or(1), usize::try_from(column).unwrap_or(1));
    let before: usize = source.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let start = (before + column.saturating_sub(1)).min(source.len());
    tokens.at(start).map_or(start..start, |index| start..tokens.end(index))
}

impl Parsed<'_> {
    /// A syntax tree built without a source. `spans` holds the spans of its nodes, indexed by id.
    pub fn of_tree(ast: IdedExpr, spans: Vec<Range<usize>>) -> Self {
        Self { ast, source: "", places: Places::Given(spans) }
    }

    /// The byte range of the source that a node was parsed from.
    pub fn span(&self, node: &IdedExpr) -> Range<usize> {
        match &self.places {
            Places::Source { tokens, .. } => {
                let mut span = None;
                self.cover(tokens, node, &mut span);
                tokens.balanced(span.unwrap_or(0..self.source.len()))
            }
            Places::Given(spans) => usize::try_from(node.id).ok().and_then(|id| spans.get(id)).cloned().unwrap_or_default(),
        }
    }

    /// The byte range of the name in a call; the name has `parts` components separated by dots.
    pub fn name_span(&self, call: &IdedExpr, parts: usize) -> Range<usize> {
        let span = self.span(call);
        let Places::Source { tokens, .. } = &self.places else { return span };
        let close = tokens.list.binary_search_by_key(&span.end, |t| t.end).ok();
        let last = close.and_then(|close| tokens.partner(close).checked_sub(1));
        let first = last.and_then(|last| last.checked_sub((parts - 1) * 2));
        match (first.and_then(|i| tokens.list.get(i)), last.and_then(|i| tokens.list.get(i))) {
            (Some(first), Some(last)) => first.start..last.end,
            _ => span,
        }
    }

    /// Widens `span` to cover the tokens of `node` and of its descendants.
    fn cover(&self, tokens: &Tokens, node: &IdedExpr, span: &mut Option<Range<usize>>) {
        if let Some((start, end)) = self.offset(node.id) {
            let end = tokens.own_end(node, start).unwrap_or(end);
            *span = Some(span.take().map_or(start..end, |s| s.start.min(start)..s.end.max(end)));
        }
        let mut below = |n: &IdedExpr| self.cover(tokens, n, span);
        match &node.expr {
            Ast::Call(call) => call.target.iter().map(Box::as_ref).chain(&call.args).for_each(below),
            Ast::Select(select) => below(&select.operand),
            Ast::List(list) => list.elements.iter().for_each(below),
            Ast::Comprehension(c) => below(&c.iter_range),
            Ast::Map(map) => map.entries.iter().for_each(|entry| {
                if let EntryExpr::MapEntry(entry) = &entry.expr {
                    below(&entry.value);
                }
            }),
            _ => {}
        }
    }

    fn offset(&self, id: u64) -> Option<(usize, usize)> {
        let Places::Source { quoted, offsets: known, .. } = &self.places else { return None };
        let info = known.get_or_init(|| offsets(quoted.as_ref().map_or(self.source, |quoted| &quoted.text))).as_ref()?;
        info.offset_for(id).map(|(start, end)| (start as usize, end as usize))
    }
}

impl Tokens {
    /// Where the text of the node itself ends: at the closing bracket of a call, or after the name of a selection.
    fn own_end(&self, node: &IdedExpr, start: usize) -> Option<usize> {
        let index = self.at(start)?;
        let end = match self.kind(index)? {
            TokenKind::TokLeftParen | TokenKind::TokLeftBracket | TokenKind::TokLeftBrace => self.end(self.partner(index)),
            TokenKind::TokDot if self.kind(index + 1) == Some(TokenKind::TokQuestion) => self.end(index + 2),
            TokenKind::TokDot => self.end(index + 1),
            TokenKind::TokMinus if matches!(node.expr, Ast::Literal(_)) => self.end(index + 1),
            TokenKind::TokIdent if !matches!(node.expr, Ast::Ident(_)) && self.kind(index + 1) == Some(TokenKind::TokLeftParen) => {
                self.end(self.partner(index + 1))
            }
            _ => return None,
        };
        Some(end)
    }
}

/// The offsets of all nodes. The parser reveals them only with its errors, so the source is parsed again with a stray
/// bracket appended, which does not affect what precedes it. This happens only when there is a problem to report.
fn offsets(source: &str) -> Option<Arc<SourceInfo>> {
    let failed = parser().parse(&format!("{source}\n)")).err()?;
    failed.errors.iter().find_map(|e| e.source_info.clone())
}

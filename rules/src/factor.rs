//! Factors: conditions with parameters that rules of all scenarios call by name. A call is replaced by what the factor says.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_expr::{Called, Problem, Rewrite, Tree, nearest, parse_call};

/// A condition, or any other expression, with parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Factor {
    /// The names of its parameters.
    pub params: Vec<String>,
    /// What it says.
    pub body: Tree,
}

/// All factors by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Factors {
    all: BTreeMap<String, Arc<Factor>>,
    /// Those that have errors, which have been reported.
    broken: Vec<String>,
}

/// The part of a factor that a problem is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FactorPart {
    /// Its name and its parameters.
    Signature,
    /// Its expression.
    Body,
}

/// How deep factors may call each other.
const DEPTH: usize = 32;
/// How many nodes the factors in one expression may come to.
const NODES: usize = 1 << 17;

/// Reads the name and the parameters of a factor, `activity_over(y, coef)`.
///
/// # Errors
/// The text is not of this form.
fn signature(text: &str) -> Result<(String, Vec<String>), Problem> {
    let wrong =
        |span| Problem { span, message: "expected a name with parameters, such as `over(x)`".into(), nearest: None, constant: false };
    let call = parse_call(text).map_err(|_| wrong(0..text.len()))?;
    let is_name = |name: &str| {
        !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_') && !name.starts_with(|c: char| c.is_ascii_digit())
    };
    if !is_name(&call.name) {
        return Err(wrong(call.name_span));
    }
    let mut params: Vec<String> = Vec::new();
    for arg in call.args {
        if !is_name(&arg.source) || params.contains(&arg.source) {
            return Err(wrong(arg.span));
        }
        params.push(arg.source);
    }
    Ok((call.name, params))
}

/// The name in a signature, whatever is wrong with its parameters.
#[must_use]
pub fn factor_name(signature: &str) -> &str {
    signature.split('(').next().unwrap_or_default().trim()
}

impl Factors {
    /// Reads factors, each with its signature and its expression. Those with problems are left out; the problems come with the place of the
    /// factor.
    #[must_use]
    pub fn read<'t>(texts: impl IntoIterator<Item = (&'t str, &'t str)>) -> (Self, Vec<(usize, FactorPart, Problem)>) {
        let (mut factors, mut problems) = (Self::default(), Vec::new());
        for (place, (head, body)) in texts.into_iter().enumerate() {
            let (name, params) = match signature(head) {
                Ok(read) => read,
                Err(problem) => {
                    problems.push((place, FactorPart::Signature, problem));
                    factors.broken.push(factor_name(head).to_owned());
                    continue;
                }
            };
            if factors.all.contains_key(&name) {
                let message = format!("there is another factor `{name}`");
                problems.push((place, FactorPart::Signature, Problem { span: 0..head.len(), message, nearest: None, constant: false }));
                continue;
            }
            match Tree::parse(body) {
                Ok(body) => _ = factors.all.insert(name, Arc::new(Factor { params, body })),
                Err(problem) => {
                    problems.push((place, FactorPart::Body, problem));
                    factors.broken.push(name);
                }
            }
        }
        (factors, problems)
    }

    /// The factor with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<Factor>> {
        self.all.get(name)
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.all.keys().map(String::as_str)
    }

    /// Whether a problem of this factor has been reported.
    #[must_use]
    pub fn is_broken(&self, name: &str) -> bool {
        self.broken.iter().any(|broken| broken == name)
    }

    /// Puts factors in the place of their calls. `used` collects their names.
    ///
    /// # Errors
    /// A call with the wrong number of arguments, or factors that call each other without end.
    pub fn expand(&self, tree: &Tree, used: &mut Vec<String>) -> Result<Tree, Problem> {
        self.expand_within(tree, used, 0, &Cell::new(NODES))
    }

    fn expand_within(&self, tree: &Tree, used: &mut Vec<String>, depth: usize, left: &Cell<usize>) -> Result<Tree, Problem> {
        let calls = Calls { factors: self, depth, left, used: RefCell::default() };
        let expanded = tree.rewrite(&calls)?;
        for name in calls.used.into_inner() {
            if !used.contains(&name) {
                used.push(name);
            }
        }
        Ok(expanded)
    }
}

struct Calls<'f> {
    factors: &'f Factors,
    depth: usize,
    /// How many nodes may yet be put in.
    left: &'f Cell<usize>,
    used: RefCell<Vec<String>>,
}

impl Rewrite for Calls<'_> {
    fn field(&self, _: &str) -> Option<Tree> {
        None
    }

    fn call(&self, called: &Called<'_>) -> Result<Option<Tree>, Problem> {
        let Some(factor) = self.factors.get(called.name) else { return Ok(None) };
        let wrong = |message| Problem { span: called.span.clone().unwrap_or_default(), message, nearest: None, constant: false };
        if called.args.len() != factor.params.len() {
            let (takes, given) = (factor.params.len(), called.args.len());
            let listed = factor.params.join(", ");
            return Err(wrong(format!("the factor `{0}({listed})` takes {takes} arguments, not {given}", called.name)));
        }
        if self.depth >= DEPTH {
            return Err(wrong(format!("the factor `{}` calls itself", called.name)));
        }
        let mut used = self.used.borrow_mut();
        used.push(called.name.to_owned());
        let located = |problem| Problem { span: called.span.clone().unwrap_or_default(), ..problem };
        let body = self.factors.expand_within(&factor.body, &mut used, self.depth + 1, self.left).map_err(located)?;
        let size = body.size().saturating_mul(1 + called.args.iter().map(Tree::size).sum::<usize>());
        let Some(left) = self.left.get().checked_sub(size) else {
            return Err(wrong(format!("with the factor `{}`, the expression is too long", called.name)));
        };
        self.left.set(left);
        body.without_spans().rewrite(&Arguments { params: &factor.params, args: &called.args }).map(Some)
    }
}

struct Arguments<'a> {
    params: &'a [String],
    args: &'a [Tree],
}

impl Rewrite for Arguments<'_> {
    fn field(&self, name: &str) -> Option<Tree> {
        let at = self.params.iter().position(|param| param == name)?;
        self.args.get(at).cloned()
    }

    fn call(&self, _: &Called<'_>) -> Result<Option<Tree>, Problem> {
        Ok(None)
    }
}

/// Suggests a factor where a function is not known.
pub(crate) fn suggest(factors: &Factors, mut problem: Problem) -> Problem {
    if problem.nearest.is_none()
        && let Some(name) = problem.message.strip_prefix("unknown function `").and_then(|rest| rest.strip_suffix('`'))
    {
        problem.nearest = nearest(name, factors.names());
        if problem.nearest.is_none() && factors.names().next().is_some() {
            let listed: Vec<String> = factors.names().map(|name| format!("`{name}`")).collect();
            problem.message.push_str(&format!("; there are the factors {}", listed.join(", ")));
        }
    }
    problem
}

//! Conditions as programs over atoms. An atom is a part of a condition without `&&`, `||` and `!`. Atoms with the same text are one, in all
//! rules and all versions, and are evaluated at most once per record.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use foldhash::fast::FixedState;
use tidegate_expr::{EvalError, Expr, Operator, Problem, Shape, Tree};
use tidegate_rows::{Row, Schema};

/// The atoms of all conditions that are in use. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pool(Arc<Mutex<Atoms>>);

#[derive(Debug, Default)]
struct Atoms {
    known: HashMap<String, Weak<Atom>, FixedState>,
    /// Numbers that no atom has any longer.
    free: Vec<u32>,
    next: u32,
}

/// A part of conditions. Its number is its own as long as it is in use.
#[derive(Debug)]
pub(crate) struct Atom {
    number: u32,
    key: String,
    expr: Expr,
    pool: Pool,
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, Atoms> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The atom with this key, or a new one of this expression.
    fn atom(&self, key: String, compile: impl FnOnce() -> Result<Expr, Vec<Problem>>) -> Result<Arc<Atom>, Vec<Problem>> {
        if let Some(atom) = self.lock().known.get(&key).and_then(Weak::upgrade) {
            return Ok(atom);
        }
        let expr = compile()?;
        let mut atoms = self.lock();
        if let Some(atom) = atoms.known.get(&key).and_then(Weak::upgrade) {
            return Ok(atom);
        }
        let number = atoms.free.pop().unwrap_or_else(|| {
            atoms.next += 1;
            atoms.next - 1
        });
        let atom = Arc::new(Atom { number, key: key.clone(), expr, pool: self.clone() });
        atoms.known.insert(key, Arc::downgrade(&atom));
        Ok(atom)
    }

    /// The number of atoms in use.
    #[cfg(test)]
    fn len(&self) -> usize {
        let atoms = self.lock();
        atoms.next as usize - atoms.free.len()
    }
}

impl Drop for Atom {
    fn drop(&mut self) {
        let mut atoms = self.pool.lock();
        // Another one may have come in its place.
        if atoms.known.get(&self.key).is_some_and(|known| known.strong_count() == 0) {
            atoms.known.remove(&self.key);
        }
        atoms.free.push(self.number);
    }
}

/// The result of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Truth {
    False,
    True,
    /// It has no value: see [`Condition::error`].
    Error,
}

/// The results of atoms for one record.
#[derive(Debug, Default)]
pub(crate) struct Memo {
    /// For each atom, the number of the record it was evaluated for, and in the lowest two bits the result.
    known: Vec<u32>,
    record: u32,
    errors: Vec<(u32, EvalError)>,
}

impl Memo {
    /// Forgets all results: there is another record.
    #[inline]
    pub fn next(&mut self) {
        self.record += 1;
        if self.record == 1 << 30 {
            self.known.fill(0);
            self.record = 1;
        }
        self.errors.clear();
    }

    #[inline]
    fn test(&mut self, number: u32, expr: &Expr, row: &Row) -> Truth {
        let at = number as usize;
        if let Some(known) = self.known.get(at)
            && known >> 2 == self.record
        {
            return match known & 3 {
                0 => Truth::False,
                1 => Truth::True,
                _ => Truth::Error,
            };
        }
        self.evaluate(number, expr, row)
    }

    fn evaluate(&mut self, number: u32, expr: &Expr, row: &Row) -> Truth {
        let at = number as usize;
        if self.known.len() <= at {
            self.known.resize((at + 1).next_power_of_two(), 0);
        }
        let (truth, bits) = match expr.test(row) {
            Ok(false) => (Truth::False, 0),
            Ok(true) => (Truth::True, 1),
            Err(error) => {
                self.errors.push((number, error));
                (Truth::Error, 2)
            }
        };
        self.known[at] = self.record << 2 | bits;
        truth
    }

    fn error(&self, number: u32) -> Option<&EvalError> {
        self.errors.iter().find(|(of, _)| *of == number).map(|(_, error)| error)
    }
}

/// A condition over atoms.
#[derive(Clone, Debug)]
pub(crate) enum Condition {
    Const(bool),
    Atom(u32, Arc<Atom>),
    Not(Box<Condition>),
    All(Box<[Condition]>),
    Any(Box<[Condition]>),
}

impl Condition {
    /// Compiles a tree. `of` tells atoms apart that mean different things by the same text.
    pub fn compile(tree: &Tree, schema: &Schema, pool: &Pool, of: &str) -> Result<Self, Vec<Problem>> {
        let terms = |trees: &[Tree]| {
            let (mut terms, mut problems) = (Vec::with_capacity(trees.len()), Vec::new());
            for tree in trees {
                match Self::compile(tree, schema, pool, of) {
                    Ok(term) => terms.push((weight(tree), term)),
                    Err(more) => problems.extend(more),
                }
            }
            if !problems.is_empty() {
                return Err(problems);
            }
            // Cheap ones first: an error never hides what decides, so the order is free.
            terms.sort_by_key(|(weight, _)| *weight);
            Ok(terms.into_iter().map(|(_, term)| term).collect::<Vec<_>>())
        };
        match tree.shape() {
            Shape::Op(Operator::And, trees) => Ok(Self::joined(terms(trees)?, false)),
            Shape::Op(Operator::Or, trees) => Ok(Self::joined(terms(trees)?, true)),
            Shape::Op(Operator::Not, [of_not]) => Ok(match Self::compile(of_not, schema, pool, of)? {
                Self::Const(value) => Self::Const(!value),
                term => Self::Not(Box::new(term)),
            }),
            _ => {
                let atom = pool.atom(format!("{of}{tree}"), || tree.condition(schema))?;
                // A part without names is the same for every record.
                if tree.names().is_empty()
                    && let Ok(value) = atom.expr.test(&Row::default())
                {
                    return Ok(Self::Const(value));
                }
                Ok(Self::Atom(atom.number, atom))
            }
        }
    }

    /// Terms joined by `&&`, or by `||` if `decides` is true: the value that decides without the others.
    fn joined(terms: Vec<Self>, decides: bool) -> Self {
        if terms.iter().any(|term| matches!(term, Self::Const(value) if *value == decides)) {
            return Self::Const(decides);
        }
        let mut left: Vec<Self> = terms.into_iter().filter(|term| !matches!(term, Self::Const(_))).collect();
        match left.len() {
            0 => Self::Const(!decides),
            1 => left.remove(0),
            _ if decides => Self::Any(left.into()),
            _ => Self::All(left.into()),
        }
    }

    /// Evaluates it.
    #[inline]
    pub fn test(&self, row: &Row, memo: &mut Memo) -> Truth {
        match self {
            Self::Atom(number, atom) => memo.test(*number, &atom.expr, row),
            Self::Const(true) => Truth::True,
            Self::Const(false) => Truth::False,
            Self::Not(term) => match term.test(row, memo) {
                Truth::False => Truth::True,
                Truth::True => Truth::False,
                Truth::Error => Truth::Error,
            },
            Self::All(terms) => Self::joined_test(terms, Truth::False, row, memo),
            Self::Any(terms) => Self::joined_test(terms, Truth::True, row, memo),
        }
    }

    #[inline]
    fn joined_test(terms: &[Self], decides: Truth, row: &Row, memo: &mut Memo) -> Truth {
        let mut all = if decides == Truth::False { Truth::True } else { Truth::False };
        for term in terms {
            let truth = term.test(row, memo);
            if truth == decides {
                return truth;
            }
            if truth == Truth::Error {
                all = Truth::Error;
            }
        }
        all
    }

    /// Why it has just had no value.
    pub fn error<'m>(&self, memo: &'m Memo) -> Option<&'m EvalError> {
        match self {
            Self::Const(_) => None,
            Self::Atom(number, _) => memo.error(*number),
            Self::Not(term) => term.error(memo),
            Self::All(terms) | Self::Any(terms) => terms.iter().find_map(|term| term.error(memo)),
        }
    }
}

/// About what it costs to evaluate a tree.
fn weight(tree: &Tree) -> usize {
    match tree.shape() {
        Shape::Value(_) | Shape::Field(_) => 0,
        Shape::Op(_, trees) => 1 + trees.iter().map(weight).sum::<usize>(),
        Shape::List(items) => items.len(),
        Shape::Other => 8 * tree.size(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_rows::{Type, Value};

    fn compiled(source: &str, pool: &Pool) -> Condition {
        let schema = Schema::new([("a", Type::Int), ("b", Type::Int), ("s", Type::String)]);
        Condition::compile(&Tree::parse(source).unwrap(), &schema, pool, "").unwrap()
    }

    #[test]
    fn parts_with_the_same_text_are_one_while_they_are_in_use() {
        let pool = Pool::default();
        let first = compiled("a > 1 && !(b > 2)", &pool);
        let second = compiled("b>2 || a > 1", &pool);
        assert_eq!(pool.len(), 2);
        drop(first);
        assert_eq!(pool.len(), 2);
        drop(second);
        assert_eq!(pool.len(), 0);
        let third = compiled("s == 'x'", &pool);
        assert!(matches!(third, Condition::Atom(0 | 1, _)), "numbers are used again");
    }

    #[test]
    fn an_error_counts_only_where_it_decides() {
        let pool = Pool::default();
        let mut memo = Memo::default();
        let row: Row = [Value::Int(0), Value::Null, Value::string("x")].into_iter().collect();
        for (source, truth) in [
            ("b > 1", Truth::Error),
            ("!(b > 1)", Truth::Error),
            ("b > 1 && a > 0", Truth::False),
            ("b > 1 && a == 0", Truth::Error),
            ("10 / a > 1 || s == 'x'", Truth::True),
            ("10 / a > 1 || s == 'y'", Truth::Error),
            ("1 > 2 && b > 1", Truth::False),
            ("1 < 2 && s == 'x'", Truth::True),
        ] {
            memo.next();
            let condition = compiled(source, &pool);
            assert_eq!(condition.test(&row, &mut memo), truth, "{source}");
            assert_eq!(condition.test(&row, &mut memo), truth, "{source} again");
            assert!(truth != Truth::Error || condition.error(&memo).is_some(), "{source}");
        }
    }
}

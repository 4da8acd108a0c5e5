//! The macros over lists and maps: `all`, `exists`, `exists_one`, `map`, `filter` and their forms with two variables.
//!
//! They run as loops, not as the folds that define them in CEL, which would copy the result in every step.

use super::arith;
use super::error::{EvalError, Kind, Op, Tag};
use super::fast::BoolNode;
use super::node::{Env, Node};
use super::ops;
use super::set::Keys;
use super::val::{Items, Val};

/// What is iterated over, and how many variables each step binds: the element, or its index and the element; the key,
/// or the key and its value.
#[derive(Clone, Debug)]
pub(super) struct Range {
    pub over: Node,
    pub two: bool,
}

impl Range {
    /// Calls `body` for each element until it returns false.
    fn each<'a>(&'a self, env: &Env<'a, '_>, mut body: impl FnMut(&Env<'a, '_>) -> Result<bool, EvalError>) -> Result<(), EvalError> {
        let over = self.over.eval(env)?;
        // A borrowed list lends its elements.
        if let Val::Ref(tidegate_rows::Value::List(items)) = over {
            for (index, item) in items.iter().enumerate() {
                if !self.run(env, || Val::int(index as i64), Val::Ref(item), &mut body)? {
                    break;
                }
            }
            return Ok(());
        }
        if let Some(items) = over.items() {
            return self.each_item(items, env, body);
        }
        let Some(entries) = over.entries() else {
            return Err(EvalError::message(format!("cannot iterate over {}", over.tag())));
        };
        for (key, value) in entries.iter() {
            let key = Val::Own(key.clone());
            let more = if self.two {
                self.run(env, || key, value.into_static(), &mut body)?
            } else {
                env.step()?;
                env.with(key, &mut body)?
            };
            if !more {
                break;
            }
        }
        Ok(())
    }

    fn each_item<'a>(
        &'a self,
        items: Items<'_>,
        env: &Env<'a, '_>,
        mut body: impl FnMut(&Env<'a, '_>) -> Result<bool, EvalError>,
    ) -> Result<(), EvalError> {
        for (index, item) in items.iter().enumerate() {
            if !self.run(env, || Val::int(index as i64), item.into_static(), &mut body)? {
                break;
            }
        }
        Ok(())
    }

    fn run<'a>(
        &self,
        env: &Env<'a, '_>,
        first: impl FnOnce() -> Val<'a>,
        item: Val<'a>,
        body: &mut impl FnMut(&Env<'a, '_>) -> Result<bool, EvalError>,
    ) -> Result<bool, EvalError> {
        env.step()?;
        if self.two { env.with(first(), |env| env.with(item, &mut *body)) } else { env.with(item, body) }
    }
}

/// `all`, `exists` and `exists_one`.
#[derive(Clone, Debug)]
pub(super) struct Quantifier {
    pub kind: Quantity,
    pub range: Range,
    pub condition: BoolNode,
}

/// How many elements must satisfy the condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quantity {
    All,
    Exists,
    One,
}

impl Quantifier {
    pub fn test<'a>(&'a self, env: &Env<'a, '_>) -> Result<bool, EvalError> {
        if self.kind == Quantity::One {
            let mut found = 0;
            self.range.each(env, |env| {
                found += u64::from(self.condition.test(env)?);
                Ok(true)
            })?;
            return Ok(found == 1);
        }
        // As with `&&` and `||`, a deciding element wins over the errors of others.
        let decisive = self.kind == Quantity::Exists;
        let (mut decided, mut error) = (false, None);
        self.range.each(env, |env| {
            match self.condition.test(env) {
                Ok(v) => decided = v == decisive,
                Err(e) if e.0 == Kind::TooManySteps => return Err(e),
                Err(e) => error = error.take().or(Some(e)),
            }
            Ok(!decided)
        })?;
        match error {
            _ if decided => Ok(decisive),
            Some(error) => Err(error),
            None => Ok(!decisive),
        }
    }
}

/// The macros that build a list or a map.
#[derive(Clone, Debug)]
pub(super) struct Comprehension {
    pub range: Range,
    pub filter: Option<BoolNode>,
    pub output: Output,
}

/// What is built.
#[derive(Clone, Debug)]
pub(super) enum Output {
    List(Node),
    /// A map with the keys of the range and new values.
    Values(Node),
    /// The union of maps with one entry each.
    Entries(Node),
    /// The elements of the range, sorted by these keys.
    Sorted(Node),
}

impl Comprehension {
    pub fn eval<'a>(&'a self, env: &Env<'a, '_>) -> Result<Val<'a>, EvalError> {
        match &self.output {
            Output::List(item) => self.list(item, env),
            Output::Values(value) => self.values(value, env),
            Output::Entries(entry) => self.entries(entry, env),
            Output::Sorted(key) => self.sorted(key, env),
        }
    }

    /// Calls `take` with the value of `output` for each element that passes the filter.
    fn each<'a>(
        &'a self,
        output: &'a Node,
        env: &Env<'a, '_>,
        mut take: impl FnMut(Val<'a>, &Env<'a, '_>) -> Result<(), EvalError>,
    ) -> Result<(), EvalError> {
        self.range.each(env, |env| {
            if self.filter.as_ref().map_or(Ok(true), |filter| filter.test(env))? {
                let value = output.eval(env)?;
                env.charge(&value)?;
                take(value, env)?;
            }
            Ok(true)
        })
    }

    fn list<'a>(&'a self, item: &'a Node, env: &Env<'a, '_>) -> Result<Val<'a>, EvalError> {
        let mut list = Vec::new();
        self.each(item, env, |value, _| {
            list.push(value);
            arith::bounded_list(list.len())
        })?;
        Ok(Val::list(list))
    }

    fn values<'a>(&'a self, value: &'a Node, env: &Env<'a, '_>) -> Result<Val<'a>, EvalError> {
        let mut map = Vec::new();
        self.each(value, env, |value, env| {
            map.push((ops::map_key(&env.var(1))?, value));
            Ok(())
        })?;
        Ok(Val::map(map))
    }

    fn entries<'a>(&'a self, entry: &'a Node, env: &Env<'a, '_>) -> Result<Val<'a>, EvalError> {
        let mut map: Vec<(_, Val<'_>)> = Vec::new();
        let mut keys = Keys::default();
        self.each(entry, env, |entry, _| {
            let Some(entries) = entry.entries() else { return Err(Kind::Expected(&Tag::Map, entry.tag()).into()) };
            for (key, value) in entries.iter() {
                keys.add(key)?;
                map.push((key.clone(), value.into_static()));
            }
            Ok(())
        })?;
        Ok(Val::map(map))
    }

    fn sorted<'a>(&'a self, key: &'a Node, env: &Env<'a, '_>) -> Result<Val<'a>, EvalError> {
        let mut keyed: Vec<(Val<'_>, Val<'_>)> = Vec::new();
        self.each(key, env, |key, env| {
            if let Some((first, _)) = keyed.first() {
                ops::compare(Op::Lt, first, &key)?;
            }
            keyed.push((key, env.var(0)));
            Ok(())
        })?;
        keyed.sort_by(|(a, _), (b, _)| match (a.data(), b.data()) {
            (Some(a), Some(b)) => a.total_cmp(b),
            _ => std::cmp::Ordering::Equal,
        });
        Ok(Val::list(keyed.into_iter().map(|(_, item)| item).collect()))
    }
}

//! Guards say when an edge may be followed. A guard is a conjunction of clauses over numbered conditions.

use super::ConditionId;

/// A condition, or its negation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Literal {
    pub condition: ConditionId,
    pub negated: bool,
}

impl Literal {
    pub fn of(condition: ConditionId) -> Self {
        Self { condition, negated: false }
    }

    pub fn not(self) -> Self {
        Self { negated: !self.negated, ..self }
    }
}

/// A conjunction of clauses; a clause is a disjunction of literals.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Guard(Vec<Vec<Literal>>);

impl Guard {
    pub fn always() -> Self {
        Self::default()
    }

    /// True if it holds for every event.
    pub fn is_always(&self) -> bool {
        self.0.is_empty()
    }

    /// Holds if all literals do.
    pub fn all(literals: &[Literal]) -> Self {
        Self(literals.iter().map(|literal| vec![*literal]).collect())
    }

    /// Holds if at least one literal does.
    pub fn any(literals: Vec<Literal>) -> Self {
        Self(vec![literals])
    }

    /// The negation. If the guard always holds, its negation never does.
    pub fn not(&self) -> Self {
        // Some clause must have no literal that holds. As a conjunction: however one literal is picked of every clause, the negation of a picked one
        // must hold.
        let mut clauses = vec![Vec::new()];
        for clause in &self.0 {
            let with = |literal: &Literal| {
                let longer = |made: &Vec<Literal>| made.iter().copied().chain([literal.not()]).collect::<Vec<_>>();
                clauses.iter().map(longer).collect::<Vec<_>>()
            };
            clauses = clause.iter().flat_map(with).collect();
        }
        Self(clauses)
    }

    /// Holds if both do.
    pub fn and(mut self, other: &Self) -> Self {
        for clause in &other.0 {
            if !self.0.contains(clause) {
                self.0.push(clause.clone());
            }
        }
        self
    }

    pub fn conditions(&self) -> impl Iterator<Item = ConditionId> {
        self.0.iter().flatten().map(|literal| literal.condition)
    }

    /// True if it holds. `ask` evaluates conditions, and is asked for no more of them than it takes to tell.
    #[inline]
    pub fn holds<X>(&self, mut ask: impl FnMut(ConditionId) -> Result<bool, X>) -> Result<bool, X> {
        'clauses: for clause in &self.0 {
            for literal in clause {
                if ask(literal.condition)? != literal.negated {
                    continue 'clauses;
                }
            }
            return Ok(false);
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guards_are_what_their_names_say() {
        let (a, b) = (Literal::of(0), Literal::of(1));
        for facts in [[false, false], [false, true], [true, false], [true, true]] {
            let holds = |guard: &Guard| guard.holds(|c| Ok::<_, ()>(facts[c as usize])).unwrap();
            assert!(holds(&Guard::always()));
            assert!(!holds(&Guard::always().not()));
            assert_eq!(holds(&Guard::all(&[a, b])), facts[0] && facts[1]);
            assert_eq!(holds(&Guard::all(&[a, b]).not()), !(facts[0] && facts[1]));
            assert_eq!(holds(&Guard::any(vec![a, b])), facts[0] || facts[1]);
            assert_eq!(holds(&Guard::any(vec![a, b]).and(&Guard::all(&[b])).not()), !facts[1]);
            assert_eq!(holds(&Guard::all(&[a]).and(&Guard::all(&[b]).not())), facts[0] && !facts[1]);
            assert_eq!(holds(&Guard::all(&[a.not()])), !facts[0]);
        }
    }

    #[test]
    fn nothing_is_asked_once_the_answer_is_known() {
        let guard = Guard::all(&[Literal::of(0), Literal::of(1)]);
        assert_eq!(guard.holds(|c| if c == 0 { Ok(false) } else { Err("asked") }), Ok(false));
    }
}

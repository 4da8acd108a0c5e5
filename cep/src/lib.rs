//! Patterns over the events of a key (complex event processing).
//!
//! Lives here, each layer resting on the one before: [`pattern`] is the language as plain data, [`nfa`] the automaton it is compiled to, [`matcher`] runs that over the events of
//! one key, and [`operator`] does so for every key of a stream, in order of event time.
//!
//! Does not live here: expressions and job files (`tidegate-jobs`), which put conditions of their own into a [`Pattern`].
//!
//! The semantics are those of Flink's CEP library, down to which of several overlapping matches come out. Three failed logins and then a success, all
//! within ten seconds:
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//! use tidegate_cep::{Found, Limit, Matcher, Nfa, Pattern, Runs, Judge, Where};
//!
//! let pattern = Pattern::<Where<bool>>::begin("fail").filter(|ok| !ok).times(3).consecutive()
//!     .next("success").filter(|ok| *ok)
//!     .within(Duration::from_secs(10))
//!     .skip_past_last_event();
//! let nfa = Arc::new(Nfa::compile(pattern)?);
//! let (mut matcher, mut runs, mut found) = (Matcher::new(nfa, Limit::default()), Runs::default(), Vec::new());
//! for (second, ok) in [false, false, false, false, true].into_iter().enumerate() {
//!     let time = 1_000 * second as i64;
//!     matcher.advance::<_, tidegate_runtime::Error>(&mut runs, time, &mut found)?;
//!     matcher.event(&mut runs, ok, time, &mut |c: &Where<bool>, e: &_| c.holds(e), &mut found)?;
//! }
//! let [Found::Match(m)] = found.as_slice() else { panic!("{found:?}") };
//! assert_eq!((m.start, m.end), (1_000, 4_000));
//! assert_eq!(m.steps, [("fail".into(), vec![false; 3]), ("success".into(), vec![true])]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! On a stream, it is a method of [`CepExt`].

pub mod matcher;
pub mod nfa;
pub mod operator;
pub mod pattern;

pub use matcher::{Candidate, Found, Limit, MatchError, Matched, Matcher, Overflow, Runs, Sequence};
pub use nfa::Nfa;
pub use operator::{CepExt, CepLogic, Emitted, Judge, Match, Matches, Search, Where};
pub use pattern::{AfterMatch, Condition, Contiguity, Inner, Invalid, Misuse, Pattern, SkipTo, Step, Times};

//! Decisions: what scenarios, lists, rules and strategies mean, over rows.
//!
//! A [`Scenario`] is a kind of event that needs a decision. Its list checks come first, in the order as written; one that decides ends the
//! search. Then come its rules: a hit has an action, a score, or both. A strategy turns hits into one action. The decision has its reasons
//! with it.
//!
//! Rules compile once per version. Conditions are split into parts that are evaluated once per record, however many rules share them. An
//! index over tests for equality leaves out the rules that can't hold.
//!
//! This crate knows nothing of streams and files: it is what a job with `rules` runs, and a program of its own can run it, too.
//!
//! ```
//! use std::sync::Arc;
//! use tidegate_rows::{Row, Schema, Type, Value};
//! use tidegate_rules::{Compiler, Entry, Factors, Judge, List, Lists, Match, NoOps, Rule, Rules, Scenario, Then};
//!
//! let mut black = List::new("black", Match::Cidr);
//! black.insert("10.1.0.0/16", Entry::default())?;
//! let (factors, problems) = Factors::read([("often(n)", "fails > n")]);
//! assert!(problems.is_empty());
//! let login = Scenario::new("login")
//!     .param("limit", Value::Int(3))
//!     .check("black", "ip", Then::Decide("reject".into()))
//!     .rule(Rule::new("many", "often(limit)").action("review").score(Value::Int(40)).reason("{fails} failed logins"));
//!
//! let records = Schema::new([("ip", Type::String), ("fails", Type::Int)]);
//! let compiler = Compiler::new(&records, Lists::new([black]));
//! let login = compiler.scenario(&Arc::new(login), &factors, None, &|_| false).map_err(|problems| format!("{problems:?}"))?;
//! let rules = Rules::new(vec![Arc::new(login)], 0);
//!
//! let (mut judge, mut decided) = (Judge::default(), Vec::new());
//! for (ip, fails) in [("10.1.2.3", 0), ("10.2.0.1", 7)] {
//!     let record = Row::from_iter([Value::string(ip), Value::Int(fails)]);
//!     judge.decide(&rules, record, 0, compiler.lists(), &NoOps, &mut decided).map_err(|_| "no entry has a limit")?;
//! }
//! let action = records.width() + 1;
//! assert_eq!([0, 1].map(|i| decided[i].get(action).clone()), [Value::string("reject"), Value::string("review")]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod compile;
mod condition;
mod decision;
mod factor;
mod index;
mod judge;
mod lists;
mod model;
mod rollout;
mod scenario;
mod template;
#[cfg(test)]
mod tests;
mod version;

pub use compile::RulePart;
pub use decision::fields;
pub use factor::{Factor, FactorPart, Factors, factor_name};
pub use judge::{Judge, Limited, Looked, Looks, Use};
pub use lists::{Cleared, Entry, Found, Lengths, List, Lists, Match, NoKey, NoOps, Op, Ops, settle};
pub use model::{Band, Check, Mode, Policy, Rollout, Rule, Scenario, Score, Strategy, Then};
pub use rollout::bucket;
pub use scenario::{CompiledScenario, Compiler, Part, Problems, Rules, Warnings};
pub use version::{Change, Version, Versions};

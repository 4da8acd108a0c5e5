//! Patterns over the events of a key (complex event processing).
//!
//! **Here,** each layer built on the one before: [`pattern`] is the language as plain data, [`nfa`] the automaton that a pattern is compiled to,
//! [`matcher`] runs the automaton over the events of one key, and [`operator`] does so for every key of a stream, in order of event time.
//!
//! **Not here:** expressions (`tidegate-expr`) and job files (`tidegate-jobs`), which put their own conditions into a [`Pattern`].
//!
//! The semantics are those of Flink's CEP library, down to which of several overlapping matches are emitted. Three failed logins in a row and then a
//! success, all within ten seconds:
//!
//! ```
//! use std::time::Duration;
//! use tidegate_cep::{CepExt, Pattern, Search};
//! use tidegate_connectors::{generator::FnSource, sink::CollectSink};
//! use tidegate_operators::DataflowExt;
//! use tidegate_runtime::{Job, Record, RunConfig, watermarks::WatermarkStrategy};
//!
//! type Login = (u64, bool);
//!
//! let pattern = Pattern::begin("fail").filter(|(_, ok): &Login| !ok).times(3).consecutive()
//!     .next("success").filter(|(_, ok)| *ok)
//!     .within(Duration::from_secs(10))
//!     .skip_past_last_event();
//! let search = Search::new(pattern)?;
//!
//! let alerts = CollectSink::new();
//! let sink = alerts.clone();
//! let job = Job::new(move |flow| {
//!     // Two users log in once a second each. Number 0 always succeeds, number 1 at every fifth attempt.
//!     let logins = FnSource::new(|i| Record::new(i as i64 * 500, (i % 2, i % 2 == 0 || i % 10 == 9))).with_count(20);
//!     flow.source("logins", logins, WatermarkStrategy::bounded(Duration::from_secs(1)))
//!         .key_by(|(user, _): &Login| *user)
//!         .pattern("guessed", search.clone())
//!         .matches
//!         .sink("alerts", sink.clone());
//! })?;
//! job.run(RunConfig::workers(2))?;
//!
//! let alerts = alerts.take();
//! assert_eq!(alerts.len(), 2);
//! assert!(alerts.iter().all(|a| a.value.key == 1 && a.value.events("fail").len() == 3 && a.value.events("success") == [(1, true)]));
//! assert_eq!((alerts[0].value.start, alerts[0].value.end, alerts[0].time), (1_500, 4_500, 4_500));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod matcher;
pub mod nfa;
pub mod operator;
pub mod pattern;

pub use matcher::{Candidate, Engine, Found, Limit, MatchError, Matched, Matcher, Overflow, Runs, Sequence};
pub use nfa::Nfa;
pub use operator::{CepExt, CepLogic, Emitted, Judge, Match, Matches, Search, Where};
pub use pattern::{AfterMatch, Condition, Contiguity, Inner, Invalid, Misuse, Pattern, SkipTo, Step, Times};

//! Features of rules: indicators and patterns that scenarios use by name, and that versions add, change and remove while the job runs.
//!
//! The rows of a stream with features go to `ask`, which finds the features that are active at a row's time, and asks for them: the owners of each key
//! that indicators group by, and the owners of the key of each pattern. The answers come to `judge` on the worker that asked. Versions come to `judge`
//! by way of `ask`, so both always know the same ones.

mod ask;
mod counted;
mod known;
mod matched;
mod set;
mod texts;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_rows::{Row, Value};
use tidegate_runtime::state::Stored;

use super::control::Accepted;
use crate::relation::key::RowKey;
pub(super) use ask::{Aside, Asking, ToAsk};
pub(super) use counted::Counting;
pub(super) use matched::Matching;
use set::KeyOf;
pub(super) use set::{FeatureSet, FeatureShop, effects};
pub(crate) use texts::SOUGHT;
pub(super) use texts::FeatureTexts;

/// What has a history of its own for each key: the indicators of one key expression, or a pattern.
pub(super) type Group = u64;

/// A group, and a key in it.
pub(super) type GroupKey = (Group, RowKey);

/// A question about a row, for the owner of a key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Question {
    /// The worker that asks, and the number of the row there.
    pub(super) worker: usize,
    pub(super) number: u64,
    /// The set of features that is active at the time of the row.
    pub(super) set: u64,
    pub(super) key: GroupKey,
    /// Whether the key is known. If not, the row has no history.
    pub(super) known: bool,
    /// Orders rows of the same time, if they come in another order in each run.
    pub(super) tie: u64,
    pub(super) row: Arc<Row>,
}

/// The answer to a question.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Answer {
    pub(super) worker: usize,
    pub(super) number: u64,
    /// The numbers of features, and their values.
    pub(super) values: Vec<(u64, Value)>,
}

/// What comes to the owners of keys.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum ToOwner {
    Question(Question),
    /// A version, for one worker.
    Version(usize, Accepted),
}

impl ToOwner {
    /// Orders what has the same time, if it comes in another order in each run.
    pub(super) fn tie(&self) -> u64 {
        if let Self::Question(question) = self { question.tie } else { 0 }
    }
}

impl Stored for ToOwner {
    const SCHEMA: &'static str = "rules.question/1";
}

//! What an operator of indicators computes, and what it keeps for that.

use std::sync::Arc;

use tidegate_runtime::operator::Context;
use tidegate_runtime::state::Key;
use tidegate_runtime::{Data, Error, Field, stable_hash};

use super::distinct::Distinguishes;
use super::span::Span;
use super::view::{Floor, HistoryId, View};
use crate::ties::Ties;

/// A history that an operator keeps for each key.
#[derive(Clone, Debug)]
pub struct Kept<C> {
    /// What tells it from others in a savepoint: which records feed it, and what they leave.
    pub name: Field,
    /// A column for its items, without any.
    pub column: C,
    /// The spans that are asked for, each with its delay in milliseconds.
    pub spans: Vec<(Span, i64)>,
    /// What happens to what came before all spans, if some span never ends.
    pub ever: Ever,
}

/// What a history keeps of the items that only spans without a beginning hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ever {
    /// Nothing: there is no such span.
    #[default]
    Nothing,
    /// Their summary.
    Summary,
    /// All of them.
    Items,
}

/// The histories of the keys of one group.
#[derive(Debug)]
pub struct Plan<C> {
    pub(super) kept: Vec<Kept<C>>,
    pub(super) ids: Vec<HistoryId>,
    /// For each history, how long after its newest item it may still be asked for one, in milliseconds. `None`: for ever.
    pub(super) reaches: Vec<Option<i64>>,
}

impl<C> Plan<C> {
    /// A plan for these histories.
    #[must_use]
    pub fn new(kept: Vec<Kept<C>>) -> Self {
        let reach = |(span, delay): &(Span, i64)| Some(span.reach()?.saturating_add(*delay));
        let longest = |kept: &Kept<C>| kept.spans.iter().map(reach).collect::<Option<Vec<i64>>>()?.into_iter().max();
        Self { ids: ids(&kept), reaches: kept.iter().map(longest).collect(), kept }
    }

    /// The histories.
    #[must_use]
    pub fn kept(&self) -> &[Kept<C>] {
        &self.kept
    }
}

/// What a record leaves in a history.
pub enum Feed<C: Distinguishes> {
    /// An item.
    Item(C::Item),
    /// A value, for a history that tells values apart.
    Value(C::Value),
}

/// What the operator computes.
pub trait Indicators: 'static {
    /// The records that come in.
    type In: Data;
    /// The values of the indicators of one record.
    type Values;
    /// The records that go out.
    type Out: Clone + 'static;
    /// The items of histories.
    type Column: Distinguishes;

    /// Whether the histories are always the same ones, and of one group. If not, [`Indicators::learn`] may change them.
    const FIXED: bool = true;

    /// The histories of each key of a group; without any if nothing asks for the group any longer.
    fn plan(&self, group: u64) -> &Arc<Plan<Self::Column>>;
    /// Called once on every worker, before anything else. It may declare states of its own.
    ///
    /// # Errors
    /// The operator has a state of the same name.
    fn open(&mut self, _context: &mut Context) -> Result<(), Error> {
        Ok(())
    }
    /// Called when the states hold what the job resumes from.
    ///
    /// # Errors
    /// An error here fails the job.
    fn opened(&mut self) -> Result<(), Error> {
        Ok(())
    }
    /// Takes up what a record says about the indicators themselves. Returns whether that is all there is to it.
    ///
    /// # Errors
    /// An error here fails the job.
    fn learn(&mut self, _record: &Self::In) -> Result<bool, Error> {
        Ok(false)
    }
    /// From when on histories are whole, where not for ever, as far as a record is concerned.
    fn floors(&self, _record: &Self::In) -> Option<Arc<[Floor]>> {
        None
    }
    /// No record up to this time is yet to come. Returns whether keys may have histories that are in no plan any longer.
    fn settle(&mut self, _time: i64) -> bool {
        false
    }
    /// Whether a record goes on, with values. Others only feed histories.
    fn asks(&self, _record: &Self::In) -> bool {
        true
    }
    /// Whether late records that don't go on are counted here, and not by another operator that the same records come to.
    fn owns_late(&self) -> bool {
        true
    }
    /// Whether the key of a record is known. If not, its values are those of [`Indicators::unknown`], and it feeds nothing.
    fn has_key(&self, _record: &Self::In) -> bool {
        true
    }
    /// The values of a record whose key is not known.
    fn unknown(&self, record: &Self::In) -> Self::Values;
    /// Called once for each record whose key is known, before anything else is asked of it.
    ///
    /// # Errors
    /// An error here fails the job.
    fn read(&mut self, _record: &Self::In) -> Result<(), Error> {
        Ok(())
    }
    /// The values of a record, which its histories do not hold yet.
    ///
    /// # Errors
    /// An error here fails the job.
    fn values<K: Key>(&mut self, record: &Self::In, view: &mut View<'_, '_, K, Self::Column>) -> Result<Self::Values, Error>;
    /// What a record leaves in a history.
    fn feeds(&mut self, record: &Self::In, history: usize) -> Option<Feed<Self::Column>>;
    /// What goes out for a record.
    fn out(&self, record: Self::In, values: Self::Values) -> Self::Out;
}

/// When records go on.
pub enum Flow<T> {
    /// At once. Values are exact for records at most so many milliseconds behind the watermark.
    Arrival {
        /// Milliseconds.
        lateness: i64,
    },
    /// When the watermark has come to them, in the order of event time. Those of the same time are ordered by this.
    Time(Ties<T>),
}

/// The number of a history. It is found in savepoints by it, so it depends on what tells the history from others, and not on its place.
fn ids<C>(histories: &[Kept<C>]) -> Vec<HistoryId> {
    let mut ids: Vec<HistoryId> = Vec::with_capacity(histories.len());
    for history in histories {
        let hash = stable_hash(&(&history.name.name, &history.name.is));
        let mut id = hash as HistoryId;
        while ids.contains(&id) {
            id = id.wrapping_add(1);
        }
        ids.push(id);
    }
    ids
}

//! Indicators of rules: the histories of each key, for the indicators of all versions that still matter.

use std::collections::HashMap;
use std::sync::Arc;

use tidegate_operators::indicator::{Feed, Floor, Indicators, Plan, View};
use tidegate_rows::Value;
use tidegate_runtime::Error;
use tidegate_runtime::metrics::OperatorMetrics;
use tidegate_runtime::operator::Context;
use tidegate_runtime::state::Key;

use super::known::Known;
use super::set::{KeyOf, Member};
use super::{Answer, FeatureShop, Group, Question, ToOwner};
use crate::stage::RowColumn;
use crate::stage::indicators::{PlannedGroup, RowIndicators};

/// Computes the indicators of rules.
pub(in super::super) struct Counting {
    shop: Arc<FeatureShop>,
    workers: usize,
    /// There is something once the operator is open.
    known: Option<Known>,
    /// Whether keys may have histories that nothing asks for any longer.
    outdated: bool,
    groups: HashMap<Group, OfKey>,
    /// The plan of a group that nothing asks for.
    nothing: Arc<Plan<RowColumn>>,
    metrics: Arc<OperatorMetrics>,
}

/// The indicators of one key.
struct OfKey {
    rows: RowIndicators,
    /// Its indicators, in the order of its values.
    members: Vec<Member>,
    /// What each set of features asks for.
    asked: HashMap<u64, Asked>,
}

/// What a set of features asks of a key.
struct Asked {
    /// The places of its values.
    places: Vec<usize>,
    /// Whether it needs each of the histories.
    feeds: Vec<bool>,
    /// Where histories are not whole for ever.
    floors: Option<Arc<[Floor]>>,
}

impl Counting {
    pub(in super::super) fn new(shop: &Arc<FeatureShop>, workers: usize) -> Self {
        let nothing = Arc::new(Plan::new(Vec::new()));
        let (shop, groups, metrics) = (Arc::clone(shop), HashMap::new(), Arc::default());
        Self { shop, workers, known: None, outdated: false, groups, nothing, metrics }
    }

    /// Plans all that is still asked for.
    fn regroup(&mut self) {
        let sets = self.known.as_ref().map_or_else(Vec::new, Known::sets);
        let all = FeatureShop::union(sets.iter());
        let groups = self.shop.groups(&all).into_iter().map(|planned| {
            let members: Vec<Member> = planned.places.iter().filter_map(|place| all.get(*place)).cloned().collect();
            let rows = planned.over_rows(self.shop.failures(), Arc::clone(&self.metrics));
            let asked = sets.iter().map(|set| {
                let wants = |member: &Member| set.indicators.iter().any(|one| one.is(member));
                let places: Vec<usize> = members.iter().enumerate().filter(|(_, one)| wants(one)).map(|(place, _)| place).collect();
                (set.number, Asked { feeds: rows.needed_for(&places), floors: floors(&planned, &members, &places), places })
            });
            let asked = asked.collect();
            (KeyOf::of_group(&planned).group, OfKey { rows, members, asked })
        });
        let groups: HashMap<Group, OfKey> = groups.collect();
        let names = |of_key: &OfKey| of_key.rows.plan_of().kept().iter().map(|kept| kept.name.clone()).collect::<Vec<_>>();
        let keeps = |group: &Group, old: &OfKey| {
            groups.get(group).is_some_and(|new| names(old).iter().all(|name| new.rows.plan_of().kept().iter().any(|kept| kept.name == *name)))
        };
        self.outdated |= self.groups.iter().any(|(group, old)| !keeps(group, old));
        self.groups = groups;
    }

    fn of(&self, question: &Question) -> Option<(&OfKey, &Asked)> {
        let of_key = self.groups.get(&question.key.0)?;
        Some((of_key, of_key.asked.get(&question.set)?))
    }
}

/// From when on histories are whole for the indicators in these places.
fn floors(planned: &PlannedGroup, members: &[Member], places: &[usize]) -> Option<Arc<[Floor]>> {
    let mut floors = Vec::new();
    for (sweep, query) in planned.sweeps.iter().flat_map(|sweep| sweep.queries.iter().map(move |query| (sweep, query))) {
        let asked = query.answers.iter().map(|answer| answer.place).filter(|place| places.contains(place));
        let since = asked.filter_map(|place| members.get(place)).map(|member| member.since).max();
        if let Some(from) = since.filter(|since| *since > i64::MIN) {
            floors.push(Floor { history: sweep.history, span: query.span.clone(), delay: sweep.delay, from });
        }
    }
    (!floors.is_empty()).then(|| floors.into())
}

/// The question in what comes. Versions are learned, and are nothing else.
fn question(record: &ToOwner) -> Option<&Question> {
    match record {
        ToOwner::Question(question) => Some(question),
        ToOwner::Version(..) => None,
    }
}

impl Indicators for Counting {
    type In = ToOwner;
    type Values = Vec<Value>;
    type Out = Answer;
    type Column = RowColumn;

    const FIXED: bool = false;

    fn plan(&self, group: u64) -> &Arc<Plan<RowColumn>> {
        self.groups.get(&group).map_or(&self.nothing, |of_key| of_key.rows.plan_of())
    }

    fn open(&mut self, context: &mut Context) -> Result<(), Error> {
        self.metrics = Arc::clone(&context.metrics);
        self.known = Some(Known::new(&self.shop, self.workers, context)?);
        Ok(())
    }

    fn opened(&mut self) -> Result<(), Error> {
        if let Some(known) = &mut self.known {
            known.restore();
        }
        self.regroup();
        Ok(())
    }

    fn learn(&mut self, record: &ToOwner) -> Result<bool, Error> {
        let ToOwner::Version(_, accepted) = record else { return Ok(false) };
        if let Some(known) = &mut self.known
            && known.learn(accepted)?
        {
            self.regroup();
        }
        Ok(true)
    }

    fn settle(&mut self, time: i64) -> bool {
        if self.known.as_mut().is_some_and(|known| known.settle(time)) {
            self.regroup();
        }
        std::mem::take(&mut self.outdated)
    }

    fn floors(&self, record: &ToOwner) -> Option<Arc<[Floor]>> {
        question(record).and_then(|question| self.of(question)).and_then(|(_, asked)| asked.floors.clone())
    }

    fn owns_late(&self) -> bool {
        false
    }

    fn has_key(&self, record: &ToOwner) -> bool {
        question(record).is_some_and(|question| question.known)
    }

    fn unknown(&self, record: &ToOwner) -> Vec<Value> {
        let of = question(record).and_then(|question| self.of(question));
        of.map_or_else(Vec::new, |(of_key, _)| of_key.rows.unknown_values())
    }

    fn read(&mut self, record: &ToOwner) -> Result<(), Error> {
        let Some(question) = question(record) else { return Ok(()) };
        match self.groups.get_mut(&question.key.0) {
            Some(of_key) if of_key.asked.contains_key(&question.set) => of_key.rows.read_row(0, &question.row),
            _ => Err(Error::internal("a question came for features that are not known")),
        }
    }

    fn values<K: Key>(&mut self, record: &ToOwner, view: &mut View<'_, '_, K, RowColumn>) -> Result<Vec<Value>, Error> {
        let of_key = question(record).and_then(|question| self.groups.get_mut(&question.key.0));
        of_key.map_or_else(|| Ok(Vec::new()), |of_key| of_key.rows.values_of(0, view))
    }

    fn feeds(&mut self, record: &ToOwner, history: usize) -> Option<Feed<RowColumn>> {
        let (of_key, asked) = question(record).and_then(|question| self.of(question))?;
        if asked.feeds.get(history) == Some(&true) { of_key.rows.leaves(0, history) } else { None }
    }

    fn out(&self, record: ToOwner, values: Vec<Value>) -> Answer {
        let ToOwner::Question(question) = record else { return Answer { worker: 0, number: 0, values: Vec::new() } };
        let Some((of_key, asked)) = self.of(&question) else {
            return Answer { worker: question.worker, number: question.number, values: Vec::new() };
        };
        let value = |place: &usize| Some((of_key.members.get(*place)?.id, values.get(*place)?.clone()));
        Answer { worker: question.worker, number: question.number, values: asked.places.iter().filter_map(value).collect() }
    }
}

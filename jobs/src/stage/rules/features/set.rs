//! Features compiled: which there are at a time, who must be asked for them, and what a change does to what is kept.

use std::sync::Arc;

use jiff::Timestamp;
use tidegate_expr::Expr;
use tidegate_operators::indicator::{Ever, Span};
use tidegate_rows::{Row, Schema, Type, Value};
use tidegate_rules::Version;
use tidegate_runtime::{Error, Field, stable_hash};

use super::super::document::Wrong;
use super::super::named::Named;
use super::super::timeline::Layers;
use super::texts::{FeatureTexts, SoughtText};
use super::{Group, GroupKey};
use crate::relation::appended::Appended;
use crate::relation::expression::expression;
use crate::relation::failures::{Failures, OnError};
use crate::relation::key::{KeySlots, RowKey};
use crate::stage::indicators::{Groups, Indicator, One, PlannedGroup};
use crate::stage::kind::Head;
use crate::stage::pattern::{Sought, form};

/// All features of one version.
pub(in super::super) struct FeatureSet {
    /// Tells it from other sets.
    pub(super) number: u64,
    pub(in super::super) texts: Arc<FeatureTexts>,
    /// In the order in which rows have their values.
    pub(in super::super) features: Vec<Feature>,
    pub(super) indicators: Vec<Member>,
    pub(super) counted: Vec<Counted>,
    pub(super) matched: Vec<Arc<Matched>>,
}

/// A feature.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) struct Feature {
    /// Tells its definition from others.
    pub(in super::super) id: u64,
    pub(in super::super) name: String,
    pub(in super::super) ty: Type,
}

/// An indicator.
#[derive(Clone)]
pub(super) struct Member {
    pub(super) id: u64,
    /// From when on its history is whole: event time in milliseconds.
    pub(super) since: i64,
    named: Arc<Named<Indicator>>,
}

/// Indicators of one key.
pub(super) struct Counted {
    pub(super) key: KeyOf,
    kept: Vec<KeptFor>,
}

/// What is kept for one indicator.
#[derive(Clone)]
struct KeptFor {
    name: String,
    history: Field,
    span: Span,
    delay: i64,
    /// What is kept of what came before all spans.
    ever: Ever,
    /// Whether this indicator needs all of that, and not only a summary.
    needs_items: bool,
    since: i64,
}

impl KeptFor {
    /// How far it reaches back, in milliseconds, if it ends.
    fn reach(&self) -> Option<i64> {
        Some(self.span.reach()?.saturating_add(self.delay))
    }

    /// From when on the other has been kept as a whole, if this one was kept up to a time.
    fn lends(&self, other: &Self, until: i64) -> Option<i64> {
        let ends = |span: &Span| matches!(span, Span::Trailing { .. } | Span::Calendar(_));
        if self.history != other.history || self.ever == Ever::Summary && other.needs_items {
            return None;
        }
        if self.span == other.span && self.delay == other.delay {
            return Some(self.since);
        }
        let (reach, wanted) = self.reach().zip(other.reach()).filter(|_| ends(&self.span) && ends(&other.span))?;
        Some(if reach >= wanted { self.since } else { self.since.max(until.saturating_sub(reach)) })
    }
}

/// A pattern.
pub(super) struct Matched {
    pub(super) id: u64,
    /// From when on there has been one of its steps: event time in milliseconds.
    pub(super) since: i64,
    pub(super) name: String,
    pub(super) key: KeyOf,
    pub(super) sought: Sought,
}

/// The key of a group, in rows.
#[derive(Clone)]
pub(super) struct KeyOf {
    pub(super) group: Group,
    slots: Vec<usize>,
    computed: Vec<Expr>,
    key: KeySlots,
}

impl KeyOf {
    /// The key of a row, and whether it is known. A part that fails is not.
    pub(super) fn of(&self, row: &Row, failures: &mut Failures) -> Result<(GroupKey, bool), Error> {
        if self.computed.is_empty() {
            return Ok(self.among(row));
        }
        let mut values = row.0.to_vec();
        for part in &self.computed {
            let value = part.eval(row).or_else(|error| failures.report(part, &error.to_string(), row).map(|()| Value::Null))?;
            values.push(value);
        }
        Ok(self.among(&Row(values.into())))
    }

    fn among(&self, row: &Row) -> (GroupKey, bool) {
        let known = self.slots.iter().all(|slot| !row.get(*slot).is_null());
        ((self.group, if known { self.key.of(row) } else { RowKey::Whole }), known)
    }
}

impl FeatureSet {
    /// Compiles features, which take the place of others at a time.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    fn new(texts: Arc<FeatureTexts>, shop: &FeatureShop, before: Option<(&Self, i64)>) -> Result<Self, Wrong> {
        let mut wrong = Wrong::new();
        let (mut features, mut indicators, mut matched) = (Vec::new(), Vec::new(), Vec::new());
        for named in &texts.indicators {
            let id = stable_hash(&("indicator", &named.name.value, &named.json().to_string()));
            let (ty, _) = One::plan(&named.read, &shop.head, &shop.records, &[], &mut wrong);
            features.push(Feature { id, name: named.name.value.clone(), ty });
            indicators.push(Member { id, since: i64::MIN, named: Arc::clone(named) });
        }
        for named in &texts.patterns {
            if features.iter().any(|known| known.name == named.name.value) || shop.records.declares(&named.name.value) {
                wrong.push(named.name.problem(format!("there is a field or a feature `{}` already: name the pattern otherwise", named.name.value)));
            }
            let id = stable_hash(&("pattern", &named.name.value, &named.json().to_string()));
            matched.extend(shop.pattern(id, named, before, &mut wrong).map(Arc::new));
            features.push(Feature { id, name: named.name.value.clone(), ty: Type::Bool });
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let group = |indicators: &[Member]| shop.groups(indicators).iter().map(|group| Counted::of(group, indicators)).collect::<Vec<_>>();
        let mut counted = group(&indicators);
        if let Some((before, active)) = before {
            let since = |name: &str| counted.iter().find_map(|group| group.since(name, before, active)).unwrap_or(active);
            indicators.iter_mut().for_each(|member| member.since = since(&member.named.name.value));
            counted = group(&indicators);
        }
        let numbers: Vec<(u64, i64)> = indicators.iter().map(|one| (one.id, one.since)).chain(matched.iter().map(|one| (one.id, one.since))).collect();
        Ok(Self { number: stable_hash(&numbers), texts, features, indicators, counted, matched })
    }

    /// Whether there are none.
    pub(in super::super) fn is_empty(&self) -> bool {
        self.features.is_empty()
    }

    /// A row with its features behind its fields. What has not been answered is null.
    pub(in super::super) fn put(&self, row: Row, answered: &[(u64, Value)]) -> Row {
        let of = |feature: &Feature| answered.iter().find(|(id, _)| *id == feature.id).map_or(Value::Null, |(_, value)| value.clone());
        let mut values = row.0.into_vec();
        values.reserve_exact(self.features.len());
        values.extend(self.features.iter().map(of));
        Row(values.into())
    }
}

impl Counted {
    fn of(group: &PlannedGroup, indicators: &[Member]) -> Self {
        let mut kept = Vec::new();
        for (sweep, query) in group.sweeps.iter().flat_map(|sweep| sweep.queries.iter().map(move |query| (sweep, query))) {
            let Some(history) = group.plan.kept().get(sweep.history) else { continue };
            let members = query.answers.iter().filter_map(|answer| Some((indicators.get(*group.places.get(answer.place)?)?, answer.needs_items())));
            kept.extend(members.map(|(member, needs_items)| KeptFor {
                name: member.named.name.value.clone(),
                // One that never ends has a history of its own.
                history: Field { name: without_since(&history.name.name, member.since).to_owned(), is: history.name.is.clone() },
                span: query.span.clone(),
                delay: sweep.delay,
                ever: history.ever,
                needs_items,
                since: member.since,
            }));
        }
        Self { key: KeyOf::of_group(group), kept }
    }

    /// From when on the history of an indicator of this group is whole, if that can be known from what was kept up to a time.
    fn since(&self, name: &str, before: &FeatureSet, until: i64) -> Option<i64> {
        let new = self.kept.iter().find(|kept| kept.name == name)?;
        let old = before.counted.iter().filter(|old| old.key.group == self.key.group).flat_map(|old| &old.kept);
        old.filter_map(|old| old.lends(new, until)).min()
    }
}

/// The name of a history without the time since which there has been one.
fn without_since(name: &str, since: i64) -> &str {
    name.strip_suffix(&format!(" since {since}")).unwrap_or(name)
}

impl KeyOf {
    pub(super) fn of_group(group: &PlannedGroup) -> Self {
        let first = |all: &[Vec<usize>]| all.first().cloned().unwrap_or_default();
        Self {
            group: stable_hash(&group.words),
            slots: first(&group.slots),
            computed: group.computed.first().cloned().unwrap_or_default(),
            key: group.keys.first().cloned().flatten().unwrap_or(KeySlots::Whole),
        }
    }
}

/// Makes sets of features.
pub(in super::super) struct FeatureShop {
    pub(super) stream: String,
    head: Head,
    pub(in super::super) records: Schema,
    on_error: OnError,
    first: Option<Arc<FeatureSet>>,
}

impl FeatureShop {
    /// Compiles the features of a job file.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub(in super::super) fn new(texts: Arc<FeatureTexts>, head: &Head, records: &Schema) -> Result<Self, Wrong> {
        let (head, records) = (head.clone(), records.clone());
        let mut shop = Self { stream: head.name.value.clone(), on_error: head.on_error, head, records, first: None };
        shop.first = Some(Arc::new(FeatureSet::new(texts, &shop, None)?));
        Ok(shop)
    }

    /// What becomes of features with these texts, from a time on (milliseconds) up to which others have been active.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub(in super::super) fn changed(
        &self,
        before: &Arc<FeatureSet>,
        texts: &Arc<FeatureTexts>,
        (until, from): (&Arc<FeatureSet>, i64),
    ) -> Result<Arc<FeatureSet>, Wrong> {
        if Arc::ptr_eq(&before.texts, texts) && Arc::ptr_eq(before, until) {
            return Ok(Arc::clone(before));
        }
        FeatureSet::new(Arc::clone(texts), self, Some((until, from))).map(Arc::new)
    }

    /// What there is to ask for, for people.
    pub(in super::super) fn words(&self) -> String {
        let first = self.first();
        let names: Vec<&str> = first.features.iter().map(|feature| feature.name.as_str()).collect();
        if names.is_empty() { "asks for features that versions add".to_owned() } else { format!("asks for {}", names.join(", ")) }
    }

    /// What failing expressions do.
    pub(super) fn failures(&self) -> Failures {
        Failures::new(&self.stream, &self.records, self.on_error).passing()
    }

    /// All indicators of some sets.
    pub(super) fn union<'s>(sets: impl Iterator<Item = &'s Arc<FeatureSet>>) -> Vec<Member> {
        let mut all: Vec<Member> = Vec::new();
        for member in sets.flat_map(|set| &set.indicators) {
            if !all.iter().any(|known| known.is(member)) {
                all.push(member.clone());
            }
        }
        all
    }

    /// Indicators by key.
    pub(super) fn groups(&self, indicators: &[Member]) -> Vec<PlannedGroup> {
        let mut groups = Groups::default();
        for (place, member) in indicators.iter().enumerate() {
            // What is wrong with it has been told before.
            if let (_, Some(one)) = One::plan(&member.named.read, &self.head, &self.records, &[], &mut Vec::new()) {
                groups.add_since(&member.named.read, place, one, member.since);
            }
        }
        groups.planned(&[&self.records])
    }

    fn pattern(&self, id: u64, named: &Named<SoughtText>, before: Option<(&FeatureSet, i64)>, wrong: &mut Wrong) -> Option<Matched> {
        let found = wrong.len();
        let texts = named.read.key.as_ref().unwrap_or(&self.head.key);
        let parts: Vec<Expr> = texts.iter().filter_map(|text| expression(text, &self.records, wrong)).collect();
        let sought = Sought::compile(&named.read.pattern, &self.records, wrong);
        let engine = if wrong.len() == found { sought.engine(&named.read.pattern, wrong) } else { None };
        let engine = engine.filter(|_| wrong.len() == found)?;
        let texts: Vec<&str> = texts.iter().map(|text| text.value.trim()).collect();
        // Partial matches are at one of the steps, and end by its times. Those of other steps are of another pattern.
        let shape = &named.read.pattern.shape;
        let group = stable_hash(&(&named.name.value, form(shape), shape.within, &shape.after_match, engine.to_string(), &texts));
        let mut appended = Appended::to(&self.records);
        let slots: Vec<usize> = parts.into_iter().map(|part| appended.slot(part)).collect();
        let key = KeySlots::over(&slots, &self.records, appended.values());
        let key = KeyOf { group, slots, computed: appended.values().to_vec(), key };
        let since = before.map_or(i64::MIN, |(before, active)| {
            before.matched.iter().find(|known| known.key.group == group).map_or(active, |known| known.since)
        });
        Some(Matched { id, since, name: named.name.value.clone(), key, sought })
    }
}

impl Layers for FeatureShop {
    type Layer = FeatureSet;

    fn first(&self) -> Arc<FeatureSet> {
        self.first.clone().unwrap_or_else(|| Arc::new(FeatureSet::none()))
    }

    fn change(&self, layer: &Arc<FeatureSet>, version: &Version, until: (&Arc<FeatureSet>, i64)) -> Result<Arc<FeatureSet>, Wrong> {
        let mut texts = Arc::clone(&layer.texts);
        for change in version.changes.iter().filter(|change| change.path().is_some_and(FeatureTexts::has_path)) {
            Arc::make_mut(&mut texts).apply(change, true)?;
        }
        self.changed(layer, &texts, until)
    }

    fn version(_: &FeatureSet) -> u64 {
        0
    }
}

impl FeatureSet {
    /// No features.
    pub(in super::super) fn none() -> Self {
        let (features, indicators, counted, matched) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { number: 0, texts: Arc::default(), features, indicators, counted, matched }
    }
}

impl Member {
    /// Whether another is the same, with the same history.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.id == other.id && self.since == other.since
    }
}

/// What becomes of what was kept, in words, as one set takes the place of another at this time (milliseconds).
pub(in super::super) fn effects(before: &FeatureSet, after: &FeatureSet, active: i64) -> Vec<String> {
    let mut effects = Vec::new();
    let known = |name: &str| before.features.iter().find(|feature| feature.name == name).map(|feature| feature.id);
    let is_new = |kept: &&KeptFor| after.features.iter().any(|feature| feature.name == kept.name && known(&kept.name) != Some(feature.id));
    for kept in after.counted.iter().flat_map(|group| &group.kept).filter(is_new) {
        let name = &kept.name;
        match kept.reach() {
            None if kept.since == i64::MIN => {}
            None => effects.push(format!("indicator `{name}` is cold: it knows nothing from before")),
            Some(reach) => {
                let whole = kept.since.saturating_add(reach);
                if whole > active && let Ok(whole) = Timestamp::from_millisecond(whole) {
                    effects.push(format!("indicator `{name}` is cold until {whole}"));
                }
            }
        }
    }
    for pattern in &after.matched {
        if before.matched.iter().any(|old| old.name == pattern.name && old.key.group != pattern.key.group) {
            effects.push(format!("pattern `{}` has other steps, times or another key: its partial matches are dropped", pattern.name));
        }
    }
    effects
}

//! Groups indicators by key, and finds what those of a group can share: histories, and sweeps over them.

use std::sync::Arc;

use jiff::SignedDuration;
use tidegate_expr::{Expr, has_forms};
use tidegate_operators::indicator::{Distinct, Ever, Kept, Plan, Span};
use tidegate_rows::{Schema, Type, Value};
use tidegate_runtime::Field;

use super::Indicator;
use super::build::PlannedGroup;
use super::column::RowColumn;
use super::functions::{Compiled, Leaves, What};
use super::plan::One;
use super::rows::{Fills, Reads};
use super::sweep::{Answer, Query, Sweep};
use crate::relation::appended::Appended;
use crate::relation::key::KeySlots;
use crate::yaml::{duration_text, millis};

/// The indicators by key.
#[derive(Default)]
pub(crate) struct Groups(Vec<Group>);

/// The indicators of one key.
struct Group {
    texts: Vec<String>,
    /// The parts of the key in the rows of each stream that takes part, by its number.
    keys: Vec<Option<Vec<Expr>>>,
    reads: Vec<Reads>,
    histories: Vec<History>,
    sweeps: Vec<Sweep>,
    /// The places of its values among all.
    places: Vec<usize>,
}

struct History {
    name: Field,
    fills: Fills,
    column: RowColumn,
    spans: Vec<(Span, i64)>,
    ever: Ever,
}

impl Groups {
    /// The groups as they are built, over rows of these schemas.
    pub(crate) fn planned(self, sources: &[&Schema]) -> Vec<PlannedGroup> {
        self.0.into_iter().map(|group| group.planned(sources)).collect()
    }

    /// Adds an indicator whose value is at this place among all.
    pub(crate) fn add(&mut self, indicator: &Indicator, place: usize, one: One) {
        self.add_since(indicator, place, one, i64::MIN);
    }

    /// The same for an indicator that there is since a time, in milliseconds. What never ends has a history of its own then.
    pub(crate) fn add_since(&mut self, indicator: &Indicator, place: usize, one: One, since: i64) {
        let One { source, call, filter, keys, default, span } = one;
        let fits = |group: &Group| {
            let texts = |exprs: &[Expr]| exprs.iter().map(|expr| expr.source().trim().to_owned()).collect::<Vec<_>>();
            let same = group.keys.get(source).and_then(Option::as_ref).is_none_or(|fed| texts(fed) == texts(&keys.fed));
            group.texts == keys.texts && same
        };
        let at = self.0.iter().position(fits);
        let at = at.unwrap_or_else(|| {
            let group = Group {
                texts: keys.texts.clone(),
                keys: vec![Some(keys.asked)],
                reads: Vec::new(),
                histories: Vec::new(),
                sweeps: Vec::new(),
                places: Vec::new(),
            };
            self.0.push(group);
            self.0.len() - 1
        });
        let Some(group) = self.0.get_mut(at) else { return };
        group.keys.resize(group.keys.len().max(source + 1), None);
        group.reads.resize_with(group.keys.len(), Reads::default);
        if let Some(fed @ None) = group.keys.get_mut(source) {
            *fed = Some(keys.fed);
        }
        let history = group.history(indicator, source, &call, filter, (&span, since));
        group.ask(indicator, history, call.what, default, span, place);
    }
}

impl Group {
    /// The history that serves an indicator.
    fn history(&mut self, indicator: &Indicator, source: usize, call: &Compiled, filter: Option<Expr>, (span, since): (&Span, i64)) -> usize {
        let (mut name, is) = call.leaves.kept();
        if let Some(filter) = &filter {
            name.push_str(&format!(" where {}", filter.source().trim()));
        }
        if let Some(from) = &indicator.from {
            name.push_str(&format!(" from {}", from.value));
        }
        let silence = if let Span::Ever { ttl: Some(ttl) } = span { Some(*ttl) } else { None };
        if let Some(ttl) = silence {
            name.push_str(&format!(" ttl {}", duration_text(SignedDuration::from_millis(ttl))));
        }
        // Where records take places or end a silence, those without a value do, too.
        let keeps_nulls = silence.is_some() || matches!(span, Span::Last { .. });
        if keeps_nulls && silence.is_none() && matches!(call.leaves, Leaves::Distinct(_)) {
            name.push_str(" with nulls");
        }
        if since > i64::MIN && matches!(span, Span::Ever { .. }) {
            name.push_str(&format!(" since {since}"));
        }
        let name = Field::new(name, is);
        if let Some(at) = self.histories.iter().position(|history| history.name == name) {
            return at;
        }
        let reads = &mut self.reads[source];
        let condition = filter.map(|filter| {
            let known = reads.conditions.iter().position(|known| known.source().trim() == filter.source().trim());
            known.unwrap_or_else(|| {
                reads.conditions.push(filter);
                reads.conditions.len() - 1
            })
        });
        let kept = call.leaves.kept();
        let leaves = reads.leaves.iter().position(|known| known.kept() == kept).unwrap_or_else(|| {
            reads.leaves.push(call.leaves.clone());
            reads.leaves.len() - 1
        });
        let column = match &call.leaves {
            Leaves::Time => RowColumn::Times,
            Leaves::Value { value, checked } => RowColumn::values(value.ty(), *checked || is_number(value.ty())),
            Leaves::Form(_) | Leaves::Place(..) => RowColumn::values(&Type::Any, false),
            Leaves::Distinct(_) => RowColumn::Distinct(Distinct::default()),
            Leaves::Flag(_) => RowColumn::Flags(Vec::new()),
        };
        let fills = Fills { source: u8::try_from(source).unwrap_or(u8::MAX), condition, leaves, keeps_nulls };
        self.histories.push(History { name, fills, column, spans: Vec::new(), ever: Ever::Nothing });
        self.histories.len() - 1
    }

    /// Adds the answer for an indicator.
    fn ask(&mut self, indicator: &Indicator, at: usize, what: What, default: Value, span: Span, place: usize) {
        let delay = millis(indicator.delay);
        let history = &mut self.histories[at];
        if matches!(span, Span::Ever { .. }) {
            let items = what.needs_items() || matches!((&history.column, &span), (RowColumn::Distinct(_), Span::Ever { ttl: Some(_) }));
            history.ever = match (history.ever, items) {
                (Ever::Items, _) | (_, true) => Ever::Items,
                _ => Ever::Summary,
            };
        }
        if !history.spans.iter().any(|known| *known == (span.clone(), delay)) {
            history.spans.push((span.clone(), delay));
        }
        let own = indicator.own && history.fills.source == 0 && delay == 0 && span.ends_now() && !what.looks_back();
        let (folds, needs_ends) = (what.folds(), what.needs_ends());
        let answer = Answer { place: self.places.len(), what, default };
        self.places.push(place);
        // Spans that end elsewhere have no sweep in common with others.
        let together = |sweep: &Sweep| {
            let alike = sweep.history == at && sweep.delay == delay && sweep.own == own;
            alike && sweep.queries.iter().all(|query| query.span == span || query.span.ends_now() && span.ends_now())
        };
        let sweep = match self.sweeps.iter().position(together) {
            Some(known) => known,
            None => {
                let nothing = history.column.no_values();
                self.sweeps.push(Sweep { history: at, delay, own, queries: Vec::new(), folds: Vec::new(), ends: false, nothing });
                self.sweeps.len() - 1
            }
        };
        let sweep = &mut self.sweeps[sweep];
        sweep.ends |= needs_ends;
        sweep.folds.extend(folds);
        sweep.folds.sort_unstable();
        sweep.folds.dedup();
        match sweep.queries.iter_mut().find(|query| query.span == span) {
            Some(query) => query.answers.push(answer),
            None => sweep.queries.push(Query { span, answers: vec![answer] }),
        }
    }

    /// The group as it is built, over rows of these schemas.
    fn planned(self, sources: &[&Schema]) -> PlannedGroup {
        let mut computed: Vec<Vec<Expr>> = Vec::new();
        let mut slots: Vec<Option<Vec<usize>>> = Vec::new();
        let parts = self.texts.len();
        let ty = |part: usize| self.keys.iter().flatten().filter_map(move |keys| keys.get(part)).map(Expr::ty);
        let forms: Vec<bool> =
            (0..parts).map(|part| ty(part).any(has_forms) || ty(part).any(|one| ty(part).any(|other| one != other))).collect();
        for (keys, schema) in self.keys.iter().zip(sources) {
            let mut appended = Appended::to(schema);
            slots.push(keys.as_ref().map(|keys| keys.iter().map(|key| appended.slot(key.clone())).collect()));
            computed.push(appended.values().to_vec());
        }
        let key = |slots: &Option<Vec<usize>>| slots.as_ref().map(|slots| KeySlots::new(slots, &forms));
        let of_key = self.texts.iter().zip(self.keys.first().into_iter().flatten().flatten());
        let kept = self.histories.iter().map(|history| Kept {
            name: history.name.clone(),
            column: history.column.clone(),
            spans: history.spans.clone(),
            ever: history.ever,
        });
        PlannedGroup {
            suffix: suffix(&self.texts),
            words: if self.texts.is_empty() { "of the whole stream".to_owned() } else { format!("by {}", self.texts.join(", ")) },
            fields: slots.first().cloned().flatten().unwrap_or_default(),
            basis: of_key.map(|(text, expr)| Field::new(text.clone(), expr.ty().to_string())).collect(),
            keys: slots.iter().map(key).collect(),
            slots: slots.into_iter().map(Option::unwrap_or_default).collect(),
            computed,
            plan: Arc::new(Plan::new(kept.collect())),
            fills: self.histories.iter().map(|history| history.fills.clone()).collect(),
            reads: self.reads.into(),
            sweeps: self.sweeps,
            places: self.places,
        }
    }
}

fn is_number(ty: &Type) -> bool {
    matches!(ty, Type::Int | Type::Uint | Type::Double | Type::Decimal)
}

/// What the operator of a group is called after the name of its stream.
fn suffix(texts: &[String]) -> String {
    if texts.is_empty() {
        return "all".to_owned();
    }
    let clean = |text: &String| text.chars().map(|c| if c.is_alphanumeric() || c == '_' { c } else { '_' }).collect::<String>();
    texts.iter().map(clean).collect::<Vec<_>>().join(".")
}

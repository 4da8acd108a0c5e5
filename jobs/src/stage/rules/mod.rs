//! `rules`: scenarios that decide about each record, with lists, rules and a strategy that can change while the job runs.

mod build;
mod control;
mod diff;
mod document;
mod drawn;
mod features;
mod judge;
mod list;
mod named;
mod read;
mod restore;
mod shown;
mod store;
mod timeline;
mod uses;
mod waiting;

use std::sync::Arc;

use tidegate_expr::identifiers;
use tidegate_rules::Mode;

use super::kind::{Around, Head, Kind, Planned, Read, Refused, Scope, Stage};
use crate::relation::known::{Known, Order, Timing};
use crate::text::{Span, Spanned};
use crate::yaml::{Literal, Node, Reader, Table, Value, key};
pub use drawn::drawn;
use document::Document;
pub(crate) use document::parse as parse_value;
pub(crate) use features::SOUGHT;
use features::FeatureTexts;
pub use diff::{Difference, differences, streams_with_rules};
pub(crate) use document::FactorText;
pub use list::ListSpec;
pub(crate) use shown::of_rules;
pub(crate) use list::{ENTRY, LIST, read as read_list};

pub(crate) static KIND: Kind = Kind {
    key: key("rules", "mapping", "none", "scenarios that decide about each record: lists, rules and a strategy"),
    tables: &[&RULES, &SOUGHT, &read::SCENARIO, &read::CHECK, &read::RULE, &read::ROLLOUT, &read::STRATEGY, &read::BAND],
    keyed: true,
    windowed: false,
    ordered: true,
    stateful: true,
    late: true,
    timeouts: false,
    beside: None,
    table: None,
};

static RULES: Table = Table {
    name: "rules",
    title: "rules",
    keys: &[
        key("scenarios", "mapping", "", "the kinds of records that need a decision, by name"),
        key("indicators", "mapping", "none", "[indicators](#indicators) that conditions can use by name, and that versions can change"),
        key("patterns", "mapping", "none", "patterns, with the keys of a [pattern](#pattern) and a `key`; the name of one is true for the record that completes a match, and versions can change it"),
    ],
};

/// `rules`.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The span of the key `rules`.
    pub place: Spanned<()>,
    /// The scenarios, and the factors of the job.
    document: Document,
    /// The lists of the job.
    lists: Arc<[ListSpec]>,
}

impl PartialEq for Rules {
    fn eq(&self, other: &Self) -> bool {
        self.place == other.place
    }
}

/// A value of a job file as JSON.
pub(crate) fn json_of(node: &Node) -> serde_json::Value {
    match &node.value {
        Value::Scalar { text, plain } => match Literal::read(text, *plain) {
            Literal::Null => serde_json::Value::Null,
            Literal::Bool(value) => value.into(),
            Literal::Int(value) => value.into(),
            Literal::Double(value) => value.into(),
            Literal::String(value) => value.into(),
        },
        Value::List(items) => items.iter().map(json_of).collect(),
        Value::Map(entries) => {
            serde_json::Value::Object(entries.iter().map(|entry| (entry.key.value.clone(), json_of(&entry.value))).collect())
        }
    }
}

/// What is known of a ledger.
pub(crate) fn ledger() -> Known {
    Known::new(control::ledger(), Timing::Timed, Order::Arrival)
}

/// What a job has for the rules of all its streams.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) factors: Arc<Vec<FactorText>>,
    pub(crate) lists: Arc<[ListSpec]>,
}

pub(crate) fn read(reader: &mut Reader, node: &Node, at: &Span, around: &Around<'_>) -> Option<Read<Rules>> {
    let fields = reader.fields(node, at, &[&RULES], &format!("`rules` of {}", around.place))?;
    let scenarios = reader.required(&fields, "scenarios")?;
    let features = FeatureTexts::read(reader, fields.written("indicators"), fields.written("patterns"));
    let document = Document::read(reader, scenarios, Arc::clone(&around.shared.factors), features?)?;
    let stage = Rules { place: Spanned::new((), at.clone()), document, lists: Arc::clone(&around.shared.lists) };
    Some(Read { stage, whole: true })
}

impl Rules {
    /// What the stage is, for people.
    fn words(&self) -> String {
        let scenarios: Vec<String> = self
            .document
            .scenarios
            .iter()
            .map(|scenario| {
                let rules = scenario.rules.iter().map(|rule| &rule.read.rule).filter(|rule| rule.mode != Mode::Off).count();
                let lists = scenario.head.scenario.checks.len();
                let counted = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
                format!("{} ({}, {})", scenario.name.value, counted(lists, "list"), counted(rules, "rule"))
            })
            .collect();
        format!("rules for {}", scenarios.join(", "))
    }
}

impl Stage for Rules {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn names(&self, _: &Head) -> Vec<String> {
        self.document.texts().flat_map(|text| identifiers(&text.value)).chain(self.document.features.names()).collect()
    }

    fn plan(&self, scope: &mut Scope<'_>) -> Result<Option<Planned>, Refused> {
        build::plan(self, scope)
    }
}

//! Plans rules, and builds their operators.

use std::sync::Arc;

use tidegate_operators::Stream;
use tidegate_operators::indicator::{Flow, live};
use tidegate_operators::kinds::{RULES, RULES_ASK, RULES_CONTROL, RULES_INDICATORS, RULES_PATTERNS, RULES_USES};
use tidegate_rows::{Row, Schema};
use tidegate_rules::fields;
use tidegate_runtime::operator::{Context, Target, broadcast, keyed, routed};
use tidegate_runtime::{Basis, Edge, Field, OperatorSpec};

use super::control::{Accepted, DESK, Desk, Fields};
use super::features::{Answer, Aside as FeatureAside, Asking, Counting, GroupKey, Matching, ToAsk, ToOwner};
use super::judge::{Aside, Fed, Judging};
use super::timeline::Workshop;
use super::uses::{self, Uses};
use super::Rules;
use crate::relation::arrange;
use crate::relation::key::RowKey;
use crate::relation::known::{Known, Order, Timing};
use crate::relation::pipeline::Base;
use crate::relation::union::PlannedInput;
use crate::relation::updates::Updates;
use crate::stage::build::{Built, Rows, Site, Work, gather as rows_of};
use crate::stage::keyed::fields as fields_of;
use crate::stage::kind::{Head, Planned, Refused, Scope};
use crate::text::Problem;

/// When records are judged.
#[derive(Clone, Copy, Debug)]
pub(super) struct InFlow {
    pub(super) in_time: bool,
    /// Whether records come in the same order in every run.
    pub(super) settled: bool,
    /// How far behind the watermark records may ask, in milliseconds.
    pub(super) lateness: i64,
}

/// Planned rules.
struct PlannedRules {
    workshop: Arc<Workshop>,
    control: Option<(PlannedInput, Schema, Fields)>,
    flow: InFlow,
    /// The fields of the records.
    records: Schema,
    words: String,
}

/// Plans the rules of a stream.
pub(super) fn plan(stage: &Rules, scope: &mut Scope<'_>) -> Result<Option<Planned>, Refused> {
    let (head, input) = (scope.head, scope.input);
    let control = match &head.control {
        None => None,
        Some(name) => match scope.streams.get(name.as_str()) {
            None => return Ok(None),
            Some(known) => Some((name, known)),
        },
    };
    let mut problems = Vec::new();
    let in_time = head.in_time();
    check_streams(stage, head, input, &mut problems);
    let mut of_control = None;
    if let Some((name, known)) = control {
        let names = ["version", "changes", "at", "by", "note"].map(str::to_owned);
        scope.asked.name(&known.origin, &names);
        if let Timing::Untimed(remedy) = &known.timing {
            problems.push(name.problem(format!("versions are active by event time, and control records of `{}` have none: {remedy}", name.value)));
        }
        match Fields::of(&known.schema, name) {
            Ok(fields) => of_control = Some((PlannedInput { name: name.value.clone(), rearrange: None }, known.schema.clone(), fields)),
            Err(more) => problems.extend(more),
        }
    }
    let added = fields();
    for (name, _) in added.iter().filter(|(name, _)| input.schema.declares(name)) {
        problems.push(stage.place.problem(format!("records have a field `{name}` already, and a decision has one, too: name that of the records otherwise")));
    }
    let workshop = match Workshop::new(stage.document.clone(), head, &input.schema, Arc::clone(&stage.lists)) {
        Ok(workshop) => {
            problems.extend(workshop.warnings());
            Some(workshop)
        }
        Err(more) => {
            problems.extend(more);
            None
        }
    };
    let base = Base::arranged(arrange::extended(&input.schema, added));
    let Some(workshop) = workshop.filter(|_| !problems.iter().any(Problem::is_error)) else {
        return Err(scope.refused(problems, base, input.timing.clone()));
    };
    scope.warnings.extend(problems);
    let settled = input.order.is_settled(&[]);
    let has_features = workshop.has_features();
    let work = PlannedRules {
        workshop: Arc::new(workshop),
        control: of_control,
        flow: InFlow { in_time, settled, lateness: head.lateness_ms() },
        records: input.schema.clone(),
        words: stage.words(),
    };
    // Features are answered in no order.
    let keeps_order = !in_time && !has_features;
    let out = Known { order: if keeps_order { input.order.clone() } else { Order::Arrival }, updates: None, ..input.clone() };
    let records = in_time.then(|| fields_of(&input.schema).collect::<Vec<Field>>());
    let basis = Basis { key: Some(Vec::new()), records, form: None, reads: None };
    let origin = input.origin.clone();
    Ok(Some(Planned { base, out, origin, work: Arc::new(work), basis: Some(basis), late: None, timeouts: None }))
}

/// Reports what is wrong with the stream as a whole.
fn check_streams(stage: &Rules, head: &Head, input: &Known, problems: &mut Vec<Problem>) {
    head.check_order("are judged", problems);
    let given = stage.document.features.given;
    if let (Some(zone), false) = (&head.zone, given) {
        problems.push(zone.problem("`zone` is for `indicators`; in an expression, name the zone, as in `ts.getHours('Asia/Shanghai')`"));
    }
    if let (Some(key), false) = (head.key.first(), given) {
        problems.push(key.problem("`key` is for the `indicators` and `patterns` of rules, and there are none; each record is judged by itself"));
    }
    if let Timing::Untimed(remedy) = &input.timing {
        problems.push(stage.place.problem(format!("`rules` go by event time, and {}", head.untimed(remedy))));
    }
    if let (Some(ledger), None) = (&head.ledger, &head.control) {
        problems.push(ledger.problem("`ledger` needs `control`: it tells what became of control records"));
    }
    Updates::refuse(input.updates.as_ref(), &stage.place, "a decision", problems);
}

impl PlannedRules {
    /// The control desk: the versions on their way to the workers, and the ledger.
    fn desk<'s>(&self, site: &Site<'_, 's>, input: &Rows<'s>) -> Option<(Stream<'s, (usize, Accepted)>, Rows<'s>)> {
        let (from, schema, fields) = self.control.clone()?;
        let name = format!("{}/control", site.name);
        let control = rows_of(std::slice::from_ref(&from), site.name, &schema, site.streams);
        // Nothing of the records comes, but their watermark.
        let moments = input.clone().filter(&format!("{name}/watermark"), |_| false);
        let edge = control.union(moments).into_edge();
        describe(&edge, &name, site, Some(fields_of(&schema).collect()));
        let flow = self.flow;
        let make = |context: &mut Context| Desk::new(fields, Arc::clone(&self.workshop), flow, context);
        let workers = edge.dataflow().workers();
        let spec = OperatorSpec::new(RULES_CONTROL).labelled("control of rules".to_owned());
        let (accepted, ledger) = keyed(edge, &name, spec, Some("ledger"), |_: &Row| DESK, make);
        let copies = if self.flow.in_time {
            let all = move |accepted: Accepted| (0..workers).map(move |worker| (worker, accepted.clone()));
            Stream::from_edge(accepted).flat_map(&format!("{name}/versions"), all)
        } else {
            // A silent control stream holds back no record.
            Stream::from_edge(broadcast(accepted, &format!("{name}/versions"), |worker, accepted: &Accepted| (worker, accepted.clone())))
        };
        Some((copies, Stream::from_edge(ledger)))
    }
}

/// Gives one of the operators an identity and a basis of its own.
fn describe<T>(edge: &Edge<'_, T>, name: &str, site: &Site<'_, '_>, records: Option<Vec<Field>>) {
    edge.dataflow().describe(name, site.about_of(name, |basis| Basis { records, ..basis }));
}

impl Work for PlannedRules {
    fn build<'s>(&self, site: &Site<'_, 's>, input: Rows<'s>) -> Built<'s> {
        let desk = self.desk(site, &input);
        let (versions, ledger) = desk.unzip();
        let name = format!("{}/judge", site.name);
        let (fed, late_rows) = if self.workshop.has_features() {
            let (fed, late) = self.features(site, input, versions.clone());
            (fed, Some(late))
        } else {
            let mut fed = input.map(&format!("{name}/records"), Fed::Row);
            if let Some(versions) = &versions {
                fed = fed.union(versions.clone().map(&format!("{name}/versions"), |(worker, accepted)| Fed::Version(worker, accepted)));
            }
            (fed, None)
        };
        let edge = fed.into_edge();
        let own = edge.dataflow().worker();
        let records = self.flow.in_time.then(|| fields_of(&self.records).collect());
        describe(&edge, &name, site, records.clone());
        let flow = self.flow;
        let make = |context: &mut Context| Judging::new(Arc::clone(&self.workshop), flow, context);
        let target = move |fed: &Fed| match fed {
            Fed::Row(_) | Fed::Asked { .. } => Target::<u64>::Worker(own),
            Fed::Version(worker, _) | Fed::Answer(Answer { worker, .. }) => Target::Worker(*worker),
        };
        let spec = OperatorSpec::new(RULES).of_form(self.flow.words()).labelled(self.words.clone());
        let (decided, aside) = routed(edge, &name, spec, Some("aside"), target, make);
        let (mut decided, aside) = (Stream::from_edge(decided), Stream::from_edge(aside));
        let late = self.flow.in_time.then(|| {
            late_rows.unwrap_or_else(|| {
                aside.clone().flat_map(&format!("{name}/late"), |aside| match aside {
                    Aside::Late(row) => Some(row),
                    Aside::Limited(_) => None,
                })
            })
        });
        if self.workshop.has_lists() {
            decided = decided.union(self.uses(site, aside, versions, records));
        }
        let out = site.emitted(decided, Some);
        Built { out, late, timeouts: None, ledger }
    }
}

impl InFlow {
    /// When records are judged, in words.
    fn words(self) -> &'static str {
        if self.in_time { "in order of event time" } else { "as records come" }
    }
}

impl PlannedRules {
    /// The operators of features: what comes to the judge, and late rows.
    fn features<'s>(
        &self,
        site: &Site<'_, 's>,
        input: Rows<'s>,
        versions: Option<Stream<'s, (usize, Accepted)>>,
    ) -> (Stream<'s, Fed>, Rows<'s>) {
        let (shop, flow) = (&self.workshop.shop, self.flow);
        let name = |part: &str| format!("{}/{part}", site.name);
        let mut come = input.map(&name("ask/records"), ToAsk::Row);
        if let Some(versions) = versions {
            come = come.union(versions.map(&name("ask/versions"), |(worker, accepted)| ToAsk::Version(worker, accepted)));
        }
        let edge = come.into_edge();
        let (own, workers) = (edge.dataflow().worker(), edge.dataflow().workers());
        let records = || Some(fields_of(&self.records).collect());
        describe(&edge, &name("ask"), site, records().filter(|_| flow.in_time));
        let target = move |come: &ToAsk| match come {
            ToAsk::Row(_) => Target::<u64>::Worker(own),
            ToAsk::Version(worker, _) => Target::Worker(*worker),
        };
        let spec = OperatorSpec::new(RULES_ASK).of_form(flow.words()).labelled(shop.words());
        let make = |context: &mut Context| Asking::new(shop, flow, (own, workers), context);
        let (judged, aside) = routed(edge, &name("ask"), spec, Some("questions"), target, make);
        let aside = Stream::from_edge(aside);
        let to_owner = |come: &ToOwner| match come {
            ToOwner::Question(question) => Target::Key(question.key.clone()),
            ToOwner::Version(worker, _) => Target::Worker(*worker),
        };
        let counted = aside.clone().flat_map(&name("indicators/questions"), |aside| if let FeatureAside::Counted(come) = aside { Some(come) } else { None });
        let edge = counted.into_edge();
        describe(&edge, &name("indicators"), site, None);
        let by_tie = |a: &ToOwner, b: &ToOwner| a.tie().cmp(&b.tie());
        let order = if flow.in_time { Flow::Time(Box::new(by_tie)) } else { Flow::Arrival { lateness: flow.lateness } };
        let spec = OperatorSpec::new(RULES_INDICATORS).of_form(flow.words()).labelled("indicators of rules".to_owned());
        let key = |come: &ToOwner| if let ToOwner::Question(question) = come { question.key.clone() } else { (0, RowKey::Whole) };
        let counted = live(edge, &name("indicators"), spec, (to_owner, key, |key: &GroupKey| key.0), Counting::new(shop, workers), order);
        let matched = aside.clone().flat_map(&name("patterns/questions"), |aside| if let FeatureAside::Matched(come) = aside { Some(come) } else { None });
        let edge = matched.into_edge();
        describe(&edge, &name("patterns"), site, records());
        let spec = OperatorSpec::new(RULES_PATTERNS).of_form(flow.words()).labelled("patterns of rules".to_owned());
        let (matched, _) = routed(edge, &name("patterns"), spec, None, to_owner, |context: &mut Context| Matching::new(shop, flow, workers, context));
        let answers = Stream::from_edge(counted).union(Stream::from_edge(matched)).map(&name("answers"), Fed::Answer);
        let late = aside.flat_map(&name("ask/late"), |aside| if let FeatureAside::Late(row) = aside { Some(row) } else { None });
        (Stream::from_edge(judged).union(answers), late)
    }
}

impl PlannedRules {
    /// The operator that counts uses of list entries: the decisions about the records that meet an entry with a limit.
    fn uses<'s>(
        &self,
        site: &Site<'_, 's>,
        aside: Stream<'s, Aside>,
        versions: Option<Stream<'s, (usize, Accepted)>>,
        records: Option<Vec<Field>>,
    ) -> Rows<'s> {
        let name = format!("{}/uses", site.name);
        let mut fed = aside.flat_map(&format!("{name}/records"), |aside| match aside {
            Aside::Limited(limited) => Some(uses::Fed::Limited(limited)),
            Aside::Late(_) => None,
        });
        if let Some(versions) = versions {
            let one = |(worker, accepted): (usize, Accepted)| (worker == 0).then_some(uses::Fed::Version(accepted));
            fed = fed.union(versions.flat_map(&format!("{name}/versions"), one));
        }
        let edge = fed.into_edge();
        describe(&edge, &name, site, records);
        let flow = self.flow;
        let make = |context: &mut Context| Uses::new(Arc::clone(&self.workshop), flow, context);
        let spec = OperatorSpec::new(RULES_USES).labelled("uses of list entries".to_owned());
        let (decided, _) = keyed(edge, &name, spec, None, |_: &uses::Fed| DESK, make);
        Stream::from_edge(decided)
    }
}

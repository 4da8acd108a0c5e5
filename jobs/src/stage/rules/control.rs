//! The control desk: takes control records in their order, and tells what becomes of each. It is on one worker.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_operators::{Queue, Ties};
use tidegate_rows::{Row, Schema, Type, Value};
use tidegate_rules::{Change, Entry, Lists, Version, Versions};
use tidegate_runtime::operator::{Context, Logic, Outbox};
use tidegate_runtime::state::{Handle, Keyed, Meaning};
use tidegate_runtime::{Error, Record, Watermark};

use super::build::InFlow;
use super::features::effects;
use super::list::read_entry;
use super::timeline::{Timeline, Workshop};
use crate::text::{Problem, Source, Spanned};
use crate::yaml::{self, Reader};

/// The key of everything that is on one worker.
pub(super) const DESK: u64 = 0;

/// A version on its way to the workers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Accepted {
    pub(super) version: Version,
    /// No record before this time is yet to come.
    pub(super) settled: i64,
}

/// Where the fields of a control record are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields {
    version: usize,
    changes: usize,
    at: Option<usize>,
    by: Option<usize>,
    note: Option<usize>,
    width: usize,
}

/// The fields of a record of the ledger.
pub(super) fn ledger() -> Schema {
    let mut fields = Schema::new([
        ("version", Type::Int),
        ("ts", Type::Timestamp),
        ("at", Type::Timestamp),
        ("outcome", Type::String),
        ("error", Type::String),
    ]);
    fields.add_field(tidegate_rows::Field { name: "effects".to_owned(), ty: Type::list(), optional: true });
    fields
}

impl Fields {
    /// Finds the fields of control records.
    ///
    /// # Errors
    /// One is missing, or of a type that it can't have.
    pub(super) fn of(schema: &Schema, name: &Spanned<String>) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut find = |field: &str, types: &[Type], needed: bool| {
            let is = |ty: &Type| {
                let of = if matches!(ty, Type::List(_)) { &Type::list() } else { ty };
                *of == Type::Any || types.contains(of)
            };
            match schema.named(field) {
                Some(known) if is(&known.ty) => return schema.slot(field),
                Some(known) => problems.push(name.problem(format!(
                    "`{field}` of control records is of type {}, and has to be of type {}",
                    known.ty, types[0]
                ))),
                None if needed => {
                    problems.push(name.problem(format!("control records need a field `{field}` of type {}", types[0])).near(field, schema.names()));
                }
                None => {}
            }
            None
        };
        let (version, changes) = (find("version", &[Type::Int], true), find("changes", &[Type::list()], true));
        let at = find("at", &[Type::Timestamp, Type::Int], false);
        let (by, note) = (find("by", &[Type::String], false), find("note", &[Type::String], false));
        let fields = version.zip(changes).map(|(version, changes)| Self { version, changes, at, by, note, width: schema.width() });
        fields.filter(|_| problems.is_empty()).ok_or(problems)
    }
}

/// What becomes of a control record.
enum Outcome {
    /// With what becomes of indicators and patterns.
    Accepted(Version, Vec<String>),
    Refused(String),
    Stale,
}

pub(super) struct Desk {
    fields: Fields,
    lists: Lists,
    timeline: Timeline,
    /// The versions that have been accepted and still matter.
    versions: Handle<Keyed<u64, Versions>>,
    /// Control records that wait, in order of time.
    queue: Option<Queue<u64, Record<Row>>>,
    /// How far behind the watermark records may ask, in milliseconds.
    lateness: i64,
    /// How far event time has advanced. At the end of the input it stays where it was: another run may go on from there.
    reached: i64,
}

impl Desk {
    pub(super) fn new(
        fields: Fields,
        workshop: Arc<Workshop>,
        flow: InFlow,
        context: &mut Context,
    ) -> Result<Self, Error> {
        let versions = context.states.keyed("versions", Meaning::of_type())?;
        let by_version: Ties<Row> = Box::new(move |a, b| a.get(fields.version).strict_cmp(b.get(fields.version)));
        let queue = if flow.in_time { Some(Queue::new(by_version, context)?) } else { None };
        let lists = workshop.lists().clone();
        Ok(Self { fields, lists, timeline: Timeline::new(workshop), versions, queue, lateness: flow.lateness, reached: i64::MIN })
    }

    /// Takes a control record of this time.
    fn take(&mut self, time: i64, row: Row, out: &mut Outbox<Accepted, Row>) -> Result<(), Error> {
        // In order of time, the record's own time is behind its fields.
        let own = match row.0.get(self.fields.width) {
            Some(Value::Int(own)) => *own,
            _ => time,
        };
        let version = if let Value::Int(version) = row.get(self.fields.version) { Some(*version) } else { None };
        let at = self.fields.at.and_then(|slot| match row.get(slot) {
            Value::Timestamp(at) => Some(at.as_millisecond()),
            Value::Int(at) => Some(*at),
            _ => None,
        });
        let outcome = match version {
            None => Outcome::Refused("there is no `version`, a whole number above 0".to_owned()),
            Some(version) => match u64::try_from(version) {
                // What is no longer known of the past can't change.
                Ok(version) => self.decide(version, at.map_or(time, |at| at.max(time)).max(self.timeline.begins()), &row)?,
                Err(_) => Outcome::Stale,
            },
        };
        let mut effects = Value::Absent;
        let (outcome, error) = match outcome {
            Outcome::Accepted(version, told) => {
                if !told.is_empty() {
                    effects = Value::list(told.into_iter().map(Value::string));
                }
                let settled = self.reached.saturating_sub(self.lateness);
                self.versions.borrow_mut().get_or_insert_with(&DESK, Versions::default)?.add(version.clone(), settled);
                out.emit(time, Accepted { version, settled });
                ("accepted", None)
            }
            Outcome::Refused(error) => ("refused", Some(error)),
            Outcome::Stale => ("stale", None),
        };
        let text = |text: Option<String>| text.map_or(Value::Null, Value::string);
        let entry = [
            version.map_or(Value::Null, Value::Int),
            Value::timestamp_ms(own),
            at.map_or(Value::Null, Value::timestamp_ms),
            Value::string(outcome),
            text(error),
            effects,
        ];
        out.emit_side(time, Row::from_iter(entry));
        Ok(())
    }

    fn decide(&mut self, number: u64, active: i64, row: &Row) -> Result<Outcome, Error> {
        if number <= self.versions.borrow_mut().get(&DESK)?.map_or(0, Versions::last) {
            return Ok(Outcome::Stale);
        }
        let text = |slot: Option<usize>| slot.and_then(|slot| row.get(slot).as_str()).map(str::to_owned);
        let changes = match changes(row.get(self.fields.changes), &self.lists) {
            Ok(changes) => changes,
            Err(error) => return Ok(Outcome::Refused(error)),
        };
        let version = Version { version: number, active, by: text(self.fields.by), note: text(self.fields.note), changes };
        let before = Arc::clone(&self.timeline.at(active).features);
        Ok(match self.timeline.add(&version) {
            Ok(()) => {
                let told = effects(&before, &self.timeline.at(active).features, active);
                Outcome::Accepted(version, told)
            }
            Err(wrong) => Outcome::Refused(wrong.iter().map(Problem::in_one_line).collect::<Vec<_>>().join("; ")),
        })
    }
}

impl Desk {
    /// Event time has advanced.
    fn reach(&mut self, watermark: Watermark) {
        if watermark != Watermark::END && watermark.0 > self.reached {
            self.reached = watermark.0;
            self.timeline.settle(self.reached.saturating_sub(self.lateness));
        }
    }
}

impl Logic for Desk {
    type In = Row;
    type Out = Accepted;
    type Side = Row;

    fn opened(&mut self) -> Result<(), Error> {
        if let Some(versions) = self.versions.borrow_mut().get(&DESK)? {
            self.timeline.restore(versions.iter());
        }
        Ok(())
    }

    fn record(&mut self, record: Record<Row>, out: &mut Outbox<Accepted, Row>) -> Result<(), Error> {
        let Some(queue) = &self.queue else {
            self.reach(out.watermark());
            return self.take(record.time, record.value, out);
        };
        // A late record counts from the first moment that is still to come.
        let time = record.time.max(out.horizon().0.saturating_add(1));
        let row = record.value.0.into_vec().into_iter().chain([Value::Int(record.time)]).collect();
        queue.wait(DESK, Record::new(time, row))
    }

    fn waits_until(&self) -> Option<i64> {
        self.queue.as_ref().and_then(Queue::latest)
    }

    fn watermark(&mut self, watermark: Watermark, out: &mut Outbox<Accepted, Row>) -> Result<(), Error> {
        // Those that come at once are judged by what was known before the first of them.
        if let Some(queue) = &self.queue {
            let come = queue.come(watermark.0)?;
            come.into_iter().try_for_each(|record| self.take(record.time, record.value, out))?;
        }
        self.reach(watermark);
        Ok(())
    }
}

/// Reads the changes of a control record.
fn changes(value: &Value, lists: &Lists) -> Result<Vec<Change>, String> {
    let Value::List(items) = value else { return Err("`changes` is a list of changes".to_owned()) };
    items.iter().enumerate().map(|(place, item)| change(item, lists).map_err(|error| format!("changes[{place}]: {error}"))).collect()
}

fn change(value: &Value, lists: &Lists) -> Result<Change, String> {
    const FORMS: &str = "a change is { set: path, value: .. }, { remove: path }, { list: name, add: entry }, { list: name, remove: key } or { list: name, clear: true }";
    let Value::Map(entries) = value else { return Err(FORMS.to_owned()) };
    let get = |name: &str| entries.iter().find(|(key, _)| key.as_str() == Some(name)).map(|(_, value)| value);
    let text = |name: &str| get(name).and_then(Value::as_str).map(str::to_owned);
    let names: Vec<&str> = entries.iter().filter_map(|(key, _)| key.as_str()).collect();
    let is = |form: &[&str]| names.len() == form.len() && entries.len() == names.len() && form.iter().all(|name| names.contains(name));
    if is(&["set", "value"]) {
        let (Some(path), Some(value)) = (text("set"), get("value")) else { return Err(FORMS.to_owned()) };
        return Ok(Change::Set { path, value: json(value).to_string() });
    }
    if is(&["remove"]) {
        return text("remove").map(|path| Change::Remove { path }).ok_or_else(|| FORMS.to_owned());
    }
    let Some(list) = text("list") else { return Err(FORMS.to_owned()) };
    let Some(known) = lists.named(&list) else {
        let listed: Vec<String> = lists.names().map(|name| format!("`{name}`")).collect();
        let there = if listed.is_empty() { "the job has none".to_owned() } else { format!("there are {}", listed.join(", ")) };
        return Err(format!("no list is called `{list}`; {there}"));
    };
    if is(&["list", "add"]) {
        let (key, entry) = entry(get("add").unwrap_or(&Value::Null))?;
        known.by.stored(&key).map_err(|error| error.to_string())?;
        return Ok(Change::Add { list, key, entry });
    }
    if is(&["list", "remove"]) {
        let key = match get("remove") {
            Some(Value::String(key)) => key.to_string(),
            Some(Value::Int(key)) => key.to_string(),
            _ => return Err(FORMS.to_owned()),
        };
        known.by.stored(&key).map_err(|error| error.to_string())?;
        return Ok(Change::Drop { list, key });
    }
    match (is(&["list", "clear"]), get("clear")) {
        (true, Some(Value::Bool(true))) => Ok(Change::Clear { list }),
        _ => Err(FORMS.to_owned()),
    }
}

/// Reads an entry as a job file has it.
fn entry(value: &Value) -> Result<(String, Entry), String> {
    let source = Source::new(Some("add"), &json(value).to_string());
    let mut reader = Reader::default();
    let read = yaml::parse(&source, 0, &mut reader.problems).and_then(|node| read_entry(&mut reader, &node));
    match read {
        Some((key, entry)) if reader.problems.is_empty() => Ok((key.value, entry)),
        _ => Err(reader.problems.iter().map(Problem::in_one_line).collect::<Vec<_>>().join("; ")),
    }
}

/// A value as JSON. What JSON has no form for is text.
fn json(value: &Value) -> serde_json::Value {
    match value {
        Value::Null | Value::Absent => serde_json::Value::Null,
        Value::Bool(value) => (*value).into(),
        Value::Int(value) => (*value).into(),
        Value::Uint(value) => (*value).into(),
        Value::Double(value) => (*value).into(),
        Value::String(value) => value.as_str().into(),
        Value::List(items) => items.iter().map(json).collect(),
        Value::Map(entries) => {
            let key = |key: &Value| key.as_str().map_or_else(|| tidegate_expr::plain(key), str::to_owned);
            serde_json::Value::Object(entries.iter().map(|(name, value)| (key(name), json(value))).collect())
        }
        Value::Bytes(_) | Value::Timestamp(_) | Value::Duration(_) | Value::Decimal(_) => tidegate_expr::plain(value).into(),
    }
}

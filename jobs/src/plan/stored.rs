//! Converts stored rows of jobs from files to records, for inspecting a savepoint. The job file is not needed: the manifest describes the rows.

use serde::de::DeserializeOwned;
use tidegate_checkpoints::{Field, OperatorState, StateInfo};
use tidegate_operators::window::Bounds;
use tidegate_operators::{Measured, kinds, stored};
use tidegate_rows::format::{Encoder, JsonEncoder, Timestamps};
use tidegate_rows::{Row, Schema, Type, Value};
use tidegate_runtime::Error;
use tidegate_runtime::state::{Part, Table, decode, decode_namespace, expires, reminds, without_stamp};

use crate::aggregate::Accs;
use crate::relation::key::RowKey;
use crate::stage::top::Measure;
use crate::stage::{Identity, RowColumn, RowTriggerState, of_rules};

/// Appends the records of a stored row as lines of JSON. `None` if the state is not of a job from a file, so that its content is unknown.
/// Timers have no records.
///
/// # Errors
/// If the row is not what the manifest says.
pub fn records(operator: &OperatorState, state: &StateInfo, key: &[u8], value: &[u8], out: &mut Vec<u8>) -> Result<Option<()>, Error> {
    let Some(of_key) = &operator.basis.key else { return Ok(None) };
    if reminds(&state.schema) {
        return Ok(Some(()));
    }
    let (namespace, key) = match state.name.as_str() {
        "slices" | "late" => decode_namespace(key).map(|(namespace, key)| (Some(namespace), key))?,
        _ => (None, key),
    };
    if let Some(printed) = of_a_stage(of_key, state, key, value, out) {
        return printed.map(Some);
    }
    let value = if expires(&state.schema) { without_stamp(value) } else { value };
    let printer = Printer { of_key, key: decode(key)?, state: &state.name };
    let aggregates = |accs: Accs| {
        let shown: Vec<_> = state.fields.iter().zip(accs.iter()).map(|(field, acc)| (field.name.clone(), acc.shown(&field.is))).collect();
        shown.into_iter()
    };
    let at = |name: &str, ms: i64| (name.to_owned(), Value::timestamp_ms(ms));
    let bounds = |window: Bounds| {
        let (start, end) = (at("window_start", window.start), at("window_end", window.end));
        [start, end].into_iter().filter(move |_| window.start != i64::MIN)
    };
    let rows = || operator.basis.records.iter().flatten().map(|field| field.name.clone());
    match state.name.as_str() {
        "aggregate" => printer.print(aggregates(decode(value)?), out),
        "slices" | "late" | "sessions" | "windows" if !state.fields.is_empty() => {
            let what = match state.name.as_str() {
                "late" => "window_end",
                _ if operator.kind == kinds::TUMBLING_WINDOW.name() => "window_start",
                _ => "slice_start",
            };
            let latest = stored::keeps_latest(&state.schema);
            let all = if latest { held::<LatestAccs>(&state.name, value)? } else { held::<Accs>(&state.name, value)? };
            for (window, accs) in all {
                let of_slice = namespace.map(|ms| at(what, ms));
                printer.print(of_slice.into_iter().chain(window.into_iter().flat_map(bounds)).chain(aggregates(accs)), out);
            }
        }
        "counts" => {
            let (seen, slices) = stored::counted(value)?;
            let seen = ("records".to_owned(), Value::Int(i64::try_from(seen).unwrap_or(i64::MAX)));
            for accs in slices {
                printer.print([seen.clone()].into_iter().chain(aggregates(accs)), out);
            }
        }
        "spans" => {
            for (start, last) in stored::spans::<Row>(value)? {
                let last = last.map(|record| record.value.0.into_vec()).unwrap_or_default();
                printer.print([at("start", start)].into_iter().chain(rows().zip(last)), out);
            }
        }
        "greatest" => {
            for row in decode::<Vec<Measured<Measure, Row>>>(value)? {
                printer.print(rows().zip(row.value.0.into_vec()), out);
            }
        }
        _ => printer.print([("@bytes".to_owned(), Value::Int(i64::try_from(value.len()).unwrap_or(i64::MAX)))].into_iter(), out),
    }
    Ok(Some(()))
}

/// Appends the records of a row of a state whose stage knows it.
fn of_a_stage(of_key: &[Field], state: &StateInfo, key: &[u8], value: &[u8], out: &mut Vec<u8>) -> Option<Result<(), Error>> {
    if let Some(print) = of_indicators(&state.schema) {
        return Some(print(of_key, state, key, value, out));
    }
    let printer = Printer { of_key: &[], key: RowKey::Whole, state: &state.name };
    if state.schema.ends_with(" by u64") && of_rules(&state.schema, key, value).is_none() {
        let bytes = ("@bytes".to_owned(), Value::Int(i64::try_from(value.len()).unwrap_or(i64::MAX)));
        printer.print([bytes].into_iter(), out);
        return Some(Ok(()));
    }
    let shown = of_rules(&state.schema, key, value)?;
    Some(shown.map(|records| records.into_iter().for_each(|record| printer.print(record.into_iter(), out))))
}

/// Appends the records of a row that indicators have stored.
type OfIndicators = fn(&[Field], &StateInfo, &[u8], &[u8], &mut Vec<u8>) -> Result<(), Error>;

/// How to print the rows of a state that holds histories, their nodes, or the newest time of each of their values, if it does.
fn of_indicators(schema: &str) -> Option<OfIndicators> {
    fn number(name: &str, n: u64) -> (String, Value) {
        (name.to_owned(), Value::Int(i64::try_from(n).unwrap_or(i64::MAX)))
    }
    fn at(name: &str, ms: i64) -> (String, Value) {
        (name.to_owned(), Value::timestamp_ms(ms))
    }
    fn histories(of_key: &[Field], state: &StateInfo, key: &[u8], value: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let printer = Printer { of_key, key: decode(key)?, state: &state.name };
        for (field, extent) in state.fields.iter().zip(stored::histories::<RowColumn>(value)?) {
            let history = [("history".to_owned(), Value::string(&field.name)), number("items", extent.items)];
            let ends = extent.ends.into_iter().flat_map(|(oldest, newest)| [at("oldest", oldest), at("newest", newest)]);
            let summed_up = (extent.summed_up > 0).then(|| number("summed_up", extent.summed_up));
            printer.print(history.into_iter().chain(ends).chain(summed_up), out);
        }
        Ok(())
    }
    fn nodes(of_key: &[Field], state: &StateInfo, key: &[u8], value: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let Part { key, .. } = decode::<Part<RowKey, (u32, u32)>>(key)?;
        Printer { of_key, key, state: &state.name }.print([number("@bytes", value.len() as u64)].into_iter(), out);
        Ok(())
    }
    fn values(of_key: &[Field], state: &StateInfo, key: &[u8], value: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let Part { key, part: (_, known) } = decode::<Part<RowKey, (u32, Value)>>(key)?;
        let known = ("value".to_owned(), known);
        Printer { of_key, key, state: &state.name }.print([known, at("newest", decode(value)?)].into_iter(), out);
        Ok(())
    }
    if schema.starts_with("indicator.histories/") {
        return Some(histories);
    }
    let of_part = schema.contains("part/1<row.key/1");
    of_part.then_some(if schema.starts_with("indicator.node/") { nodes } else { values })
}

/// The accumulators of the latest version of each result, by its time and identity.
type LatestAccs = Table<(i64, Identity), Accs>;

/// What windows hold of their records.
trait Held: DeserializeOwned {
    fn accs(self) -> Vec<Accs>;
}

impl Held for Accs {
    fn accs(self) -> Vec<Accs> {
        vec![self]
    }
}

impl Held for LatestAccs {
    fn accs(self) -> Vec<Accs> {
        let mut all: Vec<_> = self.into_iter().collect();
        all.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        all.into_iter().map(|(_, accs)| accs).collect()
    }
}

/// The accumulators of a key in the state called `state`, each with its window unless it belongs to a slice.
fn held<H: Held>(state: &str, value: &[u8]) -> Result<Vec<(Option<Bounds>, Accs)>, Error> {
    let windows: Vec<(Option<Bounds>, H)> = match state {
        "sessions" => stored::sessions(value)?.into_iter().map(|(window, held)| (Some(window), held)).collect(),
        "windows" => stored::windows::<H, RowTriggerState>(value)?.into_iter().map(|(window, held)| (Some(window), held)).collect(),
        _ => vec![(None, decode(value)?)],
    };
    Ok(windows.into_iter().flat_map(|(window, held)| held.accs().into_iter().map(move |accs| (window, accs))).collect())
}

/// Prints the stored records of a key.
struct Printer<'a> {
    of_key: &'a [Field],
    key: RowKey,
    state: &'a str,
}

impl Printer<'_> {
    /// The field name of a part of the key. An expression is named as in the output of its stream.
    fn name(&self, number: usize, text: &str) -> String {
        let is_name = text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '@' | '.'));
        match (is_name, self.of_key.len()) {
            (true, _) => text.to_owned(),
            (false, 1) => "key".to_owned(),
            (false, _) => format!("key_{number}"),
        }
    }

    fn print(&self, values: impl Iterator<Item = (String, Value)>, out: &mut Vec<u8>) {
        let names = (1..).zip(self.of_key).map(|(number, field)| self.name(number, &field.name));
        let mut record: Vec<(String, Value)> = names.zip(self.key.values().iter().cloned()).collect();
        for (name, value) in values {
            // The fields of the key are already there.
            if record.iter().all(|(known, _)| *known != name) {
                record.push((name, value));
            }
        }
        // No field of a job has this name.
        record.push(("@state".to_owned(), Value::string(self.state)));
        let schema = Schema::new(record.iter().map(|(name, _)| (name.clone(), Type::Any)));
        let row: Row = record.into_iter().map(|(_, value)| value).collect();
        JsonEncoder::new(&schema, Timestamps::Millis).encode(&row, out);
    }
}

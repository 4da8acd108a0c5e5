//! Stored rows of jobs from files, as records: for those who look into a savepoint. The job file is not at hand then; what the rows are is said by the
//! manifest.

use tidegate_checkpoints::{Field, OperatorState, StateInfo};
use tidegate_connectors::format::{Encoder, JsonEncoder, Timestamps};
use tidegate_connectors::row::{Row, Schema, Type, Value};
use tidegate_operators::{Measured, stored};
use tidegate_runtime::Error;
use tidegate_runtime::state::{decode, decode_namespace, without_stamp};

use super::key::RowKey;
use super::single::Measure;
use super::windows::RowTriggerState;
use crate::aggregate::{Acc, Accs};

/// Appends the records that a row of a state holds as lines of JSON. `None`: nobody knows what it holds, as it is of no job from a file. Timers have none.
///
/// # Errors
/// The row is not what the manifest says.
pub fn records(operator: &OperatorState, state: &StateInfo, key: &[u8], value: &[u8], out: &mut Vec<u8>) -> Result<Option<()>, Error> {
    let Some(of_key) = &operator.basis.key else { return Ok(None) };
    if state.schema == "timers" {
        return Ok(Some(()));
    }
    let (namespace, key) = match state.name.as_str() {
        "slices" | "late" => decode_namespace(key).map(|(namespace, key)| (Some(namespace), key))?,
        _ => (None, key),
    };
    let value = if state.schema.ends_with(", expiring") { without_stamp(value) } else { value };
    let printer = Printer { of_key, key: decode(key)?, state: &state.name };
    let aggregates = |accs: Accs| state.fields.iter().map(|field| field.name.clone()).zip(accs.iter().map(Acc::shown).collect::<Vec<_>>());
    let at = |name: &str, ms: i64| (name.to_owned(), Value::timestamp_ms(ms));
    let bounds = |window: tidegate_operators::window::Bounds| {
        let (start, end) = (at("window_start", window.start), at("window_end", window.end));
        [start, end].into_iter().filter(move |_| window.start != i64::MIN)
    };
    let rows = || operator.basis.records.iter().flatten().map(|field| field.name.clone());
    match state.name.as_str() {
        "aggregate" => printer.print(aggregates(decode(value)?), out),
        "slices" | "late" => {
            let what = match state.name.as_str() {
                "late" => "window_end",
                _ if operator.kind.starts_with("tumbling") => "window_start",
                _ => "slice_start",
            };
            printer.print(namespace.map(|ms| at(what, ms)).into_iter().chain(aggregates(decode(value)?)), out);
        }
        "sessions" => {
            for (window, accs) in stored::sessions(value)? {
                printer.print(bounds(window).chain(aggregates(accs)), out);
            }
        }
        "windows" if !state.fields.is_empty() => {
            for (window, accs) in stored::windows::<Accs, RowTriggerState>(value)? {
                printer.print(bounds(window).chain(aggregates(accs)), out);
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

/// Prints what is stored of a key.
struct Printer<'a> {
    of_key: &'a [Field],
    key: RowKey,
    state: &'a str,
}

impl Printer<'_> {
    /// What a part of the key is called; an expression as in the output of its stream.
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
            // A record has the fields of its key, too.
            if record.iter().all(|(known, _)| *known != name) {
                record.push((name, value));
            }
        }
        // No field of a job is called so.
        record.push(("@state".to_owned(), Value::string(self.state)));
        let schema = Schema::new(record.iter().map(|(name, _)| (name.clone(), Type::Any)));
        let row: Row = record.into_iter().map(|(_, value)| value).collect();
        JsonEncoder::new(&schema, Timestamps::Millis).encode(&row, out);
    }
}

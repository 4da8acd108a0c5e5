//! What rules keep, for people: versions, entries of lists, and uses.

use serde::de::DeserializeOwned;
use tidegate_rows::Value;
use tidegate_rules::{Change, Cleared, Op, Version, Versions};
use tidegate_runtime::Error;
use tidegate_runtime::state::{Part, Stored, decode};

use super::store::{Held, list_of};
use super::uses::Used;

/// A record with named fields.
type Shown = Vec<(String, Value)>;

/// The records of a stored row, if it is of rules.
pub(crate) fn of_rules(schema: &str, key: &[u8], value: &[u8]) -> Option<Result<Vec<Shown>, Error>> {
    if schema.contains(Held::SCHEMA) {
        return Some(read::<Vec<u8>>(key).and_then(|name| Ok(held(&name, read(value)?))));
    }
    if schema.contains(Version::SCHEMA) {
        return Some(read::<Version>(value).map(|one| version(&one)));
    }
    if schema.starts_with(Versions::SCHEMA) {
        return Some(read::<Versions>(value).map(|versions| versions.iter().flat_map(version).collect()));
    }
    if schema.starts_with(Used::SCHEMA) {
        let of = read::<Part<u64, (String, Vec<u8>)>>(key);
        return Some(of.and_then(|Part { part: (list, key), .. }| {
            let used: Used = read(value)?;
            Ok(vec![vec![text("list", &list), text("key", &String::from_utf8_lossy(&key)), number("used", used.times)]])
        }));
    }
    None
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    decode(bytes)
}

fn text(name: &str, value: &str) -> (String, Value) {
    (name.to_owned(), Value::string(value))
}

fn number(name: &str, value: u64) -> (String, Value) {
    (name.to_owned(), Value::Int(i64::try_from(value).unwrap_or(i64::MAX)))
}

fn at(name: &str, ms: i64) -> (String, Value) {
    (name.to_owned(), Value::timestamp_ms(ms))
}

/// A version: a record for each of its changes, or one if it has none.
fn version(version: &Version) -> Vec<Shown> {
    let head = || {
        let of = [("by", &version.by), ("note", &version.note)];
        let told = of.into_iter().filter_map(|(name, of)| Some(text(name, of.as_deref()?)));
        [number("version", version.version), at("active", version.active)].into_iter().chain(told)
    };
    let changes = version.changes.iter().filter_map(|change| match change {
        Change::Set { path, value } => Some(vec![text("set", path), text("value", value)]),
        Change::Remove { path } => Some(vec![text("remove", path)]),
        Change::Add { .. } | Change::Drop { .. } | Change::Clear { .. } => None,
    });
    let shown: Vec<Shown> = changes.map(|change| head().chain(change).collect()).collect();
    if shown.is_empty() { vec![head().collect()] } else { shown }
}

fn held(name: &[u8], held: Held) -> Vec<Shown> {
    let list = || text("list", list_of(name).map_or("", |(list, _)| list));
    match held {
        Held::Version(of) => version(&of),
        Held::Key(ops) => ops.into_iter().map(|op| entry(list(), op)).collect(),
        Held::Cleared(all) => {
            let one = |Cleared { by, active }: Cleared| vec![list(), ("cleared".to_owned(), Value::Bool(true)), number("version", by.0), at("active", active)];
            all.into_iter().map(one).collect()
        }
    }
}

fn entry(list: (String, Value), op: Op) -> Shown {
    let Op { by, active, key, entry } = op;
    let mut shown = vec![list, text("key", &key), number("version", by.0), at("active", active)];
    match entry {
        None => shown.push(("removed".to_owned(), Value::Bool(true))),
        Some(entry) => {
            shown.extend(entry.from.map(|from| at("from", from)));
            shown.extend(entry.to.map(|to| at("to", to)));
            shown.extend(entry.uses.map(|uses| number("uses", uses)));
            shown.extend(entry.reason.map(|reason| text("reason", &reason)));
        }
    }
    shown
}
